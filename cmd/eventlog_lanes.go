package cmd

import (
	"fmt"
	"strconv"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

// maxColumns bounds the timeline: of a longer log several events share a column.
const maxColumns = 240

// laneWidth is the width of a lane in units of its own, which the page stretches.
const laneWidth = 2400

// lanes is the timeline: a lane for each register, and in it a bar for each event, from left to right as they were
// measured. The height of a bar says what its colour says: full is bound, half is named, full with a gap is broken.
func (p *bootPage) lanes() {
	if len(p.marks) == 0 || len(p.doc.PCRs) == 0 {
		return
	}
	columns := min(len(p.marks), maxColumns)
	p.In("section.timeline", func() {
		p.El("h2", "Timeline")
		p.phases(columns)
		p.In("div.lanes", func() {
			for _, tale := range p.doc.PCRs {
				p.El("a", p.registerLabel(tale.PCR), out.Count("href", "#pcr-", tale.PCR))
				p.lane(tale.PCR, columns)
				p.El("span.count", strconv.Itoa(tale.Events))
			}
		})
		p.In("p.legend", func() {
			p.Text("One bar an event, in the order of the log. Full height: ")
			p.tag(eventlog.Bound)
			p.Text(" to what was measured. Half: ")
			p.tag(eventlog.Label)
			p.Text(", the log has a name for it only. The numbers count the events that extended a register.")
		})
	})
}

// column is where an event stands.
func (p *bootPage) column(i, columns int) int { return i * columns / len(p.marks) }

// phases heads the timeline with the parts of the boot, as wide as they are long.
func (p *bootPage) phases(columns int) {
	p.In("div.phases", func() {
		for start := 0; start < len(p.marks); {
			end := start
			for end < len(p.marks) && p.marks[end].phase == p.marks[start].phase {
				end++
			}
			name := string(phases[p.marks[start].phase])
			events := fmt.Sprintf("events %d to %d", p.marks[start].event, p.marks[end-1].event)
			if end == start+1 {
				events = "event " + strconv.Itoa(int(p.marks[start].event))
			}
			p.In("div", func() {
				p.El("b", name)
				p.Text(" ")
				p.El("span", events)
			}, out.Count("style", "flex-grow:", max(1, p.column(end, columns)-p.column(start, columns))))
			start = end
		}
	})
}

func (p *bootPage) lane(register, columns int) {
	bars := make([]uint8, columns) // of events that share a column the worst shows, in the order of bindings
	for i, m := range p.marks {
		if c := p.column(i, columns); int(m.pcr) == register {
			bars[c] = max(bars[c], m.binding)
		}
	}
	p.In("svg", func() {
		for c, b := range bars {
			bar := func(y, height int) []out.Attr {
				x, next := c*laneWidth/columns, (c+1)*laneWidth/columns
				return []out.Attr{out.Count("x", "", x), out.Count("y", "", y), out.Count("width", "", max(1, (next-x)*4/5)), out.Count("height", "", height)}
			}
			switch bindings[b] {
			case eventlog.Bound:
				p.El("rect.bound", "", bar(0, 16)...)
			case eventlog.Label:
				p.El("rect.named", "", bar(8, 8)...)
			case eventlog.Broken:
				p.El("rect.broken", "", bar(0, 6)...)
				p.El("rect.broken", "", bar(10, 6)...)
			}
		}
	}, out.Set("viewBox", "0 0 2400 16"), out.Set("preserveAspectRatio", "none"), out.Set("aria-hidden", "true"))
}
