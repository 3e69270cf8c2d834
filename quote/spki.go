package quote

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// The bare public key, SubjectPublicKeyInfo of RFC 5280, section 4.1.2.7. It says nothing of a TPM key's attributes.

// PEM is the bare public key, as other tools read it.
func (p *Public) PEM() ([]byte, error) {
	der, err := marshalKey(p.Key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Fingerprint is the SHA-256 digest of the bare public key, as other tools print it.
func (p *Public) Fingerprint() (eventlog.Hex, error) { return fingerprint(p.Key) }

func fingerprint(key crypto.PublicKey) (eventlog.Hex, error) {
	der, err := marshalKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// sm2Algorithm says "a key on the SM2 curve" (GB/T 33560), which package x509 does not know.
type sm2Algorithm struct {
	Key, Curve asn1.ObjectIdentifier
}

var sm2OID = sm2Algorithm{asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}}

func marshalKey(key crypto.PublicKey) ([]byte, error) {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok || k.Curve != sm2P256 {
		return x509.MarshalPKIXPublicKey(key)
	}
	encoded := make([]byte, 65)
	encoded[0] = 4
	k.X.FillBytes(encoded[1:33])
	k.Y.FillBytes(encoded[33:])
	return asn1.Marshal(struct {
		Algorithm sm2Algorithm
		Key       asn1.BitString
	}{sm2OID, asn1.BitString{Bytes: encoded, BitLength: 8 * len(encoded)}})
}

// parseKey reads a bare public key, or an X.509 certificate, in PEM or DER, or a key as Windows exports it. Of a certificate
// the key alone is taken: whoever names the file vouches for it.
func parseKey(data []byte) (crypto.PublicKey, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "PUBLIC KEY" && block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("its PEM block is %q, not PUBLIC KEY or CERTIFICATE", block.Type)
		}
		data = block.Bytes
	}
	if key, err := parseSM2(data); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKIXPublicKey(data); err == nil {
		return key, nil
	}
	if c, err := x509.ParseCertificate(data); err == nil && c.PublicKey != nil {
		return c.PublicKey, nil
	}
	if key := parseBCrypt(data); key != nil {
		return key, nil
	}
	return nil, errors.New("it is no public key or certificate in PEM or DER, and no BCRYPT_RSAKEY_BLOB")
}

// parseBCrypt reads BCRYPT_RSAPUBLIC_BLOB (bcrypt.h, BCRYPT_RSAKEY_BLOB): a header of little-endian numbers, then exponent and
// modulus, big-endian. nil where data is something else.
func parseBCrypt(data []byte) crypto.PublicKey {
	const magic = 0x31415352 // "RSA1"
	r := wire.LE(data)
	kind, bits, exponentSize, modulusSize := r.U32(), r.U32(), r.U32(), r.U32()
	r.Bytes(4 + 4) // sizes of primes, which a public key has not
	if kind != magic || exponentSize > 4 || modulusSize > maxStructure || bits != modulusSize*8 {
		return nil
	}
	exponent, modulus := r.Bytes(int(exponentSize)), r.Bytes(int(modulusSize))
	if r.Err() != nil || r.Len() > 0 || modulusSize == 0 || modulus[0] == 0 {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	if key.E < 3 || key.E > 1<<31-1 {
		return nil
	}
	return key
}

func parseSM2(der []byte) (crypto.PublicKey, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve); err != nil || !curve.Equal(sm2OID.Curve) {
		return nil, errors.New("another curve")
	}
	encoded := info.Key.RightAlign()
	if len(encoded) != 65 || encoded[0] != 4 {
		return nil, errors.New("a point that is not in the uncompressed form")
	}
	return point(tpm2.TPMECCSM2P256, encoded[1:33], encoded[33:])
}
