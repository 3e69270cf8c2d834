package eventlog

import (
	"bytes"
	"slices"
)

// Diff is how two logs differ, PCR by PCR.
type Diff struct {
	Equal    bool      `json:"equal"`
	PCRs     []PCRDiff `json:"pcrs"`          // those that differ
	Volatile []int     `json:"volatile_pcrs"` // those in which nothing but counters and load addresses differs
}

// PCRDiff is how one PCR differs.
type PCRDiff struct {
	PCR      int      `json:"pcr"`
	Same     int      `json:"same"`     // events that both have
	Volatile int      `json:"volatile"` // of those, events in which a counter or a load address differs
	Changes  []Change `json:"changes"`
}

// Change is an event that only one log has, or that says something else in the other.
type Change struct {
	Kind   string   `json:"kind"` // "added", "removed", "changed" or "moved"
	Type   string   `json:"type"`
	Before *Side    `json:"before,omitempty"`
	After  *Side    `json:"after,omitempty"`
	Fields []string `json:"fields"` // what differs inside, in words
}

// String is the change in one line, without what differs inside.
func (c *Change) String() string {
	side := c.Before
	if c.After != nil {
		side = c.After
	}
	return c.Kind + " " + c.Type + ": " + side.Summary
}

// Side is an event as one of the logs has it.
type Side struct {
	Number  int    `json:"number"`
	Summary string `json:"summary"`
	Digest  Hex    `json:"digest"`
}

// maxAlign bounds the events of one PCR that are aligned exactly; beyond, what differs is one block.
const maxAlign = 2000

// DiffLogs compares what two logs measured, in the first bank both have. What differs with every boot does not count:
// fields that no digest covers, and the counters and load addresses that Windows measures.
func DiffLogs(before, after *Log) *Diff {
	d := &Diff{PCRs: []PCRDiff{}, Volatile: []int{}}
	bank := commonBank(before, after)
	for pcr := range pcrCount {
		p := PCRDiff{PCR: pcr}
		p.align(before.measured(pcr, bank), after.measured(pcr, bank))
		switch {
		case len(p.Changes) > 0:
			d.PCRs = append(d.PCRs, p)
		case p.Volatile > 0:
			d.Volatile = append(d.Volatile, pcr)
		}
	}
	d.Equal = len(d.PCRs) == 0
	return d
}

// commonBank is the first bank that both logs can be replayed in: SHA-256 where both have it.
func commonBank(a, b *Log) Alg {
	for _, bank := range slices.Concat([]Alg{SHA256}, a.Banks) {
		if slices.Contains(a.Banks, bank) && slices.Contains(b.Banks, bank) && bank.Known() {
			return bank
		}
	}
	return 0
}

// measurement is an event in the form that is compared.
type measurement struct {
	event  *Event
	digest Hex
	key    string // the digest, or what stands for it where a counter is measured too
}

func (l *Log) measured(pcr int, bank Alg) []measurement {
	var list []measurement
	for i := range l.Events {
		e := &l.Events[i]
		if !e.Extends() || int(e.PCR) != pcr {
			continue
		}
		m := measurement{event: e}
		if bank != 0 {
			m.digest = e.extendDigest(bank)
		} else {
			m.digest = e.Data // no bank in common: what the logs say is all there is
		}
		if m.key = steady(e); m.key == "" {
			m.key = string(m.digest)
		}
		list = append(list, m)
	}
	return list
}

func (m measurement) equal(other measurement) bool { return m.key == other.key }

// meet counts an event that both have.
func (p *PCRDiff) meet(a, b measurement) {
	p.Same++
	if !bytes.Equal(a.digest, b.digest) {
		p.Volatile++
	}
}

func (m measurement) side() *Side {
	d, _ := m.event.Decode()
	return &Side{Number: m.event.Number, Summary: d.String(), Digest: m.digest}
}

// align splits two runs of events into what both have and what differs.
func (p *PCRDiff) align(a, b []measurement) {
	for len(a) > 0 && len(b) > 0 && a[0].equal(b[0]) {
		p.meet(a[0], b[0])
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1].equal(b[len(b)-1]) {
		p.meet(a[len(a)-1], b[len(b)-1])
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) > maxAlign || len(b) > maxAlign {
		p.pair(a, b)
		return
	}
	for _, gap := range gaps(a, b) {
		for i := gap.same; i > 0; i-- {
			p.meet(a[gap.a0-i], b[gap.b0-i])
		}
		p.pair(a[gap.a0:gap.a1], b[gap.b0:gap.b1])
	}
}

// gap is a stretch in which two runs differ, after same equal events.
type gap struct{ a0, a1, b0, b1, same int }

// gaps finds a longest common subsequence and returns what lies between its parts.
func gaps(a, b []measurement) []gap {
	// longest[i][j] is the length of a longest common subsequence of a[i:] and b[j:].
	longest := make([][]uint16, len(a)+1)
	for i := range longest {
		longest[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i].equal(b[j]) {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var out []gap
	i, j, same := 0, 0, 0
	for i < len(a) || j < len(b) {
		g := gap{a0: i, b0: j, same: same}
		for (i < len(a) || j < len(b)) && !(i < len(a) && j < len(b) && a[i].equal(b[j])) {
			if j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1] {
				i++
			} else {
				j++
			}
		}
		g.a1, g.b1, same = i, j, 0
		out = append(out, g)
		for i < len(a) && j < len(b) && a[i].equal(b[j]) {
			i, j, same = i+1, j+1, same+1
		}
	}
	if same > 0 {
		out = append(out, gap{a0: i, a1: i, b0: j, b1: j, same: same})
	}
	return out
}

// pair joins events of the same type and name into changes; what has no partner was added or removed.
func (p *PCRDiff) pair(a, b []measurement) {
	used := make([]bool, len(b))
	for _, before := range a {
		i := -1
		for j, after := range b {
			if !used[j] && before.equal(after) {
				i = j
				break
			}
		}
		if i < 0 {
			name := before.event.subject()
			i = slices.IndexFunc(b, func(m measurement) bool { return m.event.Type == before.event.Type && m.event.subject() == name })
			for i >= 0 && used[i] {
				next := slices.IndexFunc(b[i+1:], func(m measurement) bool { return m.event.Type == before.event.Type && m.event.subject() == name })
				if next < 0 {
					i = -1
					break
				}
				i += 1 + next
			}
		}
		if i < 0 {
			p.Changes = append(p.Changes, Change{Kind: "removed", Type: before.event.Type.String(), Before: before.side(), Fields: []string{}})
			continue
		}
		used[i] = true
		c := Change{Kind: "changed", Type: before.event.Type.String(), Before: before.side(), After: b[i].side(), Fields: changedFields(before.event, b[i].event)}
		if before.equal(b[i]) {
			c.Kind = "moved"
		}
		p.Changes = append(p.Changes, c)
	}
	for j, after := range b {
		if !used[j] {
			p.Changes = append(p.Changes, Change{Kind: "added", Type: after.event.Type.String(), After: after.side(), Fields: []string{}})
		}
	}
}
