//go:build !amd64

package crypt

import "math/big"

// fastFermat is nowhere faster than math/big.
func fastFermat(*big.Int) (passes, ok bool) { return false, false }
