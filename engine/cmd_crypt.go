package engine

import (
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

type rsaIn struct {
	Key     handle `tpm:"object"`
	Message rsa2B
	Scheme  rsaDecrypt
	Label   data2B
}

type rsaOut struct{ Message rsa2B }

// rsaEncrypt is TPM2_RSA_Encrypt.
func (t *TPM) rsaEncrypt(in *rsaIn) (*rsaOut, error) {
	key := t.object(in.Key)
	s, err := rsaCipher(key, &in.Scheme, in.Label, key.Public.Attrs.has(attrDecrypt))
	if err != nil {
		return nil, err
	}
	k := crypt.NewRSAPublic(key.Public.Unique, key.Public.Exponent)
	out, err := k.Encrypt(t.rand, s.Alg, s.Hash, in.Label, in.Message)
	return &rsaOut{out}, cryptCode(err)
}

type rsaDecryptIn struct {
	Key     handle `tpm:"object,user"`
	Message rsa2B
	Scheme  rsaDecrypt
	Label   data2B
}

// rsaDecrypt is TPM2_RSA_Decrypt.
func (t *TPM) rsaDecrypt(in *rsaDecryptIn) (*rsaOut, error) {
	key := t.object(in.Key)
	s, err := rsaCipher(key, &in.Scheme, in.Label, key.Public.Attrs&(attrDecrypt|attrRestricted) == attrDecrypt)
	if err != nil {
		return nil, err
	}
	k, err := key.rsaKey()
	if err != nil {
		return nil, err
	}
	out, err := k.Decrypt(t.rand, s.Alg, s.Hash, in.Label, in.Message)
	return &rsaOut{out}, cryptCode(err)
}

// rsaCipher settles the padding of an RSA operation that attributes allow: the key's, the one asked for, or both when they
// agree. A label ends in NUL.
func rsaCipher(key *object, want *rsaDecrypt, label []byte, allowed bool) (scheme, error) {
	own := key.Public.Scheme
	switch {
	case key.Seq != nil || key.Public.Type != crypt.AlgRSA:
		return own, rcKey.handle(1)
	case !allowed:
		return own, rcAttributes.handle(1)
	case len(label) > 0 && label[len(label)-1] != 0:
		return own, rcValue.param(3)
	case own.Alg == crypt.AlgNull:
		return want.scheme, nil
	case want.Alg != crypt.AlgNull && want.scheme != own:
		return own, rcScheme.param(2)
	}
	return own, nil
}

// cipherMode is a TPMI_ALG_CIPHER_MODE+.
type cipherMode uint16

func (m *cipherMode) code(c *coder) {
	c.oneOf((*uint16)(m), rcMode, crypt.AlgNull, crypt.AlgCTR, crypt.AlgOFB, crypt.AlgCBC, crypt.AlgCFB, crypt.AlgECB)
}

type encryptDecryptIn struct {
	Key     handle `tpm:"object,user"`
	Decrypt yesNo
	Mode    cipherMode
	IV      iv2B
	Data    buffer2B
}

type encryptDecrypt2In struct {
	Key     handle `tpm:"object,user"`
	Data    buffer2B
	Decrypt yesNo
	Mode    cipherMode
	IV      iv2B
}

type encryptDecryptOut struct {
	Data buffer2B
	IV   iv2B
}

// encryptDecrypt is TPM2_EncryptDecrypt.
func (t *TPM) encryptDecrypt(in *encryptDecryptIn) (*encryptDecryptOut, error) {
	return t.cipher(&encryptDecrypt2In{in.Key, in.Data, in.Decrypt, in.Mode, in.IV}, 4, 2, 3)
}

// encryptDecrypt2 is TPM2_EncryptDecrypt2, whose data can be encrypted on the way.
func (t *TPM) encryptDecrypt2(in *encryptDecrypt2In) (*encryptDecryptOut, error) {
	return t.cipher(in, 1, 3, 4)
}

// cipher runs a block cipher; the parameters to blame are numbered.
func (t *TPM) cipher(in *encryptDecrypt2In, blameData, blameMode, blameIV int) (*encryptDecryptOut, error) {
	key := t.object(in.Key)
	if key.Seq != nil || key.Public.Type != crypt.AlgSymCipher {
		return nil, rcKey.handle(1)
	}
	need := attrSign // means encrypt, for a cipher key
	if in.Decrypt {
		need = attrDecrypt
	}
	if !key.Public.Attrs.has(need) || key.Public.Attrs.has(attrRestricted) {
		return nil, rcAttributes.handle(1)
	}
	mode := uint16(in.Mode)
	switch own := key.Public.Sym.Mode; {
	case own == crypt.AlgNull && mode == crypt.AlgNull, own != crypt.AlgNull && mode != crypt.AlgNull && own != mode:
		return nil, rcMode.param(blameMode)
	case mode == crypt.AlgNull:
		mode = own
	}
	ivSize := crypt.BlockSize
	if mode == crypt.AlgECB {
		ivSize = 0
	}
	if len(in.IV) != ivSize {
		return nil, rcSize.param(blameIV)
	}
	if (mode == crypt.AlgCBC || mode == crypt.AlgECB) && len(in.Data)%crypt.BlockSize != 0 {
		return nil, rcSize.param(blameData)
	}
	work := crypt.Encrypt
	if in.Decrypt {
		work = crypt.Decrypt
	}
	out := &encryptDecryptOut{slices.Clone(in.Data), slices.Clone(in.IV)}
	return out, work(key.Public.Sym.Alg, mode, key.Sensitive.Data, out.IV, out.Data)
}
