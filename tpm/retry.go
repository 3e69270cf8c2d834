package tpm

import (
	"context"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// retryPolicy bounds how often and how long a command is sent again that the TPM was not ready for.
type retryPolicy struct {
	Limit int           // attempts after the first
	First time.Duration // wait before the second attempt; every further wait is twice as long
	Most  time.Duration // longest wait between two attempts
}

// defaultRetry gives a TPM that tests itself, or whose NV needs to rest, about 20 seconds.
var defaultRetry = retryPolicy{Limit: 12, First: 10 * time.Millisecond, Most: 4 * time.Second}

// notReady are the warnings after which the very same bytes may be sent again: the TPM has not started on the command,
// and has neither used up a nonce nor ended a session (part 2, section 6.6.3).
var notReady = []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate}

// retry sends a command again while the TPM says it is not ready. When the attempts are used up, the TPM's last answer
// stands; when ctx ends first, its error does.
func retry(ctx context.Context, p retryPolicy) layer {
	return func(next Sender) Sender {
		return senderFunc(func(cmd []byte) ([]byte, error) {
			wait := p.First
			for attempt := 0; ; attempt++ {
				rsp, err := next.Send(cmd)
				if err != nil || attempt == p.Limit || !isNotReady(rsp) {
					return rsp, err
				}
				if !sleep(ctx, wait) {
					return nil, waitError(ctx)
				}
				wait = min(2*wait, p.Most)
			}
		})
	}
}

func isNotReady(rsp []byte) bool {
	return len(rsp) >= headerSize && slices.Contains(notReady, responseCode(rsp))
}

// sleep waits and tells whether it was let finish.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
