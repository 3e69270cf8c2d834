package quote_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

func pemOf(t *testing.T, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pinOf(t *testing.T, key crypto.PublicKey) *quote.Pin {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	pin, pinErr := quote.ParsePin(pemOf(t, "PUBLIC KEY", der, err))
	if pinErr != nil {
		t.Fatal(pinErr)
	}
	return pin
}

// proves wants a signature to be good for its text, and for no other.
func proves(t *testing.T, name string, pin *quote.Pin, text, signature []byte) {
	t.Helper()
	if err := pin.VerifyStatement(text, signature); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if pin.VerifyStatement(append(slices.Clone(text), '.'), signature) == nil {
		t.Errorf("%s: another text is believed", name)
	}
	bad := slices.Clone(signature)
	bad[len(bad)-1] ^= 1
	if pin.VerifyStatement(text, bad) == nil {
		t.Errorf("%s: another signature is believed", name)
	}
}

func TestStatementsOfKeyFiles(t *testing.T) {
	text := []byte("a statement")
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	for name, c := range map[string]struct {
		file []byte
		key  crypto.Signer
	}{
		"SEC 1":          {pemOf(t, "EC PRIVATE KEY", sec1, err), p256},
		"PKCS #8, P-384": {pkcs8(t, p384), p384},
		"PKCS #8, RSA":   {pkcs8(t, rsaKey), rsaKey},
		"PKCS #1":        {pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), rsaKey},
	} {
		key, err := quote.ParsePrivateKey(c.file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		signature, err := quote.SignStatement(key, rand.Reader, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		proves(t, name, pinOf(t, c.key.Public()), text, signature)
		if other := pinOf(t, p256.Public()); c.key != p256 && other.VerifyStatement(text, signature) == nil {
			t.Errorf("%s: another key is believed", name)
		}
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemOf(t, "PRIVATE KEY", der, err)
}

func TestKeyFilesThatCannotSignAreRefused(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		kind fail.Kind
	}{
		"no PEM":          {[]byte("nothing"), fail.BadInput},
		"a certificate":   {pemOf(t, "CERTIFICATE", []byte{1}, nil), fail.BadInput},
		"encrypted":       {pemOf(t, "ENCRYPTED PRIVATE KEY", []byte{1}, nil), fail.BadInput},
		"broken":          {pemOf(t, "PRIVATE KEY", []byte{1}, nil), fail.BadInput},
		"of another kind": {pkcs8(t, ed), fail.Unsupported},
	} {
		if _, err := quote.ParsePrivateKey(c.file); fail.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that signs nothing but what its TPM made signs a statement too, because the TPM has hashed it.
func TestStatementsOfAttestationKeys(t *testing.T) {
	conn := tpmtest.Engine(t, tpm.Options{})
	for _, parent := range []quote.Parent{quote.UnderEK, quote.UnderSRK} {
		f, err := quote.CreateIn(conn, quote.ECC, parent)
		if err != nil {
			t.Fatal(err)
		}
		key, err := f.Load(conn)
		if err != nil {
			t.Fatal(err)
		}
		text := []byte("a statement")
		signature, err := key.SignStatement(conn, text)
		if err != nil {
			t.Fatal(err)
		}
		pin, err := quote.ParsePin(f.Public().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		proves(t, string(parent), pin, text, signature)
		if _, err := key.SignStatement(conn, append([]byte{0xff}, "TCG this is no quote"...)); err == nil {
			t.Error("something that passes as a quote was signed")
		}
		if _, err := key.SignStatement(conn, bytes.Repeat([]byte("x"), 2000)); err == nil {
			t.Error("a statement of any length is signed")
		}
		if err := key.Flush(conn); err != nil {
			t.Fatal(err)
		}
	}
}
