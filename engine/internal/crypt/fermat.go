package crypt

import "math/big"

// passesFermat tells whether 2^(w-1) mod w is 1, for an odd w above 2. It is for every prime, and for next to no other
// number of the sizes that RSA is made of.
func passesFermat(w *big.Int) bool {
	if passes, ok := fastFermat(w); ok {
		return passes
	}
	one := big.NewInt(1)
	z := new(big.Int).Sub(w, one)
	return z.Exp(big.NewInt(2), z, w).Cmp(one) == 0
}
