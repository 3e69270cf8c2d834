package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Diff is how two logs differ, PCR by PCR.
type Diff struct {
	Equal bool      `json:"equal"`
	PCRs  []PCRDiff `json:"pcrs"` // those that differ
}

// PCRDiff is how one PCR differs.
type PCRDiff struct {
	PCR     int      `json:"pcr"`
	Same    int      `json:"same"` // events that both have
	Changes []Change `json:"changes"`
}

// Change is an event that only one log has, or that says something else in the other.
type Change struct {
	Kind   string   `json:"kind"` // "added", "removed", "changed" or "moved"
	Type   string   `json:"type"`
	Before *Side    `json:"before,omitempty"`
	After  *Side    `json:"after,omitempty"`
	Fields []string `json:"fields"` // what differs inside, in words
}

// Side is an event as one of the logs has it.
type Side struct {
	Number  int    `json:"number"`
	Summary string `json:"summary"`
	Digest  Hex    `json:"digest"`
}

// maxAlign bounds the events of one PCR that are aligned exactly; beyond, what differs is one block.
const maxAlign = 2000

// DiffLogs compares what two logs measured, in the first bank both have. Fields that digests do not cover, such as load
// addresses, do not count.
func DiffLogs(before, after *Log) *Diff {
	d := &Diff{PCRs: []PCRDiff{}}
	bank := commonBank(before, after)
	for pcr := range pcrCount {
		a, b := before.measured(pcr, bank), after.measured(pcr, bank)
		p := PCRDiff{PCR: pcr}
		p.align(a, b)
		if len(p.Changes) > 0 {
			d.PCRs = append(d.PCRs, p)
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
		list = append(list, m)
	}
	return list
}

func (m measurement) equal(other measurement) bool { return bytes.Equal(m.digest, other.digest) }

func (m measurement) side() *Side {
	d, _ := m.event.Decode()
	return &Side{Number: m.event.Number, Summary: d.String(), Digest: m.digest}
}

// align splits two runs of events into what both have and what differs.
func (p *PCRDiff) align(a, b []measurement) {
	for len(a) > 0 && len(b) > 0 && a[0].equal(b[0]) {
		a, b, p.Same = a[1:], b[1:], p.Same+1
	}
	tail := 0
	for len(a) > tail && len(b) > tail && a[len(a)-1-tail].equal(b[len(b)-1-tail]) {
		tail++
	}
	a, b, p.Same = a[:len(a)-tail], b[:len(b)-tail], p.Same+tail
	if len(a) > maxAlign || len(b) > maxAlign {
		p.pair(a, b)
		return
	}
	for _, gap := range gaps(a, b) {
		p.Same += gap.same
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

// subject is what an event is about, so that the same thing is found in the other log: a variable's name, a file, a tag.
func (e *Event) subject() string {
	decoded, _ := e.Decode()
	switch d := decoded.(type) {
	case *Variable:
		return d.Name
	case *ImageLoad:
		return d.File()
	case *Blob:
		return d.Description
	case *Loader:
		if d.What == "command" { // the first word: set, linux, initrd
			word, _, _ := strings.Cut(d.Text, " ")
			return d.Producer + " " + word
		}
		if d.What == "file" || d.What == "variable" || d.What == "section" {
			return d.Producer + " " + d.Text
		}
		return d.Producer + " " + d.What
	case *Tagged:
		if len(d.Records) > 0 {
			return d.Records[0].Hex
		}
	case *Windows:
		for r := range d.All() {
			if r.ID&sipaClassMask != sipaContainer {
				return r.Hex
			}
		}
	case *IMA:
		return d.File
	case *Systemd:
		return d.Event
	case Text:
		return d.Text
	}
	return ""
}

// changedFields says what differs between two events about the same thing.
func changedFields(a, b *Event) []string {
	before, _ := a.Decode()
	after, _ := b.Decode()
	var fields []string
	if x, y := parts(before), parts(after); x != nil && y != nil {
		fields = changedSet(x, y)
	} else {
		fields = changedJSON(before, after)
	}
	if len(fields) == 0 {
		return []string{"the measured bytes, which are not in the log"}
	}
	return fields
}

// parts are what an event consists of, where that is a list: signatures, words, partitions, records. nil otherwise.
func parts(decoded Decoded) []string {
	switch d := decoded.(type) {
	case *Variable:
		if d.Signatures != nil {
			return entries(d.Signatures)
		}
	case *Loader:
		return strings.Fields(d.Text)
	case *GPT:
		return partitions(d)
	case *Windows:
		return leaves(d)
	}
	return nil
}

func entries(lists []SignatureList) (names []string) {
	for i := range lists {
		for j := range lists[i].Entries {
			names = append(names, lists[i].Entries[j].String())
		}
	}
	return names
}

func partitions(g *GPT) (names []string) {
	for _, p := range g.Partitions {
		names = append(names, fmt.Sprintf("partition %s %q, sectors %d to %d", p.ID, p.Name, p.First, p.Last))
	}
	return append(names, "disk "+g.Disk.String())
}

func leaves(w *Windows) (names []string) {
	for r := range w.All() {
		if r.Records == nil {
			names = append(names, r.Name+"="+r.Text)
		}
	}
	return names
}

// maxFields bounds the words about one change.
const maxFields = 50

// changedSet names what only one of two lists has.
func changedSet(before, after []string) []string {
	fields := []string{}
	report := func(mark string, list, other []string) {
		have := make(map[string]int)
		for _, s := range other {
			have[s]++
		}
		for _, s := range list {
			if have[s]--; have[s] < 0 && len(fields) < maxFields {
				fields = append(fields, mark+s)
			}
		}
	}
	report("-", before, after)
	report("+", after, before)
	return fields
}

// volatileFields differ from boot to boot, and no digest covers them.
var volatileFields = map[string]bool{"location": true, "link_time_address": true, "address": true, "base": true}

// changedJSON compares the top-level fields of two decoded events.
func changedJSON(before, after Decoded) []string {
	fields := []string{}
	a, b := topLevel(before), topLevel(after)
	for _, name := range slices.Sorted(keysOf(a, b)) {
		if x, y := string(a[name]), string(b[name]); x != y && !volatileFields[name] && len(fields) < maxFields {
			fields = append(fields, fmt.Sprintf("%s: %s -> %s", name, orNothing(x), orNothing(y)))
		}
	}
	return fields
}

func topLevel(d Decoded) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if text, err := json.Marshal(d); err == nil {
		_ = json.Unmarshal(text, &fields) // nil where it is no object
	}
	return fields
}

func keysOf(maps ...map[string]json.RawMessage) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		seen := make(map[string]bool)
		for _, m := range maps {
			for k := range m {
				if !seen[k] {
					seen[k] = true
					if !yield(k) {
						return
					}
				}
			}
		}
	}
}
