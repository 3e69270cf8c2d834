package quote

import (
	"slices"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Files are what tpm2_checkquote reads.
type Files struct {
	Message   []byte // -m: TPMS_ATTEST
	Signature []byte // -s: TPMT_SIGNATURE, its tss format
	PCRs      []byte // -f: its serialized format
	Key       []byte // -u: TPM2B_PUBLIC, its tss format
	PEM       []byte // -u: the bare public key
}

// Files writes e for tpm2-tools.
func (e *Evidence) Files() (*Files, error) {
	covered, err := e.covered()
	if err != nil {
		return nil, err
	}
	pem, err := e.public.PEM()
	if err != nil {
		return nil, err
	}
	return &Files{
		Message: e.Message, Signature: e.Signature, PCRs: serialize(e.attest.Selection, covered),
		Key: wire.NewBE().Sized16(e.public.Bytes()).Out(), PEM: pem,
	}, nil
}

// FromFiles makes Evidence of the files that tpm2_quote writes: message, signature in the tss format, PCR values, and
// the attestation key as tpm2_createak writes it, public area or PEM.
func FromFiles(message, signature []byte, values *pcr.Values, key *Pin) (*Evidence, error) {
	if key.key == nil {
		return nil, fail.E(fail.Usage, "a Name alone verifies no signature: the key itself is needed").
			Hint("give the public area or the PEM file that tpm2_createak wrote")
	}
	e := &Evidence{Message: message, Signature: signature, Values: *values, key: key.key, public: key.public}
	return e, e.decodeQuote()
}

// serialize writes PCR values as the memory images of tpm2-tools: a TPML_PCR_SELECTION with room for 16 banks, the
// number of lists, and TPML_DIGEST lists with room for 8 digests of 64 bytes, all little-endian.
func serialize(sel pcr.Selection, v *pcr.Values) []byte {
	const room, perList, digestRoom = 16, 8, 64
	w := wire.NewLE().U32(uint32(len(sel)))
	var digests []pcr.Hex
	for i := range room {
		var b pcr.BankSelection
		if i < len(sel) {
			b = sel[i]
			w.U16(uint16(b.Bank)).U8(pcr.Count / 8)
		} else {
			w.U16(0).U8(0)
		}
		w.Bytes(wire.NewLE().U32(uint32(b.PCRs)).Out()).U8(0)
		for n := range b.PCRs.Each() {
			digests = append(digests, v.Get(b.Bank, n))
		}
	}
	w.U32(uint32((len(digests) + perList - 1) / perList))
	for list := range slices.Chunk(digests, perList) {
		w.U32(uint32(len(list)))
		for i := range perList {
			buffer := make([]byte, digestRoom)
			size := 0
			if i < len(list) {
				size = copy(buffer, list[i])
			}
			w.U16(uint16(size)).Bytes(buffer)
		}
	}
	return w.Out()
}
