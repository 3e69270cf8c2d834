//go:build !linux

package tpm

import (
	"runtime"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func openDevice(path string) (link, error) {
	return nil, fail.E(fail.Unsupported, "%s: TPM device files exist on Linux only, this is %s", path, runtime.GOOS).
		Hint("on Windows the TPM is reached with --tpm tbs")
}
