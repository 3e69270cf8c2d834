package crypt

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"sync"
)

// DefaultExponent is the RSA public exponent that TPM structures write as zero.
const DefaultExponent = 65537

// Errors of the asymmetric part. The engine maps them to TPM response codes.
var (
	ErrKey       = errors.New("crypt: the key is not valid")           // TPM_RC_KEY, TPM_RC_BINDING
	ErrExponent  = errors.New("crypt: the exponent is not supported")  // TPM_RC_RANGE
	ErrScheme    = errors.New("crypt: no such scheme for this key")    // TPM_RC_SCHEME
	ErrSize      = errors.New("crypt: the size does not fit the key")  // TPM_RC_SIZE
	ErrValue     = errors.New("crypt: the value does not fit the key") // TPM_RC_VALUE
	ErrSignature = errors.New("crypt: the signature does not verify")  // TPM_RC_SIGNATURE
	ErrInfinity  = errors.New("crypt: the result is the null point")   // TPM_RC_NO_RESULT
	ErrPoint     = errors.New("crypt: the point is not on the curve")  // TPM_RC_ECC_POINT
	ErrStopped   = errors.New("crypt: the search was ended")           // TPM_RC_CANCELED
)

// RSAKey is an RSA public key or key pair.
type RSAKey struct {
	n        *big.Int
	e        uint32
	p, q     *big.Int                        // nil in a public key
	exponent func() *big.Int                 // the private exponent
	private  func() (*rsa.PrivateKey, error) // the key in the standard library's form
}

// ExponentOK says whether e can be the public exponent of a new key: a prime from 65537 to 2^31-1.
func ExponentOK(e uint32) bool {
	return e == DefaultExponent || e > DefaultExponent && e < 1<<31 && new(big.Int).SetUint64(uint64(e)).ProbablyPrime(20)
}

// NewRSAPublic is the public key with the given modulus; exponent 0 stands for the default.
func NewRSAPublic(modulus []byte, exponent uint32) *RSAKey {
	if exponent == 0 {
		exponent = DefaultExponent
	}
	return &RSAKey{n: new(big.Int).SetBytes(modulus), e: exponent}
}

// NewRSAPrivate is the key pair with the given modulus, of which prime is one factor. It fails with ErrKey when they do
// not belong together.
func NewRSAPrivate(modulus []byte, exponent uint32, prime []byte) (*RSAKey, error) {
	k := NewRSAPublic(modulus, exponent)
	p := new(big.Int).SetBytes(prime)
	if p.BitLen() < 2 || k.n.Bit(0) == 0 || p.BitLen() >= k.n.BitLen() {
		return nil, fmt.Errorf("%w: the prime has %d bits, the modulus %d", ErrKey, p.BitLen(), k.n.BitLen())
	}
	q, rest := new(big.Int).QuoRem(k.n, p, new(big.Int))
	if rest.Sign() != 0 {
		return nil, fmt.Errorf("%w: the modulus is no multiple of the prime", ErrKey)
	}
	if p.Cmp(q) == 0 {
		return nil, fmt.Errorf("%w: the modulus is a square", ErrKey)
	}
	return k.withPrimes(p, q), nil
}

// GenerateRSA makes a key pair of the given size. It keeps the second prime as the one that a TPM's sensitive area holds,
// as the reference does. The reference's trial decryption with a signing key draws from the generator too, but nothing is
// ever taken from the generator after it. The search ends with ErrStopped once stop says so.
func GenerateRSA(d *Derivation, size int, exponent uint32, stop func() bool) (*RSAKey, error) {
	if exponent == 0 {
		exponent = DefaultExponent
	}
	if size%1024 != 0 || size < 1024 || size > 4096 {
		return nil, fmt.Errorf("%w: no RSA key of %d bits", ErrSize, size)
	}
	if !ExponentOK(exponent) {
		return nil, fmt.Errorf("%w: %d is not a prime from 65537 to 2^31-1", ErrExponent, exponent)
	}
	q := d.RSAPrime(size/2, exponent, stop)
	p := d.RSAPrime(size/2, exponent, stop)
	for q != nil && p != nil && new(big.Int).Sub(p, q).BitLen() < 101 { // FIPS 186-5, A.1.3: too close together
		p = d.RSAPrime(size/2, exponent, stop)
	}
	if q == nil || p == nil {
		return nil, ErrStopped
	}
	k := &RSAKey{n: new(big.Int).Mul(p, q), e: exponent}
	return k.withPrimes(p, q), nil
}

func (k *RSAKey) withPrimes(p, q *big.Int) *RSAKey {
	k.p, k.q = p, q
	k.exponent = sync.OnceValue(func() *big.Int {
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		return phi.ModInverse(new(big.Int).SetUint64(uint64(k.e)), phi)
	})
	k.private = sync.OnceValues(k.standard)
	return k
}

// standard is the key for the constant-time code of crypto/rsa.
func (k *RSAKey) standard() (*rsa.PrivateKey, error) {
	d := k.exponent()
	if d == nil || k.e >= 1<<31 {
		return nil, ErrKey
	}
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: k.n, E: int(k.e)},
		D:         d,
		Primes:    []*big.Int{k.p, k.q},
	}
	key.Precompute()
	return key, nil
}

// Size is the length of the modulus in bytes, and of every ciphertext and signature.
func (k *RSAKey) Size() int { return (k.n.BitLen() + 7) / 8 }

// Modulus is the public modulus, Size bytes long.
func (k *RSAKey) Modulus() []byte { return k.n.FillBytes(make([]byte, k.Size())) }

// Exponent is the public exponent, never zero.
func (k *RSAKey) Exponent() uint32 { return k.e }

// Prime is one factor of the modulus, half its size, or nil in a public key.
func (k *RSAKey) Prime() []byte {
	if k.p == nil {
		return nil
	}
	return k.p.FillBytes(make([]byte, (k.p.BitLen()+7)/8))
}
