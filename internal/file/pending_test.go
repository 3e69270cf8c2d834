package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// A closed file stands for a full disk, which a test cannot have everywhere.
func TestWhatCouldNotBeWrittenGetsNoName(t *testing.T) {
	dir := t.TempDir()
	p, err := Create(filepath.Join(dir, "out"), Secret, false)
	if err != nil {
		t.Fatal(err)
	}
	p.f.Close()
	if _, err := p.Write([]byte("half")); fail.KindOf(err) != fail.OutputFailed {
		t.Errorf("Write: %s: %v", fail.KindOf(err), err)
	}
	if err := p.Commit(); fail.KindOf(err) != fail.OutputFailed {
		t.Errorf("Commit: %s: %v", fail.KindOf(err), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
