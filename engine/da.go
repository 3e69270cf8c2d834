package engine

import "time"

// newLockoutState is that of a TPM that never was used.
func newLockoutState() lockoutState {
	return lockoutState{MaxTries: 3, Recovery: 1000, LockoutRecovery: 1000}
}

// healed is the state of the logic by now: one try less for each recovery time that passed without a failure, and the lockout
// authority unblocked. It counts from healedAt on.
func (t *TPM) healed() (da lockoutState, healedAt uint64) {
	da, healedAt = t.nv.DA, t.HealedAt
	if da.Recovery == 0 { // dictionary-attack protection is off
		da.Failed = 0
	}
	if da.Failed > 0 {
		step := uint64(da.Recovery) * uint64(time.Second/time.Millisecond)
		n := min((t.Time-healedAt)/step, uint64(da.Failed))
		da.Failed -= uint32(n)
		healedAt += n * step
	}
	if da.LockoutBlocked && da.LockoutRecovery > 0 && t.Time-t.BlockedAt >= uint64(da.LockoutRecovery)*1000 {
		da.LockoutBlocked = false
	}
	return da, healedAt
}

// heal keeps what healed.
func (t *TPM) heal() { t.nv.DA, t.HealedAt = t.healed() }

// startUpLockout unblocks the lockout authority where no time but a startup is to do that.
func (t *TPM) startUpLockout() {
	if t.nv.DA.LockoutRecovery == 0 {
		t.nv.DA.LockoutBlocked = false
	}
}

// inLockout tells whether protected entities refuse every authorization.
func (t *TPM) inLockout() bool {
	da, _ := t.healed()
	return da.Failed >= da.MaxTries
}

// daExempt tells whether failures to authorize h do not count.
func (t *TPM) daExempt(h handle) bool {
	switch h.kind() {
	case htPermanent:
		return h != rhLockout
	case htTransient, htPersistent:
		o := t.object(h)
		return o == nil || o.Seq != nil || o.Public.Attrs.has(attrNoDA)
	case htNV:
		x := t.index(h)
		return x == nil || x.Public.Attrs.has(nvNoDA)
	}
	return true
}

// authFailed registers a wrong auth value and gives the code to answer. The count is in the store before the answer is
// sent, so that killing the process is no way around it.
func (t *TPM) authFailed(lockout, exempt bool) rc {
	t.heal()
	switch {
	case lockout:
		t.nv.DA.LockoutBlocked, t.BlockedAt = true, t.Time
	case exempt:
		return rcBadAuth
	default:
		if t.nv.DA.Recovery != 0 {
			t.nv.DA.Failed++
		}
		t.HealedAt = t.Time
	}
	return rcAuthFail
}

// refusedByLockout gives TPM_RC_LOCKOUT when an auth value must not even be tried.
func (t *TPM) refusedByLockout(lockout bool) error {
	da, _ := t.healed()
	if lockout && da.LockoutBlocked || !lockout && t.inLockout() {
		return rcLockout
	}
	return nil
}

type daLockResetIn struct {
	Lockout handle `tpm:"lockout,user"`
}

// daLockReset is TPM2_DictionaryAttackLockReset.
func (t *TPM) daLockReset(*daLockResetIn) (*none, error) {
	t.heal()
	t.nv.DA.Failed = 0
	return nil, nil
}

type daParametersIn struct {
	Lockout                                 handle `tpm:"lockout,user"`
	MaxTries, RecoveryTime, LockoutRecovery uint32
}

// daParameters is TPM2_DictionaryAttackParameters.
func (t *TPM) daParameters(in *daParametersIn) (*none, error) {
	t.heal()
	t.nv.DA.MaxTries, t.nv.DA.Recovery, t.nv.DA.LockoutRecovery = in.MaxTries, in.RecoveryTime, in.LockoutRecovery
	t.HealedAt, t.BlockedAt = t.Time, t.Time
	return nil, nil
}
