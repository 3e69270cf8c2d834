package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// live opens a fresh TPM that really computes. heard gives all bytes that went between it and us.
type live func(t *testing.T, o Options) (c *conn, heard func() []byte)

// liveTests need a TPM that computes. They run on the engine here, and on swtpm in the interop tier.
var liveTests = map[string]func(*testing.T, live){
	"secrets never cross the bus":         testSecretsNeverCrossTheBus,
	"the TPM hashes as we do":             testTheTPMHashesAsWeDo,
	"random bytes are as many as asked":   testRandomBytesAreAsManyAsAsked,
	"the lockout ends by its password":    testTheLockoutEndsByItsPassword,
	"command shapes are those of the TPM": func(t *testing.T, open live) { c, _ := open(t, Options{}); compareShapes(t, c) },
}

func TestOnTheEngine(t *testing.T) {
	for name, test := range liveTests {
		t.Run(name, func(t *testing.T) { test(t, openEngineHeard) })
	}
}

// openEngineHeard hears an engine in memory by its transcript.
func openEngineHeard(t *testing.T, o Options) (*conn, func() []byte) {
	var transcript bytes.Buffer
	o.Record = &transcript
	c := openEngineInMemory(t, o)
	return c.(*conn), func() (all []byte) {
		exchanges, err := readTranscript(bytes.NewReader(transcript.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range exchanges {
			all = append(append(all, x.Command...), x.Response...)
		}
		return all
	}
}

// testSecretsNeverCrossTheBus seals and unseals under a PIN, by an auth value and by a policy, and looks for secret and
// PIN in all that was heard.
func testSecretsNeverCrossTheBus(t *testing.T, open live) {
	c, heard := open(t, Options{Allow: UsesDA})
	s, err := NewSessions(c, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret, pin := []byte("correct horse battery"), []byte("31415926")
	authValue := func(t transport.TPM, h tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicyAuthValue{PolicySession: h}.Execute(t)
		return err
	}
	calc, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := (tpm2.PolicyAuthValue{}).Update(calc); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		policy []byte
		auth   func(pin []byte) tpm2.Session
	}{
		"by auth value": {nil, func(pin []byte) tpm2.Session { return s.HMAC(Out, pin) }},
		"by policy":     {calc.Hash().Digest, func(pin []byte) tpm2.Session { return s.Policy(Out, pin, authValue) }},
	} {
		t.Run(name, func(t *testing.T) {
			parent, ok := s.Parent()
			if !ok {
				t.Fatal("the salt key is no parent")
			}
			created, err := tpm2.Create{
				ParentHandle: tpm2.AuthHandle{Handle: parent.Handle, Name: parent.Name, Auth: s.HMAC(In, nil)},
				InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
					UserAuth: tpm2.TPM2BAuth{Buffer: pin},
					Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
				}},
				InPublic: tpm2.New2B(tpm2.TPMTPublic{
					Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
					ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: tt.policy == nil},
					AuthPolicy:       tpm2.TPM2BDigest{Buffer: tt.policy},
				}),
			}.Execute(c)
			if err != nil {
				t.Fatal(Annotate(c, err))
			}
			loaded, err := tpm2.Load{
				ParentHandle: tpm2.AuthHandle{Handle: parent.Handle, Name: parent.Name, Auth: s.HMAC(In, nil)},
				InPrivate:    created.OutPrivate, InPublic: created.OutPublic,
			}.Execute(c)
			if err != nil {
				t.Fatal(Annotate(c, err))
			}
			unseal := func(pin []byte) (*tpm2.UnsealResponse, error) {
				return tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: tt.auth(pin)}}.Execute(c)
			}
			got, err := unseal(pin)
			if err != nil {
				t.Fatal(Annotate(c, err))
			}
			if !bytes.Equal(got.OutData.Buffer, secret) {
				t.Errorf("unsealed %q", got.OutData.Buffer)
			}
			if _, err := unseal([]byte("27182818")); err == nil {
				t.Error("a wrong PIN unseals")
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for name, value := range map[string][]byte{"secret": secret, "PIN": pin} {
		for _, form := range [][]byte{value, []byte(hex.EncodeToString(value)), []byte(base64.StdEncoding.EncodeToString(value))} {
			if bytes.Contains(heard(), form) {
				t.Errorf("the %s crossed the bus as %q", name, form)
			}
		}
	}
	if !bytes.Contains(heard(), []byte{0x00, 0x00, 0x01, 0x5e}) {
		t.Error("no TPM2_Unseal was heard: this test proves nothing")
	}
	if left := c.track.open; len(left) != 2 { // the two loaded objects; the transient salt key and all sessions have gone
		t.Errorf("left open: %x", left)
	}
}

func testTheTPMHashesAsWeDo(t *testing.T, open live) {
	c, _ := open(t, Options{})
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
	if left := c.track.open; len(left) != 0 {
		t.Errorf("left open: %x", left)
	}
}

func testRandomBytesAreAsManyAsAsked(t *testing.T, open live) {
	c, _ := open(t, Options{})
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

// testTheLockoutEndsByItsPassword locks the TPM by wrong tries, then ends that with the lockout password.
func testTheLockoutEndsByItsPassword(t *testing.T, open live) {
	c, _ := open(t, Options{Allow: Clears | UsesDA})
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
