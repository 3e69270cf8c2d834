package tpm

import "github.com/vtpmctl/vtpmctl/internal/fail"

func openEngine(dir string) (link, error) {
	return nil, fail.E(fail.Unsupported, "engine:%s: this build carries no engine", dir).
		Hint("name a TPM with --tpm")
}
