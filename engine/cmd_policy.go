package engine

import (
	"bytes"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// extend folds a command code and its arguments into the digest (part 1, 19.7.5.3).
func (s *session) extend(cc uint32, args ...[]byte) {
	s.Policy.Digest = crypt.Digest(s.Alg, s.Policy.Digest, wire.NewBE().U32(cc).Out(), cat(args...))
}

// extendRef is PolicyUpdate: the name that authorized, then the caller's reference.
func (s *session) extendRef(cc uint32, name, ref []byte) {
	s.extend(cc, name)
	s.Policy.Digest = crypt.Digest(s.Alg, s.Policy.Digest, ref)
}

// restartDigest sets the digest to zeros, as policies do that stand for others.
func (s *session) restartDigest() { s.Policy.Digest = make([]byte, crypt.HashSize(s.Alg)) }

func (s *session) trial() bool { return s.Kind == seTrial }

// bind fills the one slot for a digest that the command must match. It may be set twice to the same, but for a name hash.
func (p *policyState) bind(kind boundKind, digest []byte, size int) error {
	taken := p.Bound != boundNone
	same := p.Bound == kind && bytes.Equal(p.BoundDigest, digest)
	switch {
	case kind == boundTemplate && p.Bound == kind && !same:
		return rcValue.param(1)
	case kind == boundTemplate && taken && !same:
		return rcCpHash
	case len(digest) != size:
		return rcSize.param(1)
	case taken && (!same || kind == boundNameHash):
		return rcCpHash
	}
	p.Bound, p.BoundDigest = kind, digest
	return nil
}

type policyPCRIn struct {
	Session handle `tpm:"policy"`
	Digest  digest2B
	PCRs    pcrSelection
}

// policyPCR is TPM2_PolicyPCR.
func (t *TPM) policyPCR(in *policyPCRIn) (*none, error) {
	s := t.sessions[in.Session]
	digest, found := t.pcrDigest(s.Alg, in.PCRs)
	switch {
	case s.trial():
		if len(in.Digest) > 0 {
			digest = in.Digest
		}
	case s.Policy.CheckPCR && s.Policy.PCRCounter != t.ram.PCRCounter:
		return nil, rcPCRChanged
	case len(in.Digest) > 0 && !bytes.Equal(in.Digest, digest):
		return nil, rcValue.param(1)
	}
	s.extend(ccPolicyPCR, marshal(&found), digest)
	if !s.trial() {
		s.Policy.CheckPCR, s.Policy.PCRCounter = true, t.ram.PCRCounter
	}
	return nil, nil
}

type policySessionIn struct {
	Session handle `tpm:"policy"`
}

// policyAuthValue is TPM2_PolicyAuthValue.
func (t *TPM) policyAuthValue(in *policySessionIn) (*none, error) {
	s := t.sessions[in.Session]
	s.extend(ccPolicyAuthValue)
	s.Policy.NeedAuth, s.Policy.NeedPass = true, false
	return nil, nil
}

// policyPassword is TPM2_PolicyPassword: the digest is that of PolicyAuthValue.
func (t *TPM) policyPassword(in *policySessionIn) (*none, error) {
	s := t.sessions[in.Session]
	s.extend(ccPolicyAuthValue)
	s.Policy.NeedAuth, s.Policy.NeedPass = false, true
	return nil, nil
}

// policyPhysicalPresence is TPM2_PolicyPhysicalPresence.
func (t *TPM) policyPhysicalPresence(in *policySessionIn) (*none, error) {
	s := t.sessions[in.Session]
	s.extend(ccPolicyPhysicalPresence)
	s.Policy.NeedPP = true
	return nil, nil
}

type policyGetDigestOut struct{ Digest digest2B }

// policyGetDigest is TPM2_PolicyGetDigest.
func (t *TPM) policyGetDigest(in *policySessionIn) (*policyGetDigestOut, error) {
	return &policyGetDigestOut{t.sessions[in.Session].Policy.Digest}, nil
}

type policyORIn struct {
	Session handle `tpm:"policy"`
	List    branches
}

// policyOR is TPM2_PolicyOR.
func (t *TPM) policyOR(in *policyORIn) (*none, error) {
	s := t.sessions[in.Session]
	var all []byte
	hit := s.trial()
	for _, d := range in.List {
		hit = hit || bytes.Equal(d, s.Policy.Digest)
		all = append(all, d...)
	}
	if !hit {
		return nil, rcValue.param(1)
	}
	s.restartDigest()
	s.extend(ccPolicyOR, all)
	return nil, nil
}

type policyCommandCodeIn struct {
	Session handle `tpm:"policy"`
	CC      uint32
}

// policyCommandCode is TPM2_PolicyCommandCode.
func (t *TPM) policyCommandCode(in *policyCommandCodeIn) (*none, error) {
	s := t.sessions[in.Session]
	if s.Policy.CC != 0 && s.Policy.CC != in.CC {
		return nil, rcValue.param(1)
	}
	if findCommand(in.CC) == nil {
		return nil, rcPolicyCC.param(1)
	}
	s.extend(ccPolicyCommandCode, wire.NewBE().U32(in.CC).Out())
	s.Policy.CC = in.CC
	return nil, nil
}

type policyLocalityIn struct {
	Session  handle `tpm:"policy"`
	Locality uint8
}

// policyLocality is TPM2_PolicyLocality. Localities said twice are cut; extended ones stand alone.
func (t *TPM) policyLocality(in *policyLocalityIn) (*none, error) {
	s := t.sessions[in.Session]
	set := in.Locality
	if s.Policy.Localities != 0 {
		prior := s.Policy.Localities
		if prior >= 32 || set >= 32 {
			if prior != set {
				return nil, rcRange.param(1)
			}
		} else {
			set &= prior
		}
	}
	if set == 0 {
		return nil, rcRange.param(1)
	}
	s.extend(ccPolicyLocality, []byte{in.Locality})
	s.Policy.Localities = set
	return nil, nil
}

type policyCpHashIn struct {
	Session handle `tpm:"policy"`
	Hash    digest2B
}

// policyCpHash is TPM2_PolicyCpHash.
func (t *TPM) policyCpHash(in *policyCpHashIn) (*none, error) {
	return t.policyBind(in, ccPolicyCpHash, boundCpHash)
}

// policyNameHash is TPM2_PolicyNameHash.
func (t *TPM) policyNameHash(in *policyCpHashIn) (*none, error) {
	return t.policyBind(in, ccPolicyNameHash, boundNameHash)
}

// policyTemplate is TPM2_PolicyTemplate.
func (t *TPM) policyTemplate(in *policyCpHashIn) (*none, error) {
	return t.policyBind(in, ccPolicyTemplate, boundTemplate)
}

func (t *TPM) policyBind(in *policyCpHashIn, cc uint32, kind boundKind) (*none, error) {
	s := t.sessions[in.Session]
	if err := s.Policy.bind(kind, in.Hash, crypt.HashSize(s.Alg)); err != nil {
		return nil, err
	}
	s.extend(cc, in.Hash)
	return nil, nil
}

type policyDuplicationSelectIn struct {
	Session       handle `tpm:"policy"`
	Object        name2B
	Parent        name2B
	IncludeObject yesNo
}

// policyDuplicationSelect is TPM2_PolicyDuplicationSelect.
func (t *TPM) policyDuplicationSelect(in *policyDuplicationSelectIn) (*none, error) {
	s := t.sessions[in.Session]
	if s.Policy.Bound != boundNone {
		return nil, rcCpHash
	}
	if s.Policy.CC != 0 && s.Policy.CC != ccDuplicate {
		return nil, rcCommandCode
	}
	s.Policy.Bound, s.Policy.BoundDigest = boundNameHash, crypt.Digest(s.Alg, in.Object, in.Parent)
	args := [][]byte{in.Parent, {0}}
	if in.IncludeObject {
		args = [][]byte{in.Object, in.Parent, {1}}
	}
	s.extend(ccPolicyDuplicationSelect, args...)
	s.Policy.CC = ccDuplicate
	return nil, nil
}

type policyNvWrittenIn struct {
	Session handle `tpm:"policy"`
	Written yesNo
}

// policyNvWritten is TPM2_PolicyNvWritten.
func (t *TPM) policyNvWritten(in *policyNvWrittenIn) (*none, error) {
	s := t.sessions[in.Session]
	if s.Policy.CheckNV && s.Policy.NVWritten != bool(in.Written) {
		return nil, rcValue.param(1)
	}
	s.extend(ccPolicyNvWritten, marshal(&in.Written))
	s.Policy.CheckNV, s.Policy.NVWritten = true, bool(in.Written)
	return nil, nil
}

type policyAuthorizeIn struct {
	Session  handle `tpm:"policy"`
	Approved digest2B
	Ref      digest2B
	KeyName  name2B
	Ticket   verifiedTicket
}

// policyAuthorize is TPM2_PolicyAuthorize.
func (t *TPM) policyAuthorize(in *policyAuthorizeIn) (*none, error) {
	s := t.sessions[in.Session]
	alg := wire.BE(in.KeyName).U16()
	size := crypt.HashSize(alg)
	if size == 0 {
		return nil, rcHash.param(3)
	}
	if len(in.KeyName) != size+2 {
		return nil, rcSize.param(3)
	}
	if !s.trial() {
		if !bytes.Equal(in.Approved, s.Policy.Digest) {
			return nil, rcValue.param(1)
		}
		if !t.genuine(&in.Ticket.ticket, crypt.Digest(alg, in.Approved, in.Ref), in.KeyName) {
			return nil, rcValue.param(4)
		}
	}
	s.restartDigest()
	s.extendRef(ccPolicyAuthorize, in.KeyName, in.Ref)
	return nil, nil
}

type policySecretIn struct {
	Auth       handle `tpm:"entity,user"`
	Session    handle `tpm:"policy"`
	NonceTPM   digest2B
	CpHash     digest2B
	Ref        digest2B
	Expiration int32Param
}

// int32Param is an INT32.
type int32Param int32

func (v *int32Param) code(c *coder) {
	u := uint32(*v)
	c.u32(&u)
	*v = int32Param(u)
}

type policyTicketOut struct {
	Timeout timeout2B
	Ticket  authTicket
}

// policySecret is TPM2_PolicySecret: the entity's authorization was checked before this runs.
func (t *TPM) policySecret(in *policySecretIn) (*policyTicketOut, error) {
	s := t.sessions[in.Session]
	a := assertion{nonce: in.NonceTPM, cpHash: in.CpHash, ref: in.Ref, expiration: int32(in.Expiration),
		name: t.nameOfEntity(in.Auth), cc: ccPolicySecret, tag: stAuthSecret, blame: [3]int{1, 2, 4}}
	if !s.trial() {
		a.timeout = t.deadline(s, in.NonceTPM, a.expiration)
		if err := t.checkAssertion(s, &a); err != nil {
			return nil, err
		}
	}
	root := t.hierarchyOfEntity(in.Auth)
	if x := t.index(in.Auth); x != nil && x.Public.Attrs.kind() == ntPinPass {
		root = rhNull // each use of a PIN-pass index counts: no ticket stands for later ones
	}
	return t.assert(s, &a, root)
}

type policySignedIn struct {
	Key        handle `tpm:"object"`
	Session    handle `tpm:"policy"`
	NonceTPM   digest2B
	CpHash     digest2B
	Ref        digest2B
	Expiration int32Param
	Signature  signature
}

// policySigned is TPM2_PolicySigned.
func (t *TPM) policySigned(in *policySignedIn) (*policyTicketOut, error) {
	s, key := t.sessions[in.Session], t.object(in.Key)
	if key.Seq != nil || !key.Public.Attrs.has(attrSign) {
		return nil, rcAttributes.handle(1)
	}
	a := assertion{nonce: in.NonceTPM, cpHash: in.CpHash, ref: in.Ref, expiration: int32(in.Expiration),
		name: key.Name, cc: ccPolicySigned, tag: stAuthSigned, blame: [3]int{1, 2, 4}}
	if !s.trial() {
		a.timeout = t.deadline(s, in.NonceTPM, a.expiration)
		if err := t.checkAssertion(s, &a); err != nil {
			return nil, err
		}
		exp := wire.NewBE().U32(uint32(in.Expiration)).Out()
		digest := crypt.Digest(in.Signature.Hash, in.NonceTPM, exp, in.CpHash, in.Ref)
		if err := t.verify(key, digest, &in.Signature); err != nil {
			return nil, atParam(err, 5)
		}
	}
	return t.assert(s, &a, key.Hierarchy)
}

// assertion is what PolicySecret, PolicySigned and PolicyTicket say of a session.
type assertion struct {
	nonce, cpHash, ref, name []byte
	expiration               int32
	cc                       uint32
	tag                      uint16
	blame                    [3]int // parameters that hold nonce, cpHash and expiration

	timeout uint64 // reading of Time at which it ends; 0 for never
}

// checkAssertion checks that an assertion fits the session (part 3, 23.2.2).
func (t *TPM) checkAssertion(s *session, a *assertion) error {
	if len(a.nonce) > 0 && !bytes.Equal(a.nonce, s.Nonce) {
		return rcNonce.param(a.blame[0])
	}
	if a.timeout != 0 && t.expired(a.timeout, s.Epoch) {
		return rcExpired.param(a.blame[2])
	}
	if len(a.cpHash) == 0 {
		return nil
	}
	if len(a.cpHash) != crypt.HashSize(s.Alg) {
		return rcSize.param(a.blame[1])
	}
	if s.Policy.Bound != boundNone && !bytes.Equal(s.Policy.BoundDigest, a.cpHash) {
		return rcCpHash
	}
	return nil
}

// deadline is the reading of Time at which an expiration ends, in seconds of either sign: counted from the start of the
// session that its nonce names, or from the power-on that started Time when it names none.
func (t *TPM) deadline(s *session, nonce []byte, expiration int32) uint64 {
	if expiration == 0 {
		return 0
	}
	from := t.Time % 1000 // not to end within the second that was meant
	if len(nonce) > 0 {
		from = s.Start
	}
	return from + uint64(max(int64(expiration), -int64(expiration)))*1000
}

// assert folds a checked assertion into a session, and makes the ticket that a negative expiration asks for.
func (t *TPM) assert(s *session, a *assertion, root handle) (*policyTicketOut, error) {
	out := &policyTicketOut{Ticket: authTicket{ticket{Tag: a.tag, Hierarchy: rhNull}}}
	t.applyAssertion(s, a)
	if !s.trial() && a.expiration < 0 && root != rhNull {
		out.Timeout = be64(a.timeout)
		out.Ticket.ticket = t.ticket(a.tag, root, t.ticketAbout(a)...)
	}
	return out, nil
}

// applyAssertion updates digest, cpHash and time limit of a session.
func (t *TPM) applyAssertion(s *session, a *assertion) {
	s.extendRef(a.cc, a.name, a.ref)
	p := &s.Policy
	if len(a.cpHash) > 0 {
		p.Bound, p.BoundDigest = boundCpHash, a.cpHash
	}
	if a.timeout != 0 && (p.Timeout == 0 || a.timeout < p.Timeout) {
		p.Timeout, p.TimeEpoch = a.timeout, t.ram.TimeEpoch
	}
}

// ticketAbout is what a ticket of an assertion binds together. The time epoch ends it with the power.
func (t *TPM) ticketAbout(a *assertion) [][]byte {
	return [][]byte{be64(a.timeout), t.ram.TimeEpoch, a.cpHash, a.ref, a.name}
}

type policyTicketIn struct {
	Session  handle `tpm:"policy"`
	Timeout  timeout2B
	CpHash   digest2B
	Ref      digest2B
	AuthName name2B
	Ticket   authTicket
}

// policyTicket is TPM2_PolicyTicket.
func (t *TPM) policyTicket(in *policyTicketIn) (*none, error) {
	s := t.sessions[in.Session]
	if s.trial() {
		return nil, rcAttributes.handle(1)
	}
	if len(in.Timeout) != 8 {
		return nil, rcSize.param(1)
	}
	a := assertion{cpHash: in.CpHash, ref: in.Ref, name: in.AuthName, cc: ccPolicySigned, tag: in.Ticket.Tag,
		blame: [3]int{0, 2, 1}, timeout: wire.BE(in.Timeout).U64()}
	if a.tag == stAuthSecret {
		a.cc = ccPolicySecret
	}
	if err := t.checkAssertion(s, &a); err != nil {
		return nil, err
	}
	if !t.genuine(&in.Ticket.ticket, t.ticketAbout(&a)...) {
		return nil, rcTicket.param(5)
	}
	t.applyAssertion(s, &a)
	return nil, nil
}

// hierarchyOfEntity is the hierarchy whose proof keys the tickets of an entity.
func (t *TPM) hierarchyOfEntity(h handle) handle {
	switch h.kind() {
	case htTransient, htPersistent:
		return t.object(h).Hierarchy
	case htNV:
		if t.index(h).is(nvPlatformOwned) {
			return rhPlatform
		}
	case htPermanent:
		if h.isHierarchy() {
			return h
		}
	}
	return rhOwner
}

// compare applies a TPM_EO to two operands of the same size, big-endian. Of two negative numbers the reference takes the
// one whose bytes are greater for the smaller one, which is not how two's complement has it; policies in use rely on it.
func compare(op uint16, a, b []byte) bool {
	unsigned := bytes.Compare(a, b)
	signed := unsigned
	if len(a) > 0 && (a[0]|b[0])&0x80 != 0 {
		signed = -unsigned
	}
	and := make([]byte, len(a))
	for i := range a {
		and[i] = a[i] & b[i]
	}
	return [...]bool{
		unsigned == 0, unsigned != 0, signed > 0, unsigned > 0, signed < 0, unsigned < 0,
		signed >= 0, unsigned >= 0, signed <= 0, unsigned <= 0,
		bytes.Equal(and, b), !slices.ContainsFunc(and, func(x byte) bool { return x != 0 }),
	}[op]
}

// operator is a TPM_EO.
type operator uint16

func (o *operator) code(c *coder) {
	c.u16((*uint16)(o))
	c.require(*o <= 11, rcValue)
}

type policyCounterTimerIn struct {
	Session   handle `tpm:"policy"`
	OperandB  digest2B
	Offset    uint16
	Operation operator
}

// policyCounterTimer is TPM2_PolicyCounterTimer: a comparison with the bytes of TPMS_TIME_INFO.
func (t *TPM) policyCounterTimer(in *policyCounterTimerIn) (*none, error) {
	s := t.sessions[in.Session]
	now := t.timeInfo()
	data := marshal(&now)
	if int(in.Offset) > len(data) {
		return nil, rcValue.param(2)
	}
	if int(in.Offset)+len(in.OperandB) > len(data) {
		return nil, rcRange
	}
	a := data[in.Offset:][:len(in.OperandB)]
	if !s.trial() && !compare(uint16(in.Operation), a, in.OperandB) {
		return nil, rcPolicy
	}
	s.extend(ccPolicyCounterTimer, crypt.Digest(s.Alg, in.OperandB, be16(in.Offset), be16(uint16(in.Operation))))
	return nil, nil
}

type policyNVIn struct {
	Auth      handle `tpm:"nvauth,user"`
	Index     handle `tpm:"nvindex"`
	Session   handle `tpm:"policy"`
	OperandB  digest2B
	Offset    uint16
	Operation operator
}

// policyNV is TPM2_PolicyNV: a comparison with the data of an NV index.
func (t *TPM) policyNV(in *policyNVIn) (*none, error) {
	s, x := t.sessions[in.Session], t.index(in.Index)
	if !s.trial() {
		if err := t.mayRead(in.Auth, x); err != nil {
			return nil, err
		}
		size := int(x.Public.Size)
		if int(in.Offset) > size {
			return nil, rcValue.param(2)
		}
		if int(in.Offset)+len(in.OperandB) > size {
			return nil, rcSize.param(1)
		}
		if !compare(uint16(in.Operation), x.Data[in.Offset:][:len(in.OperandB)], in.OperandB) {
			return nil, rcPolicy
		}
	}
	s.extend(ccPolicyNV, crypt.Digest(s.Alg, in.OperandB, be16(in.Offset), be16(uint16(in.Operation))), x.name())
	return nil, nil
}

type policyAuthorizeNVIn struct {
	Auth    handle `tpm:"nvauth,user"`
	Index   handle `tpm:"nvindex"`
	Session handle `tpm:"policy"`
}

// policyAuthorizeNV is TPM2_PolicyAuthorizeNV: an NV index holds the policy that is approved.
func (t *TPM) policyAuthorizeNV(in *policyAuthorizeNVIn) (*none, error) {
	s, x := t.sessions[in.Session], t.index(in.Index)
	if !s.trial() {
		if err := t.mayRead(in.Auth, x); err != nil {
			return nil, err
		}
		var d taggedDigest
		c := &coder{r: wire.BE(x.Data)}
		d.code(c)
		if err := c.err(); err != nil {
			return nil, err
		}
		if d.Alg != s.Alg {
			return nil, rcHash
		}
		if !bytes.Equal(d.Digest, s.Policy.Digest) {
			return nil, rcValue
		}
	}
	s.restartDigest()
	s.extend(ccPolicyAuthorizeNV, x.name())
	return nil, nil
}
