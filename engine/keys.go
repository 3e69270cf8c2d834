package engine

import (
	"crypto/hmac"
	"errors"
	"io"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// rsaKey is the RSA key of an object, with its private half when that is loaded. It is computed once.
func (o *object) rsaKey() (*crypt.RSAKey, error) {
	if o.rsa != nil {
		return o.rsa, nil
	}
	p := &o.Public
	if o.Sensitive == nil {
		o.rsa = crypt.NewRSAPublic(p.Unique, p.Exponent)
		return o.rsa, nil
	}
	k, err := crypt.NewRSAPrivate(p.Unique, p.Exponent, o.Sensitive.Data)
	if err != nil {
		return nil, rcBinding
	}
	o.rsa = k
	return k, nil
}

// eccKey is the ECC key pair of an object.
func (o *object) eccKey() (*crypt.ECCKey, error) {
	curve := o.Public.curve()
	return &crypt.ECCKey{Curve: curve, Private: curve.Scalar(o.Sensitive.Data), Public: crypt.Point(o.Public.Point)}, nil
}

func (p *public) curve() *crypt.Curve {
	c, _ := crypt.CurveByID(p.Curve)
	return c
}

func (p *public) isAsymmetric() bool { return p.Type == crypt.AlgRSA || p.Type == crypt.AlgECC }

// cryptCode gives the rc that stands for an error of package crypt; anything else is a fault.
func cryptCode(err error) error {
	for _, m := range []struct {
		err  error
		code rc
	}{
		{crypt.ErrKey, rcBinding}, {crypt.ErrExponent, rcRange}, {crypt.ErrScheme, rcScheme}, {crypt.ErrSize, rcSize},
		{crypt.ErrValue, rcValue}, {crypt.ErrSignature, rcSignature}, {crypt.ErrInfinity, rcNoResult}, {crypt.ErrPoint, rcECCPoint},
		{crypt.ErrStopped, rcCanceled},
	} {
		if errors.Is(err, m.err) {
			return m.code
		}
	}
	return err
}

// selectSignScheme settles how a key signs: its own scheme, the one asked for, or both when they agree (part 3, 20.2).
// A nil key signs nothing.
func selectSignScheme(key *object, want *scheme) bool {
	if key == nil {
		*want = scheme{Alg: crypt.AlgNull}
		return true
	}
	own := key.Public.Scheme
	switch {
	case own.Alg == crypt.AlgNull:
		return isSignScheme(key.Public.Type, want.Alg)
	case want.Alg == crypt.AlgNull:
		count := want.Count
		*want = own
		want.Count = count
		return own.Alg != crypt.AlgECDAA
	}
	return own.Alg == want.Alg && own.Hash == want.Hash
}

// canSign tells whether an object is a signing key with its private half.
func (o *object) canSign() bool {
	return o.Seq == nil && o.Public.Attrs.has(attrSign) && (o.Public.isAsymmetric() || o.Public.Type == crypt.AlgKeyedHash)
}

// sign signs a digest with a key and a settled scheme.
func (t *TPM) sign(key *object, s scheme, digest []byte) (*signature, error) {
	if key == nil {
		return &signature{Alg: crypt.AlgNull}, nil
	}
	sig := &signature{Alg: s.Alg, Hash: s.Hash}
	var err error
	switch key.Public.Type {
	case crypt.AlgKeyedHash:
		if s.Alg != crypt.AlgHMAC {
			return nil, rcScheme
		}
		sig.Sig = crypt.HMAC(s.Hash, key.Sensitive.Data, digest)
	case crypt.AlgRSA:
		var k *crypt.RSAKey
		if k, err = key.rsaKey(); err == nil {
			sig.Sig, err = k.Sign(t.rand, s.Alg, s.Hash, digest)
		}
	case crypt.AlgECC:
		err = t.signECC(key, s, digest, sig)
	default:
		return nil, rcScheme
	}
	if err != nil {
		return nil, cryptCode(err)
	}
	return sig, nil
}

func (t *TPM) signECC(key *object, s scheme, digest []byte, sig *signature) error {
	k, err := key.eccKey()
	if err != nil {
		return err
	}
	if s.Alg != crypt.AlgECDAA {
		sig.R, sig.S, err = k.Sign(t.rand, s.Alg, s.Hash, digest)
		return err
	}
	commit, err := t.findCommit(k.Curve, key.Name, s.Count)
	if err != nil {
		return err
	}
	if sig.R, sig.S, err = k.SignECDAA(t.rand, s.Hash, commit, digest); err == nil {
		t.endCommit(s.Count)
	}
	return err
}

// verify checks a signature of a digest.
func (t *TPM) verify(key *object, digest []byte, sig *signature) error {
	switch key.Public.Type {
	case crypt.AlgRSA:
		k, err := key.rsaKey()
		if err != nil {
			return err
		}
		return cryptCode(k.Verify(sig.Alg, sig.Hash, digest, sig.Sig))
	case crypt.AlgECC:
		curve := key.Public.curve()
		return cryptCode(curve.Verify(sig.Alg, sig.Hash, crypt.Point(key.Public.Point), digest, sig.R, sig.S))
	case crypt.AlgKeyedHash:
		if key.Sensitive == nil {
			return rcHandle
		}
		if sig.Alg != crypt.AlgHMAC {
			return rcScheme
		}
		if !hmac.Equal(sig.Sig, crypt.HMAC(sig.Hash, key.Sensitive.Data, digest)) {
			return rcSignature
		}
		return nil
	}
	return rcScheme
}

// encryptSecret makes a secret that only a key's holder learns (part 1, B.10 and C.6): the secret, and what to send.
func (t *TPM) encryptSecret(key *object, label string) (secret, sent []byte, err error) {
	p := &key.Public
	size := crypt.HashSize(p.NameAlg)
	if size == 0 { // TPM2_LoadExternal takes such a key
		return nil, nil, rcKey
	}
	switch p.Type {
	case crypt.AlgRSA:
		if secret, err = t.random(size); err != nil {
			return nil, nil, err
		}
		k := crypt.NewRSAPublic(p.Unique, p.Exponent)
		sent, err = k.Encrypt(t.rand, crypt.AlgOAEP, p.NameAlg, append([]byte(label), 0), secret)
		return secret, sent, cryptCode(err)
	case crypt.AlgECC:
		curve := p.curve()
		ephemeral, err := curve.Generate(t.rand)
		if err != nil {
			return nil, nil, err
		}
		z, err := curve.Mul(crypt.Point(p.Point), ephemeral.Private)
		if err != nil {
			return nil, nil, cryptCode(err)
		}
		point := eccPoint(ephemeral.Public)
		return crypt.KDFe(p.NameAlg, z.X, label, point.X, p.Point.X, size*8), marshal(&point), nil
	}
	return nil, nil, rcType
}

// decryptSecret is the inverse of encryptSecret. nonce enters only with symmetric keys, which serve for session salts.
func (t *TPM) decryptSecret(key *object, nonce []byte, label string, sent []byte) ([]byte, error) {
	p := &key.Public
	size := crypt.HashSize(p.NameAlg)
	if size == 0 {
		return nil, rcKey
	}
	switch p.Type {
	case crypt.AlgRSA:
		k, err := key.rsaKey()
		if err != nil {
			return nil, err
		}
		if len(sent) != k.Size() {
			return nil, rcSize
		}
		secret, err := k.Decrypt(t.rand, crypt.AlgOAEP, p.NameAlg, append([]byte(label), 0), sent)
		if err != nil || len(secret) > size {
			return nil, rcValue
		}
		return secret, nil
	case crypt.AlgECC:
		return key.decryptECCSecret(label, sent, size)
	case crypt.AlgKeyedHash:
		if p.Scheme.Alg != crypt.AlgXOR || len(sent) > size {
			return nil, rcValue
		}
		secret := slices.Clone(sent)
		crypt.XOR(p.Scheme.Hash, key.Sensitive.Data, nonce, nil, secret)
		return secret, nil
	case crypt.AlgSymCipher:
		if len(sent) > size {
			return nil, rcValue
		}
		iv, secret := make([]byte, crypt.BlockSize), slices.Clone(sent)
		copy(iv, nonce)
		return secret, crypt.CFB(p.Sym.Alg, key.Sensitive.Data, iv, secret, false)
	}
	return nil, rcType
}

func (o *object) decryptECCSecret(label string, sent []byte, size int) ([]byte, error) {
	c := &coder{r: wire.BE(sent)}
	var point eccPoint
	point.code(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	if c.r.Len() != 0 {
		return nil, rcSize
	}
	curve := o.Public.curve()
	z, err := curve.Mul(crypt.Point(point), o.Sensitive.Data)
	if err != nil {
		return nil, cryptCode(err)
	}
	// The coordinates enter as the caller knows them; tpm2-tools leaves leading zeros out.
	return crypt.KDFe(o.Public.NameAlg, z.X, label, point.X, o.Public.Point.X, size*8), nil
}

// padTo puts zeros before a number that is shorter than n bytes.
func padTo(b []byte, n int) []byte {
	if len(b) >= n {
		return b
	}
	return append(make([]byte, n-len(b)), b...)
}

// readRandom draws n bytes from any generator.
func readRandom(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
