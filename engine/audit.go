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
		t.exclusive = 0
		return nil
	}
	a := x.sessions[i]
	if !a.s.Audit || a.is(sessAuditReset) {
		a.s.Audit, a.s.Bind = true, nil // a session that audits is bound to nothing from then on
		a.s.AuditDigest = make([]byte, crypt.HashSize(a.s.Alg))
		t.exclusive = a.handle
	} else if t.exclusive != a.handle {
		t.exclusive = 0
	}
	a.s.AuditDigest = crypt.Digest(a.s.Alg, a.s.AuditDigest, t.cpHash(x, a.s.Alg), rpHash(x.cc, a.s.Alg, params))
	a.attrs &^= sessAuditExclusive
	if t.exclusive == a.handle {
		a.attrs |= sessAuditExclusive // so the response says, asked or not
	}
	return nil
}

// audits tells whether command audit is to have the command.
func (t *TPM) audits(x *execution) bool { return slices.Contains(t.nv.AuditCommands, x.cc) }

// auditCommand folds the command into the command audit digest, if it is listed.
func (t *TPM) auditCommand(x *execution, params []byte) error {
	if x.tag == stNoSessions {
		t.exclusive = 0
	}
	if !t.audits(x) {
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
