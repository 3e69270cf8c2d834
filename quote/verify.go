package quote

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Verify judges evidence against what was asked for. It looks at the evidence and at nothing else; every check is made,
// whatever the others found.
func Verify(e *Evidence, x Expect) *Verdict {
	j := &judge{e: e, x: x, Verdict: &Verdict{
		Result: Pass, Banks: []pcr.BankValues{}, Ignored: []string{}, Replay: []Replayed{},
		Differences: []pcr.Difference{}, Changes: []Change{},
	}}
	j.facts()
	for _, c := range checklist {
		r, required, detail := c.check(j)
		j.Checks = append(j.Checks, Check{c.name, r, required, detail})
		switch {
		case r == Fail:
			j.Result = Fail
		case r == NotProven && required && j.Result == Pass:
			j.Result = NotProven
		}
	}
	if !j.proven {
		j.Banks = []pcr.BankValues{}
	}
	return j.Verdict
}

// checklist is what Verify does, in order.
var checklist = []struct {
	name  string
	check func(*judge) (r Result, required bool, detail string)
}{
	{"magic", (*judge).magic},
	{"type", (*judge).kind},
	{"ak_attributes", (*judge).keyAttributes},
	{"ak_identity", (*judge).identity},
	{"signature", (*judge).signature},
	{"nonce", (*judge).nonce},
	{"selection", (*judge).selection},
	{"pcr_digest", (*judge).pcrDigest},
	{"extra_pcrs", (*judge).extra},
	{"clock", (*judge).clock},
	{"origin", (*judge).origin},
	{"event_log", (*judge).eventLog},
	{"expected_pcrs", (*judge).expected},
}

// judge is one run of the checklist.
type judge struct {
	*Verdict
	e      *Evidence
	x      Expect
	values *pcr.Values   // what the quote's selection covers; nil where the evidence lacks some of it
	log    *eventlog.Log // nil for none
	proven bool          // the values are those the TPM signed
}

func pass(format string, args ...any) (Result, bool, string) {
	return Pass, true, fmt.Sprintf(format, args...)
}

func no(format string, args ...any) (Result, bool, string) {
	return Fail, true, fmt.Sprintf(format, args...)
}

// open is "not proven" where that is not enough.
func open(format string, args ...any) (Result, bool, string) {
	return NotProven, true, fmt.Sprintf(format, args...)
}

// remark is "not proven" where nobody asked for proof.
func remark(format string, args ...any) (Result, bool, string) {
	return NotProven, false, fmt.Sprintf(format, args...)
}

// facts fills in what is reported and not judged.
func (j *judge) facts() {
	a := j.e.attest
	j.AK = Identity{Algorithm: keyName(j.e.key), Parent: j.e.AK.Parent, Attributes: []string{}, Name: eventlog.Hex{}}
	if der, err := marshalKey(j.e.key); err == nil {
		j.AK.Fingerprint = eventlog.SHA256.Sum(der)
	}
	if p := j.e.public; p != nil {
		j.AK.Name, j.AK.Attributes = p.Name(), p.Attributes.Names()
	}
	j.Quote = Facts{
		Signature: j.e.sig.name(), Nonce: a.ExtraData, Clock: a.Clock, Firmware: fmt.Sprintf("0x%016x", a.Firmware),
	}
	if a.Type == tpm2.TPMSTAttestQuote {
		j.Quote.Selection = spell(a.Selection)
	}
}

// spell names a selection; an empty one, which stands for everything elsewhere, is nothing in a quote.
func spell(s pcr.Selection) string {
	if s.Len() == 0 {
		return "none"
	}
	return s.Active().String()
}

// magic: a restricted key signs nothing that starts with this value unless the TPM itself made it (part 1, section
// 25.2).
func (j *judge) magic() (Result, bool, string) {
	if m := j.e.attest.Magic; m != tpm2.TPMGeneratedValue {
		return no("the message starts with 0x%08x: no TPM made it", uint32(m))
	}
	return pass("made inside a TPM")
}

func (j *judge) kind() (Result, bool, string) {
	if t := j.e.attest.Type; t != tpm2.TPMSTAttestQuote {
		return no("the message is of type 0x%04x, not a quote", uint16(t))
	}
	return pass("a quote")
}

// wanted are the attributes that make a signature worth something, and what would be wrong without each.
var wanted = []struct {
	attribute Attributes
	without   string
}{
	{Restricted, "it also signs what a TPM did not make"},
	{Sign, "it is no signing key"},
	{FixedTPM, "it can be copied to another TPM"},
	{FixedParent, "it can be moved below another key"},
	{SensitiveDataOrigin, "its private part was made outside the TPM"},
}

// keyAttributes: the Name that the verifier pinned covers the attributes; a bare key does not.
func (j *judge) keyAttributes() (Result, bool, string) {
	if j.e.public == nil {
		return remark("a bare public key says nothing of its attributes")
	}
	a := j.e.public.Attributes
	for _, w := range wanted {
		if a&w.attribute == 0 {
			return no("%s is not set: %s", strings.Join(w.attribute.Names(), ""), w.without)
		}
	}
	if a&Decrypt != 0 {
		return no("decrypt is set: an attestation key only signs")
	}
	if j.x.Key == nil || j.x.Key.name == nil {
		return remark("%s, as the evidence says itself: a pinned Name or key file would prove it", strings.Join(a.Names(), ", "))
	}
	return pass("%s", strings.Join(a.Names(), ", "))
}

func (j *judge) identity() (Result, bool, string) {
	what := "the key is unknown: anybody could have made it, with or without a TPM"
	if j.e.AK.Parent == Temporary {
		what = "a temporary key, made for this quote: it proves nothing about which machine signed"
	}
	switch {
	case j.x.Key == nil && j.x.AnyKey:
		return remark("%s", what)
	case j.x.Key == nil:
		return open("%s", what)
	case !j.x.Key.matches(j.e):
		return no("another key than the one expected")
	case j.x.Key.name == nil:
		return pass("the public key that was expected")
	}
	return pass("the key that was expected, by its Name")
}

func (j *judge) signature() (Result, bool, string) {
	if err := j.e.sig.verify(j.e.key, j.e.attest.raw); err != nil {
		return no("the signature is not valid: %s", err)
	}
	return pass("%s", j.e.sig.name())
}

func (j *judge) nonce() (Result, bool, string) {
	got := j.e.attest.ExtraData
	switch {
	case len(j.x.Nonce) == 0:
		return open("no nonce was given: an old quote would look the same")
	case len(got) == 0:
		return no("the quote was made without a nonce")
	case !bytes.Equal(got, j.x.Nonce):
		return no("the quote answers the nonce %s: it was made for somebody else, or earlier", got)
	}
	return pass("the quote answers this nonce")
}

func (j *judge) selection() (Result, bool, string) {
	got := j.e.attest.Selection
	if len(j.x.Selection) == 0 {
		for _, b := range got {
			if b.PCRs&pcr.All == pcr.All && b.Bank != eventlog.SHA1 && b.Bank.Known() {
				return pass("all PCRs of bank %s", b.Bank)
			}
		}
		if got.Len() == 0 {
			return no("the quote covers no PCR at all")
		}
		return open("the quote covers %s only, and what was asked for is not known: --pcrs says it", spell(got))
	}
	if missing := j.x.Selection.Without(got); len(missing) > 0 {
		return no("the quote does not cover %s", missing)
	}
	if extra := got.Without(j.x.Selection); len(extra) > 0 {
		return no("the quote covers %s, which was not asked for", extra)
	}
	return pass("%s, as asked for", spell(got))
}

// pcrDigest: from here on only the values that the quote covers exist.
func (j *judge) pcrDigest() (Result, bool, string) {
	values, err := j.e.covered()
	if err != nil {
		return no("%s", err)
	}
	digest, err := digestOf(values, j.e.attest.Selection, j.e.sig.Hash)
	if err != nil {
		return no("%s", err)
	}
	if !bytes.Equal(digest, j.e.attest.PCRDigest) {
		return no("the PCR values in the evidence are not those the TPM signed")
	}
	j.values, j.Banks, j.proven = values, values.Banks, true
	return pass("the %d PCR values are those the TPM signed", values.Selection().Len())
}

// covered are the values the quote's selection covers. A value of a wrong length is refused: concatenated values could
// shift from one PCR into the next and give the same digest.
func (e *Evidence) covered() (*pcr.Values, error) {
	values := &pcr.Values{Banks: []pcr.BankValues{}}
	for _, b := range e.attest.Selection {
		if !b.Bank.Known() {
			return nil, fmt.Errorf("bank %s is not known here", b.Bank)
		}
		for n := range b.PCRs.Each() {
			v := e.Get(b.Bank, n)
			if len(v) != b.Bank.Size() {
				return nil, fmt.Errorf("the evidence has no value of PCR %d in bank %s, which the quote covers", n, b.Bank)
			}
			values.Set(b.Bank, n, v)
		}
	}
	return values, nil
}

// digestOf is pcrDigest of a quote (part 3, section 18.4): the values in the order of the selection, hashed by the
// signature's hash.
func digestOf(values *pcr.Values, sel pcr.Selection, hash eventlog.Alg) (eventlog.Hex, error) {
	if !hash.Known() {
		return nil, fmt.Errorf("the hash algorithm %s is not known here", hash)
	}
	if sel.Len() == 0 {
		return hash.Sum(), nil // an empty selection means everything to package pcr
	}
	return values.Digest(hash, sel.Active())
}

func (j *judge) extra() (Result, bool, string) {
	extra := j.e.Selection().Without(j.e.attest.Selection)
	if len(extra) == 0 {
		return pass("the evidence has no PCR values beyond the quote")
	}
	j.Ignored = strings.Split(extra.String(), "+")
	return remark("ignored, because the quote does not cover them: %s", extra)
}

// clock: for a key outside the endorsement and platform hierarchies a TPM adds secret numbers to the counters, so that
// they cannot be used to recognise it (part 1, section 36.7); equal ones are still equal.
func (j *judge) clock() (Result, bool, string) {
	c := j.e.attest.Clock
	text := fmt.Sprintf("reset %d times, resumed %d times since", c.ResetCount, c.RestartCount)
	if j.e.AK.Parent != UnderEK {
		text = fmt.Sprintf("counters, which this kind of key may disguise: reset %d, resumed %d", c.ResetCount, c.RestartCount)
	}
	if !c.Safe {
		return remark("%s; the clock may have gone back", text)
	}
	return pass("%s; powered for %d s", text, c.Milliseconds/1000)
}

func (j *judge) origin() (Result, bool, string) {
	o := j.e.Origin
	switch {
	case o.Emulated && !j.x.AllowEmulated:
		return no("made on vtpmctl's own software TPM, whose keys are files: it proves nothing about a machine")
	case o.Emulated:
		return remark("made on vtpmctl's own software TPM, which was allowed")
	case o.Target == "":
		return remark("the evidence does not say which TPM it came from")
	}
	return remark("from %s, as the evidence says itself; only a certificate of the key could prove the kind of TPM", o.Target)
}

// expected compares with values the verifier knows to be good.
func (j *judge) expected() (Result, bool, string) {
	if j.x.Values == nil {
		return remark("no expected values were given: the PCRs are the machine's own, good or bad")
	}
	expected := j.x.Values.Selection().Len()
	if expected == 0 {
		return open("the expected values are none: there is nothing to compare with")
	}
	actual := j.values
	if actual == nil {
		actual = &pcr.Values{}
	}
	if j.Differences = pcr.Compare(j.x.Values, actual); len(j.Differences) == 0 {
		return pass("all %d expected values", expected)
	}
	j.Changes = changes(j.x.Reference, j.log, j.Differences)
	return no("PCRs that differ: %s", differing(j.Differences))
}

func differing(list []pcr.Difference) string {
	var sel pcr.Selection
	for _, d := range list {
		sel = sel.With(d.Bank, pcr.SetOf(d.PCR))
	}
	return inWords(sel)
}

// inWords names PCRs by number where all banks select the same ones: "4,9 (sha1, sha256)", else as they are selected.
func inWords(sel pcr.Selection) string {
	if len(sel) == 0 {
		return "none"
	}
	banks := make([]string, len(sel))
	for i, b := range sel {
		banks[i] = b.Bank.String()
		if b.PCRs != sel[0].PCRs {
			return sel.String()
		}
	}
	return fmt.Sprintf("%s (%s)", sel[0].PCRs, strings.Join(banks, ", "))
}
