package engine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// makeDir makes a folder that only its owner, administrators and the system can look into. Files in it inherit that.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)")
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	const what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	return windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what, nil, nil, dacl, nil)
}

// tryLock takes a byte far behind the content, so that others can still read who holds the lock: locks bind readers here.
func tryLock(f *os.File) (bool, error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return false, nil
	}
	return false, fmt.Errorf("lock: %w", err)
}

// syncDir has nothing to do: NTFS journals the rename.
func syncDir(*os.File) error { return nil }

// notForOthers has nothing to do: who may write in a folder is in its access list, which makeDir set.
func notForOthers(*os.Root, string) error { return nil }

// private has nothing to do: a file inherits the folder's access list, and the mode bits say nothing.
func private(*os.File, string) error { return nil }

func readOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }
