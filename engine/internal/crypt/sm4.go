package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
	"sync"
)

// newSM4 is the block cipher of GB/T 32907-2016. Libraries carry a third of a megabyte of machine code for it, for bulk
// work that a TPM does not do.
func newSM4(key []byte) cipher.Block {
	// The system parameter FK.
	k := [4]uint32{0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc}
	for i := range k {
		k[i] ^= binary.BigEndian.Uint32(key[4*i:])
	}
	c := new(sm4)
	for i := range c {
		var ck uint32 // the fixed parameter CK: bytes (4i+j)·7
		for j := range 4 {
			ck = ck<<8 | uint32(byte((4*i+j)*7))
		}
		b := substitute(k[1] ^ k[2] ^ k[3] ^ ck)
		k[0] ^= b ^ bits.RotateLeft32(b, 13) ^ bits.RotateLeft32(b, 23)
		c[i] = k[0]
		k = [4]uint32{k[1], k[2], k[3], k[0]}
	}
	return c
}

// sm4 holds the round keys.
type sm4 [32]uint32

func (*sm4) BlockSize() int { return BlockSize }

func (c *sm4) Encrypt(dst, src []byte) { c.crypt(dst, src, 0) }

// Decrypt is encryption with the round keys in reverse.
func (c *sm4) Decrypt(dst, src []byte) { c.crypt(dst, src, 31) }

func (c *sm4) crypt(dst, src []byte, first int) {
	var x [4]uint32
	for i := range x {
		x[i] = binary.BigEndian.Uint32(src[4*i:])
	}
	for i := range c {
		b := substitute(x[1] ^ x[2] ^ x[3] ^ c[first^i])
		b ^= bits.RotateLeft32(b, 2) ^ bits.RotateLeft32(b, 10) ^ bits.RotateLeft32(b, 18) ^ bits.RotateLeft32(b, 24)
		x = [4]uint32{x[1], x[2], x[3], x[0] ^ b}
	}
	for i := range x {
		binary.BigEndian.PutUint32(dst[4*i:], x[3-i])
	}
}

// substitute puts each byte through the S-box.
func substitute(w uint32) uint32 {
	s := sm4Box()
	return uint32(s[w>>24])<<24 | uint32(s[w>>16&0xff])<<16 | uint32(s[w>>8&0xff])<<8 | uint32(s[w&0xff])
}

// sm4Box makes the S-box, an affine map before and after inversion in GF(2⁸) modulo x⁸+x⁷+x⁶+x⁵+x⁴+x²+1.
var sm4Box = sync.OnceValue(func() *[256]byte {
	affine := func(v byte) (out byte) {
		for i := range 8 {
			row := bits.RotateLeft8(0xa7, i)
			out |= byte(bits.OnesCount8(row&v)&1) << i
		}
		return out ^ 0xd3
	}
	mul := func(a, b byte) (product byte) {
		for ; b > 0; b >>= 1 {
			if b&1 == 1 {
				product ^= a
			}
			carry := a >> 7
			a = a<<1 ^ carry*0xf5
		}
		return product
	}
	var box [256]byte
	for v := range box {
		a := affine(byte(v))
		inverse := byte(1) // a²⁵⁴, which is 0 for 0
		for range 254 {
			inverse = mul(inverse, a)
		}
		box[v] = affine(inverse)
	}
	return &box
})
