package engine

import (
	"crypto/hmac"
	"crypto/subtle"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// sessionAttrs is a TPMA_SESSION.
type sessionAttrs uint8

// Session attributes (part 2, 8.4).
const (
	sessContinue       sessionAttrs = 1 << 0
	sessAuditExclusive sessionAttrs = 1 << 1
	sessAuditReset     sessionAttrs = 1 << 2
	sessDecrypt        sessionAttrs = 1 << 5
	sessEncrypt        sessionAttrs = 1 << 6
	sessAudit          sessionAttrs = 1 << 7
	sessReserved       sessionAttrs = 0x18
)

// authorization is one entry of a command's authorization area, and what the checks learn about it.
type authorization struct {
	handle      handle
	nonceCaller []byte
	attrs       sessionAttrs
	hmac        []byte // or a password

	s           *session // nil for a password
	entity      handle   // what it authorizes; rhUnassigned for none
	includeAuth bool     // the HMAC is keyed with the entity's auth value too
}

func (a *authorization) is(attr sessionAttrs) bool { return a.attrs&attr != 0 }

func (a *authorization) authorizes() bool { return a.entity != rhUnassigned }

// find is the index of the session that has an attribute, -1 when none has.
func (x *execution) find(attr sessionAttrs) int {
	return slices.IndexFunc(x.sessions, func(a *authorization) bool { return a.is(attr) })
}

// readSessions reads the authorization area and checks each session in itself.
func (t *TPM) readSessions(x *execution) error {
	size := x.in.U32()
	if x.in.Err() != nil {
		return rcInsufficient
	}
	if size < 9 || uint64(size) > uint64(x.in.Len()) {
		return rcSize
	}
	if x.flags&flagNoSession != 0 {
		return rcAuthContext
	}
	area := &coder{r: wire.BE(x.in.Bytes(int(size)))}
	for area.r.Len() > 0 {
		n := len(x.sessions) + 1
		if n > maxSessions {
			return rcSize.session(n)
		}
		a := &t.memory.authorizations[n-1]
		*a = authorization{}
		if err := t.readAuthorization(area, a); err != nil {
			return err.(rc).session(n)
		}
		x.sessions = append(x.sessions, a)
		a.entity = rhUnassigned
		if n <= x.needAuth {
			a.entity = x.handles[n-1]
		}
		if err := t.admitSession(x, a, n); err != nil {
			return err
		}
	}
	if len(x.sessions) < x.needAuth {
		return rcAuthMissing
	}
	return nil
}

func (t *TPM) readAuthorization(c *coder, a *authorization) error {
	c.u32((*uint32)(&a.handle))
	c.require(a.handle == rsPW || a.handle.isSession() && t.inRange(a.handle), rcValue)
	c.sized(&a.nonceCaller, maxDigest)
	c.u8((*uint8)(&a.attrs))
	c.require(a.attrs&sessReserved == 0, rcReservedBits)
	c.sized(&a.hmac, maxDigest)
	return c.err()
}

// admitSession checks that session n of a command exists and that its attributes make sense together.
func (t *TPM) admitSession(x *execution, a *authorization, n int) error {
	if a.handle == rsPW {
		if a.attrs&^sessContinue != 0 {
			return rcAttributes.session(n)
		}
		if len(a.nonceCaller) != 0 {
			return rcNonce.session(n)
		}
		return nil
	}
	if a.s = t.sessions[a.handle]; a.s == nil {
		if t.sessions[a.handle^(htHMACSession^htPolicySession)<<24] != nil { // the number is that of a session of the other kind
			return rcHandle.session(n)
		}
		return rcReferenceS0 + rc(n-1)
	}
	if slices.ContainsFunc(x.sessions[:n-1], func(o *authorization) bool { return o.handle == a.handle }) {
		return rcHandle.session(n)
	}
	if err := x.admitCipher(a, sessDecrypt, x.decryptIn, n); err != nil {
		return err
	}
	if err := x.admitCipher(a, sessEncrypt, x.encryptOut, n); err != nil {
		return err
	}
	return t.admitAudit(x, a, n)
}

// admitCipher checks the use of session n to decrypt or to encrypt, where the command has what can be.
func (x *execution) admitCipher(a *authorization, attr sessionAttrs, possible bool, n int) error {
	switch {
	case !a.is(attr):
		return nil
	case !possible, x.find(attr) != n-1:
		return rcAttributes.session(n)
	case a.s.Sym.Alg == crypt.AlgNull:
		return rcSymmetric.session(n)
	}
	return nil
}

// admitAudit checks the use of session n to audit. Asked to be exclusive, it must be so unless it begins anew.
func (t *TPM) admitAudit(x *execution, a *authorization, n int) error {
	switch {
	case !a.is(sessAudit):
		return nil
	case x.find(sessAudit) != n-1, a.s.Kind != seHMAC:
		return rcAttributes.session(n)
	case a.is(sessAuditExclusive) && !a.is(sessAuditReset) && a.s.Audit && t.exclusive != a.handle:
		return rcExclusive
	}
	return nil
}

// authorize checks every session of the command, in order, then decrypts the first parameter.
func (t *TPM) authorize(x *execution) error {
	for i, a := range x.sessions {
		if err := t.checkAuthorization(x, a, i); err != nil {
			if code, ok := err.(rc); ok {
				return code.session(i + 1)
			}
			return err
		}
	}
	return t.decryptParams(x)
}

// checkAuthorization checks one session: that it may authorize its entity in the role the command asks for, and that
// whoever sent it knows the secret.
func (t *TPM) checkAuthorization(x *execution, a *authorization, i int) error {
	if a.s != nil {
		if a.s.Kind == seTrial {
			return rcAttributes
		}
		if err := t.refusedByLockout(a.s.BoundLock); err != nil && a.s.BoundDA {
			return err
		}
	}
	if !a.authorizes() {
		if a.s == nil {
			return rcHandle
		}
		if !a.is(sessAudit | sessDecrypt | sessEncrypt) {
			return rcAttributes
		}
		return t.checkHMAC(x, a, i)
	}
	if a.entity == rhPlatform && !t.presence && slices.Contains(t.nv.PPCommands, x.cc) {
		return rcPP
	}
	role := x.command.handles[i].role
	if a.s != nil && a.s.isPolicy() {
		return t.checkPolicySession(x, a, i, role)
	}
	a.includeAuth = a.s == nil || !t.boundTo(a.s, a.entity)
	if err := t.checkLockout(a); err != nil {
		return err
	}
	if t.policyRequired(a.entity, role) {
		return rcAuthType
	}
	if !t.authValueAvailable(x, a.entity, role) {
		return rcAuthUnavailable
	}
	if a.s == nil {
		return t.checkPassword(a)
	}
	return t.checkHMAC(x, a, i)
}

// checkLockout refuses an auth value that is under dictionary-attack protection while the TPM is in lockout.
func (t *TPM) checkLockout(a *authorization) error {
	if !a.includeAuth || t.daExempt(a.entity) {
		return nil
	}
	return t.refusedByLockout(a.entity == rhLockout)
}

func (t *TPM) checkPassword(a *authorization) error {
	good := sameSecret(trimAuth(a.hmac), t.authValue(a.entity))
	t.countPin(a.entity, good)
	if good {
		return nil
	}
	return t.authFailed(a.entity == rhLockout, t.daExempt(a.entity))
}

// sameSecret compares in a time that shows neither where two secrets differ nor how long they are.
func sameSecret(a, b []byte) bool {
	var x, y [1 + maxDigest]byte // no secret is longer
	x[0], y[0] = byte(len(a)), byte(len(b))
	copy(x[1:], a)
	copy(y[1:], b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// checkHMAC checks the HMAC of a session over the command. A session that has neither key nor auth value may leave it
// out.
func (t *TPM) checkHMAC(x *execution, a *authorization, i int) error {
	extra := []byte(nil)
	if i == 0 && a.authorizes() {
		extra = x.cryptNonces()
	}
	want := t.sessionHMAC(a, func() []byte { return t.cpHash(x, a.s.Alg) }, a.nonceCaller, a.s.Nonce, extra)
	good := hmac.Equal(want, a.hmac)
	if a.includeAuth {
		t.countPin(a.entity, good)
	}
	if good {
		return nil
	}
	entity := a.entity
	if a.s.BoundLock {
		entity = rhLockout
	}
	exempt := !a.s.BoundDA && (!a.includeAuth || t.daExempt(entity))
	return t.authFailed(entity == rhLockout && !exempt, exempt)
}

// cryptNonces are the nonces of the sessions that encrypt and decrypt, if those are not the first session: they enter the
// HMAC of the first one.
func (x *execution) cryptNonces() (nonces []byte) {
	dec, enc := x.find(sessDecrypt), x.find(sessEncrypt)
	if dec > 0 {
		nonces = append(nonces, x.sessions[dec].s.Nonce...)
	}
	if enc > 0 && enc != dec {
		nonces = append(nonces, x.sessions[enc].s.Nonce...)
	}
	return nonces
}

// sessionHMAC is the HMAC of part 1, 19.6.5: over a parameter hash, the newer and the older nonce, more nonces, and the
// attributes. It may be left out by whoever has no key.
func (t *TPM) sessionHMAC(a *authorization, pHash func() []byte, newer, older, extra []byte) []byte {
	key := a.s.Key
	if a.includeAuth {
		key = slices.Concat(key, t.authValue(a.entity))
	}
	if len(key) == 0 && len(a.hmac) == 0 {
		return nil
	}
	return crypt.HMAC(a.s.Alg, key, pHash(), newer, older, extra, []byte{byte(a.attrs)})
}

// cpHash is the command parameter hash (part 1, 18.7): code, names of the handles, parameters as they came.
func (t *TPM) cpHash(x *execution, alg uint16) []byte {
	if h := x.cpHashes[alg]; h != nil {
		return h
	}
	w := wire.NewBE().U32(x.cc)
	for _, n := range x.names {
		w.Bytes(n)
	}
	h := crypt.Digest(alg, w.Bytes(x.params).Out())
	if x.cpHashes == nil {
		x.cpHashes = map[uint16][]byte{}
	}
	x.cpHashes[alg] = h
	return h
}

// rpHash is the response parameter hash (part 1, 18.8) of a success.
func rpHash(cc uint32, alg uint16, params []byte) []byte {
	return crypt.Digest(alg, wire.NewBE().U32(uint32(rcSuccess)).U32(cc).Bytes(params).Out())
}

// authValue is the auth value of an entity; empty for those that have none.
func (t *TPM) authValue(h handle) []byte {
	switch h.kind() {
	case htPermanent:
		if h.isACT() {
			return t.nv.Platform.Auth
		}
		if a := t.authorityOf(h); a != nil {
			return a.Auth
		}
	case htTransient, htPersistent:
		o := t.object(h)
		switch {
		case o == nil:
		case o.Seq != nil:
			return o.Seq.Auth
		case o.Sensitive != nil:
			return o.Sensitive.Auth
		}
	case htNV:
		if x := t.index(h); x != nil {
			return x.Auth
		}
	case htPCR:
		if g := rulesOf(int(h)).auth; g > 0 {
			return t.ram.PCRAuths[g-1]
		}
	}
	return nil
}

// policyRequired tells whether nothing but a policy can authorize an entity in a role (part 1, 19.2).
func (t *TPM) policyRequired(h handle, r role) bool {
	o := t.object(h)
	switch {
	case r == roleDup:
		return true
	case r == roleAdmin:
		return o == nil || o.Seq == nil && o.Public.Attrs.has(attrAdminWithPolicy)
	case h.kind() == htPCR:
		_, alg := t.authPolicy(h)
		return alg != crypt.AlgNull
	}
	return false
}

// authValueAvailable tells whether an entity can be used with its auth value in a role that asks for no policy.
func (t *TPM) authValueAvailable(x *execution, h handle, r role) bool {
	switch h.kind() {
	case htPermanent:
		return !h.isACT() || t.nv.Platform.Enabled
	case htTransient, htPersistent:
		o := t.object(h)
		return o.Seq != nil || o.Sensitive != nil && (r == roleAdmin || o.Public.Attrs.has(attrUserWithAuth))
	case htNV:
		index := t.index(h)
		switch {
		case x.flags&flagNVWrite != 0:
			return index.is(nvAuthWrite)
		case index.isPIN():
			return !index.pinExhausted()
		}
		return index.is(nvAuthRead)
	}
	return true
}

// authPolicy is the policy of an entity and its algorithm; TPM_ALG_NULL when it has none.
func (t *TPM) authPolicy(h handle) ([]byte, uint16) {
	switch h.kind() {
	case htPermanent:
		if a := t.authorityOf(h); a != nil {
			return a.Policy, a.PolicyAlg
		}
	case htTransient, htPersistent:
		if o := t.object(h); o.Seq == nil {
			return o.Public.Policy, o.Public.NameAlg
		}
	case htNV:
		x := t.index(h)
		return x.Public.Policy, x.Public.NameAlg
	case htPCR:
		if g := rulesOf(int(h)).policy; g > 0 {
			return t.nv.PCRGroups[g-1].Policy, t.nv.PCRGroups[g-1].PolicyAlg
		}
	}
	return nil, crypt.AlgNull
}

// authPolicyAvailable tells whether an entity can be used with its policy in a role.
func (t *TPM) authPolicyAvailable(x *execution, h handle, r role) bool {
	policy, alg := t.authPolicy(h)
	switch h.kind() {
	case htTransient, htPersistent:
		o := t.object(h)
		return o.Seq == nil && o.Sensitive != nil // adminWithPolicy only forbids the auth value
	case htNV:
		a := t.index(h).Public.Attrs
		switch {
		case len(policy) == 0:
			return false
		case r != roleUser:
			return true
		case x.flags&flagNVWrite != 0:
			return a.has(nvPolicyWrite)
		}
		return a.has(nvPolicyRead)
	}
	return alg != crypt.AlgNull
}

// decryptParams decrypts the first parameter when a session asks for it (part 1, 21).
func (t *TPM) decryptParams(x *execution) error {
	i := x.find(sessDecrypt)
	if i < 0 {
		return nil
	}
	a := x.sessions[i]
	r := wire.BE(x.params)
	size := r.U16()
	if r.Err() != nil {
		return rcInsufficient.param(1)
	}
	if int(size) > r.Len() {
		return rcSize.param(1)
	}
	if t.audits(x) {
		t.cpHash(x, t.nv.AuditAlg) // over the parameters as they came, to be found by auditCommand
	}
	x.params = slices.Clone(x.params)
	return t.cryptParam(a, x.params[2:2+int(size)], a.nonceCaller, a.s.Nonce, false)
}

// cryptParam encrypts or decrypts a parameter in place under a session's key and the auth value of what the session
// authorizes.
func (t *TPM) cryptParam(a *authorization, data, newer, older []byte, encrypt bool) error {
	key := a.s.Key
	if a.authorizes() {
		key = slices.Concat(key, t.authValue(a.entity))
	}
	if a.s.Sym.Alg == crypt.AlgXOR {
		crypt.XOR(a.s.Sym.KeyBits, key, newer, older, data)
		return nil
	}
	n := a.s.Sym.keyBytes()
	k := crypt.KDFa(a.s.Alg, key, "CFB", newer, older, (n+crypt.BlockSize)*8)
	return crypt.CFB(a.s.Sym.Alg, k[:n], k[n:], data, encrypt)
}

// answerSessions rolls the nonces, audits, encrypts the first response parameter in its place and appends the authorization
// area to the response.
func (t *TPM) answerSessions(x *execution, params []byte) (err error) {
	for _, a := range x.sessions {
		if a.s != nil {
			if a.s.Nonce, err = t.random(len(a.s.Nonce)); err != nil {
				return err
			}
		}
	}
	if i := x.find(sessEncrypt); i >= 0 {
		a := x.sessions[i]
		size := int(params[0])<<8 | int(params[1])
		if err := t.cryptParam(a, params[2:2+size], a.s.Nonce, a.nonceCaller, true); err != nil {
			return err
		}
	}
	if err := t.auditSessions(x, params); err != nil {
		return err
	}
	if err := t.auditCommand(x, params); err != nil {
		return err
	}
	for _, a := range x.sessions {
		t.answerSession(x, a, params)
	}
	return nil
}

func (t *TPM) answerSession(x *execution, a *authorization, params []byte) {
	if a.s == nil {
		x.out.Sized16(nil).U8(uint8(a.attrs | sessContinue)).Sized16(nil)
		return
	}
	var mac []byte
	if !a.authorizes() || !a.s.Policy.NeedPass { // a password came in the place of an HMAC, and none goes back
		mac = t.sessionHMAC(a, func() []byte { return rpHash(x.cc, a.s.Alg, params) }, a.s.Nonce, a.nonceCaller, nil)
	}
	x.out.Sized16(a.s.Nonce).U8(uint8(a.attrs)).Sized16(mac)
	if a.s.isPolicy() && a.authorizes() {
		a.s.Policy.reset(a.s.Alg)
	}
	if !a.is(sessContinue) {
		t.dropSession(a.handle)
	}
}
