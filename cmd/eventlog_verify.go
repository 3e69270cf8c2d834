package cmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
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
	checkRows(t, d.Checks)
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
		unexplainedFields(t, v)
	}
}

// unexplainedFields shows what the log leads to and what the PCR holds, one below the other, and why that may be.
func unexplainedFields(t *out.Table, v eventlog.PCRVerdict) {
	t.Field("  log", v.Replayed)
	t.Field("  actual", v.Actual)
	if v.Note != "" {
		t.Field("  note", v.Note)
	}
	if v.Hypothesis != nil {
		t.Field("  perhaps", v.Hypothesis.Text)
	}
}

// checkRows shows the named checks of a verdict.
func checkRows(t *out.Table, checks []eventlog.NamedCheck) {
	for _, c := range checks {
		t.Row(outcome(c.Outcome), c.Name, c.Text)
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
	aik     string

	// of evidence under against
	nonce            nonceFlags
	ak               string
	anyKey, emulated bool
}

func (o *logVerifyFlags) define(f *pflag.FlagSet) {
	f.SortFlags = false
	o.logFlags.define(f)
	f.StringVar(&o.against, "against", "", "compare with this `FILE`: PCR values, a baseline, or evidence, not with the TPM")
	f.BoolVar(&o.live, "live", false, "compare FILE with the PCRs of the TPM: it is the log of this boot")
	o.nonce.define(f, "of evidence: the nonce that was sent")
	f.StringVar(&o.ak, "ak", "", "of evidence: the key to believe: `FILE` of ak create, public area, PEM, or name:HEX")
	f.BoolVar(&o.anyKey, "any-ak", false, "of evidence: accept a key nobody vouches for")
	f.BoolVar(&o.emulated, "allow-emulated", false, "of evidence: accept vtpmctl's own software TPM, to try things out")
	f.StringVar(&o.aik, "aik", "", "the key of the quotes in Windows' log: `FILE` of ak create, public area, PEM, DER, X.509 or BCRYPT_RSAKEY_BLOB")
	f.BoolVar(&o.rules.Strict, "strict", false, "what is not proven fails")
	f.Var((*words)(&o.rules.Ignore), "ignore", "take this known deviation as it is, such as `Q11`: a bank that Windows closed")
}

// offline tells whether the TPM is spared: values come from a file, or a log from elsewhere is judged by itself.
func (o *logVerifyFlags) offline(args []string) bool {
	return o.against != "" || len(args) > 0 && !o.live
}

// prepare checks the words of the flags and reads the key of Windows' quotes.
func (o *logVerifyFlags) prepare(a *app) error {
	for _, code := range o.rules.Ignore {
		known := false
		for c := range eventlog.Deviations() {
			known = known || strings.EqualFold(c, code)
		}
		if !known {
			return fail.E(fail.Usage, "there is no known deviation %q", code).Hint("they look like Q11; docs/eventlog.md lists them")
		}
	}
	if o.aik == "" {
		return nil
	}
	pin, err := a.readPin(o.aik)
	if err == nil {
		o.rules.Signed = pin.VerifyTrustPoint
	}
	return err
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

Evidence under --against is judged first, as vtpmctl verify does, and its own log is taken where no FILE is named: with --ak
and --nonce the PCR values are those of that TPM at that time.

A PCR matches, differs, is unlogged (extended, and no event says why), capped (closed by Windows) or of a bank the log
lacks. Where it differs, the first assumption that would explain it is named; that is no proof.

Exit status: 0 when nothing is wrong, even if something is not proven (--strict refuses that); 7 when a check fails or the
evidence is not proven; 65 when the log cannot be read; 66 when there is none, with what the PCRs tell of the reason.`,
		example: "vtpmctl eventlog verify\nvtpmctl eventlog verify boot.bin --against pcrs.json\n" +
			"vtpmctl eventlog verify --against evidence.json --ak ak.json --nonce 6fd3…91\n" +
			"vtpmctl eventlog verify --with systemd --with ima --strict",
		args:    cobra.MaximumNArgs(1),
		flags:   o.define,
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.Permission},
		offline: o.offline,
		run: func(_ context.Context, args []string) (out.Doc, error) {
			if err := o.prepare(a); err != nil {
				return nil, err
			}
			if o.against == "" {
				return a.judgeLog(args, &o, nil)
			}
			return a.judgeAgainst(args, &o)
		},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			if err := o.prepare(a); err != nil {
				return nil, err
			}
			values, err := pcr.Read(t, nil)
			if err != nil {
				return nil, err
			}
			doc, err := a.judgeLog(args, &o, values)
			if len(args) == 0 && fail.KindOf(err) == fail.MissingInput {
				return withoutLog(values), err
			}
			return doc, err
		},
	})
}

// withoutLog is what the PCRs tell of a boot that left no log.
func withoutLog(values *pcr.Values) out.Doc {
	v := eventlog.WithoutLog(values.ForLog())
	return logVerdictDoc{Against: "tpm", Outcome: v.Worst(), Verification: v, Notes: []eventlog.Note{}, log: &eventlog.Log{}}
}

// judgeAgainst compares with a file.
func (a *app) judgeAgainst(args []string, o *logVerifyFlags) (out.Doc, error) {
	f, err := a.readBoot(o.against)
	if err != nil {
		return nil, err
	}
	if f.evidence != nil {
		return a.judgeEvidence(args, o, f)
	}
	values, err := f.needValues()
	if err != nil {
		return nil, err
	}
	return a.judgeLog(args, o, values)
}

// judgeEvidence judges a quote before it believes its PCR values. Only what the quote covers is compared.
func (a *app) judgeEvidence(args []string, o *logVerifyFlags, f *bootFile) (out.Doc, error) {
	x := quote.Expect{AnyKey: o.anyKey, AllowEmulated: o.emulated}
	var err error
	if o.nonce != (nonceFlags{}) {
		if x.Nonce, err = o.nonce.bytes(a); err != nil {
			return nil, err
		}
	}
	if x.Key, err = a.pinned(o.ak, o.anyKey); err != nil {
		return nil, err
	}
	v := quote.Verify(f.evidence, x)
	var unproven []string
	for _, c := range v.Checks {
		if !c.Required || c.Name == "selection" || c.Name == "event_log" {
			continue
		}
		check := eventlog.NamedCheck{Name: "quote_" + c.Name, Text: c.Detail, Outcome: eventlog.Pass}
		switch c.Result {
		case quote.Fail:
			check.Outcome = eventlog.Fail
		case quote.NotProven:
			check.Outcome = eventlog.NotProven
			unproven = append(unproven, check.Name)
		}
		o.rules.Also = append(o.rules.Also, check)
	}
	values := &pcr.Values{Banks: v.Banks}
	judge := func(log *eventlog.Log, source string) (out.Doc, error) { return judged(log, source, o, values) }
	var doc out.Doc
	if len(args) == 0 && f.log != nil && len(o.with) == 0 {
		doc, err = judge(f.log, f.name)
	} else {
		log, source, readErr := o.read(a, args)
		if readErr != nil {
			return nil, readErr
		}
		doc, err = judge(log, source)
	}
	if err == nil && len(unproven) > 0 {
		err = fail.E(fail.AnswerNo, "the evidence is not proven: %s", strings.Join(unproven, ", ")).
			Hint("--ak and --nonce say which key to believe, and what was sent")
	}
	return doc, err
}

func (a *app) judgeLog(args []string, o *logVerifyFlags, values *pcr.Values) (out.Doc, error) {
	log, source, err := o.read(a, args)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 { // the log of this boot: the running system can be asked
		if c, ok := log.CheckCmdline(a.Host.Cmdline()); ok {
			o.rules.Also = append(o.rules.Also, c)
		}
		if c, ok := log.CheckVariables(a.Host.EFIVariable); ok {
			o.rules.Also = append(o.rules.Also, c)
		}
	}
	return judged(log, source, o, values)
}

// judged compares a log with values; nil values are not compared.
func judged(log *eventlog.Log, source string, o *logVerifyFlags, values *pcr.Values) (out.Doc, error) {
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
