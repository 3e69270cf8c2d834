// Package tpm reaches a TPM 2.0 and keeps the conversation safe: it finds the device, guards what may be done to it,
// retries what may be retried, encrypts what is secret and explains what comes back.
//
// Domain packages take a Sender; only the command layer opens a Conn.
package tpm

import (
	"io"
	"strings"
)

// Sender exchanges one marshalled TPM 2.0 command for its response (TPM 2.0 Library part 1, section 18). A TPM response
// code is not an error: err is set only when no response came back. The method set is go-tpm's transport.TPM, so either
// may be used as the other.
type Sender interface {
	Send(command []byte) (response []byte, err error)
}

// Conn is an open TPM. Close flushes every transient object and session that was made through it, then lets go.
type Conn interface {
	Sender
	io.Closer
	Origin() Origin
}

// Origin names the TPM a result came from, so that nothing made on an emulated TPM is mistaken for hardware's.
type Origin struct {
	Target   string `json:"target"`   // in the grammar of --tpm, such as "dev:/dev/tpmrm0"
	Emulated bool   `json:"emulated"` // true where vtpmctl's own engine answers
}

// Effects is the set of lasting changes a verb may make to a TPM. Reading, loading transient objects and opening
// sessions need no effect.
type Effects uint

// The effects.
const (
	Extends  Effects = 1 << iota // PCR_Extend, PCR_Event, PCR_Reset
	Persists                     // EvictControl
	WritesNV                     // NV definition, writes, locks
	UsesDA                       // may use an auth value that counts toward lockout
	Clears                       // Clear, hierarchy auth and seed changes, lockout reset, PCR_Allocate
)

// String names the effects in words a help text can use.
func (e Effects) String() string {
	var words []string
	for _, w := range []struct {
		effect Effects
		word   string
	}{
		{Extends, "changes PCRs"},
		{Persists, "keeps or removes persistent objects"},
		{WritesNV, "writes NV memory"},
		{UsesDA, "may count toward lockout"},
		{Clears, "changes hierarchies or lockout"},
	} {
		if e&w.effect != 0 {
			words = append(words, w.word)
		}
	}
	if len(words) == 0 {
		return "changes nothing"
	}
	return strings.Join(words, ", ")
}
