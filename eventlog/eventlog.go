// Package eventlog reads measured-boot event logs: what firmware, boot loaders and operating systems say they extended
// into the PCRs. It parses every form such a log comes in, replays it, decodes what the events say and tells which of
// those words the digests bind.
//
// Parse and (*Log).Replay are the two functions to know. The package imports internal/wire and internal/fail only, knows
// no TPM, opens no file and reads no clock. A log is hostile input: Parse keeps what it could read and names the rest,
// every decoder is total, and no length in a log is trusted before the bytes are there. Text taken from a log is handed
// on raw; whoever prints it escapes it.
package eventlog

import "fmt"

// Register numbers with a meaning of their own.
const (
	pcrCount       = 24         // PCRs of a PC Client TPM
	debugPCR       = 16         // any program can reset this one
	firstDynamic   = 17         // PCR 17 to 22 belong to the dynamic root of trust
	lastDynamic    = 22         //
	applicationPCR = 23         // and this one
	trustPointPCR  = 0xffffffff // Windows files its quotes over the log under this "register"
)

// Format is the encoding of a log's records.
type Format string

// The formats.
const (
	FormatAgile   Format = "agile"    // crypto-agile, PFP 1.03 and later: any number of banks
	FormatSHA1    Format = "sha1"     // TPM 1.2 layout: one SHA-1 digest per event
	FormatIMA     Format = "ima"      // Linux integrity measurement list
	FormatSystemd Format = "systemd"  // systemd's userspace measurements, a JSON sequence
	FormatCELJSON Format = "cel-json" // TCG Canonical Event Log
	FormatCELCBOR Format = "cel-cbor" //
	FormatCELTLV  Format = "cel-tlv"  //
)

// Log is a parsed event log. Its events view the bytes given to Parse: keep those unchanged as long as the Log is used.
type Log struct {
	Format Format   `json:"format"`
	Layers []string `json:"layers"` // what was peeled off before the log: "base64", "bundle of 5", "ccel", …
	Spec   *SpecID  `json:"spec_id,omitempty"`
	Banks  []Alg    `json:"banks"` // declared by the header, then those first seen in events
	CC     bool     `json:"cc"`    // a confidential-computing log: registers are RTMRs, not PCRs
	Size   int      `json:"size"`  // bytes of the log itself, padding not counted
	Notes  []Note   `json:"notes"`
	Events []Event  `json:"-"`

	// Older holds the other logs of a bundle, newest first. Windows keeps one per boot and resume; only the newest
	// matches PCR 12 to 14.
	Older []*Log `json:"-"`
}

// Event is one record.
type Event struct {
	Number  int // counted from 0, the header included, as tpm2_eventlog does
	Offset  int // of the record in the log, in bytes
	PCR     uint32
	Type    EventType
	Digests Digests
	Data    []byte
	Content Content
}

// Content says how to read an event's Data.
type Content uint8

// The contents. Only a Canonical Event Log mixes them.
const (
	ContentPCClient Content = iota // by Type, as in the PFP
	ContentIMA                     // Data is "name\0" and the template's fields
	ContentSystemd                 // Data is systemd's JSON object
	ContentNV                      // extends an NV index, not a PCR; PCR holds its handle
	ContentOther                   // anything a CEL may carry; Type has the number of its kind there
)

// Digest returns the digest of one bank, nil where the event has none.
func (e *Event) Digest(bank Alg) Hex { return e.Digests.Of(bank) }

// Extends tells whether the event changed a PCR: EV_NO_ACTION never does, whatever its digest says, and neither does a
// register a TPM does not have.
func (e *Event) Extends() bool {
	switch e.Content {
	case ContentPCClient:
		return e.PCR < pcrCount && e.Type != EVNoAction
	case ContentOther: // such as the records of a CEL about itself
		return e.PCR < pcrCount && e.Digests.Len() > 0
	}
	return e.PCR < pcrCount && e.Content != ContentNV
}

// pcr is the event's PCR, -1 where its register is none.
func (e *Event) pcr() int {
	if e.PCR < pcrCount && e.Content != ContentNV {
		return int(e.PCR)
	}
	return -1
}

// Note is something about a log that its reader should know.
type Note struct {
	Code   string `json:"code"` // stable, such as "truncated"
	Offset int    `json:"offset"`
	Event  int    `json:"event"` // number of the event it belongs to, -1 for none
	Text   string `json:"text"`
	Quirk  string `json:"quirk,omitempty"` // a known deviation: see docs/eventlog.md
}

// note adds a Note.
func (l *Log) note(code string, offset, event int, text string) {
	l.Notes = append(l.Notes, Note{Code: code, Offset: offset, Event: event, Text: text, Quirk: noteQuirks[code]})
}

// cut notes where reading stopped before the end, and why.
func (l *Log) cut(code string, at, size int, why any) {
	l.note(code, at, -1, fmt.Sprintf("%d trailing bytes were not read: %v", size-at, why))
}

// Append adds the events of a log that was written later in the same boot: IMA's, or systemd's. Offsets stay those in
// their own file. Banks stay those of l, where it has any: a later log tells of banks the TPM need not have.
func (l *Log) Append(later *Log) {
	for _, e := range later.Events {
		e.Number = len(l.Events)
		l.Events = append(l.Events, e)
	}
	if len(l.Banks) == 0 {
		l.Banks = later.Banks
	}
	l.Notes = append(l.Notes, later.Notes...)
}

// Complete tells whether every byte of the log was read as events or padding.
func (l *Log) Complete() bool {
	for _, n := range l.Notes {
		if n.Code == "trailing" || n.Code == "truncated" {
			return false
		}
	}
	return true
}
