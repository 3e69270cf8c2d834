package engine

import (
	"errors"
	"fmt"
	"io/fs"
)

// StoreErrorKind tells what a caller can do about a StoreError.
type StoreErrorKind int

// The kinds of StoreError.
const (
	StoreFailed     StoreErrorKind = iota // the host failed: disk full, input or output error
	StoreLocked                           // another process holds the state: try again later
	StoreKey                              // the passphrase or key file is missing, unsafe or wrong
	StoreDamaged                          // what is there is not a whole state file
	StoreVersion                          // a newer release wrote the state
	StoreDenied                           // the folder may not be read or written
	StoreRolledBack                       // an older state was put back, or the state was taken away
)

// StoreError says why a state folder cannot be used. Nothing in the folder was changed.
type StoreError struct {
	Kind   StoreErrorKind
	Path   string
	Err    error
	Advice string // what to do, one clause, without a full stop
}

func (e *StoreError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }
func (e *StoreError) Unwrap() error { return e.Err }

const adviceDamaged = "restore the folder from a copy, or move it away to start with a new TPM; nothing was overwritten"

// storeError gives an error of the operating system its kind.
func storeError(path string, err error) error {
	e := &StoreError{Kind: StoreFailed, Path: path, Err: err, Advice: "see that the disk has room and works; the last state that was saved is still there"}
	if known := (*StoreError)(nil); errors.As(err, &known) {
		return known
	}
	if errors.Is(err, fs.ErrPermission) || readOnly(err) {
		e.Kind, e.Advice = StoreDenied, "use a state folder that you own and may write to"
	}
	return e
}

func damageKind(err error) StoreErrorKind {
	if errors.Is(err, errStateVersion) {
		return StoreVersion
	}
	return StoreDamaged
}
