package crypt

import (
	"crypto/elliptic"
	"encoding/binary"
	"io"
	"math/big"
)

// Curve is an elliptic curve a TPM key can be on. The NIST curves compute in constant time, in the standard library;
// BN-P256 and SM2, which it does not have, do not.
type Curve struct {
	ID    uint16
	group elliptic.Curve // crypto/ecdh has neither P-224 nor the sum of points that TPM schemes need
	a     *big.Int
}

// Point is a point on a curve, big-endian. What this package returns has coordinates of FieldSize bytes.
type Point struct{ X, Y []byte }

// ECCKey is an elliptic curve key pair.
type ECCKey struct {
	Curve   *Curve
	Private []byte // OrderSize bytes
	Public  Point
}

var curves = []*Curve{
	newCurve(CurveP224, elliptic.P224(), big.NewInt(-3)),
	newCurve(CurveP256, elliptic.P256(), big.NewInt(-3)),
	newCurve(CurveP384, elliptic.P384(), big.NewInt(-3)),
	newCurve(CurveP521, elliptic.P521(), big.NewInt(-3)),
	newCurve(CurveBNP256, bnP256, big.NewInt(0)),
	newCurve(CurveSM2, sm2P256, big.NewInt(-3)),
}

func newCurve(id uint16, group elliptic.Curve, a *big.Int) *Curve {
	return &Curve{ID: id, group: group, a: a.Mod(a, group.Params().P)}
}

// Curves lists all curves, by ascending identifier.
func Curves() []*Curve { return curves }

// CurveByID is the curve with a TPM_ECC_CURVE identifier.
func CurveByID(id uint16) (*Curve, bool) {
	for _, c := range curves {
		if c.ID == id {
			return c, true
		}
	}
	return nil, false
}

// Bits is the size of the field, which names the key size.
func (c *Curve) Bits() int { return c.group.Params().BitSize }

// FieldSize is the length of a coordinate in bytes.
func (c *Curve) FieldSize() int { return (c.Bits() + 7) / 8 }

// OrderSize is the length of a private key and of each half of a signature in bytes.
func (c *Curve) OrderSize() int { return (c.group.Params().N.BitLen() + 7) / 8 }

// CurveParams are the constants of y² = x³ + ax + b over the field of p elements, with a base point of order n. The
// cofactor is 1 on every curve here.
type CurveParams struct{ P, A, B, Gx, Gy, N []byte }

// Params returns the constants of the curve, padded to the size of the field.
func (c *Curve) Params() CurveParams {
	p := c.group.Params()
	return CurveParams{P: c.pad(p.P), A: c.pad(c.a), B: c.pad(p.B), Gx: c.pad(p.Gx), Gy: c.pad(p.Gy), N: c.pad(p.N)}
}

func (c *Curve) pad(v *big.Int) []byte    { return v.FillBytes(make([]byte, c.FieldSize())) }
func (c *Curve) scalar(v *big.Int) []byte { return v.FillBytes(make([]byte, c.OrderSize())) }

// Scalar is a private key that PrivateOK finds good, OrderSize bytes long: others leave zeros before it out, or put some there.
func (c *Curve) Scalar(k []byte) []byte { return c.scalar(new(big.Int).SetBytes(k)) }

// OnCurve says whether p is a point of the curve other than the null point.
func (c *Curve) OnCurve(p Point) bool {
	x, y := new(big.Int).SetBytes(p.X), new(big.Int).SetBytes(p.Y)
	field := c.group.Params().P
	return x.Cmp(field) < 0 && y.Cmp(field) < 0 && (x.Sign() != 0 || y.Sign() != 0) && c.group.IsOnCurve(x, y)
}

// PrivateOK says whether k is a private key of the curve: 0 < k < n.
func (c *Curve) PrivateOK(k []byte) bool {
	v := new(big.Int).SetBytes(k)
	return v.Sign() > 0 && v.Cmp(c.group.Params().N) < 0
}

// Generate draws a key pair (FIPS 186-5, A.2.1: 64 bits more than the order has, reduced) with one read.
func (c *Curve) Generate(r io.Reader) (*ECCKey, error) {
	k, err := c.random(r)
	if err != nil {
		return nil, err
	}
	return c.Key(c.scalar(k))
}

// random draws a number from 1 to n-1.
func (c *Curve) random(r io.Reader) (*big.Int, error) {
	k, err := randomBits(r, c.OrderSize()*8+64)
	if err != nil {
		return nil, err
	}
	one := big.NewInt(1)
	return k.Mod(k, new(big.Int).Sub(c.group.Params().N, one)).Add(k, one), nil
}

// Key is the key pair of a private key; ErrKey when it is not from 1 to n-1.
func (c *Curve) Key(private []byte) (*ECCKey, error) {
	if !c.PrivateOK(private) {
		return nil, ErrKey
	}
	private = c.scalar(new(big.Int).SetBytes(private))
	public, err := c.BaseMul(private)
	return &ECCKey{Curve: c, Private: private, Public: public}, err
}

// BaseMul is [k]G, or ErrInfinity.
func (c *Curve) BaseMul(k []byte) (Point, error) { return c.point(c.group.ScalarBaseMult(k)) }

// Mul is [k]P, or ErrInfinity; ErrPoint when p is not on the curve. With a private key for k it is the ECDH secret.
func (c *Curve) Mul(p Point, k []byte) (Point, error) {
	if !c.OnCurve(p) {
		return Point{}, ErrPoint
	}
	x, y := p.ints()
	return c.point(c.group.ScalarMult(x, y, k))
}

// mulAdd is [u]G + [v]P for a point on the curve.
func (c *Curve) mulAdd(u *big.Int, p Point, v *big.Int) (Point, error) {
	px, py := p.ints()
	x1, y1 := c.group.ScalarBaseMult(c.scalar(u))
	x2, y2 := c.group.ScalarMult(px, py, c.scalar(v))
	return c.point(c.group.Add(x1, y1, x2, y2))
}

func (p Point) ints() (x, y *big.Int) { return new(big.Int).SetBytes(p.X), new(big.Int).SetBytes(p.Y) }

func (c *Curve) point(x, y *big.Int) (Point, error) {
	if x.Sign() == 0 && y.Sign() == 0 {
		return Point{}, ErrInfinity
	}
	return Point{X: c.pad(x), Y: c.pad(y)}, nil
}

// CommitScalar is the secret r of a two-phase signature (part 1, C.2.2): a function of the TPM's commit nonce, the name of
// the key (nil for EC_Ephemeral) and the counter, so that signing finds again what committing used.
func (c *Curve) CommitScalar(nonce, name []byte, counter uint64) []byte {
	stream := make([]byte, c.OrderSize()+8)
	mac := NewHMAC(AlgSHA512, nonce)
	kdfa(mac, []byte("ECDAA Commit\x00"), name, binary.BigEndian.AppendUint64(nil, counter), 1, len(stream)*8, stream)
	one := big.NewInt(1)
	r := new(big.Int).SetBytes(stream)
	return c.scalar(r.Mod(r, new(big.Int).Sub(c.group.Params().N, one)).Add(r, one))
}
