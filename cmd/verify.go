package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
)

// verdictDoc is the result of verify.
type verdictDoc struct {
	File string `json:"file"`
	*quote.Verdict
}

func (verdictDoc) Schema() string { return "vtpmctl.verdict/v1" }

func (d verdictDoc) Table(t *out.Table) {
	for _, c := range d.Checks {
		t.Row(checkCell(c), c.Name, c.Detail)
	}
	if len(d.Differences) > 0 {
		t.Text("")
		differenceTable(t, d.Differences)
	}
	for _, c := range d.Changes {
		t.Text("  %s", c.String())
	}
	t.Text("")
	if len(d.AK.Name) > 0 {
		t.Field("key", d.AK.Name)
	} else {
		t.Field("key", "fingerprint "+d.AK.Fingerprint.String())
	}
	t.Field("PCRs", d.Quote.Selection)
	switch {
	case d.Result == quote.Pass:
		t.Row(out.OK("VERIFIED"), "the PCR values are those of the TPM that holds this key")
	case d.onlyUnexpected():
		t.Row(out.No("FAILED"), "the evidence is genuine, and the machine is not in the state that was expected")
	case d.Result == quote.Fail:
		t.Row(out.No("FAILED"), "do not rely on anything in this evidence")
	default:
		t.Row(out.Maybe("NOT PROVEN"), "nothing is wrong, and something that was required is not proven")
	}
}

// onlyUnexpected tells evidence that is proven, and shows another state than the expected one, from evidence that is not.
func (d verdictDoc) onlyUnexpected() bool {
	for _, c := range d.Checks {
		if c.Required && c.Result != quote.Pass && c.Name != "expected_pcrs" {
			return false
		}
	}
	return d.Result == quote.Fail
}

func checkCell(c quote.Check) out.Cell {
	switch {
	case c.Result == quote.Pass:
		return out.OK("pass")
	case c.Result == quote.Fail:
		return out.No("FAIL")
	case c.Required:
		return out.Maybe("NOT PROVEN")
	}
	return out.Maybe("not proven")
}

// verifyFlags are what the verifier knows and asks.
type verifyFlags struct {
	nonce                       nonceFlags
	ak                          string
	anyKey, emulated, needLog   bool
	pcrs, later                 pcr.Selection
	expect                      string
	message, signature, pcrFile string
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyFlags
	return a.command(verb{
		use:   "verify [EVIDENCE]",
		short: "judge the evidence of a quote; opens no TPM",
		long: `Every check is made and shown: pass, FAIL, or not proven. The exit status is 0 when all that is required is proven, 7 when it
is not, and 65 when the evidence cannot be read.

What has to be known beforehand: the nonce that was sent, the key (--ak: the file of ak create, a PEM file, or name:HEX), and
what was to be quoted (--pcrs; left out, all PCRs of a bank other than SHA-1). --expect adds the values the PCRs must have:
a file of pcr read, or earlier evidence of a good boot, whose event log then tells which event changed.

The files of tpm2_quote are judged with --message, --signature, --pcr-file and --ak instead of EVIDENCE.`,
		example: "vtpmctl verify evidence.json --nonce 6fd3…91 --ak ak.json\n" +
			"vtpmctl verify evidence.json --nonce 6fd3…91 --ak name:000b51…f0 --expect good.json\n" +
			"vtpmctl verify --message q.msg --signature q.sig --pcr-file q.pcrs --ak ak.pem --pcrs sha256:0,7 --nonce 6fd3…91",
		args:  cobra.MaximumNArgs(1),
		exits: []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput},
		flags: func(f *pflag.FlagSet) {
			f.SortFlags = false
			o.nonce.define(f, "the nonce that was sent")
			f.StringVar(&o.ak, "ak", "", "the key to believe: `FILE` of ak create, public area, PEM, or name:HEX")
			f.BoolVar(&o.anyKey, "any-ak", false, "accept a key nobody vouches for: then anybody could have made the evidence")
			f.TextVar(&o.pcrs, "pcrs", o.pcrs, "`PCRs` that had to be quoted, no more and no fewer")
			f.StringVar(&o.expect, "expect", "", "`FILE` with the values the PCRs must have")
			f.BoolVar(&o.needLog, "require-eventlog", false, "the event log must be there")
			f.TextVar(&o.later, "extended-later", o.later, "`PCRs` that the system goes on extending without a log, such as 9,11")
			f.BoolVar(&o.emulated, "allow-emulated", false, "accept evidence of vtpmctl's own software TPM, to try things out")
			f.StringVar(&o.message, "message", "", "`FILE` of tpm2_quote -m")
			f.StringVar(&o.signature, "signature", "", "`FILE` of tpm2_quote -s, in the tss format")
			f.StringVar(&o.pcrFile, "pcr-file", "", "`FILE` of tpm2_quote -o, of any format")
		},
		run: func(_ context.Context, args []string) (out.Doc, error) { return a.verify(&o, args) },
	})
}

func (a *app) verify(o *verifyFlags, args []string) (out.Doc, error) {
	x, err := o.expectation(a)
	if err != nil {
		return nil, err
	}
	e, name, err := o.evidence(a, args, x.Key)
	if err != nil {
		return nil, err
	}
	doc := verdictDoc{File: name, Verdict: quote.Verify(e, x)}
	if doc.Result != quote.Pass {
		return doc, refusal(doc.Verdict)
	}
	return doc, nil
}

// refusal is the answer no, with the checks that led to it and what may help.
func refusal(v *quote.Verdict) error {
	var failed, unproven []string
	err := fail.E(fail.AnswerNo, "the evidence is not proven")
	for _, c := range v.Checks {
		switch {
		case c.Result == quote.Fail:
			failed = append(failed, c.Name)
		case c.Result == quote.NotProven && c.Required:
			unproven = append(unproven, c.Name)
		default:
			continue
		}
		if advice := verifyAdvice[c.Name]; advice != "" {
			err.Hint("%s", advice)
		}
	}
	err.Err = fmt.Errorf("not proven: %s", strings.Join(unproven, ", "))
	if len(failed) > 0 {
		err.Err = fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return err
}

// verifyAdvice says what to do about a check, where something can be done.
var verifyAdvice = map[string]string{
	"ak_identity": "--ak ak.json, or --ak name:HEX, says which key to believe; --any-ak believes any",
	"selection":   "--pcrs says which PCRs were to be quoted",
	"origin":      "--allow-emulated accepts the software TPM, to try things out",
}

// expectation gathers what the verifier knows.
func (o *verifyFlags) expectation(a *app) (x quote.Expect, err error) {
	x = quote.Expect{
		AnyKey: o.anyKey, Selection: o.pcrs, AllowEmulated: o.emulated, NeedLog: o.needLog,
	}
	for _, b := range o.later {
		x.LaterPCRs |= b.PCRs
	}
	if x.Nonce, err = o.nonce.bytes(a); err != nil {
		return x, err
	}
	if x.Key, err = a.pinned(o.ak, o.anyKey); err != nil || o.expect == "" {
		return x, err
	}
	data, err := a.readInput(o.expect, quote.MaxEvidence)
	if err != nil {
		return x, err
	}
	if good, evErr := quote.Decode(data); evErr == nil {
		x.Values = &good.Values
		x.Reference, err = good.EventLog()
		return x, err
	}
	x.Values, err = pcr.Decode(data, nil)
	if err != nil {
		err = fmt.Errorf("%s: %w", o.expect, err)
	}
	return x, err
}

// pinned reads --ak; nil where it was not given.
func (a *app) pinned(ak string, anyKey bool) (*quote.Pin, error) {
	switch name, isName := strings.CutPrefix(ak, "name:"); {
	case ak == "":
		return nil, nil
	case isName:
		return quote.PinName(name)
	case anyKey:
		return nil, fail.E(fail.Usage, "--ak and --any-ak contradict each other")
	}
	return a.readPin(ak)
}

// readPin reads the public part of a key.
func (a *app) readPin(path string) (*quote.Pin, error) {
	data, err := a.readInput(path, maxKeyText)
	if err != nil {
		return nil, err
	}
	p, err := quote.ParsePin(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// evidence reads the evidence file, or the files of tpm2-tools.
func (o *verifyFlags) evidence(a *app, args []string, key *quote.Pin) (*quote.Evidence, string, error) {
	files := o.message != "" || o.signature != "" || o.pcrFile != ""
	switch {
	case files && len(args) > 0, !files && len(args) == 0:
		return nil, "", fail.E(fail.Usage, "verify what? Name the evidence, or the files of tpm2_quote").
			Hint("vtpmctl verify evidence.json --nonce HEX --ak ak.json").
			Hint("vtpmctl verify --message FILE --signature FILE --pcr-file FILE --ak FILE --nonce HEX")
	case files:
		e, err := o.toolFiles(a, key)
		return e, o.message, err
	}
	data, err := a.readInput(args[0], quote.MaxEvidence)
	if err != nil {
		return nil, "", err
	}
	e, err := quote.Decode(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", args[0], err)
	}
	return e, args[0], nil
}

func (o *verifyFlags) toolFiles(a *app, key *quote.Pin) (*quote.Evidence, error) {
	if o.message == "" || o.signature == "" || o.pcrFile == "" || key == nil {
		return nil, fail.E(fail.Usage, "the files of tpm2_quote come together: --message, --signature, --pcr-file and --ak")
	}
	var parts [3][]byte
	for i, path := range []string{o.message, o.signature, o.pcrFile} {
		var err error
		if parts[i], err = a.readInput(path, pcr.MaxFile); err != nil {
			return nil, err
		}
	}
	values, err := pcr.Decode(parts[2], o.pcrs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.pcrFile, err)
	}
	return quote.FromFiles(parts[0], parts[1], values, key)
}
