package tpm

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"
)

func TestTraceNamesCommandsHandlesAndCodes(t *testing.T) {
	fake := newFakeTPM()
	fake.answers[tpm2.TPMCCCreatePrimary] = func([]byte) []byte { return handleResponse(0x80000001) }
	fake.answers[tpm2.TPMCCFlushContext] = func([]byte) []byte { return response(tpm2.TPMRCSuccess, nil) }
	fake.answers[tpm2.TPMCCUnseal] = func([]byte) []byte { return response(0x99d, nil) }
	var out bytes.Buffer
	traced := trace(&out)(fake)
	for _, cmd := range [][]byte{
		withPassword(tpm2.TPMCCCreatePrimary, "", nil, tpm2.TPMRHOwner),
		withPassword(tpm2.TPMCCUnseal, "", nil, 0x80000001),
		flushCommand(0x80000001),
		noSessions(0x20001234, nil),
	} {
		if _, err := traced.Send(cmd); err != nil {
			t.Fatal(err)
		}
	}
	want := `tpm: TPM2_CreatePrimary 0x40000001: ok, 0x80000001
tpm: TPM2_Unseal 0x80000001: TPM_RC_POLICY_FAIL (0x99d, session 1)
tpm: TPM2_FlushContext 0x80000001: ok
tpm: TPM2_CC(0x20001234): TPM_RC_COMMAND_CODE (0x143)
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestTraceKeepsSecrets sends every known command with a secret in each place that can hold one.
func TestTraceKeepsSecrets(t *testing.T) {
	secret := "\xf0\x9f\x94\x91 open sesame"
	var out bytes.Buffer
	for cc := range commandShapes {
		params := []byte(secret)
		if cc == tpm2.TPMCCFlushContext || cc == tpm2.TPMCCEvictControl {
			params = append(u32(0x81000000), secret...) // these two start with a handle, which is shown
		}
		handles := make([]tpm2.TPMHandle, commandShapes[cc].handles)
		answer := response(tpm2.TPMRCSuccess, []byte(secret))
		if commandShapes[cc].answers {
			answer = response(tpm2.TPMRCSuccess, append(u32(0x80000000), secret...))
		}
		traced := trace(&out)(senderFunc(func([]byte) ([]byte, error) { return answer, nil }))
		for _, cmd := range [][]byte{withPassword(cc, secret, params, handles...), noSessions(cc, append(make([]byte, 4*len(handles)), params...))} {
			if _, err := traced.Send(cmd); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2*len(commandShapes) {
		t.Errorf("%d lines, want one for each of %d commands", lines, 2*len(commandShapes))
	}
	for i := range len(secret) - 3 {
		part := secret[i : i+4]
		if strings.Contains(out.String(), part) || strings.Contains(strings.ToLower(out.String()), hex.EncodeToString([]byte(part))) {
			t.Errorf("the trace holds %q of the secret", part)
		}
	}
}

// FuzzLayers feeds arbitrary messages to everything that looks into them: no panic, the command passed on unchanged,
// and the trace made of printable ASCII.
func FuzzLayers(f *testing.F) {
	f.Add(noSessions(tpm2.TPMCCGetRandom, []byte{0, 4}), response(tpm2.TPMRCSuccess, []byte{0, 1, 2}))
	f.Add(withPassword(tpm2.TPMCCEvictControl, "pw", u32(0x81000001), tpm2.TPMRHOwner, 0x80000001), response(0x9a2, nil))
	f.Add(withPassword(tpm2.TPMCCNVDefineSpace, "pw", nvPublic(0x01500000), tpm2.TPMRHOwner), response(0, nil))
	f.Add(withPassword(tpm2.TPMCCCreatePrimary, "", nil, tpm2.TPMRHOwner), handleResponse(0x80000000))
	f.Fuzz(func(t *testing.T, cmd, rsp []byte) {
		var lines bytes.Buffer
		base := senderFunc(func(got []byte) ([]byte, error) {
			if !bytes.Equal(got, cmd) {
				t.Errorf("sent %x, arrived %x", cmd, got)
			}
			return rsp, nil
		})
		seen := refusals{}
		got, err := stack(base, guard(everything, 0x81000001), seen.layer, retry(t.Context(), retryPolicy{}), trace(&lines)).Send(cmd)
		if err == nil && !bytes.Equal(got, rsp) {
			t.Errorf("answered %x, arrived %x", rsp, got)
		}
		for _, c := range lines.Bytes() {
			if c != '\n' && (c < ' ' || c > '~') {
				t.Errorf("trace %q", lines.String())
			}
		}
		if checkResponse(rsp) == nil {
			new(tracker).saw(cmd, rsp)
		}
	})
}
