package main

import (
	"io"

	"github.com/google/go-tpm-tools/simulator"
)

// reference is the TCG's reference code (spec 1.54) as go-tpm-tools builds it, with the face of a transport. There is one
// in a process, and it keeps no state between processes.
type reference struct{ s *simulator.Simulator }

func open() (*reference, error) {
	s, err := simulator.Get()
	return &reference{s}, err
}

func (r *reference) Send(cmd []byte) ([]byte, error) {
	if _, err := r.s.Write(cmd); err != nil {
		return nil, err
	}
	rsp := make([]byte, 4096)
	n, err := r.s.Read(rsp)
	if err == io.EOF {
		err = nil
	}
	return rsp[:n], err
}
