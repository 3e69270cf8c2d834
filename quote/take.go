package quote

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Bounds of a nonce, in bytes. Below 16 it could be guessed or met twice; above 64 no TPM takes it (TPM2B_DATA is as
// large as the largest digest and its algorithm).
const (
	MinNonce = 16
	MaxNonce = 64
)

// CheckNonce tells whether nonce is fit to make a quote fresh.
func CheckNonce(nonce []byte) error {
	switch {
	case len(nonce) < MinNonce:
		return fail.E(fail.Usage, "a nonce of %d bytes is too short: a quote is as fresh as its nonce is hard to guess", len(nonce)).
			Hint("the verifier makes it, of %d random bytes at least: vtpmctl random 32", MinNonce)
	case len(nonce) > MaxNonce:
		return fail.E(fail.Usage, "a nonce of %d bytes is longer than the %d a TPM takes", len(nonce), MaxNonce).
			Hint("use the SHA-256 digest of it as the nonce")
	}
	return nil
}

// maxQuotes bounds how often a quote is taken anew because a PCR changed between reading and quoting.
const maxQuotes = 10

var errMoved = errors.New("a PCR changed between the quote and the reading")

// Take quotes the PCRs that sel selects, all active banks where it is empty, and reads their values. Quote and values
// belong together: while a PCR changes in between, both are taken again.
func Take(t tpm.Sender, key *Key, nonce []byte, sel pcr.Selection) (*Evidence, error) {
	if err := CheckNonce(nonce); err != nil {
		return nil, err
	}
	if len(sel) == 0 {
		banks, err := pcr.Banks(t)
		if err != nil {
			return nil, err
		}
		sel = banks.Active()
	}
	for range maxQuotes {
		e, err := takeOnce(t, key, nonce, sel)
		if !errors.Is(err, errMoved) {
			return e, err
		}
	}
	return nil, fail.E(fail.Temporary, "the PCRs changed during each of %d attempts to quote them", maxQuotes).
		Hint("select fewer PCRs: 10, which the kernel's integrity measurement extends, changes most")
}

func takeOnce(t tpm.Sender, key *Key, nonce []byte, sel pcr.Selection) (*Evidence, error) {
	values, err := pcr.Read(t, sel)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Quote{
		SignHandle: key.auth(), QualifyingData: tpm2.TPM2BData{Buffer: nonce}, PCRSelect: sel.TPM(pcr.Count),
	}.Execute(t)
	if err != nil {
		return nil, quoteRefused(err, len(nonce))
	}
	e := &Evidence{
		AK: AK{
			Public: key.Public.Bytes(), Name: key.Public.Name(), Algorithm: key.Public.Algorithm(), Parent: key.Parent,
		},
		Message:   rsp.Quoted.Bytes(),
		Signature: tpm2.Marshal(rsp.Signature),
		Values:    *values,
		Logs:      []Log{},
		public:    key.Public, key: key.Public.Key,
	}
	if uint32(key.Handle)>>24 == uint32(tpm2.TPMHTPersistent) {
		e.AK.Handle = fmt.Sprintf("0x%08x", uint32(key.Handle))
	}
	if err := e.decodeQuote(); err != nil {
		return nil, err
	}
	digest, err := digestOf(values, e.attest.Selection, e.sig.Hash)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(digest, e.attest.PCRDigest) {
		return nil, errMoved
	}
	return e, nil
}

// quoteRefused explains the one refusal that is the caller's doing: a nonce that is too long for this TPM.
func quoteRefused(err error, nonce int) error {
	if errors.Is(err, tpm2.TPMRCSize) && nonce > 32 {
		return fail.E(fail.Unsupported, "this TPM takes no nonce of %d bytes", nonce).Because(err).Hint("32 bytes suit every TPM")
	}
	return err
}

// Stamp says when and where e was made.
func (e *Evidence) Stamp(made time.Time, origin tpm.Origin) {
	e.Made, e.Origin = made.UTC().Truncate(time.Second), origin
}
