package engine

import (
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// attrs is a TPMA_OBJECT.
type attrs uint32

// Object attributes (part 2, 8.3).
const (
	attrFixedTPM             attrs = 1 << 1
	attrStClear              attrs = 1 << 2
	attrFixedParent          attrs = 1 << 4
	attrSensitiveDataOrigin  attrs = 1 << 5
	attrUserWithAuth         attrs = 1 << 6
	attrAdminWithPolicy      attrs = 1 << 7
	attrNoDA                 attrs = 1 << 10
	attrEncryptedDuplication attrs = 1 << 11
	attrRestricted           attrs = 1 << 16
	attrDecrypt              attrs = 1 << 17
	attrSign                 attrs = 1 << 18
	attrX509Sign             attrs = 1 << 19

	attrsKnown = attrFixedTPM | attrStClear | attrFixedParent | attrSensitiveDataOrigin | attrUserWithAuth |
		attrAdminWithPolicy | attrNoDA | attrEncryptedDuplication | attrRestricted | attrDecrypt | attrSign | attrX509Sign
)

func (a attrs) has(all attrs) bool { return a&all == all }

// publicParms is the union TPMU_PUBLIC_PARMS, laid flat: a type uses the fields it has.
type publicParms struct {
	Sym      symDef
	Scheme   scheme
	KeyBits  uint16 // RSA
	Exponent uint32 // RSA; 0 means 65537
	Curve    uint16 // ECC
	KDF      scheme // ECC
}

// keyTypes are the members of TPMI_ALG_PUBLIC.
var keyTypes = []uint16{crypt.AlgRSA, crypt.AlgECC, crypt.AlgKeyedHash, crypt.AlgSymCipher}

var (
	rsaKeyBits = []uint16{1024, 2048, 3072, 4096}
	eccCurves  = []uint16{crypt.CurveP224, crypt.CurveP256, crypt.CurveP384, crypt.CurveP521, crypt.CurveBNP256, crypt.CurveSM2}
)

func (p *publicParms) codeFor(c *coder, keyType uint16) {
	switch keyType {
	case crypt.AlgKeyedHash:
		p.Scheme.codeOf(c, rcValue, keyedHashSchemes)
	case crypt.AlgSymCipher:
		p.Sym.codeKind(c)
	case crypt.AlgRSA:
		p.Sym.codeKind(c, crypt.AlgNull)
		p.Scheme.codeOf(c, rcValue, rsaSchemes)
		c.oneOf(&p.KeyBits, rcValue, rsaKeyBits...)
		c.require(c.maxRSA == 0 || int(p.KeyBits) <= c.maxRSA, rcValue)
		c.u32(&p.Exponent)
	case crypt.AlgECC:
		p.Sym.codeKind(c, crypt.AlgNull)
		p.Scheme.codeOf(c, rcScheme, eccSchemes)
		c.oneOf(&p.Curve, rcCurve, eccCurves...)
		p.KDF.codeOf(c, rcKDF, kdfSchemes)
	}
}

// typedParms is a TPMT_PUBLIC_PARMS.
type typedParms struct {
	Type uint16
	publicParms
}

func (p *typedParms) code(c *coder) {
	c.oneOf(&p.Type, rcType, keyTypes...)
	p.codeFor(c, p.Type)
}

// public is a TPMT_PUBLIC. Unique holds an RSA modulus or a digest, Point the public point of an ECC key.
type public struct {
	Type, NameAlg uint16
	Attrs         attrs
	Policy        []byte
	publicParms
	Unique []byte
	Point  eccPoint
}

func (p *public) code(c *coder) { p.codeHead(c, false); p.codeUnique(c) }

// codeHead codes all but the unique field, which templates of derived keys replace.
func (p *public) codeHead(c *coder, nullName bool) {
	c.oneOf(&p.Type, rcType, keyTypes...)
	if nullName || !c.reading() {
		c.hashOrNull(&p.NameAlg)
	} else {
		c.hash(&p.NameAlg)
	}
	c.u32((*uint32)(&p.Attrs))
	c.require(p.Attrs&^attrsKnown == 0, rcReservedBits)
	c.sized(&p.Policy, maxDigest)
	p.codeFor(c, p.Type)
}

func (p *public) codeUnique(c *coder) {
	switch p.Type {
	case crypt.AlgRSA:
		c.sized(&p.Unique, maxRSABytes)
	case crypt.AlgECC:
		p.Point.code(c)
	case crypt.AlgKeyedHash, crypt.AlgSymCipher:
		c.sized(&p.Unique, maxDigest)
	}
}

func (p *public) clone() public {
	q := *p
	q.Policy, q.Unique = slices.Clone(p.Policy), slices.Clone(p.Unique)
	q.Point = eccPoint{slices.Clone(p.Point.X), slices.Clone(p.Point.Y)}
	return q
}

// publicOrNull is a TPMT_PUBLIC whose nameAlg may be TPM_ALG_NULL, as TPM2_LoadExternal takes it.
type publicOrNull struct{ public }

func (p *publicOrNull) code(c *coder) { p.codeHead(c, true); p.codeUnique(c) }

// sensitive is a TPMT_SENSITIVE. Data is one RSA prime, an ECC scalar, sealed or HMAC key bytes, or a cipher key.
type sensitive struct {
	Type uint16
	Auth []byte
	Seed []byte
	Data []byte
}

func (s *sensitive) code(c *coder) {
	c.oneOf(&s.Type, rcType, keyTypes...)
	c.sized(&s.Auth, maxDigest)
	c.sized(&s.Seed, maxDigest)
	limit := map[uint16]int{crypt.AlgRSA: maxRSABytes / 2 * 5, crypt.AlgECC: maxECCBytes, crypt.AlgKeyedHash: maxSymData,
		crypt.AlgSymCipher: maxSymKey}[s.Type]
	c.sized(&s.Data, limit)
}

// optionalSensitive is a TPM2B_SENSITIVE, the one boxed structure that may be empty.
type optionalSensitive struct{ V *sensitive }

func (s *optionalSensitive) boxed() {}

func (s *optionalSensitive) code(c *coder) {
	if size := c.peekU16(); size == 0 {
		c.u16(&size)
		return
	}
	s.V = new(sensitive)
	c.framed(func() { s.V.code(c) })
}

// sensitiveCreate is a TPMS_SENSITIVE_CREATE.
type sensitiveCreate struct {
	Auth digest2B
	Data sensitive2B
}

func (s *sensitiveCreate) code(c *coder) { s.Auth.code(c); s.Data.code(c) }

// creationData is a TPMS_CREATION_DATA.
type creationData struct {
	PCRs          pcrSelection
	PCRDigest     digest2B
	Locality      uint8
	ParentNameAlg uint16
	ParentName    name2B
	ParentQName   name2B
	OutsideInfo   data2B
}

func (d *creationData) code(c *coder) {
	d.PCRs.code(c)
	d.PCRDigest.code(c)
	c.u8(&d.Locality)
	c.hashOrNull(&d.ParentNameAlg)
	d.ParentName.code(c)
	d.ParentQName.code(c)
	d.OutsideInfo.code(c)
}
