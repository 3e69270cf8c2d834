package pcr_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
)

func TestSelectionsAreReadAndPrintedCanonically(t *testing.T) {
	for text, want := range map[string]string{
		"sha256:0,7":               "sha256:0,7",
		"sha256:7,0,7":             "sha256:0,7",
		"SHA256: 0 , 7 + Sha1:all": "sha256:0,7+sha1:all",
		"sha384:0-3,5":             "sha384:0,1,2,3,5",
		"sha256:0-23":              "sha256:all",
		"sha256:31-31":             "",
		"7,11":                     "sha256:7,11",
		"secure-boot-policy":       "sha256:7",
		"sha1:Secure-Boot-Policy,boot-loader-code": "sha1:4,7",
		"sm3:1+sm3_256:2":                          "sm3_256:1,2",
		"sha256:1+sha1:2+sha256:3":                 "sha256:1,3+sha1:2",
		"all":                                      "all",
		"":                                         "all",
		" ALL ":                                    "all",
		"sha3_256:0":                               "sha3_256:0",
	} {
		got, err := pcr.ParseSelection(text)
		if want == "" {
			if err == nil {
				t.Errorf("%q was read as %s", text, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got.String() != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestABadSelectionNamesTheWordAndItsPosition(t *testing.T) {
	for text, want := range map[string]string{
		"sha256:0,99":      `"99" at position 10`,
		"sha256:0,  seven": `"seven" at position 12`,
		"sha257:0":         `"sha257" at position 1 `,
		"sha1:1+sha257:0":  `"sha257" at position 8`,
		"sha256:7-4":       `"7-4" at position 8 is a range that runs backwards`,
		"sha256:0,,1":      `"" at position 10 is empty`,
		"sha256:":          `"" at position 8`,
		"sha256:0+":        `"" at position 10`,
		"sha256":           `"sha256" at position 1 names a bank and no PCRs: sha256:all`,
		"sha256:0:1":       `"0:1" at position 8`,
		"sha256:-1":        `"-1" at position 8`,
		"sha256:24":        `they are 0 to 23`,
	} {
		_, err := pcr.ParseSelection(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
		if fail.KindOf(err) != fail.Usage || len(fail.HintsOf(err)) == 0 {
			t.Errorf("%q: kind %s, hints %v", text, fail.KindOf(err), fail.HintsOf(err))
		}
	}
	if _, err := pcr.ParseSelection(strings.Repeat("1,", 5000)); err == nil {
		t.Error("a selection of 10000 bytes was read")
	}
}

func TestSelectionsTravelToTheTPMAndBack(t *testing.T) {
	s := mustSelect(t, "sha256:0,7,23+sha1:8")
	l := s.TPM(pcr.Count)
	if got := tpm2.Marshal(l); !slices.Equal(got, []byte{0, 0, 0, 2, 0, 0xb, 3, 0x81, 0, 0x80, 0, 4, 3, 0, 1, 0}) {
		t.Errorf("24 PCRs: % x", got)
	}
	if got := s.TPM(32).PCRSelections[0].PCRSelect; len(got) != 4 {
		t.Errorf("32 PCRs have a bit map of %d bytes", len(got))
	}
	if got := s.TPM(8).PCRSelections[0].PCRSelect; len(got) != 3 {
		t.Errorf("8 PCRs have a bit map of %d bytes; no TPM takes fewer than 3", len(got))
	}
	back, err := pcr.FromTPM(l)
	if err != nil || cmp.Diff(s, back) != "" {
		t.Errorf("back: %v, %v", back, err)
	}
	l.PCRSelections = append(l.PCRSelections, l.PCRSelections[0])
	if _, err := pcr.FromTPM(l); fail.KindOf(err) != fail.BadInput {
		t.Errorf("a bank named twice: %v", err)
	}
	if _, err := pcr.FromTPM(tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: 4, PCRSelect: []byte{0, 0, 0, 0, 1}}}}); err == nil {
		t.Error("PCR 32 was accepted")
	}
}

func TestSelectionsAreSets(t *testing.T) {
	a, b := mustSelect(t, "sha256:0-3+sha1:1"), mustSelect(t, "sha256:2,9+sha512:1")
	for name, c := range map[string][2]string{
		"without": {a.Without(b).String(), "sha256:0,1,3+sha1:1"},
		"within":  {a.Within(b).String(), "sha256:2"},
		"with":    {a.With(0xb, pcr.SetOf(5)).String(), "sha256:0,1,2,3,5+sha1:1"},
		"itself":  {a.String(), "sha256:0,1,2,3+sha1:1"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %s, want %s", name, c[0], c[1])
		}
	}
	if n := a.Len(); n != 5 {
		t.Errorf("%s has %d PCRs", a, n)
	}
}

func FuzzParseSelection(f *testing.F) {
	for _, text := range []string{"sha256:0,7+sha384:all", "0-7", "secure-boot-policy", "sm3:1,2-9", "sha256:+", "a:b:c", "all+all", "sha1:\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := pcr.ParseSelection(text)
		if err != nil {
			return
		}
		again, err := pcr.ParseSelection(s.String())
		if err != nil || cmp.Diff(s, again) != "" {
			t.Errorf("%q is %s, and that is read as %v, %v", text, s, again, err)
		}
		back, err := pcr.FromTPM(s.TPM(pcr.Count))
		if err != nil || cmp.Diff(s, back) != "" {
			t.Errorf("%s comes back from the TPM's form as %v, %v", s, back, err)
		}
	})
}
