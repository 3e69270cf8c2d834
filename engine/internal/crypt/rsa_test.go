package crypt_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// rsaKey is one key of each size and exponent for the whole package: making them is slow.
var rsaKey = func() func(testing.TB, int, uint32) *crypt.RSAKey {
	var mu sync.Mutex
	keys := map[string]*crypt.RSAKey{}
	return func(t testing.TB, bits int, exponent uint32) *crypt.RSAKey {
		mu.Lock()
		defer mu.Unlock()
		id := fmt.Sprint(bits, exponent)
		if keys[id] == nil {
			k, err := crypt.GenerateRSA(stream(id), bits, exponent, never)
			if err != nil {
				t.Fatal(err)
			}
			keys[id] = k
		}
		return keys[id]
	}
}()

// stream is a repeatable source of random bytes.
func stream(label string) *crypt.Derivation {
	return crypt.NewDerivation([]byte(label), "test", nil, nil)
}

func standardPublic(k *crypt.RSAKey) *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus()), E: int(k.Exponent())}
}

func TestRSAKeysHaveTheSizeAndExponentAskedFor(t *testing.T) {
	for _, c := range []struct {
		bits     int
		exponent uint32
	}{{1024, 0}, {2048, 65537}, {1024, 65539}, {1024, 2147483647}} {
		k := rsaKey(t, c.bits, c.exponent)
		if len(k.Modulus())*8 != c.bits || k.Modulus()[0] < 0x80 || len(k.Prime())*16 != c.bits {
			t.Errorf("%d bits: modulus %d bytes, prime %d", c.bits, len(k.Modulus()), len(k.Prime()))
		}
		if c.exponent != 0 && k.Exponent() != c.exponent || k.Exponent() == 0 {
			t.Errorf("exponent %d", k.Exponent())
		}
		p := new(big.Int).SetBytes(k.Prime())
		if !p.ProbablyPrime(20) {
			t.Errorf("%d bits: %v is not prime", c.bits, p)
		}
	}
}

func TestGenerateRSARefusesOddSizesAndExponents(t *testing.T) {
	for _, c := range []struct {
		bits     int
		exponent uint32
		want     error
	}{{1000, 0, crypt.ErrSize}, {512, 0, crypt.ErrSize}, {8192, 0, crypt.ErrSize}, {1024, 3, crypt.ErrExponent},
		{1024, 65538, crypt.ErrExponent}, {1024, 65541, crypt.ErrExponent}, {1024, 1<<32 - 5, crypt.ErrExponent}} {
		if _, err := crypt.GenerateRSA(stream("x"), c.bits, c.exponent, never); !errors.Is(err, c.want) {
			t.Errorf("%d bits, exponent %d: %v", c.bits, c.exponent, err)
		}
	}
}

func TestRSAPrivateKeyComesBackFromOnePrime(t *testing.T) {
	k := rsaKey(t, 1024, 0)
	back, err := crypt.NewRSAPrivate(k.Modulus(), 0, k.Prime())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	sig, err := back.Sign(stream("s"), crypt.AlgRSASSA, crypt.AlgSHA256, digest[:])
	if err != nil || k.Verify(crypt.AlgRSASSA, crypt.AlgSHA256, digest[:], sig) != nil {
		t.Errorf("sign: %v", err)
	}
	wrong := bytes.Clone(k.Prime())
	wrong[5] ^= 1
	for name, prime := range map[string][]byte{"changed": wrong, "empty": nil, "one": {1}, "the modulus": k.Modulus()} {
		if _, err := crypt.NewRSAPrivate(k.Modulus(), 0, prime); !errors.Is(err, crypt.ErrKey) {
			t.Errorf("prime %s: %v", name, err)
		}
	}
}

func TestRSAEncryptionComesBackUnderEveryScheme(t *testing.T) {
	for _, exponent := range []uint32{0, 65539} {
		k := rsaKey(t, 2048, exponent)
		for _, c := range []struct{ scheme, hash uint16 }{{crypt.AlgNull, 0}, {crypt.AlgRSAES, 0}, {crypt.AlgOAEP, crypt.AlgSHA1},
			{crypt.AlgOAEP, crypt.AlgSHA256}, {crypt.AlgOAEP, crypt.AlgSHA512}, {crypt.AlgOAEP, crypt.AlgSM3}} {
			message, label := []byte("a secret seed"), []byte("SECRET\x00")
			sealed, err := k.Encrypt(stream("e"), c.scheme, c.hash, label, message)
			if err != nil || len(sealed) != k.Size() {
				t.Fatalf("%#x/%#x: %v, %d bytes", c.scheme, c.hash, err, len(sealed))
			}
			again, _ := k.Encrypt(stream("e"), c.scheme, c.hash, label, message)
			if !bytes.Equal(sealed, again) {
				t.Errorf("%#x/%#x: the same reader gave another ciphertext", c.scheme, c.hash)
			}
			back, err := k.Decrypt(stream("d"), c.scheme, c.hash, label, sealed)
			if c.scheme == crypt.AlgNull {
				message = append(make([]byte, k.Size()-len(message)), message...)
			}
			if err != nil || !bytes.Equal(back, message) {
				t.Errorf("%#x/%#x: %v, %x", c.scheme, c.hash, err, back)
			}
			sealed[9] ^= 1
			if back, err := k.Decrypt(stream("d"), c.scheme, c.hash, label, sealed); err == nil && bytes.Equal(back, message) {
				t.Errorf("%#x/%#x: a changed ciphertext gave the message", c.scheme, c.hash)
			}
		}
	}
}

func TestRSAEncryptionAgreesWithTheStandardLibrary(t *testing.T) {
	k := rsaKey(t, 2048, 0)
	message := []byte("salt")
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, standardPublic(k), message, []byte("DUPLICATE\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := k.Decrypt(nil, crypt.AlgOAEP, crypt.AlgSHA256, []byte("DUPLICATE\x00"), sealed); err != nil || !bytes.Equal(back, message) {
		t.Errorf("%v, %x", err, back)
	}
	if _, err := k.Decrypt(nil, crypt.AlgOAEP, crypt.AlgSHA256, []byte("DUPLICATE"), sealed); !errors.Is(err, crypt.ErrValue) {
		t.Errorf("without the NUL: %v", err)
	}
}

func TestRSASignaturesVerifyHereAndInTheStandardLibrary(t *testing.T) {
	for _, c := range []struct {
		bits   int
		scheme uint16
		hash   uint16
		std    crypto.Hash
	}{
		{2048, crypt.AlgRSASSA, crypt.AlgSHA1, crypto.SHA1}, {2048, crypt.AlgRSASSA, crypt.AlgSHA256, crypto.SHA256},
		{2048, crypt.AlgRSASSA, crypt.AlgSHA384, crypto.SHA384}, {2048, crypt.AlgRSASSA, crypt.AlgSHA512, crypto.SHA512},
		{2048, crypt.AlgRSASSA, crypt.AlgSM3, 0}, {2048, crypt.AlgRSAPSS, crypt.AlgSM3, 0},
		{2048, crypt.AlgRSAPSS, crypt.AlgSHA1, crypto.SHA1}, {2048, crypt.AlgRSAPSS, crypt.AlgSHA256, crypto.SHA256},
		{1024, crypt.AlgRSAPSS, crypt.AlgSHA512, crypto.SHA512}, // 62 bytes of salt are all that fit
	} {
		name := fmt.Sprintf("%d %#x/%#x", c.bits, c.scheme, c.hash)
		k := rsaKey(t, c.bits, 0)
		digest := crypt.Digest(c.hash, []byte("message"))
		sig, err := k.Sign(stream("s"), c.scheme, c.hash, digest)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, _ := k.Sign(stream("s"), c.scheme, c.hash, digest); !bytes.Equal(sig, again) {
			t.Errorf("%s: the same reader gave another signature", name)
		}
		if err := k.Verify(c.scheme, c.hash, digest, sig); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.std != 0 {
			err := rsa.VerifyPKCS1v15(standardPublic(k), c.std, digest, sig)
			if c.scheme == crypt.AlgRSAPSS {
				err = rsa.VerifyPSS(standardPublic(k), c.std, digest, sig, nil)
			}
			if err != nil {
				t.Errorf("%s: standard library: %v", name, err)
			}
		}
		for i := range sig {
			sig[i] ^= 4
			if err := k.Verify(c.scheme, c.hash, digest, sig); !errors.Is(err, crypt.ErrSignature) {
				t.Fatalf("%s: byte %d changed: %v", name, i, err)
			}
			sig[i] ^= 4
		}
		digest[0] ^= 1
		if err := k.Verify(c.scheme, c.hash, digest, sig); !errors.Is(err, crypt.ErrSignature) {
			t.Errorf("%s: another digest: %v", name, err)
		}
	}
}

func TestRSARefusesWhatDoesNotFit(t *testing.T) {
	k := rsaKey(t, 1024, 0)
	public := crypt.NewRSAPublic(k.Modulus(), 0)
	high := bytes.Repeat([]byte{0xff}, k.Size())
	sign := func(k *crypt.RSAKey, scheme, hash uint16, size int) error {
		_, err := k.Sign(stream("s"), scheme, hash, make([]byte, size))
		return err
	}
	encrypt := func(scheme, hash uint16, message []byte) error {
		_, err := k.Encrypt(stream("e"), scheme, hash, nil, message)
		return err
	}
	decrypt := func(k *crypt.RSAKey, scheme uint16, sealed []byte) error {
		_, err := k.Decrypt(stream("d"), scheme, crypt.AlgSHA1, nil, sealed)
		return err
	}
	for name, c := range map[string]struct{ got, want error }{
		"a public key that signs":              {sign(public, crypt.AlgRSASSA, crypt.AlgSHA1, 20), crypt.ErrKey},
		"a public key that decrypts":           {decrypt(public, crypt.AlgOAEP, make([]byte, 128)), crypt.ErrKey},
		"a public key that decrypts raw":       {decrypt(public, crypt.AlgNull, make([]byte, 128)), crypt.ErrKey},
		"a digest of another hash":             {sign(k, crypt.AlgRSASSA, crypt.AlgSHA256, 20), crypt.ErrValue},
		"an unknown hash":                      {sign(k, crypt.AlgRSASSA, crypt.AlgRSA, 20), crypt.ErrScheme},
		"an encryption scheme that signs":      {sign(k, crypt.AlgOAEP, crypt.AlgSHA1, 20), crypt.ErrScheme},
		"a raw number above the modulus":       {encrypt(crypt.AlgNull, 0, high), crypt.ErrValue},
		"a raw number longer than the modulus": {encrypt(crypt.AlgNull, 0, append(high, 1)), crypt.ErrValue},
		"RSAES without room for filler":        {encrypt(crypt.AlgRSAES, 0, make([]byte, 118)), crypt.ErrValue},
		"OAEP without room for the seed":       {encrypt(crypt.AlgOAEP, crypt.AlgSHA512, nil), crypt.ErrValue},
		"a short ciphertext":                   {decrypt(k, crypt.AlgOAEP, make([]byte, 127)), crypt.ErrSize},
		"a ciphertext above the modulus":       {decrypt(k, crypt.AlgNull, high), crypt.ErrSize},
		"a ciphertext without padding":         {decrypt(k, crypt.AlgRSAES, append(make([]byte, 127), 2)), crypt.ErrValue},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

func TestKeysFromAFailingReaderFail(t *testing.T) {
	if _, err := crypt.DerivationFrom(io.LimitReader(rand.Reader, 63)); err == nil {
		t.Error("a generator from 63 bytes of randomness")
	}
}

// never does not stop a search.
func never() bool { return false }

func TestASearchForPrimesEndsWhenItIsStopped(t *testing.T) {
	for _, after := range []int{0, 1, 3} {
		d := crypt.NewDerivation([]byte("seed"), crypt.PrimaryLabel, nil, nil)
		asked := 0
		if _, err := crypt.GenerateRSA(d, 4096, 0, func() bool { asked++; return asked > after }); !errors.Is(err, crypt.ErrStopped) {
			t.Errorf("stopped after %d numbers: %v", after, err)
		}
	}
}

func BenchmarkRSA(b *testing.B) {
	k := rsaKey(b, 2048, 0)
	digest := crypt.Digest(crypt.AlgSHA256, nil)
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			k.Sign(stream("s"), crypt.AlgRSASSA, crypt.AlgSHA256, digest)
		}
	})
	b.Run("load and sign", func(b *testing.B) {
		for b.Loop() {
			fresh, _ := crypt.NewRSAPrivate(k.Modulus(), 0, k.Prime())
			fresh.Sign(stream("s"), crypt.AlgRSASSA, crypt.AlgSHA256, digest)
		}
	})
}
