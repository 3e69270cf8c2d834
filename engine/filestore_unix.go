//go:build unix

package engine

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// makeDir makes a folder that only its owner can look into.
func makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// tryLock takes the lock of the whole file, which ends with the process if not before.
func tryLock(f *os.File) (bool, error) {
	err := again(func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, nil
	}
	return false, fmt.Errorf("lock: %w", err)
}

// again makes a call until no signal gets in its way.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// syncDir makes the renames in a folder durable. A file system that cannot sync one has done that in its own way, or never
// will.
func syncDir(dir *os.File) error {
	if err := dir.Sync(); !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// notForOthers refuses a folder in which every user may write: they could put anything in the place of anything.
func notForOthers(dir *os.Root, path string) error {
	info, err := dir.Stat(".")
	if err != nil {
		return storeError(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return &StoreError{Kind: StoreDenied, Path: path, Err: fmt.Errorf("mode %#o lets every user write there", mode), Advice: "chmod 700 " + path}
	}
	return nil
}

// private refuses a secret file that others may read.
func private(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return storeError(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &StoreError{Kind: StoreKey, Path: path, Err: fmt.Errorf("mode %#o lets others read the key", mode), Advice: "chmod 600 " + path}
	}
	return nil
}

func readOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
