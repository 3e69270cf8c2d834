package quote_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/quote"
)

// rsaBlob is a public key as BCryptExportKey writes it.
func rsaBlob(key *rsa.PublicKey) []byte {
	exponent, modulus := big.NewInt(int64(key.E)).Bytes(), key.N.Bytes()
	w := wire.NewLE().U32(0x31415352).U32(uint32(8 * len(modulus))).U32(uint32(len(exponent))).U32(uint32(len(modulus)))
	return w.U64(0).Bytes(exponent).Bytes(modulus).Out()
}

// Whoever runs the key's machine has the key in some form; all of them pin the same key.
func TestAKeyIsPinnedInEveryFormItIsHandedOn(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "AIK"}, NotAfter: time.Unix(1, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	attest := []byte("\xffTCG\x80\x18")
	hash := eventlog.SHA256.Sum(attest)
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, 5, hash)
	if err != nil {
		t.Fatal(err)
	}
	blob := rsaBlob(&key.PublicKey)
	for name, data := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), "DER": spki,
		"certificate in PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"certificate in DER": certificate, "Windows' blob": blob,
	} {
		pin, err := quote.ParsePin(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if weakness, err := pin.VerifyTrustPoint(attest, signature); err != nil || weakness != "" {
			t.Errorf("%s: weakness %q, %v", name, weakness, err)
		}
	}
	even := slices.Clone(blob)
	even[8], even[24] = 1, 1 // an exponent of one byte, 1, and the rest no longer fits
	for name, data := range map[string][]byte{
		"a blob cut short": blob[:len(blob)-1], "a blob and a byte": append(slices.Clone(blob), 0), "another magic": append([]byte("RSA2"), blob[4:]...),
		"a modulus of 4 GiB": slices.Concat(blob[:12], bytes.Repeat([]byte{255}, 4), blob[16:]), "an exponent of 1": even,
		"a private key": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	} {
		if _, err := quote.ParsePin(data); err == nil {
			t.Errorf("%s is a key", name)
		}
	}
}
