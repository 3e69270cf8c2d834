package authenticode

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

const (
	certTypePKCS = 2  // WIN_CERT_TYPE_PKCS_SIGNED_DATA
	maxSigners   = 64 // certificates looked at, in all signatures
)

// Certificates are those that the image's signatures carry: the signers' and what leads to an authority, as the signer
// put them there. They say who claims to have signed; no signature is checked.
func (i *Image) Certificates() ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	var failed error
	for table := i.table; len(table) >= 8 && len(all) < maxSigners; {
		r := wire.LE(table)
		size, _, kind := r.U32(), r.U16(), r.U16()
		if size < 8 || uint64(size) > uint64(len(table)) {
			return all, errors.Join(failed, errors.New("certificate table: an entry ends beyond it"))
		}
		if kind == certTypePKCS {
			certs, err := signedData(r.Bytes(int(size) - 8))
			if err != nil && failed == nil {
				failed = err
			}
			all = append(all, certs...)
		}
		table = table[min(len(table), (int(size)+7)&^7):]
	}
	return all[:min(len(all), maxSigners)], failed
}

// signedData takes the certificates out of PKCS #7 SignedData (RFC 2315, section 9.1).
func signedData(data []byte) ([]*x509.Certificate, error) {
	var content struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	var signed struct {
		Version      int
		Digests      asn1.RawValue
		Content      asn1.RawValue
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Rest         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue
	}
	if _, err := asn1.Unmarshal(data, &content); err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(content.Content.Bytes, &signed); err != nil {
		return nil, err
	}
	if len(signed.Certificates.Bytes) > 1<<18 {
		return nil, errors.New("the signature carries more certificates than any real one")
	}
	return x509.ParseCertificates(signed.Certificates.Bytes)
}
