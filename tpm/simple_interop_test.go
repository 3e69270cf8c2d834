//go:build interop

package tpm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"
)

func TestTheTPMHashesAsWeDo(t *testing.T) {
	c, err := Open(t.Context(), startSWTPM(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, size := range []int{0, 1, 1023, 1024, 1025, 5000} {
		data := bytes.Repeat([]byte{'x'}, size)
		want := sha256.Sum256(data)
		got, err := Hash(c, tpm2.TPMAlgSHA256, iotest.OneByteReader(bytes.NewReader(data)))
		if err != nil {
			t.Fatal(Annotate(c, err))
		}
		if diff := cmp.Diff(want[:], got); diff != "" {
			t.Errorf("%d bytes: %s", size, diff)
		}
	}
	broken := errors.New("broken")
	if _, err := Hash(c, tpm2.TPMAlgSHA256, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if open := c.(*conn).track.open; len(open) != 0 {
		t.Errorf("left open: %x", open)
	}
}

func TestRandomBytesAreAsManyAsAsked(t *testing.T) {
	c, err := Open(t.Context(), startSWTPM(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, n := range []int{1, 32, 33, 100} {
		got, err := Random(c, n)
		if err != nil {
			t.Fatal(Annotate(c, err))
		}
		if len(got) != n || n > 8 && bytes.Equal(got, make([]byte, n)) {
			t.Errorf("asked for %d bytes, got %x", n, got)
		}
	}
}

// TestTheLockoutEndsByItsPassword locks swtpm by wrong tries, then ends that with the lockout password.
func TestTheLockoutEndsByItsPassword(t *testing.T) {
	c, err := Open(t.Context(), startSWTPM(t), Options{Allow: Clears | UsesDA})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := NewSessions(c, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	password := []byte("open the gate")
	_, err = tpm2.HierarchyChangeAuth{ // go-tpm cannot check an answer that is authorized by the new password
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}, NewAuth: tpm2.TPM2BAuth{Buffer: password},
	}.Execute(c, s.HMAC(In, nil))
	if err != nil {
		t.Fatal(Annotate(c, err))
	}
	key, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: s.HMAC(In, nil)},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: []byte("1234")}, Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: []byte("x")}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true}}),
	}.Execute(c)
	if err != nil {
		t.Fatal(Annotate(c, err))
	}
	unseal := func(pin string) error {
		_, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: key.ObjectHandle, Name: key.Name, Auth: s.HMAC(Out, []byte(pin))}}.Execute(c)
		return err
	}
	for !errors.Is(err, tpm2.TPMRCLockout) {
		if err = unseal("wrong"); !errors.Is(err, tpm2.TPMRCAuthFail) && !errors.Is(err, tpm2.TPMRCLockout) {
			t.Fatal(err)
		}
	}
	if l, state, err := ReadLockout(c); err != nil || !l.Locked || !state.LockoutAuthSet {
		t.Errorf("%+v, %+v, error %v", l, state, err)
	}
	if err := unseal("1234"); !errors.Is(err, tpm2.TPMRCLockout) {
		t.Errorf("the right PIN during lockout: error %v", err)
	}
	if err := ResetLockout(c, password); err != nil {
		t.Fatal(Annotate(c, err))
	}
	if err := unseal("1234"); err != nil {
		t.Errorf("after the reset: %v", Annotate(c, err))
	}
	if err := ResetLockout(c, []byte("wrong")); !errors.Is(err, tpm2.TPMRCAuthFail) {
		t.Errorf("with a wrong password: error %v", err)
	}
}
