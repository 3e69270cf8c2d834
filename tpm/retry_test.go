package tpm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// warmUp answers with rc until it was asked often enough.
func warmUp(rc tpm2.TPMRC, times int, asked *int) Sender {
	return senderFunc(func([]byte) ([]byte, error) {
		if *asked++; *asked <= times {
			return response(rc, nil), nil
		}
		return response(tpm2.TPMRCSuccess, nil), nil
	})
}

func TestRetry(t *testing.T) {
	policy := retryPolicy{Limit: 4, First: 10 * time.Millisecond, Most: 40 * time.Millisecond}
	for name, tt := range map[string]struct {
		rc     tpm2.TPMRC
		times  int
		asked  int
		answer tpm2.TPMRC
		took   time.Duration
	}{
		"ready at once":                     {tpm2.TPMRCRetry, 0, 1, tpm2.TPMRCSuccess, 0},
		"RETRY, once":                       {tpm2.TPMRCRetry, 1, 2, tpm2.TPMRCSuccess, 10 * time.Millisecond},
		"YIELDED, twice":                    {tpm2.TPMRCYielded, 2, 3, tpm2.TPMRCSuccess, 30 * time.Millisecond},
		"TESTING, up to the longest wait":   {tpm2.TPMRCTesting, 4, 5, tpm2.TPMRCSuccess, 110 * time.Millisecond},
		"NV_RATE for longer than is waited": {tpm2.TPMRCNVRate, 99, 5, tpm2.TPMRCNVRate, 110 * time.Millisecond},
		"LOCKOUT is not for waiting":        {tpm2.TPMRCLockout, 1, 1, tpm2.TPMRCLockout, 0},
		"PCR_CHANGED needs a fresh session": {tpm2.TPMRCPCRChanged, 1, 1, tpm2.TPMRCPCRChanged, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, start := 0, time.Now()
				rsp, err := retry(t.Context(), policy)(warmUp(tt.rc, tt.times, &asked)).Send(noSessions(tpm2.TPMCCSelfTest, []byte{1}))
				if err != nil {
					t.Fatal(err)
				}
				if got := responseCode(rsp); got != tt.answer || asked != tt.asked || time.Since(start) != tt.took {
					t.Errorf("answer %v after %d attempts in %v, want %v, %d, %v", got, asked, time.Since(start), tt.answer, tt.asked, tt.took)
				}
			})
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Millisecond)
		defer cancel()
		asked, start := 0, time.Now()
		_, err := retry(ctx, retryPolicy{Limit: 99, First: 10 * time.Millisecond, Most: time.Hour})(warmUp(tpm2.TPMRCRetry, 99, &asked)).
			Send(noSessions(tpm2.TPMCCSelfTest, []byte{1}))
		if fail.KindOf(err) != fail.Timeout || time.Since(start) != 25*time.Millisecond {
			t.Errorf("after %v: error %v of kind %q, want %q after 25ms", time.Since(start), err, fail.KindOf(err), fail.Timeout)
		}
	})
}
