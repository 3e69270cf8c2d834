package crypt

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/sm2"
)

func TestECCEncryptionComesBackOnEveryCurveAndShowsTampering(t *testing.T) {
	for _, c := range Curves() {
		k, err := c.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, plain := range [][]byte{{}, []byte("short"), bytes.Repeat([]byte("long "), 200)} {
			c1, c2, c3, err := c.Encrypt(rand.Reader, AlgSHA384, k.Public, plain)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.Decrypt(AlgSHA384, c1, c2, c3); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("curve 0x%x: %d bytes come back as %d, %v", c.ID, len(plain), len(got), err)
			}
			if _, err := k.Decrypt(AlgSHA256, c1, c2, c3); !errors.Is(err, ErrValue) {
				t.Errorf("curve 0x%x: another hash gives %v", c.ID, err)
			}
			c3[0] ^= 1
			if _, err := k.Decrypt(AlgSHA384, c1, c2, c3); !errors.Is(err, ErrValue) {
				t.Errorf("curve 0x%x: a changed digest gives %v", c.ID, err)
			}
			c1.Y[0] ^= 1
			if _, err := k.Decrypt(AlgSHA384, c1, c2, c3); !errors.Is(err, ErrPoint) {
				t.Errorf("curve 0x%x: a point off the curve gives %v", c.ID, err)
			}
		}
	}
}

// With SM3 on the SM2 curve the scheme is that of GM/T 0003.4, which gmsm has too.
func TestSM2EncryptionAgreesWithGmsm(t *testing.T) {
	c, _ := CurveByID(CurveSM2)
	k, err := c.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := sm2.NewPrivateKeyFromInt(new(big.Int).SetBytes(k.Private))
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("what both understand")
	c1, c2, c3, err := c.Encrypt(rand.Reader, AlgSM3, k.Public, plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sm2.Decrypt(theirs, bytes.Join([][]byte{{4}, c1.X, c1.Y, c3, c2}, nil))
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("gmsm decrypts %q, %v", got, err)
	}
	public := &theirs.PublicKey
	sent, err := sm2.Encrypt(rand.Reader, public, plain, sm2.NewPlainEncrypterOpts(sm2.MarshalUncompressed, sm2.C1C3C2))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Decrypt(AlgSM3, Point{X: sent[1:33], Y: sent[33:65]}, sent[97:], sent[65:97]); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("we decrypt %q, %v", got, err)
	}
}
