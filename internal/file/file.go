// Package file writes output files whole or not at all: into a temporary file beside the target, synced, then renamed.
// It touches the file system and nothing else.
package file

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Mode says who may read a file.
type Mode fs.FileMode

// The modes: Secret for what nobody else may read, Shared for what others may.
const (
	Secret Mode = 0o600
	Shared Mode = 0o644
)

// Pending is a file that is being written. Until Commit the target is untouched.
type Pending struct {
	f     *os.File
	path  string
	force bool
	done  bool
	err   error // of a Write: what is not whole gets no name
}

// Create starts a file that will stand at path. Where path exists already it fails with fail.OutputExists, unless force
// is set. Callers defer Abort and end with Commit.
func Create(path string, mode Mode, force bool) (*Pending, error) {
	if path == "-" { // elsewhere it is a stream; a file of that name is nobody's wish
		return nil, fail.E(fail.Usage, "this cannot be written to stdout").Hint("name a file")
	}
	if err := vacant(path, force); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, outputError(path, err)
	}
	if err := f.Chmod(fs.FileMode(mode)); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		f.Close()
		os.Remove(f.Name())
		return nil, outputError(path, err)
	}
	return &Pending{f: f, path: path, force: force}, nil
}

// Write writes to the file; its errors are of kind fail.OutputFailed.
func (p *Pending) Write(data []byte) (int, error) {
	n, err := p.f.Write(data)
	if err != nil {
		p.err = outputError(p.path, err)
		return n, p.err
	}
	return n, nil
}

// Commit syncs the file and gives it its name.
func (p *Pending) Commit() error {
	if p.err != nil {
		p.Abort()
		return p.err
	}
	if err := errors.Join(p.f.Sync(), p.f.Close()); err != nil {
		p.Abort()
		return outputError(p.path, err)
	}
	err := vacant(p.path, p.force) // again: it may have appeared while we wrote
	if err == nil {
		err = os.Rename(p.f.Name(), p.path)
	}
	if err != nil {
		p.Abort()
		return outputError(p.path, err)
	}
	p.done = true
	syncDir(filepath.Dir(p.path))
	return nil
}

// Abort removes what was written, unless Commit succeeded.
func (p *Pending) Abort() {
	if p.done {
		return
	}
	p.done = true
	p.f.Close()
	os.Remove(p.f.Name())
}

// Fill lets write fill the file at path, as Create and Commit do: it appears only when write succeeded.
func Fill(path string, mode Mode, force bool, write func(io.Writer) error) error {
	p, err := Create(path, mode, force)
	if err != nil {
		return err
	}
	defer p.Abort()
	if err := write(p); err != nil {
		return err
	}
	return p.Commit()
}

// Write writes data to path as Fill does.
func Write(path string, data []byte, mode Mode, force bool) error {
	return Fill(path, mode, force, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Read reads a whole file of at most limit bytes; "-" is stdin.
func Read(path string, stdin io.Reader, limit int64) ([]byte, error) {
	r, err := Open(path, stdin)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := readAll(r, limit+1)
	if err != nil {
		return nil, inputError(path, err)
	}
	if int64(len(data)) > limit {
		return nil, fail.E(fail.BadInput, "%s is longer than the %d bytes that are read at most", path, limit)
	}
	return data, nil
}

// readAll reads up to limit bytes. A file says how long it is, which saves reading it into ever larger buffers; those of
// the kernel say zero, and are read on all the same.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			b.Grow(int(min(info.Size(), limit)) + bytes.MinRead)
		}
	}
	_, err := b.ReadFrom(io.LimitReader(r, limit))
	return b.Bytes(), err
}

// Open opens a file for reading; "-" is stdin.
func Open(path string, stdin io.Reader) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(stdin), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, inputError(path, err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() { // Open takes it, and every read would fail
		f.Close()
		return nil, fail.E(fail.BadInput, "%s is a directory, and a file is needed", path)
	}
	return f, nil
}

func vacant(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil || force && info.Mode().IsRegular():
		return nil
	case !info.Mode().IsRegular():
		return fail.E(fail.OutputExists, "%s exists and is not a regular file", path).Hint("name another output file")
	}
	return fail.E(fail.OutputExists, "%s exists already", path).Hint("--force replaces it")
}

// cause takes the path out of an error of package os, because our message names it.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func outputError(path string, err error) error {
	if _, ok := errors.AsType[fail.Classified](err); ok {
		return err
	}
	e := fail.E(fail.OutputFailed, "%s cannot be written: %w", path, cause(err))
	if errors.Is(err, fs.ErrNotExist) {
		e.Hint("make the folder %s first", filepath.Dir(path))
	}
	return e
}

func inputError(path string, err error) error {
	kind := fail.KindOf(err)
	return fail.E(kind, "%s cannot be read: %w", path, cause(err))
}
