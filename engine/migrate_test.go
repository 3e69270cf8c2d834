package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// A folder as the first layout of state and file left it: see testdata/PROVENANCE.md.
func TestAStateOfTheFirstVersionIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"state", "host.key"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "state-v1", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f := newFixture(t, func(c *engine.Config) { c.Store = open(t, dir, engine.FileOptions{}) })
	measured := sha256.Sum256([]byte("golden"))
	want := sha256.Sum256(append(make([]byte, 32), measured[:]...))
	for range 2 { // as it was, and as this version wrote it
		if n := (index{t, f, 0x01800001}).number(); n != 3 {
			t.Errorf("the counter is %d", n)
		}
		if data := run(t, f, index{t, f, 0x01800002}.read(8, 0)).Data.Buffer; string(data) != "12345678" {
			t.Errorf("NV data %q", data)
		}
		name := run(t, f, tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(0x81000001)}).Name.Buffer
		if got := hex.EncodeToString(name); got != "000ba68da4450826464a77fbd9df426e87df7a2b6e18c3b2de418f1fd9b9598caeb1" {
			t.Errorf("the persistent key is %s", got)
		}
		if pcr := readPCR(t, f, tpm2.TPMAlgSHA256, 16); !bytes.Equal(pcr, want[:]) {
			t.Errorf("PCR 16 is %x", pcr)
		}
		if n := failedTries(t, f); n != 1 {
			t.Errorf("%d failed tries", n)
		}
		sessions := run(t, f, tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x02000000, PropertyCount: 9})
		if h, err := sessions.CapabilityData.Data.Handles(); err != nil || len(h.Handle) != 1 {
			t.Errorf("sessions %v, %v", h, err)
		}
		if f.ResetPolicy() != engine.ResetExplicitly {
			t.Errorf("the reset policy is %v", f.ResetPolicy())
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f.cfg.Store = open(t, dir, engine.FileOptions{})
		f.open(t)
	}
}
