//go:build interop

package engine_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// The Chinese algorithms against openssl, which shares no code with the engine or with gmsm.

// openssl runs it on input, and gives what it prints.
func openssl(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	in := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(in, input, 0o600); err != nil {
		t.Fatal(err)
	}
	return interop.Run(t, "openssl", append(args, "-in", in)...)
}

// file puts bytes where openssl can read them.
func file(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSM3AgreesWithOpenSSL(t *testing.T) {
	_, p := newTCM(t)
	seed, key := bytes.Repeat([]byte{1}, 32), []byte("a key for HMAC")
	mac := p.plain(0x167, b2(be(uint16(8), b2(), b2(seed), b2(key))), smPublic(8, userAuth|noDA|sign, nil, uint16(5), algSM3, b2(digestOf(algSM3, seed, key))), hNull)
	for _, n := range []int{0, 1, 55, 56, 64, 1000} {
		data := bytes.Repeat([]byte{0x61}, n)
		path := file(t, "data", data)
		if got, want := nthSized(p.plain(0x17d, b2(data), algSM3, hNull), 0), interop.Run(t, "openssl", "dgst", "-sm3", "-binary", path); !bytes.Equal(got, want) {
			t.Errorf("SM3 of %d bytes: %x, openssl %x", n, got, want)
		}
		want := interop.Run(t, "openssl", "dgst", "-sm3", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString(key), "-binary", path)
		if got := nthSized(p.do(0x155, 1, []uint32{mac.handle}, b2(data), nullScheme), 0); !bytes.Equal(got, want) {
			t.Errorf("HMAC with SM3 of %d bytes: %x, openssl %x", n, got, want)
		}
	}
}

func TestSM4AgreesWithOpenSSLInEachMode(t *testing.T) {
	_, p := newTCM(t)
	seed, key, iv := bytes.Repeat([]byte{1}, 32), []byte("sixteen bytes k."), []byte("and sixteen IVs.")
	for name, mode := range map[string]uint16{"ctr": 0x40, "ofb": 0x41, "cbc": 0x42, "cfb": 0x43, "ecb": 0x44} {
		loaded := p.plain(0x167, b2(be(uint16(0x25), b2(), b2(seed), b2(key))),
			smPublic(0x25, userAuth|noDA|sign|decrypt, nil, algSM4, uint16(128), mode, b2(digestOf(algSM3, seed, key))), hNull)
		for _, n := range []int{16, 31, 64} {
			if (mode == 0x42 || mode == 0x44) && n%16 != 0 {
				continue
			}
			data := bytes.Repeat([]byte{0x5c}, n)
			args := []string{"enc", "-sm4-" + name, "-nopad", "-K", hex.EncodeToString(key)}
			vector := b2()
			if mode != 0x44 {
				args, vector = append(args, "-iv", hex.EncodeToString(iv)), b2(iv)
			}
			want := openssl(t, data, args...)
			got := nthSized(p.do(0x193, 1, []uint32{loaded.handle}, b2(data), byte(0), nullScheme, vector), 0)
			if !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %x, openssl %x", name, n, got, want)
			}
			if back := nthSized(p.do(0x193, 1, []uint32{loaded.handle}, b2(want), byte(1), nullScheme, vector), 0); !bytes.Equal(back, data) {
				t.Errorf("%s of %d bytes comes back as %x", name, n, back)
			}
		}
		p.flush(loaded.handle)
	}
}

// smPEM is an SM2 public key as openssl takes it.
func smPEM(t *testing.T, x, y []byte) string {
	t.Helper()
	curve, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301})
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: curve}},
		asn1.BitString{Bytes: be(byte(4), x, y), BitLength: 65 * 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

type smSignature struct{ R, S *big.Int }

// Signatures go both ways over a digest as it is, ciphertexts with KDF2 and SM3.
func TestSM2AgreesWithOpenSSLBothWays(t *testing.T) {
	f, p := newTCM(t)
	digest := digestOf(algSM3, []byte("message"))
	key := p.primary(smSigner(0))
	x, y := smPoint(nthSized(key, 0))
	sig := ask(t, f, call{cc: 0x15d, handles: []uint32{key.handle}, sessions: []*rawSession{pw("")}, params: be(b2(digest), nullScheme, uint16(0x8024), hNull, b2())}).reader()
	sig.Bytes(4)
	der, err := asn1.Marshal(smSignature{new(big.Int).SetBytes(sig.Sized16()), new(big.Int).SetBytes(sig.Sized16())})
	if err != nil {
		t.Fatal(err)
	}
	verify := []string{"pkeyutl", "-verify", "-pubin", "-inkey", smPEM(t, x, y), "-sigfile", file(t, "sig", der)}
	openssl(t, digest, verify...)
	if out, err := interop.Try(t, "openssl", append(verify, "-in", file(t, "other", digestOf(algSM3, []byte("another"))))...); err == nil {
		t.Errorf("openssl verifies anything: %s", out)
	}

	private := filepath.Join(t.TempDir(), "private.pem")
	interop.Run(t, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", private)
	text := interop.Run(t, "openssl", "pkey", "-in", private, "-pubout", "-outform", "DER")
	point := text[len(text)-64:]
	for _, c := range []struct {
		attrs  uint32
		scheme []byte
	}{{sign, be(algSM2, algSM3)}, {decrypt, be(nullScheme)}} {
		loaded := p.plain(0x167, b2(), smPublic(0x23, userAuth|noDA|c.attrs, nil, nullScheme, c.scheme, curveSM2, nullScheme, b2(point[:32]), b2(point[32:])), hOwner)
		expect(t, "TPM2_LoadExternal", loaded.rc, 0)
		if c.attrs == sign {
			var theirs smSignature
			if _, err := asn1.Unmarshal(openssl(t, digest, "pkeyutl", "-sign", "-inkey", private), &theirs); err != nil {
				t.Fatal(err)
			}
			ask(t, f, call{cc: 0x177, handles: []uint32{loaded.handle}, params: be(b2(digest), algSM2, algSM3,
				b2(theirs.R.FillBytes(make([]byte, 32))), b2(theirs.S.FillBytes(make([]byte, 32))))})
		} else {
			e := ask(t, f, call{cc: 0x199, handles: []uint32{loaded.handle}, params: be(b2([]byte("for openssl")), uint16(0x21), algSM3)})
			c1, c2, c3 := reply{params: nthSized(e, 0), t: t}.reader(), nthSized(e, 1), nthSized(e, 2)
			der, err := asn1.Marshal(struct {
				X, Y   *big.Int
				C3, C2 []byte
			}{new(big.Int).SetBytes(c1.Sized16()), new(big.Int).SetBytes(c1.Sized16()), c3, c2})
			if err != nil {
				t.Fatal(err)
			}
			if got := openssl(t, der, "pkeyutl", "-decrypt", "-inkey", private); string(got) != "for openssl" {
				t.Errorf("openssl decrypts %q", got)
			}
		}
		p.flush(loaded.handle)
	}

	mine := p.primary(smPublic(0x23, fixedTPM|fixedParent|origin|userAuth|noDA|decrypt, nil, nullScheme, nullScheme, curveSM2, nullScheme, b2(), b2()))
	x, y = smPoint(nthSized(mine, 0))
	var sent struct {
		X, Y   *big.Int
		C3, C2 []byte
	}
	if _, err := asn1.Unmarshal(openssl(t, []byte("for the TPM"), "pkeyutl", "-encrypt", "-pubin", "-inkey", smPEM(t, x, y)), &sent); err != nil {
		t.Fatal(err)
	}
	r := p.do(0x19a, 1, []uint32{mine.handle}, b2(b2(sent.X.FillBytes(make([]byte, 32))), b2(sent.Y.FillBytes(make([]byte, 32)))), b2(sent.C2), b2(sent.C3), uint16(0x21), algSM3)
	if r.rc != 0 || string(nthSized(r, 0)) != "for the TPM" {
		t.Errorf("the TPM decrypts %s, 0x%x", fmt.Sprintf("%q", r.params), r.rc)
	}
}
