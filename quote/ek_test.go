package quote_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// certify makes a certificate for an endorsement key.
func certify(t *testing.T, k *quote.Public) []byte {
	t.Helper()
	ca := p256(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: noon, NotAfter: noon.AddDate(10, 0, 0), Issuer: pkix.Name{CommonName: "a maker"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Key, ca)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// store puts data into an NV index that anybody may read.
func store(t *testing.T, c tpm.Conn, index tpm2.TPMHandle, data []byte) {
	t.Helper()
	public := tpm2.TPMSNVPublic{
		NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(data)),
		Attributes: tpm2.TPMANV{OwnerWrite: true, AuthRead: true, OwnerRead: true, NoDA: true, NT: tpm2.TPMNTOrdinary},
	}
	_, err := tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := tpm2.NVReadPublic{NVIndex: index}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	offset := 0
	for chunk := range slices.Chunk(data, 512) {
		_, err := tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: rsp.NVName},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: chunk}, Offset: uint16(offset),
		}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		offset += len(chunk)
	}
}

func TestEveryCertificateIsFoundHoweverItWasStored(t *testing.T) {
	c := newTPM(t, tpm.Options{Allow: tpm.WritesNV | tpm.UsesDA})
	keys, err := quote.EndorsementKeys(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].Template != "L-1" || keys[1].Template != "L-2" {
		t.Fatalf("keys %v", keys)
	}
	rsa, ecc := certify(t, keys[0].Public), certify(t, keys[1].Public)
	padding := bytes.Repeat([]byte{0xff}, 300)
	store(t, c, 0x01c00002, slices.Concat([]byte{0x10, 0x01, 0x00, byte(len(rsa) >> 8), byte(len(rsa))}, rsa, make([]byte, 100)))
	store(t, c, 0x01c00003, []byte("a nonce, no certificate"))
	store(t, c, 0x01c0000a, slices.Concat(ecc, padding))
	store(t, c, 0x01c00100, slices.Concat(rsa, ecc))
	store(t, c, 0x01c08000, []byte("no certificate at all"))
	list, err := quote.Certificates(c)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		index tpm2.TPMHandle
		kind  string
		der   []byte
	}{
		{0x01c00002, "endorsement", rsa}, {0x01c0000a, "endorsement", ecc},
		{0x01c00100, "chain", rsa}, {0x01c00100, "chain", ecc}, {0x01c08000, "platform", nil},
	}
	if len(list) != len(want) {
		t.Fatalf("%d certificates, want %d", len(list), len(want))
	}
	for i, w := range want {
		got := list[i]
		if got.Index != w.index || got.Kind != w.kind || !bytes.Equal(got.DER, w.der) || (got.Err == nil) != (w.der != nil) {
			t.Errorf("certificate %d: index %x, %s, %d bytes, error %v", i, uint32(got.Index), got.Kind, len(got.DER), got.Err)
		}
	}
	if !list[0].For(keys[0].Public) || list[0].For(keys[1].Public) || !list[1].For(keys[1].Public) || list[4].For(keys[0].Public) {
		t.Error("certificates are matched with the wrong keys")
	}
	if left := handles(t, c, tpm2.TPMHTTransient); left > 0 {
		t.Errorf("%d objects were left in the TPM", left)
	}
}
