package engine

import (
	"encoding"
	"hash"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// sequence is a hash, HMAC or event computation that takes several commands.
type sequence struct {
	Auth   []byte
	Key    []byte // of an HMAC, padded to a block; empty for a hash
	Hashes []digester
	Event  bool // hashes into every bank, for TPM2_EventSequenceComplete
	// Safe says that the data does not begin like something the TPM made: a restricted key may sign its digest.
	Safe    bool
	Started bool
}

func (s *sequence) code(c *coder) {
	c.sized(&s.Auth, maxDigest)
	c.sized(&s.Key, maxHashBlock)
	list(c, &s.Hashes, maxHashAlgs, func(d *digester) { d.code(c) })
	c.yesNo(&s.Event)
	c.yesNo(&s.Safe)
	c.yesNo(&s.Started)
}

// maxHashBlock is the largest block of a hash function here; maxHashState bounds the encoded state of one.
const (
	maxHashBlock = 128
	maxHashState = 512
)

// digester is a hash in progress that can be stored.
type digester struct {
	Alg uint16
	hash.Hash
}

func newDigester(alg uint16) digester {
	newHash, _, _ := crypt.Hash(alg)
	return digester{alg, newHash()}
}

func (d *digester) code(c *coder) {
	c.hash(&d.Alg)
	var state []byte
	if !c.reading() {
		state, _ = d.Hash.(encoding.BinaryMarshaler).MarshalBinary() // cannot fail for a hash in memory
	}
	c.sized(&state, maxHashState)
	if !c.reading() || c.err() != nil {
		return
	}
	*d = newDigester(d.Alg)
	c.require(d.Hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state) == nil, rcValue)
}

// newHashSequence starts a hash in one algorithm, or in every bank of the TPM when event.
func newHashSequence(auth []byte, algs []uint16, event bool) *sequence {
	s := &sequence{Auth: auth, Event: event}
	for _, alg := range algs {
		s.Hashes = append(s.Hashes, newDigester(alg))
	}
	return s
}

// newHMACSequence starts an HMAC. The inner hash is kept, as HMAC states cannot be stored.
func newHMACSequence(auth []byte, alg uint16, key []byte) *sequence {
	s := newHashSequence(auth, []uint16{alg}, false)
	block := s.Hashes[0].BlockSize()
	if len(key) > block {
		key = crypt.Digest(alg, key)
	}
	s.Key = make([]byte, block)
	copy(s.Key, key)
	s.Hashes[0].Write(xorPad(s.Key, 0x36))
	return s
}

func xorPad(key []byte, pad byte) []byte {
	out := make([]byte, len(key))
	for i := range key {
		out[i] = key[i] ^ pad
	}
	return out
}

// write feeds data, and looks at how it begins.
func (s *sequence) write(data []byte) {
	if !s.Started && len(data) > 0 {
		s.Started = true
		s.Safe = safeToSign(data)
	}
	for _, h := range s.Hashes {
		h.Write(data)
	}
}

// sum is the digest, or the HMAC, of all data.
func (s *sequence) sum() []byte {
	d := s.Hashes[0]
	if len(s.Key) == 0 {
		return d.Sum(nil)
	}
	return crypt.Digest(d.Alg, xorPad(s.Key, 0x5c), d.Sum(nil))
}
