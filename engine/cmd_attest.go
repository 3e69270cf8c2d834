package engine

import (
	"encoding/binary"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// clockInfo is a TPMS_CLOCK_INFO.
type clockInfo struct {
	Clock                    uint64
	ResetCount, RestartCount uint32
	Safe                     bool
}

func (k *clockInfo) code(c *coder) {
	c.u64(&k.Clock)
	c.u32(&k.ResetCount)
	c.u32(&k.RestartCount)
	c.yesNo(&k.Safe)
}

// timeInfo is a TPMS_TIME_INFO.
type timeInfo struct {
	Time  uint64
	Clock clockInfo
}

func (i *timeInfo) code(c *coder) {
	c.u64(&i.Time)
	i.Clock.code(c)
}

func (t *TPM) timeInfo() timeInfo {
	return timeInfo{t.Time, clockInfo{t.Clock, t.nv.ResetCount, t.ram.RestartCount, t.clockSafe()}}
}

// attestation is what every attesting command answers.
type attestation struct {
	Attest    digestless
	Signature signature
}

// digestless is a TPM2B_ATTEST: a TPMS_ATTEST that is coded already.
type digestless []byte

func (a *digestless) code(c *coder) { c.sized((*[]byte)(a), maxBuffer*2) }

// signerOf finds the key of a sign handle, nil for TPM_RH_NULL, and settles the scheme. The handle is the n-th, the
// scheme's parameter the m-th.
func (t *TPM) signerOf(h handle, s *sigScheme, n, m int) (*object, error) {
	var key *object
	if h != rhNull {
		key = t.object(h)
		if !key.canSign() {
			return nil, rcKey.handle(n)
		}
		if key.Public.Attrs.has(attrX509Sign) {
			return nil, rcAttributes.handle(n)
		}
	}
	if !selectSignScheme(key, &s.scheme) {
		return nil, rcScheme.param(m)
	}
	return key, nil
}

// attest makes and signs a TPMS_ATTEST (part 2, 10.12): what is attested, after who says so, when and to whom.
func (t *TPM) attest(key *object, s scheme, kind uint16, qualifying, attested []byte) (*attestation, error) {
	signer := handleName(rhNull)
	if key != nil {
		signer = key.QName
	}
	extra := qualifying
	if s.Alg == crypt.AlgECDAA {
		extra = nil // the qualifying data of an anonymous signature enters its digest only
	}
	now, firmware := t.timeInfo().Clock, firmwareVersion
	if key == nil || key.Hierarchy != rhEndorsement && key.Hierarchy != rhPlatform {
		// Whoever may use the key must not learn from it what tells this TPM from others (part 1, 36.7).
		mask := crypt.KDFa(contextHash, t.nv.Owner.Proof, "OBFUSCATE", signer, nil, 128)
		now.ResetCount += binary.BigEndian.Uint32(mask)
		now.RestartCount += binary.BigEndian.Uint32(mask[4:])
		firmware += binary.BigEndian.Uint64(mask[8:])
	}
	w := wire.NewBE().U32(generatedValue).U16(kind).Sized16(signer).Sized16(extra)
	w.Bytes(marshal(&now)).U64(firmware).Bytes(attested)
	out := &attestation{Attest: w.Out(), Signature: signature{Alg: crypt.AlgNull}}
	if key == nil {
		return out, nil
	}
	digest := crypt.Digest(s.Hash, out.Attest)
	if s.Alg == crypt.AlgECDAA {
		digest = crypt.Digest(s.Hash, qualifying, digest)
	}
	sig, err := t.sign(key, s, digest)
	if err != nil {
		return nil, err
	}
	out.Signature = *sig
	return out, nil
}

type quoteIn struct {
	Key        handle `tpm:"object?,user"`
	Qualifying data2B
	Scheme     sigScheme
	PCRs       pcrSelection
}

// quote is TPM2_Quote.
func (t *TPM) quote(in *quoteIn) (*attestation, error) {
	key, err := t.signerOf(in.Key, &in.Scheme, 1, 2)
	if err != nil {
		return nil, err
	}
	if in.Scheme.Hash == 0 {
		return nil, rcScheme.param(2)
	}
	digest, found := t.pcrDigest(in.Scheme.Hash, in.PCRs)
	return t.attest(key, in.Scheme.scheme, stAttestQuote, in.Qualifying, cat(marshal(&found), sized(digest)))
}

type certifyIn struct {
	Object     handle `tpm:"object,admin"`
	Key        handle `tpm:"object?,user"`
	Qualifying data2B
	Scheme     sigScheme
}

// certify is TPM2_Certify.
func (t *TPM) certify(in *certifyIn) (*attestation, error) {
	key, err := t.signerOf(in.Key, &in.Scheme, 2, 2)
	if err != nil {
		return nil, err
	}
	o := t.object(in.Object)
	if o.Seq != nil {
		return nil, rcKey.handle(1)
	}
	return t.attest(key, in.Scheme.scheme, stAttestCertify, in.Qualifying, cat(sized(o.Name), sized(o.QName)))
}

type certifyCreationIn struct {
	Key          handle `tpm:"object?,user"`
	Object       handle `tpm:"object"`
	Qualifying   data2B
	CreationHash digest2B
	Scheme       sigScheme
	Ticket       creationTicket
}

// certifyCreation is TPM2_CertifyCreation.
func (t *TPM) certifyCreation(in *certifyCreationIn) (*attestation, error) {
	key, err := t.signerOf(in.Key, &in.Scheme, 1, 3)
	if err != nil {
		return nil, err
	}
	o := t.object(in.Object)
	if o.Seq != nil || !t.genuine(&in.Ticket.ticket, o.Name, in.CreationHash) {
		return nil, rcTicket.param(4)
	}
	return t.attest(key, in.Scheme.scheme, stAttestCreation, in.Qualifying, cat(sized(o.Name), sized(in.CreationHash)))
}

type getTimeIn struct {
	Privacy    handle `tpm:"endorsement,user"`
	Key        handle `tpm:"object?,user"`
	Qualifying data2B
	Scheme     sigScheme
}

// getTime is TPM2_GetTime.
func (t *TPM) getTime(in *getTimeIn) (*attestation, error) {
	key, err := t.signerOf(in.Key, &in.Scheme, 2, 2)
	if err != nil {
		return nil, err
	}
	now := t.timeInfo()
	return t.attest(key, in.Scheme.scheme, stAttestTime, in.Qualifying, cat(marshal(&now), be64(firmwareVersion)))
}

type sessionAuditIn struct {
	Privacy    handle `tpm:"endorsement,user"`
	Key        handle `tpm:"object?,user"`
	Session    handle `tpm:"hmac"`
	Qualifying data2B
	Scheme     sigScheme
}

// getSessionAuditDigest is TPM2_GetSessionAuditDigest.
func (t *TPM) getSessionAuditDigest(in *sessionAuditIn) (*attestation, error) {
	key, err := t.signerOf(in.Key, &in.Scheme, 2, 2)
	if err != nil {
		return nil, err
	}
	s := t.sessions[in.Session]
	if !s.Audit {
		return nil, rcType.handle(3)
	}
	exclusive := []byte{0}
	if t.exclusive == in.Session {
		exclusive[0] = 1
	}
	return t.attest(key, in.Scheme.scheme, stAttestSession, in.Qualifying, cat(exclusive, sized(s.AuditDigest)))
}

type commandAuditIn struct {
	Privacy    handle `tpm:"endorsement,user"`
	Key        handle `tpm:"object?,user"`
	Qualifying data2B
	Scheme     sigScheme
}

// getCommandAuditDigest is TPM2_GetCommandAuditDigest. A signed answer starts a new digest.
func (t *TPM) getCommandAuditDigest(in *commandAuditIn) (*attestation, error) {
	key, err := t.signerOf(in.Key, &in.Scheme, 2, 2)
	if err != nil {
		return nil, err
	}
	list := cat()
	for _, cc := range t.nv.AuditCommands {
		list = binary.BigEndian.AppendUint32(list, cc)
	}
	attested := cat(be64(t.nv.AuditCounter), be16(t.nv.AuditAlg), sized(t.ram.AuditDigest), sized(crypt.Digest(t.nv.AuditAlg, list)))
	out, err := t.attest(key, in.Scheme.scheme, stAttestCommand, in.Qualifying, attested)
	if err == nil && key != nil {
		t.ram.AuditDigest = nil
	}
	return out, err
}
