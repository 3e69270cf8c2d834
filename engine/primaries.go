package engine

import "github.com/vtpmctl/vtpmctl/engine/internal/crypt"

// maxPrimaries bounds the RSA primaries that are remembered.
const maxPrimaries = 16

// primaries remembers the RSA keys that were derived, for clients ask for the same primary again and again and the search
// for its primes is the longest thing a TPM does. What a key follows from, seed, template and sensitive data, is all in the
// generator, so a key is never given to who could not have it derived. It lives in memory and as long as the seeds do:
// in the state it would make a command that changes nothing write.
type primaries map[rsaSource]rsaFound

type rsaSource struct {
	generator crypt.Derivation
	bits      uint16
	exponent  uint32
}

// rsaFound is a key, and the generator after it was drawn.
type rsaFound struct {
	key       *crypt.RSAKey
	generator crypt.Derivation
}

// primaryRSA is the key that the generator gives.
func (t *TPM) primaryRSA(d *crypt.Derivation, bits uint16, exponent uint32) (*crypt.RSAKey, error) {
	from := rsaSource{*d, bits, exponent}
	if f, ok := t.primaries[from]; ok {
		*d = f.generator
		return f.key, nil
	}
	k, err := crypt.GenerateRSA(d, int(bits), exponent, t.canceled.Load)
	if err != nil {
		return nil, err
	}
	if len(t.primaries) == maxPrimaries || t.primaries == nil {
		t.primaries = primaries{}
	}
	t.primaries[from] = rsaFound{k, *d}
	return k, nil
}
