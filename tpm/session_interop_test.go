//go:build interop

package tpm

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// tap listens in front of a TCP server and keeps all that crosses, both ways.
func tap(t *testing.T, addr string) (front string, heard func() []byte) {
	var mu sync.Mutex
	var all bytes.Buffer
	write := func(p []byte) { mu.Lock(); defer mu.Unlock(); all.Write(p) }
	front = serve(t, func(c net.Conn) {
		back, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer back.Close()
		go func() { _, _ = io.Copy(io.MultiWriter(back, writer(write)), c); back.Close() }()
		_, _ = io.Copy(io.MultiWriter(c, writer(write)), back)
	})
	return front, func() []byte { mu.Lock(); defer mu.Unlock(); return bytes.Clone(all.Bytes()) }
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// TestSecretsNeverCrossTheBus seals and unseals under a PIN, by an auth value and by a policy, and looks for secret and
// PIN in all bytes between us and swtpm.
func TestSecretsNeverCrossTheBus(t *testing.T) {
	real, err := ParseTarget(startSWTPM(t))
	if err != nil {
		t.Fatal(err)
	}
	front, heard := tap(t, real.Addr)
	c, err := Open(t.Context(), "swtpm:"+front, Options{Allow: UsesDA})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
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
		t.Error("the tap heard no TPM2_Unseal: this test proves nothing")
	}
	open := c.(*conn).track.open
	if len(open) != 2 { // the two loaded objects; the transient salt key and all sessions have gone
		t.Errorf("left open: %x", open)
	}
}
