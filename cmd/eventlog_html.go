package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// pageDoc is the result of eventlog explain --html.
type pageDoc struct {
	Source string `json:"source"`
	File   string `json:"file"`
	Size   int    `json:"size"`
}

func (pageDoc) Schema() string { return "vtpmctl.eventlog-page/v1" }

func (d pageDoc) Table(t *out.Table) {
	t.Text("%s: one page of %d bytes, to be opened in a browser", d.File, d.Size)
}

// writePage writes the story as a page. The same log gives the same page.
func (d storyDoc) writePage(path string, force bool) (out.Doc, error) {
	p := &bootPage{HTML: out.NewHTML("Boot of "+d.Source, pageStyle), doc: d, events: make(map[int][]eventlog.Sentence)}
	for s := range d.sentences() {
		p.take(s)
	}
	text := p.write()
	if err := file.Write(path, text, file.Shared, force); err != nil {
		return nil, err
	}
	return pageDoc{Source: d.Source, File: path, Size: len(text)}, nil
}

// bootPage is the page of one boot, from what an admin asks first to every single event.
type bootPage struct {
	*out.HTML
	doc    storyDoc
	marks  []mark
	events map[int][]eventlog.Sentence // of each register, not more than are listed
	broken []eventlog.Statement
}

// mark is what is kept of every event: a log may have hundreds of thousands.
type mark struct {
	event   int32
	pcr     int8
	phase   uint8
	binding uint8
}

// The order of phases and bindings, by which a mark numbers them.
var (
	phases   = []eventlog.Phase{eventlog.PhaseFirmware, eventlog.PhaseLoader, eventlog.PhaseSystem}
	bindings = []eventlog.Binding{eventlog.Unchecked, eventlog.Unbound, eventlog.Label, eventlog.Bound, eventlog.Broken}
)

// take keeps of an event what the page needs.
func (p *bootPage) take(s eventlog.Sentence) {
	p.marks = append(p.marks, mark{int32(s.Event), int8(s.PCR), uint8(slices.Index(phases, s.Phase)), uint8(slices.Index(bindings, s.Binding))})
	if len(p.events[s.PCR]) < listed {
		p.events[s.PCR] = append(p.events[s.PCR], s)
	}
	if s.Binding == eventlog.Broken && len(p.broken) < maxNotes {
		p.broken = append(p.broken, eventlog.Statement{
			Text: s.Type.String() + ": " + s.Covers, Event: s.Event, PCR: s.PCR, Binding: s.Binding, Alert: true})
	}
}

func (p *bootPage) write() []byte {
	p.In("header", p.head)
	p.In("main", func() {
		p.alerts()
		p.lanes()
		p.story()
		p.registers()
		p.remarks()
	})
	p.In("footer", func() {
		p.El("p", "Words marked bound are as true as the PCRs, once the log was compared with them: vtpmctl eventlog verify. "+
			"No digest covers an event's type or its place in the log. This page needs no network and runs no script.")
	})
	return p.Bytes()
}

// head says in five lines what people open the page for.
func (p *bootPage) head() {
	d := p.doc
	p.El("h1", "What this machine booted")
	p.El("p.source", fmt.Sprintf("%s · %s · %d events", d.Source, strings.Join(append(slices.Clone(d.log.Layers), string(d.log.Format)), ", "), len(d.log.Events)))
	p.In("dl.facts", func() {
		p.fact("Secure Boot", func() { p.secureBoot() })
		p.textFact("Started by", strings.ReplaceAll(d.Loader, ", ", " → "))
		p.codeFact("Command line", d.Cmdline)
		p.codeFact("Initrd", d.Initrd)
		p.codeFact("Unified kernel", d.UKI)
		p.textFact("Log", p.wholeness())
		p.fact("Proof", p.tally)
	})
}

func (p *bootPage) fact(name string, value func()) {
	p.In("div", func() {
		p.El("dt", name)
		p.In("dd", value)
	})
}

func (p *bootPage) textFact(name, value string) {
	if value != "" {
		p.fact(name, func() { p.Text(value) })
	}
}

func (p *bootPage) codeFact(name, value string) {
	if value != "" {
		p.fact(name, func() { p.El("code", value) })
	}
}

func (p *bootPage) secureBoot() {
	switch p.doc.SecureBoot {
	case "on":
		p.El("b.good", "✓ on")
	case "off":
		p.El("b.bad", "✗ off")
	default:
		p.El("b.unsure", "? "+p.doc.SecureBoot)
	}
}

func (p *bootPage) wholeness() string {
	if p.doc.log.Complete() {
		return "read to its end"
	}
	return "not read to its end: see the notes below"
}

// tally counts what is proven and what is not.
func (p *bootPage) tally() {
	counts := make([]int, len(bindings))
	for _, m := range p.marks {
		counts[m.binding]++
	}
	for _, b := range []eventlog.Binding{eventlog.Bound, eventlog.Label, eventlog.Broken, eventlog.Unbound, eventlog.Unchecked} {
		if n := counts[slices.Index(bindings, b)]; n > 0 {
			p.In("span.share", func() {
				p.Text(strconv.Itoa(n) + " ")
				p.tag(b)
			})
		}
	}
}

// tag marks how far words can be relied on: by a sign, a word and a colour.
func (p *bootPage) tag(b eventlog.Binding) {
	switch b {
	case eventlog.Bound:
		p.El("span.tag.bound", "● bound")
	case eventlog.Label:
		p.El("span.tag.named", "○ named")
	case eventlog.Broken:
		p.El("span.tag.broken", "✗ broken")
	case eventlog.Unbound:
		p.El("span.tag.none", "– unbound")
	default:
		p.El("span.tag.none", "? "+string(b))
	}
}

// alerts puts what deserves a look in front.
func (p *bootPage) alerts() {
	var found []eventlog.Statement
	for _, s := range p.doc.Sections {
		for _, line := range s.Statements {
			if line.Alert {
				found = append(found, line)
			}
		}
	}
	found = append(found, p.broken...)
	if len(found) == 0 {
		return
	}
	p.In("section.alerts", func() {
		p.El("h2", "Worth a look")
		p.In("ul", func() {
			for _, line := range found {
				p.statement(line)
			}
		})
	})
}

// foldAfter is how many statements of a section show before the rest is folded away.
const foldAfter = 12

// story is the boot in order, as far as the log tells it in words.
func (p *bootPage) story() {
	if len(p.doc.Sections) == 0 {
		return
	}
	p.In("section", func() {
		p.El("h2", "The boot in order")
		p.In("ol.story", func() {
			for _, s := range p.doc.Sections {
				p.In("li", func() {
					p.El("h3", s.Title)
					p.statements(s.Statements)
				})
			}
		})
	})
}

func (p *bootPage) statements(lines []eventlog.Statement) {
	list := func(lines []eventlog.Statement) {
		p.In("ul", func() {
			for _, line := range lines {
				p.statement(line)
			}
		})
	}
	if len(lines) <= foldAfter+2 {
		list(lines)
		return
	}
	list(lines[:foldAfter])
	p.In("details", func() {
		p.El("summary", fmt.Sprintf("%d more", len(lines)-foldAfter))
		list(lines[foldAfter:])
	})
}

func (p *bootPage) statement(line eventlog.Statement) {
	p.In("li", func() {
		p.El("span.what", line.Text)
		p.In("span.where", func() {
			p.tag(line.Binding)
			p.In("span", func() {
				if line.PCR >= 0 && line.PCR < pcr.Count {
					p.El("a", p.registerLabel(line.PCR), out.Count("href", "#pcr-", line.PCR))
					p.Text(" · ")
				}
				p.Text("event " + strconv.Itoa(line.Event))
			})
		})
	})
}

// registerLabel is how people call a register: those of a confidential guest are no PCRs.
func (p *bootPage) registerLabel(index int) string {
	if p.doc.log.CC {
		return strings.ToUpper(registerName(p.doc.log, index))
	}
	return "PCR " + strconv.Itoa(index)
}

// listed bounds the events of one register on the page.
const listed = 400

// registers is the page's second half: one block for each register, with its values and its events.
func (p *bootPage) registers() {
	if len(p.doc.PCRs) == 0 {
		return
	}
	replay := p.doc.log.Replay()
	p.In("section", func() {
		p.El("h2", "Register by register")
		for _, tale := range p.doc.PCRs {
			p.In("section.pcr", func() { p.register(tale, replay) }, out.Count("id", "pcr-", tale.PCR))
		}
	})
}

func (p *bootPage) register(tale eventlog.PCRTale, replay *eventlog.Replay) {
	p.In("h3", func() {
		p.Text(p.registerLabel(tale.PCR) + " ")
		if !p.doc.log.CC {
			p.El("span.name", registerName(p.doc.log, tale.PCR))
		}
	})
	p.El("p", "Holds "+tale.Holds+".")
	p.El("p.changes", "Changes with "+tale.Changes+".")
	p.In("dl.values", func() {
		for _, bank := range replay.Banks {
			if r := bank.PCR(tale.PCR); r != nil {
				p.El("dt", bank.Alg.String())
				p.In("dd", func() {
					p.El("code.digest", r.Value.String())
					if r.Missing > 0 {
						p.Text(fmt.Sprintf(" %d events carry no digest of this bank", r.Missing))
					}
				})
			}
		}
	})
	total := 0
	for _, m := range p.marks {
		if int(m.pcr) == tale.PCR {
			total++
		}
	}
	p.In("details", func() {
		p.El("summary", plural(total, "event"))
		p.In("ol.events", func() {
			for _, s := range p.events[tale.PCR] {
				p.event(s)
			}
		})
		if total > listed {
			p.El("p", fmt.Sprintf("%d more: vtpmctl eventlog show --pcr %d", total-listed, tale.PCR))
		}
	})
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// event tells of one event: its words first, then who measured it, what the digest covers, what would change it.
func (p *bootPage) event(s eventlog.Sentence) {
	p.In("li", func() {
		p.In("p.what", func() {
			p.El("b", "#"+strconv.Itoa(s.Event))
			p.Text(" " + s.Text + " ")
			p.tag(s.Binding)
		})
		about := s.Type.String() + ", by " + s.By
		if s.Covers != "" {
			about += ". Covers " + s.Covers
		}
		if s.Changes != "" {
			about += ". Changes with " + s.Changes
		}
		p.El("p.about", about+".")
		if d, ok := p.digest(s.Event); ok {
			p.In("p.about", func() {
				p.Text(d.Alg.String() + " ")
				p.El("code.digest", d.Value.String())
			})
		}
	})
}

// digest is the one digest of an event that is shown: SHA-256's where there is one.
func (p *bootPage) digest(event int) (eventlog.Digest, bool) {
	e := &p.doc.log.Events[event]
	if !e.Extends() || e.Digests.Len() == 0 {
		return eventlog.Digest{}, false
	}
	if value := e.Digest(eventlog.SHA256); value != nil {
		return eventlog.Digest{Alg: eventlog.SHA256, Value: value}, true
	}
	return e.Digests.At(0), true
}

// remarks are the known deviations and what reading the log gave rise to.
func (p *bootPage) remarks() {
	if len(p.doc.Quirks) == 0 && len(p.doc.Notes) == 0 {
		return
	}
	p.In("section", func() {
		p.El("h2", "Notes")
		p.In("ul.notes", func() {
			for _, q := range p.doc.Quirks {
				p.El("li", fmt.Sprintf("Known deviation %s, event %d: %s.", q.Code, q.Event, q.Text))
			}
			for i, n := range p.doc.Notes {
				if i == maxNotes {
					p.El("li", fmt.Sprintf("%d more with vtpmctl eventlog show -o json.", len(p.doc.Notes)-i))
					break
				}
				p.El("li", fmt.Sprintf("Offset %d: %s.", n.Offset, n.Text))
			}
		})
	})
}
