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
