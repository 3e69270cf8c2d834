package bitlocker

import (
	"errors"
	"fmt"
	"io"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Pairing is whether the key of one protector was sealed by this TPM.
type Pairing struct {
	ID     string           `json:"id"`
	Kind   ProtectorKind    `json:"kind"`
	Paired eventlog.Outcome `json:"paired"`
	Reason string           `json:"reason"`
}

// storageKey is where Windows keeps the key its protectors are sealed under, with an empty auth value.
const storageKey tpm2.TPMHandle = 0x81000001

const noStorageKey = "there is no key at 0x81000001, where Windows keeps its storage key: no Windows has used this TPM since it " +
	"was made or cleared"

// Pair asks a TPM to load the sealed objects of the volume at the start of r; size bounds it, 0 means unknown. A TPM loads
// only what it made itself and since it was last cleared, so this tells a disk that was moved or restored without its
// TPM from one whose PCRs changed. Nothing is unsealed: no policy is tried, and what was loaded is flushed.
func Pair(t tpm.Sender, r io.ReaderAt, size int64) (*Volume, []Pairing, error) {
	v, b, err := inspect(r, size)
	if err != nil {
		return nil, nil, err
	}
	pairings := []Pairing{}
	blobs := sealedBlobs(b)
	_, parent, err := tpm.ReadPublic(t, storageKey)
	absent := errors.Is(err, tpm2.TPMRCHandle)
	if err != nil && !absent {
		return nil, nil, tpm.Annotate(t, err)
	}
	for i, p := range v.Protectors {
		if !p.HasTPM() {
			continue
		}
		pairing := Pairing{p.ID, p.Kind, eventlog.Fail, noStorageKey}
		if !absent {
			if pairing, err = pair(t, parent, p, blobs[i]); err != nil {
				return nil, nil, fmt.Errorf("protector %s: %w", p.ID, err)
			}
		}
		pairings = append(pairings, pairing)
	}
	return v, pairings, nil
}

// sealedBlobs are the TPM objects of the protectors of a block, in their order; one without an object has an empty one.
func sealedBlobs(b *block) (blobs []sealedBlob) {
	entries, _ := datums(b.entries) // inspect has told what is wrong with them
	for _, d := range entries {
		if d.role != roleVMK || d.value != valueVMK {
			continue
		}
		var blob sealedBlob
		if len(d.body) > vmkHeaderSize {
			properties, _ := datums(d.body[vmkHeaderSize:])
			for _, property := range properties {
				if property.value == valueTPM && blob.private == nil {
					_, blob, _ = decodeTPM(property.body)
				}
			}
		}
		blobs = append(blobs, blob)
	}
	return blobs
}

// pair loads one object and lets it go.
func pair(t tpm.Sender, parent tpm2.TPM2BName, p Protector, blob sealedBlob) (Pairing, error) {
	result := Pairing{ID: p.ID, Kind: p.Kind, Paired: eventlog.NotProven}
	if len(blob.private) == 0 || len(blob.public) == 0 {
		result.Reason = "the protector has no TPM 2.0 object that could be loaded"
		return result, nil
	}
	rsp, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: storageKey, Name: parent, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: blob.private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](blob.public),
	}.Execute(t)
	switch {
	case err == nil:
		if _, err := (tpm2.FlushContext{FlushHandle: rsp.ObjectHandle}).Execute(t); err != nil {
			return result, tpm.Annotate(t, err)
		}
		result.Paired, result.Reason = eventlog.Pass, "this TPM loads the sealed key"
	case tpm.MadeElsewhere(err):
		result.Paired, result.Reason = eventlog.Fail, "another TPM sealed this key, or this one before it was cleared"
	default:
		return result, tpm.Annotate(t, err)
	}
	return result, nil
}
