package quote_test

import (
	"bytes"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/vtpmctl/vtpmctl/quote"
)

// Whatever a machine hands over: no panic, and nothing that was not pinned or signed counts as proven.
func FuzzEvidence(f *testing.F) {
	nonce := []byte("a nonce of sixteen or more")
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := quote.Decode(data)
		if err != nil {
			return
		}
		v := quote.Verify(e, quote.Expect{Nonce: nonce})
		if v.Result == quote.Pass {
			t.Error("evidence of an unknown key is verified")
		}
		if len(v.Checks) != 13 {
			t.Errorf("%d checks were made", len(v.Checks))
		}
	})
}

func FuzzAttest(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := quote.DecodeAttest(data)
		if err == nil && a.Selection.Len() > 16*32 {
			t.Errorf("a selection of %d PCRs", a.Selection.Len())
		}
	})
}

func FuzzSignature(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := quote.DecodeSignature(data); (s == nil) == (err == nil) {
			t.Errorf("signature %v, error %v", s, err)
		}
	})
}

// A public area is hashed to the key's Name, so it must come back byte by byte, and a bare key must survive PEM.
func FuzzPublic(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := quote.DecodePublic(data)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(data, p.Bytes()) || len(data)-len(p.Bytes()) > 2 {
			t.Error("the public area changed")
		}
		if pem, err := p.PEM(); err == nil {
			if _, err := quote.ParsePin(pem); err != nil {
				t.Errorf("its own PEM is no key: %v", err)
			}
		}
	})
}

// What is pinned has a key or a name; a few bytes are neither.
func FuzzPin(f *testing.F) {
	f.Add(rsaBlob(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(3), 2046), E: 65537}))
	f.Add([]byte("RSA1\x00\x00\x00\x00\x03\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := quote.ParsePin(data); (p == nil) == (err == nil) || err == nil && len(data) < 16 {
			t.Errorf("pin %v, error %v", p, err)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := quote.DecodeKeyFile(data)
		if err != nil {
			return
		}
		text, err := k.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := quote.DecodeKeyFile(text); err != nil || !bytes.Equal(again.Name, k.Name) {
			t.Errorf("what was written does not read back: %v", err)
		}
	})
}
