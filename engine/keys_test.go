package engine

import (
	"bytes"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

func TestTheCoordinateOfAnEphemeralKeyEntersItsSecretAsItWasSent(t *testing.T) {
	curve, _ := crypt.CurveByID(3) // P-256
	key, err := curve.Key([]byte{42})
	if err != nil {
		t.Fatal(err)
	}
	ephemeral := key
	for i := uint16(1); ephemeral.Public.X[0] != 0; i++ {
		if ephemeral, err = curve.Key(be16(i)); err != nil {
			t.Fatal(err)
		}
	}
	z, err := curve.Mul(key.Public, ephemeral.Private)
	if err != nil {
		t.Fatal(err)
	}
	o := &object{Public: public{Type: crypt.AlgECC, NameAlg: crypt.AlgSHA256, publicParms: publicParms{Curve: 3}, Point: eccPoint(key.Public)},
		Sensitive: &sensitive{Data: key.Private}}
	for name, x := range map[string][]byte{"whole": ephemeral.Public.X, "without leading zeros": bytes.TrimLeft(ephemeral.Public.X, "\x00")} {
		got, err := o.decryptECCSecret("IDENTITY", marshal(&eccPoint{x, ephemeral.Public.Y}), 32)
		if want := crypt.KDFe(crypt.AlgSHA256, z.X, "IDENTITY", x, key.Public.X, 256); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: secret %x, %v, want %x", name, got, err, want)
		}
	}
}
