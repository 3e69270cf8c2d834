package quote

import (
	"bytes"
	"fmt"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// eventLog: the log is not signed. It is believed, PCR by PCR, where its events give the value that is.
func (j *judge) eventLog() (Result, bool, string) {
	if len(j.e.Logs) == 0 {
		if j.x.NeedLog {
			return open("the evidence has no event log")
		}
		return remark("the evidence has no event log: the PCR values stand for themselves")
	}
	log, err := j.e.EventLog()
	if err != nil {
		return no("%s", err)
	}
	j.log = log
	if j.values == nil {
		return open("the PCR values are not proven, so the log cannot be")
	}
	j.replay(log.Replay())
	return j.judgeReplay()
}

// replay compares each quoted PCR with what the log gives.
func (j *judge) replay(r *eventlog.Replay) {
	for _, b := range j.values.Banks {
		bank := r.Bank(b.Bank)
		if bank == nil {
			continue
		}
		for _, v := range b.PCRs {
			c := Replayed{Bank: b.Bank, PCR: v.PCR, Quoted: v.Digest, Replayed: eventlog.ResetValue(b.Bank, v.PCR)}
			p := bank.PCR(v.PCR)
			if p != nil {
				c.Replayed, c.Events = p.Value, p.Events
			}
			switch equal := bytes.Equal(c.Quoted, c.Replayed); {
			case equal && p == nil:
				c.Result = Untouched
			case equal:
				c.Result = Explained
			case p == nil || p.Events == 0:
				c.Result = Unlogged
			default:
				c.Result = Differs
			}
			j.Replay = append(j.Replay, c)
		}
	}
}

func (j *judge) judgeReplay() (Result, bool, string) {
	var differs, later, unlogged, explained pcr.Selection
	for _, c := range j.Replay {
		one := pcr.SetOf(c.PCR)
		switch {
		case c.Result == Explained:
			explained = explained.With(c.Bank, one)
		case c.Result == Unlogged:
			unlogged = unlogged.With(c.Bank, one)
		case c.Result == Differs && j.x.LaterPCRs.Has(c.PCR):
			later = later.With(c.Bank, one)
		case c.Result == Differs:
			differs = differs.With(c.Bank, one)
		}
	}
	detail := fmt.Sprintf("its %d events explain PCRs %s", len(j.log.Events), inWords(explained))
	if len(unlogged) > 0 {
		detail += "; they say nothing of PCRs " + inWords(unlogged)
	}
	if len(later) > 0 {
		detail += "; they end before PCRs " + inWords(later)
	}
	switch {
	case len(differs) > 0:
		return no("the events do not give the quoted values of PCRs %s", inWords(differs))
	case len(explained) == 0:
		if !j.x.NeedLog {
			return remark("its %d events explain none of the quoted PCRs", len(j.log.Events))
		}
		return open("its %d events explain none of the quoted PCRs", len(j.log.Events))
	}
	return pass("%s", detail)
}

// changes finds, for each PCR that differs, the first event that is not the reference log's.
func changes(reference, log *eventlog.Log, differences []pcr.Difference) []Change {
	found := []Change{}
	if reference == nil || log == nil {
		return found
	}
	seen := pcr.Set(0)
	for _, d := range differences {
		if seen.Has(d.PCR) {
			continue
		}
		if c, ok := firstChange(d.Bank, d.PCR, reference, log); ok {
			found = append(found, c)
			seen |= pcr.SetOf(d.PCR)
		}
	}
	return found
}

func firstChange(bank pcr.Bank, n int, reference, log *eventlog.Log) (Change, bool) {
	was, is := eventsOf(reference, n), eventsOf(log, n)
	for i := range max(len(was), len(is)) {
		c := Change{PCR: n, Bank: bank, Number: -1}
		if i < len(was) {
			c.Reference, c.ReferenceDigest = describe(was[i]), was[i].Digest(bank)
		}
		if i < len(is) {
			c.Number, c.Found, c.FoundDigest = is[i].Number, describe(is[i]), is[i].Digest(bank)
		}
		if i >= len(was) || i >= len(is) || !bytes.Equal(c.ReferenceDigest, c.FoundDigest) {
			return c, true
		}
	}
	return Change{}, false
}

// describe is an event in one line. The text of a log is not signed, and may come from whoever changed the event.
func describe(e *eventlog.Event) string {
	d, _ := e.Decode() // what did not decode is opaque, and says so
	return fmt.Sprintf("%s %s", e.Type, d)
}

// eventsOf lists the events that extend one PCR.
func eventsOf(log *eventlog.Log, n int) []*eventlog.Event {
	var list []*eventlog.Event
	for i := range log.Events {
		if e := &log.Events[i]; int(e.PCR) == n && e.Extends() {
			list = append(list, e)
		}
	}
	return list
}
