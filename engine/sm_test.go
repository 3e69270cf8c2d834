package engine_test

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm4"

	"github.com/vtpmctl/vtpmctl/engine"
)

// The profile tcm, with nothing but the Chinese algorithms: SM3 as name, session, policy and bank hash, SM4 as cipher, SM2 as
// curve and scheme. What leaves the TPM is checked with gmsm.

const (
	algSM3, algSM4, algSM2 uint16 = 0x12, 0x13, 0x1b
	curveSM2               uint16 = 0x20
)

var smCFB = be(algSM4, uint16(128), uint16(0x43))

func newTCM(t *testing.T) (*fixture, *player) {
	t.Helper()
	f := newFixture(t, func(c *engine.Config) { c.Profile = engine.TCM() })
	return f, play(t, f)
}

// smPublic is a TPM2B_PUBLIC with SM3 as the name algorithm.
func smPublic(kind uint16, attrs uint32, policy []byte, rest ...any) []byte {
	return b2(be(kind, algSM3, attrs, b2(policy)), be(rest...))
}

func smStorage() []byte {
	return smPublic(0x23, storage, nil, smCFB, nullScheme, curveSM2, nullScheme, b2(), b2())
}

func smSigner(attrs uint32) []byte {
	return smPublic(0x23, fixedTPM|fixedParent|origin|userAuth|noDA|sign|attrs, nil, nullScheme, algSM2, algSM3, curveSM2, nullScheme, b2(), b2())
}

// smPoint is the point at the end of a public area.
func smPoint(public []byte) (x, y []byte) {
	return public[len(public)-66 : len(public)-34], public[len(public)-32:]
}

// smVerify checks a TPMT_SIGNATURE: SM2 over the digest as it is, without the user's identity before the message.
func smVerify(t *testing.T, public, digest, signature []byte) {
	t.Helper()
	x, y := smPoint(public)
	key, err := sm2.NewPublicKey(be(byte(4), x, y))
	if err != nil {
		t.Fatal(err)
	}
	s := reply{params: signature, t: t}.reader()
	alg, hash, r, v := s.U16(), s.U16(), s.Sized16(), s.Sized16()
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(v)})
	if err != nil {
		t.Fatal(err)
	}
	if alg != algSM2 || hash != algSM3 || !sm2.VerifyASN1(key, digest, der) {
		t.Errorf("signature with 0x%x and 0x%x does not verify", alg, hash)
	}
}

// smSecret makes a secret for the holder of an SM2 key, from outside.
func smSecret(t *testing.T, public []byte, label string) (secret, sent []byte) {
	t.Helper()
	x, y := smPoint(public)
	mine, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve := sm2.P256()
	zx, _ := curve.ScalarMult(new(big.Int).SetBytes(x), new(big.Int).SetBytes(y), mine.D.Bytes())
	z, px, py := zx.FillBytes(make([]byte, 32)), mine.X.FillBytes(make([]byte, 32)), mine.Y.FillBytes(make([]byte, 32))
	return digestOf(algSM3, be(uint32(1)), z, []byte(label+"\x00"), px, x), be(b2(px), b2(py))
}

func TestATCMAnswersTheIdentifiersOfGMT0012(t *testing.T) {
	f, p := newTCM(t)
	algs := map[uint16]bool{}
	for _, b := range listed(t, f, 0, 0, 6) {
		algs[binary.BigEndian.Uint16(b)] = true
	}
	curves := map[uint16]bool{}
	for _, b := range listed(t, f, 8, 0, 2) {
		curves[binary.BigEndian.Uint16(b)] = true
	}
	if !algs[algSM3] || !algs[algSM4] || !algs[algSM2] || !curves[curveSM2] {
		t.Errorf("algorithms %v, curves %v", algs, curves)
	}
	banks := p.plain(0x17a, uint32(5), uint32(0), uint32(9)).reader()
	banks.Bytes(1 + 4)
	if n, first, size, mask := banks.U32(), banks.U16(), banks.U8(), banks.Bytes(3); n < 2 || first != algSM3 || size != 3 || !bytes.Equal(mask, []byte{0xff, 0xff, 0xff}) {
		t.Errorf("%d banks, the first is 0x%x with PCRs %x", n, first, mask)
	}
	event := p.do(0x13c, 1, []uint32{16}, b2([]byte("event"))).reader()
	if n, first := event.U32(), event.U16(); n != 2 || first != algSM3 || !bytes.Equal(event.Bytes(32), digestOf(algSM3, []byte("event"))) {
		t.Errorf("an event has %d digests, the first of 0x%x", n, first)
	}
	if _, alg, _, _ := commandAudit(t, f); alg != algSM3 {
		t.Errorf("commands are audited with 0x%x", alg)
	}
}

// Sealing, in sessions of each kind, to PCRs of the SM3 bank.
func TestSealingWithSM2SM3AndSM4(t *testing.T) {
	f, p := newTCM(t)
	srk := p.primary(smStorage())
	public := nthSized(srk, 0)
	if got, want := nthName(srk), nameOf(algSM3, public); !bytes.Equal(got, want) {
		t.Errorf("name %x, want %x", got, want)
	}
	names := map[uint32][]byte{srk.handle: nthName(srk)}
	digest := digestOf(algSM3, []byte("loader"))
	p.do(0x182, 1, []uint32{4}, uint32(1), algSM3, digest)
	pcrs := be(uint32(1), algSM3, byte(3), []byte{0x10, 0, 0})
	value := digestOf(algSM3, make([]byte, 32), digest)
	policy := digestOf(algSM3, make([]byte, 32), be(uint32(0x17f)), pcrs, digestOf(algSM3, value))

	salt, sent := smSecret(t, public, "SECRET")
	s := start(t, f, 0, algSM3, smCFB, saltedBy(srk.handle, salt, sent)).with("", sContinue|sDecrypt)
	made := ask(t, f, call{cc: 0x153, handles: []uint32{srk.handle}, names: names, sessions: []*rawSession{s},
		params: be(secret("pin", "sealed"), smPublic(8, fixedTPM|fixedParent|noDA, policy, nullScheme, b2()), nothingMore)})
	s.attrs = sContinue
	item := ask(t, f, call{cc: 0x157, handles: []uint32{srk.handle}, names: names, sessions: []*rawSession{s}, returns: true,
		params: be(b2(nthSized(made, 0)), b2(nthSized(made, 1)))})
	unseal := func() reply {
		open := start(t, f, 1, algSM3, smCFB).with("pin", sEncrypt) // the auth value is in the cipher's key, not in the HMAC's
		open.noHMAC = true
		defer p.flush(open.handle)
		p.on(0x17f, []uint32{open.handle}, b2(), pcrs)
		return try(t, f, call{cc: 0x15e, handles: []uint32{item.handle}, names: map[uint32][]byte{item.handle: nthSized(item, 0)}, sessions: []*rawSession{open}})
	}
	if r := unseal(); r.rc != 0 || string(nthSized(r, 0)) != "sealed" {
		t.Errorf("unseal: 0x%x, %q", r.rc, r.params)
	}
	p.do(0x182, 1, []uint32{4}, uint32(1), algSM3, digest)
	expect(t, "unseal after a change", unseal().rc, 0x99d)
}

func TestQuotesAndSignaturesWithSM2VerifyOutside(t *testing.T) {
	f, p := newTCM(t)
	ak := p.primary(smSigner(restricted))
	pcrs := be(uint32(1), algSM3, byte(3), []byte{0xff, 0, 0})
	quote := ask(t, f, call{cc: 0x158, handles: []uint32{ak.handle}, sessions: []*rawSession{pw("")}, params: be(b2([]byte("nonce")), nullScheme, pcrs)})
	attest := nthSized(quote, 0)
	if want := b2(digestOf(algSM3, make([]byte, 8*32))); !bytes.HasSuffix(attest, append(bytes.Clone(pcrs), want...)) {
		t.Errorf("the quote ends in %x", attest[len(attest)-50:])
	}
	smVerify(t, nthSized(ak, 0), digestOf(algSM3, attest), quote.params[2+len(attest):])

	key := p.primary(smSigner(0))
	digest := digestOf(algSM3, []byte("message"))
	sig := ask(t, f, call{cc: 0x15d, handles: []uint32{key.handle}, sessions: []*rawSession{pw("")}, params: be(b2(digest), nullScheme, uint16(0x8024), hNull, b2())})
	smVerify(t, nthSized(key, 0), digest, sig.params)
	ask(t, f, call{cc: 0x177, handles: []uint32{key.handle}, params: be(b2(digest), sig.params)})
	sig.params[len(sig.params)-1] ^= 1
	refusedRaw(t, f, 0x2db, call{cc: 0x177, handles: []uint32{key.handle}, params: be(b2(digest), sig.params)})
}

func TestIndicesAuditAndHMACWithSM3(t *testing.T) {
	f, p := newTCM(t)
	public := b2(be(uint32(0x01800001), algSM3, uint32(nvOwnerRW|4<<nvKinds), b2(), uint16(32)))
	expect(t, "define", p.do(0x12a, 1, []uint32{hOwner}, b2(), public).rc, 0)
	x := nv{p, hOwner, 0x01800001}
	x.extend([]byte("a"))
	x.extend([]byte("b"))
	if got, want := x.read(32), digestOf(algSM3, digestOf(algSM3, make([]byte, 32), []byte("a")), []byte("b")); !bytes.Equal(got, want) {
		t.Errorf("the index holds %x, want %x", got, want)
	}
	r := p.on(0x169, []uint32{0x01800001})
	if want := nameOf(algSM3, nthSized(r, 0)); !bytes.Equal(nthSized(r, 1), want) {
		t.Errorf("its name is %x, want %x", nthSized(r, 1), want)
	}
	s := start(t, f, 0, algSM3, noSym)
	clock := audited(t, f, s, 0)
	want := digestOf(algSM3, make([]byte, 32), digestOf(algSM3, be(uint32(0x181))), digestOf(algSM3, be(uint32(0), uint32(0x181)), clock.params))
	if _, got := auditDigest(t, f, s); !bytes.Equal(got, want) {
		t.Errorf("audit digest %x, want %x", got, want)
	}
	seed, data := bytes.Repeat([]byte{1}, 32), []byte("a key")
	key := p.plain(0x167, b2(be(uint16(8), b2(), b2(seed), b2(data))),
		smPublic(8, userAuth|noDA|sign, nil, uint16(5), algSM3, b2(digestOf(algSM3, seed, data))), hNull)
	if got := nthSized(p.do(0x155, 1, []uint32{key.handle}, b2([]byte("data")), nullScheme), 0); !bytes.Equal(got, macOf(algSM3, data, []byte("data"))) {
		t.Errorf("HMAC %x", got)
	}
}

// A child of one SM2 parent moves to another with SM4 wrappers in and out; a credential goes to an SM2 endorsement key.
func TestDuplicatesAndCredentialsWithSM2SM3AndSM4(t *testing.T) {
	f, p := newTCM(t)
	srk := p.primary(smStorage())
	policy := digestOf(algSM3, make([]byte, 32), be(uint32(0x16c), uint32(0x14b)))
	made := p.do(0x153, 1, []uint32{srk.handle}, secret("pin", "moving"), smPublic(8, userAuth|noDA|encDup, policy, nullScheme, b2()), nothingMore)
	item := p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
	s := start(t, f, 1, algSM3, noSym)
	s.noHMAC = true
	p.on(0x16c, []uint32{s.handle}, uint32(0x14b))
	d := ask(t, f, call{cc: 0x14b, handles: []uint32{item.handle, srk.handle}, sessions: []*rawSession{s}, params: be(b2(), smCFB)})
	in := p.do(0x156, 1, []uint32{srk.handle}, b2(nthSized(d, 0)), b2(nthSized(made, 1)), b2(nthSized(d, 1)), b2(nthSized(d, 2)), smCFB)
	expect(t, "TPM2_Import", in.rc, 0)
	p.flush(item.handle, s.handle)
	again := p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(in, 0)), b2(nthSized(made, 1)))
	if got := nthSized(ask(t, f, call{cc: 0x15e, handles: []uint32{again.handle}, sessions: []*rawSession{pw("pin")}}), 0); string(got) != "moving" {
		t.Errorf("unsealed %q", got)
	}

	// The endorsement key of template H-5, whose policy in this test is PolicySecret of the endorsement hierarchy alone.
	policyA := digestOf(algSM3, digestOf(algSM3, make([]byte, 32), be(uint32(0x151), hEndorsement)))
	template := smPublic(0x23, fixedTPM|fixedParent|origin|userAuth|adminPolicy|restricted|decrypt, policyA, smCFB, nullScheme, curveSM2, nullScheme,
		b2(make([]byte, 32)), b2(make([]byte, 32)))
	ek := p.do(0x131, 1, []uint32{hEndorsement}, secret("", ""), template, nothingMore)
	seed, sent := smSecret(t, nthSized(ek, 0), "IDENTITY")
	body := b2([]byte("credential"))
	block, err := sm4.NewCipher(kdfaOf(algSM3, seed, "STORAGE", nthName(srk), nil, 128))
	if err != nil {
		t.Fatal(err)
	}
	mask := make([]byte, 16)
	block.Encrypt(mask, mask)
	for i := range body { // the one block of CFB under a zero IV
		body[i] ^= mask[i]
	}
	blob := be(b2(macOf(algSM3, kdfaOf(algSM3, seed, "INTEGRITY", nil, nil, 256), body, nthName(srk))), body)
	r := p.do(0x147, 2, []uint32{srk.handle, ek.handle}, b2(blob), b2(sent))
	if r.rc != 0 || string(nthSized(r, 0)) != "credential" {
		t.Errorf("TPM2_ActivateCredential: 0x%x, %q", r.rc, r.params)
	}
}

func TestSM2EncryptsAndExchangesKeys(t *testing.T) {
	f, p := newTCM(t)
	key := p.primary(smPublic(0x23, fixedTPM|fixedParent|origin|userAuth|noDA|decrypt, nil, nullScheme, nullScheme, curveSM2, nullScheme, b2(), b2()))
	x, y := smPoint(nthSized(key, 0))
	public, err := sm2.NewPublicKey(be(byte(4), x, y))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := sm2.Encrypt(rand.Reader, public, []byte("what both understand"), sm2.NewPlainEncrypterOpts(sm2.MarshalUncompressed, sm2.C1C3C2))
	if err != nil {
		t.Fatal(err)
	}
	scheme := be(uint16(0x21), algSM3)
	open := func(scheme []byte) reply {
		return p.do(0x19a, 1, []uint32{key.handle}, b2(b2(sent[1:33]), b2(sent[33:65])), b2(sent[97:]), b2(sent[65:97]), scheme)
	}
	if r := open(scheme); r.rc != 0 || string(nthSized(r, 0)) != "what both understand" {
		t.Errorf("TPM2_ECC_Decrypt: 0x%x, %q", r.rc, r.params)
	}
	expect(t, "another hash", open(be(uint16(0x21), uint16(0xb))).rc, 0x84)
	expect(t, "another scheme", open(be(uint16(0x20), algSM3)).rc, 0x4d2)
	expect(t, "no scheme", open(be(nullScheme)).rc, 0x4d2)
	e := ask(t, f, call{cc: 0x199, handles: []uint32{key.handle}, params: be(b2([]byte("and back")), scheme)})
	back := p.do(0x19a, 1, []uint32{key.handle}, b2(nthSized(e, 0)), b2(nthSized(e, 1)), b2(nthSized(e, 2)), scheme)
	if back.rc != 0 || string(nthSized(back, 0)) != "and back" {
		t.Errorf("TPM2_ECC_Decrypt of TPM2_ECC_Encrypt: 0x%x, %q", back.rc, back.params)
	}
	signer := p.primary(smSigner(0))
	expect(t, "a signing key encrypts", p.on(0x199, []uint32{signer.handle}, b2([]byte("x")), scheme).rc, 0)
	expect(t, "and does not decrypt", p.do(0x19a, 1, []uint32{signer.handle}, b2(nthSized(e, 0)), b2(nthSized(e, 1)), b2(nthSized(e, 2)), scheme).rc, 0x182)

	// The TPM plays both sides of the key exchange.
	share := func() (point, counter []byte) {
		r := ask(t, f, call{cc: 0x18e, params: be(curveSM2)})
		return nthSized(r, 0), r.params[len(r.params)-2:]
	}
	static := be(b2(x), b2(y))
	mine, count := share()
	theirs, count2 := share()
	exchange := func(point, count []byte) []byte {
		r := ask(t, f, call{cc: 0x18d, handles: []uint32{key.handle}, sessions: []*rawSession{pw("")}, params: be(b2(static), b2(point), algSM2, count)})
		return nthSized(r, 0)
	}
	if a, b := exchange(theirs, count), exchange(mine, count2); !bytes.Equal(a, b) || len(a) != 68 {
		t.Errorf("the two sides have %x and %x", a, b)
	}
}
