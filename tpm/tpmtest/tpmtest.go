// Package tpmtest gives tests a TPM: vtpmctl's engine in memory, or a recorded one. Only tests import it.
package tpmtest

import (
	"testing"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Everything allows all effects: for tests that are not about the guard.
const Everything = tpm.Extends | tpm.Persists | tpm.WritesNV | tpm.UsesDA | tpm.Clears

// Engine is a new TPM in memory behind the layers of tpm.Open. It is closed with the test.
func Engine(t testing.TB, o tpm.Options) tpm.Conn {
	t.Helper()
	return From(t, engine.Config{}, o)
}

// From is a TPM made of cfg: with a store that outlives it, another profile, or a clock and randomness of the test's.
func From(t testing.TB, cfg engine.Config, o tpm.Options) tpm.Conn {
	t.Helper()
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tpm.FromEngine(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Replay is the TPM of a transcript (tpm.Options.Record writes one). The code under test must send the very same
// commands, so whatever it draws at random must be fixed, for instance by testing/cryptotest.
func Replay(t testing.TB, path string) tpm.Conn {
	t.Helper()
	c, err := tpm.Open(t.Context(), "replay:"+path, tpm.Options{Allow: Everything})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
