package tpm

import "github.com/vtpmctl/vtpmctl/internal/fail"

// systemTargets is the order of auto.
var systemTargets = []Target{{Scheme: TBS}}

func openTBS() (link, error) {
	return nil, fail.E(fail.NoTPM, "the TPM Base Services are not reached yet")
}
