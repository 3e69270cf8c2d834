package engine

import (
	"bytes"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// checkCreate checks the template of a new object (part 3, 12.1): the attributes that say where its secret comes from,
// then all that checkAttributes does.
func checkCreate(parent *object, p *public, dataSize int) error {
	origin := p.Attrs.has(attrSensitiveDataOrigin)
	sealed := p.Type == crypt.AlgKeyedHash && p.Attrs&(attrSign|attrDecrypt) == 0
	if origin == (dataSize > 0) || sealed && origin || p.isAsymmetric() && !origin {
		return rcAttributes
	}
	if !p.isAsymmetric() && p.Attrs.has(attrRestricted) && !origin && p.Attrs&(attrFixedParent|attrFixedTPM) != 0 {
		return rcAttributes
	}
	return checkAttributes(parent, p)
}

// checkAttributes checks that the attributes of an object agree with each other and with those of its parent; a primary
// object has none.
func checkAttributes(parent *object, p *public) error {
	a := p.Attrs
	size := crypt.HashSize(p.NameAlg)
	if size == 0 {
		return rcHash
	}
	if len(p.Policy) != 0 && len(p.Policy) != size {
		return rcSize
	}
	switch {
	case parent == nil || parent.Public.Attrs.has(attrFixedTPM):
		if a.has(attrFixedTPM) != a.has(attrFixedParent) {
			return rcAttributes
		}
	case a.has(attrFixedTPM):
		return rcAttributes
	}
	if a.has(attrFixedTPM | attrEncryptedDuplication) {
		return rcAttributes
	}
	if parent != nil && !parent.Public.Attrs.has(attrFixedTPM) &&
		a.has(attrEncryptedDuplication) != parent.Public.Attrs.has(attrEncryptedDuplication) {
		return rcAttributes
	}
	if a.has(attrSign) == a.has(attrDecrypt) && (a.has(attrRestricted) || !a.has(attrSign) && p.Type != crypt.AlgKeyedHash) {
		return rcAttributes
	}
	return checkSchemes(parent, p)
}

// checkSchemes checks that the schemes of a public area fit its attributes.
func checkSchemes(parent *object, p *public) error {
	a := p.Attrs
	sign, decrypt := a.has(attrSign), a.has(attrDecrypt)
	var sym *symDef
	switch p.Type {
	case crypt.AlgSymCipher:
		sym = &p.Sym
	case crypt.AlgKeyedHash:
		if err := checkKeyedHashScheme(p, sign, decrypt); err != nil {
			return err
		}
	default:
		sym = &p.Sym
		if err := checkAsymmetricScheme(p, sign, decrypt); err != nil {
			return err
		}
	}
	if sym != nil && a.has(attrRestricted|attrDecrypt) {
		return checkParentCipher(parent, p)
	}
	return nil
}

func checkKeyedHashScheme(p *public, sign, decrypt bool) error {
	s := p.Scheme
	switch {
	case sign == decrypt && s.Alg != crypt.AlgNull,
		sign && !decrypt && s.Alg != crypt.AlgHMAC,
		decrypt && !sign && s.Alg != crypt.AlgXOR,
		decrypt && !sign && p.Attrs.has(attrRestricted) && s.KDF != crypt.AlgKDF1SP800108:
		return rcScheme
	}
	return nil
}

func checkAsymmetricScheme(p *public, sign, decrypt bool) error {
	s, restricted := p.Scheme.Alg, p.Attrs.has(attrRestricted)
	switch {
	case sign && decrypt, !sign && !decrypt:
		if s != crypt.AlgNull {
			return rcScheme
		}
	case sign:
		if s == crypt.AlgNull && restricted || s != crypt.AlgNull && !isSignScheme(p.Type, s) {
			return rcScheme
		}
	case restricted && s != crypt.AlgNull, s != crypt.AlgNull && !isDecryptScheme(p.Type, s):
		return rcScheme
	}
	if !p.Attrs.has(attrRestricted|attrDecrypt) && p.Sym.Alg != crypt.AlgNull {
		return rcSymmetric
	}
	if p.Type == crypt.AlgECC && p.KDF.Alg != crypt.AlgNull {
		return rcKDF
	}
	return nil
}

func isSignScheme(keyType, s uint16) bool {
	switch keyType {
	case crypt.AlgRSA:
		return s == crypt.AlgRSASSA || s == crypt.AlgRSAPSS
	case crypt.AlgKeyedHash:
		return s == crypt.AlgHMAC
	}
	return s == crypt.AlgECDSA || s == crypt.AlgECDAA || s == crypt.AlgSM2 || s == crypt.AlgECSchnorr
}

func isDecryptScheme(keyType, s uint16) bool {
	if keyType == crypt.AlgRSA {
		return s == crypt.AlgRSAES || s == crypt.AlgOAEP
	}
	return s == crypt.AlgECDH || s == crypt.AlgSM2 || s == crypt.AlgECMQV
}

// checkParentCipher checks the cipher of a storage parent. One that cannot be duplicated has that of its own parent. Its
// mode may be any: what protects children is CFB always, and the reference does not look.
func checkParentCipher(parent *object, p *public) error {
	switch {
	case p.Sym.Alg == crypt.AlgNull:
		return rcSymmetric
	case parent == nil || !p.Attrs.has(attrFixedParent):
		return nil
	case p.NameAlg != parent.Public.NameAlg:
		return rcHash
	case p.Sym != parent.Public.Sym:
		return rcSymmetric
	}
	return nil
}

// checkKeys checks that the public and the private half of an object are whole and belong together. The parameters
// that are to blame are numbered by their places in the command.
func checkKeys(p *public, s *sensitive, blamePublic, blameSensitive int) error {
	size := crypt.HashSize(p.NameAlg)
	if s != nil {
		if s.Type != p.Type {
			return rcType.param(blameSensitive)
		}
		if size > 0 && len(s.Auth) > size {
			return rcSize.param(blameSensitive)
		}
	}
	var err error
	switch p.Type {
	case crypt.AlgRSA:
		err = checkRSAKey(p, s, blamePublic, blameSensitive)
	case crypt.AlgECC:
		err = checkECCKey(p, s, blamePublic)
	default:
		err = checkSymmetricKey(p, s, blamePublic, blameSensitive)
	}
	if err != nil {
		return err
	}
	if s != nil && size > 0 && p.Attrs.has(attrRestricted|attrDecrypt) && (len(s.Seed) < size/2 || len(s.Seed) > size) {
		return rcSize.param(blameSensitive)
	}
	return nil
}

func checkRSAKey(p *public, s *sensitive, blamePublic, blameSensitive int) error {
	n := int(p.KeyBits) / 8
	if len(p.Unique) != n || p.Unique[0] < 0x80 {
		return rcKey.param(blamePublic)
	}
	if p.Exponent != 0 && p.Exponent < 7 {
		return rcValue.param(blamePublic)
	}
	if s == nil {
		return nil
	}
	if len(s.Data)*2 != n || s.Data[0] < 0x80 {
		return rcKeySize.param(blameSensitive)
	}
	if _, err := crypt.NewRSAPrivate(p.Unique, p.Exponent, s.Data); err != nil {
		return rcBinding.param(blameSensitive)
	}
	return nil
}

func checkECCKey(p *public, s *sensitive, blamePublic int) error {
	curve := p.curve()
	switch {
	case s == nil && (len(p.Point.X) != curve.FieldSize() || len(p.Point.Y) != curve.FieldSize()):
		return rcKey.param(blamePublic)
	case s == nil && p.NameAlg != crypt.AlgNull && !curve.OnCurve(crypt.Point(p.Point)):
		return rcECCPoint.param(blamePublic)
	case s == nil:
		return nil
	case !curve.PrivateOK(s.Data):
		return rcKeySize
	case p.NameAlg == crypt.AlgNull:
		return nil
	}
	k, err := curve.Key(s.Data)
	if err != nil || !bytes.Equal(k.Public.X, padTo(p.Point.X, curve.FieldSize())) || !bytes.Equal(k.Public.Y, padTo(p.Point.Y, curve.FieldSize())) {
		return rcBinding
	}
	return nil
}

func checkSymmetricKey(p *public, s *sensitive, blamePublic, blameSensitive int) error {
	size := crypt.HashSize(p.NameAlg)
	if size > 0 && len(p.Unique) != size {
		return rcKey.param(blamePublic)
	}
	if s == nil {
		return nil
	}
	if size > 0 && len(s.Seed) > size || p.Type == crypt.AlgSymCipher && len(s.Data) != p.Sym.keyBytes() ||
		p.Type == crypt.AlgKeyedHash && len(s.Data) > p.maxKeyedHash() {
		return rcKeySize.param(blameSensitive)
	}
	if size > 0 && string(p.Unique) != string(symmetricUnique(p.NameAlg, s)) {
		return rcBinding
	}
	return nil
}

// maxKeyedHash is how long the secret of a keyed-hash object may be: a block of its hash, or what a sealed object holds.
func (p *public) maxKeyedHash() int {
	alg := p.Scheme.Hash
	if p.Scheme.Alg == crypt.AlgNull {
		return maxSymData
	}
	newHash, _, _ := crypt.Hash(alg)
	return min(newHash().BlockSize(), maxSymData)
}

// symmetricUnique is what the public area of a symmetric object shows of its secret (part 2, 12.2.3).
func symmetricUnique(alg uint16, s *sensitive) []byte { return crypt.Digest(alg, s.Seed, s.Data) }
