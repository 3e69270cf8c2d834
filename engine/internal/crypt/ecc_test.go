package crypt_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"math/big"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

func eachCurve(t *testing.T, f func(*testing.T, *crypt.Curve)) {
	for _, c := range crypt.Curves() {
		t.Run(fmt.Sprintf("%#x", c.ID), func(t *testing.T) { f(t, c) })
	}
}

func generate(t testing.TB, c *crypt.Curve, label string) *crypt.ECCKey {
	t.Helper()
	k, err := c.Generate(stream(label))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func add(c *crypt.Curve, v []byte, n int64) []byte {
	sum := new(big.Int).Add(new(big.Int).SetBytes(v), big.NewInt(n))
	return sum.FillBytes(make([]byte, c.OrderSize()))
}

func TestCurveArithmeticIsAGroup(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *crypt.Curve) {
		p := c.Params()
		g := crypt.Point{X: p.Gx, Y: p.Gy}
		if !c.OnCurve(g) {
			t.Error("the base point is not on the curve")
		}
		if one, err := c.BaseMul([]byte{1}); err != nil || !bytes.Equal(one.X, g.X) || !bytes.Equal(one.Y, g.Y) {
			t.Errorf("[1]G = %x, %v", one, err)
		}
		if _, err := c.BaseMul(p.N); !errors.Is(err, crypt.ErrInfinity) {
			t.Errorf("[n]G: %v", err)
		}
		last, err := c.BaseMul(add(c, p.N, -1))
		if err != nil || !bytes.Equal(last.X, g.X) || bytes.Equal(last.Y, g.Y) {
			t.Errorf("[n-1]G is not -G: %x, %v", last, err)
		}
		six, _ := c.BaseMul([]byte{6})
		two, _ := c.BaseMul([]byte{2})
		if threeTwos, err := c.Mul(two, []byte{3}); err != nil || !bytes.Equal(threeTwos.X, six.X) || !bytes.Equal(threeTwos.Y, six.Y) {
			t.Errorf("[3][2]G = %x, %v; [6]G = %x", threeTwos, err, six)
		}
	})
}

func TestCurvesKnowTheirPoints(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *crypt.Curve) {
		k := generate(t, c, "point")
		flipped := bytes.Clone(k.Public.Y)
		flipped[len(flipped)-1] ^= 1
		beyond := new(big.Int).Add(new(big.Int).SetBytes(k.Public.X), new(big.Int).SetBytes(c.Params().P)).Bytes()
		for name, p := range map[string]crypt.Point{
			"a flipped bit": {X: k.Public.X, Y: flipped}, "the null point": {}, "x above the field": {X: beyond, Y: k.Public.Y},
		} {
			if c.OnCurve(p) {
				t.Errorf("%s is on the curve", name)
			}
			if _, err := c.Mul(p, []byte{2}); !errors.Is(err, crypt.ErrPoint) {
				t.Errorf("%s: Mul: %v", name, err)
			}
		}
		for name, private := range map[string][]byte{"zero": {0}, "the order": c.Params().N} {
			if _, err := c.Key(private); !errors.Is(err, crypt.ErrKey) {
				t.Errorf("private key %s: %v", name, err)
			}
		}
		if again, err := c.Key(append([]byte{0, 0}, k.Private...)); err != nil || !bytes.Equal(again.Public.X, k.Public.X) {
			t.Errorf("leading zeros: %v", err)
		}
	})
}

func TestECDHAgreesBothWaysAndWithTheStandardLibrary(t *testing.T) {
	std := map[uint16]ecdh.Curve{crypt.CurveP256: ecdh.P256(), crypt.CurveP384: ecdh.P384(), crypt.CurveP521: ecdh.P521()}
	eachCurve(t, func(t *testing.T, c *crypt.Curve) {
		a, b := generate(t, c, "a"), generate(t, c, "b")
		one, err1 := c.Mul(b.Public, a.Private)
		two, err2 := c.Mul(a.Public, b.Private)
		if err1 != nil || err2 != nil || !bytes.Equal(one.X, two.X) || len(one.X) != c.FieldSize() {
			t.Fatalf("%x %v, %x %v", one.X, err1, two.X, err2)
		}
		if s := std[c.ID]; s != nil {
			private, err := s.NewPrivateKey(a.Private)
			if err != nil {
				t.Fatal(err)
			}
			public, err := s.NewPublicKey(append(append([]byte{4}, b.Public.X...), b.Public.Y...))
			if err != nil {
				t.Fatal(err)
			}
			if z, err := private.ECDH(public); err != nil || !bytes.Equal(z, one.X) {
				t.Errorf("standard library: %x, %v", z, err)
			}
		}
	})
}

func TestECCSignaturesVerifyUnderEverySchemeAndHash(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *crypt.Curve) {
		k := generate(t, c, "sign")
		other := generate(t, c, "other")
		for _, scheme := range []uint16{crypt.AlgECDSA, crypt.AlgECSchnorr, crypt.AlgSM2} {
			for _, hash := range []uint16{crypt.AlgSHA1, crypt.AlgSHA256, crypt.AlgSHA384, crypt.AlgSHA512, crypt.AlgSM3} {
				name := fmt.Sprintf("%#x/%#x", scheme, hash)
				digest := crypt.Digest(hash, []byte("message"))
				r, s, err := k.Sign(stream("s"), scheme, hash, digest)
				if err != nil || len(r) != c.OrderSize() || len(s) != c.OrderSize() {
					t.Fatalf("%s: %v", name, err)
				}
				if r2, s2, _ := k.Sign(stream("s"), scheme, hash, digest); !bytes.Equal(r, r2) || !bytes.Equal(s, s2) {
					t.Errorf("%s: the same reader gave another signature", name)
				}
				if err := c.Verify(scheme, hash, k.Public, digest, r, s); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if scheme == crypt.AlgECDSA && c.ID == crypt.CurveP256 {
					public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(k.Public.X), Y: new(big.Int).SetBytes(k.Public.Y)}
					if !ecdsa.Verify(public, digest, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)) {
						t.Errorf("%s: the standard library refuses it", name)
					}
				}
				wrong := bytes.Clone(digest)
				wrong[0] ^= 1
				for what, err := range map[string]error{
					"another digest": c.Verify(scheme, hash, k.Public, wrong, r, s),
					"another key":    c.Verify(scheme, hash, other.Public, digest, r, s),
					"another r":      c.Verify(scheme, hash, k.Public, digest, add(c, r, 1), s),
					"another s":      c.Verify(scheme, hash, k.Public, digest, r, add(c, s, 1)),
					"r zero":         c.Verify(scheme, hash, k.Public, digest, nil, s),
					"s the order":    c.Verify(scheme, hash, k.Public, digest, r, c.Params().N),
					"no point":       c.Verify(scheme, hash, crypt.Point{}, digest, r, s),
				} {
					if !errors.Is(err, crypt.ErrSignature) {
						t.Errorf("%s, %s: %v", name, what, err)
					}
				}
			}
		}
	})
}

func TestECCRefusesForeignSchemes(t *testing.T) {
	c, _ := crypt.CurveByID(crypt.CurveP256)
	k := generate(t, c, "k")
	if _, _, err := k.Sign(stream("s"), crypt.AlgRSASSA, crypt.AlgSHA256, make([]byte, 32)); !errors.Is(err, crypt.ErrScheme) {
		t.Errorf("sign: %v", err)
	}
	if err := c.Verify(crypt.AlgRSASSA, crypt.AlgSHA256, k.Public, nil, []byte{1}, []byte{1}); !errors.Is(err, crypt.ErrScheme) {
		t.Errorf("verify: %v", err)
	}
	if _, _, err := k.Sign(io.LimitReader(stream("s"), 5), crypt.AlgSM2, crypt.AlgSHA256, make([]byte, 32)); err == nil {
		t.Error("a signature without randomness")
	}
	if _, ok := crypt.CurveByID(0x0001); ok {
		t.Error("P-192 passed for a curve of ours")
	}
}

// The example of GM/T 0003.5 (the recommended curve): public key, e and signature. The nonce is the test's own input
// there, so this checks the verifying half.
func TestSM2VerifiesTheExampleOfTheStandard(t *testing.T) {
	c, _ := crypt.CurveByID(crypt.CurveSM2)
	k, err := c.Key(unhex(t, "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.Public.X, unhex(t, "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020")) {
		t.Errorf("public key %x", k.Public.X)
	}
	e := unhex(t, "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640")
	r := unhex(t, "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3")
	s := unhex(t, "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa")
	if err := c.Verify(crypt.AlgSM2, crypt.AlgSM3, k.Public, e, r, s); err != nil {
		t.Error(err)
	}
}

// An ECDAA signature without credentials is a Schnorr one with T for the hash: [s]G = E + [T]Q where E = [r]G.
func TestECDAASignatureOpensItsCommitment(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *crypt.Curve) {
		k := generate(t, c, "daa")
		nonce := []byte("commit nonce")
		commit := c.CommitScalar(nonce, []byte("name"), 7)
		if !bytes.Equal(commit, c.CommitScalar(nonce, []byte("name"), 7)) || bytes.Equal(commit, c.CommitScalar(nonce, []byte("name"), 8)) ||
			bytes.Equal(commit, c.CommitScalar(nonce, []byte("eman"), 7)) {
			t.Error("the commit scalar is not a function of nonce, name and counter")
		}
		digest := crypt.Digest(crypt.AlgSHA256, []byte("message"))
		kn, s, err := k.SignECDAA(stream("s"), crypt.AlgSHA256, commit, digest)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).SetBytes(c.Params().N)
		T := new(big.Int).SetBytes(crypt.Digest(crypt.AlgSHA256, kn, digest))
		r := new(big.Int).Mul(T, new(big.Int).SetBytes(k.Private)) // s - T·d = r
		r.Sub(new(big.Int).SetBytes(s), r).Mod(r, n)
		if got := r.FillBytes(make([]byte, c.OrderSize())); !bytes.Equal(got, commit) {
			t.Errorf("got %x, want %x", got, commit)
		}
	})
}

func TestTwoPhaseExchangesAgree(t *testing.T) {
	eachCurve(t, func(t *testing.T, c *crypt.Curve) {
		a, ae, b, be := generate(t, c, "a"), generate(t, c, "ae"), generate(t, c, "b"), generate(t, c, "be")
		for name, f := range map[string]func(k, e *crypt.ECCKey, s, o crypt.Point) (crypt.Point, error){
			"MQV": (*crypt.ECCKey).ECMQV, "SM2": (*crypt.ECCKey).SM2Exchange,
		} {
			one, err1 := f(a, ae, b.Public, be.Public)
			two, err2 := f(b, be, a.Public, ae.Public)
			if err1 != nil || err2 != nil || !bytes.Equal(one.X, two.X) || !bytes.Equal(one.Y, two.Y) {
				t.Errorf("%s: %x %v, %x %v", name, one, err1, two, err2)
			}
			if _, err := f(a, ae, crypt.Point{}, be.Public); !errors.Is(err, crypt.ErrPoint) {
				t.Errorf("%s with the null point: %v", name, err)
			}
		}
	})
}

func BenchmarkECC(b *testing.B) {
	for _, id := range []uint16{crypt.CurveP256, crypt.CurveP384, crypt.CurveBNP256} {
		c, _ := crypt.CurveByID(id)
		k := generate(b, c, "k")
		b.Run(fmt.Sprintf("generate %#x", id), func(b *testing.B) {
			d := stream("g")
			for b.Loop() {
				c.Generate(d)
			}
		})
		b.Run(fmt.Sprintf("sign %#x", id), func(b *testing.B) {
			d, digest := stream("g"), make([]byte, 32)
			for b.Loop() {
				k.Sign(d, crypt.AlgECDSA, crypt.AlgSHA256, digest)
			}
		})
		b.Run(fmt.Sprintf("agree %#x", id), func(b *testing.B) {
			for b.Loop() {
				c.Mul(k.Public, k.Private)
			}
		})
	}
}
