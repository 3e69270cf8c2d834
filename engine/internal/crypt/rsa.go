package crypt

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
)

// Encrypt encrypts message under AlgNull (no padding: a number below the modulus), AlgRSAES or AlgOAEP (part 1, B.4 to
// B.6). The label of OAEP is taken as it is, with its terminating NUL if the TPM wants one.
func (k *RSAKey) Encrypt(random io.Reader, scheme, hash uint16, label, message []byte) ([]byte, error) {
	var block []byte
	var err error
	switch scheme {
	case AlgNull:
		message = bytes.TrimLeft(message, "\x00")
		if len(message) > k.Size() {
			return nil, fmt.Errorf("%w: %d bytes for a modulus of %d", ErrValue, len(message), k.Size())
		}
		block = append(make([]byte, k.Size()-len(message)), message...)
	case AlgRSAES:
		block, err = k.padES(random, message)
	case AlgOAEP:
		block, err = k.padOAEP(random, hash, label, message)
	default:
		err = ErrScheme
	}
	if err != nil {
		return nil, err
	}
	return k.public(block)
}

// Decrypt undoes Encrypt. The random bytes blind the computation where the standard library cannot do it, and do not
// change the result. A wrong padding is ErrValue, a ciphertext that is not of the key ErrSize.
func (k *RSAKey) Decrypt(random io.Reader, scheme, hash uint16, label, ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != k.Size() || new(big.Int).SetBytes(ciphertext).Cmp(k.n) >= 0 {
		return nil, ErrSize
	}
	if scheme == AlgNull {
		return k.blinded(random, ciphertext)
	}
	key, err := k.pair()
	if err != nil {
		return nil, err
	}
	var message []byte
	switch scheme {
	case AlgRSAES:
		message, err = rsa.DecryptPKCS1v15(nil, key, ciphertext)
	case AlgOAEP:
		newHash, _, ok := Hash(hash)
		if !ok {
			return nil, ErrScheme
		}
		message, err = rsa.DecryptOAEP(newHash(), nil, key, ciphertext, label)
	default:
		return nil, ErrScheme
	}
	if err != nil {
		return nil, ErrValue
	}
	return message, nil
}

// Sign signs digest under AlgRSASSA or AlgRSAPSS (part 1, B.7 and B.8). The salt of PSS is as long as the digest, or what
// the key leaves room for. A digest that is not of the hash is ErrValue, a key too small for it ErrSize.
func (k *RSAKey) Sign(random io.Reader, scheme, hash uint16, digest []byte) ([]byte, error) {
	_, size, ok := Hash(hash)
	switch {
	case !ok || scheme != AlgRSASSA && scheme != AlgRSAPSS:
		return nil, ErrScheme
	case len(digest) != size:
		return nil, ErrValue
	}
	key, err := k.pair()
	if err != nil {
		return nil, err
	}
	if scheme == AlgRSASSA {
		info := append(digestInfo(hash), digest...)
		if k.Size() < len(info)+11 {
			return nil, ErrSize
		}
		return signed(rsa.SignPKCS1v15(nil, key, 0, info))
	}
	salt := min(size, k.pssSize()-size-2)
	if salt < 0 {
		return nil, ErrSize
	}
	if std := standardHash(hash); std != 0 && salt > 0 {
		return signed(rsa.SignPSS(random, key, std, digest, &rsa.PSSOptions{SaltLength: salt}))
	}
	block, err := k.padPSS(random, hash, digest, salt)
	if err != nil {
		return nil, err
	}
	return k.blinded(random, block)
}

// signed gives a refusal of crypto/rsa its cause: what it finds wrong with a key that a TPM loads, such as a factor that is no
// prime, it says when the key is to sign.
func signed(signature []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return signature, nil
}

// Verify checks a signature of digest, or returns ErrSignature. PSS may have salted with any length.
func (k *RSAKey) Verify(scheme, hash uint16, digest, signature []byte) error {
	_, size, ok := Hash(hash)
	if !ok || scheme != AlgRSASSA && scheme != AlgRSAPSS {
		return ErrScheme
	}
	if len(signature) != k.Size() || len(digest) != size {
		return ErrSignature
	}
	block, err := k.public(signature)
	if err != nil {
		return ErrSignature
	}
	if scheme == AlgRSAPSS {
		return k.checkPSS(hash, digest, block)
	}
	info := append(digestInfo(hash), digest...)
	want := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, max(0, k.Size()-len(info)-3))...)
	if want = append(append(want, 0), info...); !bytes.Equal(block, want) {
		return ErrSignature
	}
	return nil
}

// public is block^e mod n.
func (k *RSAKey) public(block []byte) ([]byte, error) {
	m := new(big.Int).SetBytes(block)
	if m.Cmp(k.n) >= 0 {
		return nil, fmt.Errorf("%w: a number above the modulus", ErrValue)
	}
	return m.Exp(m, new(big.Int).SetUint64(uint64(k.e)), k.n).FillBytes(make([]byte, k.Size())), nil
}

func (k *RSAKey) pair() (*rsa.PrivateKey, error) {
	if k.private == nil {
		return nil, ErrKey
	}
	return k.private()
}

// blinded is block^d mod n by the Chinese remainder theorem, on a number that an attacker who watches the clock does not
// know. crypto/rsa offers no raw operation.
func (k *RSAKey) blinded(random io.Reader, block []byte) ([]byte, error) {
	if k.p == nil || k.exponent() == nil {
		return nil, ErrKey
	}
	var r, inverse *big.Int
	for inverse == nil {
		var err error
		if r, err = randomBits(random, k.n.BitLen()-1); err != nil {
			return nil, err
		}
		inverse = new(big.Int).ModInverse(r, k.n)
	}
	m := new(big.Int).SetBytes(block)
	m.Mul(m, r.Exp(r, new(big.Int).SetUint64(uint64(k.e)), k.n))
	one := big.NewInt(1)
	power := func(prime *big.Int) *big.Int {
		d := new(big.Int).Mod(k.exponent(), new(big.Int).Sub(prime, one))
		return d.Exp(new(big.Int).Mod(m, prime), d, prime)
	}
	mp, mq := power(k.p), power(k.q)
	h, coefficient := new(big.Int).Sub(mp, mq), new(big.Int).ModInverse(k.q, k.p)
	if coefficient == nil { // two factors that are no primes and have one in common
		return nil, ErrKey
	}
	h.Mul(h, coefficient).Mod(h, k.p)
	m.Add(h.Mul(h, k.q), mq)
	return m.Mul(m, inverse).Mod(m, k.n).FillBytes(make([]byte, k.Size())), nil
}

// padES is EME-PKCS1-v1_5 (RFC 8017, 7.2.1): zero bytes of the filler are drawn again.
func (k *RSAKey) padES(random io.Reader, message []byte) ([]byte, error) {
	filler := k.Size() - len(message) - 3
	if filler < 8 {
		return nil, fmt.Errorf("%w: %d bytes for RSAES with a modulus of %d", ErrValue, len(message), k.Size())
	}
	block := make([]byte, k.Size())
	block[1] = 2
	ps := block[2 : 2+filler]
	if _, err := io.ReadFull(random, ps); err != nil {
		return nil, err
	}
	for i := range ps {
		for ps[i] == 0 {
			if _, err := io.ReadFull(random, ps[i:i+1]); err != nil {
				return nil, err
			}
		}
	}
	copy(block[3+filler:], message)
	return block, nil
}

// padOAEP is EME-OAEP (RFC 8017, 7.1.1) with one hash for label and mask.
func (k *RSAKey) padOAEP(random io.Reader, hash uint16, label, message []byte) ([]byte, error) {
	size := HashSize(hash)
	if size == 0 {
		return nil, ErrScheme
	}
	if len(message) > k.Size()-2*size-2 {
		return nil, fmt.Errorf("%w: %d bytes for OAEP with a modulus of %d", ErrValue, len(message), k.Size())
	}
	block := make([]byte, k.Size())
	seed, data := block[1:1+size], block[1+size:]
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	copy(data, Digest(hash, label))
	data[len(data)-len(message)-1] = 1
	copy(data[len(data)-len(message):], message)
	subtle.XORBytes(data, data, MGF1(hash, seed, len(data)))
	subtle.XORBytes(seed, seed, MGF1(hash, data, len(seed)))
	return block, nil
}

// pssSize is the length of an EMSA-PSS block: one bit less than the modulus has.
func (k *RSAKey) pssSize() int { return (k.n.BitLen() + 6) / 8 }

// pssMask clears what the block has above its last bit.
func (k *RSAKey) pssMask() byte { return 0xff >> (8*k.pssSize() - k.n.BitLen() + 1) }

// padPSS is EMSA-PSS-ENCODE (RFC 8017, 9.1.1).
func (k *RSAKey) padPSS(random io.Reader, hash uint16, digest []byte, saltSize int) ([]byte, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	block := make([]byte, k.pssSize())
	db, h := block[:len(block)-len(digest)-1], block[len(block)-len(digest)-1:]
	copy(h, Digest(hash, make([]byte, 8), digest, salt))
	h[len(digest)] = 0xbc
	db[len(db)-saltSize-1] = 1
	copy(db[len(db)-saltSize:], salt)
	subtle.XORBytes(db, db, MGF1(hash, h[:len(digest)], len(db)))
	db[0] &= k.pssMask()
	return append(make([]byte, k.Size()-len(block)), block...), nil
}

// checkPSS is EMSA-PSS-VERIFY (RFC 8017, 9.1.2) for a salt of any length.
func (k *RSAKey) checkPSS(hash uint16, digest, block []byte) error {
	skip := len(block) - k.pssSize()
	lead, block := block[:skip], block[skip:]
	split := len(block) - len(digest) - 1
	if len(bytes.Trim(lead, "\x00")) > 0 || split < 1 || block[len(block)-1] != 0xbc || block[0]&^k.pssMask() != 0 {
		return ErrSignature
	}
	db, h := block[:split], block[split:len(block)-1]
	subtle.XORBytes(db, db, MGF1(hash, h, len(db)))
	db[0] &= k.pssMask()
	rest := bytes.TrimLeft(db, "\x00")
	if len(rest) == 0 || rest[0] != 1 || !bytes.Equal(h, Digest(hash, make([]byte, 8), digest, rest[1:])) {
		return ErrSignature
	}
	return nil
}

// standardHash is the hash in the numbering of package crypto, or 0.
func standardHash(alg uint16) crypto.Hash {
	switch alg {
	case AlgSHA1:
		return crypto.SHA1
	case AlgSHA256:
		return crypto.SHA256
	case AlgSHA384:
		return crypto.SHA384
	case AlgSHA512:
		return crypto.SHA512
	}
	return 0
}

// digestInfo is the DER of DigestInfo up to the digest (RFC 8017, 9.2; SM3 is 1.2.156.10197.1.401).
func digestInfo(alg uint16) []byte {
	prefix, err := hex.DecodeString(map[uint16]string{
		AlgSHA1:   "3021300906052b0e03021a05000414",
		AlgSHA256: "3031300d060960864801650304020105000420",
		AlgSHA384: "3041300d060960864801650304020205000430",
		AlgSHA512: "3051300d060960864801650304020305000440",
		AlgSM3:    "3030300c06082a811ccf5501831105000420",
	}[alg])
	if err != nil {
		panic("crypt: " + err.Error())
	}
	return prefix
}
