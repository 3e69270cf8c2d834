package engine_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"testing"
)

// Nobody needs a secret to load a key from outside, so no such key may put the TPM into failure mode, whatever is wrong
// with it.
func TestNoKeyFromOutsideBreaksTheTPM(t *testing.T) {
	a, b, c := primeOf(t, 256), primeOf(t, 256), primeOf(t, 256)
	p, q := primeOf(t, 512), primeOf(t, 512)
	product := func(x, y *big.Int) *big.Int { return new(big.Int).Mul(x, y) }
	nameless := func(p *player) uint32 {
		parent := p.primary(eccStorage())
		public := nthSized(parent, 0)
		p.flush(parent.handle)
		public[2], public[3] = 0, 0x10
		return p.plain(0x167, b2(), b2(public), hNull).handle
	}
	for _, h := range []struct {
		name string
		want uint32
		play func(p *player) reply
	}{
		{"a credential for a key without a name", 0x9c, func(p *player) reply {
			return p.on(0x168, []uint32{nameless(p)}, b2(), b2([]byte("name")))
		}},
		{"a duplicate for a key without a name", 0x9c, func(p *player) reply {
			return p.do(0x152, 1, []uint32{hNull, nameless(p)}, b2(make([]byte, 100)), b2(), b2())
		}},
		{"RSASSA with a factor that is no prime", 0xa5, signsRSA(product(a, b), p, uint16(0x14), uint16(0xb))},
		{"RSAPSS with a factor that is no prime", 0xa5, signsRSA(product(a, b), p, uint16(0x16), uint16(0xb))},
		{"RSASSA with factors that have one in common", 0xa5, signsRSA(product(a, b), product(a, c), uint16(0x14), uint16(0xb))},
		{"RSAPSS with a square for a modulus", 0x1e5, signsRSA(p, p, uint16(0x16), uint16(0xb))},
		{"raw decryption with factors that have one in common", 0xa5, decryptsRSA(product(a, b), product(a, c))},
		{"raw decryption with a factor that is no prime", 0, decryptsRSA(product(a, b), p)},
		{"raw decryption with two primes", 0, decryptsRSA(p, q)},
		{"a private scalar without its leading zero", 0, signsECC(31)},
		{"a private scalar with a zero more", 0, signsECC(33)},
	} {
		t.Run(h.name, func(t *testing.T) {
			pl := play(t, newFixture(t))
			expect(t, "the answer", h.play(pl).rc, h.want)
			expect(t, "afterwards", pl.plain(0x17b, uint16(8)).rc, 0)
		})
	}
}

// primeOf draws a prime near its upper end, so that a product of four has all its bits.
func primeOf(t *testing.T, bits int) *big.Int {
	t.Helper()
	for {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		if new(big.Int).Rsh(p, uint(bits-4)).Int64() == 0xf {
			return p
		}
	}
}

// loadRSA loads an RSA key of two factors.
func loadRSA(pl *player, p, q *big.Int, attrs uint32) reply {
	n := new(big.Int).Mul(p, q)
	size := (n.BitLen() + 15) / 16
	private := be(uint16(1), b2(), b2(), b2(p.FillBytes(make([]byte, size))))
	public := be(uint16(1), uint16(0xb), attrs|userAuth|noDA, b2(), uint16(0x10), uint16(0x10), uint16(16*size), uint32(0), b2(n.FillBytes(make([]byte, 2*size))))
	return pl.plain(0x167, b2(private), b2(public), hNull)
}

func signsRSA(p, q *big.Int, scheme ...any) func(*player) reply {
	return func(pl *player) reply {
		r := loadRSA(pl, p, q, sign)
		if r.rc != 0 {
			return r
		}
		return pl.do(0x15d, 1, []uint32{r.handle}, b2(make([]byte, 32)), be(scheme...), uint16(0x8024), hNull, b2())
	}
}

func decryptsRSA(p, q *big.Int) func(*player) reply {
	return func(pl *player) reply {
		r := loadRSA(pl, p, q, decrypt)
		if r.rc != 0 {
			return r
		}
		return pl.do(0x159, 1, []uint32{r.handle}, b2(append(make([]byte, 127), 2)), uint16(0x10), b2())
	}
}

// signsECC signs with the private scalar 1 of P-256, n bytes long.
func signsECC(n int) func(*player) reply {
	g := elliptic.P256().Params()
	return func(pl *player) reply {
		private := be(uint16(0x23), b2(), b2(), b2(append(make([]byte, n-1), 1)))
		public := be(uint16(0x23), uint16(0xb), userAuth|noDA|sign, b2(), uint16(0x10), uint16(0x10), uint16(3), uint16(0x10), b2(g.Gx.Bytes()), b2(g.Gy.Bytes()))
		r := pl.plain(0x167, b2(private), b2(public), hNull)
		if r.rc != 0 {
			return r
		}
		return pl.do(0x15d, 1, []uint32{r.handle}, b2(make([]byte, 32)), uint16(0x18), uint16(0xb), uint16(0x8024), hNull, b2())
	}
}

// The parent in TPM2_ObjectChangeAuth needs no authorization, so that anything may stand there.
func TestAnotherAuthValueIsWrappedByTheParentAlone(t *testing.T) {
	pl := play(t, newFixture(t))
	changeAuth := func(o, parent uint32) reply { return pl.do(0x150, 1, []uint32{o, parent}, b2([]byte("new"))) }

	parent := pl.primary(eccStorage())
	child := pl.do(0x153, 1, []uint32{parent.handle}, secret("", "data"), keyedHash(fixedTPM|fixedParent|userAuth|noDA, nil, nullScheme), nothingMore)
	loaded := pl.do(0x157, 1, []uint32{parent.handle}, b2(nthSized(child, 0)), b2(nthSized(child, 1)))
	expect(t, "the parent itself", changeAuth(loaded.handle, parent.handle).rc, 0)
	public := nthSized(parent, 0)
	pl.flush(parent.handle)
	half := pl.plain(0x167, b2(), b2(public), hOwner)
	expect(t, "its public half", changeAuth(loaded.handle, half.handle).rc, 0x28a)
	pl.flush(loaded.handle, half.handle)

	deriver := pl.primary(keyedHash(fixedTPM|fixedParent|origin|userAuth|noDA|restricted|decrypt, nil, uint16(0xa), uint16(0xb), uint16(0x22)))
	template := be(uint16(8), uint16(0xb), fixedTPM|fixedParent|userAuth|noDA|sign, b2(), uint16(5), uint16(0xb), b2([]byte("label")), b2([]byte("context")))
	derived := pl.do(0x191, 1, []uint32{deriver.handle}, secret("", ""), b2(template))
	expect(t, "the derived object is made", derived.rc, 0)
	expect(t, "a parent that derives", changeAuth(derived.handle, deriver.handle).rc, 0x28a)
	expect(t, "afterwards", pl.plain(0x17b, uint16(8)).rc, 0)
}
