package engine_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine"
)

// Section 2.2 of the engine's check list: sessions (part 1, 19).

func play(t testing.TB, f *fixture) *player { return &player{t, f} }

// setAuth gives a hierarchy an auth value.
func setAuth(t testing.TB, f *fixture, who uint32, auth, fresh string) {
	t.Helper()
	ask(t, f, call{cc: 0x129, handles: []uint32{who}, sessions: []*rawSession{pw(auth)}, params: b2([]byte(fresh))})
}

// rsaSalt encrypts a salt for a loaded storage key from outside the TPM; for a P-256 key secretFor does.
func rsaSalt(t testing.TB, public []byte) (salt, sent []byte) {
	t.Helper()
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(public[len(public)-256:]), E: 65537}
	salt = bytes.Repeat([]byte{0x5a}, 32)
	sent, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, salt, []byte("SECRET\x00"))
	if err != nil {
		t.Fatal(err)
	}
	return salt, sent
}

// saltings are the ways to start a session, each with a fresh salt: none, and for either key.
func saltings(t testing.TB, rsaKey, eccKey reply) map[string]func() []func(*startOptions) {
	return map[string]func() []func(*startOptions){
		"unsalted": func() []func(*startOptions) { return nil },
		"RSA": func() []func(*startOptions) {
			salt, sent := rsaSalt(t, nthSized(rsaKey, 0))
			return []func(*startOptions){saltedBy(rsaKey.handle, salt, sent)}
		},
		"ECC": func() []func(*startOptions) {
			salt, sent := secretFor(t, nthSized(eccKey, 0), "SECRET")
			return []func(*startOptions){saltedBy(eccKey.handle, salt, sent)}
		},
	}
}

// Bound or not, salted or not, under each hash: the key is KDFa("ATH") of auth value and salt, and empty without both.
func TestSessionKeysComeFromBindAndSalt(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	rsaKey := p.primary(publicArea(1, storage, nil, aesCFB, nullScheme, uint16(2048), uint32(0), b2()))
	eccKey := p.primary(eccStorage())
	setAuth(t, f, hEndorsement, "", "the owner")
	for alg := range hashes {
		for name, salt := range saltings(t, rsaKey, eccKey) {
			t.Run(fmt.Sprintf("%x %s", alg, name), func(t *testing.T) {
				free := start(t, f, 0, alg, noSym, salt()...).with("the owner", sContinue)
				bound := start(t, f, 0, alg, noSym, append(salt(), boundTo(hEndorsement, "the owner"))...).with("the owner", 0)
				bound.bound = true
				change := func(s *rawSession) call {
					return call{cc: 0x129, handles: []uint32{hEndorsement}, sessions: []*rawSession{s}, params: b2([]byte("the owner"))}
				}
				if len(free.nonceTPM) != 16 {
					t.Errorf("a nonce of %d bytes for one of 16", len(free.nonceTPM))
				}
				ask(t, f, change(free))
				ask(t, f, change(free))
				ask(t, f, change(bound))
				free.auth = []byte("guess")
				refusedRaw(t, f, 0x9a2, change(free))
				free.attrs, free.auth = 0, []byte("the owner")
				ask(t, f, change(free))
				refusedRaw(t, f, 0x918, change(free)) // it ended
			})
		}
	}
}

func TestABoundSessionUnbindsWhenTheAuthValueChanges(t *testing.T) {
	f := newFixture(t)
	setAuth(t, f, hOwner, "", "old")
	s := start(t, f, 0, 0xb, noSym, boundTo(hOwner, "old")).with("old", sContinue)
	s.bound = true
	change := func(fresh string) call {
		return call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: b2([]byte(fresh))}
	}
	ask(t, f, change("old"))
	setAuth(t, f, hOwner, "old", "new")
	refusedRaw(t, f, 0x9a2, change("newer"))
	s.bound, s.auth = false, []byte("new")
	ask(t, f, change("new"))
	// Of another entity the session never knew the value.
	other := call{cc: 0x129, handles: []uint32{hEndorsement}, sessions: []*rawSession{s}, params: b2()}
	refusedRaw(t, f, 0x9a2, other)
	s.auth = nil
	ask(t, f, other)
}

// A session bound to a PIN index would use its auth value as often as it likes, for a bound session sends it no more.
func TestSessionsBindToWhatHasASecretAndDoesNotCountItsUses(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	for kind, want := range map[uint32]uint32{0x00: 0, 0x10: 0, 0x80: 0x28b, 0x90: 0x28b} {
		index := 0x01800000 + kind
		expect(t, "the index is defined", p.do(0x12a, 1, []uint32{hOwner}, b2([]byte("pin")), nvPublic(index, 0x02020002|kind, 8)).rc, 0)
		r := p.plain(0x176, hNull, index, b2(make([]byte, 16)), b2(), byte(0), noSym, uint16(0xb))
		expect(t, fmt.Sprintf("an index with the attributes 0x%x", kind), r.rc, want)
		p.flush(r.handle)
	}
	parent := p.primary(eccStorage())
	public := nthSized(parent, 0)
	p.flush(parent.handle)
	half := p.plain(0x167, b2(), b2(public), hOwner)
	expect(t, "the public half of a key", p.plain(0x176, hNull, half.handle, b2(make([]byte, 16)), b2(), byte(0), noSym, uint16(0xb)).rc, 0x28b)
}

func TestTrailingZerosOfAuthValuesDoNotCount(t *testing.T) {
	f := newFixture(t)
	setAuth(t, f, hOwner, "", "value\x00\x00")
	for _, auth := range []string{"value", "value\x00", "value\x00\x00\x00"} {
		setAuth(t, f, hOwner, auth, "value\x00")
	}
	s := start(t, f, 0, 0xb, noSym).with("value", sContinue)
	ask(t, f, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: b2([]byte("value\x00\x00"))})
	setAuth(t, f, hOwner, "value", "\x00\x00\x00")
	setAuth(t, f, hOwner, "", "")
	refusedRaw(t, f, 0x9a2, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{pw("\x00x")}, params: b2()})
}

// cpHash covers names: an index that was written has another one, which the client must use.
func TestTheHMACCoversNamesAndNotHandles(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 8, tpmaNV{})
	old := x.name().Buffer
	s := start(t, f, 0, 0xb, noSym).with("nv", sContinue)
	write := func(name []byte) call {
		return call{cc: 0x137, handles: []uint32{0x01800001, 0x01800001}, names: map[uint32][]byte{0x01800001: name},
			sessions: []*rawSession{s}, params: be(b2([]byte("data")), uint16(0))}
	}
	ask(t, f, write(old))
	refusedRaw(t, f, 0x98e, write(old))
	ask(t, f, write(x.name().Buffer))
	refusedRaw(t, f, 0x98e, write(nil))
}

func TestThreeSessionsAtMostAndTheirNoncesEnterTheFirstHMAC(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	parent := p.primary(eccStorage())
	names := map[uint32][]byte{parent.handle: nthName(parent)}
	create := func(sessions ...*rawSession) call {
		return call{cc: 0x153, handles: []uint32{parent.handle}, names: names, sessions: sessions, extra: len(sessions) - 1,
			params: be(secret("pin", "sealed"), keyedHash(userAuth|noDA, nil, nullScheme), nothingMore)}
	}
	user, dec, enc := start(t, f, 0, 0xb, noSym), start(t, f, 0, 0xb, aesCFB), start(t, f, 0, 0xb, aesCFB)
	user.with("", sContinue)
	dec.with("", sContinue|sDecrypt)
	enc.with("", sContinue|sEncrypt)
	made := ask(t, f, create(user, dec, enc))
	load := ask(t, f, call{cc: 0x157, handles: []uint32{parent.handle}, names: names, sessions: []*rawSession{pw("")},
		params: be(b2(nthSized(made, 0)), b2(nthSized(made, 1))), returns: true})
	if got := nthSized(ask(t, f, call{cc: 0x15e, handles: []uint32{load.handle}, sessions: []*rawSession{pw("pin")}}), 0); string(got) != "sealed" {
		t.Errorf("unsealed %q", got)
	}
	ask(t, f, create(user, enc, dec))
	both := dec.with("", sContinue|sDecrypt|sEncrypt)
	ask(t, f, create(user, both))
	ask(t, f, create(pw(""), both))
	dec.attrs = sContinue | sDecrypt
	refusedRaw(t, f, 0xc95, create(user, dec, enc, pw("")))
}

// Parameter encryption covers a leading sized buffer, under session key and the auth value of what the session authorizes.
func TestParametersAreEncryptedByEachCipherOnTheirWayInAndOut(t *testing.T) {
	for name, sym := range map[string][]byte{"AES": aesCFB, "SM4": sm4CFB, "XOR": {0, 0xa, 0, 0xb}, "XOR with SM3": {0, 0xa, 0, 0x12}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			x := define(t, f, 0x01800001, 40, tpmaNV{})
			data := bytes.Repeat([]byte("0123456789"), 4)
			names := func() map[uint32][]byte { return map[uint32][]byte{0x01800001: x.name().Buffer} }
			on := []uint32{0x01800001, 0x01800001}
			for _, bind := range []bool{false, true} {
				var s *rawSession
				if bind {
					s = start(t, f, 0, 0xb, sym, boundTo(0x01800001, "nv")).with("nv", sContinue)
				} else {
					s = start(t, f, 0, 0xb, sym).with("nv", sContinue)
				}
				s.attrs |= sDecrypt
				s.bound = bind
				ask(t, f, call{cc: 0x137, handles: on, names: names(), sessions: []*rawSession{s}, params: be(b2(data), uint16(0))})
				if got := run(t, f, x.read(40, 0)).Data.Buffer; !bytes.Equal(got, data) {
					t.Errorf("bound %v: %q was written", bind, got)
				}
				s.attrs = sContinue | sEncrypt
				r := ask(t, f, call{cc: 0x14e, handles: on, names: names(), sessions: []*rawSession{s}, params: be(uint16(40), uint16(0))})
				if got := nthSized(r, 0); !bytes.Equal(got, data) {
					t.Errorf("bound %v: %q was read", bind, got)
				}
			}
		})
	}
}

// The HMAC is over the parameter as it was sent: it is checked before anything is decrypted, and made after encryption.
func TestADamagedHMACStopsACommandBeforeItsParametersAreRead(t *testing.T) {
	f := newFixture(t)
	s := start(t, f, 0, 0xb, aesCFB).with("", sContinue|sDecrypt)
	s.damage = true
	refusedRaw(t, f, 0x9a2, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: be(b2(make([]byte, 80)))})
	s.damage = false
	refusedRaw(t, f, 0x1d5, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: be(b2(make([]byte, 80)))})
	refusedRaw(t, f, 0x9a2, call{cc: 0x17b, sessions: []*rawSession{{handle: s.handle, alg: 0xb, sym: aesCFB, attrs: sContinue | sEncrypt,
		nonceTPM: s.nonceTPM, damage: true}}, params: be(uint16(8))})
}

func TestSessionAttributesMustMakeSense(t *testing.T) {
	f := newFixture(t)
	plain, cipher := start(t, f, 0, 0xb, noSym), start(t, f, 0, 0xb, aesCFB)
	policy := start(t, f, 1, 0xb, aesCFB)
	policy.noHMAC = true
	const random, clock, stir = 0x17b, 0x181, 0x146
	for name, c := range map[string]struct {
		cc       uint32
		s        *rawSession
		attrs    byte
		password bool
		want     uint32
	}{
		"a session without use":                    {cc: random, s: plain, want: 0x982},
		"encrypt without a cipher":                 {cc: random, s: plain, attrs: sEncrypt, want: 0x996},
		"encrypt of a sized answer":                {cc: random, s: cipher, attrs: sEncrypt},
		"decrypt where no sized parameter is":      {cc: random, s: cipher, attrs: sDecrypt, want: 0x982},
		"encrypt where no sized answer is":         {cc: clock, s: cipher, attrs: sEncrypt, want: 0x982},
		"decrypt of a sized parameter":             {cc: stir, s: cipher, attrs: sDecrypt},
		"both where only one goes":                 {cc: stir, s: cipher, attrs: sDecrypt | sEncrypt, want: 0x982},
		"audit":                                    {cc: clock, s: plain, attrs: sAudit},
		"exclusive and reset without audit":        {cc: random, s: cipher, attrs: sEncrypt | sExclusive | sReset},
		"exclusive without any use":                {cc: clock, s: plain, attrs: sExclusive, want: 0x982},
		"audit, exclusive and reset":               {cc: clock, s: plain, attrs: sAudit | sExclusive | sReset},
		"audit by a policy session":                {cc: clock, s: policy, attrs: sAudit, want: 0x982},
		"encrypt by a policy session":              {cc: random, s: policy, attrs: sEncrypt},
		"a reserved bit":                           {cc: clock, s: plain, attrs: sAudit | 8, want: 0x9a1},
		"a password that audits":                   {cc: clock, s: pw(""), attrs: sAudit, want: 0x982},
		"a password where nothing is to authorize": {cc: clock, s: pw(""), want: 0x98b},
	} {
		t.Run(name, func(t *testing.T) {
			c.s.attrs = c.attrs | sContinue
			params := []byte(nil)
			switch c.cc {
			case random:
				params = be(uint16(8))
			case stir:
				params = b2([]byte("stir"))
			}
			if r := try(t, f, call{cc: c.cc, sessions: []*rawSession{c.s}, params: params}); r.rc != c.want {
				t.Errorf("response code 0x%x, want 0x%x", r.rc, c.want)
			}
		})
	}
	plain.attrs, cipher.attrs = sAudit|sContinue, sAudit|sContinue
	refusedRaw(t, f, 0xa82, call{cc: clock, sessions: []*rawSession{plain, cipher}}) // two that audit
	refusedRaw(t, f, 0xa8b, call{cc: clock, sessions: []*rawSession{plain, plain}})
	for _, cc := range []uint32{0x165, 0x162, 0x161} { // FlushContext, ContextSave, ContextLoad take none
		c := call{cc: cc, sessions: []*rawSession{plain}, params: make([]byte, 30)}
		if cc == 0x162 {
			c.handles = []uint32{plain.handle}
		}
		refusedRaw(t, f, 0x145, c)
	}
}

// PolicyAuthValue asks for the value in the HMAC, PolicyPassword for the value itself. With neither the HMAC may be empty;
// the nonce rolls all the same, which try checks.
func TestPolicySessionsCarryWhatTheirPolicyAsksFor(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	setAuth(t, f, hOwner, "", "secret")
	for name, c := range map[string]struct {
		policy uint32 // command that goes into the policy
		change func(s *rawSession)
		want   uint32
	}{
		"the value in the HMAC":           {0x16b, func(*rawSession) {}, 0},
		"the value missing in the HMAC":   {0x16b, func(s *rawSession) { s.auth = nil }, 0x9a2},
		"the value in the clear":          {0x18c, func(s *rawSession) { s.password = true }, 0},
		"a wrong value in the clear":      {0x18c, func(s *rawSession) { s.password, s.auth = true, []byte("guess") }, 0x9a2},
		"an HMAC in place of the value":   {0x18c, func(*rawSession) {}, 0x9a2},
		"no value is asked for":           {0x187, func(s *rawSession) { s.noHMAC = true }, 0},
		"no value is asked for but given": {0x187, func(s *rawSession) {}, 0x9a2},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, f, 1, 0xb, noSym).with("secret", 0)
			p.on(c.policy, []uint32{s.handle})
			digest := nthSized(ask(t, f, call{cc: 0x189, handles: []uint32{s.handle}}), 0)
			ask(t, f, call{cc: 0x12e, handles: []uint32{hOwner}, sessions: []*rawSession{pw("secret")}, params: be(b2(digest), uint16(0xb))})
			c.change(s)
			f.SetPhysicalPresence(true)
			if r := try(t, f, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: b2([]byte("secret"))}); r.rc != c.want {
				t.Errorf("response code 0x%x, want 0x%x", r.rc, c.want)
			}
			p.flush(s.handle)
		})
	}
}

func TestSixtyFourSessionsMayExistAndThreeBeLoaded(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	for range 64 {
		s := start(t, f, 0, 0xb, noSym)
		ask(t, f, call{cc: 0x162, handles: []uint32{s.handle}})
	}
	open := call{cc: 0x176, params: be(hNull, hNull, b2(make([]byte, 16)), b2(), byte(0), noSym, uint16(0xb)), returns: true}
	refusedRaw(t, f, 0x905, open)
	if got := listed(t, f, 1, 0x03000000, 4); len(got) != 64 {
		t.Errorf("%d saved sessions", len(got))
	}
	p.flush(0x02000007) // a saved session can be flushed by its handle
	if r := ask(t, f, open); r.handle != 0x02000007 {
		t.Errorf("the next session is 0x%x", r.handle)
	}
}

// The oldest saved session must not fall too far behind: TPM_PT_CONTEXT_GAP_MAX.
func TestTheOldestSavedSessionHoldsTheOthersBack(t *testing.T) {
	if testing.Short() {
		t.Skip("65,535 saved contexts")
	}
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	run(t, f, startUpClear)
	gap := int(properties(t, f)[0x114])
	oldest, s := start(t, f, 0, 0xb, noSym), start(t, f, 0, 0xb, noSym)
	save := call{cc: 0x162, handles: []uint32{s.handle}}
	old := ask(t, f, call{cc: 0x162, handles: []uint32{oldest.handle}})
	for i := range gap {
		saved := ask(t, f, save)
		if r := try(t, f, call{cc: 0x161, params: saved.params, returns: true}); r.rc != 0 {
			t.Fatalf("load %d of %d: 0x%x", i, gap, r.rc)
		}
	}
	refusedRaw(t, f, 0x901, save)
	ask(t, f, call{cc: 0x161, params: old.params, returns: true})
	ask(t, f, save)
}
