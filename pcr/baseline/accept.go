package baseline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Item is what is to be accepted: a PCR as it is now, or one change of it.
type Item struct {
	PCR    int
	Change int // counted from 1; 0 for all of the PCR
}

// ParseItem reads "4" or "kernel-boot" (a PCR), or "4.1" (a change as Check names it).
func ParseItem(word string) (Item, error) {
	name, number, isChange := strings.Cut(word, ".")
	n, ok := pcr.ParsePCR(name)
	change := 0
	if isChange {
		var err error
		change, err = strconv.Atoi(number)
		ok = ok && err == nil && change > 0
	}
	if !ok {
		return Item{}, fail.E(fail.Usage, "%q is neither a PCR nor a change", word).
			Hint("4 is a PCR, 4.1 the first of its changes; vtpmctl baseline check names them")
	}
	return Item{n, change}, nil
}

// String is the word that ParseItem reads.
func (i Item) String() string {
	if i.Change == 0 {
		return strconv.Itoa(i.PCR)
	}
	return fmt.Sprintf("%d.%d", i.PCR, i.Change)
}

// Accept returns the baseline with what was measured now in place of what differs, as far as items name it. by is kept in
// the history, with the events in words. b is unchanged; what is returned has no signature. An item that does not differ is
// left out; where nothing is left, the result is nil.
func (b *Baseline) Accept(m *Measured, items []Item, by Entry) (*Baseline, error) {
	v := b.Check(m)
	chosen := make(map[int][]int) // by PCR: the indices of changes, nil for all of it
	for _, item := range items {
		p, err := v.find(item)
		if err == nil && item.Change > 0 {
			err = b.divisible(p)
		}
		switch indices, seen := chosen[item.PCR]; {
		case err != nil:
			return nil, err
		case p.State != Exception || seen && indices == nil:
		case item.Change == 0:
			chosen[item.PCR] = nil
		case !slices.Contains(indices, item.Change-1):
			chosen[item.PCR] = append(indices, item.Change-1)
		}
	}
	if len(chosen) == 0 {
		return nil, nil
	}
	by.PCRs, by.Events = []int{}, []string{}
	for _, p := range v.PCRs {
		indices, ok := chosen[p.PCR]
		if !ok {
			continue
		}
		by.PCRs = append(by.PCRs, p.PCR)
		for i, c := range p.Changes {
			if indices == nil || slices.Contains(indices, i) {
				by.Events = append(by.Events, fmt.Sprintf("PCR %s %s", c.ID, c.String()))
			}
		}
	}
	return b.with(m, chosen, by), nil
}

// divisible tells why a PCR cannot be accepted event by event: the events of the baseline have to lead to its value, or
// nobody knows what value the changed events lead to.
func (b *Baseline) divisible(p *PCRVerdict) error {
	if b.explains(p) {
		return nil
	}
	return fail.E(fail.Usage, "PCR %d can be accepted as a whole only: the events of the baseline do not lead to its value", p.PCR).
		Hint("vtpmctl baseline accept %d", p.PCR)
}

// find returns the verdict about the PCR of an item.
func (v *Verdict) find(item Item) (*PCRVerdict, error) {
	for i := range v.PCRs {
		p := &v.PCRs[i]
		switch {
		case p.PCR != item.PCR:
		case p.State == Unmeasured:
			return nil, fail.E(fail.Unsupported, "PCR %d has no value that could be accepted", p.PCR)
		case item.Change > len(p.Changes):
			return nil, fail.E(fail.Usage, "there is no change %s: PCR %d has %d of them", item, p.PCR, len(p.Changes)).
				Hint("vtpmctl baseline check names them; %d accepts the PCR as it is", p.PCR)
		default:
			return p, nil
		}
	}
	return nil, fail.E(fail.Usage, "PCR %d is not part of the baseline", item.PCR).
		Hint("vtpmctl baseline show lists what is")
}

// with makes the new baseline. A PCR that is accepted as it is gets the values that are there; one of which some changes are
// accepted gets those that the events, so changed, lead to.
func (b *Baseline) with(m *Measured, chosen map[int][]int, by Entry) *Baseline {
	next := &Baseline{Origin: b.Origin, Source: b.Source, Anchor: b.Anchor, History: append(slices.Clone(b.History), by), log: b.log}
	if m.Log != nil {
		before := b.log
		if before == nil {
			before = &eventlog.Log{}
		}
		next.log, next.Source = eventlog.Merge(before, m.Log.Only(b.has), chosen), m.Source
	}
	truth := replayOf(next.log)
	for _, bank := range b.Banks {
		for _, p := range bank.PCRs {
			value := p.Digest
			if indices, ok := chosen[p.PCR]; ok && indices != nil {
				value = truth.value(bank.Bank, p.PCR)
			} else if actual := m.Values.Get(bank.Bank, p.PCR); ok && actual != nil {
				value = actual
			}
			next.Set(bank.Bank, p.PCR, value)
		}
	}
	return next
}
