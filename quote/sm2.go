package quote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// sm2P256 is the curve of SM2 (GB/T 32918.5-2017), on the standard library's generic arithmetic: keys here are public.
var sm2P256 elliptic.Curve = &elliptic.CurveParams{
	Name:    "SM2-P256",
	BitSize: 256,
	P:       number("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"),
	N:       number("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"),
	B:       number("28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"),
	Gx:      number("32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"),
	Gy:      number("bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"),
}

// number reads a constant of the standard.
func number(hex string) *big.Int {
	v, ok := new(big.Int).SetString(hex, 16)
	if !ok {
		panic("quote: not hexadecimal: " + hex)
	}
	return v
}

// sm2DefaultID is the signer's identity that GM/T 0009 says to use where none was agreed on.
var sm2DefaultID = []byte("1234567812345678")

// verifySM2 checks a signature over a digest (GB/T 32918.2, section 7). Nothing here is secret, so big integers will do.
func verifySM2(key *ecdsa.PublicKey, digest []byte, r, s *big.Int) bool {
	curve, n := key.Curve, key.Params().N
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(n) >= 0 || s.Cmp(n) >= 0 {
		return false
	}
	t := new(big.Int).Add(r, s)
	if t.Mod(t, n).Sign() == 0 {
		return false
	}
	x1, y1 := curve.ScalarBaseMult(s.Bytes())
	x2, y2 := curve.ScalarMult(key.X, key.Y, t.Bytes())
	x, _ := curve.Add(x1, y1, x2, y2)
	e := new(big.Int).SetBytes(digest)
	return e.Mod(e.Add(e, x), n).Cmp(r) == 0
}

// identified is the message with Z_A before it, the digest of the signer's identity, curve and key (section 5.5).
func identified(key *ecdsa.PublicKey, message []byte) []byte {
	c := key.Params()
	a := new(big.Int).Sub(c.P, big.NewInt(3))
	w := wire.NewBE().U16(uint16(8 * len(sm2DefaultID))).Bytes(sm2DefaultID)
	for _, v := range []*big.Int{a, c.B, c.Gx, c.Gy, key.X, key.Y} {
		w.Bytes(v.FillBytes(make([]byte, 32)))
	}
	return append(eventlog.SM3.Sum(w.Out()), message...)
}
