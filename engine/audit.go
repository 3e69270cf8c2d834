package engine

import (
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// auditSessions folds the command into the digest of the session that audits it. An audit session is exclusive as long
// as no other command comes between.
func (t *TPM) auditSessions(x *execution, params []byte) error {
	i := x.find(sessAudit)
	if i < 0 {
		t.breakExclusive(x)
		return nil
	}
	a := x.sessions[i]
	if !a.s.Audit || a.is(sessAuditReset) {
		a.s.Audit = true
		a.s.AuditDigest = make([]byte, crypt.HashSize(a.s.Alg))
		t.exclusive = a.handle
	} else if t.exclusive != a.handle {
		t.exclusive = 0
	}
	a.s.AuditDigest = crypt.Digest(a.s.Alg, a.s.AuditDigest, t.cpHash(x, a.s.Alg), rpHash(x.cc, a.s.Alg, params))
	return nil
}

// breakExclusive ends exclusivity: the command was not audited by the exclusive session. Commands that manage contexts
// and read only capabilities do not count (part 1, 19.10.4).
func (t *TPM) breakExclusive(x *execution) {
	if x.flags&flagNoAudit == 0 {
		t.exclusive = 0
	}
}

// auditCommand folds the command into the command audit digest, if it is listed.
func (t *TPM) auditCommand(x *execution, params []byte) error {
	if x.tag == stNoSessions {
		t.breakExclusive(x)
	}
	if !slices.Contains(t.nv.AuditCommands, x.cc) {
		return nil
	}
	alg := t.nv.AuditAlg
	if len(t.ram.AuditDigest) == 0 {
		t.nv.AuditCounter++
		t.ram.AuditDigest = make([]byte, crypt.HashSize(alg))
	}
	t.ram.AuditDigest = crypt.Digest(alg, t.ram.AuditDigest, t.cpHash(x, alg), rpHash(x.cc, alg, params))
	return nil
}
