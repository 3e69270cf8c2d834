package quote

import (
	"fmt"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Result is the outcome of a check, and of them all.
type Result string

// The results.
const (
	Pass      Result = "pass"
	Fail      Result = "fail"
	NotProven Result = "not proven"
)

// Check is one named question about evidence and its answer.
type Check struct {
	Name     string `json:"check"` // stable
	Result   Result `json:"result"`
	Required bool   `json:"required"` // where it is, "not proven" is not enough
	Detail   string `json:"detail"`
}

// Verdict is what Verify found out. PCRs and events that the signature does not cover are not in it.
type Verdict struct {
	Result      Result           `json:"verdict"`
	Checks      []Check          `json:"checks"`
	AK          Identity         `json:"ak"`
	Quote       Facts            `json:"quote"`
	Banks       []pcr.BankValues `json:"banks"`        // the values that were proven; empty where none were
	Ignored     []string         `json:"ignored_pcrs"` // in the evidence, not covered by the quote
	Replay      []Replayed       `json:"event_log"`
	Differences []pcr.Difference `json:"differences"` // from the expected values
	Changes     []Change         `json:"changed_events"`
}

// Identity is the key that signed.
type Identity struct {
	Name        eventlog.Hex `json:"name"` // empty where only a bare key is known
	Algorithm   string       `json:"algorithm"`
	Fingerprint eventlog.Hex `json:"fingerprint"`
	Parent      Parent       `json:"parent"` // as the evidence says
	Attributes  []string     `json:"attributes"`
}

// Facts are what the signed message says beside the PCRs.
type Facts struct {
	Signature string       `json:"signature"` // algorithm and hash
	Nonce     eventlog.Hex `json:"nonce"`
	Selection string       `json:"selection"`
	Clock
	Firmware string `json:"firmware_version"` // obfuscated by the TPM unless the key is in its own hierarchies
}

// Replayed compares one quoted PCR with what the event log says.
type Replayed struct {
	Bank     pcr.Bank     `json:"bank"`
	PCR      int          `json:"pcr"`
	Result   string       `json:"result"` // one of the constants below
	Quoted   eventlog.Hex `json:"quoted"`
	Replayed eventlog.Hex `json:"replayed"`
	Events   int          `json:"events"`
}

// Results of a replay.
const (
	Explained = "explained" // the log's events give the quoted value
	Differs   = "differs"   // they give another one
	Unlogged  = "unlogged"  // the PCR was extended and the log has no event of it
	Untouched = "untouched" // reset value, and no event
)

// Change is the first event of a PCR that is not what a reference log has in its place.
type Change struct {
	Bank            pcr.Bank     `json:"bank"`
	PCR             int          `json:"pcr"`
	Number          int          `json:"event"`     // in the judged log; -1 where it has no further event
	Reference       string       `json:"reference"` // the event of the reference log; "" where it has no further one
	ReferenceDigest eventlog.Hex `json:"reference_digest"`
	Found           string       `json:"found"`
	FoundDigest     eventlog.Hex `json:"found_digest"`
}

// String says what changed.
func (c Change) String() string {
	switch {
	case c.Found == "":
		return fmt.Sprintf("PCR %d: an event is missing: %s", c.PCR, c.Reference)
	case c.Reference == "":
		return fmt.Sprintf("PCR %d: event %d is new: %s", c.PCR, c.Number, c.Found)
	case c.Found == c.Reference:
		return fmt.Sprintf("PCR %d: event %d has other content: %s", c.PCR, c.Number, c.Found)
	}
	return fmt.Sprintf("PCR %d: event %d changed to: %s; from: %s", c.PCR, c.Number, c.Found, c.Reference)
}

// Expect is what the verifier asked for and what it knows.
type Expect struct {
	Nonce         []byte
	Key           *Pin          // nil where the verifier knows no key
	AnyKey        bool          // an unknown key will do: a quote then proves that some key signed, and no more
	Selection     pcr.Selection // what was to be quoted; empty for all PCRs of a bank stronger than SHA-1
	Values        *pcr.Values   // values the PCRs must have; nil for none
	Reference     *eventlog.Log // the log of a boot known to be good; nil for none
	LaterPCRs     pcr.Set       // PCRs the operating system goes on extending, which the log need not explain
	AllowEmulated bool          // a software TPM will do
	NeedLog       bool          // the event log must be there
}
