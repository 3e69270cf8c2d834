//go:build !windows

package tpm

import (
	"runtime"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func openTBS() (link, error) {
	return nil, fail.E(fail.Unsupported, "tbs is Windows' way to the TPM, and this is %s", runtime.GOOS).
		Hint("on Linux the TPM is reached with --tpm dev:/dev/tpmrm0")
}

// MeasuredBootLog is an event log as Windows keeps it. Elsewhere there is none.
func MeasuredBootLog(BootLog) ([]byte, error) {
	return nil, fail.E(fail.Unsupported, "measured boot logs are kept by Windows, and this is %s", runtime.GOOS).
		Hint("on Linux the log is /sys/kernel/security/tpm0/binary_bios_measurements")
}
