package engine

import "github.com/vtpmctl/vtpmctl/engine/internal/crypt"

type eccEncryptIn struct {
	Key       handle `tpm:"object"`
	PlainText buffer2B
	Scheme    kdfScheme
}

type eccEncryptOut struct {
	C1 box[eccPoint]
	C2 buffer2B
	C3 digest2B
}

// eccEncrypt is TPM2_ECC_Encrypt (part 3, 14.8). Any ECC key will do: only its public half takes part.
func (t *TPM) eccEncrypt(in *eccEncryptIn) (*eccEncryptOut, error) {
	key, err := t.eccKeyAt(in.Key)
	if err != nil {
		return nil, err
	}
	if !selectKDF(key, &in.Scheme.scheme) {
		return nil, rcScheme.param(2)
	}
	c1, c2, c3, err := key.Public.curve().Encrypt(t.rand, in.Scheme.Hash, crypt.Point(key.Public.Point), in.PlainText)
	return &eccEncryptOut{boxPoint(c1), c2, c3}, cryptCode(err)
}

type eccDecryptIn struct {
	Key    handle `tpm:"object,user"`
	C1     box[eccPoint]
	C2     buffer2B
	C3     digest2B
	Scheme kdfScheme
}

type eccDecryptOut struct{ PlainText buffer2B }

// eccDecrypt is TPM2_ECC_Decrypt (part 3, 14.9).
func (t *TPM) eccDecrypt(in *eccDecryptIn) (*eccDecryptOut, error) {
	key, err := t.eccKeyAt(in.Key)
	if err != nil {
		return nil, err
	}
	if key.Public.Attrs&(attrRestricted|attrDecrypt) != attrDecrypt {
		return nil, rcAttributes.handle(1)
	}
	if !selectKDF(key, &in.Scheme.scheme) {
		return nil, rcScheme.param(4)
	}
	k, err := key.eccKey()
	if err != nil {
		return nil, err
	}
	plain, err := k.Decrypt(in.Scheme.Hash, crypt.Point(in.C1.V), in.C2, in.C3)
	if err != nil {
		return nil, cryptCode(err)
	}
	return &eccDecryptOut{plain}, nil
}

// selectKDF settles the scheme of ECC encryption: the key's, the one asked for, or both when they agree. KDF2 is the only
// one defined for it.
func selectKDF(key *object, want *scheme) bool {
	own := key.Public.KDF
	if want.Alg == crypt.AlgNull {
		*want = own
	}
	return want.Alg == crypt.AlgKDF2 && (own.Alg == crypt.AlgNull || own == *want)
}
