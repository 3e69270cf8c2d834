package engine

import (
	"crypto/hmac"
	"hash"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// wrapper protects what leaves the TPM (part 1, 24): a seed gives a cipher key for each name, and an HMAC key.
type wrapper struct {
	sym  symDef
	keys *crypt.KDF // under the seed
	mac  hash.Hash  // under the HMAC key
}

// newWrapper makes a wrapper from the hash algorithm and the cipher of the protector, and a seed.
func newWrapper(alg uint16, sym symDef, seed []byte) *wrapper {
	keys := crypt.NewKDF(alg, seed)
	return &wrapper{sym, keys, crypt.NewHMAC(alg, keys.KDFa("INTEGRITY", nil, nil, crypt.HashSize(alg)*8))}
}

// wrapperOf is how a storage parent protects its children. The parent remembers it.
func wrapperOf(parent *object) *wrapper {
	if parent.wrapper == nil {
		parent.wrapper = newWrapper(parent.Public.NameAlg, parent.Public.Sym, parent.Sensitive.Seed)
	}
	return parent.wrapper
}

// seal encrypts data for an object's name and puts the HMAC before it: TPM2B integrity, iv if given, ciphertext.
func (w *wrapper) seal(name, iv, data []byte) ([]byte, error) {
	out := wire.NewBE()
	if iv != nil {
		out.Sized16(iv)
	}
	body := slices.Clone(data)
	if err := w.crypt(name, iv, body, true); err != nil {
		return nil, err
	}
	out.Bytes(body)
	return wire.NewBE().Sized16(w.integrity(name, out.Out())).Bytes(out.Out()).Out(), nil
}

// open is the inverse of seal. A wrong HMAC is TPM_RC_INTEGRITY.
func (w *wrapper) open(name, blob []byte, withIV bool) ([]byte, error) {
	mac, body, err := splitMAC(blob)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(mac, w.integrity(name, body)) {
		return nil, rcIntegrity
	}
	var iv []byte
	if withIV {
		r := wire.BE(body)
		if iv = r.Sized16(); r.Err() != nil || len(iv) != crypt.BlockSize {
			return nil, rcSize
		}
		body = r.Rest()
	}
	body = slices.Clone(body)
	return body, w.crypt(name, iv, body, false)
}

// splitMAC takes the HMAC or digest of a blob, a TPM2B_DIGEST, from what it protects.
func splitMAC(blob []byte) (mac, body []byte, err error) {
	c := &coder{r: wire.BE(blob)}
	c.sized(&mac, maxDigest)
	return mac, c.r.Rest(), c.err()
}

// integrity is the HMAC over what is protected and the name it is protected for.
func (w *wrapper) integrity(name, body []byte) []byte {
	w.mac.Reset()
	w.mac.Write(body)
	w.mac.Write(name)
	return w.mac.Sum(nil)
}

// crypt works on data in place. Without an IV it uses zeros: the key serves but once then.
func (w *wrapper) crypt(name, iv, data []byte, encrypt bool) error {
	return crypt.CFB(w.sym.Alg, w.keys.KDFa("STORAGE", name, nil, int(w.sym.KeyBits)), iv, data, encrypt)
}

// sized wraps bytes into a TPM2B.
func sized(b []byte) []byte { return wire.NewBE().Sized16(b).Out() }

// sensitiveToPrivate makes the private blob of a child object.
func (t *TPM) sensitiveToPrivate(s *sensitive, name []byte, nameAlg uint16, parent *object) ([]byte, error) {
	iv, err := t.random(crypt.BlockSize)
	if err != nil {
		return nil, err
	}
	return wrapperOf(parent).seal(name, iv, sized(marshal(s.padded(nameAlg))))
}

// padded gives the auth value the size of a digest, so that a blob does not show how long it is.
func (s *sensitive) padded(nameAlg uint16) *sensitive {
	p := *s
	p.Auth = make([]byte, max(len(s.Auth), crypt.HashSize(nameAlg)))
	copy(p.Auth, s.Auth)
	return &p
}

// privateToSensitive opens the private blob of a child object.
func privateToSensitive(private, name []byte, parent *object) (*sensitive, error) {
	data, err := wrapperOf(parent).open(name, private, true)
	if err != nil {
		return nil, err
	}
	return decodeSensitive(data)
}

// decodeSensitive reads a TPM2B_SENSITIVE.
func decodeSensitive(data []byte) (*sensitive, error) {
	switch r := wire.BE(data); {
	case len(data) < 2:
		return nil, rcInsufficient
	case int(r.U16()) != r.Len():
		return nil, rcSize // told before anything inside is
	}
	s := new(sensitive)
	if err := unmarshal(data[2:], s); err != nil {
		return nil, err
	}
	s.Auth = trimAuth(s.Auth)
	return s, nil
}
