package crypt

import (
	"crypto/subtle"
	"io"
)

// Encrypt hides plain from all but the holder of a public key (part 1, C.8; on the SM2 curve with SM3, the scheme of GM/T
// 0003.4): an ephemeral point, plain under a KDF2 mask of the shared point, and a digest that shows tampering.
func (c *Curve) Encrypt(random io.Reader, hash uint16, public Point, plain []byte) (c1 Point, c2, c3 []byte, err error) {
	ephemeral, err := c.Generate(random)
	if err != nil {
		return Point{}, nil, nil, err
	}
	z, err := c.Mul(public, ephemeral.Private)
	if err != nil {
		return Point{}, nil, nil, err
	}
	return ephemeral.Public, eccMask(hash, z, plain), Digest(hash, z.X, plain, z.Y), nil
}

// Decrypt is the inverse of Encrypt; ErrValue when the digest does not fit.
func (k *ECCKey) Decrypt(hash uint16, c1 Point, c2, c3 []byte) ([]byte, error) {
	z, err := k.Curve.Mul(c1, k.Private)
	if err != nil {
		return nil, err
	}
	plain := eccMask(hash, z, c2)
	if subtle.ConstantTimeCompare(c3, Digest(hash, z.X, plain, z.Y)) != 1 {
		return nil, ErrValue
	}
	return plain, nil
}

// eccMask masks or unmasks data.
func eccMask(hash uint16, z Point, data []byte) []byte {
	out := KDF2(hash, append(append([]byte(nil), z.X...), z.Y...), nil, len(data)*8)
	subtle.XORBytes(out, out, data)
	return out
}
