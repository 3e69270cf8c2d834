package cmd

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// logVerdictDoc is the result of eventlog verify.
type logVerdictDoc struct {
	Source  string           `json:"source"`
	Against string           `json:"against"` // "tpm", the name of a file, or "" where nothing was compared
	Outcome eventlog.Outcome `json:"outcome"`
	*eventlog.Verification
	Notes []eventlog.Note `json:"notes"`

	log *eventlog.Log
}

func (logVerdictDoc) Schema() string { return "vtpmctl.eventlog-verify/v1" }

func (d logVerdictDoc) Table(t *out.Table) {
	logHead(t, d.Source, d.log)
	t.Text("")
	for _, c := range d.Checks {
		t.Row(outcome(c.Outcome), c.Name, c.Text)
	}
	d.differences(t)
	for i, b := range d.Broken {
		if i == maxNotes {
			t.Text("note: %d more broken events in the JSON output", len(d.Broken)-i)
			break
		}
		t.Text("broken: event %d, PCR %d, %s: %s: %s", b.Number, b.PCR, b.Type.String(), b.Summary, b.Note)
	}
	for _, f := range d.Grammar {
		t.Text("odd: PCR %d: %s", f.PCR, f.Text)
	}
	logNotes(t, d.Notes)
}

// differences shows every PCR that the log does not explain, both values one below the other.
func (d logVerdictDoc) differences(t *out.Table) {
	for _, v := range d.PCRs {
		if v.State == eventlog.Match || v.State == eventlog.BankAbsent {
			continue
		}
		t.Text("%s:%d %s, %s", v.Bank.String(), v.PCR, registerName(d.log, v.PCR), string(v.State))
		t.Field("  log", v.Replayed)
		t.Field("  actual", v.Actual)
		if v.Note != "" {
			t.Field("  note", v.Note)
		}
		if v.Hypothesis != nil {
			t.Field("  perhaps", v.Hypothesis.Text)
		}
	}
}

func outcome(o eventlog.Outcome) out.Cell {
	switch o {
	case eventlog.Pass:
		return out.OK("pass")
	case eventlog.Fail:
		return out.No("FAIL")
	}
	return out.Maybe("not proven")
}

type logVerifyFlags struct {
	logFlags
	against string
	live    bool
	rules   eventlog.Rules
}

func (o *logVerifyFlags) define(f *pflag.FlagSet) {
	o.logFlags.define(f)
	f.StringVar(&o.against, "against", "", "compare with the PCR values of this `FILE`, not with the TPM's")
	f.BoolVar(&o.live, "live", false, "compare FILE with the PCRs of the TPM: it is the log of this boot")
	f.BoolVar(&o.rules.Strict, "strict", false, "what is not proven fails")
	f.StringSliceVar(&o.rules.Ignore, "ignore", nil, "take this known deviation as it is, such as `Q11`: a bank that Windows closed")
}

// offline tells whether the TPM is spared: values come from a file, or a log from elsewhere is judged by itself.
func (o *logVerifyFlags) offline(args []string) bool {
	return o.against != "" || len(args) > 0 && !o.live
}

func (a *app) eventlogVerifyCommand() *cobra.Command {
	var o logVerifyFlags
	return a.command(verb{
		use:   "verify [FILE]",
		short: "judge whether a log is true: against PCR values, and against itself",
		long: sourceHelp + `

Without FILE the log of the running system is compared with the PCRs of its TPM. A FILE is compared with --against, or with
the TPM under --live; without either it is judged by itself: is it whole, do the digests fit the data, is the order of
events that of a boot, do the quotes that Windows left in it fit.

A PCR matches, differs, is unlogged (extended, and no event says why), capped (closed by Windows) or of a bank the log
lacks. Where it differs, the first assumption that would explain it is named; that is no proof. The exit status is 7 if
a check fails.`,
		example: "vtpmctl eventlog verify\nvtpmctl eventlog verify boot.bin --against pcrs.json\n" +
			"vtpmctl eventlog verify --with systemd --with ima --strict",
		args:    cobra.MaximumNArgs(1),
		flags:   o.define,
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.Permission},
		offline: o.offline,
		run: func(_ context.Context, args []string) (out.Doc, error) {
			var values *pcr.Values
			if o.against != "" {
				var err error
				if values, err = a.valuesFile(o.against); err != nil {
					return nil, err
				}
			}
			return a.judgeLog(args, &o, values)
		},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			values, err := pcr.Read(t, nil)
			if err != nil {
				return nil, err
			}
			return a.judgeLog(args, &o, values)
		},
	})
}

func (a *app) judgeLog(args []string, o *logVerifyFlags, values *pcr.Values) (out.Doc, error) {
	log, source, err := o.read(a, args)
	if err != nil {
		return nil, err
	}
	doc := logVerdictDoc{Source: source, Against: o.against, Notes: log.Notes, log: log}
	var compared eventlog.Values
	if values != nil {
		compared = values.ForLog()
		if doc.Against == "" {
			doc.Against = "tpm"
		}
	}
	doc.Verification = log.Verify(compared, o.rules)
	doc.Outcome = doc.Worst()
	if doc.Outcome == eventlog.Fail {
		failed := 0
		for _, c := range doc.Checks {
			if c.Outcome == eventlog.Fail {
				failed++
			}
		}
		return doc, fail.E(fail.AnswerNo, "%d of %d checks failed", failed, len(doc.Checks))
	}
	return doc, nil
}
