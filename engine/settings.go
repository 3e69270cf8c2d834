package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
)

// settings are what the owner of a state chose for it. No command reaches them, and they outlive every reset.
type settings struct {
	Reset    ResetPolicy
	LastBoot []byte // digest of the Config.Boot that the TPM ran in last, when the policy asks for it
}

// ResetPolicy says what resets a TPM whose power stays on between processes.
type ResetPolicy uint8

const (
	// ResetExplicitly leaves it to Reset.
	ResetExplicitly ResetPolicy = iota
	// ResetWithHost resets it in Reset, and in New when Config.Boot is not what it was: the host was booted, as its own TPM was then.
	ResetWithHost
)

// String is the word for a policy.
func (p ResetPolicy) String() string {
	if p == ResetWithHost {
		return "with-host"
	}
	return "explicit"
}

func (s *settings) code(c *coder) {
	c.u8((*uint8)(&s.Reset))
	c.require(s.Reset <= ResetWithHost, rcValue)
	c.sized(&s.LastBoot, sha256.Size)
}

// ResetPolicy tells what resets the TPM.
func (t *TPM) ResetPolicy() ResetPolicy {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settings.Reset
}

// SetResetPolicy chooses what resets the TPM from now on. It is kept in the state.
func (t *TPM) SetResetPolicy(p ResetPolicy) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.store == nil:
		return ErrClosed
	case p > ResetWithHost:
		return errors.New("engine: no such reset policy")
	case p == ResetWithHost && t.boot == "":
		return errors.New("engine: Config.Boot does not tell this boot of the host from another")
	}
	t.advance()
	t.settings = settings{Reset: p}
	t.noteBoot()
	return t.commit()
}

// hostRebooted tells whether the TPM last ran in another boot of the host, and is to be reset for that.
func (t *TPM) hostRebooted() bool {
	return t.settings.Reset == ResetWithHost && t.boot != "" && !bytes.Equal(bootDigest(t.boot), t.settings.LastBoot)
}

// noteBoot keeps what hostRebooted compares with.
func (t *TPM) noteBoot() {
	if t.settings.Reset == ResetWithHost && t.boot != "" {
		t.settings.LastBoot = bootDigest(t.boot)
	}
}

func bootDigest(boot string) []byte {
	d := sha256.Sum256([]byte(boot))
	return d[:]
}
