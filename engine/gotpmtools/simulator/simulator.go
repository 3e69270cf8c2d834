// Package simulator stands in for github.com/google/go-tpm-tools/simulator: the same face, on the engine of vtpmctl
// instead of the C reference code. It needs neither cgo nor a C compiler, and any number of simulators may run at once.
//
// A project that tests against that simulator switches with two lines in its go.mod:
//
//	replace github.com/google/go-tpm-tools => PATH/engine/gotpmtools
//	replace github.com/vtpmctl/vtpmctl => PATH
//
// Only this package is here. A project that imports others of go-tpm-tools cannot switch this way.
package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"github.com/vtpmctl/vtpmctl/engine"
)

// ErrUsingClosedSimulator is the answer of a simulator after Close.
var ErrUsingClosedSimulator = errors.New("attempting to use a closed simulator")

// Simulator is a TPM of its own: one Write takes one command, Read gives the response.
type Simulator struct {
	tpm  *engine.TPM // nil after Close
	rand io.Reader
	buf  bytes.Buffer
}

// Get makes a TPM and starts it up.
func Get() (*Simulator, error) { return open(nil) }

// GetWithFixedSeedInsecure makes a TPM whose secrets follow from a seed: the same seed gives the same keys, though not
// those of the C simulator. It keeps nothing secret.
func GetWithFixedSeedInsecure(seed int64) (*Simulator, error) {
	s := new(stream)
	binary.BigEndian.PutUint64(s.state[:], uint64(seed))
	return open(s)
}

// open makes a TPM with no larger RSA keys than the C simulator's: tests that were written for that one, go-tpm's own among
// them, count on RSA-3072 being refused.
func open(rand io.Reader) (*Simulator, error) {
	profile := engine.PC()
	profile.MaxRSA = 2048
	tpm, err := engine.New(engine.Config{Rand: rand, Profile: profile})
	return &Simulator{tpm: tpm, rand: rand}, err
}

// ManufactureReset makes a new TPM in place of the old one.
func (s *Simulator) ManufactureReset() error {
	if s.IsClosed() {
		return ErrUsingClosedSimulator
	}
	fresh, err := open(s.rand)
	if err == nil {
		err = s.tpm.Close()
		*s = *fresh
	}
	return err
}

// Reset is a reboot of the host.
func (s *Simulator) Reset() error {
	if s.IsClosed() {
		return ErrUsingClosedSimulator
	}
	s.buf.Reset()
	return s.tpm.Reset()
}

// Write runs one command.
func (s *Simulator) Write(command []byte) (int, error) {
	if s.IsClosed() {
		return 0, ErrUsingClosedSimulator
	}
	response, err := s.tpm.Send(command)
	if err != nil {
		return 0, err
	}
	s.buf.Write(response)
	return len(command), nil
}

// Read gives the response to the last command.
func (s *Simulator) Read(response []byte) (int, error) {
	if s.IsClosed() {
		return 0, ErrUsingClosedSimulator
	}
	return s.buf.Read(response)
}

// Close ends the TPM. Sessions and objects that a test left loaded are no error.
func (s *Simulator) Close() error {
	if s.IsClosed() {
		return ErrUsingClosedSimulator
	}
	err := s.tpm.Close()
	s.tpm = nil
	return err
}

// IsClosed tells whether Close was called.
func (s *Simulator) IsClosed() bool { return s.tpm == nil }

// stream is an endless source of bytes that follow from its first state.
type stream struct{ state [sha256.Size]byte }

func (s *stream) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		s.state = sha256.Sum256(s.state[:])
		n += copy(p[n:], s.state[:])
	}
	return len(p), nil
}
