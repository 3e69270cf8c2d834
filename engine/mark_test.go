package engine_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine"
)

// copyFolder copies the files of a folder, as a backup does.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"state", "host.key", "mark"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// saveNumbers saves that many states, in as many processes.
func saveNumbers(t *testing.T, dir string, opts engine.FileOptions, n int) {
	t.Helper()
	for i := range n {
		s := open(t, dir, opts)
		if _, err := s.Load(); err != nil {
			t.Fatal(err)
		}
		if err := s.Save([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

func TestAnOlderStateThatIsPutBackIsNoticed(t *testing.T) {
	elsewhere := func(t *testing.T) engine.FileOptions {
		return engine.FileOptions{MarkFile: filepath.Join(t.TempDir(), "vm1.mark")}
	}
	beside := func(*testing.T) engine.FileOptions { return engine.FileOptions{} }
	for name, c := range map[string]struct {
		opts  func(*testing.T) engine.FileOptions
		files []string // that are put back
		want  engine.StoreErrorKind
	}{
		"the state alone":                              {beside, []string{"state"}, engine.StoreRolledBack},
		"the state and its key":                        {beside, []string{"state", "host.key"}, engine.StoreRolledBack},
		"the whole folder":                             {beside, []string{"state", "host.key", "mark"}, -1},
		"the whole folder, with the mark kept outside": {elsewhere, []string{"state", "host.key"}, engine.StoreRolledBack},
		"nothing": {beside, nil, -1},
	} {
		t.Run(name, func(t *testing.T) {
			dir, backup, opts := t.TempDir(), t.TempDir(), c.opts(t)
			saveNumbers(t, dir, opts, 3)
			copyFolder(t, dir, backup)
			saveNumbers(t, dir, opts, 1)
			for _, file := range c.files {
				raw, err := os.ReadFile(filepath.Join(backup, file))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, file), raw, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadFile(filepath.Join(dir, "state"))
			s := open(t, dir, opts)
			_, err := s.Load()
			if kindOf(t, err) != c.want {
				t.Fatalf("%v, want kind %v", err, c.want)
			}
			if err == nil {
				return
			}
			if kindOf(t, s.Save([]byte("new"))) != engine.StoreDamaged {
				t.Error("it can be overwritten")
			}
			if after, _ := os.ReadFile(filepath.Join(dir, "state")); string(after) != string(before) {
				t.Error("it was overwritten")
			}
			s.Close()
			e, _ := errors.AsType[*engine.StoreError](err)
			if err := os.Remove(e.Advice[strings.LastIndex(e.Advice, " ")+1:]); err != nil {
				t.Fatalf("the advice %q: %v", e.Advice, err)
			}
			saveNumbers(t, dir, opts, 2) // its owner went on with it
		})
	}
}

func TestAStateThatIsTakenAwayIsNotTakenForANewTPM(t *testing.T) {
	dir := t.TempDir()
	saveNumbers(t, dir, engine.FileOptions{}, 2)
	if err := os.Remove(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, engine.FileOptions{})
	if _, err := s.Load(); kindOf(t, err) != engine.StoreRolledBack {
		t.Fatal(err)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	if blob, err := s.Load(); blob != nil || err != nil {
		t.Errorf("after Discard: %q, %v", blob, err)
	}
	if err := s.Save([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Info(); err != nil || info.Generation != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}

// What a crash may leave of the mark: that of an earlier save, nothing, or no number at all.
func TestACrashNeverMakesAGoodStateLookOld(t *testing.T) {
	for name, left := range map[string]string{
		"the mark of an earlier save": "00000000000000000001\n", "an empty file": "", "zeros": strings.Repeat("\x00", 21), "half a number": "0000000000", "no such number": strings.Repeat("9", 20) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			saveNumbers(t, dir, engine.FileOptions{}, 3)
			if err := os.WriteFile(filepath.Join(dir, "mark"), []byte(left), 0o600); err != nil {
				t.Fatal(err)
			}
			saveNumbers(t, dir, engine.FileOptions{}, 1)
			if text, err := os.ReadFile(filepath.Join(dir, "mark")); string(text) != "00000000000000000004\n" {
				t.Errorf("then the mark is %q, %v", text, err)
			}
		})
	}
}

func TestAMarkThatCannotBeKeptIsSaid(t *testing.T) {
	opts := engine.FileOptions{MarkFile: filepath.Join(t.TempDir(), "no such folder", "mark")}
	if _, err := engine.OpenFileStore(t.Context(), t.TempDir(), opts); kindOf(t, err) == -1 {
		t.Error(err)
	}
}

func TestLinksInTheFolderLeadNowhereElse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("making a link needs a privilege on Windows")
	}
	for _, name := range []string{"lock", "mark", "state.new", "host.key.new", "host.key", "state"} {
		t.Run(name, func(t *testing.T) {
			dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			s, err := engine.OpenFileStore(t.Context(), dir, engine.FileOptions{})
			if err == nil {
				defer s.Close()
				if _, err = s.Load(); err == nil {
					err = s.Save([]byte("state"))
				}
			}
			if leftover := strings.HasSuffix(name, ".new"); leftover != (err == nil) {
				t.Errorf("opened and saved: %v", err)
			}
			if kept, _ := os.ReadFile(victim); string(kept) != "precious" {
				t.Errorf("the file that %s leads to became %q", name, kept)
			}
		})
	}
}

func TestWhatACrashLeftIsNotWrittenInto(t *testing.T) {
	dir := t.TempDir()
	left, other := filepath.Join(dir, "state.new"), filepath.Join(dir, "its other name")
	if err := errors.Join(os.WriteFile(left, []byte("left"), 0o644), os.Link(left, other)); err != nil {
		t.Fatal(err)
	}
	saveNumbers(t, dir, engine.FileOptions{}, 1)
	if kept, err := os.ReadFile(other); string(kept) != "left" {
		t.Errorf("%q, %v", kept, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "state")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAFolderInWhichEverybodyMayWriteIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a folder says nothing on Windows")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.OpenFileStore(t.Context(), dir, engine.FileOptions{}); kindOf(t, err) != engine.StoreDenied {
		t.Error(err)
	}
}
