package engine

import (
	"crypto/hmac"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// session is an authorization session (part 1, 19).
type session struct {
	Kind        uint8 // seHMAC, sePolicy or seTrial
	Alg         uint16
	Sym         symDef
	Key         []byte
	Nonce       []byte // nonceTPM, the last one sent
	Bind        []byte // name and auth value of the entity it is bound to
	BoundDA     bool   // that entity is under dictionary-attack protection
	BoundLock   bool   // that entity is the lockout
	Audit       bool
	AuditDigest []byte
	Start       uint64 // Time when it was started
	Epoch       []byte
	Policy      policyState
}

func (s *session) code(c *coder) {
	c.u8(&s.Kind)
	c.hash(&s.Alg)
	s.Sym.code(c)
	c.sized(&s.Key, maxDigest)
	c.sized(&s.Nonce, maxDigest)
	c.sized(&s.Bind, 2*maxDigest+4)
	c.yesNo(&s.BoundDA)
	c.yesNo(&s.BoundLock)
	c.yesNo(&s.Audit)
	c.sized(&s.AuditDigest, maxDigest)
	c.u64(&s.Start)
	c.sized(&s.Epoch, maxDigest)
	s.Policy.code(c)
}

func (s *session) isPolicy() bool { return s.Kind != seHMAC }

// savedSession remembers a session that TPM2_ContextSave moved out: only the context with this number may come back.
type savedSession struct {
	Handle handle
	Number uint64
}

func (s *savedSession) code(c *coder) {
	c.u32((*uint32)(&s.Handle))
	c.u64(&s.Number)
}

// contextGap is how far the newest saved session may be ahead of the oldest (TPM_PT_CONTEXT_GAP_MAX).
const contextGap = 0xffff

// freeSessionHandle finds a number that no loaded or saved session has. HMAC and policy sessions share the numbers.
func (t *TPM) freeSessionHandle(kind uint8) (handle, error) {
	used := map[handle]bool{}
	for h := range t.sessions {
		used[h&0xffffff] = true
	}
	for _, s := range t.ram.SavedSessions {
		used[s.Handle&0xffffff] = true
	}
	top := handle(htHMACSession) << 24
	if kind != seHMAC {
		top = handle(htPolicySession) << 24
	}
	for i := range handle(t.profile.Sessions) {
		if !used[i] {
			return top | i, nil
		}
	}
	return 0, rcSessionHandles
}

func (t *TPM) savedSession(h handle) int {
	return slices.IndexFunc(t.ram.SavedSessions, func(s savedSession) bool { return s.Handle == h })
}

// dropSession ends a loaded session.
func (t *TPM) dropSession(h handle) {
	delete(t.sessions, h)
	if t.exclusive == h {
		t.exclusive = 0
	}
}

type startAuthSessionIn struct {
	Key         handle `tpm:"object?"`
	Bind        handle `tpm:"entity?"`
	NonceCaller digest2B
	Salt        rsa2B
	Kind        sessionKind
	Sym         symDef
	Alg         hashAlg
}

// sessionKind is a TPM_SE.
type sessionKind uint8

func (k *sessionKind) code(c *coder) {
	c.u8((*uint8)(k))
	c.require(*k == sessionKind(seHMAC) || *k == sessionKind(sePolicy) || *k == sessionKind(seTrial), rcValue)
}

type startAuthSessionOut struct {
	Handle   handle
	NonceTPM digest2B
}

// startAuthSession is TPM2_StartAuthSession.
func (t *TPM) startAuthSession(in *startAuthSessionIn) (*startAuthSessionOut, error) {
	alg := uint16(in.Alg)
	size := crypt.HashSize(alg)
	if len(in.NonceCaller) < 16 || len(in.NonceCaller) > size {
		return nil, rcSize.param(1)
	}
	salt, err := t.sessionSalt(in)
	if err != nil {
		return nil, err
	}
	if err := t.mayBind(in.Bind); err != nil {
		return nil, err
	}
	if in.Sym.isCipher() && in.Sym.Mode != crypt.AlgCFB {
		return nil, rcMode.param(4)
	}
	if len(t.sessions) >= t.profile.Loaded {
		return nil, rcSessionMemory
	}
	h, err := t.freeSessionHandle(uint8(in.Kind))
	if err != nil {
		return nil, err
	}
	s := &session{Kind: uint8(in.Kind), Alg: alg, Sym: in.Sym, Start: t.Time, Epoch: t.ram.TimeEpoch}
	if s.Nonce, err = t.random(len(in.NonceCaller)); err != nil { // nonces are as long as the caller's first
		return nil, err
	}
	var bindAuth []byte
	if in.Bind != rhNull {
		bindAuth = t.authValue(in.Bind)
		s.Bind = t.bindingOf(in.Bind)
		s.BoundDA, s.BoundLock = !t.daExempt(in.Bind), in.Bind == rhLockout
	}
	// Without bind and salt there is no key, rather than one derived from nothing.
	if in.Bind != rhNull || in.Key != rhNull {
		s.Key = crypt.KDFa(alg, slices.Concat(bindAuth, salt), "ATH", s.Nonce, in.NonceCaller, size*8)
	}
	if s.isPolicy() {
		s.Policy.reset(alg)
	}
	t.sessions[h] = s
	return &startAuthSessionOut{h, s.Nonce}, nil
}

// sessionSalt recovers the salt that the caller encrypted to a key of the TPM.
func (t *TPM) sessionSalt(in *startAuthSessionIn) ([]byte, error) {
	if in.Key == rhNull {
		if len(in.Salt) != 0 {
			return nil, rcValue.param(2)
		}
		return nil, nil
	}
	if len(in.Salt) == 0 {
		return nil, rcValue.param(2)
	}
	key := t.object(in.Key)
	if key.Seq != nil || !key.Public.Attrs.has(attrDecrypt) {
		return nil, rcAttributes.handle(1)
	}
	if key.Sensitive == nil {
		return nil, rcHandle.handle(1)
	}
	salt, err := t.decryptSecret(key, in.NonceCaller, "SECRET", in.Salt)
	if err != nil {
		return nil, atParam(err, 2)
	}
	return salt, nil
}

// mayBind refuses to bind a session to what has no secret here, and to a PIN index: its auth value would serve without being
// counted.
func (t *TPM) mayBind(h handle) error {
	o, x := t.object(h), t.index(h)
	if o != nil && o.Seq == nil && o.Sensitive == nil || x != nil && x.isPIN() {
		return rcHandle.handle(2)
	}
	return nil
}

// bindingOf is what a session remembers of the entity it is bound to: it unbinds when name or auth value change.
func (t *TPM) bindingOf(h handle) []byte {
	return slices.Concat(t.nameOfEntity(h), t.authValue(h))
}

// boundTo tells whether the session is bound to an entity as that is now.
func (t *TPM) boundTo(s *session, h handle) bool {
	return len(s.Bind) > 0 && hmac.Equal(s.Bind, t.bindingOf(h))
}

// atParam adds a parameter number to an rc.
func atParam(err error, n int) error {
	if code, ok := err.(rc); ok {
		return code.param(n)
	}
	return err
}

type policyRestartIn struct {
	Session handle `tpm:"policy"`
}

// policyRestart is TPM2_PolicyRestart.
func (t *TPM) policyRestart(in *policyRestartIn) (*none, error) {
	s := t.sessions[in.Session]
	s.Policy.reset(s.Alg)
	return nil, nil
}

type flushContextIn struct{ Handle handle }

// flushContext is TPM2_FlushContext. Its handle is a parameter, so that it can name what is not loaded.
func (t *TPM) flushContext(in *flushContextIn) (*none, error) {
	switch in.Handle.kind() {
	case htHMACSession, htPolicySession:
		if i := t.savedSession(in.Handle); i >= 0 {
			t.ram.SavedSessions = slices.Delete(t.ram.SavedSessions, i, i+1)
			t.cmd.stores = true
			return nil, nil
		}
		if t.sessions[in.Handle] == nil {
			return nil, rcHandle.param(1)
		}
		t.dropSession(in.Handle)
	case htTransient:
		if t.object(in.Handle) == nil {
			return nil, rcHandle.param(1)
		}
		t.objects[in.Handle&0xffffff] = nil
	default:
		return nil, rcValue.param(1)
	}
	return nil, nil
}
