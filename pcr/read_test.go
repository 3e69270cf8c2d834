package pcr_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
)

func TestReadAsksForMoreThanFitsOneAnswer(t *testing.T) {
	f := newFake(eventlog.SHA1, eventlog.SHA256, eventlog.SM3)
	f.values.Set(eventlog.SM3, 11, bytes.Repeat([]byte{9}, 32))
	v, err := pcr.Read(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.values, v); d != "" {
		t.Error(d)
	}
	if f.commands != 1+9 {
		t.Errorf("%d commands for 72 values and the capability", f.commands)
	}
}

func TestReadOfASelectionKeepsItsOrder(t *testing.T) {
	f := newFake(eventlog.SHA1, eventlog.SHA256)
	v, err := pcr.Read(f, mustSelect(t, "sha256:0-11+sha1:3"))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Selection().String(); got != "sha256:0,1,2,3,4,5,6,7,8,9,10,11+sha1:3" {
		t.Error(got)
	}
	if v.Get(eventlog.SHA1, 4) != nil {
		t.Error("PCR 4 was not asked for")
	}
}

func TestReadStartsAnewWhenAPCRChangedMeanwhile(t *testing.T) {
	f := newFake(eventlog.SHA256)
	reads := 0
	f.onRead = func() {
		if reads++; reads == 2 {
			f.extend(eventlog.SHA256, 0, make([]byte, 32)) // already read in the first answer
		}
	}
	v, err := pcr.Read(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.values, v); d != "" {
		t.Errorf("two moments in one picture: %s", d)
	}
	f.onRead = func() { f.extend(eventlog.SHA256, 10, make([]byte, 32)) }
	before := f.commands
	if _, err = pcr.Read(f, nil); fail.KindOf(err) != fail.Temporary {
		t.Errorf("PCRs that never rest: %v", err)
	}
	if n := f.commands - before; n > 30 {
		t.Errorf("%d commands before giving up", n)
	}
}

func TestReadTellsSwitchedOffFromUnknownBanks(t *testing.T) {
	f := newFake(eventlog.SHA256)
	f.off = []pcr.Bank{eventlog.SHA1}
	v, err := pcr.Read(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Banks) != 2 || v.Banks[1].Bank != eventlog.SHA1 || len(v.Banks[1].PCRs) != 0 {
		t.Errorf("the bank that is off is not named: %+v", v.Banks)
	}
	for sel, want := range map[string]string{"sha1:0": "switched off", "sha512:0": "no bank sha512", "sha256:0+sha384:1": "no bank sha384"} {
		_, err := pcr.Read(f, mustSelect(t, sel))
		if fail.KindOf(err) != fail.Unsupported || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sel, err)
		}
		if hints := strings.Join(fail.HintsOf(err), " "); !strings.Contains(hints, "sha256") {
			t.Errorf("%s: the hint %q does not name the active bank", sel, hints)
		}
	}
}

func TestReadDoesNotBelieveATPMThatAnswersSomethingElse(t *testing.T) {
	for name, twist := range map[string]func(*fakeAnswer){
		"a PCR that was not asked for": func(a *fakeAnswer) { a.selection = pcr.Of(eventlog.SHA256, 9) },
		"one value too few":            func(a *fakeAnswer) { a.digests = a.digests[1:] },
		"a value too many":             func(a *fakeAnswer) { a.digests = append(a.digests, a.digests[0]) },
		"a value of the wrong size":    func(a *fakeAnswer) { a.digests[0].Buffer = make([]byte, 20) },
		"no value":                     func(a *fakeAnswer) { a.digests[0].Buffer = nil },
	} {
		f := newFake(eventlog.SHA256)
		f.twist = twist
		if v, err := pcr.Read(f, pcr.Of(eventlog.SHA256, 0)); fail.KindOf(err) != fail.BadInput {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func TestUnmeasuredBanksAreNamed(t *testing.T) {
	f := newFake(eventlog.SHA1, eventlog.SHA256)
	f.extend(eventlog.SHA256, 7, make([]byte, 32))
	if got := f.values.Unmeasured(); len(got) != 1 || got[0] != eventlog.SHA1 {
		t.Errorf("unmeasured: %v", got)
	}
	part, err := f.values.Only(mustSelect(t, "sha1:0-6"))
	if err != nil {
		t.Fatal(err)
	}
	if got := part.Unmeasured(); len(got) != 0 {
		t.Errorf("without PCR 7 nobody can tell: %v", got)
	}
}

func TestValuesHaveThisJSON(t *testing.T) {
	v := &pcr.Values{}
	v.Set(eventlog.SHA1, 7, bytes.Repeat([]byte{0xab}, 20))
	v.Banks = append(v.Banks, pcr.BankValues{Bank: eventlog.SHA256})
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"banks":[{"name":"sha1","alg":"0x0004","pcrs":[{"pcr":7,"value":"` + strings.Repeat("ab", 20) +
		`"}]},{"name":"sha256","alg":"0x000b","pcrs":[]}]}`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// The values were computed with Python's hashlib from part 3, section 23.7: PCR 7 of SHA-256 all zero, PCR 0 all 01.
func TestPolicyPCRDigest(t *testing.T) {
	v := pattern(t, "sha256:0")
	v.Set(eventlog.SHA256, 7, make([]byte, 32))
	sel := mustSelect(t, "sha256:0,7")
	digest, err := v.Digest(eventlog.SHA256, sel)
	if err != nil {
		t.Fatal(err)
	}
	got := pcr.PolicyPCR(eventlog.SHA256, nil, sel.TPM(pcr.Count), digest)
	if hex.EncodeToString(got) != "4929897fa1cfc325b634479fb63607a0414fdba017ae8cade49e6b039f4f1aa7" {
		t.Errorf("policy digest %s", got)
	}
	if _, err := v.Digest(eventlog.SHA256, mustSelect(t, "sha256:1")); fail.KindOf(err) != fail.BadInput {
		t.Errorf("a digest over a value that is not there: %v", err)
	}
}

func TestExtendIsForeseen(t *testing.T) {
	f := newFake(eventlog.SHA1, eventlog.SHA256, eventlog.SM3)
	d, err := pcr.EventDigests(f.banks(), strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(d[eventlog.SM3]); got != "becbbfaae6548b8bf0cfcad5a27183cd1be6093b1cceccc303d9c61d0a645268" {
		t.Errorf("SM3(hello) is %s", got)
	}
	c, err := pcr.Foresee(f, 23, d)
	if err != nil {
		t.Fatal(err)
	}
	foreseen := map[pcr.Bank]string{}
	for _, b := range c.Banks {
		foreseen[b.Bank] = b.After.String()
		if !bytes.Equal(f.values.Get(b.Bank, 23), b.Before) {
			t.Errorf("foreseeing changed the %s bank", b.Bank)
		}
	}
	if err := c.Extend(f); err != nil {
		t.Fatal(err)
	}
	for bank, want := range foreseen {
		if got := f.values.Get(bank, 23).String(); got != want {
			t.Errorf("%s holds %s, foreseen was %s", bank, got, want)
		}
	}
	if len(foreseen) != 3 || !c.Changed {
		t.Errorf("%d banks, changed %v", len(foreseen), c.Changed)
	}
}

func TestResetOfAFirmwarePCRIsExplained(t *testing.T) {
	f := newFake(eventlog.SHA256)
	f.extend(eventlog.SHA256, 23, make([]byte, 32))
	c, err := pcr.Reset(f, 23)
	if err != nil || !c.Changed || !bytes.Equal(c.Banks[0].After, make([]byte, 32)) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = pcr.Reset(f, 23); err != nil || c.Changed {
		t.Errorf("again: %+v, %v", c, err)
	}
	_, err = pcr.Reset(f, 7)
	if fail.KindOf(err) != fail.Unsupported || !strings.Contains(err.Error(), "PCR 7 cannot be reset") {
		t.Errorf("PCR 7: %v", err)
	}
}

func TestDigestsOnTheCommandLine(t *testing.T) {
	d, err := pcr.ParseDigests([]string{"sha1:" + strings.Repeat("0A", 20), "sm3:" + strings.Repeat("00", 32)})
	if err != nil || len(d) != 2 || d[eventlog.SHA1][0] != 10 {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range [][]string{{"sha1"}, {"sha1:00"}, {"sha9:00"}, {"sha1:zz"}, {"sha1:" + strings.Repeat("00", 20), "SHA1:" + strings.Repeat("00", 20)}} {
		if d, err := pcr.ParseDigests(bad); fail.KindOf(err) != fail.Usage {
			t.Errorf("%v: %v, %v", bad, d, err)
		}
	}
}

func TestCompareNamesWhatDiffers(t *testing.T) {
	expected, actual := pattern(t, "sha256:0,7+sha1:4"), pattern(t, "sha256:0,7")
	actual.Set(eventlog.SHA256, 7, make([]byte, 32))
	got := pcr.Compare(expected, actual)
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	if d := got[0]; d.PCR != 7 || d.Name != "secure-boot-policy" || d.Expected[0] != 8 || d.Actual[0] != 0 {
		t.Errorf("%+v", d)
	}
	if d := got[1]; d.Bank != eventlog.SHA1 || d.PCR != 4 || d.Actual != nil {
		t.Errorf("a value nobody read: %+v", d)
	}
	if got := pcr.Compare(actual, actual); got == nil || len(got) != 0 {
		t.Errorf("equal values: %v", got)
	}
}

func TestRefusalsOfTheTPMComeThrough(t *testing.T) {
	f := newFake(eventlog.SHA256)
	f.refuse = map[tpm2.TPMCC]uint32{tpm2.TPMCCPCRRead: uint32(tpm2.TPMRCFailure)}
	if _, err := pcr.Read(f, nil); err == nil {
		t.Error("a TPM in failure mode was read")
	}
}

// An empty selection means everything to Read; here it would mean that no bank has the PCR.
func TestAPCRThatNoBankHasIsNeitherExtendedNorReset(t *testing.T) {
	f := newFake()
	f.off = []pcr.Bank{eventlog.SHA256}
	if _, err := pcr.Foresee(f, 23, pcr.Digests{}); fail.KindOf(err) != fail.Unsupported {
		t.Errorf("extend: %v", err)
	}
	f = newFake(eventlog.SHA256)
	f.values, _ = f.values.Only(pcr.Of(eventlog.SHA256, 0, 1))
	if _, err := pcr.Reset(f, 23); fail.KindOf(err) != fail.Unsupported {
		t.Errorf("reset: %v", err)
	}
}
