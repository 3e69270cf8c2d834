package quote_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
)

// judge decodes and verifies.
func judge(t *testing.T, file []byte, x quote.Expect) *quote.Verdict {
	t.Helper()
	e, err := quote.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return quote.Verify(e, x)
}

// troubled lists the checks that did not pass, with their results.
func troubled(v *quote.Verdict) []string {
	list := []string{}
	for _, c := range v.Checks {
		if c.Result == quote.Fail || c.Result == quote.NotProven && c.Required {
			list = append(list, c.Name+": "+string(c.Result))
		}
	}
	return list
}

func TestGenuineEvidencePassesWithEveryKindOfKey(t *testing.T) {
	for name, make := range map[string]func(*forgery){
		"ECDSA P-256": func(*forgery) {},
		"ECDSA P-384": func(f *forgery) { f.key = ecKey(t, elliptic.P384()); f.hash = eventlog.SHA384 },
		"RSASSA":      func(f *forgery) { f.key = rsaKey(t, 2048); f.sigAlg = tpm2.TPMAlgRSASSA },
		"RSAPSS":      func(f *forgery) { f.key = rsaKey(t, 2048); f.sigAlg = tpm2.TPMAlgRSAPSS },
		"SM2":         func(f *forgery) { f.key = ecKey(t, sm2.P256()); f.sigAlg = tpm2.TPMAlgSM2; f.hash = eventlog.SM3 },
		"SM2 with the signer's identity": func(f *forgery) {
			f.key, f.sigAlg, f.hash, f.withID = ecKey(t, sm2.P256()), tpm2.TPMAlgSM2, eventlog.SM3, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := genuine(t)
			make(f)
			v := judge(t, f.file(t), f.expect(t))
			if v.Result != quote.Pass || len(troubled(v)) > 0 {
				t.Errorf("verdict %s, %v", v.Result, troubled(v))
			}
			if got := len(v.Banks); got != 2 {
				t.Errorf("%d banks proven, want 2", got)
			}
		})
	}
}

func ecKey(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestEachWrongThingFailsItsOwnCheckAlone is the heart of this package: whatever is wrong, exactly one check says so.
func TestEachWrongThingFailsItsOwnCheckAlone(t *testing.T) {
	evil := synth.Default()
	evil.Kernel = []byte("evil")
	for name, c := range map[string]struct {
		wrong func(*forgery, *quote.Expect)
		want  string
	}{
		"a message that no TPM made":           {func(f *forgery, _ *quote.Expect) { f.magic = 0xff544348 }, "magic: fail"},
		"a key that signs anything":            {unset(quote.Restricted), "ak_attributes: fail"},
		"a key that does not sign":             {unset(quote.Sign), "ak_attributes: fail"},
		"a key that can be copied":             {unset(quote.FixedTPM), "ak_attributes: fail"},
		"a key that can be moved":              {unset(quote.FixedParent), "ak_attributes: fail"},
		"a key made outside the TPM":           {unset(quote.SensitiveDataOrigin), "ak_attributes: fail"},
		"a key that decrypts too":              {func(f *forgery, _ *quote.Expect) { f.attributes |= quote.Decrypt }, "ak_attributes: fail"},
		"another machine's key":                {func(_ *forgery, x *quote.Expect) { x.Key = genuine(t).pin(t) }, "ak_identity: fail"},
		"the right key with other attributes":  {func(f *forgery, x *quote.Expect) { x.Key = f.pin(t); f.attributes |= quote.NoDA }, "ak_identity: fail"},
		"a key nobody knows":                   {func(_ *forgery, x *quote.Expect) { x.Key = nil }, "ak_identity: not proven"},
		"no nonce asked for":                   {func(_ *forgery, x *quote.Expect) { x.Nonce = nil }, "nonce: not proven"},
		"a quote without a nonce":              {func(f *forgery, _ *quote.Expect) { f.nonce = nil }, "nonce: fail"},
		"an older quote":                       {func(f *forgery, _ *quote.Expect) { f.nonce = []byte("the nonce of yesterday") }, "nonce: fail"},
		"a nonce that only starts right":       {func(f *forgery, x *quote.Expect) { x.Nonce = x.Nonce[:20] }, "nonce: fail"},
		"fewer PCRs than asked for":            {only(both(0xff)), "selection: fail"},
		"a bank less than asked for":           {only(pcr.Selection{{Bank: eventlog.SHA256, PCRs: pcr.All}}), "selection: fail"},
		"more PCRs than asked for":             {func(_ *forgery, x *quote.Expect) { x.Selection = both(0xff) }, "selection: fail"},
		"a selection nobody asked for":         {asked(both(0xff)), "selection: not proven"},
		"nothing but SHA-1":                    {asked(pcr.Selection{{Bank: eventlog.SHA1, PCRs: pcr.All}}), "selection: not proven"},
		"no PCR at all":                        {asked(both(0)), "selection: fail"},
		"software instead of a TPM":            {func(f *forgery, _ *quote.Expect) { f.origin.Emulated = true }, "origin: fail"},
		"the log of another boot":              {func(f *forgery, _ *quote.Expect) { f.log = synth.ShimGRUB(evil).Log }, "event_log: fail"},
		"a log that cannot be read":            {func(f *forgery, _ *quote.Expect) { f.log = []byte("a log") }, "event_log: fail"},
		"a log cut short":                      {func(f *forgery, _ *quote.Expect) { f.log = f.log[:len(f.log)/2] }, "event_log: fail"},
		"no log where one is needed":           {func(f *forgery, _ *quote.Expect) { f.log = nil }, "event_log: not proven"},
		"a machine that booted something else": {func(f *forgery, _ *quote.Expect) { boot(f, evil) }, "expected_pcrs: fail"},
		"an expected PCR the quote leaves out": {func(f *forgery, x *quote.Expect) { x.Values.Set(eventlog.SHA384, 0, make(pcr.Hex, 48)) }, "expected_pcrs: fail"},
		"a signature with SHA-1":               {func(f *forgery, _ *quote.Expect) { f.hash = eventlog.SHA1 }, "signature: fail"},
		"a signature with a short RSA key": {func(f *forgery, x *quote.Expect) {
			f.key, f.sigAlg = rsaKey(t, 1024), tpm2.TPMAlgRSASSA
			x.Key = f.pin(t)
		}, "signature: fail"},
	} {
		t.Run(name, func(t *testing.T) {
			f := genuine(t)
			x := f.expect(t)
			c.wrong(f, &x)
			if x.Key != nil && strings.HasPrefix(c.want, "ak_attributes") || f.hash == eventlog.SHA1 {
				x.Key = f.pin(t) // the verifier knows this very key: it is not its identity that is wrong
			}
			v := judge(t, f.file(t), x)
			if got := troubled(v); !slices.Equal(got, []string{c.want}) {
				t.Errorf("checks that do not pass: %q, want %q alone", got, c.want)
			}
			want := quote.Fail
			if strings.HasSuffix(c.want, "not proven") {
				want = quote.NotProven
			}
			if v.Result != want {
				t.Errorf("verdict %q, want %q", v.Result, want)
			}
		})
	}
}

func unset(a quote.Attributes) func(*forgery, *quote.Expect) {
	return func(f *forgery, _ *quote.Expect) { f.attributes &^= a }
}

// only quotes sel; the verifier expects values of no more than that.
func only(sel pcr.Selection) func(*forgery, *quote.Expect) {
	return func(f *forgery, x *quote.Expect) {
		f.selection = sel
		x.Values, _ = x.Values.Only(sel)
	}
}

// asked quotes sel before a verifier who did not say what to quote.
func asked(sel pcr.Selection) func(*forgery, *quote.Expect) {
	return func(f *forgery, x *quote.Expect) {
		only(sel)(f, x)
		x.Selection, x.Values = nil, nil
		if sel.Len() == 0 {
			x.NeedLog = false
			f.log = nil
		}
	}
}

// boot makes the machine have booted m, and its log say so.
func boot(f *forgery, m synth.Machine) {
	rec := synth.ShimGRUB(m)
	f.signed, f.shown, f.log = pcrsOf(rec), pcrsOf(rec), rec.Log
}

// The other ways to lie are changes to a finished file.

func TestACertifyMessageIsNotAQuote(t *testing.T) {
	f := genuine(t)
	f.kind = tpm2.TPMSTAttestCertify
	v := judge(t, f.file(t), f.expect(t))
	if got := result(v, "type"); got != quote.Fail {
		t.Errorf("type: %s", got)
	}
	for _, name := range []string{"magic", "ak_attributes", "ak_identity", "signature", "nonce"} {
		if got := result(v, name); got != quote.Pass {
			t.Errorf("%s: %s, although nothing about it is wrong", name, got)
		}
	}
	if len(v.Banks) > 0 {
		t.Error("PCR values count as proven without a quote")
	}
}

func result(v *quote.Verdict, check string) quote.Result {
	for _, c := range v.Checks {
		if c.Name == check {
			return c.Result
		}
	}
	return "no such check"
}

func TestAChangedSignatureFailsAlone(t *testing.T) {
	f := genuine(t)
	file := edit(t, f.file(t), func(e map[string]any) { e["signature"] = f.sign(t, []byte("another message")) })
	if got := troubled(judge(t, file, f.expect(t))); !slices.Equal(got, []string{"signature: fail"}) {
		t.Errorf("checks that do not pass: %q", got)
	}
}

func TestASignatureOfAnotherKindThanItsKey(t *testing.T) {
	f, other := genuine(t), genuine(t)
	other.key, other.sigAlg = rsaKey(t, 2048), tpm2.TPMAlgRSASSA
	file := edit(t, f.file(t), func(e map[string]any) { e["signature"] = other.sign(t, f.message()) })
	if got := troubled(judge(t, file, f.expect(t))); !slices.Equal(got, []string{"signature: fail"}) {
		t.Errorf("checks that do not pass: %q", got)
	}
}

// An algorithm nobody knows is a lie that two checks see, and neither may pass over.
func TestASignatureWithAnUnknownHash(t *testing.T) {
	f := genuine(t)
	file := edit(t, f.file(t), func(e map[string]any) {
		sig := f.sign(t, f.message())
		sig[2] = 0x7f
		e["signature"] = sig
	})
	x := f.expect(t)
	x.Values, x.NeedLog = nil, false
	v := judge(t, file, x)
	if result(v, "signature") != quote.Fail || result(v, "pcr_digest") != quote.Fail || len(v.Banks) > 0 {
		t.Errorf("signature %s, pcr_digest %s, %d banks proven", result(v, "signature"), result(v, "pcr_digest"), len(v.Banks))
	}
}

func TestAPCRValueThatWasNotSigned(t *testing.T) {
	f := genuine(t)
	x := f.expect(t)
	x.Values, x.NeedLog, f.log = nil, false, nil
	f.shown.Set(eventlog.SHA256, 7, make(pcr.Hex, 32))
	v := judge(t, f.file(t), x)
	if got := troubled(v); !slices.Equal(got, []string{"pcr_digest: fail"}) {
		t.Errorf("checks that do not pass: %q", got)
	}
	if len(v.Banks) > 0 {
		t.Error("values that were not signed count as proven")
	}
}

func TestALogProvesNothingAboutValuesThatWereNotSigned(t *testing.T) {
	f := genuine(t)
	f.shown.Set(eventlog.SHA256, 7, make(pcr.Hex, 32))
	v := judge(t, f.file(t), f.expect(t))
	if got := result(v, "event_log"); got != quote.NotProven || len(v.Replay) > 0 {
		t.Errorf("event_log: %s, %d PCRs replayed", got, len(v.Replay))
	}
}

// A log of banks that were not quoted explains nothing, and that is enough only for who did not ask for a log.
func TestALogOfOtherBanksThanTheQuote(t *testing.T) {
	f := genuine(t)
	machine := synth.Default()
	machine.Banks = []eventlog.Alg{eventlog.SHA384}
	f.log = synth.ShimGRUB(machine).Log
	x := f.expect(t)
	if got := troubled(judge(t, f.file(t), x)); !slices.Equal(got, []string{"event_log: not proven"}) {
		t.Errorf("where a log is needed: %q", got)
	}
	x.NeedLog = false
	if v := judge(t, f.file(t), x); v.Result != quote.Pass || result(v, "event_log") != quote.NotProven {
		t.Errorf("where none is needed: %s, %q", v.Result, troubled(v))
	}
}

// Values are hashed one after the other: bytes must not move from one PCR into the next.
func TestPCRValuesOfOtherLengthsThatHashTheSame(t *testing.T) {
	f := genuine(t)
	x := f.expect(t)
	x.Values, x.NeedLog, f.log = nil, false, nil
	file := edit(t, f.file(t), func(e map[string]any) {
		pcrs := e["banks"].([]any)[1].(map[string]any)["pcrs"].([]any)
		zero, one := pcrs[0].(map[string]any), pcrs[1].(map[string]any)
		zero["value"] = zero["value"].(string) + one["value"].(string)[:2]
		one["value"] = one["value"].(string)[2:]
	})
	if got := troubled(judge(t, file, x)); !slices.Equal(got, []string{"pcr_digest: fail"}) {
		t.Errorf("checks that do not pass: %q", got)
	}
}

func TestPCRsOutsideTheSelectionAreDroppedAndNamed(t *testing.T) {
	f := genuine(t)
	f.selection = pcr.Of(eventlog.SHA256, 0, 1, 2, 3)
	x := f.expect(t)
	x.Selection, x.Values = f.selection, nil
	v := judge(t, f.file(t), x)
	if got := troubled(v); len(got) > 0 {
		t.Errorf("checks that do not pass: %q", got)
	}
	if len(v.Banks) != 1 || len(v.Banks[0].PCRs) != 4 {
		t.Errorf("values in the verdict: %v", v.Banks)
	}
	if len(v.Ignored) != 2 || v.Ignored[0] != "sha1:all" {
		t.Errorf("ignored: %q", v.Ignored)
	}
}

// An expected value of a PCR that the evidence shows and the quote leaves out is the trick this is about.
func TestAnExpectedPCRIsNotLookedUpOutsideTheQuote(t *testing.T) {
	f := genuine(t)
	f.selection = pcr.Of(eventlog.SHA256, 0, 1, 2, 3)
	x := f.expect(t)
	x.Selection = f.selection
	x.Values, _ = x.Values.Only(pcr.Of(eventlog.SHA256, 7))
	if got := troubled(judge(t, f.file(t), x)); !slices.Equal(got, []string{"expected_pcrs: fail"}) {
		t.Errorf("checks that do not pass: %q", got)
	}
}

// A file without a value, such as the evidence of a quote over nothing, is met by every machine.
func TestExpectedValuesThatAreNoneProveNothing(t *testing.T) {
	f := genuine(t)
	x := f.expect(t)
	x.Values = &pcr.Values{}
	if got := troubled(judge(t, f.file(t), x)); !slices.Equal(got, []string{"expected_pcrs: not proven"}) {
		t.Errorf("checks that do not pass: %q", got)
	}
}

func TestWhatIsNotProvenIsSaidAndMayBeEnough(t *testing.T) {
	f := genuine(t)
	f.parent, f.safe, f.log, f.origin.Emulated = quote.Temporary, false, nil, true
	v := judge(t, f.file(t), quote.Expect{Nonce: f.nonce, AnyKey: true, AllowEmulated: true})
	if v.Result != quote.Pass {
		t.Errorf("verdict %s: %q", v.Result, troubled(v))
	}
	for _, name := range []string{"ak_attributes", "ak_identity", "clock", "origin", "event_log", "expected_pcrs"} {
		if got := result(v, name); got != quote.NotProven {
			t.Errorf("%s: %s, want not proven", name, got)
		}
	}
}

func TestABareKeyPinsTheKeyAndNotItsAttributes(t *testing.T) {
	f := genuine(t)
	e, err := quote.Decode(f.file(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := quote.DecodePublic(f.public())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := p.PEM()
	if err != nil {
		t.Fatal(err)
	}
	x := f.expect(t)
	if x.Key, err = quote.ParsePin(pem); err != nil {
		t.Fatal(err)
	}
	v := quote.Verify(e, x)
	if v.Result != quote.Pass || result(v, "ak_identity") != quote.Pass || result(v, "ak_attributes") != quote.NotProven {
		t.Errorf("verdict %s, identity %s, attributes %s", v.Result, result(v, "ak_identity"), result(v, "ak_attributes"))
	}
}

func TestPCRsThatTheSystemGoesOnExtending(t *testing.T) {
	f := genuine(t)
	extended := eventlog.SHA256.Sum(f.signed.Get(eventlog.SHA256, 9), make([]byte, 32))
	f.signed.Set(eventlog.SHA256, 9, extended)
	f.shown.Set(eventlog.SHA256, 9, extended)
	f.signed.Set(eventlog.SHA256, 23, extended)
	f.shown.Set(eventlog.SHA256, 23, extended)
	x := f.expect(t)
	x.Values = nil
	if got := troubled(judge(t, f.file(t), x)); !slices.Equal(got, []string{"event_log: fail"}) {
		t.Errorf("without a word about PCR 9: %q", got)
	}
	x.LaterPCRs = pcr.SetOf(9)
	v := judge(t, f.file(t), x)
	if got := troubled(v); len(got) > 0 {
		t.Errorf("with PCR 9 named: %q", got)
	}
	for _, want := range []struct {
		pcr    int
		result string
	}{{7, quote.Explained}, {9, quote.Differs}, {16, quote.Untouched}, {23, quote.Unlogged}} {
		i := slices.IndexFunc(v.Replay, func(r quote.Replayed) bool { return r.Bank == eventlog.SHA256 && r.PCR == want.pcr })
		if i < 0 || v.Replay[i].Result != want.result {
			t.Errorf("PCR %d: %v, want %s", want.pcr, v.Replay[i], want.result)
		}
	}
}

func TestTheChangedEventIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*synth.Machine)
		pcrs   []int
		text   string
	}{
		"another kernel":       {func(m *synth.Machine) { m.Kernel = []byte("evil") }, []int{4, 9}, "has other content"},
		"another command line": {func(m *synth.Machine) { m.Cmdline += " init=/bin/sh" }, []int{8, 9}, "init=/bin/sh"},
		"Secure Boot off":      {func(m *synth.Machine) { m.SecureBoot = false }, []int{7, 14}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := genuine(t)
			x := f.expect(t)
			reference, err := eventlog.Parse(f.log)
			if err != nil {
				t.Fatal(err)
			}
			x.Reference = reference
			m := synth.Default()
			c.change(&m)
			boot(f, m)
			v := judge(t, f.file(t), x)
			var pcrs []int
			text := ""
			for _, ch := range v.Changes {
				pcrs = append(pcrs, ch.PCR)
				text += ch.String() + "\n"
			}
			if !slices.Equal(pcrs, c.pcrs) || !strings.Contains(text, c.text) {
				t.Errorf("changes of PCRs %v, want %v:\n%s", pcrs, c.pcrs, text)
			}
		})
	}
}

func TestFilesForTPM2ToolsComeBack(t *testing.T) {
	f := genuine(t)
	e, err := quote.Decode(f.file(t))
	if err != nil {
		t.Fatal(err)
	}
	files, err := e.Files()
	if err != nil {
		t.Fatal(err)
	}
	values, err := pcr.Decode(files.PCRs, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := quote.DecodePublic(f.public())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key  []byte
		name eventlog.Hex
	}{"public area": {files.Key, p.Name()}, "PEM": {files.PEM, eventlog.Hex{}}} {
		pin, err := quote.ParsePin(c.key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := quote.FromFiles(files.Message, files.Signature, values, pin)
		if err != nil {
			t.Fatal(err)
		}
		v := quote.Verify(back, quote.Expect{Nonce: f.nonce, Key: pin, Selection: both(pcr.All), Values: f.signed})
		if v.Result != quote.Pass || !bytes.Equal(v.AK.Name, c.name) {
			t.Errorf("%s: verdict %s, key %s, %q", name, v.Result, v.AK.Name, troubled(v))
		}
	}
	pin, err := quote.PinName(p.Name().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := quote.FromFiles(files.Message, files.Signature, values, pin); fail.KindOf(err) != fail.Usage {
		t.Errorf("a Name alone: %v, want usage", err)
	}
}

// edit changes the JSON of an evidence file.
func edit(t *testing.T, file []byte, change func(map[string]any)) []byte {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(file, &e); err != nil {
		t.Fatal(err)
	}
	change(e)
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestMalformedEvidenceIsBadInput(t *testing.T) {
	f := genuine(t)
	file := f.file(t)
	for name, change := range map[string]func(map[string]any){
		"another schema":          func(e map[string]any) { e["schema"] = "vtpmctl.evidence/v2" },
		"no schema":               func(e map[string]any) { delete(e, "schema") },
		"no message":              func(e map[string]any) { delete(e, "message") },
		"a message cut short":     func(e map[string]any) { e["message"] = f.message()[:40] },
		"a message with more":     func(e map[string]any) { e["message"] = append(f.message(), 0) },
		"a signature with more":   func(e map[string]any) { e["signature"] = append(f.sign(t, f.message()), 0) },
		"no signature":            func(e map[string]any) { delete(e, "signature") },
		"an HMAC for a signature": func(e map[string]any) { e["signature"] = []byte{0, 5, 0, 11, 0, 0} },
		"no key":                  func(e map[string]any) { delete(e, "ak") },
		"a key off its curve":     func(e map[string]any) { e["ak"].(map[string]any)["public"] = offCurve(f) },
		"a digest that is not hex": func(e map[string]any) {
			e["banks"].([]any)[0].(map[string]any)["pcrs"].([]any)[0].(map[string]any)["value"] = "zz"
		},
		"a PCR below zero": func(e map[string]any) {
			e["banks"].([]any)[0].(map[string]any)["pcrs"].([]any)[0].(map[string]any)["pcr"] = -1
		},
		"more logs than a TPM makes": func(e map[string]any) { e["event_logs"] = slices.Repeat([]any{map[string]any{}}, 9) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := quote.Decode(edit(t, file, change))
			if fail.KindOf(err) != fail.BadInput {
				t.Errorf("error %v, want bad_input", err)
			}
		})
	}
	for name, data := range map[string][]byte{"nothing": nil, "no JSON": []byte("evidence"), "half": file[:len(file)/2]} {
		if _, err := quote.Decode(data); fail.KindOf(err) != fail.BadInput {
			t.Errorf("%s: error %v, want bad_input", name, err)
		}
	}
}

func offCurve(f *forgery) []byte {
	p := f.public()
	p[len(p)-1] ^= 1
	return p
}

func TestMessagesAreReadWithAndWithoutTheirSize(t *testing.T) {
	f := genuine(t)
	file := edit(t, f.file(t), func(e map[string]any) {
		message := f.message()
		e["message"] = append([]byte{byte(len(message) >> 8), byte(len(message))}, message...)
	})
	if v := judge(t, file, f.expect(t)); v.Result != quote.Pass {
		t.Errorf("verdict %s: %q", v.Result, troubled(v))
	}
}

func TestPinsAreRead(t *testing.T) {
	f := genuine(t)
	p, err := quote.DecodePublic(f.public())
	if err != nil {
		t.Fatal(err)
	}
	pin, err := quote.PinName(p.Name().String())
	if err != nil {
		t.Fatal(err)
	}
	x := f.expect(t)
	x.Key = pin
	if v := judge(t, f.file(t), x); result(v, "ak_identity") != quote.Pass {
		t.Error("the Name does not pin its key")
	}
	for _, bad := range []string{"", "000b", "zz", p.Name().String()[4:], p.Name().String() + "00"} {
		if _, err := quote.PinName(bad); fail.KindOf(err) != fail.Usage {
			t.Errorf("%q: %v, want usage", bad, err)
		}
	}
	if _, err := quote.ParsePin([]byte("no key")); fail.KindOf(err) != fail.BadInput {
		t.Errorf("error %v, want bad_input", err)
	}
}

// The JSON of evidence and verdicts only grows: a name that goes away here breaks somebody's script.
func TestFieldsOfTheFormats(t *testing.T) {
	f := genuine(t)
	var evidence map[string]any
	if err := json.Unmarshal(f.file(t), &evidence); err != nil {
		t.Fatal(err)
	}
	wantFields(t, "evidence", evidence, "ak", "banks", "event_logs", "made", "message", "schema", "signature", "tpm")
	wantFields(t, "ak", evidence["ak"], "algorithm", "name", "parent", "public")
	text, err := json.Marshal(judge(t, f.file(t), f.expect(t)))
	if err != nil {
		t.Fatal(err)
	}
	var verdict map[string]any
	if err := json.Unmarshal(text, &verdict); err != nil {
		t.Fatal(err)
	}
	wantFields(t, "verdict", verdict, "ak", "banks", "changed_events", "checks", "differences", "event_log", "ignored_pcrs", "quote", "verdict")
	wantFields(t, "check", verdict["checks"].([]any)[0], "check", "detail", "required", "result")
	wantFields(t, "quote", verdict["quote"], "clock_ms", "firmware_version", "nonce", "reset_count", "restart_count", "safe", "selection", "signature")
	if bytes.Contains(text, []byte("null")) {
		t.Errorf("the verdict has a null: %s", text)
	}
}

func wantFields(t *testing.T, what string, v any, want ...string) {
	t.Helper()
	var got []string
	for name := range v.(map[string]any) {
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s has the fields %q, want %q", what, got, want)
	}
}
