package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/engine"
)

func open(t testing.TB, dir string, opts engine.FileOptions) *engine.FileStore {
	t.Helper()
	s, err := engine.OpenFileStore(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// kindOf is the kind of a StoreError, or -1. It also checks that the error says what to do.
func kindOf(t *testing.T, err error) engine.StoreErrorKind {
	t.Helper()
	e, ok := errors.AsType[*engine.StoreError](err)
	if !ok {
		return -1
	}
	if e.Advice == "" || !strings.Contains(e.Error(), e.Path) {
		t.Errorf("%v: advice %q", err, e.Advice)
	}
	return e.Kind
}

func TestFileStoreGivesBackWhatItWasGiven(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, bytes.Repeat([]byte("k"), 32), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string]engine.FileOptions{
		"a host key": {}, "a passphrase": {Passphrase: []byte("open sesame")}, "a key file": {KeyFile: keyFile},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "state")
			s := open(t, dir, opts)
			if blob, err := s.Load(); blob != nil || err != nil {
				t.Fatalf("a new folder holds %x, %v", blob, err)
			}
			var want []byte
			for i := range 3 {
				want = bytes.Repeat([]byte("seed "), 100+i)
				if err := s.Save(want); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			again := open(t, dir, opts)
			if blob, err := again.Load(); err != nil || !bytes.Equal(blob, want) {
				t.Fatalf("%q, %v", blob, err)
			}
			if err := again.Save([]byte("more")); err != nil {
				t.Fatal(err)
			}
			if blob, err := again.Load(); err != nil || string(blob) != "more" {
				t.Errorf("%q, %v", blob, err)
			}
			for _, file := range files(t, dir) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(raw, []byte("seed ")) || bytes.Contains(raw, []byte("more")) {
					t.Errorf("%s holds the state in the clear", file)
				}
				if info, _ := os.Stat(file); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %v", file, info.Mode())
				}
			}
			if info, _ := os.Stat(dir); runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
				t.Errorf("the folder has mode %v", info.Mode())
			}
		})
	}
}

func files(t *testing.T, dir string) (paths []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths
}

func TestEachSaveIsEncryptedAnew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, engine.FileOptions{})
	var seen [2][]byte
	for i := range seen {
		if err := s.Save([]byte("the same")); err != nil {
			t.Fatal(err)
		}
		seen[i], _ = os.ReadFile(filepath.Join(dir, "state"))
	}
	if bytes.Equal(seen[0], seen[1]) {
		t.Error("the same state gave the same file twice")
	}
}

func TestFileStoreRefusesAWrongOrMissingKey(t *testing.T) {
	for name, c := range map[string]struct {
		made, given engine.FileOptions
		spoil       func(dir string) error
	}{
		"another passphrase":                  {engine.FileOptions{Passphrase: []byte("a")}, engine.FileOptions{Passphrase: []byte("b")}, nil},
		"no passphrase":                       {engine.FileOptions{Passphrase: []byte("a")}, engine.FileOptions{}, nil},
		"a passphrase where the host key was": {engine.FileOptions{}, engine.FileOptions{Passphrase: []byte("a")}, nil},
		"the host key is gone": {engine.FileOptions{}, engine.FileOptions{}, func(dir string) error {
			return os.Remove(filepath.Join(dir, "host.key"))
		}},
		"the host key is cut short": {engine.FileOptions{}, engine.FileOptions{}, func(dir string) error {
			return os.Truncate(filepath.Join(dir, "host.key"), 31)
		}},
		"the host key is another": {engine.FileOptions{}, engine.FileOptions{}, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "host.key"), make([]byte, 32), 0o600)
		}},
		"the key file is elsewhere": {engine.FileOptions{}, engine.FileOptions{KeyFile: "no such file"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, c.made)
			if err := s.Save([]byte("state")); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if c.spoil != nil {
				if err := c.spoil(dir); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadFile(filepath.Join(dir, "state"))
			again := open(t, dir, c.given)
			blob, err := again.Load()
			if kindOf(t, err) != engine.StoreKey || blob != nil {
				t.Errorf("Load = %q, %v", blob, err)
			}
			if err := again.Save([]byte("other")); kindOf(t, err) != engine.StoreDamaged {
				t.Errorf("Save over a state that was not loaded: %v", err)
			}
			if after, _ := os.ReadFile(filepath.Join(dir, "state")); !bytes.Equal(before, after) {
				t.Error("the state was overwritten")
			}
		})
	}
}

func TestFileStoreRefusesAKeyThatOthersCanRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a file says nothing on Windows")
	}
	dir := t.TempDir()
	s := open(t, dir, engine.FileOptions{})
	if err := s.Save([]byte("state")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "host.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); kindOf(t, err) != engine.StoreKey {
		t.Error(err)
	}
}

func TestFileStoreRefusesEveryDamageAndOverwritesNone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, engine.FileOptions{})
	if err := s.Save([]byte("state")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	path := filepath.Join(dir, "state")
	whole, _ := os.ReadFile(path)
	damaged := map[string][]byte{"empty": {}, "longer": append(bytes.Clone(whole), 0)}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		damaged["bit flipped at "+strconv.Itoa(i)] = flipped
		damaged["cut at "+strconv.Itoa(i)] = whole[:i]
	}
	for name, raw := range damaged {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, engine.FileOptions{})
		_, err := s.Load()
		if kind := kindOf(t, err); kind != engine.StoreDamaged && kind != engine.StoreVersion {
			t.Errorf("%s: %v", name, err)
		}
		if kindOf(t, s.Save([]byte("new"))) != engine.StoreDamaged {
			t.Errorf("%s: overwritten", name)
		}
		s.Close()
	}
}

func TestAStateFileOfAnOlderVersionIsTakenUp(t *testing.T) {
	for _, version := range []uint16{1, 2} {
		dir, key, seed, blob := t.TempDir(), bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), []byte("what an older version saved")
		for name, data := range map[string][]byte{"host.key": key, "state": engine.OldStateFileForTest(version, key, seed, blob)} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir, engine.FileOptions{})
		if got, err := s.Load(); err != nil || !bytes.Equal(got, blob) {
			t.Errorf("version %d: %q, %v", version, got, err)
		}
		if err := errors.Join(s.Save([]byte("newer")), s.Close()); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		if got, err := open(t, dir, engine.FileOptions{}).Load(); err != nil || string(got) != "newer" {
			t.Errorf("after version %d: %q, %v", version, got, err)
		}
	}
}

// A key belongs to one process and a nonce to one file: the same state twice looks different, and so does the key's seed in the
// next process.
func TestNoTwoStateFilesAreEncryptedAlike(t *testing.T) {
	dir := t.TempDir()
	save := func(s *engine.FileStore) (seed, sealed string) {
		if err := s.Save(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw[18:50]), string(raw[62 : len(raw)-32])
	}
	first := open(t, dir, engine.FileOptions{})
	seed1, sealed1 := save(first)
	seed2, sealed2 := save(first)
	first.Close()
	second := open(t, dir, engine.FileOptions{})
	if _, err := second.Load(); err != nil {
		t.Fatal(err)
	}
	seed3, _ := save(second)
	if seed1 != seed2 || seed1 == seed3 {
		t.Errorf("seeds %x, %x of one process, %x of the next", seed1, seed2, seed3)
	}
	if len(sealed1) != 12+64+16 || sealed1[:12] == sealed2[:12] || sealed1[12:] == sealed2[12:] {
		t.Errorf("%x and %x", sealed1, sealed2)
	}
}

func TestANewerStateIsNotCalledDamaged(t *testing.T) {
	dir := t.TempDir()
	raw := engine.FinishStateFileForTest(append([]byte("VTPMSTAT\xff\xff"), make([]byte, 60)...), nil)
	if err := os.WriteFile(filepath.Join(dir, "state"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, engine.FileOptions{}).Load(); kindOf(t, err) != engine.StoreVersion {
		t.Error(err)
	}
}

func TestASecondProcessWaitsAndIsToldWhoHoldsTheState(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, engine.FileOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := engine.OpenFileStore(ctx, dir, engine.FileOptions{})
	if kindOf(t, err) != engine.StoreLocked || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("process %d holds the state", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%v does not say %q", err, want)
	}
	opened := make(chan error)
	go func() {
		s, err := engine.OpenFileStore(t.Context(), dir, engine.FileOptions{})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	first.Close()
	if err := <-opened; err != nil {
		t.Errorf("after the first let go: %v", err)
	}
}

func TestAFolderThatCannotBeMadeIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.OpenFileStore(t.Context(), filepath.Join(file, "state"), engine.FileOptions{}); kindOf(t, err) == -1 {
		t.Errorf("a folder inside a file: %v", err)
	}
}

func TestAFolderThatMayNotBeWrittenIsSaid(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("the mode of a folder binds neither root nor Windows")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.OpenFileStore(t.Context(), dir, engine.FileOptions{}); kindOf(t, err) != engine.StoreDenied || !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func FuzzStateFile(f *testing.F) {
	header := engine.EncodeStateHeaderForTest(600_000, make([]byte, 16), make([]byte, 32))
	whole := engine.FinishStateFileForTest(header, []byte("sealed"))
	f.Add(whole)
	f.Add(whole[:40])
	f.Add([]byte("VTPMSTAT"))
	f.Add(append([]byte("VTPMSTAT\x00\x01\x00\x01\x00\x00\x00\x00\xff\xff"), 1, 2, 3))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if again, err := engine.DecodeStateFileForTest(raw); err == nil && !bytes.Equal(again, raw) {
			t.Errorf("%x came back as %x", raw, again)
		}
	})
}

func BenchmarkFileStoreSave16K(b *testing.B) {
	s := open(b, b.TempDir(), engine.FileOptions{})
	blob := make([]byte, 16<<10)
	for b.Loop() {
		if err := s.Save(blob); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFileStoreLoad1M(b *testing.B) {
	s := open(b, b.TempDir(), engine.FileOptions{})
	if err := s.Save(make([]byte, 1<<20)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Load(); err != nil {
			b.Fatal(err)
		}
	}
}
