package quote

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Public is the public part of an RSA or ECC key of a TPM: TPMT_PUBLIC (part 2, section 12.2.4).
type Public struct {
	Type       tpm2.TPMAlgID
	NameAlg    eventlog.Alg
	Attributes Attributes
	Scheme     tpm2.TPMAlgID
	SchemeHash tpm2.TPMAlgID
	Key        crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey
	raw        []byte
}

// Attributes is TPMA_OBJECT (part 2, section 8.3).
type Attributes uint32

// The attributes that matter for an attestation key.
const (
	FixedTPM            Attributes = 1 << 1
	FixedParent         Attributes = 1 << 4
	SensitiveDataOrigin Attributes = 1 << 5
	UserWithAuth        Attributes = 1 << 6
	AdminWithPolicy     Attributes = 1 << 7
	NoDA                Attributes = 1 << 10
	Restricted          Attributes = 1 << 16
	Decrypt             Attributes = 1 << 17
	Sign                Attributes = 1 << 18
)

var attributeNames = []struct {
	bit  Attributes
	name string
}{
	{FixedTPM, "fixedTPM"}, {1 << 2, "stClear"}, {FixedParent, "fixedParent"},
	{SensitiveDataOrigin, "sensitiveDataOrigin"}, {UserWithAuth, "userWithAuth"}, {AdminWithPolicy, "adminWithPolicy"},
	{NoDA, "noDA"}, {1 << 11, "encryptedDuplication"}, {Restricted, "restricted"}, {Decrypt, "decrypt"}, {Sign, "sign"},
}

// Names lists the attributes that are set, in the words of the specification.
func (a Attributes) Names() []string {
	names := []string{}
	for _, n := range attributeNames {
		if a&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// maxStructure bounds the TPM structures that are decoded here, in bytes. RSA-4096 needs a fourth of it.
const maxStructure = 4096

// DecodePublic reads a TPMT_PUBLIC, with or without the size of a TPM2B_PUBLIC before it.
func DecodePublic(data []byte) (*Public, error) {
	p, err := decodePublic(unsized(data))
	if err != nil {
		return nil, fail.E(fail.BadInput, "this is not the public part of a TPM key: %w", err)
	}
	return p, nil
}

// unsized takes the 16-bit size off a TPM2B structure. No TPMT_PUBLIC, TPMS_ATTEST or TPMT_SIGNATURE of a length below
// maxStructure starts with its own length: each starts with an algorithm or a magic number that is out of its range.
func unsized(data []byte) []byte {
	if len(data) >= 2 && int(data[0])<<8|int(data[1]) == len(data)-2 {
		return data[2:]
	}
	return data
}

func decodePublic(data []byte) (*Public, error) {
	if len(data) > maxStructure {
		return nil, fmt.Errorf("%d bytes are more than %d", len(data), maxStructure)
	}
	r := wire.BE(data)
	p := &Public{
		Type:       tpm2.TPMAlgID(r.U16()),
		NameAlg:    eventlog.Alg(r.U16()),
		Attributes: Attributes(r.U32()),
		raw:        bytes.Clone(data),
	}
	r.Sized16() // authPolicy
	if r.Err() == nil && !p.NameAlg.Known() {
		return nil, fmt.Errorf("offset 2: the name algorithm %s is not known here", p.NameAlg)
	}
	var err error
	switch {
	case r.Err() != nil:
	case p.Type == tpm2.TPMAlgRSA:
		err = p.readRSA(r)
	case p.Type == tpm2.TPMAlgECC:
		err = p.readECC(r)
	default:
		err = fmt.Errorf("offset 0: type 0x%04x is neither RSA nor ECC", uint16(p.Type))
	}
	switch {
	case r.Err() != nil:
		return nil, r.Err()
	case err == nil && r.Len() > 0:
		err = fmt.Errorf("offset %d: %d bytes follow its end", r.Offset(), r.Len())
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// readSymmetric skips TPMT_SYM_DEF_OBJECT (part 2, section 11.1.7).
func readSymmetric(r *wire.Reader) {
	if tpm2.TPMAlgID(r.U16()) != tpm2.TPMAlgNull {
		r.Bytes(4) // key bits and mode
	}
}

// readScheme reads TPMT_RSA_SCHEME, TPMT_ECC_SCHEME or TPMT_KDF_SCHEME: an algorithm and, where it has one, its hash.
func readScheme(r *wire.Reader) (scheme, hash tpm2.TPMAlgID) {
	scheme = tpm2.TPMAlgID(r.U16())
	switch scheme {
	case tpm2.TPMAlgNull, tpm2.TPMAlgRSAES:
		return scheme, tpm2.TPMAlgNull
	}
	hash = tpm2.TPMAlgID(r.U16())
	if scheme == tpm2.TPMAlgECDAA {
		r.U16()
	}
	return scheme, hash
}

func (p *Public) readRSA(r *wire.Reader) error {
	readSymmetric(r)
	p.Scheme, p.SchemeHash = readScheme(r)
	bits := int(r.U16())
	exponent := int(r.U32() & 0x7fffffff)
	if exponent == 0 {
		exponent = 1<<16 + 1 // part 2, section 12.2.3.5
	}
	modulus := r.Sized16()
	if r.Err() == nil && (len(modulus)*8 != bits || bits == 0 || modulus[0] == 0) {
		return fmt.Errorf("a modulus of %d bytes is not one of %d bits", len(modulus), bits)
	}
	p.Key = &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: exponent}
	return nil
}

func (p *Public) readECC(r *wire.Reader) error {
	readSymmetric(r)
	p.Scheme, p.SchemeHash = readScheme(r)
	curve := tpm2.TPMECCCurve(r.U16())
	readScheme(r) // kdf
	x, y := r.Sized16(), r.Sized16()
	if r.Err() != nil {
		return nil
	}
	key, err := point(curve, x, y)
	if err != nil {
		return err
	}
	p.Key = key
	return nil
}

// point makes a public key of coordinates that may lack leading zeroes, and refuses points that are not on the curve.
func point(curve tpm2.TPMECCCurve, x, y []byte) (*ecdsa.PublicKey, error) {
	var c elliptic.Curve
	switch curve {
	case tpm2.TPMECCNistP256:
		c = elliptic.P256()
	case tpm2.TPMECCNistP384:
		c = elliptic.P384()
	case tpm2.TPMECCNistP521:
		c = elliptic.P521()
	case tpm2.TPMECCSM2P256:
		c = sm2P256
	default:
		return nil, fmt.Errorf("curve 0x%04x is not known here", uint16(curve))
	}
	size := (c.Params().BitSize + 7) / 8
	if len(x) > size || len(y) > size {
		return nil, fmt.Errorf("coordinates of %d and %d bytes do not fit %s", len(x), len(y), c.Params().Name)
	}
	key := &ecdsa.PublicKey{Curve: c, X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
	if !onCurve(key) {
		return nil, fmt.Errorf("the point is not on %s", c.Params().Name)
	}
	return key, nil
}

// onCurve tells whether key is a point that its curve has.
func onCurve(key *ecdsa.PublicKey) bool {
	if key.Curve == sm2P256 {
		p := key.Params().P
		return key.X.Cmp(p) < 0 && key.Y.Cmp(p) < 0 && sm2P256.IsOnCurve(key.X, key.Y) // package ecdh has no SM2
	}
	_, err := key.ECDH()
	return err == nil
}

// Bytes is the TPMT_PUBLIC.
func (p *Public) Bytes() []byte { return p.raw }

// Name is the key's Name: its name algorithm and the digest of all of its public part, attributes included (part 1,
// section 16).
func (p *Public) Name() eventlog.Hex {
	return append(eventlog.Hex{byte(p.NameAlg >> 8), byte(p.NameAlg)}, p.NameAlg.Sum(p.raw)...)
}

// Algorithm names the key, such as "rsa2048" or "ecc_nist_p256".
func (p *Public) Algorithm() string { return keyName(p.Key) }

func keyName(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		if k.Curve == sm2P256 {
			return "ecc_sm2_p256"
		}
		return fmt.Sprintf("ecc_nist_p%d", k.Params().BitSize)
	}
	return "unknown"
}
