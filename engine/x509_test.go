package engine_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// signer makes an unrestricted ECDSA P-256 key.
func signer(t testing.TB, f *fixture, sign bool) (*tpm2.CreatePrimaryResponse, *ecdsa.PublicKey) {
	t.Helper()
	res := run(t, f, tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			SignEncrypt: sign, Decrypt: !sign},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256}),
	})})
	public, err := res.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*public)
	if err != nil {
		t.Fatal(err)
	}
	return res, key.(*ecdsa.PublicKey)
}

func der(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sequence(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	return der(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: slices.Concat(parts...)})
}

// partialCertificate is all of a certificate that TPM2_CertifyX509 does not add: names and the use of the key.
func partialCertificate(t testing.TB, usage byte) (names, extensions []byte) {
	t.Helper()
	name := der(t, pkix.Name{CommonName: "engine"}.ToRDNSequence())
	validity := sequence(t, der(t, time.Unix(1_700_000_000, 0).UTC()), der(t, time.Unix(1_800_000_000, 0).UTC()))
	use := der(t, struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}{asn1.ObjectIdentifier{2, 5, 29, 15}, der(t, asn1.BitString{Bytes: []byte{usage}, BitLength: 7})})
	list := sequence(t, use)
	return slices.Concat(name, validity, name), der(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 3, IsCompound: true, Bytes: list})
}

// certifyX509 builds the command, which go-tpm does not know: both keys with empty passwords.
func certifyX509(object, key tpm2.TPMHandle, partial []byte) []byte {
	be := binary.BigEndian.AppendUint32
	password := []byte{0x40, 0, 0, 9, 0, 0, 1, 0, 0}
	scheme := []byte{0x00, 0x18, 0x00, 0x0b} // ECDSA, SHA-256
	body := slices.Concat(be(nil, 0x197), be(nil, uint32(object)), be(nil, uint32(key)), be(nil, 18), password, password,
		[]byte{0, 0}, scheme, binary.BigEndian.AppendUint16(nil, uint16(len(partial))), partial)
	return slices.Concat([]byte{0x80, 2}, be(nil, uint32(len(body)+6)), body)
}

func TestCertificatesThatTheTPMCompletesParseAndVerify(t *testing.T) {
	f := newFixture(t)
	ca, caKey := signer(t, f, true)
	subject, subjectKey := signer(t, f, false)
	const keyAgreement, digitalSignature = 0x08, 0x80
	names, extensions := partialCertificate(t, keyAgreement)
	res, err := f.Send(certifyX509(subject.ObjectHandle, ca.ObjectHandle, sequence(t, names, extensions)))
	if err != nil || binary.BigEndian.Uint32(res[6:]) != 0 {
		t.Fatalf("%x, %v", res, err)
	}
	sized := func() []byte {
		n := int(binary.BigEndian.Uint16(res))
		b := res[2 : 2+n]
		res = res[2+n:]
		return b
	}
	res = res[14:]
	var added struct {
		Version   int `asn1:"explicit,tag:0"`
		Serial    *big.Int
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.RawValue
	}
	if _, err := asn1.Unmarshal(sized(), &added); err != nil {
		t.Fatal(err)
	}
	sized() // the digest of what is signed
	res = res[4:]
	r, s := new(big.Int).SetBytes(sized()), new(big.Int).SetBytes(sized())
	version := der(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der(t, added.Version)})
	tbs := sequence(t, version, der(t, added.Serial), der(t, added.Algorithm), names, added.Key.FullBytes, extensions)
	signature := der(t, struct{ R, S *big.Int }{r, s})
	cert, err := x509.ParseCertificate(sequence(t, tbs, der(t, added.Algorithm), der(t, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)})))
	if err != nil {
		t.Fatal(err)
	}
	if !subjectKey.Equal(cert.PublicKey) || cert.Subject.CommonName != "engine" {
		t.Errorf("certificate of %v for %v", cert.Subject, cert.PublicKey)
	}
	issuer := &x509.Certificate{PublicKey: caKey, PublicKeyAlgorithm: x509.ECDSA}
	if err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		t.Error(err)
	}
	names, extensions = partialCertificate(t, digitalSignature)
	if got := raw(t, f, certifyX509(subject.ObjectHandle, ca.ObjectHandle, sequence(t, names, extensions))); got != 0x3c2 {
		t.Errorf("a certificate to sign with for a key that decrypts: 0x%x", got)
	}
}

// As libtpms has it, and the tests of tpm2-tss: x509sign only takes other uses away.
func TestARestrictedKeyWithoutX509SignMakesCertificates(t *testing.T) {
	f := newFixture(t)
	subject, _ := signer(t, f, false)
	ca := run(t, f, tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			SignEncrypt: true, Restricted: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256,
			Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})}}),
	})})
	const keyAgreement = 0x08
	names, extensions := partialCertificate(t, keyAgreement)
	if got := raw(t, f, certifyX509(subject.ObjectHandle, ca.ObjectHandle, sequence(t, names, extensions))); got != 0 {
		t.Errorf("refused with 0x%x", got)
	}
	place := sequence(t, sequence(t), der(t, asn1.BitString{Bytes: []byte{}}))
	if got := raw(t, f, certifyX509(subject.ObjectHandle, ca.ObjectHandle, sequence(t, names, place, extensions))); got != 0 {
		t.Errorf("with a place for the key it is refused with 0x%x", got)
	}
}
