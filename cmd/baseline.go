package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
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
	found, err := a.bootLogs()
	if fail.KindOf(err) == fail.MissingInput {
		a.warn("%s", err)
		return nil, "", nil
	}
	var sources []string
	for _, l := range found {
		next, source, err := parseLog(l.Data, l.Source)
		switch {
		case err != nil:
			return nil, "", err
		case log == nil:
			log = next
		default:
			log.Append(next)
		}
		sources = append(sources, source)
	}
	return log, strings.Join(sources, ", "), err
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
		run:     func(ctx context.Context, _ []string) (out.Doc, error) { return a.createBaseline(ctx, nil, &o) },
		onTPM: func(ctx context.Context, t tpm.Conn, _ []string) (out.Doc, error) {
			return a.createBaseline(ctx, t, &o)
		},
	})
}

func (a *app) createBaseline(ctx context.Context, t tpm.Conn, o *baselineCreateFlags) (out.Doc, error) {
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
	if err := o.write(ctx, a, t, b, o.path); err != nil {
		return nil, err
	}
	return newBaselineDoc(o.path, b, verb, true), nil
}

// keepBaseline leaves a baseline as it is, if the machine fits it.
func (a *app) keepBaseline(m *baseline.Measured, old *baseline.Baseline, o *baselineCreateFlags) (out.Doc, error) {
	v := old.Check(m)
	covers := len(o.sel) == 0 || len(o.sel.Without(old.Selection())) == 0 && len(old.Selection().Without(o.sel)) == 0
	var unsigned error
	if o.key != "" {
		unsigned = o.signed(a, old)
	}
	if v.State == baseline.Trusted && covers && unsigned == nil && (o.anchor == "" || o.anchor == old.Anchor) {
		return newBaselineDoc(o.path, old, "made", false), nil
	}
	err := fail.E(fail.OutputExists, "%s is a baseline of another state", o.path)
	switch {
	case v.State != baseline.Trusted:
		err.Hint("vtpmctl baseline check tells what differs")
	case !covers:
		err = fail.E(fail.OutputExists, "%s covers the PCRs %s", o.path, old.Selection())
	case unsigned != nil:
		err = fail.E(fail.OutputExists, "%s: %w", o.path, unsigned)
	default:
		err = fail.E(fail.OutputExists, "%s is not anchored at %s", o.path, o.anchor)
	}
	return nil, err.Hint("--force replaces it")
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
