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
		if locality, _ := startupLocality(e); int(e.PCR) != pcr || !e.Extends() && locality == 0 {
			continue // where PCR 0 starts is part of its value
		}
		m := measurement{event: e}
		if e.Extends() {
			m.digest = e.extendDigest(bank)
		}
		m.key = m.fingerprint()
		list = append(list, m)
	}
	return list
}

// fingerprint stands for what was measured. Where the bank has no digest of it, what the log says is all there is.
func (m *measurement) fingerprint() string {
	if text := steady(m.event); text != "" {
		return short("steady", []byte(text))
	}
	if len(m.digest) > 0 {
		return string(m.digest)
	}
	parts := [][]byte{m.event.Data}
	for d := range m.event.Digests.All() {
		parts = append(parts, d.Value)
	}
	return short("log", parts...)
}

// short keeps what is compared with thousands of others from being long.
func short(kind string, parts ...[]byte) string {
	return kind + string(SHA256.Sum(parts...))
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
	p.joinMoved()
}

// joinMoved makes one change of an event that is gone in one place and there in another.
func (p *PCRDiff) joinMoved() {
	gone := make(map[string][]int)
	for i, c := range p.Changes {
		if c.After == nil {
			key := c.Type + string(c.Before.Digest)
			gone[key] = append(gone[key], i)
		}
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Before != nil {
			continue
		}
		key := c.Type + string(c.After.Digest)
		if from := gone[key]; len(from) > 0 && len(c.After.Digest) > 0 {
			gone[key] = from[1:]
			p.Changes[from[0]].Kind, p.Changes[from[0]].After = "moved", c.After
			c.Kind = ""
		}
	}
	p.Changes = slices.DeleteFunc(p.Changes, func(c Change) bool { return c.Kind == "" })
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
	left := newPartners(b)
	for _, before := range a {
		c := Change{Kind: "moved", Type: before.event.Type.String(), Before: before.side(), Fields: []string{}}
		i, found := left.take(left.byKey, before.key)
		if !found {
			c.Kind = "changed"
			if i, found = left.take(left.byName, before.event.name()); found {
				c.Fields = changedFields(before.event, b[i].event)
			}
		}
		if found {
			c.After = b[i].side()
		} else {
			c.Kind = "removed"
		}
		p.Changes = append(p.Changes, c)
	}
	for j, after := range b {
		if !left.taken[j] {
			p.Changes = append(p.Changes, Change{Kind: "added", Type: after.event.Type.String(), After: after.side(), Fields: []string{}})
		}
	}
}

// partners are events that others are looked for among: by what was measured, and by what it is about.
type partners struct {
	byKey, byName map[string][]int
	taken         []bool
}

func newPartners(list []measurement) *partners {
	p := &partners{byKey: make(map[string][]int), byName: make(map[string][]int), taken: make([]bool, len(list))}
	for i, m := range list {
		name := m.event.name()
		p.byKey[m.key] = append(p.byKey[m.key], i)
		p.byName[name] = append(p.byName[name], i)
	}
	return p
}

// take takes the first that is left.
func (p *partners) take(lists map[string][]int, key string) (int, bool) {
	list := lists[key]
	for len(list) > 0 && p.taken[list[0]] {
		list = list[1:]
	}
	lists[key] = list
	if len(list) == 0 {
		return 0, false
	}
	p.taken[list[0]] = true
	return list[0], true
}

// name tells an event from those about something else.
func (e *Event) name() string { return e.Type.String() + " " + e.subject() }
