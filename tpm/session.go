package tpm

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// SRKHandle is where the TCG's provisioning guidance keeps the storage root key.
const SRKHandle tpm2.TPMHandle = 0x81000001

// Direction says which way the first parameter of a command is encrypted. It must be a sized buffer that way: the TPM
// refuses the session otherwise (part 1, section 19.1).
type Direction int

// The directions.
const (
	In    Direction = iota + 1 // to the TPM: Create, NV_Write, Import
	Out                        // from the TPM: Unseal, NV_Read, GetRandom
	InOut                      // both ways: RSA_Decrypt, EncryptDecrypt2
)

// Key is a loaded key.
type Key struct {
	Handle tpm2.TPMHandle
	Name   tpm2.TPM2BName
	Public tpm2.TPMTPublic
}

// Named is the form in which go-tpm's commands take a key that they do not authorize.
func (k Key) Named() tpm2.NamedHandle { return tpm2.NamedHandle{Handle: k.Handle, Name: k.Name} }

// SessionOptions choose the key that sessions are salted with. The zero value takes the TPM's storage root key, on
// trust: whoever sits between us and the TPM could have put another key there. PinnedName ends that trust.
type SessionOptions struct {
	PinnedName []byte         // Name that the key must have; nil accepts any
	Handle     tpm2.TPMHandle // persistent key to try first; 0 is SRKHandle
}

// Sessions makes sessions whose parameters are encrypted with AES-128-CFB under a key that only the TPM and we know:
// a random salt, encrypted to a key of the TPM. They are made when a command is executed and end with it.
type Sessions struct {
	t         Sender
	salt      Key
	hierarchy tpm2.TPMHandle // of a transient salt key; 0 for a persistent one
}

// The parameters of all sessions. AES-256 is not among them because some TPMs do not have it; a nonce is as long as
// the digest.
const (
	sessionHash    = tpm2.TPMAlgSHA256
	sessionNonce   = 32
	sessionKeyBits = 128
)

// NewSessions finds a key to salt sessions with: the persistent storage root key, else a transient primary of the owner
// made from the template of the SRK, else one of the null hierarchy, which needs no password. It keeps nothing in the
// TPM beyond Close.
func NewSessions(t Sender, o SessionOptions) (*Sessions, error) {
	if o.Handle == 0 {
		o.Handle = SRKHandle
	}
	key, err := ReadKey(t, o.Handle)
	switch {
	case err == nil && canSalt(key.Public) && o.accepts(key):
		return &Sessions{t: t, salt: key}, nil
	case err == nil || errors.Is(err, tpm2.TPMRCHandle) || fail.KindOf(err) == fail.Unsupported:
		return withTransientKey(t, o)
	}
	return nil, err
}

// accepts tells whether k is the key that was pinned.
func (o SessionOptions) accepts(k Key) bool {
	return o.PinnedName == nil || bytes.Equal(o.PinnedName, k.Name.Buffer)
}

// Parent is the key that sessions are salted with, if it is a storage key of the owner: what was needed anyway may then
// be the parent of a sealed object too. A transient key lives until Close.
func (s *Sessions) Parent() (Key, bool) {
	return s.salt, s.hierarchy != tpm2.TPMRHNull && s.salt.Public.ObjectAttributes.Restricted
}

// HMAC is a session that proves an auth value without sending it, and encrypts the first parameter. Give the command's
// handle this session, or pass it as an extra session with a nil auth to encrypt only.
func (s *Sessions) HMAC(d Direction, auth []byte, extra ...tpm2.AuthOption) tpm2.Session {
	return tpm2.HMAC(sessionHash, sessionNonce, s.options(d, auth, extra)...)
}

// Policy is a session that satisfies a policy by the commands that steps sends, and encrypts the first parameter. auth
// is for policies with PolicyAuthValue.
func (s *Sessions) Policy(d Direction, auth []byte, steps tpm2.PolicyCallback, extra ...tpm2.AuthOption) tpm2.Session {
	return tpm2.Policy(sessionHash, sessionNonce, steps, s.options(d, auth, extra)...)
}

func (s *Sessions) options(d Direction, auth []byte, extra []tpm2.AuthOption) []tpm2.AuthOption {
	options := []tpm2.AuthOption{tpm2.Salted(s.salt.Handle, s.salt.Public), tpm2.Auth(auth)}
	switch d {
	case In:
		options = append(options, tpm2.AESEncryption(sessionKeyBits, tpm2.EncryptIn))
	case Out:
		options = append(options, tpm2.AESEncryption(sessionKeyBits, tpm2.EncryptOut))
	case InOut:
		options = append(options, tpm2.AESEncryption(sessionKeyBits, tpm2.EncryptInOut))
	}
	return append(options, extra...)
}

// Close flushes the salt key if it was made for these sessions.
func (s *Sessions) Close() error {
	if s.hierarchy == 0 {
		return nil
	}
	s.hierarchy = 0
	_, err := tpm2.FlushContext{FlushHandle: s.salt.Handle}.Execute(s.t)
	return err
}

// AuthValue is a PIN or password as the TPM compares it: without the zero bytes at its end (part 1, section 19.6.5). A
// zero byte within is refused: go-tpm would cut the value there, and the TPM would count a wrong try.
func AuthValue(secret []byte) ([]byte, error) {
	secret = bytes.TrimRight(secret, "\x00")
	if i := bytes.IndexByte(secret, 0); i >= 0 {
		return nil, fail.E(fail.BadInput, "byte %d of the auth value is zero, which is not supported", i+1).
			Hint("is the PIN file text?")
	}
	return secret, nil
}

// Fresh runs f, and once more for each time the TPM says that a PCR was extended between the making of a policy and its
// use, up to a bound: on a machine with IMA any program start extends one. f has to make its sessions anew.
func Fresh(ctx context.Context, f func() error) error {
	const limit, pause = 8, 20 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := f()
		if !errors.Is(err, tpm2.TPMRCPCRChanged) || attempt == limit {
			return err
		}
		if !sleep(ctx, time.Duration(attempt)*pause) {
			return waitError(ctx)
		}
	}
}

// ReadKey reads the public part of the key at a handle and checks that its Name is right for it: everything that is
// built on the key is built on that Name.
func ReadKey(t Sender, h tpm2.TPMHandle) (Key, error) {
	public, name, err := ReadPublic(t, h)
	if err != nil {
		return Key{}, err
	}
	return newKey(h, public, name)
}

// newKey checks that name belongs to public.
func newKey(h tpm2.TPMHandle, public tpm2.TPM2BPublic, name tpm2.TPM2BName) (Key, error) {
	pub, err := public.Contents()
	if err != nil {
		return Key{}, fail.E(fail.Unsupported, "the public area of the key at 0x%08x does not decode: %w", uint32(h), err)
	}
	want, err := tpm2.ObjectName(pub)
	if err != nil {
		return Key{}, fail.E(fail.Unsupported, "the name of the key at 0x%08x cannot be computed: %w", uint32(h), err)
	}
	if !bytes.Equal(want.Buffer, name.Buffer) {
		return Key{}, fail.E(fail.Failed, "the key at 0x%08x has the name %x, and its public area the name %x", uint32(h),
			name.Buffer, want.Buffer).Hint("what answers is not a sound TPM, or something alters what it says")
	}
	return Key{Handle: h, Name: name, Public: *pub}, nil
}

// canSalt tells whether a salt can be encrypted to the key: a decryption key of a kind that go-tpm can use.
func canSalt(pub tpm2.TPMTPublic) bool {
	if !pub.ObjectAttributes.Decrypt {
		return false
	}
	_, err := tpm2.ImportEncapsulationKey(&pub)
	return err == nil
}

// withTransientKey makes a primary to salt with, trying hierarchies and templates in turn.
func withTransientKey(t Sender, o SessionOptions) (*Sessions, error) {
	var refusal error
	for _, hierarchy := range []tpm2.TPMHandle{tpm2.TPMRHOwner, tpm2.TPMRHNull} {
		for _, template := range []tpm2.TPMTPublic{tpm2.ECCSRKTemplate, tpm2.RSASRKTemplate} {
			key, err := createPrimary(t, hierarchy, template)
			if err == nil && o.accepts(key) {
				return &Sessions{t: t, salt: key, hierarchy: hierarchy}, nil
			}
			if err == nil {
				refusal = errNotPinned(o)
				_, err = tpm2.FlushContext{FlushHandle: key.Handle}.Execute(t)
			}
			rc, refused := errors.AsType[tpm2.TPMRC](err)
			switch {
			case err == nil:
				continue
			case !refused || rc.IsWarning(): // no answer, or no room, or not now: another key would fare no better
				return nil, err
			case refusal == nil:
				refusal = fail.E(fail.Unsupported, "this TPM makes no key that a session can be salted with: %w", err).
					Hint("RSA-2048 or ECC P-256 with AES-128-CFB and SHA-256 is needed; vtpmctl info lists what there is")
			}
			if slices.ContainsFunc(closedHierarchy, func(rc tpm2.TPMRC) bool { return errors.Is(err, rc) }) {
				break // the other template would be refused as well
			}
		}
	}
	return nil, refusal
}

func errNotPinned(o SessionOptions) error {
	return fail.E(fail.WrongTPM, "no storage key of this TPM has the pinned name %x", o.PinnedName).
		Hint("this is another TPM, or its owner hierarchy was cleared, or something stands between it and us")
}

// closedHierarchy are the refusals of a hierarchy that has a password or is switched off.
var closedHierarchy = []tpm2.TPMRC{tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail, tpm2.TPMRCAuthUnavailable, tpm2.TPMRCHierarchy}

func createPrimary(t Sender, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic) (Key, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(t)
	if err != nil {
		return Key{}, err
	}
	return newKey(rsp.ObjectHandle, rsp.OutPublic, rsp.Name)
}
