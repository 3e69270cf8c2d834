package quote

import (
	"crypto"
	"crypto/rsa"
	"errors"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// VerifyTrustPoint tells why signature is none of the pinned key over a quote that Windows put into its event log, nil where it
// is one. No document gives the form: real logs have 256 bare bytes, and SHA-1 as the hash of the quoted PCRs, which is that of
// the signing scheme (TPM 2.0 part 3, TPM2_Quote). That the scheme is RSASSA is not proven, for no log has its key; a
// TPMT_SIGNATURE has not been seen, and says for itself what it is. SHA-1 is accepted with a weakness: a quote says nothing that
// its forger could choose freely, but not nothing.
func (p *Pin) VerifyTrustPoint(attest, signature []byte) (weakness string, err error) {
	if p.key == nil {
		return "", fail.E(fail.Usage, "a Name alone verifies no signature: the key itself is needed")
	}
	const sha1Weakness = "with SHA-1, for which collisions can be made"
	key, isRSA := p.key.(*rsa.PublicKey)
	if isRSA && len(signature) == key.Size() {
		if key.N.BitLen() < minRSABits {
			return "", errors.New("the RSA key is too weak")
		}
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, eventlog.SHA256.Sum(attest), signature) == nil {
			return "", nil
		}
		return sha1Weakness, bareSHA1(key, attest, signature)
	}
	s, err := DecodeSignature(signature)
	if err != nil {
		return "", err
	}
	if isRSA && s.Hash == eventlog.SHA1 && s.Alg == tpm2.TPMAlgRSASSA && key.N.BitLen() >= minRSABits {
		return sha1Weakness, bareSHA1(key, attest, s.rsa)
	}
	return "", s.verify(p.key, attest)
}

func bareSHA1(key *rsa.PublicKey, attest, signature []byte) error {
	if rsa.VerifyPKCS1v15(key, crypto.SHA1, eventlog.SHA1.Sum(attest), signature) != nil {
		return errSignature
	}
	return nil
}
