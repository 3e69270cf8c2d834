package crypt

import (
	"math/big"
	"math/bits"
	"slices"

	"golang.org/x/sys/cpu"
)

// The search for RSA primes is one exponentiation after the other. math/big multiplies where a square would do and has no
// use for a base of 2, so here is Montgomery squaring with the two carry chains of ADX, in blocks of 512 bits, of which
// the primes of every RSA key are made up. Like math/big, and like the search itself, it takes a time that depends on
// the numbers.

// fastFermat is passesFermat for a w of full blocks, where the CPU can do it; ok tells.
func fastFermat(w *big.Int) (passes, ok bool) {
	if !cpu.X86.HasADX || !cpu.X86.HasBMI2 || w.BitLen()%512 != 0 || w.Bit(0) == 0 {
		return false, false
	}
	return newModulus(w).fermat(), true
}

// modulus is an odd number of full blocks, the top bit set. Residues are as long, in Montgomery form, and not always
// below it.
type modulus struct {
	words   []uint64 // least significant first
	inverse uint64   // -1/words[0] mod 2^64
	space   []uint64 // of a product, with room for its carry
}

func newModulus(n *big.Int) *modulus {
	m := &modulus{words: make([]uint64, n.BitLen()/64), space: make([]uint64, n.BitLen()/32+8)}
	for i, w := range n.Bits() {
		m.words[i] = uint64(w)
	}
	inverse := m.words[0] // is right in its last 3 bits; each step doubles them
	for range 5 {
		inverse *= 2 - m.words[0]*inverse
	}
	m.inverse = -inverse
	return m
}

// fermat is 2^(m-1) mod m == 1, from the top bit of the exponent down.
func (m *modulus) fermat() bool {
	one := make([]uint64, len(m.words)) // in Montgomery form: what is left of 2^(64*len)
	subtract(one, m.words)
	z := slices.Clone(one)
	for i := 64*len(m.words) - 1; i > 0; i-- {
		m.square(z)
		if m.words[i/64]>>(i%64)&1 == 1 {
			m.double(z)
		}
	}
	m.square(z) // the last bit of m-1 is 0
	if slices.Equal(z, one) {
		return true
	}
	return subtract(z, m.words) == 0 && slices.Equal(z, one)
}

// double sets z to 2z.
func (m *modulus) double(z []uint64) {
	var carry uint64
	for i, w := range z {
		z[i], carry = w<<1|carry, w>>63
	}
	m.settle(z, carry)
}

// square sets z to z*z / 2^(64*len). Each product of two different blocks is formed once and doubled.
func (m *modulus) square(z []uint64) {
	t, n := m.space, len(z)
	clear(t)
	for i := 0; i < n; i += 8 {
		for j := i + 8; j < n; j += 8 {
			multiply(t, i+j, z[i:], z[j:])
		}
	}
	var carry uint64
	for i := 8; i < 2*n-7; i++ { // where those are
		t[i], carry = t[i]<<1|carry, t[i]>>63
	}
	for i := 0; i < n; i += 8 {
		multiply(t, 2*i, z[i:], z[i:])
	}
	m.reduce(z, t)
}

// reduce sets z to t / 2^(64*len), t being zero in its lower half when the right multiple of the modulus was added.
func (m *modulus) reduce(z, t []uint64) {
	n := len(z)
	for i := 0; i < n; i += 8 {
		var q [8]uint64
		carryTo(t[i+16:], cancel((*[16]uint64)(t[i:]), (*[8]uint64)(m.words), m.inverse, &q))
		for j := 8; j < n; j += 8 {
			multiply(t, i+j, m.words[j:], q[:])
		}
	}
	copy(z, t[n:])
	m.settle(z, t[2*n])
}

// settle takes the modulus away from z until the carry above z is gone.
func (m *modulus) settle(z []uint64, carry uint64) {
	for carry != 0 {
		carry -= subtract(z, m.words)
	}
}

// subtract sets z to z-y and returns the borrow.
func subtract(z, y []uint64) (borrow uint64) {
	for i := range z {
		z[i], borrow = bits.Sub64(z[i], y[i], borrow)
	}
	return borrow
}

// multiply adds the product of the first blocks of x and y to t, from the word at on.
func multiply(t []uint64, at int, x, y []uint64) {
	carryTo(t[at+16:], addProduct((*[16]uint64)(t[at:]), (*[8]uint64)(x), (*[8]uint64)(y)))
}

func carryTo(t []uint64, carry uint64) {
	for i := 0; carry != 0; i++ {
		t[i], carry = bits.Add64(t[i], carry, 0)
	}
}

// addProduct adds x*y to t.
//
//go:noescape
func addProduct(t *[16]uint64, x, y *[8]uint64) (carry uint64)

// cancel adds the multiple q of m to t that makes the lower half of t zero. inverse is -1/m[0] mod 2^64.
//
//go:noescape
func cancel(t *[16]uint64, m *[8]uint64, inverse uint64, q *[8]uint64) (carry uint64)
