package crypt

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// odd yields odd numbers of a size with the top bit set: the least, the greatest, and such with long runs of equal bits,
// which make long carries.
func odd(rng *rand.Rand, size int) func(yield func(*big.Int) bool) {
	top := new(big.Int).Lsh(big.NewInt(1), uint(size-1))
	return func(yield func(*big.Int) bool) {
		if !yield(new(big.Int).SetBit(top, 0, 1)) || !yield(new(big.Int).Sub(new(big.Int).Lsh(top, 1), big.NewInt(1))) {
			return
		}
		for range 40 {
			n := runs(rng, size)
			if !yield(n.Or(n, top).SetBit(n, 0, 1)) {
				return
			}
		}
	}
}

func runs(rng *rand.Rand, size int) *big.Int {
	b := make([]byte, size/8)
	for i := range b {
		b[i] = byte(rng.Uint32())
		if rng.IntN(4) == 0 {
			b[i] = []byte{0, 0xff}[rng.IntN(2)]
		}
	}
	return new(big.Int).SetBytes(b)
}

func TestMontgomerySquareEqualsMathBig(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{512, 1024, 1536, 2048} {
		for n := range odd(rng, size) {
			if _, ok := fastFermat(n); !ok {
				t.Skip("this CPU has no ADX")
			}
			m := newModulus(n)
			for x := range odd(rng, size) {
				z := newModulus(x).words
				m.square(z)
				got := new(big.Int)
				for i := range z {
					got.Lsh(got, 64).Or(got, new(big.Int).SetUint64(z[len(z)-1-i]))
				}
				got.Lsh(got, uint(size)).Mod(got, n)
				if want := new(big.Int).Mul(x, x); got.Cmp(want.Mod(want, n)) != 0 {
					t.Fatalf("%x squared mod %x", x, n)
				}
			}
		}
	}
}

func TestFermatTellsPrimesFromOthers(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	seen := map[bool]int{}
	for seen[true] < 3 {
		for n := range odd(rng, 512) {
			want := n.ProbablyPrime(1)
			if got := passesFermat(n); got != want {
				t.Fatalf("%x: %v", n, got)
			}
			seen[want]++
		}
	}
}

func TestWhatIsNotOfFullBlocksGoesToMathBig(t *testing.T) {
	for n, want := range map[int64]bool{7: true, 9: false, 65537: true, 65535: false} {
		if _, ok := fastFermat(big.NewInt(n)); ok || passesFermat(big.NewInt(n)) != want {
			t.Errorf("%d", n)
		}
	}
}
