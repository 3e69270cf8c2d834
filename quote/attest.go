package quote

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Attest is what a TPM signs: TPMS_ATTEST (part 2, section 10.12.12). It is decoded whatever its magic and type, because
// to tell that these are wrong is the verifier's first duty.
type Attest struct {
	Magic     tpm2.TPMGenerated
	Type      tpm2.TPMST
	Signer    eventlog.Hex // qualified name of the key
	ExtraData eventlog.Hex // the nonce
	Clock     Clock
	Firmware  uint64
	Selection pcr.Selection // of a quote, in its order; nil for another type
	PCRDigest eventlog.Hex  // of a quote
	raw       []byte
}

// Clock is TPMS_CLOCK_INFO (part 2, section 10.11.1).
type Clock struct {
	Milliseconds uint64 `json:"clock_ms,string"` // that the TPM has been powered, over its life
	ResetCount   uint32 `json:"reset_count"`     // TPM resets: boots
	RestartCount uint32 `json:"restart_count"`   // resumes since the last reset
	Safe         bool   `json:"safe"`            // no higher clock value was ever reported
}

// Bounds of TPML_PCR_SELECTION. A TPM has at most 16 banks (HASH_COUNT) and this program deals with 32 PCRs at most.
const (
	maxBanks      = 16
	maxSelectSize = 4
)

// DecodeAttest reads a TPMS_ATTEST, with or without the size of a TPM2B_ATTEST before it.
func DecodeAttest(data []byte) (*Attest, error) {
	a, err := decodeAttest(unsized(data))
	if err != nil {
		return nil, fail.E(fail.BadInput, "this is not the message of a quote: %w", err)
	}
	return a, nil
}

func decodeAttest(data []byte) (*Attest, error) {
	if len(data) > maxStructure {
		return nil, fmt.Errorf("%d bytes are more than %d", len(data), maxStructure)
	}
	r := wire.BE(data)
	a := &Attest{
		Magic:     tpm2.TPMGenerated(r.U32()),
		Type:      tpm2.TPMST(r.U16()),
		Signer:    bytes.Clone(r.Sized16()),
		ExtraData: bytes.Clone(r.Sized16()),
		Clock:     Clock{Milliseconds: r.U64(), ResetCount: r.U32(), RestartCount: r.U32(), Safe: r.U8() != 0},
		Firmware:  r.U64(),
		raw:       bytes.Clone(data),
	}
	if a.Type == tpm2.TPMSTAttestQuote {
		a.Selection = readSelection(r)
		a.PCRDigest = bytes.Clone(r.Sized16())
		if r.Err() == nil && r.Len() > 0 {
			return nil, fmt.Errorf("offset %d: %d bytes follow its end", r.Offset(), r.Len())
		}
	}
	return a, r.Err()
}

// readSelection reads TPML_PCR_SELECTION (part 2, section 10.9.7).
func readSelection(r *wire.Reader) pcr.Selection {
	n := r.U32()
	if r.Err() == nil && n > maxBanks {
		r.Fail(fmt.Errorf("offset %d: a selection of %d banks", r.Offset()-4, n))
	}
	if r.Err() != nil {
		return nil
	}
	var sel pcr.Selection
	for range n {
		bank, size := pcr.Bank(r.U16()), int(r.U8())
		if r.Err() == nil && size > maxSelectSize {
			r.Fail(fmt.Errorf("offset %d: a PCR bitmap of %d bytes", r.Offset()-1, size))
		}
		if slices.ContainsFunc(sel, func(b pcr.BankSelection) bool { return b.Bank == bank }) {
			r.Fail(fmt.Errorf("offset %d: bank %s is selected twice", r.Offset()-3, bank))
		}
		var set pcr.Set
		for octet, bits := range r.Bytes(size) {
			set |= pcr.Set(bits) << (8 * octet)
		}
		sel = append(sel, pcr.BankSelection{Bank: bank, PCRs: set})
	}
	return sel
}
