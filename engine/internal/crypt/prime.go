package crypt

import (
	"io"
	"iter"
	"math/big"
	"math/bits"
	"runtime"
	"slices"
	"sync"
)

// sieveBits is the width of the field of odd numbers that one random candidate opens.
const sieveBits = 16384

// RSAPrime draws a prime of the given size that suits the public exponent, as the reference implementation does: one
// random number opens a field of odd numbers, a sieve leaves those without small factors, and Miller-Rabin tries them in
// an order that the random number gives, with bases from the same generator. Only the time depends on the number of CPUs.
func (d *Derivation) RSAPrime(size int, exponent uint32) *big.Int {
	for {
		if p := d.primeInField(d.candidate(size), exponent); p != nil {
			return p
		}
	}
}

// candidate draws an odd number whose top 32 bits are scaled into the part above sqrt(1/2), so that the product of two
// has twice their size. 0xb505 is sqrt(1/2) in 16 bits, 0x4afb the rest to one.
func (d *Derivation) candidate(size int) *big.Int {
	buf := make([]byte, size/8)
	d.Read(buf)
	top := uint32(buf[0])<<24 | uint32(buf[1])<<16 | uint32(buf[2])<<8 | uint32(buf[3])
	top = (top>>16)*0x4afb + (top&0xffff)*0x4afb>>16 + 0xb5050000
	buf[0], buf[1], buf[2], buf[3] = byte(top>>24), byte(top>>16), byte(top>>8), byte(top)
	buf[len(buf)-1] |= 1
	return new(big.Int).SetBytes(buf)
}

// primeInField is the first prime in the field that opens at candidate, or nil.
func (d *Derivation) primeInField(candidate *big.Int, exponent uint32) *big.Int {
	// The order of trial depends on the candidate before it is moved to the start of its field.
	order := uint32(low64(candidate)) | 0x80000000
	base := fieldBase(candidate)
	survivors := sieve(base, sieveLimit(candidate.BitLen()))
	next, stop := iter.Pull(inOrder(base, survivors, order, exponent))
	defer stop()
	return d.firstPrime(next)
}

// fieldBase moves the candidate down to an odd multiple of 105.
func fieldBase(candidate *big.Int) *big.Int {
	down := mod64(candidate, 105)
	if down&1 == 1 {
		down += 105
	}
	return new(big.Int).Sub(candidate, new(big.Int).SetUint64(down))
}

// inOrder yields the survivors of the sieve that suit the exponent, each time the (order mod how many are left)th.
func inOrder(base *big.Int, survivors []int, order, exponent uint32) iter.Seq[*big.Int] {
	return func(yield func(*big.Int) bool) {
		for len(survivors) > 0 {
			i := int(order % uint32(len(survivors)))
			w := new(big.Int).SetUint64(uint64(survivors[i]) * 2)
			w.Add(w, base)
			survivors = slices.Delete(survivors, i, i+1)
			// p and p-1 must both be prime to the exponent, which is prime itself.
			if mod64(w, uint64(exponent)) > 1 && !yield(w) {
				return
			}
		}
	}
}

// trial is one round of Miller-Rabin: whether w passes with the base, and the generator after the base was drawn.
type trial struct {
	w, base *big.Int
	after   Derivation
	passes  bool
}

// firstPrime returns the first number that passes all rounds. Nearly every composite falls in its first round, and the
// bases of later numbers are drawn whatever the outcome, so first rounds run ahead on all CPUs. When a number passes,
// the generator goes back to where it was after that number's base, as if the numbers behind it had not been looked at.
func (d *Derivation) firstPrime(next func() (*big.Int, bool)) *big.Int {
	var ahead []trial // drawn and judged, in order
	var pending []*big.Int
	for {
		ahead = ahead[:0]
		for range max(1, runtime.GOMAXPROCS(0)) {
			w, ok := take(&pending, next)
			if !ok {
				break
			}
			ahead = append(ahead, d.draw(w))
		}
		if len(ahead) == 0 {
			return nil
		}
		judge(ahead)
		i := slices.IndexFunc(ahead, func(t trial) bool { return t.passes })
		if i < 0 {
			continue
		}
		*d = ahead[i].after
		if d.passesRest(ahead[i].w) {
			return ahead[i].w
		}
		for _, t := range ahead[i+1:] {
			pending = append(pending, t.w)
		}
	}
}

func take(pending *[]*big.Int, next func() (*big.Int, bool)) (*big.Int, bool) {
	if q := *pending; len(q) > 0 {
		*pending = q[1:]
		return q[0], true
	}
	return next()
}

// passesRest does the rounds after the first. If one fails, the generator is left as it was after that round's base.
func (d *Derivation) passesRest(w *big.Int) bool {
	rest := make([]trial, millerRabinRounds(w.BitLen())-1)
	for i := range rest {
		rest[i] = d.draw(w)
	}
	judge(rest)
	for _, t := range rest {
		if !t.passes {
			*d = t.after
			return false
		}
	}
	return true
}

// draw takes a base from the generator, 1 < base < w-1.
func (d *Derivation) draw(w *big.Int) trial {
	limit := new(big.Int).Sub(w, big.NewInt(1))
	for {
		base, _ := randomBits(d, w.BitLen())
		if base.Cmp(big.NewInt(1)) > 0 && base.Cmp(limit) < 0 {
			return trial{w: w, base: base, after: *d}
		}
	}
}

// judge runs the trials, one on each CPU.
func judge(trials []trial) {
	var wg sync.WaitGroup
	for i := 1; i < len(trials); i++ {
		wg.Go(trials[i].run)
	}
	trials[0].run()
	wg.Wait()
}

// run does one round of Miller-Rabin (FIPS 186-5, B.3.1).
func (t *trial) run() {
	one := big.NewInt(1)
	minusOne := new(big.Int).Sub(t.w, one)
	twos := minusOne.TrailingZeroBits()
	z := new(big.Int).Rsh(minusOne, twos)
	z.Exp(t.base, z, t.w)
	t.passes = z.Cmp(one) == 0 || z.Cmp(minusOne) == 0
	for i := uint(1); i < twos && !t.passes; i++ {
		z.Mul(z, z).Mod(z, t.w)
		t.passes = z.Cmp(minusOne) == 0
	}
}

func millerRabinRounds(size int) int {
	switch {
	case size < 511:
		return 8
	case size < 1536:
		return 5
	}
	return 4
}

// randomBits draws a number of the given size with one read.
func randomBits(r io.Reader, size int) (*big.Int, error) {
	buf := make([]byte, (size+7)/8)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	return new(big.Int).SetBytes(clearSurplus(buf, size)), nil
}

// sieveLimit is the largest small prime that a candidate of the given size is sieved with: the 1024th or 4096th odd one,
// or all below 2^16.
func sieveLimit(size int) uint64 {
	switch {
	case size <= 512:
		return 8167
	case size <= 1024:
		return 38891
	}
	return 1<<16 - 1
}

// sieve returns the i < sieveBits for which base + 2i has no odd prime factor up to limit, in ascending order.
func sieve(base *big.Int, limit uint64) []int {
	var composite [sieveBits]bool
	for group := range smallPrimes() {
		if group.primes[0] > limit {
			break
		}
		rest := mod64(base, group.product)
		for _, p := range group.primes {
			if p > limit {
				break
			}
			for i := firstMultiple(rest%p, p); i < sieveBits; i += p {
				composite[i] = true
			}
		}
	}
	survivors := make([]int, 0, sieveBits/4)
	for i, c := range composite {
		if !c {
			survivors = append(survivors, i)
		}
	}
	return survivors
}

// firstMultiple is the least i for which r + 2i is a multiple of p.
func firstMultiple(r, p uint64) uint64 {
	switch {
	case r == 0:
		return 0
	case r&1 == 1:
		return (p - r) / 2
	}
	return p - r/2
}

// primeGroup is a run of primes whose product fits a word, so that one long division serves them all.
type primeGroup struct {
	product uint64
	primes  []uint64
}

// smallPrimes yields the odd primes below 2^16, grouped.
func smallPrimes() iter.Seq[primeGroup] { return slices.Values(primeGroups()) }

var primeGroups = sync.OnceValue(func() (groups []primeGroup) {
	var composite [1 << 16]bool
	group := primeGroup{product: 1}
	for p := uint64(3); p < 1<<16; p += 2 {
		if composite[p] {
			continue
		}
		for i := p * p; i < 1<<16; i += 2 * p {
			composite[i] = true
		}
		if high, product := bits.Mul64(group.product, p); high == 0 {
			group.product, group.primes = product, append(group.primes, p)
			continue
		}
		groups = append(groups, group)
		group = primeGroup{product: p, primes: []uint64{p}}
	}
	return append(groups, group)
})

// mod64 is n mod m.
func mod64(n *big.Int, m uint64) uint64 {
	var rest uint64
	words := n.Bits()
	for i := len(words) - 1; i >= 0; i-- {
		if bits.UintSize == 64 {
			_, rest = bits.Div64(rest, uint64(words[i]), m)
			continue
		}
		high, low := bits.Mul64(rest, 1<<32)
		_, rest = bits.Div64(high, low|uint64(words[i]), m)
	}
	return rest
}

func low64(n *big.Int) uint64 {
	var word big.Int
	return word.And(n, word.SetUint64(1<<64-1)).Uint64()
}
