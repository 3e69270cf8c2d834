package quote

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Pin is what a verifier knows of an attestation key beforehand, from a source it trusts.
type Pin struct {
	name   eventlog.Hex     // binds the attributes too; nil for a bare key
	key    crypto.PublicKey // nil where the name alone is known
	public *Public          // nil where name or bare key alone is known
}

// ParsePin reads a key file of `ak create`, the public area that tpm2_createak writes, or a key of which nothing is known but
// that it is one: bare or in an X.509 certificate, in PEM or DER, or exported by Windows.
func ParsePin(data []byte) (*Pin, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		f, err := DecodeKeyFile(data)
		if err != nil {
			return nil, err
		}
		return pinPublic(f.public), nil
	}
	p, err := decodePublic(unsized(data))
	if err == nil {
		return pinPublic(p), nil
	}
	key, keyErr := parseKey(data)
	if keyErr == nil {
		return &Pin{key: key}, nil
	}
	return nil, fail.E(fail.BadInput, "this is no attestation key: as a TPM's public area: %w; as a public key: %w", err, keyErr).
		Hint("give the file of vtpmctl ak create, a public key or certificate in PEM or DER, or a BCRYPT_RSAKEY_BLOB")
}

// PinName pins a key by its Name, in hex.
func PinName(text string) (*Pin, error) {
	name, err := hex.DecodeString(strings.TrimSpace(text))
	if err == nil && len(name) > 2 {
		if alg := eventlog.Alg(name[0])<<8 | eventlog.Alg(name[1]); alg.Known() && len(name) == 2+alg.Size() {
			return &Pin{name: name}, nil
		}
	}
	return nil, fail.E(fail.Usage, "%q is not the Name of a TPM key", text).
		Hint("a Name is hex: 000b and the SHA-256 digest of the public area, as vtpmctl ak show prints it")
}

// PinKey pins a bare public key.
func PinKey(key crypto.PublicKey) *Pin { return &Pin{key: key} }

// Fingerprint is the SHA-256 digest of the bare public key; where the Name alone is known there is none.
func (p *Pin) Fingerprint() (eventlog.Hex, error) { return fingerprint(p.key) }

func pinPublic(p *Public) *Pin { return &Pin{name: p.Name(), key: p.Key, public: p} }

// matches tells whether the key of e is the one that was pinned.
func (p *Pin) matches(e *Evidence) bool {
	if p.name != nil && e.public != nil {
		return bytes.Equal(p.name, e.public.Name())
	}
	own, ok := p.key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(e.key)
}
