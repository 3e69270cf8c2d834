package cmd

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// logDiffDoc is the result of eventlog diff.
type logDiffDoc struct {
	Before     string `json:"before"`
	After      string `json:"after"`
	BeforeKind string `json:"before_kind"` // "event log", "PCR values", "evidence" or "baseline"
	AfterKind  string `json:"after_kind"`
	*eventlog.Diff
	Unexplained []unexplained    `json:"unexplained"` // PCR values that a log does not lead to
	Differences []pcr.Difference `json:"differences"` // PCR values that differ, where both sides have some

	log *eventlog.Log // to name registers
}

// unexplained is a PCR whose value does not follow from a log.
type unexplained struct {
	In string `json:"in"` // the side that has the value
	eventlog.PCRVerdict
}

func (logDiffDoc) Schema() string { return "vtpmctl.eventlog-diff/v1" }

func (d logDiffDoc) Table(t *out.Table) {
	if d.Equal {
		t.Text("equal: both measured the same")
	}
	if len(d.PCRs) > 0 {
		t.Head("PCR", "NAME", "SAME", "CHANGED", "ADDED", "REMOVED", "MOVED")
	}
	for _, p := range d.PCRs {
		counts := make(map[string]int)
		for _, c := range p.Changes {
			counts[c.Kind]++
		}
		t.Row(p.PCR, out.Dim(registerName(d.log, p.PCR)), p.Same, counts["changed"], counts["added"], counts["removed"], counts["moved"])
	}
	for _, n := range d.Volatile {
		t.Text("PCR %d: nothing but counters and load addresses differs", n)
	}
	d.values(t)
	for _, p := range d.PCRs {
		t.Title("PCR %d", p.PCR)
		for _, c := range p.Changes {
			change(t, c)
		}
	}
}

// values shows PCR values that a log does not explain, or that differ.
func (d logDiffDoc) values(t *out.Table) {
	if len(d.Unexplained) > 0 {
		t.Head("PCR", "NAME", "BANK", "EVENTS", "STATE", "IN")
	}
	for _, u := range d.Unexplained {
		t.Row(u.PCR, out.Dim(registerName(d.log, u.PCR)), u.Bank, u.Events, string(u.State), u.In)
	}
	for _, u := range d.Unexplained {
		t.Text("%s:%d", u.Bank.String(), u.PCR)
		unexplainedFields(t, u.PCRVerdict)
	}
	differenceTable(t, d.Differences)
}

func change(t *out.Table, c eventlog.Change) {
	side, mark := c.Before, "-"
	if side == nil {
		side, mark = c.After, "+"
	}
	if c.Before != nil && c.After != nil {
		mark = "~"
	}
	t.Text("%s %s %s: %s", mark, c.Kind, c.Type, side.Summary)
	for _, f := range c.Fields {
		t.Text("    %s", f)
	}
}

func (a *app) eventlogDiffCommand() *cobra.Command {
	return a.command(verb{
		use:   "diff BEFORE [AFTER]",
		short: "compare what two boots measured, event by event, or a log with PCR values",
		long: `BEFORE and AFTER are logs of any form, files of PCR values, baselines or evidence, told apart by their content; without
AFTER it is the log of the running system. Logs are aligned PCR by PCR, and where the same thing was measured in both, what
differs inside is named: the words of a command line, the entries of db and dbx, partitions, Windows' settings. What every boot
measures anew, such as load addresses and Windows' counters, does not count.

Where one side has PCR values, the log of the other side, or its own, is replayed, and the PCRs that it does not explain are named.
Of evidence nothing is verified here: vtpmctl verify does that. The exit status is 7 where something differs.`,
		example: "vtpmctl eventlog diff yesterday.bin\nvtpmctl eventlog diff before.bin after.bin -o json\n" +
			"vtpmctl eventlog diff baseline.json evidence.json\nvtpmctl eventlog diff boot.bin pcrs.json",
		args:  cobra.RangeArgs(1, 2),
		exits: []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.Permission},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			before, err := a.readBoot(args[0])
			if err != nil {
				return nil, err
			}
			after, err := a.laterBoot(args[1:])
			if err != nil {
				return nil, err
			}
			doc := diffBoots(before, after)
			if !doc.Equal {
				return doc, fail.E(fail.AnswerNo, "%d PCRs were measured differently", doc.differing().Len())
			}
			return doc, nil
		},
	})
}

// laterBoot reads AFTER, or the log of the running system.
func (a *app) laterBoot(args []string) (*bootFile, error) {
	if len(args) > 0 {
		return a.readBoot(args[0])
	}
	log, source, err := a.readLog(nil)
	return &bootFile{name: source, kind: "event log", log: log}, err
}

// diffBoots compares what two files tell: their logs, and each one's PCR values with its own log or the other's.
func diffBoots(before, after *bootFile) logDiffDoc {
	before.cover(after)
	after.cover(before)
	doc := logDiffDoc{
		Before: before.name, After: after.name, BeforeKind: before.kind, AfterKind: after.kind,
		Diff: &eventlog.Diff{PCRs: []eventlog.PCRDiff{}, Volatile: []int{}}, Unexplained: []unexplained{}, Differences: []pcr.Difference{},
		log: firstLog(after.log, before.log),
	}
	if before.log != nil && after.log != nil {
		doc.Diff = eventlog.DiffLogs(before.log, after.log)
	}
	doc.explain(before, firstLog(before.log, after.log))
	doc.explain(after, firstLog(after.log, before.log))
	if before.values != nil && after.values != nil {
		doc.compare(before.values, after.values)
	}
	doc.Equal = doc.differing() == 0
	return doc
}

// firstLog is the first log that is there.
func firstLog(logs ...*eventlog.Log) *eventlog.Log {
	for _, l := range logs {
		if l != nil {
			return l
		}
	}
	return &eventlog.Log{}
}

// cover leaves of the other side what a baseline covers: it says nothing of other PCRs.
func (f *bootFile) cover(other *bootFile) {
	if f.kind != "baseline" {
		return
	}
	var set pcr.Set
	for _, b := range f.values.Selection() {
		set |= b.PCRs
	}
	if other.log != nil {
		other.log = other.log.Only(set.Has)
	}
	if other.values != nil {
		values := &pcr.Values{}
		for _, b := range other.values.Banks {
			for _, p := range b.PCRs {
				if set.Has(p.PCR) {
					values.Set(b.Bank, p.PCR, p.Digest)
				}
			}
		}
		other.values = values
	}
}

// explain adds the PCRs of f that log does not lead to.
func (d *logDiffDoc) explain(f *bootFile, log *eventlog.Log) {
	if f.values == nil || len(log.Events) == 0 {
		return
	}
	for _, v := range log.Compare(f.values.ForLog()) {
		if v.State != eventlog.Match && v.State != eventlog.BankAbsent {
			d.Unexplained = append(d.Unexplained, unexplained{f.name, v})
		}
	}
}

// compare adds the values that differ, of PCRs whose events do not tell it already.
func (d *logDiffDoc) compare(before, after *pcr.Values) {
	told := d.events()
	for _, n := range d.Volatile {
		told |= pcr.SetOf(n)
	}
	for _, diff := range pcr.Compare(before, after) {
		if after.Get(diff.Bank, diff.PCR) != nil && !bytes.Equal(diff.Expected, diff.Actual) && !told.Has(diff.PCR) {
			d.Differences = append(d.Differences, diff)
		}
	}
}

// events are the PCRs in which events differ.
func (d *logDiffDoc) events() (set pcr.Set) {
	for _, p := range d.PCRs {
		set |= pcr.SetOf(p.PCR)
	}
	return set
}

// differing are the PCRs that differ in any way.
func (d *logDiffDoc) differing() pcr.Set {
	set := d.events()
	for _, u := range d.Unexplained {
		set |= pcr.SetOf(u.PCR)
	}
	for _, v := range d.Differences {
		set |= pcr.SetOf(v.PCR)
	}
	return set
}
