package crypt

import (
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

// KDFa derives bits of key material in counter mode with HMAC (part 1, 11.4.10.2; SP 800-108). The label is given
// without its terminating NUL. When bits is not a multiple of eight, the surplus high bits of the first byte are clear.
func KDFa(alg uint16, key []byte, label string, contextU, contextV []byte, bits int) []byte {
	return NewKDF(alg, key).KDFa(label, contextU, contextV, bits)
}

// KDF is KDFa under a key that is used again and again. It is not for several goroutines at once.
type KDF struct {
	mac  hash.Hash
	used bool
}

// NewKDF prepares KDFa under a key.
func NewKDF(alg uint16, key []byte) *KDF { return &KDF{mac: NewHMAC(alg, key)} }

// KDFa is what the function of that name gives under the key.
func (k *KDF) KDFa(label string, contextU, contextV []byte, bits int) []byte {
	if k.used {
		k.mac.Reset()
	}
	k.used = true
	out := make([]byte, (bits+7)/8)
	kdfa(k.mac, append([]byte(label), 0), contextU, contextV, 1, bits, out)
	return clearSurplus(out, bits)
}

// kdfa fills out from the iteration counter on, with a mac that has seen nothing yet.
func kdfa(mac hash.Hash, label, contextU, contextV []byte, counter uint32, bits int, out []byte) {
	var word [4]byte
	for {
		binary.BigEndian.PutUint32(word[:], counter)
		mac.Write(word[:])
		mac.Write(label)
		mac.Write(contextU)
		mac.Write(contextV)
		binary.BigEndian.PutUint32(word[:], uint32(bits))
		mac.Write(word[:])
		if out = out[copy(out, mac.Sum(nil)):]; len(out) == 0 {
			return
		}
		mac.Reset() // only now: it costs, and most keys are no longer than a digest
		counter++
	}
}

// KDFe derives bits of key material from an ECDH secret (part 1, 11.4.10.3; SP 800-56A). The label is given without its
// terminating NUL. When bits is not a multiple of eight, the surplus high bits of the first byte are clear.
func KDFe(alg uint16, z []byte, label string, partyU, partyV []byte, bits int) []byte {
	return clearSurplus(counterHash(alg, 1, (bits+7)/8, nil, z, append([]byte(label), 0), partyU, partyV), bits)
}

// KDF2 derives bits of key material as ISO/IEC 18033-2 KDF2 does: hash(z, counter, info) with the counter from 1.
func KDF2(alg uint16, z, info []byte, bits int) []byte {
	return clearSurplus(counterHash(alg, 1, (bits+7)/8, z, info), bits)
}

// MGF1 is the mask generation function of PKCS #1 (RFC 8017, B.2.1): size bytes from seed.
func MGF1(alg uint16, seed []byte, size int) []byte { return counterHash(alg, 0, size, seed) }

// XOR obfuscates data in place with a KDFa mask under the label "XOR" (part 1, 11.4.7.3). It undoes itself.
func XOR(alg uint16, key, contextU, contextV, data []byte) {
	mask := KDFa(alg, key, "XOR", contextU, contextV, len(data)*8)
	subtle.XORBytes(data, data, mask)
}

// counterHash concatenates hash(before, counter, after...) until there are size bytes.
func counterHash(alg uint16, counter uint32, size int, before []byte, after ...[]byte) []byte {
	h := mustHash(alg)()
	out := make([]byte, 0, size+h.Size())
	for ; len(out) < size; counter++ {
		h.Reset()
		h.Write(before)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		for _, p := range after {
			h.Write(p)
		}
		out = h.Sum(out)
	}
	return out[:size]
}

func clearSurplus(out []byte, bits int) []byte {
	if surplus := -bits & 7; len(out) > 0 {
		out[0] &= 0xff >> surplus
	}
	return out
}

// maxDerivationBits is the size word that enters every block of a KDFStream, whatever is drawn from it
// (TPM_MAX_DERIVATION_BITS of the reference implementation).
const maxDerivationBits = 8192

// KDFStream is the endless key stream of a derivation parent (part 1, 28.4): KDFa with a fixed size word, read on and on.
type KDFStream struct {
	mac            hash.Hash
	label, context []byte
	counter        uint32
	rest           []byte
}

// NewKDFStream starts the stream for the label and context of a derived object. A label that does not end in NUL gets one.
func NewKDFStream(alg uint16, key, label, context []byte) *KDFStream {
	s := &KDFStream{mac: NewHMAC(alg, key), label: append([]byte(nil), label...), context: append([]byte(nil), context...)}
	if n := len(s.label); n == 0 || s.label[n-1] != 0 {
		s.label = append(s.label, 0)
	}
	return s
}

// Read fills p; it never fails.
func (s *KDFStream) Read(p []byte) (int, error) {
	for filled := 0; filled < len(p); {
		if len(s.rest) == 0 {
			s.counter++
			s.rest = make([]byte, s.mac.Size())
			s.mac.Reset()
			kdfa(s.mac, s.label, s.context, nil, s.counter, maxDerivationBits, s.rest)
		}
		n := copy(p[filled:], s.rest)
		filled, s.rest = filled+n, s.rest[n:]
	}
	return len(p), nil
}
