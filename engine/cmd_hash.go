package engine

import (
	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

type hashIn struct {
	Data      buffer2B
	Alg       hashAlg
	Hierarchy hierarchyParam
}

type hashOut struct {
	Digest     digest2B
	Validation hashTicket
}

// hash is TPM2_Hash.
func (t *TPM) hash(in *hashIn) (*hashOut, error) {
	d := crypt.Digest(uint16(in.Alg), in.Data)
	return &hashOut{d, t.hashTicket(uint16(in.Alg), d, safeToSign(in.Data), handle(in.Hierarchy))}, nil
}

// hashTicket says that the TPM hashed data that a restricted key may sign; it is empty when it may not.
func (t *TPM) hashTicket(alg uint16, digest []byte, safe bool, root handle) hashTicket {
	if !safe || root == rhNull {
		return hashTicket{ticket{Tag: stHashCheck, Hierarchy: rhNull}}
	}
	return hashTicket{t.ticket(stHashCheck, root, be16(alg), digest)}
}

type hmacIn struct {
	Key  handle `tpm:"object,user"`
	Data buffer2B
	Alg  hashAlgOrNull
}

type hmacOut struct{ HMAC digest2B }

// hmac is TPM2_HMAC.
func (t *TPM) hmac(in *hmacIn) (*hmacOut, error) {
	key := t.object(in.Key)
	alg, err := hmacAlg(key, uint16(in.Alg), 2)
	if err != nil {
		return nil, err
	}
	return &hmacOut{crypt.HMAC(alg, key.Sensitive.Data, in.Data)}, nil
}

// hmacAlg settles the hash of an HMAC: that of the key, the one asked for, or both when they agree.
func hmacAlg(key *object, want uint16, param int) (uint16, error) {
	switch {
	case key.Seq != nil || key.Public.Type != crypt.AlgKeyedHash:
		return 0, rcType.handle(1)
	case key.Public.Attrs.has(attrRestricted):
		return 0, rcAttributes.handle(1)
	case !key.Public.Attrs.has(attrSign):
		return 0, rcKey.handle(1)
	}
	own := key.Public.Scheme
	switch {
	case own.Alg == crypt.AlgNull && want != crypt.AlgNull:
		return want, nil
	case own.Alg != crypt.AlgNull && (want == crypt.AlgNull || want == own.Hash):
		return own.Hash, nil
	}
	return 0, rcValue.param(param)
}

type hmacStartIn struct {
	Key  handle `tpm:"object,user"`
	Auth digest2B
	Alg  hashAlgOrNull
}

type sequenceHandleOut struct{ Handle handle }

// hmacStart is TPM2_HMAC_Start.
func (t *TPM) hmacStart(in *hmacStartIn) (*sequenceHandleOut, error) {
	key := t.object(in.Key)
	alg, err := hmacAlg(key, uint16(in.Alg), 2)
	if err != nil {
		return nil, err
	}
	return t.loadSequence(newHMACSequence(trimAuth(in.Auth), alg, key.Sensitive.Data))
}

func (t *TPM) loadSequence(s *sequence) (*sequenceHandleOut, error) {
	h, err := t.load(&object{Hierarchy: rhNull, Seq: s})
	return &sequenceHandleOut{h}, err
}

type hashSequenceStartIn struct {
	Auth digest2B
	Alg  hashAlgOrNull
}

// hashSequenceStart is TPM2_HashSequenceStart. Without an algorithm it starts an event sequence.
func (t *TPM) hashSequenceStart(in *hashSequenceStartIn) (*sequenceHandleOut, error) {
	if uint16(in.Alg) != crypt.AlgNull {
		return t.loadSequence(newHashSequence(trimAuth(in.Auth), []uint16{uint16(in.Alg)}, false))
	}
	var banks []uint16
	for _, b := range t.ram.PCRs {
		banks = append(banks, b.Alg)
	}
	return t.loadSequence(newHashSequence(trimAuth(in.Auth), banks, true))
}

type sequenceUpdateIn struct {
	Sequence handle `tpm:"object,user"`
	Data     buffer2B
}

// sequenceUpdate is TPM2_SequenceUpdate.
func (t *TPM) sequenceUpdate(in *sequenceUpdateIn) (*none, error) {
	o := t.object(in.Sequence)
	if o.Seq == nil {
		return nil, rcMode.handle(1)
	}
	o.Seq.write(in.Data)
	return nil, nil
}

type sequenceCompleteIn struct {
	Sequence  handle `tpm:"object,user"`
	Data      buffer2B
	Hierarchy hierarchyParam
}

type sequenceCompleteOut struct {
	Result     digest2B
	Validation hashTicket
}

// sequenceComplete is TPM2_SequenceComplete. The sequence is gone after it.
func (t *TPM) sequenceComplete(in *sequenceCompleteIn) (*sequenceCompleteOut, error) {
	o := t.object(in.Sequence)
	if o.Seq == nil || o.Seq.Event {
		return nil, rcMode.handle(1)
	}
	s := o.Seq
	s.write(in.Data)
	out := &sequenceCompleteOut{Result: s.sum()}
	safe := s.Safe && len(s.Key) == 0
	out.Validation = t.hashTicket(s.Hashes[0].Alg, out.Result, safe, handle(in.Hierarchy))
	t.flushAfter(in.Sequence)
	return out, nil
}

type eventSequenceCompleteIn struct {
	PCR      handle `tpm:"pcr?,user"`
	Sequence handle `tpm:"object,user"`
	Data     buffer2B
}

// eventSequenceComplete is TPM2_EventSequenceComplete.
func (t *TPM) eventSequenceComplete(in *eventSequenceCompleteIn) (*pcrEventOut, error) {
	o := t.object(in.Sequence)
	if o.Seq == nil || !o.Seq.Event {
		return nil, rcMode.handle(2)
	}
	if in.PCR != rhNull && !t.localityIn(rulesOf(int(in.PCR)).extendable) {
		return nil, rcLocality
	}
	o.Seq.write(in.Data)
	out := &pcrEventOut{}
	for _, h := range o.Seq.Hashes {
		d := h.Sum(nil)
		out.Digests = append(out.Digests, taggedDigest{h.Alg, d})
		if in.PCR != rhNull {
			t.extend(int(in.PCR), h.Alg, d)
		}
	}
	t.flushAfter(in.Sequence)
	return out, nil
}

// flushAfter removes an object when the command is done: its auth value still keys the response.
func (t *TPM) flushAfter(h handle) {
	t.cmd.flush = append(t.cmd.flush, h)
}
