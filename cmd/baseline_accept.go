package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// baselineAcceptDoc is the result of baseline accept.
type baselineAcceptDoc struct {
	baselineHead
	Changed  bool           `json:"changed"`
	Accepted baseline.Entry `json:"accepted"`
	State    baseline.State `json:"state"` // of the machine, compared with the new baseline
	DryRun   bool           `json:"dry_run"`
}

func (baselineAcceptDoc) Schema() string { return "vtpmctl.baseline-accept/v1" }

func (d baselineAcceptDoc) Table(t *out.Table) {
	if !d.Changed {
		t.Text("%s: unchanged, nothing of that differs", d.File)
		return
	}
	verb := "accepted"
	if d.DryRun {
		verb = "would be accepted"
	}
	t.Text("%s: PCR %s %s", d.File, strings.Trim(fmt.Sprint(d.Accepted.PCRs), "[]"), verb)
	for _, words := range d.Accepted.Events {
		t.Text("  %s", words)
	}
	t.Field("state", trustCell(d.State))
}

type baselineAcceptFlags struct {
	measuredFlags
	protectFlags
	reason string
	dryRun bool
}

func (a *app) baselineAcceptCommand() *cobra.Command {
	var o baselineAcceptFlags
	return a.command(verb{
		use:   "accept PCR|CHANGE ... --reason TEXT",
		short: "take what differs over into the baseline, after a planned change",
		long: `A PCR is accepted as it is now; a CHANGE, such as 4.1, is one event that baseline check has named: then the baseline
expects the value that its events lead to, with this one changed, and other differences of the PCR stay exceptions.
Who accepted what, when and why stays in the history of the baseline.

A baseline that is signed or anchored has to be signed and anchored anew: --sign-with, --anchor.`,
		example: "vtpmctl baseline accept 4 9 --reason \"kernel 6.12.48\"\nvtpmctl baseline accept 7.1 --reason \"dbx update\" --anchor 0x01800200",
		args:    cobra.MinimumNArgs(1),
		exits:   []fail.Kind{fail.Unsupported, fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.OutputFailed, fail.Permission},
		effects: tpm.WritesNV,
		named:   o.named,
		flags: func(f *pflag.FlagSet) {
			o.measuredFlags.define(a, f)
			f.StringVar(&o.reason, "reason", "", "why: `TEXT` for the history")
			o.protectFlags.define(f)
			f.BoolVar(&o.dryRun, "dry-run", false, "say what would be accepted, and leave the baseline alone")
		},
		offline: func([]string) bool { return o.pcrs != "" && !o.needsTPM(a) },
		run:     func(ctx context.Context, args []string) (out.Doc, error) { return a.acceptBaseline(ctx, nil, &o, args) },
		onTPM: func(ctx context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			return a.acceptBaseline(ctx, t, &o, args)
		},
	})
}

func (a *app) acceptBaseline(ctx context.Context, t tpm.Conn, o *baselineAcceptFlags, args []string) (out.Doc, error) {
	if o.reason == "" {
		return nil, fail.E(fail.Usage, "why is it accepted?").Hint("--reason \"kernel update\" goes into the history")
	}
	items := make([]baseline.Item, len(args))
	for i, word := range args {
		var err error
		if items[i], err = baseline.ParseItem(word); err != nil {
			return nil, err
		}
	}
	old, err := o.open(a)
	if err != nil {
		return nil, err
	}
	if err := o.keepsProof(a, old, t); err != nil {
		return nil, err
	}
	m, err := o.measure(a, t)
	if err != nil {
		return nil, err
	}
	next, err := old.Accept(m, items, a.entry("accept", o.reason))
	if err != nil {
		return nil, err
	}
	doc := baselineAcceptDoc{baselineHead: headOf(o.path, old), State: old.Check(m).State, DryRun: o.dryRun,
		Accepted: baseline.Entry{PCRs: []int{}, Events: []string{}}}
	if next == nil {
		return doc, nil
	}
	if !o.dryRun {
		if err := o.write(ctx, a, t, next, o.path); err != nil {
			return nil, err
		}
	}
	doc.baselineHead, doc.Changed, doc.State = headOf(o.path, next), true, next.Check(m).State
	doc.Accepted = doc.Last
	return doc, nil
}
