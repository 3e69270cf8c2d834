package pcr

import (
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// Count is how many PCRs a PC Client TPM has in a bank (PTP, "PCR Requirements").
const Count = 24

// Set is a set of PCR numbers below 32; bit n stands for PCR n.
type Set uint32

// All is the set of all PCRs.
const All Set = 1<<Count - 1

// SetOf makes a set of single PCRs.
func SetOf(pcrs ...int) (s Set) {
	for _, n := range pcrs {
		s |= 1 << n
	}
	return s
}

// Has tells whether PCR n is in the set.
func (s Set) Has(n int) bool { return n >= 0 && n < 32 && s&(1<<n) != 0 }

// Len is the number of PCRs in the set.
func (s Set) Len() int { return bits.OnesCount32(uint32(s)) }

// Each yields the PCRs in ascending order, the order of a TPM.
func (s Set) Each() iter.Seq[int] {
	return func(yield func(int) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(bits.TrailingZeros32(uint32(s))) {
				return
			}
		}
	}
}

// String is the list in the grammar of tpm2-tools, which knows no ranges: "0,1,7", or "all".
func (s Set) String() string {
	if s == All {
		return "all"
	}
	var words []string
	for n := range s.Each() {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ",")
}
