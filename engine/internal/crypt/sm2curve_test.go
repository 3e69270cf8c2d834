package crypt

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/emmansun/gmsm/sm2/sm2ec"
)

func TestSM2CurveAgreesWithGmsm(t *testing.T) {
	c, ok := CurveByID(CurveSM2)
	if !ok {
		t.Fatal("no SM2 curve")
	}
	rng := rand.NewChaCha8([32]byte{2})
	for range 20 {
		a, err := c.Generate(rng)
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.Generate(rng)
		if err != nil {
			t.Fatal(err)
		}
		x, y := sm2ec.P256().ScalarBaseMult(a.Private)
		if !bytes.Equal(c.pad(x), a.Public.X) || !bytes.Equal(c.pad(y), a.Public.Y) {
			t.Fatalf("public key of %x differs", a.Private)
		}
		got, err := c.Mul(b.Public, a.Private)
		if err != nil {
			t.Fatal(err)
		}
		bx, by := b.Public.ints()
		if x, y = sm2ec.P256().ScalarMult(bx, by, a.Private); !bytes.Equal(c.pad(x), got.X) || !bytes.Equal(c.pad(y), got.Y) {
			t.Fatalf("shared secret of %x differs", a.Private)
		}
	}
}
