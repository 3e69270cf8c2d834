package quote

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// A statement is a short text that a key vouches for, such as that of a baseline. Its signature is a TPMT_SIGNATURE,
// whether a TPM made it or a key file. A statement never starts like a structure of a TPM, so that none can pass as a quote.

// maxStatement is what TPM2_Hash takes at once (part 2, MAX_DIGEST_BUFFER).
const maxStatement = 1024

// SignStatement signs text in the TPM. A restricted key signs only what the TPM has hashed and found to be no structure of its
// own (part 1, section 25.4).
func (k *Key) SignStatement(t tpm.Sender, text []byte) ([]byte, error) {
	if len(text) > maxStatement {
		return nil, fail.E(fail.Internal, "a statement of %d bytes", len(text))
	}
	hash := k.Public.SchemeHash
	if k.Public.Scheme == tpm2.TPMAlgNull {
		hash = tpm2.TPMAlgSHA256
	}
	digest, ticket, err := tpm.HashForSigning(t, hash, text)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Sign{
		KeyHandle: k.auth(), Digest: digest, InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}, Validation: ticket,
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	return tpm2.Marshal(rsp.Signature), nil
}

// SignStatement signs text with a private key of a file.
func SignStatement(key crypto.Signer, rand io.Reader, text []byte) ([]byte, error) {
	signed, err := key.Sign(rand, eventlog.SHA256.Sum(text), crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if _, ok := key.(*rsa.PrivateKey); ok {
		return wire.NewBE().U16(uint16(tpm2.TPMAlgRSASSA)).U16(uint16(eventlog.SHA256)).Sized16(signed).Out(), nil
	}
	var point struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signed, &point); err != nil {
		return nil, err
	}
	return wire.NewBE().U16(uint16(tpm2.TPMAlgECDSA)).U16(uint16(eventlog.SHA256)).Sized16(point.R.Bytes()).Sized16(point.S.Bytes()).Out(), nil
}

// VerifyStatement tells why signature is none of the pinned key over text, nil where it is one.
func (p *Pin) VerifyStatement(text, signature []byte) error {
	if p.key == nil {
		return fail.E(fail.Usage, "a Name alone verifies no signature: the key itself is needed")
	}
	s, err := DecodeSignature(signature)
	if err != nil {
		return err
	}
	return s.verify(p.key, text)
}

// ParsePrivateKey reads an RSA or ECC private key of a PEM file that is not encrypted.
func ParsePrivateKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fail.E(fail.BadInput, "this is no private key in PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fail.E(fail.BadInput, "a PEM block %q is no private key that can be used here", block.Type).
			Hint("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem makes one")
	}
	if err != nil {
		return nil, fail.E(fail.BadInput, "the private key cannot be read: %w", err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < minRSABits {
			return nil, fail.E(fail.BadInput, "an RSA key of %d bits is too weak", key.N.BitLen())
		}
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	}
	return nil, fail.E(fail.Unsupported, "a key of type %T signs nothing here", key).Hint("RSA and ECC keys do")
}
