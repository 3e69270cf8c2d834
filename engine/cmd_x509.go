package engine

import (
	"encoding/asn1"
	"math/big"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

type certifyX509In struct {
	Object   handle `tpm:"object,admin"`
	Key      handle `tpm:"object?,user"`
	Reserved data2B
	Scheme   sigScheme
	Partial  buffer2B
}

type certifyX509Out struct {
	Added     certificatePart
	TBSDigest digest2B
	Signature signature
}

// certificatePart is the DER that the TPM adds to a certificate.
type certificatePart []byte

func (b *certificatePart) code(c *coder) { c.sized((*[]byte)(b), maxBuffer) }

// certifyX509 is TPM2_CertifyX509: it signs a certificate of a key, of which the caller gives all but the version, the
// serial number, the key and, if he likes, the signature algorithm.
func (t *TPM) certifyX509(in *certifyX509In) (*certifyX509Out, error) {
	if len(in.Reserved) != 0 {
		return nil, rcSize.param(1)
	}
	if in.Key == rhNull {
		return nil, rcValue.handle(2)
	}
	key, o := t.object(in.Key), t.object(in.Object)
	if !key.canSign() || !key.Public.isAsymmetric() {
		return nil, rcKey.handle(2)
	}
	if o.Seq != nil || !o.Public.isAsymmetric() {
		return nil, rcAsymmetric.handle(1)
	}
	if !selectSignScheme(key, &in.Scheme.scheme) {
		return nil, rcScheme.param(2)
	}
	cert, err := parsePartial(in.Partial, &o.Public)
	if err != nil {
		return nil, atParam(err, 3)
	}
	algorithm, err := signatureAlgorithm(in.Scheme.scheme)
	if err != nil {
		return nil, err
	}
	return t.signCertificate(key, o, in.Scheme.scheme, cert, algorithm)
}

// partial is a partial certificate, cut into what goes before and after the key.
type partial struct {
	algorithm []byte // nil when the TPM is to add it
	names     []byte // issuer, validity, subject
	rest      []byte // extensions
}

// DER tags (X.690).
const (
	derSequence  = 0x30
	derVersion   = 0xa0
	derExtension = 0xa3
)

// element cuts the first DER element off, with its header.
func element(der []byte) (whole, body, rest []byte, tag byte, ok bool) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil || len(v.FullBytes) == 0 {
		return nil, nil, nil, 0, false
	}
	return v.FullBytes, v.Bytes, rest, v.FullBytes[0], true
}

// parsePartial reads SEQUENCE { signature AlgorithmIdentifier OPTIONAL, issuer, validity, subject, extensions }. An
// AlgorithmIdentifier is told from a Name by what it begins with.
func parsePartial(der []byte, p *public) (*partial, error) {
	_, body, after, tag, ok := element(der)
	if !ok || tag != derSequence || len(after) != 0 {
		return nil, rcValue
	}
	out := &partial{}
	whole, inner, rest, tag, ok := element(body)
	if !ok || tag != derSequence {
		return nil, rcValue
	}
	if len(inner) > 0 && inner[0] == asn1.TagOID {
		out.algorithm, body = whole, rest
	}
	out.names = body
	for range 3 {
		if _, _, rest, tag, ok = element(body); !ok || tag != derSequence {
			return nil, rcValue
		}
		body = rest
	}
	out.names = out.names[:len(out.names)-len(body)]
	if _, _, rest, tag, ok = element(body); ok && tag == derSequence {
		body = rest // what stands in the place of the key, which the TPM puts there
	}
	out.rest = body
	_, inner, rest, tag, ok = element(body)
	if !ok || tag != derExtension || len(rest) != 0 {
		return nil, rcValue
	}
	return out, checkExtensions(inner, p)
}

type extension struct {
	ID       asn1.ObjectIdentifier
	Critical bool `asn1:"optional"`
	Value    []byte
}

var (
	oidKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidTCGTPMaObject = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 1, 1}
)

// checkExtensions checks what a certificate says of a key against the key's attributes (part 3, 18.8.1): it must say what
// the key may be used for.
func checkExtensions(der []byte, p *public) error {
	var list []extension
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) != 0 {
		return rcValue
	}
	usage := false
	for _, e := range list {
		var bits asn1.BitString
		switch {
		case e.ID.Equal(oidKeyUsage):
			if _, err := asn1.Unmarshal(e.Value, &bits); err != nil {
				return rcValue
			}
			usage = true
			if !usageFits(bits, p.Attrs) {
				return rcAttributes
			}
		case e.ID.Equal(oidTCGTPMaObject):
			if _, err := asn1.Unmarshal(e.Value, &bits); err != nil || len(bits.Bytes) != 4 {
				return rcValue
			}
			if new(big.Int).SetBytes(bits.Bytes).Uint64() != uint64(p.Attrs) {
				return rcAttributes
			}
		}
	}
	if !usage {
		return rcValue
	}
	return nil
}

// usageFits compares an X.509 key usage with object attributes: signing uses need sign, those that keep secrets
// need decrypt, and what cannot be denied a key that cannot leave the TPM.
func usageFits(bits asn1.BitString, a attrs) bool {
	at := func(list ...int) bool {
		for _, i := range list {
			if bits.At(i) == 1 {
				return true
			}
		}
		return false
	}
	const digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, crlSign = 0, 1, 2, 3, 4, 5, 6
	switch {
	case at(digitalSignature, keyCertSign, crlSign) && !a.has(attrSign),
		at(keyEncipherment, dataEncipherment, keyAgreement) && !a.has(attrDecrypt),
		at(nonRepudiation) && !a.has(attrFixedTPM):
		return false
	}
	return true
}

// derOf marshals what cannot fail to.
func derOf(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic("engine: " + err.Error())
	}
	return b
}

// tlv is a DER element of a tag around bytes.
func tlv(tag byte, body ...[]byte) []byte {
	return derOf(asn1.RawValue{Class: int(tag >> 6), IsCompound: tag&0x20 != 0, Tag: int(tag & 0x1f), Bytes: cat(body...)})
}

type algorithmID struct {
	ID         asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// signatureAlgorithm is the AlgorithmIdentifier of a scheme (RFC 3279, 5758; GM/T 0006).
func signatureAlgorithm(s scheme) ([]byte, error) {
	rsa := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1}
	ecdsa := asn1.ObjectIdentifier{1, 2, 840, 10045, 4}
	type of struct{ alg, hash uint16 }
	id, ok := map[of]algorithmID{
		{crypt.AlgRSASSA, crypt.AlgSHA1}:   {append(rsa[:6:6], 5), asn1.NullRawValue},
		{crypt.AlgRSASSA, crypt.AlgSHA256}: {append(rsa[:6:6], 11), asn1.NullRawValue},
		{crypt.AlgRSASSA, crypt.AlgSHA384}: {append(rsa[:6:6], 12), asn1.NullRawValue},
		{crypt.AlgRSASSA, crypt.AlgSHA512}: {append(rsa[:6:6], 13), asn1.NullRawValue},
		{crypt.AlgECDSA, crypt.AlgSHA1}:    {append(ecdsa[:5:5], 1), asn1.RawValue{}},
		{crypt.AlgECDSA, crypt.AlgSHA256}:  {append(ecdsa[:5:5], 3, 2), asn1.RawValue{}},
		{crypt.AlgECDSA, crypt.AlgSHA384}:  {append(ecdsa[:5:5], 3, 3), asn1.RawValue{}},
		{crypt.AlgECDSA, crypt.AlgSHA512}:  {append(ecdsa[:5:5], 3, 4), asn1.RawValue{}},
		{crypt.AlgSM2, crypt.AlgSM3}:       {asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}, asn1.RawValue{}},
	}[of{s.Alg, s.Hash}]
	if !ok {
		return nil, rcScheme.param(2)
	}
	return derOf(id), nil
}

// subjectPublicKey is the SubjectPublicKeyInfo of a key (RFC 3279, 5480).
func subjectPublicKey(p *public) ([]byte, error) {
	bits := func(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }
	type info struct {
		Algorithm algorithmID
		Key       asn1.BitString
	}
	if p.Type == crypt.AlgRSA {
		k := crypt.NewRSAPublic(p.Unique, p.Exponent)
		key := derOf(struct {
			N *big.Int
			E int64
		}{new(big.Int).SetBytes(k.Modulus()), int64(k.Exponent())})
		return derOf(info{algorithmID{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue}, bits(key)}), nil
	}
	curve, ok := map[uint16]asn1.ObjectIdentifier{
		crypt.CurveP224: {1, 3, 132, 0, 33}, crypt.CurveP256: {1, 2, 840, 10045, 3, 1, 7}, crypt.CurveP384: {1, 3, 132, 0, 34},
		crypt.CurveP521: {1, 3, 132, 0, 35}, crypt.CurveSM2: {1, 2, 156, 10197, 1, 301},
	}[p.Curve]
	if !ok {
		return nil, rcAsymmetric.handle(1)
	}
	n := p.curve().FieldSize()
	point := cat([]byte{4}, padTo(p.Point.X, n), padTo(p.Point.Y, n))
	parameters := asn1.RawValue{FullBytes: derOf(curve)}
	return derOf(info{algorithmID{asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, parameters}, bits(point)}), nil
}

// signCertificate puts the certificate together and signs it. The serial number follows from the rest.
func (t *TPM) signCertificate(key, o *object, s scheme, c *partial, algorithm []byte) (*certifyX509Out, error) {
	spki, err := subjectPublicKey(&o.Public)
	if err != nil {
		return nil, err
	}
	digest := crypt.Digest(s.Hash, c.names, spki, c.rest)
	serial := derOf(new(big.Int).SetBytes(append([]byte{digest[0]&0x7f | 0x40}, digest[1:min(len(digest), 20)]...)))
	version := tlv(derVersion, derOf(2))
	added := cat(version, serial)
	given := c.algorithm
	if given == nil {
		given = algorithm
		added = cat(added, algorithm)
	}
	out := &certifyX509Out{Added: tlv(derSequence, added, spki)}
	tbs := tlv(derSequence, version, serial, given, c.names, spki, c.rest)
	out.TBSDigest = crypt.Digest(s.Hash, tbs)
	sig, err := t.sign(key, s, out.TBSDigest)
	if err != nil {
		return nil, err
	}
	out.Signature = *sig
	return out, nil
}
