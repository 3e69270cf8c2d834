// Package fail names every way vtpmctl can fail, once: each Kind is a stable word for scripts, has one exit status and
// one sentence of meaning. `vtpmctl help exit-codes` prints the table. It touches nothing.
package fail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Kind is a class of failure, stable across releases and printed as "kind" in JSON errors.
type Kind string

// The kinds. Their exit status and meaning stand in Table.
const (
	Failed         Kind = "failed"
	AuthRefused    Kind = "auth_refused"
	NoTPM          Kind = "no_tpm"
	TPMBusy        Kind = "tpm_busy"
	TPMBlocked     Kind = "tpm_blocked"
	Unsupported    Kind = "unsupported"
	PolicyMismatch Kind = "policy_mismatch"
	WrongTPM       Kind = "wrong_tpm"
	AnswerNo       Kind = "answer_no"
	Lockout        Kind = "lockout"
	Usage          Kind = "usage"
	BadInput       Kind = "bad_input"
	MissingInput   Kind = "missing_input"
	Internal       Kind = "internal"
	OutputExists   Kind = "output_exists"
	OutputFailed   Kind = "output_failed"
	Temporary      Kind = "temporary"
	Timeout        Kind = "timeout"
	TPMFull        Kind = "tpm_full"
	Permission     Kind = "permission"
	Interrupted    Kind = "interrupted"
)

// Row is one line of the table of failures.
type Row struct {
	Kind    Kind   `json:"kind"`
	Exit    int    `json:"exit_code"`
	Meaning string `json:"meaning"`
}

// table lists every kind, by exit status. 0, 1 and 3 to 5 are those of tpm2-tools, 64 to 77 those of sysexits.h; 2 is
// never chosen, because a crash of the Go runtime uses it. A status is never given a second meaning.
var table = [...]Row{
	{Failed, 1, "failed, and no other class fits"},
	{AuthRefused, 3, "the TPM refused the PIN or auth value"},
	{NoTPM, 4, "no TPM could be reached"},
	{TPMBusy, 4, "another program holds the TPM device"},
	{TPMBlocked, 4, "the operating system does not let this command through"},
	{Unsupported, 5, "this TPM or guest cannot do it"},
	{PolicyMismatch, 6, "the PCRs or the policy differ from what the secret was sealed to"},
	{WrongTPM, 6, "the object belongs to another TPM, or to this one before it was cleared"},
	{AnswerNo, 7, "checked, and the answer is no"},
	{Lockout, 8, "the TPM is in dictionary-attack lockout"},
	{Usage, 64, "wrong usage"},
	{BadInput, 65, "an input file or value is malformed"},
	{MissingInput, 66, "an input file is missing"},
	{Internal, 70, "a bug in vtpmctl"},
	{OutputExists, 73, "the output file exists already"},
	{OutputFailed, 73, "the output could not be written"},
	{Temporary, 75, "temporary: run the same command again"},
	{Timeout, 75, "the time limit ran out (--timeout)"},
	{TPMFull, 75, "the TPM has no free slot for an object, a session or an NV index"},
	{Permission, 77, "more privilege is needed"},
	{Interrupted, 130, "interrupted"},
}

// Table lists every kind, by exit status.
func Table() []Row { return slices.Clone(table[:]) }

// Exit is the exit status of k; a kind that is not in the table counts as Failed.
func (k Kind) Exit() int {
	for _, row := range &table {
		if row.Kind == k {
			return row.Exit
		}
	}
	return 1
}

// Error is a failure with its kind, its cause and what to do about it.
type Error struct {
	Kind  Kind
	Err   error    // what happened, in the user's words; lower case, no full stop
	Cause error    // what lies below and is told on a line of its own, such as the TPM's words; may be nil
	Hints []string // what to do next, each a command or a short instruction that was tried
}

// E makes an Error; format and args are those of fmt.Errorf, %w included.
func E(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Because sets the cause and returns e.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// Hint adds one hint and returns e. It stays a call, for the size of the binary: it has many callers.
//
//go:noinline
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives what happened and what lies below.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// FailKind makes *Error a Classified error.
func (e *Error) FailKind() Kind { return e.Kind }

// FailHints makes *Error a Classified error.
func (e *Error) FailHints() []string { return e.Hints }

// Classified is an error that knows its kind and hints: *Error, and the errors of packages that derive both from
// something else, such as a TPM response code.
type Classified interface {
	error
	FailKind() Kind
	FailHints() []string
}

// KindOf returns the kind of the outermost classified error in err's chain, else that of the standard library's own
// sentinels, else Failed. It returns "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if c, ok := errors.AsType[Classified](err); ok {
		return c.FailKind()
	}
	for _, s := range []struct {
		err  error
		kind Kind
	}{
		{context.Canceled, Interrupted},
		{context.DeadlineExceeded, Timeout},
		{fs.ErrNotExist, MissingInput},
		{fs.ErrPermission, Permission},
		{fs.ErrExist, OutputExists},
	} {
		if errors.Is(err, s.err) {
			return s.kind
		}
	}
	return Failed
}

// HintsOf returns the hints of every classified error in err's tree, outermost first, each once.
func HintsOf(err error) []string {
	var hints []string
	add := func(more []string) {
		for _, h := range more {
			if !slices.Contains(hints, h) {
				hints = append(hints, h)
			}
		}
	}
	if c, ok := err.(Classified); ok { //nolint:errorlint // the walk below visits the tree itself
		add(c.FailHints())
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		add(HintsOf(e.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, below := range e.Unwrap() {
			add(HintsOf(below))
		}
	}
	return hints
}
