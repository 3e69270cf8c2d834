package engine

import (
	"bytes"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// boundKind says what the digest in a policy session's one slot stands for: a policy can demand only one of them.
type boundKind uint8

const (
	boundNone boundKind = iota
	boundCpHash
	boundNameHash
	boundTemplate
	boundParams
)

// policyState is what a policy session gathers beside its digest: the checks that are put off until it is used.
type policyState struct {
	Digest      []byte
	Bound       boundKind
	BoundDigest []byte
	CC          uint32 // 0 for any
	Localities  uint8  // 0 for any
	PCRCounter  uint32
	CheckPCR    bool
	Timeout     uint64 // a reading of Time; 0 for none
	TimeEpoch   []byte // in which that was said
	NeedAuth    bool   // PolicyAuthValue
	NeedPass    bool   // PolicyPassword
	NeedPP      bool
	CheckNV     bool // PolicyNvWritten
	NVWritten   bool
}

// reset takes the state back to that of a new session.
func (p *policyState) reset(alg uint16) {
	*p = policyState{Digest: make([]byte, crypt.HashSize(alg))}
}

func (p *policyState) code(c *coder) {
	c.sized(&p.Digest, maxDigest)
	c.u8((*uint8)(&p.Bound))
	c.sized(&p.BoundDigest, maxDigest)
	c.u32(&p.CC)
	c.u8(&p.Localities)
	c.u32(&p.PCRCounter)
	c.yesNo(&p.CheckPCR)
	c.u64(&p.Timeout)
	c.sized(&p.TimeEpoch, maxDigest)
	c.yesNo(&p.NeedAuth)
	c.yesNo(&p.NeedPass)
	c.yesNo(&p.NeedPP)
	c.yesNo(&p.CheckNV)
	c.yesNo(&p.NVWritten)
}

// checkPolicySession checks that a policy session authorizes its entity for this command (part 1, 19.7).
func (t *TPM) checkPolicySession(x *execution, a *authorization, i int, r role) error {
	p := &a.s.Policy
	a.includeAuth = p.NeedAuth || p.NeedPass
	if err := t.checkLockout(a); err != nil {
		return err
	}
	if !t.authPolicyAvailable(x, a.entity, r) {
		return rcAuthUnavailable
	}
	if err := t.checkPolicyState(x, a, r); err != nil {
		return err
	}
	if p.NeedPass {
		return t.checkPassword(a)
	}
	return t.checkHMAC(x, a, i)
}

// checkPolicyState checks the digest and everything that was put off.
func (t *TPM) checkPolicyState(x *execution, a *authorization, r role) error {
	p := &a.s.Policy
	policy, alg := t.authPolicy(a.entity)
	switch {
	case x.cc == ccPolicySecret && !p.NeedAuth && !p.NeedPass:
		return rcMode // it is to show that the caller knows a secret
	case p.CheckPCR && p.PCRCounter != t.ram.PCRCounter:
		return rcPCRChanged
	case alg != a.s.Alg, !bytes.Equal(policy, p.Digest):
		return rcPolicyFail
	case p.Timeout != 0 && t.expired(p.Timeout, p.TimeEpoch):
		return rcExpired
	case p.CC != 0 && p.CC != x.cc:
		return rcPolicyCC
	case (r == roleAdmin || r == roleDup) && p.CC == 0:
		return rcPolicyFail
	case p.Localities != 0 && !localityAllowed(p.Localities, t.locality):
		return rcLocality
	case p.NeedPP && !t.presence:
		return rcPP
	case !t.boundMatches(x, a), p.CheckNV && !t.nvWrittenMatches(a):
		return rcPolicyFail
	}
	return nil
}

// expired tells whether a reading of Time has passed, or belongs to a Time that a reset ended.
func (t *TPM) expired(timeout uint64, epoch []byte) bool {
	return t.Time > timeout || !bytes.Equal(epoch, t.ram.TimeEpoch)
}

// localityAllowed reads a TPMA_LOCALITY: a bit each for localities 0 to 4, or the number of an extended one.
func localityAllowed(mask, locality uint8) bool {
	if mask >= 32 {
		return mask == locality
	}
	return locality < 5 && mask>>locality&1 == 1
}

// boundMatches compares the digest that the policy demands with the command's.
func (t *TPM) boundMatches(x *execution, a *authorization) bool {
	p := &a.s.Policy
	switch p.Bound {
	case boundCpHash:
		return bytes.Equal(p.BoundDigest, t.cpHash(x, a.s.Alg))
	case boundNameHash:
		return bytes.Equal(p.BoundDigest, crypt.Digest(a.s.Alg, x.names...))
	case boundParams:
		return bytes.Equal(p.BoundDigest, crypt.Digest(a.s.Alg, wire.NewBE().U32(x.cc).Bytes(x.params).Out()))
	case boundTemplate:
		return bytes.Equal(p.BoundDigest, templateHash(x, a.s.Alg))
	}
	return true
}

// templateHash is the digest of the public template of a command that creates; nil for others.
func templateHash(x *execution, alg uint16) []byte {
	if x.cc != ccCreate && x.cc != ccCreatePrimary && x.cc != ccCreateLoaded {
		return nil
	}
	r := wire.BE(x.params)
	r.Sized16() // inSensitive
	template := r.Sized16()
	if r.Err() != nil {
		return nil
	}
	return crypt.Digest(alg, template)
}

func (t *TPM) nvWrittenMatches(a *authorization) bool {
	x := t.index(a.entity)
	return x != nil && x.Public.Attrs.has(nvWritten) == a.s.Policy.NVWritten
}
