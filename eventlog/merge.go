package eventlog

import (
	"slices"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Only returns the events that extend certain PCRs, and what says where those start. Events keep their numbers.
func (l *Log) Only(pcrs func(pcr int) bool) *Log {
	only := &Log{Format: l.Format, Banks: l.Banks, CC: l.CC, Notes: []Note{}, Events: []Event{}}
	for i := range l.Events {
		e := &l.Events[i]
		if _, start := startupLocality(e); (start || e.Extends()) && pcrs(int(e.PCR)) {
			only.Events = append(only.Events, *e)
		}
	}
	return only
}

// Merge returns before with some of its differences from after made good: of the PCRs that are keys of chosen, the changes
// that DiffLogs lists under these indices, or all that after has where no index is given. Events are numbered anew.
func Merge(before, after *Log, chosen map[int][]int) *Log {
	merged := &Log{Format: before.Format, Banks: slices.Clone(before.Banks), CC: before.CC, Notes: []Note{}, Events: []Event{}}
	for _, b := range after.Banks {
		if !slices.Contains(merged.Banks, b) {
			merged.Banks = append(merged.Banks, b)
		}
	}
	changed := make(map[int][]Change)
	for _, p := range DiffLogs(before, after).PCRs {
		changed[p.PCR] = p.Changes
	}
	for pcr := range pcrCount {
		this := func(n int) bool { return n == pcr }
		was, is := before.Only(this).Events, after.Only(this).Events
		indices, ok := chosen[pcr]
		switch {
		case !ok:
			merged.Events = append(merged.Events, was...)
		case takesAll(indices, len(changed[pcr])):
			merged.Events = append(merged.Events, is...)
		default:
			merged.Events = append(merged.Events, mergeSome(was, is, changed[pcr], indices)...)
		}
	}
	for i := range merged.Events {
		merged.Events[i].Number = i
	}
	return merged
}

// takesAll tells whether indices are all below n; no index stands for all.
func takesAll(indices []int, n int) bool {
	for i := range n {
		if len(indices) > 0 && !slices.Contains(indices, i) {
			return false
		}
	}
	return true
}

// mergeSome makes some changes to the events of one PCR. An event that is new goes behind the nearest of its predecessors
// that is there.
func mergeSome(was, is []Event, changes []Change, indices []int) []Event {
	at := make(map[int]int, len(is)) // by number
	for i := range is {
		at[is[i].Number] = i
	}
	now := func(s *Side) Event { return is[at[s.Number]] }
	instead := make(map[int][]Event) // what stands where an event was
	var added []Event
	for i, c := range changes {
		switch {
		case !slices.Contains(indices, i):
		case c.Kind == "changed":
			instead[c.Before.Number] = []Event{now(c.After)}
		default:
			if c.Before != nil {
				instead[c.Before.Number] = nil
			}
			if c.After != nil {
				added = append(added, now(c.After))
			}
		}
	}
	var merged []Event
	for _, e := range was {
		if events, ok := instead[e.Number]; ok {
			merged = append(merged, events...)
		} else {
			merged = append(merged, e)
		}
	}
	slices.SortFunc(added, func(a, b Event) int { return a.Number - b.Number })
	for _, e := range added {
		merged = slices.Insert(merged, placeFor(merged, is[:at[e.Number]]), e)
	}
	return merged
}

// placeFor is the index behind the last event of merged that equals the nearest possible of the predecessors.
func placeFor(merged, predecessors []Event) int {
	behind := make(map[string]int, len(merged))
	for i := range merged {
		behind[merged[i].identity()] = i + 1
	}
	for i := range slices.Backward(predecessors) {
		if place := behind[predecessors[i].identity()]; place > 0 {
			return place
		}
	}
	return 0
}

// identity is the same for events that were measured as the same.
func (e *Event) identity() string {
	w := wire.NewLE().U32(uint32(e.Type))
	for d := range e.Digests.All() {
		w.U16(uint16(d.Alg)).Sized16(d.Value)
	}
	return string(w.Out())
}
