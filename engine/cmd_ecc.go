package engine

import (
	"math/big"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// eccKeyAt finds the ECC key of the first handle.
func (t *TPM) eccKeyAt(h handle) (*object, error) {
	o := t.object(h)
	if o.Seq != nil || o.Public.Type != crypt.AlgECC {
		return nil, rcKey.handle(1)
	}
	return o, nil
}

func boxPoint(p crypt.Point) box[eccPoint] { return box[eccPoint]{eccPoint(p)} }

type ecdhKeyGenIn struct {
	Key handle `tpm:"object"`
}

type ecdhKeyGenOut struct{ Z, Public box[eccPoint] }

// ecdhKeyGen is TPM2_ECDH_KeyGen: an ephemeral key, and what it shares with the key.
func (t *TPM) ecdhKeyGen(in *ecdhKeyGenIn) (*ecdhKeyGenOut, error) {
	key, err := t.eccKeyAt(in.Key)
	if err != nil {
		return nil, err
	}
	curve := key.Public.curve()
	ephemeral, err := curve.Generate(t.rand)
	if err != nil {
		return nil, err
	}
	z, err := curve.Mul(crypt.Point(key.Public.Point), ephemeral.Private)
	return &ecdhKeyGenOut{boxPoint(z), boxPoint(ephemeral.Public)}, cryptCode(err)
}

type ecdhZGenIn struct {
	Key   handle `tpm:"object,user"`
	Point box[eccPoint]
}

type ecdhZGenOut struct{ Z box[eccPoint] }

// ecdhZGen is TPM2_ECDH_ZGen.
func (t *TPM) ecdhZGen(in *ecdhZGenIn) (*ecdhZGenOut, error) {
	key, err := t.eccKeyAt(in.Key)
	if err != nil {
		return nil, err
	}
	if key.Public.Attrs&(attrRestricted|attrDecrypt) != attrDecrypt {
		return nil, rcAttributes.handle(1)
	}
	if s := key.Public.Scheme.Alg; s != crypt.AlgECDH && s != crypt.AlgNull {
		return nil, rcScheme.handle(1)
	}
	z, err := key.Public.curve().Mul(crypt.Point(in.Point.V), key.Sensitive.Data)
	if err != nil {
		return nil, atParam(cryptCode(err), 1)
	}
	return &ecdhZGenOut{boxPoint(z)}, nil
}

// curveID is a TPMI_ECC_CURVE.
type curveID uint16

func (v *curveID) code(c *coder) { c.oneOf((*uint16)(v), rcCurve, eccCurves...) }

type eccParametersIn struct{ Curve curveID }

// eccParametersOut is a TPMS_ALGORITHM_DETAIL_ECC.
type eccParametersOut struct {
	Curve, KeySize        uint16
	KDF                   kdfScheme
	Sign                  eccScheme
	P, A, B, Gx, Gy, N, H eccParameter
}

// eccScheme is a TPMT_ECC_SCHEME+.
type eccScheme struct{ scheme }

func (s *eccScheme) code(c *coder) { s.codeOf(c, rcScheme, eccSchemes) }

// eccParameter is a TPM2B_ECC_PARAMETER.
type eccParameter []byte

func (b *eccParameter) code(c *coder) { c.sized((*[]byte)(b), maxECCBytes) }

// eccParameters is TPM2_ECC_Parameters.
func (t *TPM) eccParameters(in *eccParametersIn) (*eccParametersOut, error) {
	curve, _ := crypt.CurveByID(uint16(in.Curve))
	p := curve.Params()
	kdfHash := map[uint16]uint16{crypt.CurveP224: crypt.AlgSHA256, crypt.CurveP256: crypt.AlgSHA256, crypt.CurveP384: crypt.AlgSHA384,
		crypt.CurveP521: crypt.AlgSHA512, crypt.CurveBNP256: crypt.AlgNull, crypt.CurveSM2: crypt.AlgSM3}[curve.ID]
	out := &eccParametersOut{Curve: curve.ID, KeySize: uint16(curve.Bits()), P: p.P, A: p.A, B: p.B, Gx: p.Gx, Gy: p.Gy, N: p.N, H: eccParameter{1}}
	out.Sign.Alg, out.KDF.Alg = crypt.AlgNull, crypt.AlgNull
	if kdfHash != crypt.AlgNull {
		out.KDF.scheme = scheme{Alg: crypt.AlgKDF1SP80056A, Hash: kdfHash}
	}
	if curve.ID == crypt.CurveBNP256 {
		out.A = eccParameter{0} // as the reference has it: not padded, unlike all others
	}
	return out, nil
}

type commitIn struct {
	Key handle `tpm:"object,user"`
	P1  box[eccPoint]
	S2  sensitive2B
	Y2  eccParameter
}

type commitOut struct {
	K, L, E box[eccPoint]
	Counter uint16
}

// commitPoints is TPM2_Commit, the first half of an anonymous signature (part 1, C.2).
func (t *TPM) commitPoints(in *commitIn) (*commitOut, error) {
	key, err := t.eccKeyAt(in.Key)
	if err != nil {
		return nil, err
	}
	if key.Public.Scheme.Alg != crypt.AlgECDAA {
		return nil, rcScheme.handle(1)
	}
	if (len(in.S2) == 0) != (len(in.Y2) == 0) {
		return nil, rcSize.param(3)
	}
	curve := key.Public.curve()
	out := &commitOut{}
	p2, hasP2 := crypt.Point{}, len(in.S2) > 0
	if hasP2 {
		x := new(big.Int).SetBytes(crypt.Digest(key.Public.NameAlg, in.S2))
		x.Mod(x, new(big.Int).SetBytes(curve.Params().P))
		p2 = crypt.Point{X: x.FillBytes(make([]byte, curve.FieldSize())), Y: padTo(in.Y2, curve.FieldSize())}
		if !curve.OnCurve(p2) {
			return nil, rcECCPoint.param(2)
		}
	}
	p1, hasP1 := crypt.Point(in.P1.V), len(in.P1.V.X)+len(in.P1.V.Y) > 0
	if hasP1 && !curve.OnCurve(p1) {
		return nil, rcECCPoint.param(1)
	}
	before := t.ram.Commits
	r, count, err := t.beginCommit(curve, key.Name)
	if err == nil {
		err = commitTo(curve, key, r, p1, p2, hasP1, hasP2, out)
	}
	if err != nil {
		t.ram.Commits = before // nothing was committed to
		return nil, cryptCode(err)
	}
	out.Counter = count
	return out, nil
}

// commitTo computes the points of a commitment: K = [d]P2, L = [r]P2, E = [r]P1 or, with no point given, [r]G.
func commitTo(curve *crypt.Curve, key *object, r []byte, p1, p2 crypt.Point, hasP1, hasP2 bool, out *commitOut) error {
	mul := func(to *box[eccPoint], p crypt.Point, k []byte) error {
		q, err := curve.Mul(p, k)
		*to = boxPoint(q)
		return err
	}
	if hasP2 {
		if err := mul(&out.K, p2, key.Sensitive.Data); err != nil {
			return err
		}
		if err := mul(&out.L, p2, r); err != nil {
			return err
		}
	}
	switch {
	case hasP1:
		return mul(&out.E, p1, r)
	case !hasP2:
		e, err := curve.BaseMul(r)
		out.E = boxPoint(e)
		return err
	}
	return nil
}

type ecEphemeralIn struct{ Curve curveID }

type ecEphemeralOut struct {
	Q       box[eccPoint]
	Counter uint16
}

// ecEphemeral is TPM2_EC_Ephemeral.
func (t *TPM) ecEphemeral(in *ecEphemeralIn) (*ecEphemeralOut, error) {
	curve, _ := crypt.CurveByID(uint16(in.Curve))
	r, count, err := t.beginCommit(curve, nil)
	if err != nil {
		return nil, err
	}
	q, err := curve.BaseMul(r)
	return &ecEphemeralOut{boxPoint(q), count}, cryptCode(err)
}

// keyExchange is a TPMI_ECC_KEY_EXCHANGE.
type keyExchange uint16

func (v *keyExchange) code(c *coder) {
	c.oneOf((*uint16)(v), rcScheme, crypt.AlgECDH, crypt.AlgECMQV, crypt.AlgSM2)
}

type zgen2PhaseIn struct {
	Key      handle `tpm:"object,user"`
	QsB, QeB box[eccPoint]
	Scheme   keyExchange
	Counter  uint16
}

type zgen2PhaseOut struct{ Z1, Z2 box[eccPoint] }

// zgen2Phase is TPM2_ZGen_2Phase: a key exchange with a static and an ephemeral key on both sides.
func (t *TPM) zgen2Phase(in *zgen2PhaseIn) (*zgen2PhaseOut, error) {
	key, err := t.eccKeyAt(in.Key)
	if err != nil {
		return nil, err
	}
	if key.Public.Attrs&(attrRestricted|attrDecrypt) != attrDecrypt {
		return nil, rcAttributes.handle(1)
	}
	how := uint16(in.Scheme)
	if own := key.Public.Scheme.Alg; own != crypt.AlgNull && own != how {
		return nil, rcScheme.param(3)
	}
	curve := key.Public.curve()
	static, ephemeral := crypt.Point(in.QsB.V), crypt.Point(in.QeB.V)
	if !curve.OnCurve(static) {
		return nil, rcECCPoint.param(1)
	}
	if !curve.OnCurve(ephemeral) {
		return nil, rcECCPoint.param(2)
	}
	r, err := t.findCommit(curve, nil, in.Counter)
	if err != nil {
		return nil, atParam(err, 4)
	}
	out, err := exchange(key, how, r, static, ephemeral)
	if err != nil {
		return nil, cryptCode(err)
	}
	t.endCommit(in.Counter)
	return out, nil
}

func exchange(key *object, how uint16, r []byte, static, ephemeral crypt.Point) (*zgen2PhaseOut, error) {
	k, err := key.eccKey()
	if err != nil {
		return nil, err
	}
	mine, err := k.Curve.Key(r)
	if err != nil {
		return nil, err
	}
	var z1, z2 crypt.Point
	switch how {
	case crypt.AlgECMQV:
		z1, err = k.ECMQV(mine, static, ephemeral)
	case crypt.AlgSM2:
		z1, err = k.SM2Exchange(mine, static, ephemeral)
	default:
		if z1, err = k.Curve.Mul(static, k.Private); err == nil {
			z2, err = k.Curve.Mul(ephemeral, mine.Private)
		}
	}
	return &zgen2PhaseOut{boxPoint(z1), boxPoint(z2)}, err
}
