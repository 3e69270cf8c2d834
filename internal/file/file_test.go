package file_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
)

func TestWriteNeverReplacesUnlessForced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	if err := file.Write(path, []byte("one"), file.Secret, false); err != nil {
		t.Fatal(err)
	}
	if err := file.Write(path, []byte("two"), file.Secret, false); fail.KindOf(err) != fail.OutputExists {
		t.Errorf("second write: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "one" {
		t.Errorf("file holds %q", got)
	}
	if err := file.Write(path, []byte("two"), file.Secret, true); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "two" {
		t.Errorf("file holds %q", got)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestWhatCouldNotBeFilledIsNotThere(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("half of it")
	err := file.Fill(filepath.Join(dir, "out"), file.Shared, false, func(w io.Writer) error {
		if _, err := w.Write([]byte("half")); err != nil {
			return err
		}
		return broken
	})
	entries, readErr := os.ReadDir(dir)
	if !errors.Is(err, broken) || readErr != nil || len(entries) != 0 {
		t.Errorf("%v; %v, %v", err, entries, readErr)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	p, err := file.Create(filepath.Join(dir, "out"), file.Shared, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	p.Abort()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestForceDoesNotReplaceAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := file.Write(dir, nil, file.Shared, true); fail.KindOf(err) != fail.OutputExists {
		t.Errorf("got %v", err)
	}
}

func TestReadBoundsAndNamesTheInput(t *testing.T) {
	got, err := file.Read("-", bytes.NewReader([]byte("12345")), 5)
	if err != nil || string(got) != "12345" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := file.Read("-", bytes.NewReader([]byte("123456")), 5); fail.KindOf(err) != fail.BadInput {
		t.Errorf("too long: %v", err)
	}
	_, err = file.Read(filepath.Join(t.TempDir(), "nowhere"), nil, 5)
	if fail.KindOf(err) != fail.MissingInput || !strings.Contains(err.Error(), "nowhere cannot be read") {
		t.Errorf("missing: %v", err)
	}
	if err := file.Write(filepath.Join(t.TempDir(), "no", "dir"), nil, file.Shared, false); fail.KindOf(err) != fail.OutputFailed {
		t.Errorf("no folder: %v", err)
	}
}

func TestADirectoryIsNoInput(t *testing.T) {
	dir := t.TempDir()
	_, err := file.Read(dir, nil, 5)
	if fail.KindOf(err) != fail.BadInput || strings.Count(err.Error(), dir) != 1 {
		t.Errorf("%s: %v", fail.KindOf(err), err)
	}
}

func TestADashIsNoNameOfAFile(t *testing.T) {
	if err := file.Write("-", nil, file.Shared, true); fail.KindOf(err) != fail.Usage {
		t.Errorf("got %v", err)
	}
}
