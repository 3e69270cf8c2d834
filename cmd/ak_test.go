package cmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/quote"
)

// counted counts the commands that reach a TPM.
type counted struct {
	*engine.TPM
	n int
}

func (c *counted) Send(cmd []byte) ([]byte, error) { c.n++; return c.TPM.Send(cmd) }

// A key whose file cannot be written must not stay in the TPM, where only a handle would tell of it; and where the TPM does
// not take the key, no file may name a handle that is not the key's.
func TestAKeyIsKeptInFileAndTPMOrInNeither(t *testing.T) {
	emulated, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tpm := &counted{TPM: emulated}
	key, err := quote.CreateIn(tpm, "ecc", "srk")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pending := func(name string) *file.Pending {
		p, err := file.Create(filepath.Join(dir, name), file.Secret, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Abort)
		return p
	}

	unwritable := pending("full.json")
	unwritable.Abort() // its descriptor is closed: a write fails as it does on a full disk
	before := tpm.n
	if err := keepKey(tpm, key, unwritable, 0x81010010); fail.KindOf(err) != fail.OutputFailed {
		t.Errorf("a file that cannot be written: %s: %v", fail.KindOf(err), err)
	}
	if tpm.n != before {
		t.Errorf("%d commands went to the TPM for a key that has no file", tpm.n-before)
	}

	if err := keepKey(tpm, key, pending("first.json"), 0x81010010); err != nil {
		t.Fatal(err)
	}
	second := pending("second.json")
	if err := keepKey(tpm, key, second, 0x81010010); err == nil {
		t.Error("a handle that is taken was given to another key")
	}
	second.Abort()
	if _, err := os.Stat(filepath.Join(dir, "second.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a key that the TPM did not take: %v", err)
	}
	kept, err := quote.List(tpm)
	if err != nil || len(kept) != 1 {
		t.Errorf("%d keys are kept in the TPM: %v", len(kept), err)
	}
}
