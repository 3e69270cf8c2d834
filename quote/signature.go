package quote

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Signature is a TPMT_SIGNATURE over a message (part 2, section 11.3.4).
type Signature struct {
	Alg  tpm2.TPMAlgID // RSASSA, RSAPSS, ECDSA or SM2
	Hash eventlog.Alg  // of the message, and of the PCR values in a quote
	rsa  []byte
	r, s *big.Int
}

// DecodeSignature reads a TPMT_SIGNATURE.
func DecodeSignature(data []byte) (*Signature, error) {
	s, err := decodeSignature(data)
	if err != nil {
		return nil, fail.E(fail.BadInput, "this is not the signature of a quote: %w", err).
			Hint("of tpm2-tools' signature files only the tss format says which algorithm it is: leave out -f plain")
	}
	return s, nil
}

func decodeSignature(data []byte) (*Signature, error) {
	if len(data) > maxStructure {
		return nil, fmt.Errorf("%d bytes are more than %d", len(data), maxStructure)
	}
	r := wire.BE(data)
	s := &Signature{Alg: tpm2.TPMAlgID(r.U16()), Hash: eventlog.Alg(r.U16())}
	switch s.Alg {
	case tpm2.TPMAlgRSASSA, tpm2.TPMAlgRSAPSS:
		s.rsa = r.Sized16()
	case tpm2.TPMAlgECDSA, tpm2.TPMAlgSM2:
		s.r, s.s = new(big.Int).SetBytes(r.Sized16()), new(big.Int).SetBytes(r.Sized16())
	default:
		r.Fail(fmt.Errorf("offset 0: algorithm 0x%04x is no signature that is verified here", uint16(s.Alg)))
	}
	switch {
	case r.Err() != nil:
		return nil, r.Err()
	case r.Len() > 0:
		return nil, fmt.Errorf("offset %d: %d bytes follow its end", r.Offset(), r.Len())
	}
	return s, nil
}

// name is the algorithm in the words of people, such as "ECDSA with sha256".
func (s *Signature) name() string {
	names := map[tpm2.TPMAlgID]string{
		tpm2.TPMAlgRSASSA: "RSASSA", tpm2.TPMAlgRSAPSS: "RSAPSS", tpm2.TPMAlgECDSA: "ECDSA", tpm2.TPMAlgSM2: "SM2",
	}
	return fmt.Sprintf("%s with %s", names[s.Alg], s.Hash)
}

// minRSABits is the least length of an RSA key whose signature is believed.
const minRSABits = 2048

var errSignature = errors.New("it does not match the message and the key")

// verify tells why s is no signature of key over message, nil where it is one.
func (s *Signature) verify(key crypto.PublicKey, message []byte) error {
	switch {
	case !s.Hash.Known():
		return fmt.Errorf("the hash algorithm %s is not known here", s.Hash)
	case s.Hash == eventlog.SHA1:
		return errors.New("it uses SHA-1, for which collisions can be made")
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		return s.verifyRSA(key, s.Hash.Sum(message))
	case *ecdsa.PublicKey:
		return s.verifyECC(key, message)
	}
	return fmt.Errorf("%T is no key this program verifies with", key)
}

func (s *Signature) verifyRSA(key *rsa.PublicKey, digest []byte) error {
	if key.N.BitLen() < minRSABits {
		return fmt.Errorf("an RSA key of %d bits is too weak", key.N.BitLen())
	}
	hash, ok := cryptoHash[s.Hash]
	if !ok {
		return fmt.Errorf("an RSA signature with %s is not verified here", s.Hash)
	}
	var err error
	switch s.Alg {
	case tpm2.TPMAlgRSASSA:
		err = rsa.VerifyPKCS1v15(key, hash, digest, s.rsa)
	case tpm2.TPMAlgRSAPSS: // the salt is as long as the digest, or as fits the key before revision 1.38
		err = rsa.VerifyPSS(key, hash, digest, s.rsa, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	default:
		return fmt.Errorf("%s is not made with an RSA key", s.name())
	}
	if err != nil {
		return errSignature
	}
	return nil
}

var cryptoHash = map[eventlog.Alg]crypto.Hash{
	eventlog.SHA256: crypto.SHA256, eventlog.SHA384: crypto.SHA384, eventlog.SHA512: crypto.SHA512,
}

func (s *Signature) verifyECC(key *ecdsa.PublicKey, message []byte) error {
	onSM2 := key.Curve == sm2P256
	var valid bool
	switch {
	case s.Alg == tpm2.TPMAlgECDSA && !onSM2:
		valid = ecdsa.Verify(key, s.Hash.Sum(message), s.r, s.s)
	case s.Alg == tpm2.TPMAlgSM2 && onSM2:
		// The library specification hashes the message alone (part 4, "CryptEccSignSM2"); modules made to GM/T 0012
		// hash the signer's identity, Z_A, before it. Both bind the message to the key.
		valid = verifySM2(key, s.Hash.Sum(message), s.r, s.s) || verifySM2(key, s.Hash.Sum(identified(key, message)), s.r, s.s)
	default:
		return fmt.Errorf("%s is not made with a key on %s", s.name(), key.Params().Name)
	}
	if !valid {
		return errSignature
	}
	return nil
}
