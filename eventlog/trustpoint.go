package eventlog

import (
	"bytes"
	"fmt"
	"time"

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
	AIK   string `json:"aik,omitempty"`  // the name that Windows has for the key
	Made  string `json:"made,omitempty"` // when, by the clock of Windows: a FILETIME that it quotes in place of a nonce

	attest, signature []byte
}

func (c *QuoteCheck) when() string {
	if c.Made == "" {
		return ""
	}
	return ", made " + c.Made
}

// The records of a trust point. Windows writes the key's name, the digest of its public half, the quote without a size in
// front and the bare signature, in this order. wbcl.h gives the numbers alone; the rest is what logs of five machines show.
const (
	sipaTrustPoint = 0xc0010004
	sipaQuote      = 0x80080001
	sipaSignature  = 0x80080002
	sipaAIK        = 0x80080003
)

// maxTrustPoints bounds the quotes that are looked at: Windows leaves one for a boot and one for each resume, and each may
// cost its reader the check of a signature.
const maxTrustPoints = 64

// TrustPoints checks the quotes of the log.
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
		for point := range w.All() {
			if point.ID != sipaTrustPoint {
				continue
			}
			if len(checks) == maxTrustPoints {
				return checks
			}
			if replay == nil {
				replay = l.Replay()
			}
			checks = append(checks, checkTrustPoint(e.Number, point.Records, replay))
		}
	}
	return checks
}

// checkTrustPoint finds the parts of one trust point, in whatever order they stand.
func checkTrustPoint(event int, parts []SIPA, replay *Replay) QuoteCheck {
	var quote, signature, name SIPA
	for _, r := range parts {
		switch r.ID {
		case sipaQuote:
			quote = r
		case sipaSignature:
			signature = r
		case sipaAIK:
			name = r
		}
	}
	c := checkQuote(event, quote.raw, replay)
	c.signature, c.AIK = signature.raw, name.Text
	return c
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
	c.Made = fileTime(r.Sized16())
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
	c.compare(bitmap, digest, bank)
	return c
}

// compare hashes the replayed values of the selected PCRs, as TPM2_Quote does (part 3).
func (c *QuoteCheck) compare(bitmap, digest []byte, bank *BankReplay) {
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
	if len(c.PCRs) == 0 {
		c.Note = "the quote selects no PCR: it says nothing"
		return
	}
	for i := range algs { // the hash is that of the signing scheme, which the quote does not name
		if algs[i].size == len(digest) && bytes.Equal(algs[i].alg.Sum(joined), digest) {
			c.Match = true
		}
	}
}

// fileTime reads the time at the start of what Windows qualifies its quotes with, 100 ns since 1601; "" where it is none.
func fileTime(nonce []byte) string {
	const second, epoch = 10_000_000, 11_644_473_600
	n, _ := littleEndian(nonce[:min(len(nonce), 8)])
	if made := time.Unix(int64(n/second)-epoch, 0).UTC(); made.Year() > 2000 && made.Year() < 2200 {
		return made.Format(time.RFC3339)
	}
	return ""
}
