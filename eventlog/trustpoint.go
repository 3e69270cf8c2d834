package eventlog

import (
	"bytes"
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// QuoteCheck compares a quote that Windows put into its log with the replay. The key is not in the log, so what the signature
// is worth somebody else has to tell: Rules.Signed.
type QuoteCheck struct {
	Event int    `json:"event"`
	Bank  Alg    `json:"bank"`
	PCRs  []int  `json:"pcrs"`
	Match bool   `json:"match"` // the quoted digest is that of the replayed PCRs
	Note  string `json:"note,omitempty"`
	AIK   string `json:"aik,omitempty"` // the name that Windows has for the key

	attest, signature []byte
}

// The records of a quote, in their order.
const (
	sipaQuote     = 0x80080001
	sipaSignature = 0x80080002
	sipaAIK       = 0x80080003
)

// TrustPoints checks every quote of the log.
func (l *Log) TrustPoints() []QuoteCheck {
	checks := []QuoteCheck{}
	var replay *Replay
	for i := range l.Events {
		e := &l.Events[i]
		if e.PCR != trustPointPCR || e.Type != EVNoAction {
			continue
		}
		decoded, _ := e.Decode()
		w, ok := decoded.(*Windows)
		if !ok {
			continue
		}
		for r := range w.All() {
			switch {
			case r.ID == sipaQuote:
				if replay == nil {
					replay = l.Replay()
				}
				checks = append(checks, checkQuote(e.Number, r.raw, replay))
			case r.ID == sipaSignature && len(checks) > 0:
				checks[len(checks)-1].signature = r.raw
			case r.ID == sipaAIK && len(checks) > 0:
				checks[len(checks)-1].AIK = r.Text
			}
		}
	}
	return checks
}

// checkQuote reads a TPMS_ATTEST of type quote (TPM 2.0 part 2, 10.12.8) and hashes the PCRs it selects.
func checkQuote(event int, attest []byte, replay *Replay) QuoteCheck {
	c := QuoteCheck{Event: event, PCRs: []int{}}
	if len(attest) > 2 && bytes.HasPrefix(attest[2:], []byte{0xff, 'T', 'C', 'G'}) {
		attest = attest[2:] // with the size in front
	}
	c.attest = attest
	r := wire.BE(attest)
	magic, kind := r.U32(), r.U16()
	if magic != 0xff544347 || kind != 0x8018 {
		c.Note = "no TPM 2.0 quote"
		return c
	}
	r.Sized16() // qualified name of the signer
	r.Sized16() // what the caller qualified the quote with
	r.Bytes(17) // clock
	r.Bytes(8)  // firmware version
	if r.U32() != 1 {
		c.Note = "the quote selects PCRs of several banks, or of none"
		return c
	}
	c.Bank = Alg(r.U16())
	bitmap := r.Bytes(int(r.U8()))
	digest := r.Sized16()
	if r.Err() != nil {
		c.Note = "the quote does not decode: " + r.Err().Error()
		return c
	}
	bank := replay.Bank(c.Bank)
	if bank == nil {
		c.Note = fmt.Sprintf("the log has no bank %s", c.Bank)
		return c
	}
	var joined []byte
	for pcr := range min(len(bitmap)*8, pcrCount) {
		if bitmap[pcr/8]&(1<<(pcr%8)) == 0 {
			continue
		}
		c.PCRs = append(c.PCRs, pcr)
		value := ResetValue(c.Bank, pcr)
		if p := bank.PCR(pcr); p != nil {
			value = p.Value
		}
		joined = append(joined, value...)
	}
	for i := range algs { // the hash is that of the signing scheme, which the quote does not name
		if algs[i].size == len(digest) && bytes.Equal(algs[i].alg.Sum(joined), digest) {
			c.Match = true
		}
	}
	return c
}
