package engine

import (
	"crypto/hmac"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// symObject is a TPMT_SYM_DEF_OBJECT+.
type symObject struct{ symDef }

func (s *symObject) code(c *coder) { s.codeKind(c, crypt.AlgNull) }

// innerWrap encrypts a sensitive area under a key of the caller's, with a digest before it (part 1, 23.3.2).
func innerWrap(s *symDef, key, name, data []byte, nameAlg uint16) ([]byte, error) {
	body := cat(sized(crypt.Digest(nameAlg, data, name)), data)
	return body, crypt.CFB(s.Alg, key, make([]byte, crypt.BlockSize), body, true)
}

// innerUnwrap is the inverse of innerWrap.
func innerUnwrap(s *symDef, key, name, blob []byte, nameAlg uint16) ([]byte, error) {
	body := slices.Clone(blob)
	if err := crypt.CFB(s.Alg, key, make([]byte, crypt.BlockSize), body, false); err != nil {
		return nil, err
	}
	digest, data, err := splitMAC(body)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(digest, crypt.Digest(nameAlg, data, name)) {
		return nil, rcIntegrity
	}
	return data, nil
}

type duplicateIn struct {
	Object    handle `tpm:"object,dup"`
	NewParent handle `tpm:"object?"`
	KeyIn     data2B
	Sym       symObject
}

type duplicateOut struct {
	KeyOut    data2B
	Duplicate private2B
	Seed      rsa2B
}

// duplicate is TPM2_Duplicate.
func (t *TPM) duplicate(in *duplicateIn) (*duplicateOut, error) {
	o := t.object(in.Object)
	switch {
	case o.Seq != nil, o.Public.NameAlg == crypt.AlgNull:
		return nil, rcType.handle(1)
	case o.Public.Attrs.has(attrFixedParent):
		return nil, rcAttributes.handle(1)
	}
	var parent *object
	if in.NewParent != rhNull {
		parent = t.object(in.NewParent)
		if !parent.isParent() || parent.Public.Type == crypt.AlgKeyedHash {
			return nil, rcType.handle(2)
		}
	}
	if o.Public.Attrs.has(attrEncryptedDuplication) {
		if in.Sym.Alg == crypt.AlgNull {
			return nil, rcSymmetric.param(2)
		}
		if parent == nil {
			return nil, rcHierarchy.handle(2)
		}
	}
	if len(in.KeyIn) != 0 && (in.Sym.Alg == crypt.AlgNull || len(in.KeyIn) != in.Sym.keyBytes()) {
		return nil, rcSize.param(1)
	}
	out := &duplicateOut{}
	blob := sized(marshal(o.Sensitive.padded(o.Public.NameAlg)))
	var err error
	if in.Sym.Alg != crypt.AlgNull {
		key := []byte(in.KeyIn)
		if len(key) == 0 {
			if key, err = t.random(in.Sym.keyBytes()); err != nil {
				return nil, err
			}
			out.KeyOut = key
		}
		if blob, err = innerWrap(&in.Sym.symDef, key, o.Name, blob, o.Public.NameAlg); err != nil {
			return nil, err
		}
	}
	out.Duplicate, out.Seed, err = t.outerWrap(parent, o.Name, blob)
	return out, err
}

// outerWrap protects a duplicate for its new parent; without one it stays as it is.
func (t *TPM) outerWrap(parent *object, name, blob []byte) (wrapped, secret []byte, err error) {
	if parent == nil {
		return blob, nil, nil
	}
	seed, secret, err := t.encryptSecret(parent, "DUPLICATE")
	if err != nil {
		return nil, nil, err
	}
	wrapped, err = protector(parent, seed).seal(name, nil, blob)
	return wrapped, secret, err
}

type importIn struct {
	Parent    handle `tpm:"object,user"`
	Key       data2B
	Public    box[public]
	Duplicate private2B
	Seed      rsa2B
	Sym       symObject
}

type importOut struct{ Private private2B }

// importObject is TPM2_Import.
func (t *TPM) importObject(in *importIn) (*importOut, error) {
	parent, p := t.object(in.Parent), &in.Public.V
	if p.Attrs&(attrFixedTPM|attrFixedParent) != 0 {
		return nil, rcAttributes.param(2)
	}
	if !parent.isStorageParent() {
		return nil, rcType.handle(1)
	}
	encrypted := p.Attrs.has(attrEncryptedDuplication)
	if in.Sym.Alg == crypt.AlgNull {
		if len(in.Key) != 0 {
			return nil, rcSize.param(1)
		}
		if encrypted {
			return nil, rcAttributes.param(1)
		}
	} else if len(in.Key) != in.Sym.keyBytes() {
		return nil, rcSize.param(1)
	}
	blob, name := []byte(in.Duplicate), p.name()
	var err error
	if len(in.Seed) > 0 {
		var seed []byte
		if seed, err = t.decryptSecret(parent, nil, "DUPLICATE", in.Seed); err != nil {
			return nil, atParam(err, 4)
		}
		if blob, err = protector(parent, seed).open(name, blob, false); err != nil {
			return nil, atParam(err, 3)
		}
	} else if encrypted {
		return nil, rcAttributes.param(4)
	}
	if in.Sym.Alg != crypt.AlgNull {
		if blob, err = innerUnwrap(&in.Sym.symDef, in.Key, name, blob, p.NameAlg); err != nil {
			return nil, atParam(err, 3)
		}
	}
	s, err := decodeSensitive(blob)
	if err != nil {
		return nil, atParam(err, 3)
	}
	if parent.Public.Attrs.has(attrFixedTPM) { // so that TPM2_Load need not check what it imported
		if err := checkAttributes(nil, p); err != nil {
			return nil, atParam(err, 2)
		}
		if err := checkKeys(p, s, 2, 3); err != nil {
			return nil, err
		}
	}
	private, err := t.sensitiveToPrivate(s, name, p.NameAlg, parent)
	return &importOut{private}, err
}

type rewrapIn struct {
	OldParent handle `tpm:"object?,user"`
	NewParent handle `tpm:"object?"`
	Duplicate private2B
	Name      name2B
	Seed      rsa2B
}

type rewrapOut struct {
	Duplicate private2B
	Seed      rsa2B
}

// rewrap is TPM2_Rewrap: the outer wrapper of a duplicate, for another parent.
func (t *TPM) rewrap(in *rewrapIn) (*rewrapOut, error) {
	if (len(in.Seed) == 0) != (in.OldParent == rhNull) {
		return nil, rcHandle.handle(1)
	}
	blob := []byte(in.Duplicate)
	if in.OldParent != rhNull {
		parent := t.object(in.OldParent)
		if !parent.isStorageParent() {
			return nil, rcType.handle(1)
		}
		seed, err := t.decryptSecret(parent, nil, "DUPLICATE", in.Seed)
		if err != nil {
			return nil, atParam(err, 3)
		}
		if blob, err = protector(parent, seed).open(in.Name, blob, false); err != nil {
			return nil, atParam(err, 1)
		}
	}
	var parent *object
	if in.NewParent != rhNull {
		parent = t.object(in.NewParent)
		if !parent.isParent() || !parent.Public.isAsymmetric() {
			return nil, rcType.handle(2)
		}
	}
	wrapped, secret, err := t.outerWrap(parent, in.Name, blob)
	return &rewrapOut{wrapped, secret}, err
}
