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
// Stop is asked now
// and then, and ends the search: then there is no prime.
func (d *Derivation) RSAPrime(size int, exponent uint32, stop func() bool) *big.Int {
	for !stop() {
		if p := d.primeInField(d.candidate(size), exponent, stop); p != nil {
			return p
		}
	}
	return nil
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
func (d *Derivation) primeInField(candidate *big.Int, exponent uint32, stop func() bool) *big.Int {
	// The order of trial depends on the candidate before it is moved to the start of its field.
	order := uint32(low64(candidate)) | 0x80000000
	base := fieldBase(candidate)
	survivors := sieve(base, sieveLimit(candidate.BitLen()))
	next, end := iter.Pull(until(stop, inOrder(base, survivors, order, exponent)))
	defer end()
	return d.firstPrime(&trials{next: next})
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

// until ends a sequence when stop says so.
func until[T any](stop func() bool, seq iter.Seq[T]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range seq {
			if stop() || !yield(v) {
				return
			}
		}
	}
}

// firstPrime returns the first number that passes all rounds of Miller-Rabin, or nil.
//
// The generator gives each number its bases, a composite only the one it fails with. That is the first, but for the
// chance, below 2^-40 for numbers of 1024 bits, that a composite passes a round (Damgård, Landrock and Pomerance, 1993).
// So what fails to the base 2, which is known to be composite, costs one draw and no trial with it, and the search for
// what does not fail needs no generator: it runs ahead on several CPUs.
func (d *Derivation) firstPrime(numbers *trials) *big.Int {
	for {
		failed, w := numbers.firstLikely()
		for _, c := range failed {
			d.draw(c)
		}
		if w == nil || d.passes(w) {
			return w
		}
	}
}

// trials are numbers in their order of trial.
type trials struct {
	next func() (*big.Int, bool)
	seen []*big.Int // taken from next, and not yet returned
}

// maxAhead bounds the CPUs that one search may use: half of their last trials are in vain.
const maxAhead = 4

// firstLikely returns the next number that passes to the base 2, nil when there is none, and those before it.
func (s *trials) firstLikely() (failed []*big.Int, w *big.Int) {
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		at    int
		found = sieveBits // where the first one is, as far as is known
	)
	take := func() (i int, w *big.Int) {
		mu.Lock()
		defer mu.Unlock()
		if at > found {
			return 0, nil
		}
		if at == len(s.seen) {
			w, ok := s.next()
			if !ok {
				return 0, nil
			}
			s.seen = append(s.seen, w)
		}
		at++
		return at - 1, s.seen[at-1]
	}
	work := func() {
		for i, w := take(); w != nil; i, w = take() {
			if passesFermat(w) {
				mu.Lock()
				found = min(found, i)
				mu.Unlock()
			}
		}
	}
	for range min(runtime.GOMAXPROCS(0), maxAhead) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if found >= len(s.seen) {
		return s.seen, nil
	}
	failed, w = s.seen[:found], s.seen[found]
	s.seen = s.seen[found+1:]
	return failed, w
}

// round is one round of Miller-Rabin: whether w passes with the base, and the generator after the base was drawn.
type round struct {
	w, base *big.Int
	after   Derivation
	passes  bool
}

// passes does all rounds of Miller-Rabin, one on each CPU. If one fails, the generator is left as it was after that
// round's base.
func (d *Derivation) passes(w *big.Int) bool {
	rounds := make([]round, millerRabinRounds(w.BitLen()))
	var wg sync.WaitGroup
	for i := range rounds {
		rounds[i] = d.draw(w)
		wg.Go(rounds[i].run)
	}
	wg.Wait()
	for _, r := range rounds {
		if !r.passes {
			*d = r.after
			return false
		}
	}
	return true
}

// draw takes a base from the generator, 1 < base < w-1.
func (d *Derivation) draw(w *big.Int) round {
	limit := new(big.Int).Sub(w, big.NewInt(1))
	for {
		base, _ := randomBits(d, w.BitLen())
		if base.Cmp(big.NewInt(1)) > 0 && base.Cmp(limit) < 0 {
			return round{w: w, base: base, after: *d}
		}
	}
}

// run does one round of Miller-Rabin (FIPS 186-5, B.3.1).
func (r *round) run() {
	one := big.NewInt(1)
	minusOne := new(big.Int).Sub(r.w, one)
	twos := minusOne.TrailingZeroBits()
	z := new(big.Int).Rsh(minusOne, twos)
	z.Exp(r.base, z, r.w)
	r.passes = z.Cmp(one) == 0 || z.Cmp(minusOne) == 0
	for i := uint(1); i < twos && !r.passes; i++ {
		z.Mul(z, z).Mod(z, r.w)
		r.passes = z.Cmp(minusOne) == 0
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
