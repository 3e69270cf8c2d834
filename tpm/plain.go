package tpm

import (
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Commands that take no authorization are put together by hand. go-tpm's generic Execute is compiled once for each kind of
// answer, 17 kB a command; it is worth them where there are sessions to look after.

// plain sends a command without sessions; body is its handles and parameters. It returns a reader of the answer's handles and
// parameters, or the response code as the error.
func plain(s Sender, cc tpm2.TPMCC, body *wire.Writer) (*wire.Reader, error) {
	rsp, err := s.Send(wire.NewBE().U16(uint16(tpm2.TPMSTNoSessions)).U32(uint32(headerSize + body.Len())).U32(uint32(cc)).
		Bytes(body.Out()).Out())
	if err == nil {
		err = checkResponse(rsp)
	}
	if err != nil {
		return nil, err
	}
	if rc := responseCode(rsp); rc != tpm2.TPMRCSuccess {
		return nil, rc
	}
	return wire.BE(rsp[headerSize:]), nil
}

// cutOff is an answer that ends too early, nil where r has not failed.
func cutOff(cc tpm2.TPMCC, r *wire.Reader) error {
	if r.Err() == nil {
		return nil
	}
	return fail.E(fail.Failed, "the answer to %s is cut off: %w", CommandName(cc), r.Err())
}

// ReadPublic is the public area of a loaded or persistent object and its Name, as the TPM says (part 3, section 12.4).
func ReadPublic(s Sender, h tpm2.TPMHandle) (tpm2.TPM2BPublic, tpm2.TPM2BName, error) {
	r, err := plain(s, tpm2.TPMCCReadPublic, wire.NewBE().U32(uint32(h)))
	if err != nil {
		return tpm2.TPM2BPublic{}, tpm2.TPM2BName{}, err
	}
	public, name := tpm2.BytesAs2B[tpm2.TPMTPublic](r.Sized16()), tpm2.TPM2BName{Buffer: r.Sized16()}
	return public, name, cutOff(tpm2.TPMCCReadPublic, r)
}

// ReadNVPublic is the public area of an NV index and its Name (part 3, section 31.6).
func ReadNVPublic(s Sender, index tpm2.TPMHandle) (*tpm2.TPMSNVPublic, tpm2.TPM2BName, error) {
	r, err := plain(s, tpm2.TPMCCNVReadPublic, wire.NewBE().U32(uint32(index)))
	if err != nil {
		return nil, tpm2.TPM2BName{}, err
	}
	area, name := tpm2.BytesAs2B[tpm2.TPMSNVPublic](r.Sized16()), tpm2.TPM2BName{Buffer: r.Sized16()}
	if err := cutOff(tpm2.TPMCCNVReadPublic, r); err != nil {
		return nil, name, err
	}
	public, err := area.Contents()
	return public, name, err
}

// Clock is TPMS_CLOCK_INFO (part 2, section 10.11.1).
type Clock struct {
	Milliseconds uint64 // that the TPM has been powered, over its life
	Resets       uint32
	Restarts     uint32
	Safe         bool // no higher value was ever reported
}

// ReadClock reads the TPM's clock (part 3, section 29.1).
func ReadClock(s Sender) (Clock, error) {
	r, err := plain(s, tpm2.TPMCCReadClock, wire.NewBE())
	if err != nil {
		return Clock{}, err
	}
	r.U64() // time since the last reset
	c := Clock{r.U64(), r.U32(), r.U32(), r.U8() != 0}
	return c, cutOff(tpm2.TPMCCReadClock, r)
}

// startHash opens a hash sequence (part 3, section 17.3).
func startHash(s Sender, alg tpm2.TPMAlgID) (tpm2.TPMHandle, error) {
	const noAuth = 0
	r, err := plain(s, tpm2.TPMCCHashSequenceStart, wire.NewBE().U16(noAuth).U16(uint16(alg)))
	if err != nil {
		return 0, err
	}
	h := tpm2.TPMHandle(r.U32())
	return h, cutOff(tpm2.TPMCCHashSequenceStart, r)
}

// ReadPCRs reads what fits one answer of the PCRs that are selected (part 3, section 22.4).
func ReadPCRs(s Sender, selected tpm2.TPMLPCRSelection) (*tpm2.PCRReadResponse, error) {
	w := wire.NewBE().U32(uint32(len(selected.PCRSelections)))
	for _, b := range selected.PCRSelections {
		w.U16(uint16(b.Hash)).U8(uint8(len(b.PCRSelect))).Bytes(b.PCRSelect)
	}
	r, err := plain(s, tpm2.TPMCCPCRRead, w)
	if err != nil {
		return nil, err
	}
	rsp := &tpm2.PCRReadResponse{PCRUpdateCounter: r.U32()}
	for left := r.U32(); left > 0 && r.Err() == nil; left-- {
		rsp.PCRSelectionOut.PCRSelections = append(rsp.PCRSelectionOut.PCRSelections, readSelection(r))
	}
	for left := r.U32(); left > 0 && r.Err() == nil; left-- {
		rsp.PCRValues.Digests = append(rsp.PCRValues.Digests, tpm2.TPM2BDigest{Buffer: r.Sized16()})
	}
	return rsp, cutOff(tpm2.TPMCCPCRRead, r)
}

// HashForSigning has the TPM hash data that does not start like a structure of its own; the ticket says so to a restricted key
// (part 3, section 15.4).
func HashForSigning(s Sender, alg tpm2.TPMAlgID, data []byte) (digest tpm2.TPM2BDigest, ticket tpm2.TPMTTKHashCheck, err error) {
	r, err := plain(s, tpm2.TPMCCHash, wire.NewBE().Sized16(data).U16(uint16(alg)).U32(uint32(tpm2.TPMRHOwner)))
	if err != nil {
		return digest, ticket, err
	}
	digest.Buffer = r.Sized16()
	ticket = tpm2.TPMTTKHashCheck{
		Tag: tpm2.TPMST(r.U16()), Hierarchy: tpm2.TPMIRHHierarchy(r.U32()), Digest: tpm2.TPM2BDigest{Buffer: r.Sized16()},
	}
	return digest, ticket, cutOff(tpm2.TPMCCHash, r)
}
