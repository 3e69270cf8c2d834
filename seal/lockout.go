package seal

import (
	"fmt"
	"time"

	"github.com/vtpmctl/vtpmctl/tpm"
)

// forgets is how long a TPM takes to forget one wrong try; 0 is for ever.
func forgets(l tpm.Lockout) time.Duration { return time.Duration(l.RecoverySeconds) * time.Second }

// triesLeft says how many wrong PINs the TPM will still take.
func triesLeft(l tpm.Lockout) string {
	left := l.MaxTries - min(l.FailedTries, l.MaxTries)
	text := fmt.Sprintf("%d of %d tries are left until the TPM locks", left, l.MaxTries)
	if l.RecoverySeconds > 0 {
		text += fmt.Sprintf("; every %s one wrong try is forgotten", forgets(l))
	}
	return text
}

// waitForTry says how long to wait for the next try.
func waitForTry(l tpm.Lockout) string {
	if l.RecoverySeconds == 0 {
		return "this TPM never forgets a wrong try: its lockout password has to reset the counter"
	}
	return fmt.Sprintf("one try is possible within %s, all %d after %s; or reset the counter with the lockout password",
		forgets(l), l.MaxTries, time.Duration(l.FailedTries)*forgets(l))
}
