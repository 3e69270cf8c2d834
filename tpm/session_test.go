package tpm

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// storageKey is a P-256 storage key as a TPM would make it.
func storageKey(t *testing.T, h tpm2.TPMHandle) Key {
	t.Helper()
	priv, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point := priv.PublicKey().Bytes()[1:]
	pub := tpm2.ECCSRKTemplate
	pub.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[:32]}, Y: tpm2.TPM2BECCParameter{Buffer: point[32:]},
	})
	name, err := tpm2.ObjectName(&pub)
	if err != nil {
		t.Fatal(err)
	}
	return Key{Handle: h, Name: *name, Public: pub}
}

// readPublicOf answers ReadPublic with a key.
func readPublicOf(k Key) []byte {
	return response(tpm2.TPMRCSuccess, wire.NewBE().Sized16(tpm2.Marshal(k.Public)).Sized16(k.Name.Buffer).Sized16(nil).Out())
}

// createdPrimary answers CreatePrimary with a key, under the password session that the command came with.
func createdPrimary(k Key) []byte {
	creationData := wire.NewBE().U32(0).Sized16(nil).U8(1).U16(0x0010).Sized16(nil).Sized16(nil).Sized16(nil).Out()
	params := wire.NewBE().Sized16(tpm2.Marshal(k.Public)).Sized16(creationData).Sized16(nil).
		U16(uint16(tpm2.TPMSTCreation)).U32(uint32(tpm2.TPMRHOwner)).Sized16(nil).Sized16(k.Name.Buffer).Out()
	body := wire.NewBE().U32(uint32(k.Handle)).Sized32(params).Sized16(nil).U8(1).Sized16(nil).Out()
	return wire.NewBE().U16(uint16(tpm2.TPMSTSessions)).U32(uint32(headerSize + len(body))).U32(0).Bytes(body).Out()
}

// keyring is a fake TPM with a key at the SRK's handle, or none, and one primary for each hierarchy.
type keyring struct {
	persistent *Key
	primaries  map[tpm2.TPMHandle]Key
	refuse     map[tpm2.TPMHandle]tpm2.TPMRC // per hierarchy
	refuseECC  tpm2.TPMRC
}

func (k keyring) fake() *fakeTPM {
	f := newFakeTPM()
	f.answers[tpm2.TPMCCReadPublic] = func([]byte) []byte {
		if k.persistent == nil {
			return response(0x18b, nil)
		}
		return readPublicOf(*k.persistent)
	}
	f.answers[tpm2.TPMCCCreatePrimary] = func(cmd []byte) []byte {
		c := parseCommand(cmd)
		isECC := bytes.Contains(c.params, []byte{0x00, 0x23, 0x00, 0x0b})
		if rc := k.refuse[c.handles[0]]; rc != 0 {
			return response(rc, nil)
		}
		if isECC && k.refuseECC != 0 {
			return response(k.refuseECC, nil)
		}
		return createdPrimary(k.primaries[c.handles[0]])
	}
	f.answers[tpm2.TPMCCFlushContext] = func([]byte) []byte { return response(tpm2.TPMRCSuccess, nil) }
	return f
}

func TestSessionsChooseTheirSaltKey(t *testing.T) {
	srk := storageKey(t, SRKHandle)
	owner, null := storageKey(t, 0x80000001), storageKey(t, 0x80000002)
	primaries := map[tpm2.TPMHandle]Key{tpm2.TPMRHOwner: owner, tpm2.TPMRHNull: null}
	signing := srk
	signing.Public.ObjectAttributes.Decrypt = false
	name, err := tpm2.ObjectName(&signing.Public)
	if err != nil {
		t.Fatal(err)
	}
	signing.Name = *name
	const read, create, flush = "TPM2_ReadPublic", "TPM2_CreatePrimary", "TPM2_FlushContext"
	for what, tt := range map[string]struct {
		tpm    keyring
		pin    []byte
		want   tpm2.TPMHandle
		parent bool
		sent   []string
	}{
		"the persistent SRK": {keyring{persistent: &srk}, nil, srk.Handle, true, []string{read}},
		"the pinned SRK":     {keyring{persistent: &srk}, srk.Name.Buffer, srk.Handle, true, []string{read}},
		"no SRK: a primary of the owner": {
			keyring{primaries: primaries}, nil, owner.Handle, true, []string{read, create, flush}},
		"a signing key at the SRK's handle": {
			keyring{persistent: &signing, primaries: primaries}, nil, owner.Handle, true, []string{read, create, flush}},
		"the owner has a password: the null hierarchy": {
			keyring{primaries: primaries, refuse: map[tpm2.TPMHandle]tpm2.TPMRC{tpm2.TPMRHOwner: 0x9a2}}, nil, null.Handle, false,
			[]string{read, create, create, flush}},
		"no ECC: RSA": {
			keyring{primaries: primaries, refuseECC: 0x2c1}, nil, owner.Handle, true, []string{read, create, create, flush}},
		"another SRK than the pinned one: the pinned primary": {
			keyring{persistent: &srk, primaries: primaries}, owner.Name.Buffer, owner.Handle, true, []string{read, create, flush}},
	} {
		t.Run(what, func(t *testing.T) {
			fake := tt.tpm.fake()
			s, err := NewSessions(fake, SessionOptions{PinnedName: tt.pin})
			if err != nil {
				t.Fatal(err)
			}
			key, parent := s.Parent()
			if key.Handle != tt.want || parent != tt.parent {
				t.Errorf("salted with 0x%08x, a parent: %v; want 0x%08x, %v", key.Handle, parent, tt.want, tt.parent)
			}
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.sent, fake.sent()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSessionsRefuse(t *testing.T) {
	srk := storageKey(t, SRKHandle)
	forged := srk
	forged.Name.Buffer = bytes.Clone(srk.Name.Buffer)
	forged.Name.Buffer[5] ^= 1
	primaries := map[tpm2.TPMHandle]Key{tpm2.TPMRHOwner: storageKey(t, 0x80000001), tpm2.TPMRHNull: storageKey(t, 0x80000002)}
	every := func(rc tpm2.TPMRC) map[tpm2.TPMHandle]tpm2.TPMRC {
		return map[tpm2.TPMHandle]tpm2.TPMRC{tpm2.TPMRHOwner: rc, tpm2.TPMRHNull: rc}
	}
	for what, tt := range map[string]struct {
		tpm  keyring
		pin  []byte
		want fail.Kind
	}{
		"a name that does not fit its key":    {keyring{persistent: &forged, primaries: primaries}, nil, fail.Failed},
		"a pinned name that no key has":       {keyring{persistent: &srk, primaries: primaries}, []byte("pin"), fail.WrongTPM},
		"a TPM that makes no such keys":       {keyring{refuse: every(0x2c1)}, nil, fail.Unsupported},
		"a TPM whose hierarchies are all off": {keyring{refuse: every(0x185)}, nil, fail.Unsupported},
	} {
		t.Run(what, func(t *testing.T) {
			fake := tt.tpm.fake()
			if _, err := NewSessions(fake, SessionOptions{PinnedName: tt.pin}); fail.KindOf(err) != tt.want {
				t.Errorf("error %v of kind %q, want %q", err, fail.KindOf(err), tt.want)
			}
			created, flushed := 0, 0
			for _, cmd := range fake.log {
				switch parseCommand(cmd).code {
				case tpm2.TPMCCCreatePrimary:
					created++
				case tpm2.TPMCCFlushContext:
					flushed++
				}
			}
			if tt.want == fail.WrongTPM && created != flushed {
				t.Errorf("%d keys made, %d flushed", created, flushed)
			}
		})
	}
}

func TestSessionsGiveUpWhenTheTPMIsFull(t *testing.T) {
	fake := keyring{refuse: map[tpm2.TPMHandle]tpm2.TPMRC{tpm2.TPMRHOwner: tpm2.TPMRCObjectMemory}}.fake()
	_, err := NewSessions(fake, SessionOptions{})
	if !errors.Is(err, tpm2.TPMRCObjectMemory) || len(fake.log) != 2 {
		t.Errorf("error %v after %d commands", err, len(fake.log))
	}
}

func TestAuthValue(t *testing.T) {
	for in, want := range map[string]string{"": "", "1234": "1234", "1234\x00\x00": "1234", "\x00": ""} {
		if got, err := AuthValue([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q becomes %q, error %v; want %q", in, got, err, want)
		}
	}
	if _, err := AuthValue([]byte("12\x0034")); fail.KindOf(err) != fail.BadInput {
		t.Errorf("a zero byte within: error %v, want one of kind %q", err, fail.BadInput)
	}
}

func TestFreshTriesAgainWhileThePCRsMove(t *testing.T) {
	for what, tt := range map[string]struct {
		moves int
		other error
		calls int
		want  error
	}{
		"still from the start": {0, nil, 1, nil},
		"moved twice":          {2, nil, 3, nil},
		"moving all the time":  {99, nil, 8, tpm2.TPMRCPCRChanged},
		"another error":        {0, io.EOF, 1, io.EOF},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := Fresh(t.Context(), func() error {
					if calls++; calls <= tt.moves {
						return tpm2.TPMRCPCRChanged
					}
					return tt.other
				})
				if calls != tt.calls || !errors.Is(err, tt.want) {
					t.Errorf("%d calls, error %v; want %d, %v", calls, err, tt.calls, tt.want)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Fresh(ctx, func() error { return tpm2.TPMRCPCRChanged }); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: error %v", err)
	}
}
