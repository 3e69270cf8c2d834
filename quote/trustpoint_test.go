package quote_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

func TestTrustPointsAreSignedInTheFormsOfWindows(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	attest := []byte("\xffTCG\x80\x18 and what the TPM says")
	sign := func(hash crypto.Hash, digest []byte) []byte {
		s, err := rsa.SignPKCS1v15(rand.Reader, key, hash, digest)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	bare1, bare256 := sign(crypto.SHA1, eventlog.SHA1.Sum(attest)), sign(crypto.SHA256, eventlog.SHA256.Sum(attest))
	structured := func(hash eventlog.Alg, s []byte) []byte {
		return wire.NewBE().U16(0x0014).U16(uint16(hash)).Sized16(s).Out()
	}
	for name, c := range map[string]struct {
		signature []byte
		weak      bool
	}{
		"bare, SHA-256": {bare256, false}, "bare, SHA-1": {bare1, true},
		"structure, SHA-256": {structured(eventlog.SHA256, bare256), false}, "structure, SHA-1": {structured(eventlog.SHA1, bare1), true},
	} {
		weakness, err := pinOf(t, key.Public()).VerifyTrustPoint(attest, c.signature)
		if err != nil || (weakness != "") != c.weak {
			t.Errorf("%s: weakness %q, error %v", name, weakness, err)
		}
		if _, err := pinOf(t, other.Public()).VerifyTrustPoint(attest, c.signature); err == nil {
			t.Errorf("%s: another key is believed", name)
		}
		if _, err := pinOf(t, key.Public()).VerifyTrustPoint(append([]byte{}, attest[1:]...), c.signature); err == nil {
			t.Errorf("%s: another quote is believed", name)
		}
	}
	if _, err := pinOf(t, key.Public()).VerifyTrustPoint(attest, []byte("signature")); err == nil {
		t.Error("nonsense is believed")
	}
}
