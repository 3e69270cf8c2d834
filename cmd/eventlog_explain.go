package cmd

import (
	"context"
	"iter"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// storyDoc is the result of eventlog explain. The sentences about its events are told while they are printed.
type storyDoc struct {
	Source string `json:"source"`
	*eventlog.Story
	Notes []eventlog.Note `json:"notes"`

	log *eventlog.Log
	set pcr.Set // of the registers asked for; 0 for all
}

func (storyDoc) Schema() string { return "vtpmctl.eventlog-explain/v1" }

// List is what the sentences are called.
func (storyDoc) List() string { return "events" }

// Lines gives a sentence for each event.
func (d storyDoc) Lines() iter.Seq[any] {
	return func(yield func(any) bool) {
		for s := range d.sentences() {
			if !yield(s) {
				return
			}
		}
	}
}

// sentences tells of the events that were asked for.
func (d storyDoc) sentences() iter.Seq[eventlog.Sentence] {
	return func(yield func(eventlog.Sentence) bool) {
		for s := range d.log.Sentences() {
			if (d.set == 0 || s.PCR >= 0 && d.set.Has(s.PCR)) && !yield(s) {
				return
			}
		}
	}
}

func (d storyDoc) Table(t *out.Table) {
	logHead(t, d.Source, d.log)
	t.Field("secure boot", secureBoot(d.SecureBoot))
	for _, f := range [][2]string{{"started by", d.Loader}, {"kernel", d.UKI}, {"initrd", d.Initrd}} {
		if f[1] != "" {
			t.Field(f[0], f[1])
		}
	}
	for _, s := range d.Sections {
		t.Title("%s", s.Title)
		said := make(map[eventlog.Statement]bool) // Windows measures many settings into two PCRs
		for _, line := range s.Statements {
			words := line
			words.Event, words.PCR = 0, 0
			if said[words] {
				continue
			}
			said[words] = true
			mark := any(" ")
			if line.Alert {
				mark = out.No("!")
			}
			t.Row(mark, bindingMark(line.Binding), line.Text)
		}
	}
	if len(d.PCRs) > 0 {
		t.Title("PCRs")
		t.Head("PCR", "NAME", "EVENTS", "HOLDS", "CHANGES WITH")
		for _, p := range d.PCRs {
			t.Row(p.PCR, out.Dim(registerName(d.log, p.PCR)), p.Events, p.Holds, p.Changes)
		}
	}
	t.Text("")
	t.Text("bound: the digest covers the words. named: it covers something the words only name. No digest covers an event's type.")
	for _, q := range d.Quirks {
		t.Text("known deviation %s, event %d: %s", q.Code, q.Event, q.Text)
	}
	logNotes(t, d.Notes)
}

func secureBoot(state string) out.Cell {
	switch state {
	case "on":
		return out.OK(state)
	case "off":
		return out.No(state)
	}
	return out.Maybe(state)
}

// bindingMark says how far a statement can be relied on.
func bindingMark(b eventlog.Binding) out.Cell {
	switch b {
	case eventlog.Bound:
		return out.OK("bound")
	case eventlog.Label:
		return out.Dim("named")
	case eventlog.Broken:
		return out.No("BROKEN")
	}
	return out.Maybe(string(b))
}

// only keeps what belongs to some PCRs.
func (d *storyDoc) only(set pcr.Set) {
	for i := range d.Sections {
		s := &d.Sections[i]
		s.Statements = slices.DeleteFunc(s.Statements, func(l eventlog.Statement) bool { return !set.Has(l.PCR) })
	}
	d.Story.Sections = slices.DeleteFunc(d.Sections, func(s eventlog.Section) bool { return len(s.Statements) == 0 })
	d.set = set
	d.Story.PCRs = slices.DeleteFunc(d.PCRs, func(p eventlog.PCRTale) bool { return !set.Has(p.PCR) })
}

func (a *app) eventlogExplainCommand() *cobra.Command {
	var logs logFlags
	var filter eventFilter
	var page string
	var force bool
	return a.command(verb{
		use:   "explain [FILE]",
		short: "tell in plain words what booted, and what would change each PCR",
		long: sourceHelp + `

Each statement says how far it can be relied on once the log's replay fits the PCRs (vtpmctl eventlog verify): a "bound" one
is as true as the PCR; one that is "named" rests on a label beside a digest, and a label can be changed unnoticed. "!" marks
what weakens the machine or does not belong to an ordinary boot.

--html writes all of it as one page to read in a browser, to print or to send: what booted, a timeline, each PCR with its
values, each event with who measured it, what its digest covers and what would change it. -o json has the events too.`,
		example: "vtpmctl eventlog explain\nvtpmctl eventlog explain boot.bin --pcr 7\nvtpmctl eventlog explain --html boot.html\n" +
			"vtpmctl eventlog explain --with systemd -o json",
		args:  cobra.MaximumNArgs(1),
		exits: []fail.Kind{fail.BadInput, fail.MissingInput, fail.Permission, fail.OutputExists},
		flags: func(f *pflag.FlagSet) {
			logs.define(f)
			f.TextVar(&filter.pcrs, "pcr", filter.pcrs, "only what belongs to these `PCRs`: numbers, ranges and names")
			f.StringVar(&page, "html", "", "write a page to this `FILE`, which must not exist yet")
			f.BoolVar(&force, "force", false, "replace the page if it exists")
		},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			if err := filter.prepare(); err != nil {
				return nil, err
			}
			log, source, err := logs.read(a, args)
			if err != nil {
				return nil, err
			}
			running := ""
			if len(args) == 0 { // the log of this boot: the running system can be asked
				running = a.Host.Cmdline()
			}
			doc := storyDoc{Source: source, Story: log.ExplainRunning(running), Notes: log.Notes, log: log}
			if filter.set != 0 {
				doc.only(filter.set)
			}
			if page != "" {
				return doc.writePage(page, force)
			}
			return doc, nil
		},
	})
}
