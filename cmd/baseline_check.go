package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// baselineVerdictDoc is the result of baseline check.
type baselineVerdictDoc struct {
	*baseline.Verdict
	baselineHead
}

func (baselineVerdictDoc) Schema() string { return "vtpmctl.baseline-check/v1" }

func (d baselineVerdictDoc) Table(t *out.Table) {
	t.Field("state", trustCell(d.State))
	d.baselineHead.table(t)
	t.Text("")
	checkRows(t, d.Checks)
	t.Text("")
	t.Head("PCR", "NAME", "STATE", "MEASURES")
	for _, p := range d.Verdict.PCRs {
		t.Row(p.PCR, out.Dim(p.Name), trustCell(p.State), p.Measures)
	}
	for _, p := range d.Verdict.PCRs {
		if p.State == baseline.Exception {
			differencesOf(t, p)
		}
	}
}

// differencesOf tells how a PCR differs: the values one below the other, and the events in words.
func differencesOf(t *out.Table, p baseline.PCRVerdict) {
	t.Title("PCR %d (%s)", p.PCR, p.Name)
	for _, v := range p.Values {
		t.Field("  "+v.Bank.String()+" expected", v.Expected)
		t.Field("  "+v.Bank.String()+" actual", v.Actual)
	}
	for _, c := range p.Changes {
		t.Text("  %s %s", c.ID, c.String())
		for _, f := range c.Fields {
			t.Text("      %s", f)
		}
	}
	if p.Note != "" {
		t.Text("  note: %s", p.Note)
	}
}

func trustCell(s baseline.State) out.Cell {
	switch s {
	case baseline.Trusted:
		return out.OK("trusted")
	case baseline.Exception:
		return out.No("EXCEPTION")
	}
	return out.Maybe("unmeasured")
}

type baselineCheckFlags struct {
	measuredFlags
	key, anchor string
}

func (a *app) baselineCheckCommand() *cobra.Command {
	var o baselineCheckFlags
	return a.command(verb{
		use:   "check",
		short: "compare this boot with the baseline, and name the events that differ",
		long: `The state is
  trusted     every PCR of the baseline holds its value, or differs in nothing but counters of boots and load addresses (exit status 0)
  exception   something differs that nobody has accepted, or a PCR has no value (exit status 7)
  unmeasured  there is nothing to compare: no bank of the baseline was measured into (exit status 5)

What differs is told event by event, under a number that baseline accept takes. A change is named by the event log, which
is believed as far as it leads to the value of the PCR.

--key and --anchor demand a proof that the baseline is the one that was made: without them whoever can write the file decides
what is good. With --log and --pcrs-from no TPM is opened, so that a check can be made elsewhere.`,
		example: "vtpmctl baseline check\nvtpmctl baseline check --anchor 0x01800200 -o json\n" +
			"vtpmctl baseline check --file web1.json --log boot.bin --pcrs-from pcrs.json --key key.pub",
		exits: []fail.Kind{fail.AnswerNo, fail.Unsupported, fail.BadInput, fail.MissingInput, fail.Permission},
		flags: func(f *pflag.FlagSet) {
			o.measuredFlags.define(a, f)
			f.StringVar(&o.key, "key", "", "the baseline must be signed by this key: `FILE` of ak create, public area or PEM")
			f.StringVar(&o.anchor, "anchor", "", "the baseline must be anchored at this NV `INDEX` of the TPM")
		},
		offline: func([]string) bool { return o.pcrs != "" && o.anchor == "" },
		run:     func(context.Context, []string) (out.Doc, error) { return a.checkBaseline(nil, &o) },
		onTPM:   func(_ context.Context, t tpm.Conn, _ []string) (out.Doc, error) { return a.checkBaseline(t, &o) },
	})
}

func (a *app) checkBaseline(t tpm.Conn, o *baselineCheckFlags) (out.Doc, error) {
	b, err := o.open(a)
	if err != nil {
		return nil, err
	}
	proofs, err := o.proofs(a, t, b)
	if err != nil {
		return nil, err
	}
	m, err := o.measure(a, t)
	if err != nil {
		return nil, err
	}
	doc := baselineVerdictDoc{b.Check(m, proofs...), headOf(o.path, b)}
	return doc, verdictError(doc.Verdict)
}

// verdictError is the answer that is not yes, with the first event that differs in words.
func verdictError(v *baseline.Verdict) error {
	switch v.State {
	case baseline.Trusted:
		return nil
	case baseline.Unmeasured:
		return fail.E(fail.Unsupported, "unmeasured: there is nothing to compare with the baseline").
			Hint("vtpmctl pcr read shows which banks the firmware measured into")
	}
	var pcrs, words []string
	for _, p := range v.PCRs {
		if p.State != baseline.Exception {
			continue
		}
		pcrs = append(pcrs, fmt.Sprint(p.PCR))
		for _, c := range p.Changes {
			words = append(words, c.ID+" "+c.String())
		}
	}
	if len(pcrs) == 0 {
		failed := []string{}
		for _, c := range v.Checks {
			if c.Outcome == eventlog.Fail {
				failed = append(failed, c.Name+": "+c.Text)
			}
		}
		return fail.E(fail.AnswerNo, "%s", strings.Join(failed, "; "))
	}
	err := fail.E(fail.AnswerNo, "PCR %s unlike the baseline", strings.Join(pcrs, ","))
	if len(words) > 0 {
		err.Err = fmt.Errorf("%w: %s", err.Err, words[0])
		if len(words) > 1 {
			err.Err = fmt.Errorf("%w, and %d more", err.Err, len(words)-1)
		}
	}
	return err.Hint("after a planned change: vtpmctl baseline accept %s --reason \"what was done\"", strings.Join(pcrs, " "))
}
