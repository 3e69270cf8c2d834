package crypt

import "math/big"

// ECMQV is full MQV with two keys a side (SP 800-56A rev. 3, 5.7.2.3.1): the point whose abscissa is the shared secret.
// The key is the TPM's static one, ephemeral its one-time one.
func (k *ECCKey) ECMQV(ephemeral *ECCKey, static, theirs Point) (Point, error) {
	half := uint(k.Curve.group.Params().N.BitLen()+1) / 2
	return k.exchange(ephemeral.secret(), k.secret(), ephemeral.Public, half, theirs, static, theirs)
}

// SM2Exchange is the key exchange of GM/T 0003.3, 6.1, up to the point U.
func (k *ECCKey) SM2Exchange(ephemeral *ECCKey, static, theirs Point) (Point, error) {
	half := uint(k.Curve.group.Params().N.BitLen()+1)/2 - 1
	return k.exchange(k.secret(), ephemeral.secret(), ephemeral.Public, half, static, theirs, theirs)
}

// exchange is [plain + avf(mine)·weighed](a + [avf(theirs)]b), where avf(Q) keeps the lower half of the abscissa and sets
// the bit above it. The two standards differ in the size of that half and in which key is weighed.
func (k *ECCKey) exchange(plain, weighed *big.Int, mine Point, half uint, a, b, theirs Point) (Point, error) {
	c := k.Curve
	if !c.OnCurve(a) || !c.OnCurve(b) {
		return Point{}, ErrPoint
	}
	t := new(big.Int).Mul(weighed, associate(mine, half))
	t.Add(t, plain).Mod(t, c.group.Params().N)
	ax, ay := a.ints()
	bx, by := b.ints()
	bx, by = c.group.ScalarMult(bx, by, c.scalar(associate(theirs, half)))
	sum, err := c.point(c.group.Add(ax, ay, bx, by))
	if err != nil {
		return Point{}, err
	}
	return c.Mul(sum, c.scalar(t))
}

func associate(q Point, half uint) *big.Int {
	x, _ := q.ints()
	one := big.NewInt(1)
	top := new(big.Int).Lsh(one, half)
	return x.And(x, new(big.Int).Sub(top, one)).Or(x, top)
}
