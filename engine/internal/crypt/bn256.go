package crypt

import (
	"crypto/elliptic"
	"math/big"
)

// bnP256 is the Barreto-Naehrig curve y² = x³ + 3 of ISO/IEC 15946-5 that TCG calls TPM_ECC_BN_P256.
var bnP256 elliptic.Curve = &bnCurve{&elliptic.CurveParams{
	Name:    "BN-P256",
	BitSize: 256,
	P:       hexInt("fffffffffffcf0cd46e5f25eee71a49f0cdc65fb12980a82d3292ddbaed33013"),
	N:       hexInt("fffffffffffcf0cd46e5f25eee71a49e0cdc65fb1299921af62d536cd10b500d"),
	B:       big.NewInt(3),
	Gx:      big.NewInt(1),
	Gy:      big.NewInt(2),
}}

func hexInt(s string) *big.Int {
	v, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("crypt: not hexadecimal: " + s)
	}
	return v
}

// bnCurve is a curve with a = 0, in affine coordinates at its face and Jacobian ones within. The generic arithmetic of
// elliptic.CurveParams knows only a = -3. The null point is (0, 0) outside and has z = 0 inside.
type bnCurve struct{ *elliptic.CurveParams }

type jacobian struct{ x, y, z *big.Int }

func (c *bnCurve) Params() *elliptic.CurveParams { return c.CurveParams }

func (c *bnCurve) IsOnCurve(x, y *big.Int) bool {
	cube := c.mul(c.mul(x, x), x)
	return c.mul(y, y).Cmp(cube.Mod(cube.Add(cube, c.B), c.P)) == 0
}

func (c *bnCurve) Add(x1, y1, x2, y2 *big.Int) (x, y *big.Int) {
	return c.affine(c.add(lift(x1, y1), lift(x2, y2)))
}

func (c *bnCurve) Double(x1, y1 *big.Int) (x, y *big.Int) { return c.affine(c.double(lift(x1, y1))) }

func (c *bnCurve) ScalarBaseMult(k []byte) (x, y *big.Int) { return c.ScalarMult(c.Gx, c.Gy, k) }

// ScalarMult is a Montgomery ladder: the same steps for every scalar of a size.
func (c *bnCurve) ScalarMult(px, py *big.Int, scalar []byte) (x, y *big.Int) {
	k := new(big.Int).SetBytes(scalar)
	k.Mod(k, c.N)
	r0, r1 := lift(new(big.Int), new(big.Int)), lift(px, py)
	for i := c.N.BitLen() - 1; i >= 0; i-- {
		if k.Bit(i) == 0 {
			r0, r1 = c.double(r0), c.add(r0, r1)
		} else {
			r0, r1 = c.add(r0, r1), c.double(r1)
		}
	}
	return c.affine(r0)
}

func lift(x, y *big.Int) jacobian {
	if x.Sign() == 0 && y.Sign() == 0 {
		return jacobian{big.NewInt(1), big.NewInt(1), new(big.Int)}
	}
	return jacobian{x, y, big.NewInt(1)}
}

func (c *bnCurve) affine(p jacobian) (x, y *big.Int) {
	if p.z.Sign() == 0 {
		return new(big.Int), new(big.Int)
	}
	inverse := new(big.Int).ModInverse(p.z, c.P)
	square := c.mul(inverse, inverse)
	return c.mul(p.x, square), c.mul(p.y, c.mul(square, inverse))
}

// double is "dbl-2009-l" of the Explicit-Formulas Database, for a = 0.
func (c *bnCurve) double(p jacobian) jacobian {
	if p.z.Sign() == 0 || p.y.Sign() == 0 {
		return lift(new(big.Int), new(big.Int))
	}
	xx, yy := c.mul(p.x, p.x), c.mul(p.y, p.y)
	d := c.times(c.mul(p.x, yy), 4)
	e := c.times(xx, 3)
	x := c.sub(c.mul(e, e), c.times(d, 2))
	y := c.sub(c.mul(e, c.sub(d, x)), c.times(c.mul(yy, yy), 8))
	return jacobian{x, y, c.times(c.mul(p.y, p.z), 2)}
}

// add is the textbook sum: u = x·z'², s = y·z'³, h and r their differences.
func (c *bnCurve) add(p, q jacobian) jacobian {
	if p.z.Sign() == 0 {
		return q
	}
	if q.z.Sign() == 0 {
		return p
	}
	pzz, qzz := c.mul(p.z, p.z), c.mul(q.z, q.z)
	u, s := c.mul(p.x, qzz), c.mul(p.y, c.mul(qzz, q.z))
	h := c.sub(c.mul(q.x, pzz), u)
	r := c.sub(c.mul(q.y, c.mul(pzz, p.z)), s)
	if h.Sign() == 0 {
		if r.Sign() == 0 {
			return c.double(p)
		}
		return lift(new(big.Int), new(big.Int))
	}
	hh := c.mul(h, h)
	hhh, v := c.mul(hh, h), c.mul(u, hh)
	x := c.sub(c.sub(c.mul(r, r), hhh), c.times(v, 2))
	y := c.sub(c.mul(r, c.sub(v, x)), c.mul(s, hhh))
	return jacobian{x, y, c.mul(h, c.mul(p.z, q.z))}
}

func (c *bnCurve) mul(a, b *big.Int) *big.Int {
	z := new(big.Int).Mul(a, b)
	return z.Mod(z, c.P)
}

func (c *bnCurve) sub(a, b *big.Int) *big.Int {
	z := new(big.Int).Sub(a, b)
	return z.Mod(z, c.P)
}

func (c *bnCurve) times(a *big.Int, n int64) *big.Int { return c.mul(a, big.NewInt(n)) }
