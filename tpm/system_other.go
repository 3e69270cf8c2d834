//go:build !linux && !windows

package tpm

// systemTargets is empty: no system but Linux and Windows has a TPM interface that this package speaks.
var systemTargets []Target
