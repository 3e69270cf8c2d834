package tpm

import (
	"errors"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// ReadLockout reads the state of the defence against guessing, without using an auth value.
func ReadLockout(t Sender) (*Lockout, *State, error) {
	var c Capabilities
	if err := readCapability(t, tpm2.TPMCapTPMProperties, uint32(tpm2.TPMPTPermanent), into(&c.Properties, readProperty)); err != nil {
		return nil, nil, err
	}
	c.describe(propertyValues(c.Properties))
	return &c.Lockout, &c.State, nil
}

// ResetLockout ends a lockout and forgets the failed tries, by the lockout password (part 3, section 25.2).
func ResetLockout(t Sender, auth []byte) error {
	s, err := NewSessions(t, SessionOptions{})
	if err != nil {
		return err
	}
	// The command has no parameter that could be encrypted; the session proves the password without sending it.
	const noParameter Direction = 0
	err = execute(t, tpm2.TPMCCDictionaryAttackLockReset, tpm2.TPMRHLockout, s.HMAC(noParameter, auth))
	return errors.Join(err, s.Close())
}

// execute runs a command that go-tpm has no type for: one permanent handle, its session, no parameters.
func execute(t Sender, cc tpm2.TPMCC, h tpm2.TPMHandle, s tpm2.Session) error {
	if err := errors.Join(s.Init(t), s.NewNonceCaller()); err != nil {
		return err
	}
	names := []tpm2.TPM2BName{tpm2.HandleName(h)}
	auth, err := s.Authorize(cc, nil, nil, names, 0)
	if err != nil {
		return err
	}
	area := tpm2.Marshal(auth)
	rsp, err := t.Send(wire.NewBE().U16(uint16(tpm2.TPMSTSessions)).U32(uint32(headerSize + 8 + len(area))).U32(uint32(cc)).
		U32(uint32(h)).Sized32(area).Out())
	if err == nil {
		err = checkResponse(rsp)
	}
	if err != nil {
		return err
	}
	if rc := responseCode(rsp); rc != tpm2.TPMRCSuccess {
		return errors.Join(rc, s.CleanupFailure(t))
	}
	r := wire.BE(rsp[headerSize:])
	r.Sized32() // no parameters
	proof, err := tpm2.Unmarshal[tpm2.TPMSAuthResponse](r.Rest())
	if err != nil {
		return err
	}
	return s.Validate(tpm2.TPMRCSuccess, cc, nil, names, 0, proof)
}
