package crypt

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"io"
	"math/big"
)

// Sign signs digest under AlgECDSA, AlgECSchnorr or AlgSM2 (part 1, C.4). The halves of the signature are OrderSize bytes
// long. SM2 signs the digest as it is: the TPM does not put Z_A before the message, its caller does. ECDSA on a NIST curve
// is deterministic (RFC 6979) and takes nothing from random.
func (k *ECCKey) Sign(random io.Reader, scheme, hash uint16, digest []byte) (r, s []byte, err error) {
	if HashSize(hash) == 0 {
		return nil, nil, ErrScheme
	}
	var once func(io.Reader, uint16, []byte) (r, s *big.Int, err error)
	switch {
	case scheme == AlgECDSA && k.Curve.standard():
		return k.signStandard(digest)
	case scheme == AlgECDSA:
		once = k.signECDSA
	case scheme == AlgECSchnorr:
		once = k.signSchnorr
	case scheme == AlgSM2:
		once = k.signSM2
	default:
		return nil, nil, ErrScheme
	}
	for { // until both halves are good, which they are at once but for one time in 2^200
		r, s, err := once(random, hash, digest)
		if err != nil {
			return nil, nil, err
		}
		if r.Sign() > 0 && s.Sign() > 0 {
			return k.Curve.scalar(r), k.Curve.scalar(s), nil
		}
	}
}

// Verify checks a signature of digest, or returns ErrSignature.
func (c *Curve) Verify(scheme, hash uint16, public Point, digest, r, s []byte) error {
	if HashSize(hash) == 0 || scheme != AlgECDSA && scheme != AlgECSchnorr && scheme != AlgSM2 {
		return ErrScheme
	}
	if !c.OnCurve(public) || !c.PrivateOK(r) || !c.PrivateOK(s) {
		return ErrSignature
	}
	rr, ss := new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)
	var good bool
	switch {
	case scheme == AlgECDSA && c.standard():
		good = c.verifyStandard(public, digest, rr, ss)
	case scheme == AlgECDSA:
		good = c.verifyECDSA(public, digest, rr, ss)
	case scheme == AlgECSchnorr:
		good = c.verifySchnorr(hash, public, digest, rr, ss)
	default:
		good = c.verifySM2(public, digest, rr, ss)
	}
	if !good {
		return ErrSignature
	}
	return nil
}

// standard says whether crypto/ecdsa knows the curve.
func (c *Curve) standard() bool { return c.ID != CurveBNP256 && c.ID != CurveSM2 }

// signStandard leaves the work to crypto/ecdsa, whose nonce is HMAC-DRBG over the key and the digest. The hash inside
// that generator need only have the digest's size.
func (k *ECCKey) signStandard(digest []byte) (r, s []byte, err error) {
	inner, ok := map[int]crypto.Hash{20: crypto.SHA1, 32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(digest)]
	if !ok {
		return nil, nil, ErrSize
	}
	key, err := ecdsa.ParseRawPrivateKey(k.Curve.group, k.Private)
	if err != nil {
		return nil, nil, ErrKey
	}
	der, err := key.Sign(nil, digest, inner)
	if err != nil {
		return nil, nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, nil, err
	}
	return k.Curve.scalar(sig.R), k.Curve.scalar(sig.S), nil
}

func (c *Curve) verifyStandard(public Point, digest []byte, r, s *big.Int) bool {
	x, y := public.ints()
	key, err := ecdsa.ParseUncompressedPublicKey(c.group, append(append([]byte{4}, c.pad(x)...), c.pad(y)...))
	return err == nil && ecdsa.Verify(key, digest, r, s)
}

// integer takes the leftmost bits of digest, as many as the order has (FIPS 186-5, 6.4.1).
func (c *Curve) integer(digest []byte) *big.Int {
	bits := c.group.Params().N.BitLen()
	if size := (bits + 7) / 8; len(digest) > size {
		digest = digest[:size]
	}
	e := new(big.Int).SetBytes(digest)
	return e.Rsh(e, uint(max(0, len(digest)*8-bits)))
}

// nonce draws k and computes the abscissa of [k]G.
func (c *Curve) nonce(random io.Reader) (k, x *big.Int, err error) {
	if k, err = c.random(random); err != nil {
		return nil, nil, err
	}
	x, _ = c.group.ScalarBaseMult(c.scalar(k))
	return k, x, nil
}

// inverse is 1/v mod n, computed on a random multiple of v so that its time says nothing about v.
func (c *Curve) inverse(random io.Reader, v *big.Int) (*big.Int, error) {
	mask, err := c.random(random)
	if err != nil {
		return nil, err
	}
	n := c.group.Params().N
	blind := new(big.Int).Mul(v, mask)
	if blind.ModInverse(blind.Mod(blind, n), n) == nil {
		return nil, ErrKey
	}
	return blind.Mul(blind, mask).Mod(blind, n), nil
}

// signECDSA serves the curves that crypto/ecdsa does not know.
func (k *ECCKey) signECDSA(random io.Reader, _ uint16, digest []byte) (r, s *big.Int, err error) {
	n := k.Curve.group.Params().N
	nonce, x, err := k.Curve.nonce(random)
	if err != nil {
		return nil, nil, err
	}
	inverse, err := k.Curve.inverse(random, nonce)
	if err != nil {
		return nil, nil, err
	}
	r = x.Mod(x, n)
	s = new(big.Int).Mul(r, k.secret())
	s.Add(s, k.Curve.integer(digest)).Mul(s, inverse)
	return r, s.Mod(s, n), nil
}

func (c *Curve) verifyECDSA(public Point, digest []byte, r, s *big.Int) bool {
	n := c.group.Params().N
	w := new(big.Int).ModInverse(s, n)
	u := new(big.Int).Mul(c.integer(digest), w)
	v := new(big.Int).Mul(r, w)
	sum, err := c.mulAdd(u.Mod(u, n), public, v.Mod(v, n))
	if err != nil {
		return false
	}
	x, _ := sum.ints()
	return x.Mod(x, n).Cmp(r) == 0
}

// signSchnorr: r = H(x([k]G) ‖ digest), cut to the size of the order, s = k + r·d (part 1, C.4.3).
func (k *ECCKey) signSchnorr(random io.Reader, hash uint16, digest []byte) (r, s *big.Int, err error) {
	n := k.Curve.group.Params().N
	nonce, x, err := k.Curve.nonce(random)
	if err != nil {
		return nil, nil, err
	}
	r = k.Curve.schnorrHash(hash, x, digest)
	if r.Cmp(n) >= 0 { // a verifier would refuse it
		return new(big.Int), new(big.Int), nil
	}
	s = new(big.Int).Mul(r, k.secret())
	return r, s.Mod(s.Add(s, nonce), n), nil
}

func (c *Curve) verifySchnorr(hash uint16, public Point, digest []byte, r, s *big.Int) bool {
	sum, err := c.mulAdd(s, public, new(big.Int).Sub(c.group.Params().N, r))
	if err != nil {
		return false
	}
	x, _ := sum.ints()
	return c.schnorrHash(hash, x, digest).Cmp(r) == 0
}

func (c *Curve) schnorrHash(hash uint16, x *big.Int, digest []byte) *big.Int {
	h := Digest(hash, c.pad(x), digest)
	return new(big.Int).SetBytes(h[:min(len(h), c.OrderSize())])
}

// signSM2 is GM/T 0003.2, 6.1, from step A3 on: r = e + x, s = (k - r·d) / (1 + d).
func (k *ECCKey) signSM2(random io.Reader, _ uint16, digest []byte) (r, s *big.Int, err error) {
	n, d := k.Curve.group.Params().N, k.secret()
	nonce, x, err := k.Curve.nonce(random)
	if err != nil {
		return nil, nil, err
	}
	inverse, err := k.Curve.inverse(random, new(big.Int).Add(d, big.NewInt(1)))
	if err != nil {
		return nil, nil, err
	}
	r = new(big.Int).SetBytes(digest)
	r.Add(r, x).Mod(r, n)
	if sum := new(big.Int).Add(r, nonce); sum.Cmp(n) == 0 {
		return new(big.Int), new(big.Int), nil
	}
	s = new(big.Int).Mul(r, d)
	s.Sub(nonce, s).Mul(s, inverse)
	return r, s.Mod(s, n), nil
}

func (c *Curve) verifySM2(public Point, digest []byte, r, s *big.Int) bool {
	n := c.group.Params().N
	t := new(big.Int).Add(r, s)
	if t.Mod(t, n).Sign() == 0 {
		return false
	}
	sum, err := c.mulAdd(s, public, t)
	if err != nil {
		return false
	}
	x, _ := sum.ints()
	x.Add(x, new(big.Int).SetBytes(digest))
	return x.Mod(x, n).Cmp(r) == 0
}

// SignECDAA signs digest with the commitment r of CommitScalar (part 1, C.4.2): T = H(nonce ‖ digest), s = r + T·d. The
// nonce, which is the first half of the signature, has no leading zeros.
func (k *ECCKey) SignECDAA(random io.Reader, hash uint16, commit, digest []byte) (nonce, s []byte, err error) {
	if HashSize(hash) == 0 {
		return nil, nil, ErrScheme
	}
	n := k.Curve.group.Params().N
	for {
		draw, err := k.Curve.random(random)
		if err != nil {
			return nil, nil, err
		}
		nonce := draw.Bytes()
		t := new(big.Int).SetBytes(Digest(hash, nonce, digest))
		if t.Mod(t, n).Sign() == 0 {
			continue
		}
		sum := t.Mul(t, k.secret()).Add(t, new(big.Int).SetBytes(commit))
		if sum.Mod(sum, n).Sign() != 0 {
			return nonce, k.Curve.scalar(sum), nil
		}
	}
}

func (k *ECCKey) secret() *big.Int { return new(big.Int).SetBytes(k.Private) }
