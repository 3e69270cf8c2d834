package engine_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"testing"
)

// Section 2.6 of the engine's check list: what leaves the TPM and comes back (part 1, 23, 24, 28 and 30).

// aesCFBOf encrypts or decrypts under a zero IV.
func aesCFBOf(key, data []byte, encrypt bool) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := bytes.Clone(data)
	if encrypt {
		cipher.NewCFBEncrypter(block, make([]byte, 16)).XORKeyStream(out, data)
	} else {
		cipher.NewCFBDecrypter(block, make([]byte, 16)).XORKeyStream(out, data)
	}
	return out
}

// secretFor makes a seed that only the holder of a P-256 key learns: KDFe of an ephemeral key exchange.
func secretFor(t testing.TB, public []byte, label string) (seed, sent []byte) {
	t.Helper()
	x, y := public[len(public)-66:len(public)-34], public[len(public)-32:]
	key, err := ecdh.P256().NewPublicKey(append([]byte{4}, append(bytes.Clone(x), y...)...))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	z, err := mine.ECDH(key)
	if err != nil {
		t.Fatal(err)
	}
	point := mine.PublicKey().Bytes()[1:]
	return digestOf(0xb, be(uint32(1)), z, []byte(label+"\x00"), point[:32], x), be(b2(point[:32]), b2(point[32:]))
}

// wrapOuter protects data under a seed, for a name: integrity, then ciphertext.
func wrapOuter(seed, name, data []byte) []byte {
	body := aesCFBOf(kdfaOf(0xb, seed, "STORAGE", name, nil, 128), data, true)
	return be(b2(macOf(0xb, kdfaOf(0xb, seed, "INTEGRITY", nil, nil, 256), body, name)), body)
}

// A credential that another program made by the formulas is activated, under the right name and no other.
func TestACredentialMadeOutsideActivates(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	ek, ak := p.primary(eccStorage()), p.primary(eccKey(fixedTPM|fixedParent|origin|userAuth|noDA|sign, nil, uint16(0x18), uint16(0xb)))
	seed, sent := secretFor(t, nthSized(ek, 0), "IDENTITY")
	blob := func(name []byte) []byte { return wrapOuter(seed, name, b2([]byte("credential"))) }
	activate := func(blob []byte) reply {
		return p.do(0x147, 2, []uint32{ak.handle, ek.handle}, b2(blob), b2(sent))
	}
	if r := activate(blob(nthName(ak))); r.rc != 0 || string(nthSized(r, 0)) != "credential" {
		t.Errorf("response code 0x%x, %q", r.rc, r.params)
	}
	expect(t, "for another name", activate(blob(nthName(ek))).rc, 0x1df)
	bad := blob(nthName(ak))
	bad[len(bad)-1] ^= 1
	expect(t, "damaged", activate(bad).rc, 0x1df)
}

// outside is a sealed object that never was in a TPM, as TPM2_Import takes it.
type outside struct{ public, name, sensitive []byte }

func newOutside(attrs uint32) outside {
	seed, data := bytes.Repeat([]byte{7}, 32), []byte("from outside")
	public := keyedHash2(attrs|userAuth|noDA, digestOf(0xb, seed, data), nullScheme)
	return outside{public, nameOf(0xb, public[2:]), b2(be(uint16(8), b2([]byte("pin")), b2(seed), b2(data)))}
}

// inner wraps the object under a key of the caller's.
func (o outside) inner(key []byte) []byte {
	return aesCFBOf(key, be(b2(digestOf(0xb, o.sensitive, o.name)), o.sensitive), true)
}

// Each wrapping of a duplicate, made outside by the formulas, is undone; what encryptedDuplication demands is there.
func TestDuplicatesMadeOutsideAreImportedInEachWrapping(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	parent := p.primary(eccStorage())
	seed, sent := secretFor(t, nthSized(parent, 0), "DUPLICATE")
	key := bytes.Repeat([]byte{9}, 16)
	plain, encrypted := newOutside(0), newOutside(encDup)
	for name, c := range map[string]struct {
		o    outside
		key  []byte
		blob []byte
		seed []byte
		sym  []byte
		want uint32
	}{
		"bare":                        {plain, nil, plain.sensitive, nil, be(nullScheme), 0},
		"outer":                       {plain, nil, wrapOuter(seed, plain.name, plain.sensitive), sent, be(nullScheme), 0},
		"inner":                       {plain, key, plain.inner(key), nil, aesCFB, 0},
		"both":                        {plain, key, wrapOuter(seed, plain.name, plain.inner(key)), sent, aesCFB, 0},
		"both, as demanded":           {encrypted, key, wrapOuter(seed, encrypted.name, encrypted.inner(key)), sent, aesCFB, 0},
		"bare, though both demanded":  {encrypted, nil, encrypted.sensitive, nil, be(nullScheme), 0x1c2},
		"inner, though both demanded": {encrypted, key, encrypted.inner(key), nil, aesCFB, 0x4c2},
		"outer, though both demanded": {encrypted, nil, wrapOuter(seed, encrypted.name, encrypted.sensitive), sent, be(nullScheme), 0x1c2},
		"another name in the outer":   {plain, nil, wrapOuter(seed, encrypted.name, plain.sensitive), sent, be(nullScheme), 0x3df},
		"another object in the inner": {plain, key, aesCFBOf(key, be(b2(digestOf(0xb, plain.sensitive, encrypted.name)), plain.sensitive), true), nil, aesCFB, 0x3df},
		"a key without a cipher":      {plain, key, plain.sensitive, nil, be(nullScheme), 0x1d5},
		"a cipher without a key":      {plain, nil, plain.inner(key), nil, aesCFB, 0x1d5},
		"fixed to its TPM":            {newOutside(fixedTPM | fixedParent), nil, plain.sensitive, nil, be(nullScheme), 0x2c2},
		"another object's secret":     {plain, nil, newOutside(0).sensitive[:len(plain.sensitive)-1], nil, be(nullScheme), 0x3d5},
	} {
		t.Run(name, func(t *testing.T) {
			r := p.do(0x156, 1, []uint32{parent.handle}, b2(c.key), c.o.public, b2(c.blob), b2(c.seed), c.sym)
			expect(t, "TPM2_Import", r.rc, c.want)
			if r.rc != 0 {
				return
			}
			item := p.do(0x157, 1, []uint32{parent.handle}, b2(nthSized(r, 0)), c.o.public)
			u := ask(t, f, call{cc: 0x15e, handles: []uint32{item.handle}, sessions: []*rawSession{pw("pin")}})
			if got := nthSized(u, 0); string(got) != "from outside" {
				t.Errorf("unsealed %q", got)
			}
			p.flush(item.handle)
		})
	}
}

// What TPM2_Duplicate gives is undone outside by the same formulas, and goes on to another parent by TPM2_Rewrap.
func TestDuplicatesOpenOutsideAndMoveToAnotherParent(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	parent := p.primary(eccStorage())
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x14b)))
	made := p.do(0x153, 1, []uint32{parent.handle}, secret("pin", "to be moved"), keyedHash(userAuth|noDA, policy, nullScheme), nothingMore)
	public := nthSized(made, 1)
	item := p.do(0x157, 1, []uint32{parent.handle}, b2(nthSized(made, 0)), b2(public))
	name := nthSized(item, 0)
	duplicate := func(to uint32, inner []byte) reply {
		s := policySession(t, f)
		s.attrs = 0
		p.on(0x16c, []uint32{s.handle}, uint32(0x14b))
		return ask(t, f, call{cc: 0x14b, handles: []uint32{item.handle, to}, sessions: []*rawSession{s}, params: inner})
	}
	bare := duplicate(hNull, be(b2(), nullScheme))
	if !bytes.Contains(nthSized(bare, 1), []byte("to be moved")) || len(nthSized(bare, 0))+len(nthSized(bare, 2)) != 0 {
		t.Errorf("a bare duplicate is %x", bare.params)
	}
	wrapped := duplicate(hNull, be(b2(), aesCFB))
	key := nthSized(wrapped, 0)
	open := aesCFBOf(key, nthSized(wrapped, 1), false)
	if want := be(b2(digestOf(0xb, nthSized(bare, 1), name)), nthSized(bare, 1)); !bytes.Equal(open, want) {
		t.Errorf("the inner wrapper holds %x, want %x", open, want)
	}
	outer := duplicate(parent.handle, be(b2(bytes.Repeat([]byte{3}, 16)), aesCFB))
	if len(nthSized(outer, 0)) != 0 {
		t.Error("the caller's own key came back")
	}
	moved := p.do(0x152, 1, []uint32{parent.handle, parent.handle}, b2(nthSized(outer, 1)), b2(name), b2(nthSized(outer, 2)))
	expect(t, "TPM2_Rewrap", moved.rc, 0)
	back := p.do(0x156, 1, []uint32{parent.handle}, b2(bytes.Repeat([]byte{3}, 16)), b2(public), b2(nthSized(moved, 0)), b2(nthSized(moved, 1)), aesCFB)
	expect(t, "TPM2_Import", back.rc, 0)
	expect(t, "TPM2_Rewrap without the old parent", p.do(0x152, 1, []uint32{hNull, parent.handle}, b2(nthSized(bare, 1)), b2(name), b2()).rc, 0)
	// Without a policy nothing is duplicated, whatever the auth value.
	refusedRaw(t, f, 0x124, call{cc: 0x14b, handles: []uint32{item.handle, hNull}, sessions: []*rawSession{pw("pin")}, params: be(b2(), nullScheme)})
}

func TestPrivateBlobsOpenUnderTheirParentAndPublicAreaOnly(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	parent := p.primary(eccStorage())
	create := func() reply {
		return p.do(0x153, 1, []uint32{parent.handle}, secret("pin", "x"), keyedHash(fixedTPM|fixedParent|userAuth|noDA, nil, nullScheme), nothingMore)
	}
	made, other := create(), create()
	private, public := nthSized(made, 0), nthSized(made, 1)
	load := func(private, public []byte) uint32 {
		r := p.do(0x157, 1, []uint32{parent.handle}, b2(private), b2(public))
		p.flush(r.handle)
		return r.rc
	}
	expect(t, "as it was made", load(private, public), 0)
	expect(t, "with another's public area", load(private, nthSized(other, 1)), 0x1df)
	for _, at := range []int{5, 40, len(private) - 1} {
		bad := bytes.Clone(private)
		bad[at] ^= 1
		expect(t, fmt.Sprintf("damaged at %d", at), load(bad, public), 0x1df)
	}
	bad := bytes.Clone(public)
	bad[7] ^= 0x40 // userWithAuth
	expect(t, "with other attributes", load(private, bad), 0x1df)
	if bytes.Equal(private, nthSized(other, 0)) || bytes.Contains(private, []byte("pin")) {
		t.Error("the blob shows what it holds")
	}
	// The loaded object keeps its auth value; the new blob has the new one.
	item := p.do(0x157, 1, []uint32{parent.handle}, b2(private), b2(public))
	changed := ask(t, f, call{cc: 0x150, handles: []uint32{item.handle, parent.handle}, sessions: []*rawSession{pw("pin")}, params: b2([]byte("new"))})
	ask(t, f, call{cc: 0x15e, handles: []uint32{item.handle}, sessions: []*rawSession{pw("pin")}})
	again := p.do(0x157, 1, []uint32{parent.handle}, b2(nthSized(changed, 0)), b2(public))
	ask(t, f, call{cc: 0x15e, handles: []uint32{again.handle}, sessions: []*rawSession{pw("new")}})
}

// A derivation parent gives the same child for the same label and context, and no blob: it can be made again.
func TestDerivedKeysFollowFromParentLabelAndContext(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	// Its secret comes from outside, so that the key stream can be computed here.
	seed, data := bytes.Repeat([]byte{5}, 32), bytes.Repeat([]byte{6}, 32)
	attrs := restricted | decrypt | userAuth | noDA
	public := keyedHash2(attrs, digestOf(0xb, seed, data), uint16(0xa), uint16(0xb), uint16(0x22))
	storageKey := p.primary(eccStorage())
	blob := b2(be(uint16(8), b2(), b2(seed), b2(data)))
	imported := p.do(0x156, 1, []uint32{storageKey.handle}, b2(), public, b2(blob), b2(), nullScheme)
	parent := p.do(0x157, 1, []uint32{storageKey.handle}, b2(nthSized(imported, 0)), public)
	expect(t, "load the derivation parent", parent.rc, 0)
	derive := func(label, context string) reply {
		template := be(uint16(8), uint16(0xb), userAuth|noDA|sign, b2(), uint16(5), uint16(0xb), b2([]byte(label)), b2([]byte(context)))
		return p.do(0x191, 1, []uint32{parent.handle}, secret("", ""), b2(template))
	}
	mac := func(label, context string) []byte {
		r := derive(label, context)
		expect(t, "TPM2_CreateLoaded", r.rc, 0)
		if len(nthSized(r, 0)) != 0 {
			t.Error("a derived object has a private blob")
		}
		m := p.do(0x155, 1, []uint32{r.handle}, b2([]byte("data")), nullScheme)
		p.flush(r.handle)
		return nthSized(m, 0)
	}
	first := mac("label", "context")
	stream := macOf(0xb, data, be(uint32(1)), []byte("label\x00"), []byte("context"), be(uint32(8192)))
	if want := macOf(0xb, stream, []byte("data")); !bytes.Equal(first, want) {
		t.Errorf("HMAC %x, want %x", first, want)
	}
	if !bytes.Equal(mac("label", "context"), first) || bytes.Equal(mac("label", "other"), first) || bytes.Equal(mac("other", "context"), first) {
		t.Error("derived keys do not follow label and context")
	}
	// What the sensitive parameter says wins over the template.
	template := be(uint16(8), uint16(0xb), userAuth|noDA|sign, b2(), uint16(5), uint16(0xb), b2(), b2())
	r := p.do(0x191, 1, []uint32{parent.handle}, b2(b2(), b2(be(b2([]byte("label")), b2([]byte("context"))))), b2(template))
	if m := p.do(0x155, 1, []uint32{r.handle}, b2([]byte("data")), nullScheme); !bytes.Equal(nthSized(m, 0), first) {
		t.Error("label and context of the sensitive parameter were not used")
	}
	p.flush(r.handle)
	rsa := be(uint16(1), uint16(0xb), userAuth|noDA|sign, b2(), nullScheme, nullScheme, uint16(2048), uint32(0), b2(), b2())
	expect(t, "a derived RSA key", p.do(0x191, 1, []uint32{parent.handle}, secret("", ""), b2(rsa)).rc, 0x2ca)
}

// The fields of TPMS_CONTEXT that clients read: a growing number, the saved handle, the hierarchy.
func TestContextsTellWhatTheyAreOf(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	clearing := publicArea(0x23, storage|stClear, nil, aesCFB, nullScheme, uint16(3), nullScheme, b2(), b2())
	key, fleeting := p.primary(eccStorage()), p.primary(clearing)
	seq := p.plain(0x186, b2([]byte("auth")), uint16(0xb))
	hmac, policy := start(t, f, 0, 0xb, noSym), start(t, f, 1, 0xb, noSym)
	last := map[bool]uint64{}
	for _, c := range []struct{ handle, saved, hierarchy uint32 }{
		{key.handle, 0x80000000, hOwner}, {fleeting.handle, 0x80000002, hOwner}, {seq.handle, 0x80000001, hNull},
		{hmac.handle, hmac.handle, hNull}, {policy.handle, policy.handle, hNull},
	} {
		r := ask(t, f, call{cc: 0x162, handles: []uint32{c.handle}})
		w := r.reader()
		sequence, saved, hierarchy := w.U64(), w.U32(), w.U32()
		if saved != c.saved || hierarchy != c.hierarchy {
			t.Errorf("0x%x: saved handle 0x%x, hierarchy 0x%x", c.handle, saved, hierarchy)
		}
		isSession := c.handle>>24 < 4
		if sequence <= last[isSession] {
			t.Errorf("0x%x: number %d after %d", c.handle, sequence, last[isSession])
		}
		last[isSession] = sequence
		for _, at := range []int{7, 11, 15} { // the number, the handle, the hierarchy
			bad := bytes.Clone(r.params)
			bad[at] ^= 3
			if again := try(t, f, call{cc: 0x161, params: bad, returns: true}); again.rc == 0 {
				t.Errorf("0x%x: loads with byte %d changed", c.handle, at)
			}
		}
		if isSession {
			expect(t, "a saved session is not loaded", p.on(0x189, []uint32{c.handle}).rc, map[bool]uint32{true: 0x910, false: 0x184}[c.handle>>24 == 3])
			ask(t, f, call{cc: 0x161, params: r.params, returns: true})
			expect(t, "the second load", try(t, f, call{cc: 0x161, params: r.params, returns: true}).rc, 0x1cb)
		} else {
			p.flush(c.handle)
			ask(t, f, call{cc: 0x161, params: r.params, returns: true})
		}
	}
	// A sequence goes on where it was saved.
	done := ask(t, f, call{cc: 0x13e, handles: []uint32{seq.handle}, sessions: []*rawSession{pw("auth")}, params: be(b2([]byte("abc")), hNull)})
	if got := nthSized(done, 0); !bytes.Equal(got, digestOf(0xb, []byte("abc"))) {
		t.Errorf("digest %x", got)
	}
}

// What stands before the HMAC of a blob is judged first, with the codes that libtpms gives; the reference agrees but for contexts
// with nothing to protect, which it breaks at.
func TestBlobsThatHaveNoHMACAreRefusedForTheirSizes(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	srk := p.primary(eccStorage())
	public := keyedHash(userAuth|noDA, nil, nullScheme)
	blob := func(size uint16, n int) []byte { return b2(be(size, make([]byte, n))) }
	for name, c := range map[string]struct {
		blob                     []byte
		load, duplicate, context uint32
	}{
		"half a size":               {b2([]byte{0}), 0x1da, 0x3da, 0x09a},
		"no HMAC":                   {blob(0, 0), 0x1df, 0x3da, 0x1d5},
		"an HMAC cut short":         {blob(32, 16), 0x1da, 0x3d5, 0x09a},
		"more than any HMAC":        {blob(65, 100), 0x1d5, 0x3d5, 0x095},
		"another hash's":            {blob(48, 100), 0x1df, 0x3d5, 0x1d5},
		"a wrong one":               {blob(32, 100), 0x1df, 0x3d5, 0x1d5},
		"a wrong one of a context":  {blob(64, 100), 0x1df, 0x3d5, 0x1df},
		"nothing behind":            {blob(64, 64), 0x1df, 0x3ca, 0x1d5},
		"too little for a context":  {blob(64, 64+8), 0x1df, 0x3d5, 0x1d5},
		"enough to be some context": {blob(64, 64+9), 0x1df, 0x3d5, 0x1df},
	} {
		expect(t, name+" loaded", p.do(0x157, 1, []uint32{srk.handle}, c.blob, public).rc, c.load)
		expect(t, name+" imported", p.do(0x156, 1, []uint32{srk.handle}, b2(), public, c.blob, b2(), nullScheme).rc, c.duplicate)
		for _, saved := range []uint32{0x80000000, 0x80000001, 0x80000002, 0x02000000, 0x0300003f} {
			expect(t, name+" as a context", p.plain(0x161, uint64(9), saved, hOwner, c.blob).rc, c.context)
		}
		for _, saved := range []uint32{0x80000003, 0x02000040, 0x03000040, 0x02080000} {
			expect(t, "the context of no handle", p.plain(0x161, uint64(9), saved, hOwner, c.blob).rc, 0x1c4)
		}
	}
}

// The list of TPM2_PolicyOR is judged where it is read, the algorithms of TPM2_IncrementalSelfTest when all is read.
func TestListsAreJudgedWhenTheReferenceDoes(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	s := []uint32{start(t, f, 3, 0xb, noSym).handle}
	for i, c := range []struct {
		got, want uint32
	}{
		{p.on(0x171, s, uint32(0)).rc, 0x1d5},
		{p.on(0x171, s, uint32(1)).rc, 0x1d5},
		{p.on(0x171, s, uint32(0), byte(0)).rc, 0x1d5},
		{p.on(0x171, s, uint32(9)).rc, 0x1d5},
		{p.on(0x171, s, uint32(2)).rc, 0x1da},
		{p.on(0x171, s, uint16(0)).rc, 0x1da},
		{p.on(0x171, s, uint32(2), b2(), b2(), byte(0)).rc, 0x095},
		{p.on(0x171, s, uint32(2), b2(), b2()).rc, 0},
		{p.plain(0x142, uint32(1), uint16(0x99)).rc, 0x1c4},
		{p.plain(0x142, uint32(1), uint16(0x99), uint16(0)).rc, 0x095},
		{p.plain(0x142, uint32(2), uint16(0x99)).rc, 0x1da},
		{p.plain(0x142, uint32(1), uint16(0xb)).rc, 0},
	} {
		if c.got != c.want {
			t.Errorf("case %d: response code 0x%x, want 0x%x", i, c.got, c.want)
		}
	}
}
