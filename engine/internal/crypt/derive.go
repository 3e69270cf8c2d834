package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"io"
)

// DerivationLevel numbers the way a seed becomes a key. A TPM keeps the level its seeds were made under, so that a later
// level never changes the primary keys of an older TPM. Level 1 gives the keys that libtpms 0.9 gives.
const DerivationLevel = 1

// PrimaryLabel is the label under which a hierarchy's seed derives primary objects. Its terminating NUL counts.
const PrimaryLabel = "Primary Object Creation\x00"

const (
	drbgKeySize  = 32
	drbgSeedSize = drbgKeySize + aes.BlockSize
)

// Derivation is a deterministic random bit generator: AES-256 in counter mode as in SP 800-90A, 10.2.1, with the
// derivation function of the TPM reference implementation, which differs from that of 10.3.2. The same input gives the
// same bytes for ever; this is what makes a primary key a function of its seed and template.
//
// Every Read is a request of its own, after which the state moves on, so the sizes of the reads matter. A Derivation is
// a value: a copy is a snapshot.
type Derivation struct {
	state [drbgSeedSize]byte // key, then counter
}

// NewDerivation starts the generator of a primary object: the hierarchy's seed, PrimaryLabel, the name of the template
// as it was given, and the caller's sensitive data.
func NewDerivation(seed []byte, label string, templateName, sensitive []byte) *Derivation {
	d := new(Derivation)
	d.Stir(seed, []byte(label), templateName, sensitive)
	return d
}

// DerivationFrom starts a generator from 64 fresh random bytes, for keys that are to be new.
func DerivationFrom(random io.Reader) (*Derivation, error) {
	seed := make([]byte, 64)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	return NewDerivation(seed, "", nil, nil), nil
}

// Stir mixes the concatenation of parts into the state. The secret value of a primary object in the endorsement
// hierarchy is drawn only after shProof and ehProof were stirred in, one after the other.
func (d *Derivation) Stir(parts ...[]byte) {
	material := condense(parts)
	d.update(&material)
}

// Read fills p, at most 64 KiB, and moves the state on. It never fails.
func (d *Derivation) Read(p []byte) (int, error) {
	d.fill(d.block(), p[:min(len(p), 1<<16)])
	d.update(nil)
	return len(p), nil
}

func (d *Derivation) block() cipher.Block { return mustAES(d.state[:drbgKeySize]) }

// fill writes the key stream; the counter moves before each block.
func (d *Derivation) fill(block cipher.Block, out []byte) {
	counter := d.state[drbgKeySize:]
	var stream [aes.BlockSize]byte
	for len(out) > 0 {
		for i := len(counter) - 1; i >= 0; i-- {
			if counter[i]++; counter[i] != 0 {
				break
			}
		}
		block.Encrypt(stream[:], counter)
		out = out[copy(out, stream[:]):]
	}
}

// update replaces key and counter by the key stream, xored with the material if there is any.
func (d *Derivation) update(material *[drbgSeedSize]byte) {
	var next [drbgSeedSize]byte
	d.fill(d.block(), next[:])
	if material != nil {
		for i := range next {
			next[i] ^= material[i]
		}
	}
	d.state = next
}

// condense is the reference's derivation function: three CBC-MAC chains over the input, told apart by a counter in
// their first block. What chain i encrypts is the xor of what it and the chains before it would encrypt alone, the two
// length words overwrite the start of chain 0 instead of being input, and the input starts at offset 4 of a block.
func condense(parts [][]byte) (out [drbgSeedSize]byte) {
	var key [drbgKeySize]byte
	for i := range key {
		key[i] = byte(i)
	}
	var (
		block  = mustAES(key[:])
		chains [drbgSeedSize / aes.BlockSize][aes.BlockSize]byte
		buf    [aes.BlockSize]byte
		filled int
		total  int
	)
	compute := func() {
		var sum [aes.BlockSize]byte
		for i := range chains {
			for j := range sum {
				sum[j] ^= chains[i][j] ^ buf[j]
			}
			block.Encrypt(chains[i][:], sum[:])
		}
		clear(buf[:])
		filled = 0
	}
	for i := range chains {
		chains[i][3] = byte(i)
	}
	compute()
	for _, p := range parts {
		total += len(p)
	}
	binary.BigEndian.PutUint32(chains[0][0:], uint32(total))
	binary.BigEndian.PutUint32(chains[0][4:], drbgSeedSize)
	filled = 4
	for _, p := range parts {
		for len(p) > 0 {
			n := copy(buf[filled:], p)
			p, filled = p[n:], filled+n
			if filled == len(buf) {
				compute()
			}
		}
	}
	buf[filled] = 0x80
	compute()
	for i, c := range chains {
		copy(out[i*aes.BlockSize:], c[:])
	}
	return out
}

func mustAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("crypt: " + err.Error()) // the key size is a constant
	}
	return block
}
