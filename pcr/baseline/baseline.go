// Package baseline keeps what a machine measured when it was known to be good, and tells what differs later.
//
// Create, (*Baseline).Check and (*Baseline).Accept are the functions to know. A Baseline has the values of PCRs and the
// events that led to them, so that a difference has a name. It imports pcr and eventlog, and tpm for the anchor, the one
// part that speaks to a TPM; it opens no file and reads no clock. A baseline file is foreign: Decode checks it, and nothing
// in it is believed that a signature or an anchor does not cover, where one is asked for.
package baseline

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Schema names the format of the file. It only grows.
const Schema = "vtpmctl.baseline/v1"

// MaxFile bounds a baseline file, in bytes: a large event log in its text form.
const MaxFile = 64 << 20

// Baseline is what PCRs held when the machine was known to be good. A pcr.Decode of the file gives the values, and
// an eventlog.Parse of its "events" the events.
type Baseline struct {
	Origin tpm.Origin `json:"tpm"`
	pcr.Values
	Source  string  `json:"event_log_source"` // where the events came from, "" where there were none
	History []Entry `json:"history"`          // oldest first, never empty
	Anchor  string  `json:"anchor,omitempty"` // the NV index that holds the digest of this baseline

	Signature *Signature `json:"signature,omitempty"`

	log *eventlog.Log // the events of the PCRs in Values; nil for none
}

// Signature vouches for a baseline. Package quote makes and verifies it, over Statement.
type Signature struct {
	Key   string `json:"key"`   // the fingerprint of the public key, for people
	Value []byte `json:"value"` // TPMT_SIGNATURE
}

// Entry says who changed a baseline, when and why.
type Entry struct {
	Action string    `json:"action"` // "create", "replace" or "accept"
	Time   time.Time `json:"time"`
	User   string    `json:"user"`
	Reason string    `json:"reason,omitempty"`
	PCRs   []int     `json:"pcrs"`
	Events []string  `json:"events"` // what was accepted, in words; empty where the PCRs were taken as they were
}

// Measured is what a machine measured in this boot.
type Measured struct {
	Values *pcr.Values
	Log    *eventlog.Log // nil for none
	Source string        // where the log came from
	Origin tpm.Origin    // zero where the values came from a file
}

// Log is what the baseline knows of events; nil where it was made without a log.
func (b *Baseline) Log() *eventlog.Log { return b.log }

// has tells whether a PCR is part of the baseline, in any bank.
func (b *Baseline) has(n int) bool {
	for _, s := range b.Selection() {
		if s.PCRs.Has(n) {
			return true
		}
	}
	return false
}

// file is the form on disk.
type file struct {
	Schema string `json:"schema"`
	*Baseline
	Events json.RawMessage `json:"events"` // CEL-JSON
}

// Encode gives the text of the file.
func (b *Baseline) Encode() ([]byte, error) {
	f, err := b.file()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(f, "", "  ")
	return append(text, '\n'), err
}

func (b *Baseline) file() (*file, error) {
	f := &file{Schema: Schema, Baseline: b, Events: json.RawMessage("[]")}
	if b.log == nil || len(b.log.Events) == 0 {
		return f, nil
	}
	var events bytes.Buffer
	err := b.log.Write(&events, eventlog.FormatCELJSON)
	f.Events = events.Bytes()
	return f, err
}

// Decode reads a baseline file. Nothing in it has been believed yet.
func Decode(data []byte) (*Baseline, error) {
	if len(data) > MaxFile {
		return nil, fail.E(fail.BadInput, "a baseline of %d bytes is longer than %d", len(data), MaxFile)
	}
	f := &file{Baseline: &Baseline{}}
	if err := json.Unmarshal(data, f); err != nil {
		return nil, fail.E(fail.BadInput, "this is not JSON of %s: %w", Schema, err)
	}
	if f.Schema != Schema {
		return nil, fail.E(fail.BadInput, "the file has the schema %q, not %s", f.Schema, Schema)
	}
	b := f.Baseline
	if err := b.Values.Check(); err != nil {
		return nil, fail.E(fail.BadInput, "baseline: %w", err)
	}
	switch {
	case b.Selection().Len() == 0:
		return nil, fail.E(fail.BadInput, "baseline: it covers no PCR")
	case len(b.History) == 0:
		return nil, fail.E(fail.BadInput, "baseline: it does not say who made it")
	}
	return b, b.decodeEvents(f.Events)
}

// decodeEvents reads the events. What breaks off would let a change pass as an event that was there before, or the other
// way round, so the events are whole or the baseline is none.
func (b *Baseline) decodeEvents(text json.RawMessage) error {
	var list []json.RawMessage
	if len(text) > 0 {
		if err := json.Unmarshal(text, &list); err != nil {
			return fail.E(fail.BadInput, "baseline: events: %w", err)
		}
	}
	if len(list) == 0 {
		return nil
	}
	log, err := eventlog.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("baseline: events: %w", err)
	case len(log.Events) != len(list):
		return fail.E(fail.BadInput, "baseline: %d of %d events can be read", len(log.Events), len(list))
	}
	b.log = log
	return nil
}

// Digest is the SHA-256 digest of all that a baseline says, its signature left out.
func (b *Baseline) Digest() (eventlog.Hex, error) {
	plain := *b
	plain.Signature = nil
	f, err := plain.file()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(f)
	sum := sha256.Sum256(text)
	return sum[:], err
}

// Statement is what a signature is made over. It is short, because a restricted key signs only what the TPM itself has
// hashed, and starts like no structure of a TPM.
func (b *Baseline) Statement() ([]byte, error) {
	digest, err := b.Digest()
	return fmt.Appendf(nil, "%s sha256:%s\n", Schema, digest), err
}
