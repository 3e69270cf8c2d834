package eventlog

import (
	"bytes"
	"crypto/sha1" // #nosec G505 -- SHA-1 banks exist; the log says which one it speaks of
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"
)

// Alg is a hash algorithm, numbered as in the TCG Algorithm Registry; it names a PCR bank.
type Alg uint16

// The algorithms a PCR bank may have.
const (
	SHA1    Alg = 0x0004
	SHA256  Alg = 0x000b
	SHA384  Alg = 0x000c
	SHA512  Alg = 0x000d
	SM3     Alg = 0x0012
	SHA3256 Alg = 0x0027
	SHA3384 Alg = 0x0028
	SHA3512 Alg = 0x0029
)

// maxDigest is the size of the largest digest of algs.
const maxDigest = sha512.Size

type algInfo struct {
	alg  Alg
	name string
	size int
	new  func() hash.Hash
}

var algs = []algInfo{
	{SHA1, "sha1", sha1.Size, sha1.New},
	{SHA256, "sha256", sha256.Size, sha256.New},
	{SHA384, "sha384", sha512.Size384, sha512.New384},
	{SHA512, "sha512", sha512.Size, sha512.New},
	{SM3, "sm3_256", sm3.Size, sm3.New},
	{SHA3256, "sha3_256", 32, func() hash.Hash { return sha3.New256() }},
	{SHA3384, "sha3_384", 48, func() hash.Hash { return sha3.New384() }},
	{SHA3512, "sha3_512", 64, func() hash.Hash { return sha3.New512() }},
}

func (a Alg) info() *algInfo {
	for i := range algs {
		if algs[i].alg == a {
			return &algs[i]
		}
	}
	return nil
}

// ParseAlg finds an algorithm by its name, such as "sha256" or "sm3_256".
func ParseAlg(name string) (Alg, bool) {
	for i := range algs {
		if algs[i].name == name {
			return algs[i].alg, true
		}
	}
	return 0, false
}

// Known tells whether this package can compute a.
func (a Alg) Known() bool { return a.info() != nil }

// Size is the length of a digest in bytes, 0 where a is unknown.
func (a Alg) Size() int {
	switch a { // the usual ones, of which a long log has hundreds of thousands
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512:
		return sha512.Size
	}
	if i := a.info(); i != nil {
		return i.size
	}
	return 0
}

// New returns a hash; it panics where a is not Known.
func (a Alg) New() hash.Hash { return a.info().new() }

// Sum hashes the concatenation of parts; it panics where a is not Known.
func (a Alg) Sum(parts ...[]byte) Hex {
	h := a.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// extend sets value to H(value || digest), the one thing a PCR can do.
func (a Alg) extend(value, digest []byte) {
	var joined [2 * maxDigest]byte
	n := copy(joined[:], value)
	n += copy(joined[n:], digest)
	a.sumInto(value, joined[:n])
}

// fits tells whether digest is that of data.
func (a Alg) fits(data, digest []byte) bool {
	var sum [maxDigest]byte
	return bytes.Equal(sum[:a.sumInto(sum[:], data)], digest)
}

// sumInto hashes data into dst, which has room, and returns the size of the digest. The common hashes run without
// allocating: reading a log is hashing, and little else.
func (a Alg) sumInto(dst, data []byte) int {
	switch a {
	case SHA1:
		sum := sha1.Sum(data) // #nosec G401 -- the bank is SHA-1
		return copy(dst, sum[:])
	case SHA256:
		sum := sha256.Sum256(data)
		return copy(dst, sum[:])
	case SHA384:
		sum := sha512.Sum384(data)
		return copy(dst, sum[:])
	case SHA512:
		sum := sha512.Sum512(data)
		return copy(dst, sum[:])
	case SM3:
		sum := sm3.Sum(data)
		return copy(dst, sum[:])
	}
	return copy(dst, a.Sum(bytes.Clone(data))) // a clone, or data would escape and cost the others an allocation
}

func (a Alg) String() string {
	if i := a.info(); i != nil {
		return i.name
	}
	return fmt.Sprintf("alg_0x%04x", uint16(a))
}

// MarshalText gives String.
func (a Alg) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText accepts what MarshalText gives.
func (a *Alg) UnmarshalText(text []byte) error {
	if known, ok := ParseAlg(string(text)); ok {
		*a = known
		return nil
	}
	var n uint16
	if _, err := fmt.Sscanf(string(text), "alg_0x%04x", &n); err != nil {
		return fmt.Errorf("unknown hash algorithm %q", text)
	}
	*a = Alg(n)
	return nil
}

// Hex is bytes that read and print as lower-case hex.
type Hex []byte

func (h Hex) String() string { return hex.EncodeToString(h) }

// MarshalText gives lower-case hex.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText accepts hex of either case.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}
