package quote

import (
	"crypto"
	"fmt"
	"time"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Evidence is what a machine hands to somebody who wants to know its state. Only Message is signed, by the key whose
// public part is in AK; everything else is believed as far as it agrees with that. A pcr.Decode of the file gives the
// PCR values, because its "banks" are those of every JSON of ours.
type Evidence struct {
	Made      time.Time  `json:"made"` // by the machine's clock
	Origin    tpm.Origin `json:"tpm"`
	AK        AK         `json:"ak"`
	Message   []byte     `json:"message"`   // TPMS_ATTEST
	Signature []byte     `json:"signature"` // TPMT_SIGNATURE
	pcr.Values
	Logs []Log `json:"event_logs"`

	attest *Attest
	sig    *Signature
	key    crypto.PublicKey
	public *Public // nil where only a bare key is known
}

// AK is the key of an Evidence.
type AK struct {
	Public    []byte       `json:"public"` // TPMT_PUBLIC
	Name      eventlog.Hex `json:"name"`
	Algorithm string       `json:"algorithm"`
	Parent    Parent       `json:"parent"`               // "ek", "srk", "null" for a temporary key, "" where not known
	Handle    string       `json:"persistent,omitempty"` // handle of a persistent key
}

// Log is a measured-boot log, as it was found.
type Log struct {
	Source string `json:"source"` // where it was found: a path, or "TPM Base Services"
	Data   []byte `json:"data"`
}

// EvidenceSchema names the format of Evidence. It only grows.
const EvidenceSchema = "vtpmctl.evidence/v1"

// MaxEvidence bounds the text of an Evidence, in bytes: the largest event log, in base64, and some room.
const MaxEvidence = eventlog.MaxSize/3*4 + 1<<20

// maxLogs bounds how many logs an Evidence may have.
const maxLogs = 8

// Encode gives the text of the file.
func (e *Evidence) Encode() ([]byte, error) { return encode(EvidenceSchema, e) }

// Decode reads an evidence file. What it returns can be judged by Verify; nothing in it has been believed yet.
func Decode(data []byte) (*Evidence, error) {
	e := &Evidence{}
	if err := decode(data, MaxEvidence, EvidenceSchema, e); err != nil {
		return nil, err
	}
	if len(e.Logs) > maxLogs {
		return nil, fail.E(fail.BadInput, "the evidence has %d event logs, more than %d", len(e.Logs), maxLogs)
	}
	p, err := DecodePublic(e.AK.Public)
	if err != nil {
		return nil, err
	}
	e.public, e.key = p, p.Key
	return e, e.decodeQuote()
}

func (e *Evidence) decodeQuote() (err error) {
	if e.attest, err = DecodeAttest(e.Message); err != nil {
		return err
	}
	e.sig, err = DecodeSignature(e.Signature)
	return err
}

// EventLog parses the logs of e as one, in their order; nil where it has none.
func (e *Evidence) EventLog() (*eventlog.Log, error) {
	var log *eventlog.Log
	for _, l := range e.Logs {
		next, err := eventlog.Parse(l.Data)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", l.Source, err)
		case log == nil:
			log = next
		default:
			log.Append(next)
		}
	}
	return log, nil
}

// Quoted is the selection that the message covers.
func (e *Evidence) Quoted() pcr.Selection { return e.attest.Selection.Active() }
