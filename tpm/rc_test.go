package tpm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func TestExplainNamesCodeAndPosition(t *testing.T) {
	for code, want := range map[tpm2.TPMRC]string{
		0x000:      "tpm: TPM_RC_SUCCESS (0x000)",
		0x101:      "tpm: TPM_RC_FAILURE (0x101)",
		0x09d:      "tpm: TPM_RC_POLICY_FAIL (0x09d)",
		0x99d:      "tpm: TPM_RC_POLICY_FAIL (0x99d, session 1)",
		0xf9d:      "tpm: TPM_RC_POLICY_FAIL (0xf9d, session 7)",
		0x1c4:      "tpm: TPM_RC_VALUE (0x1c4, parameter 1)",
		0xfc4:      "tpm: TPM_RC_VALUE (0xfc4, parameter 15)",
		0x18b:      "tpm: TPM_RC_HANDLE (0x18b, handle 1)",
		0x78b:      "tpm: TPM_RC_HANDLE (0x78b, handle 7)",
		0x921:      "tpm: TPM_RC_LOCKOUT (0x921)",
		0x01e:      "tpm: TPM_RC_BAD_TAG (0x01e)",
		0x501:      "tpm: 0x501",
		0x00060001: "fapi: TSS2_FAPI_RC_GENERAL_FAILURE (0x00060001)",
		0x000a000a: "tcti: TSS2_TCTI_RC_IO_ERROR (0x000a000a)",
		0x00070009: "esapi: TSS2_ESAPI_RC_TRY_AGAIN (0x00070009)",
		0x000b0902: "rmt: TPM_RC_OBJECT_MEMORY (0x000b0902)",
		0x0007099d: "esapi: TPM_RC_POLICY_FAIL (0x0007099d, session 1)",
		0x80070005: "tbs: E_ACCESSDENIED (0x80070005)",
		0x80280400: "tbs: TPM_E_COMMAND_BLOCKED (0x80280400)",
		0x8028400f: "tbs: TBS_E_TPM_NOT_FOUND (0x8028400f)",
		0x80284016: "tbs: TBS_E_PROVISIONING_INCOMPLETE (0x80284016)",
		0x80280921: "tbs: TPM_RC_LOCKOUT (0x80280921)",
		0x8028009d: "tbs: TPM_RC_POLICY_FAIL (0x8028009d)",
		0x8028499d: "tbs: 0x8028499d",
		0x80290300: "tbs: 0x80290300",
		0x00010001: "unknown: 0x00010001",
		0xdeadbeef: "unknown: 0xdeadbeef",
	} {
		x := Explain(0, code)
		if got := x.Layer + ": " + x.Words(); got != want {
			t.Errorf("%#x is %q, want %q", uint32(code), got, want)
		}
	}
}

// TestExplainKnowsEveryCodeGoTPMKnows walks all 12-bit codes and compares with the names of go-tpm's own tables.
func TestExplainKnowsEveryCodeGoTPMKnows(t *testing.T) {
	known := 0
	for code := range tpm2.TPMRC(0x1000) {
		words := code.Error()
		name, _, _ := strings.Cut(words, ":")
		name, _, _ = strings.Cut(name, " ")
		if !strings.HasPrefix(name, "TPM_RC_") {
			continue
		}
		known++
		if got := Explain(0, code).Name; got != name {
			t.Errorf("%#x is %q, go-tpm calls it %q", uint32(code), got, name)
		}
	}
	if known < 100 {
		t.Errorf("go-tpm knows %d codes: this test no longer finds them", known)
	}
}

func TestEveryExplanationIsWhole(t *testing.T) {
	exits := map[fail.Kind]bool{}
	for _, row := range fail.Table() {
		exits[row.Kind] = true
	}
	check := func(x Explanation) {
		t.Helper()
		if x.Code == "" || x.Layer == "" || x.Means == "" || x.Hints == nil || !exits[x.Kind] {
			t.Errorf("%+v", x)
		}
		for _, s := range append(slices.Clone(x.Hints), x.Means) {
			if s == "" || strings.HasSuffix(s, ".") || strings.TrimSpace(s) != s {
				t.Errorf("%s: %q is empty or has a full stop or white space around it", x.Words(), s)
			}
		}
	}
	for code := range tpm2.TPMRC(0x10000) {
		check(Explain(0, code))
	}
	for low := range tpm2.TPMRC(0x100) {
		for layer := range tpm2.TPMRC(16) {
			check(Explain(0, layer<<16|low))
		}
		check(Explain(0, 0x80284000|low))
	}
	for special := range commandCodes() {
		if _, ok := tpmCodes()[special.base]; !ok {
			t.Errorf("%s has an entry for %#x, which has no name", CommandName(special.cc), special.base)
		}
		check(Explain(special.cc, tpm2.TPMRC(special.base)))
	}
	for errno := range linuxErrors {
		x, ok := LookUp(errno)
		if !ok {
			t.Errorf("%s is not found", errno)
		}
		check(x)
	}
}

func TestExplainIsSharperWithTheCommand(t *testing.T) {
	if got, plain := Explain(tpm2.TPMCCLoad, 0x1df), Explain(0, 0x1df); got.Means == plain.Means || got.Name != plain.Name || got.Where != "parameter 1" {
		t.Errorf("for TPM2_Load %+v, for any command %+v", got, plain)
	}
}

func TestLookUp(t *testing.T) {
	for in, want := range map[string]string{
		"0x99d":                  "TPM_RC_POLICY_FAIL",
		"0X99D":                  "TPM_RC_POLICY_FAIL",
		"99d":                    "TPM_RC_POLICY_FAIL",
		"2461":                   "TPM_RC_POLICY_FAIL",
		" 0x0000099d ":           "TPM_RC_POLICY_FAIL",
		"TPM_RC_POLICY_FAIL":     "TPM_RC_POLICY_FAIL",
		"policy_fail":            "TPM_RC_POLICY_FAIL",
		"0x80280400":             "TPM_E_COMMAND_BLOCKED",
		"-2144861184":            "TPM_E_COMMAND_BLOCKED",
		"tbs_e_tpm_not_found":    "TBS_E_TPM_NOT_FOUND",
		"ebusy":                  "EBUSY",
		"0x000a000a":             "TSS2_TCTI_RC_IO_ERROR",
		"TPM_RC_REFERENCE_H0":    "TPM_RC_REFERENCE_H0",
		"0x100000000":            "",
		"no such":                "",
		"":                       "",
		"TPM_RC_":                "",
		"99999999999999999999":   "",
		"TPM_RC_POLICY_FAIL+0x1": "",
	} {
		x, ok := LookUp(in)
		if x.Name != want || ok != (want != "") {
			t.Errorf("%q is %q (%v), want %q", in, x.Name, ok, want)
		}
	}
}

// TestCommandErrorForEveryKind keeps the road from a code to an exit status whole.
func TestCommandErrorForEveryKind(t *testing.T) {
	got := map[fail.Kind]int{}
	for code := range tpm2.TPMRC(0x1000) {
		kind := fail.KindOf(fmt.Errorf("x: %w", &CommandError{tpm2.TPMCCSign, code}))
		got[kind] = kind.Exit()
	}
	want := map[fail.Kind]int{
		fail.Failed: 1, fail.AuthRefused: 3, fail.Unsupported: 5, fail.PolicyMismatch: 6, fail.WrongTPM: 6, fail.AnswerNo: 7,
		fail.Lockout: 8, fail.Usage: 64, fail.BadInput: 65, fail.OutputExists: 73, fail.Temporary: 75, fail.TPMFull: 75,
		fail.Permission: 77,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzLookUp(f *testing.F) {
	for _, s := range []string{"0x99d", "2461", "EBUSY", "TPM_RC_LOCKOUT", "-2144861184", "0x80280400", "0x000a000a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, ok := LookUp(s)
		if ok != (x.Means != "") {
			t.Errorf("%q: found %v, %+v", s, ok, x)
		}
		if again, _ := LookUp(x.Code); ok && again.Code != x.Code {
			t.Errorf("%q is %s, which is %s", s, x.Code, again.Code)
		}
	})
}
