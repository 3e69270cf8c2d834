package engine_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"
)

// Every algorithm in a key that the TPM made: what package crypt computes, the commands carry.

const bothWays = fixedTPM | fixedParent | origin | userAuth | noDA | sign | decrypt

// signWith signs a digest with a key whose scheme is the caller's choice.
func (p *player) signWith(h uint32, digest []byte, scheme ...any) reply {
	return p.do(0x15d, 1, []uint32{h}, b2(digest), be(scheme...), uint16(0x8024), hNull, b2())
}

func TestRSAKeysOfEachSizeServeEveryScheme(t *testing.T) {
	for _, bits := range []uint16{1024, 2048, 3072, 4096} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			if bits > 2048 && testing.Short() {
				t.Skip("takes seconds")
			}
			f := newFixture(t)
			p := play(t, f)
			template := publicArea(1, bothWays, nil, nullScheme, nullScheme, bits, uint32(0), b2())
			srk := p.primary(eccStorage())
			made := p.do(0x153, 1, []uint32{srk.handle}, secret("", ""), template, nothingMore)
			key := p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
			expect(t, "TPM2_Load", key.rc, 0)
			public := nthSized(made, 1)
			n := int(bits / 8)
			outside := &rsa.PublicKey{N: new(big.Int).SetBytes(public[len(public)-n:]), E: 65537}
			if outside.N.BitLen() != int(bits) {
				t.Fatalf("a modulus of %d bits", outside.N.BitLen())
			}
			secretText := []byte("sixteen bytes...")
			decrypts := func(what string, sent []byte, scheme []byte, label []byte) {
				t.Helper()
				r := p.do(0x159, 1, []uint32{key.handle}, b2(sent), scheme, b2(label))
				if r.rc != 0 || !bytes.HasSuffix(nthSized(r, 0), secretText) {
					t.Errorf("%s: 0x%x, %x", what, r.rc, r.params)
				}
			}
			for what, scheme := range map[string][]byte{"RSAES": be(uint16(0x15)), "OAEP": be(uint16(0x17), uint16(0xb)), "OAEP with SHA-1": be(uint16(0x17), uint16(4))} {
				for _, label := range [][]byte{nil, []byte("label\x00")} {
					r := p.on(0x174, []uint32{key.handle}, b2(secretText), scheme, b2(label))
					expect(t, what, r.rc, 0)
					decrypts(what, nthSized(r, 0), scheme, label)
				}
			}
			number := append(make([]byte, n-len(secretText)), secretText...)
			raw := p.on(0x174, []uint32{key.handle}, b2(number), nullScheme, b2())
			decrypts("raw", nthSized(raw, 0), be(nullScheme), nil)
			if want := new(big.Int).Exp(new(big.Int).SetBytes(number), big.NewInt(65537), outside.N); !bytes.Equal(nthSized(raw, 0), want.FillBytes(make([]byte, n))) {
				t.Error("raw encryption is not a power")
			}
			oaep, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, outside, secretText, []byte("label\x00"))
			if err != nil {
				t.Fatal(err)
			}
			decrypts("OAEP from outside", oaep, be(uint16(0x17), uint16(0xb)), []byte("label\x00"))

			digest := digestOf(0xb, []byte("message"))
			ssa, pss := p.signWith(key.handle, digest, uint16(0x14), uint16(0xb)), p.signWith(key.handle, digest, uint16(0x16), uint16(0xb))
			value := func(r reply) []byte { w := r.reader(); w.Bytes(4); return w.Sized16() }
			if err := rsa.VerifyPKCS1v15(outside, crypto.SHA256, digest, value(ssa)); err != nil {
				t.Errorf("RSASSA: %v", err)
			}
			if err := rsa.VerifyPSS(outside, crypto.SHA256, digest, value(pss), nil); err != nil {
				t.Errorf("RSAPSS: %v", err)
			}
			for _, sig := range []reply{ssa, pss} {
				expect(t, "TPM2_VerifySignature", p.on(0x177, []uint32{key.handle}, b2(digest), sig.params).rc, 0)
				sig.params[len(sig.params)-1] ^= 1
				expect(t, "TPM2_VerifySignature of another", p.on(0x177, []uint32{key.handle}, b2(digest), sig.params).rc, 0x2db)
			}
			context := ask(t, f, call{cc: 0x162, handles: []uint32{key.handle}})
			p.flush(key.handle)
			again := ask(t, f, call{cc: 0x161, params: context.params, returns: true})
			expect(t, "after its context was loaded", p.signWith(again.handle, digest, uint16(0x14), uint16(0xb)).rc, 0)
		})
	}
}

var curveSizes = map[uint16]struct {
	name  string
	size  int
	group elliptic.Curve // where the standard library has it
}{
	2: {"P-224", 28, elliptic.P224()}, 3: {"P-256", 32, elliptic.P256()}, 4: {"P-384", 48, elliptic.P384()}, 5: {"P-521", 66, elliptic.P521()},
	0x10: {"BN-P256", 32, nil}, 0x20: {"SM2", 32, nil},
}

func TestECCKeysOnEachCurveServeEveryScheme(t *testing.T) {
	for id, curve := range curveSizes {
		t.Run(curve.name, func(t *testing.T) {
			f := newFixture(t)
			p := play(t, f)
			key := func(attrs uint32, scheme ...any) reply {
				return p.primary(publicArea(0x23, fixedTPM|fixedParent|origin|userAuth|noDA|attrs, nil, nullScheme, be(scheme...), id, nullScheme, b2(), b2()))
			}
			k := key(sign|decrypt, nullScheme)
			expect(t, "TPM2_CreatePrimary", k.rc, 0)
			public := nthSized(k, 0)
			x, y := public[len(public)-2*curve.size-2:len(public)-curve.size-2], public[len(public)-curve.size:]
			for what, scheme := range map[string]uint16{"ECDSA": 0x18, "ECSCHNORR": 0x1c, "SM2": 0x1b} {
				for _, hash := range []uint16{4, 0xb, 0xc, 0xd, 0x12} {
					digest := digestOf(hash, []byte("message"))
					sig := p.signWith(k.handle, digest, scheme, hash)
					expect(t, what, sig.rc, 0)
					w := sig.reader()
					w.Bytes(4)
					r, s := w.Sized16(), w.Sized16()
					if scheme == 0x18 && curve.group != nil {
						outside, err := ecdsa.ParseUncompressedPublicKey(curve.group, be(byte(4), x, y))
						if err != nil || !ecdsa.Verify(outside, digest, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)) {
							t.Errorf("ECDSA with 0x%x does not verify outside (%v)", hash, err)
						}
					}
					expect(t, what+" verified", p.on(0x177, []uint32{k.handle}, b2(digest), sig.params).rc, 0)
					digest[0] ^= 1
					expect(t, what+" of another digest", p.on(0x177, []uint32{k.handle}, b2(digest), sig.params).rc, 0x2db)
				}
			}
			shared := ask(t, f, call{cc: 0x163, handles: []uint32{k.handle}})
			if z := p.do(0x154, 1, []uint32{k.handle}, b2(nthSized(shared, 1))); z.rc != 0 || !bytes.Equal(nthSized(z, 0), nthSized(shared, 0)) {
				t.Errorf("ECDH: 0x%x, %x and %x", z.rc, z.params, nthSized(shared, 0))
			}
			p.flush(k.handle)

			daa := key(sign, uint16(0x1a), uint16(0xb), uint16(0))
			commit := p.do(0x18b, 1, []uint32{daa.handle}, b2(be(b2(), b2())), b2(), b2())
			expect(t, "TPM2_Commit", commit.rc, 0)
			count := commit.params[len(commit.params)-2:]
			digest := digestOf(0xb, []byte("message"))
			expect(t, "ECDAA", p.signWith(daa.handle, digest, uint16(0x1a), uint16(0xb), count).rc, 0)
			expect(t, "ECDAA with a commitment that served", p.signWith(daa.handle, digest, uint16(0x1a), uint16(0xb), count).rc, 0x84)
			p.flush(daa.handle)

			// As a storage key: its secrets are exchanged on the curve.
			store := p.primary(publicArea(0x23, storage, nil, aesCFB, nullScheme, id, nullScheme, b2(), b2()))
			made := p.on(0x168, []uint32{store.handle}, b2([]byte("credential")), b2(nthName(store)))
			active := p.do(0x147, 2, []uint32{store.handle, store.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
			if active.rc != 0 || string(nthSized(active, 0)) != "credential" {
				t.Errorf("a credential: 0x%x, %q", active.rc, active.params)
			}
			e := ask(t, f, call{cc: 0x199, handles: []uint32{store.handle}, params: be(b2([]byte("text")), uint16(0x21), uint16(0xb))})
			if len(nthSized(e, 0)) != 2*curve.size+4 || len(nthSized(e, 1)) != 4 || len(nthSized(e, 2)) != 32 {
				t.Errorf("TPM2_ECC_Encrypt answers %x", e.params)
			}
		})
	}
}

func TestCiphersOfEachSizeAndModeAreThoseOfTheStandardLibrary(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	iv := []byte("sixteen byte IV.")
	for _, bits := range []uint16{128, 192, 256} {
		secretKey, seed := bytes.Repeat([]byte{byte(bits)}, int(bits/8)), bytes.Repeat([]byte{1}, 32)
		block, err := aes.NewCipher(secretKey)
		if err != nil {
			t.Fatal(err)
		}
		for mode, reference := range map[uint16]func(dst, src []byte){
			0x40: func(dst, src []byte) { cipher.NewCTR(block, iv).XORKeyStream(dst, src) },
			0x41: func(dst, src []byte) { cipher.NewOFB(block, iv).XORKeyStream(dst, src) },
			0x42: func(dst, src []byte) { cipher.NewCBCEncrypter(block, iv).CryptBlocks(dst, src) },
			0x43: func(dst, src []byte) { cipher.NewCFBEncrypter(block, iv).XORKeyStream(dst, src) },
			0x44: func(dst, src []byte) {
				for i := 0; i < len(src); i += 16 {
					block.Encrypt(dst[i:], src[i:])
				}
			},
		} {
			key := p.plain(0x167, b2(be(uint16(0x25), b2(), b2(seed), b2(secretKey))),
				publicArea(0x25, userAuth|noDA|sign|decrypt, nil, uint16(6), bits, nullScheme, b2(digestOf(0xb, seed, secretKey))), hNull)
			expect(t, "TPM2_LoadExternal", key.rc, 0)
			data, vector := bytes.Repeat([]byte("data to encrypt!"), 4), b2(iv)
			if mode == 0x44 {
				vector = b2()
			}
			want := make([]byte, len(data))
			reference(want, data)
			first := p.do(0x164, 1, []uint32{key.handle}, byte(0), mode, vector, b2(data[:32]))
			rest := p.do(0x193, 1, []uint32{key.handle}, b2(data[32:]), byte(0), mode, b2(nthSized(first, 1))) // the chain goes on
			if got := append(nthSized(first, 0), nthSized(rest, 0)...); !bytes.Equal(got, want) {
				t.Errorf("AES-%d, mode 0x%x: %x, want %x", bits, mode, got, want)
			}
			back := p.do(0x193, 1, []uint32{key.handle}, b2(want), byte(1), mode, vector)
			if got := nthSized(back, 0); !bytes.Equal(got, data) {
				t.Errorf("AES-%d, mode 0x%x comes back as %x", bits, mode, got)
			}
			p.flush(key.handle)
		}
	}
}
