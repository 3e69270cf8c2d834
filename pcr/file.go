package pcr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// MaxFile bounds a file of PCR values, in bytes; all PCRs of eight banks as indented JSON take a quarter of it.
const MaxFile = 256 << 10

// Decode reads PCR values from a file of any of these kinds, told apart by what they look like: JSON that has "banks"
// as Values has (so the output of any verb of ours that reads PCRs), the YAML that tpm2_pcrread prints, and the binary
// files it writes with -F serialized and -F marshaled. Raw values (-F values) say nothing about themselves: they are
// accepted where sel tells what they are. Otherwise sel chooses from what the file has; an empty sel takes all of it.
func Decode(data []byte, sel Selection) (*Values, error) {
	v, err := decode(data, sel)
	if err != nil {
		return nil, fail.E(fail.BadInput, "PCR values: %w", err)
	}
	if len(v.Selection()) == 0 {
		return nil, fail.E(fail.BadInput, "PCR values: there are none in the file")
	}
	return v.Only(sel)
}

func decode(data []byte, sel Selection) (*Values, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%d bytes are more than %d", len(data), MaxFile)
	}
	text := bytes.TrimPrefix(data, []byte("\ufeff"))
	var v *Values
	var err error
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("the file is empty")
	case bytes.TrimSpace(text)[0] == '{':
		v, err = decodeJSON(text)
	case isText(text):
		v, err = decodePCRRead(string(text))
	case rawSize(sel) == len(data):
		v = decodeRaw(data, sel)
	case data[0] == 0:
		v, err = decodeMarshaled(data)
	default:
		v, err = decodeSerialized(data)
	}
	if err != nil {
		return nil, err
	}
	return v, v.Check()
}

func isText(data []byte) bool {
	return !bytes.ContainsFunc(data, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\n' && r != '\r' && r != '\t' })
}

// decodeJSON takes "banks" from any JSON object, whatever else it has.
func decodeJSON(text []byte) (*Values, error) {
	v := &Values{}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, err
	}
	return v, nil
}

// rawSize is how many bytes the values of sel take, 0 where nobody can tell.
func rawSize(sel Selection) (n int) {
	for _, b := range sel {
		n += b.PCRs.Len() * b.Bank.Size()
	}
	return n
}

// decodeRaw takes values one after the other, in the order of sel.
func decodeRaw(data []byte, sel Selection) *Values {
	v := &Values{}
	for _, b := range sel {
		for n := range b.PCRs.Each() {
			v.Set(b.Bank, n, bytes.Clone(data[:b.Bank.Size()]))
			data = data[b.Bank.Size():]
		}
	}
	return v
}

// The sizes of the C structures that tpm2_pcrread -F serialized writes as they lie in memory.
const (
	maxSelections = 16 // TPML_PCR_SELECTION.pcrSelections
	maxDigests    = 8  // TPML_DIGEST.digests
	digestBuffer  = 64 // TPM2B_DIGEST.buffer
)

// decodeSerialized reads little-endian memory images: a TPML_PCR_SELECTION of fixed size, the number of lists, and
// TPML_DIGEST lists of fixed size.
func decodeSerialized(data []byte) (*Values, error) {
	r := wire.LE(data)
	var sel Selection
	count := r.U32()
	for i := range uint32(maxSelections) {
		alg, size, bits := r.U16(), r.U8(), r.Bytes(4)
		r.Bytes(1) // padding
		if i < count && r.Err() == nil {
			if size > 4 {
				return nil, fmt.Errorf("offset %d: a selection of %d bytes", r.Offset()-6, size)
			}
			sel = append(sel, BankSelection{Bank(alg), setOf(bits[:size])})
		}
	}
	if r.Err() == nil && count > maxSelections {
		return nil, fmt.Errorf("offset 0: %d selections where %d are the most; this is no file of PCR values", count, maxSelections)
	}
	lists := r.U32()
	var digests [][]byte
	for range min(lists, 1+Count*maxSelections/maxDigests) {
		n := r.U32()
		for i := range uint32(maxDigests) {
			size, buffer := r.U16(), r.Bytes(digestBuffer)
			if i < n && r.Err() == nil {
				if size > digestBuffer {
					return nil, fmt.Errorf("offset %d: a digest of %d bytes", r.Offset()-digestBuffer-2, size)
				}
				digests = append(digests, bytes.Clone(buffer[:size]))
			}
		}
	}
	return join(sel, digests, r)
}

// decodeMarshaled reads big-endian TPM structures: TPML_PCR_SELECTION, the number of lists, and TPML_DIGESTs.
func decodeMarshaled(data []byte) (*Values, error) {
	r := wire.BE(data)
	var sel Selection
	for range min(r.U32(), maxSelections) {
		alg, bits := r.U16(), r.Bytes(int(r.U8()))
		if len(bits) > 4 {
			return nil, fmt.Errorf("offset %d: a selection of %d bytes", r.Offset()-len(bits), len(bits))
		}
		sel = append(sel, BankSelection{Bank(alg), setOf(bits)})
	}
	var digests [][]byte
	for range min(r.U32(), uint32(len(data))) {
		for range min(r.U32(), uint32(len(data))) {
			digests = append(digests, bytes.Clone(r.Sized16()))
			if r.Err() != nil {
				return nil, r.Err()
			}
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
	}
	return join(sel, digests, r)
}

func setOf(bits []byte) (s Set) {
	for i, b := range bits {
		s |= Set(b) << (8 * i)
	}
	return s
}

// join hands the digests out to the selected PCRs. r has read them and must be at its end.
func join(sel Selection, digests [][]byte, r *wire.Reader) (*Values, error) {
	if r.Err() != nil {
		return nil, r.Err()
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("offset %d: %d bytes too many", r.Offset(), r.Len())
	}
	if sel.Len() != len(digests) {
		return nil, fmt.Errorf("%d values for %d selected PCRs", len(digests), sel.Len())
	}
	v := &Values{}
	for _, b := range sel {
		if v.bank(b.Bank) != nil {
			return nil, fmt.Errorf("bank %s stands there twice", b.Bank)
		}
		v.Banks = append(v.Banks, BankValues{Bank: b.Bank})
		for n := range b.PCRs.Each() {
			v.Set(b.Bank, n, digests[0])
			digests = digests[1:]
		}
	}
	return v, nil
}
