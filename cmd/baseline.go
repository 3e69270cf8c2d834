package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) baselineCommand() *cobra.Command {
	return noun("baseline", "keep what a good boot measured, and tell at each boot what differs",
		a.baselineCreateCommand(), a.baselineCheckCommand(), a.baselineAcceptCommand(), a.baselineShowCommand())
}

// measuredFlags say what is compared with a baseline: this machine and its log, or files.
type measuredFlags struct {
	path string // of the baseline
	logs []string
	pcrs string
}

func (o *measuredFlags) define(a *app, f *pflag.FlagSet) {
	f.SortFlags = false
	o.defineFile(a, f)
	f.StringArrayVar(&o.logs, "log", nil, "event log `FILE`, instead of this machine's; again for a later log of the same boot")
	f.StringVar(&o.pcrs, "pcrs-from", "", "`FILE` with PCR values, instead of the TPM's")
}

func (o *measuredFlags) defineFile(a *app, f *pflag.FlagSet) {
	f.StringVar(&o.path, "file", a.baselinePath(), "the baseline `FILE`")
}

// baselinePath is where a machine's baseline is kept unless --file says otherwise.
func (a *app) baselinePath() string { return filepath.Join(a.stateRoot(), "baseline.json") }

// measure reads what was measured; t is nil where the values come from a file.
func (o *measuredFlags) measure(a *app, t tpm.Conn) (*baseline.Measured, error) {
	m := &baseline.Measured{}
	var err error
	if o.pcrs != "" {
		var f *bootFile
		if f, err = a.readBoot(o.pcrs); err == nil {
			m.Values, err = f.needValues()
			m.Log, m.Source = f.log, f.name // evidence has both
		}
	} else {
		m.Origin = t.Origin()
		m.Values, err = pcr.Read(t, nil)
	}
	if err != nil {
		return nil, err
	}
	if m.Log != nil && len(o.logs) == 0 {
		return m, nil
	}
	m.Log, m.Source, err = o.log(a, m.Origin)
	return m, err
}

// log reads the event log: the files that are named, or this machine's own beside its own TPM. Where the machine has none,
// values alone are compared.
func (o *measuredFlags) log(a *app, from tpm.Origin) (log *eventlog.Log, source string, err error) {
	for i, path := range o.logs {
		next, _, err := a.readLog([]string{path})
		switch {
		case err != nil:
			return nil, "", err
		case i == 0:
			log = next
		default:
			log.Append(next)
		}
	}
	if len(o.logs) > 0 || !ofMachine(from) {
		return log, strings.Join(o.logs, ", "), nil
	}
	data, source, err := a.bootLog(from)
	if err == nil {
		log, source, err = parseLog(data, source)
	}
	if fail.KindOf(err) == fail.MissingInput {
		a.warn("%s", err)
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if later, where, laterErr := a.Host.SystemdLog(eventlog.MaxSize); laterErr == nil {
		next, _, err := parseLog(later, where)
		if err != nil {
			return nil, "", err
		}
		log.Append(next)
		source += ", " + where
	}
	return log, source, nil
}

// open reads the baseline file.
func (o *measuredFlags) open(a *app) (*baseline.Baseline, error) {
	data, err := a.readInput(o.path, baseline.MaxFile)
	if fail.KindOf(err) == fail.MissingInput {
		return nil, fail.E(fail.MissingInput, "there is no baseline yet: %w", err).Hint("vtpmctl baseline create makes one of a good boot")
	}
	if err != nil {
		return nil, err
	}
	b, err := baseline.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.path, err)
	}
	return b, nil
}

// entry says who acts, and when.
func (a *app) entry(action, reason string) baseline.Entry {
	return baseline.Entry{Action: action, Time: a.Now().UTC().Truncate(time.Second), User: a.User(), Reason: reason}
}

// protectFlags say how a baseline that is written is protected against change.
type protectFlags struct {
	key    string
	anchor string
}

func (o *protectFlags) define(f *pflag.FlagSet) {
	f.StringVar(&o.key, "sign-with", "", "sign it with this key `FILE`: a private key in PEM, or the file of ak create")
	f.StringVar(&o.anchor, "anchor", "", "keep its digest in the TPM at this NV `INDEX`, such as 0x01800200")
}

// named lets the index of --anchor be written.
func (o *protectFlags) named([]string) ([]tpm2.TPMHandle, error) {
	if o.anchor == "" {
		return nil, nil
	}
	index, err := baseline.ParseAnchor(o.anchor)
	return []tpm2.TPMHandle{index}, err
}

// needsTPM tells whether the TPM has to be there to sign or to anchor.
func (o *protectFlags) needsTPM(a *app) bool {
	if o.key == "" {
		return o.anchor != ""
	}
	_, err := a.readKeyFile(o.key)
	return o.anchor != "" || err == nil
}

// write signs, anchors and writes a baseline. The anchor comes last but one: a crash in between leaves a baseline that does
// not fit its anchor, and says so.
func (o *protectFlags) write(a *app, t tpm.Conn, b *baseline.Baseline, path string) error {
	b.Anchor = o.anchor
	if err := o.sign(a, t, b); err != nil {
		return err
	}
	text, err := b.Encode()
	if err != nil {
		return err
	}
	p, err := file.Create(path, file.Shared, true)
	if err != nil {
		return err
	}
	defer p.Abort()
	if _, err := p.Write(text); err != nil {
		return err
	}
	if o.anchor != "" {
		index, err := baseline.ParseAnchor(o.anchor)
		if err != nil {
			return err
		}
		digest, err := b.Digest()
		if err != nil {
			return err
		}
		if err := baseline.WriteAnchor(t, index, digest); err != nil {
			return err
		}
	}
	return p.Commit()
}

// baselineHead is what a Doc says of a baseline.
type baselineHead struct {
	File    string           `json:"file"`
	Made    baseline.Entry   `json:"made"`
	Last    baseline.Entry   `json:"last_change"`
	PCRs    pcr.Selection    `json:"pcrs_covered"`
	Signed  bool             `json:"signed"`
	Anchor  string           `json:"anchor"` // the NV index, "" for none
	History []baseline.Entry `json:"history"`
}

func headOf(path string, b *baseline.Baseline) baselineHead {
	return baselineHead{
		File: path, Made: b.History[0], Last: b.History[len(b.History)-1], PCRs: b.Selection(),
		Signed: b.Signature != nil, Anchor: b.Anchor, History: b.History,
	}
}

func (d baselineHead) table(t *out.Table) {
	t.Field("baseline", d.File)
	t.Field("made", byWhom(d.Made))
	if len(d.History) > 1 {
		t.Field("last change", byWhom(d.Last))
	}
	t.Field("PCRs", d.PCRs)
}

// byWhom is an entry of the history in a line.
func byWhom(e baseline.Entry) string {
	text := fmt.Sprintf("%s by %s", e.Time.Format(time.RFC3339), e.User)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// baselineDoc is the result of baseline create and baseline show.
type baselineDoc struct {
	baselineHead
	Changed bool `json:"changed"` // by this command
	Events  int  `json:"events"`
	*pcr.Values

	verb string // what was done; "" to show
}

func (baselineDoc) Schema() string { return "vtpmctl.baseline-info/v1" }

func (d baselineDoc) Table(t *out.Table) {
	switch {
	case d.verb != "" && d.Changed:
		t.Text("%s: baseline %s, %d PCR values and %d events", d.File, d.verb, d.PCRs.Len(), d.Events)
		return
	case d.verb != "":
		t.Text("%s: unchanged, the machine is as in the baseline", d.File)
		return
	}
	d.table(t)
	t.Field("events", d.Events)
	if d.Signed {
		t.Field("signature", "there is one: baseline check --key verifies it")
	}
	if d.Anchor != "" {
		t.Field("anchor", "NV index "+d.Anchor)
	}
	t.Title("Values")
	t.Head("BANK", "PCR", "NAME", "VALUE")
	for _, b := range d.Banks {
		for _, p := range b.PCRs {
			t.Row(b.Bank, p.PCR, out.Dim(pcr.UsageOf(p.PCR).Name), p.Digest)
		}
	}
	t.Title("History")
	for _, e := range d.History {
		t.Row(e.Action, byWhom(e))
		for _, words := range e.Events {
			t.Text("    %s", words)
		}
	}
}

func newBaselineDoc(path string, b *baseline.Baseline, verb string, changed bool) baselineDoc {
	doc := baselineDoc{baselineHead: headOf(path, b), Values: &b.Values, verb: verb, Changed: changed}
	if b.Log() != nil {
		doc.Events = len(b.Log().Events)
	}
	return doc
}

type baselineCreateFlags struct {
	measuredFlags
	protectFlags
	sel   pcr.Selection
	force bool
}

func (a *app) baselineCreateCommand() *cobra.Command {
	var o baselineCreateFlags
	return a.command(verb{
		use:   "create",
		short: "keep what this boot measured as the baseline, unless there is one",
		long: `Run it once on a machine that is known to be good, at first boot for example: a second run on an unchanged machine changes
nothing and succeeds, and on a changed one it refuses (exit status 73), unless --force replaces the baseline.

The baseline has the values of PCRs and the events that led to them. Left out, --pcrs is every PCR that the event log
explains, in every bank the firmware measures into; without a log, PCR 0 to 9 and 14. PCR 10, which IMA extends with each new
file, is not among them.

The file is readable by all and holds no secret, but who can change it decides what counts as good: sign it (--sign-with) with
a key that is kept elsewhere, or anchor it in the TPM (--anchor), and have baseline check demand that.`,
		example: "vtpmctl baseline create\nvtpmctl baseline create --pcrs sha256:0-7 --anchor 0x01800200\n" +
			"vtpmctl baseline create --log boot.bin --pcrs-from pcrs.json --file web1.json --sign-with key.pem",
		exits:   []fail.Kind{fail.OutputExists, fail.Unsupported, fail.BadInput, fail.MissingInput, fail.Permission},
		effects: tpm.WritesNV,
		named:   o.named,
		flags: func(f *pflag.FlagSet) {
			o.measuredFlags.define(a, f)
			f.TextVar(&o.sel, "pcrs", o.sel, "`PCRs` to cover")
			o.protectFlags.define(f)
			f.BoolVar(&o.force, "force", false, "replace a baseline that the machine does not fit any more; its history is kept")
		},
		offline: func([]string) bool { return o.pcrs != "" && !o.needsTPM(a) },
		run:     func(context.Context, []string) (out.Doc, error) { return a.createBaseline(nil, &o) },
		onTPM:   func(_ context.Context, t tpm.Conn, _ []string) (out.Doc, error) { return a.createBaseline(t, &o) },
	})
}

func (a *app) createBaseline(t tpm.Conn, o *baselineCreateFlags) (out.Doc, error) {
	m, err := o.measure(a, t)
	if err != nil {
		return nil, err
	}
	old, err := o.open(a)
	if err != nil && fail.KindOf(err) != fail.MissingInput && !o.force {
		return nil, err
	}
	if old != nil && !o.force {
		return a.keepBaseline(m, old, o)
	}
	entry, verb := a.entry("create", ""), "made"
	if old != nil {
		entry.Action, verb = "replace", "replaced"
	}
	b, err := baseline.Create(m, o.sel, entry)
	if err != nil {
		return nil, err
	}
	if old != nil {
		b.History = append(old.History, b.History...)
	}
	if o.path == a.baselinePath() {
		if err := os.MkdirAll(filepath.Dir(o.path), 0o755); err != nil {
			return nil, fail.E(fail.OutputFailed, "the folder of the baseline cannot be made: %w", err)
		}
	}
	if err := o.write(a, t, b, o.path); err != nil {
		return nil, err
	}
	return newBaselineDoc(o.path, b, verb, true), nil
}

// keepBaseline leaves a baseline as it is, if the machine fits it.
func (a *app) keepBaseline(m *baseline.Measured, old *baseline.Baseline, o *baselineCreateFlags) (out.Doc, error) {
	v := old.Check(m)
	covers := len(o.sel) == 0 || len(o.sel.Without(old.Selection())) == 0 && len(old.Selection().Without(o.sel)) == 0
	if v.State == baseline.Trusted && covers && (o.anchor == "" || o.anchor == old.Anchor) {
		return newBaselineDoc(o.path, old, "made", false), nil
	}
	err := fail.E(fail.OutputExists, "%s is a baseline of another state", o.path)
	switch {
	case v.State != baseline.Trusted:
		err.Hint("vtpmctl baseline check tells what differs")
	case !covers:
		err = fail.E(fail.OutputExists, "%s covers the PCRs %s", o.path, old.Selection())
	default:
		err = fail.E(fail.OutputExists, "%s is not anchored at %s", o.path, o.anchor)
	}
	return nil, err.Hint("--force replaces it")
}

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
	for _, c := range d.Checks {
		t.Row(outcome(c.Outcome), c.Name, c.Text)
	}
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
  exception   something differs that nobody has accepted (exit status 7)
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
			Hint("vtpmctl doctor and vtpmctl pcr read show what the firmware measured")
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
		run:     func(_ context.Context, args []string) (out.Doc, error) { return a.acceptBaseline(nil, &o, args) },
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			return a.acceptBaseline(t, &o, args)
		},
	})
}

func (a *app) acceptBaseline(t tpm.Conn, o *baselineAcceptFlags, args []string) (out.Doc, error) {
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
	if err := o.keepsProof(old, t); err != nil {
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
		if err := o.write(a, t, next, o.path); err != nil {
			return nil, err
		}
	}
	doc.baselineHead, doc.Changed, doc.State = headOf(o.path, next), true, next.Check(m).State
	doc.Accepted = doc.Last
	return doc, nil
}

// keepsProof makes sure that what vouched for the old baseline will vouch for the new one, and that the old one was genuine:
// accepting one event must not launder a file that somebody changed.
func (o *protectFlags) keepsProof(old *baseline.Baseline, t tpm.Conn) error {
	switch {
	case old.Signature != nil && o.key == "":
		return fail.E(fail.Usage, "the baseline is signed, and what changes it has to sign it anew").
			Hint("--sign-with names the key")
	case old.Anchor != o.anchor && old.Anchor != "":
		return fail.E(fail.Usage, "the baseline is anchored at %s, and what changes it has to write that anchor", old.Anchor).
			Hint("--anchor %s", old.Anchor)
	case old.Anchor == "":
		return nil
	}
	digest, err := old.Digest()
	if err != nil {
		return err
	}
	index, err := baseline.ParseAnchor(o.anchor)
	if err != nil {
		return err
	}
	if c := baseline.CheckAnchor(t, index, digest); c.Outcome != eventlog.Pass {
		return fail.E(fail.AnswerNo, "%s", c.Text).
			Hint("vtpmctl baseline create --force --anchor %s starts anew, once the machine is known to be good", o.anchor)
	}
	return nil
}

func (a *app) baselineShowCommand() *cobra.Command {
	var o measuredFlags
	return a.command(verb{
		use:     "show",
		short:   "print the baseline and its history; opens no TPM",
		example: "vtpmctl baseline show\nvtpmctl baseline show --file web1.json -o json",
		exits:   []fail.Kind{fail.BadInput, fail.MissingInput},
		flags:   func(f *pflag.FlagSet) { o.defineFile(a, f) },
		run: func(context.Context, []string) (out.Doc, error) {
			b, err := o.open(a)
			if err != nil {
				return nil, err
			}
			return newBaselineDoc(o.path, b, "", false), nil
		},
	})
}
