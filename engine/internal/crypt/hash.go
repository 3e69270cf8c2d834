package crypt

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"github.com/emmansun/gmsm/sm3"
)

// Hash returns the constructor and digest size of a hash algorithm; ok is false for one the engine does not have.
func Hash(alg uint16) (newHash func() hash.Hash, size int, ok bool) {
	switch alg {
	case AlgSHA1:
		return sha1.New, sha1.Size, true
	case AlgSHA256:
		return sha256.New, sha256.Size, true
	case AlgSHA384:
		return sha512.New384, sha512.Size384, true
	case AlgSHA512:
		return sha512.New, sha512.Size, true
	case AlgSM3:
		return sm3.New, sm3.Size, true
	}
	return nil, 0, false
}

// HashSize is the digest size of a hash algorithm, or 0.
func HashSize(alg uint16) int {
	_, size, _ := Hash(alg)
	return size
}

// Digest hashes the concatenation of parts. It panics on an algorithm that Hash does not know: callers check what a
// command names before they use it.
func Digest(alg uint16, parts ...[]byte) []byte {
	if alg != AlgSHA256 {
		return sum(mustHash(alg)(), parts)
	}
	var room [256]byte // names, PCRs and what keys are derived from are short: they cost no memory but the digest's
	short := room[:0]
	for _, p := range parts {
		if len(short)+len(p) > len(room) {
			return sum(sha256.New(), parts)
		}
		short = append(short, p...)
	}
	d := sha256.Sum256(short)
	return d[:]
}

// HMAC is the keyed hash of the concatenation of parts. It panics as Digest does.
func HMAC(alg uint16, key []byte, parts ...[]byte) []byte { return sum(NewHMAC(alg, key), parts) }

// NewHMAC starts a keyed hash. It panics as Digest does.
func NewHMAC(alg uint16, key []byte) hash.Hash { return hmac.New(mustHash(alg), key) }

func sum(h hash.Hash, parts [][]byte) []byte {
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func mustHash(alg uint16) func() hash.Hash {
	newHash, _, ok := Hash(alg)
	if !ok {
		panic("crypt: unknown hash algorithm")
	}
	return newHash
}
