package tpm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// openFake is a Conn to a fake TPM.
func openFake(t *testing.T, fake *fakeTPM, o Options) *conn {
	t.Helper()
	return newConn(t.Context(), fake.link(), Target{Scheme: Replay, Path: "fake"}, o)
}

func TestAnnotateNamesTheRefusedCommand(t *testing.T) {
	fake := newFakeTPM()
	fake.answers[tpm2.TPMCCUnseal] = func([]byte) []byte { return response(0x99d, nil) }
	fake.answers[tpm2.TPMCCFlushContext] = func([]byte) []byte { return response(0x1c4, nil) }
	c := openFake(t, fake, Options{})
	_, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: 0x80000000, Name: tpm2.TPM2BName{Buffer: []byte{0, 11}}, Auth: tpm2.PasswordAuth(nil)}}.Execute(c)
	if err == nil {
		t.Fatal("no error")
	}
	if _, err := (tpm2.FlushContext{FlushHandle: tpm2.TPMHandle(0x80000000)}).Execute(c); err == nil { // the cleaning-up is refused as well
		t.Fatal("no error")
	}

	const means = "the PCRs, or what else the secret was sealed to, are not as they were"
	for name, tt := range map[string]struct {
		err     error
		message string
	}{
		"the bare code":            {err, means},
		"joined with nothing":      {errors.Join(err, nil), means},
		"the caller's words":       {fmt.Errorf("not opened: %w", err), "not opened: " + means},
		"a classification of ours": {fail.E(fail.WrongTPM, "not here: %w", err).Hint("go elsewhere"), "not here: " + means},
	} {
		t.Run(name, func(t *testing.T) {
			got := Annotate(c, tt.err)
			e, ok := errors.AsType[*CommandError](got)
			if !ok {
				t.Fatalf("%v is not annotated", got)
			}
			if e.Command != tpm2.TPMCCUnseal || e.Error() != "TPM2_Unseal: TPM_RC_POLICY_FAIL (0x99d, session 1)" {
				t.Errorf("it names %q", e)
			}
			if !errors.Is(got, tpm2.TPMRCPolicyFail) {
				t.Error("errors.Is does not find the code")
			}
			wantKind, wantHints := fail.PolicyMismatch, []string{"vtpmctl sealed why FILE names what differs"}
			if k := fail.KindOf(tt.err); k == fail.WrongTPM {
				wantKind, wantHints = k, append([]string{"go elsewhere"}, wantHints...)
			}
			if k := fail.KindOf(got); k != wantKind {
				t.Errorf("kind %q, want %q", k, wantKind)
			}
			if diff := cmp.Diff(wantHints, fail.HintsOf(got)); diff != "" {
				t.Error(diff)
			}
			if got.Error() != tt.message {
				t.Errorf("the message became %q, want %q", got, tt.message)
			}
			if again := Annotate(c, got); again != got {
				t.Errorf("annotated twice: %v", again)
			}
		})
	}
}

func TestAnnotateLeavesOtherErrorsAlone(t *testing.T) {
	c := openFake(t, newFakeTPM(), Options{})
	for _, err := range []error{nil, io.EOF, fmt.Errorf("x: %w", context.Canceled), tpm2.TPMRCLockout} {
		if got := Annotate(c, err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
