package engine_test

import (
	"bytes"
	"fmt"
	"testing"
)

// Rules that keep what a key or policy stands for, each with the command that would break it.

const ofThisTPM = fixedTPM | fixedParent | origin | userAuth | noDA | sign

var (
	ecdsa256 = []any{uint16(0x18), uint16(0xb)}
	noTicket = be(uint16(0x8024), hNull, b2())
)

func TestARestrictedKeySignsNothingThatTheTPMDidNotHash(t *testing.T) {
	p := play(t, newFixture(t))
	key := p.primary(eccKey(ofThisTPM|restricted, nil, ecdsa256...)).handle
	for _, c := range []struct {
		data   string
		ticket bool
	}{{"a message", true}, {"\xffTCG and what would pass for a quote", false}, {"\xffTC", false}, {"abc", false}, {"", false}} {
		w := p.plain(0x17d, b2([]byte(c.data)), uint16(0xb), hOwner).reader()
		digest, ticket := bytes.Clone(w.Sized16()), bytes.Clone(w.Rest())
		if got := !bytes.Equal(ticket, noTicket); got != c.ticket {
			t.Errorf("%q: a ticket came: %v", c.data, got)
		}
		want := uint32(0x3e0)
		if c.ticket {
			want = 0
		}
		expect(t, fmt.Sprintf("signing the digest of %q", c.data), p.do(0x15d, 1, []uint32{key}, b2(digest), nullScheme, ticket).rc, want)
		expect(t, "without a ticket", p.do(0x15d, 1, []uint32{key}, b2(digest), nullScheme, noTicket).rc, 0x3e0)
		other := digestOf(0xb, []byte("another message"))
		expect(t, "with a ticket about something else", p.do(0x15d, 1, []uint32{key}, b2(other), nullScheme, ticket).rc, 0x3e0)
	}
}

func TestAKeySignsWithItsOwnSchemeAndHash(t *testing.T) {
	p := play(t, newFixture(t))
	key := p.primary(eccKey(ofThisTPM, nil, ecdsa256...)).handle
	for _, c := range []struct {
		scheme []byte
		want   uint32
	}{{be(nullScheme), 0}, {be(ecdsa256...), 0}, {be(uint16(0x18), uint16(0xc)), 0x2d2}, {be(uint16(0x1c), uint16(0xb)), 0x2d2}} {
		size := 32
		if c.scheme[len(c.scheme)-1] == 0xc {
			size = 48
		}
		expect(t, "the scheme", p.do(0x15d, 1, []uint32{key}, b2(make([]byte, size)), c.scheme, noTicket).rc, c.want)
	}
}

// Whoever knows the private half from outside could sign what looks as if a TPM had made it.
func TestNoKeyFromOutsideIsRestricted(t *testing.T) {
	p := play(t, newFixture(t))
	key := bytes.Repeat([]byte{7}, 32)
	load := func(attrs uint32) uint32 {
		unique := digestOf(0xb, key)
		r := p.plain(0x167, b2(be(uint16(8), b2(), b2(), b2(key))), keyedHash2(attrs, unique, uint16(5), uint16(0xb)), hNull)
		p.flush(r.handle)
		return r.rc
	}
	expect(t, "a signing key", load(userAuth|sign), 0)
	for name, a := range map[string]uint32{"restricted": restricted, "fixedTPM": fixedTPM | fixedParent, "fixedParent": fixedParent} {
		expect(t, name, load(userAuth|sign|a), 0x2c2)
	}
}

func TestNothingUnderAParentThatCanLeaveIsFixedToTheTPM(t *testing.T) {
	p := play(t, newFixture(t))
	srk := p.primary(eccStorage()).handle
	free := publicArea(0x23, storage&^(fixedTPM|fixedParent), nil, uint16(6), uint16(128), uint16(0x43), nullScheme, uint16(3), nullScheme, b2(), b2())
	made := p.do(0x153, 1, []uint32{srk}, secret("", ""), free, nothingMore)
	parent := p.do(0x157, 1, []uint32{srk}, b2(nthSized(made, 0)), b2(nthSized(made, 1))).handle
	create := func(attrs uint32) uint32 {
		return p.do(0x153, 1, []uint32{parent}, secret("", ""), eccKey(attrs, nil, ecdsa256...), nothingMore).rc
	}
	expect(t, "fixedParent alone", create(ofThisTPM&^fixedTPM), 0)
	expect(t, "fixedTPM", create(ofThisTPM), 0x2c2)
}

// An object with stClear, or below one, ends with the next TPM Restart, and so it cannot become persistent.
func TestStClearIsInherited(t *testing.T) {
	p := play(t, newFixture(t))
	template := publicArea(0x23, storage|stClear, nil, uint16(6), uint16(128), uint16(0x43), nullScheme, uint16(3), nullScheme, b2(), b2())
	parent := p.primary(template).handle
	made := p.do(0x153, 1, []uint32{parent}, secret("", ""), eccKey(ofThisTPM, nil, ecdsa256...), nothingMore)
	child := p.do(0x157, 1, []uint32{parent}, b2(nthSized(made, 0)), b2(nthSized(made, 1))).handle
	for name, h := range map[string]uint32{"the parent": parent, "the child": child} {
		w := p.on(0x162, []uint32{h}).reader()
		if w.U64(); w.U32() != 0x80000002 {
			t.Errorf("%s is saved as if it outlived a restart", name)
		}
		expect(t, name+" is made persistent", p.do(0x120, 1, []uint32{hOwner, h}, uint32(0x81000009)).rc, 0x282)
	}
}

func TestEncryptedDuplicationHasBothWrappings(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x14b)))
	srk := p.primary(eccStorage()).handle
	made := p.do(0x153, 1, []uint32{srk}, secret("", ""), eccKey(origin|userAuth|noDA|sign|encDup, policy, ecdsa256...), nothingMore)
	loaded := p.do(0x157, 1, []uint32{srk}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
	key, name := loaded.handle, nthSized(loaded, 0)
	for what, c := range map[string]struct {
		parent uint32
		sym    []byte
		want   uint32
	}{"no outer one": {hNull, aesCFB, 0x285}, "no inner one": {srk, be(nullScheme), 0x2d6}, "both": {srk, aesCFB, 0}} {
		s := policySession(t, f)
		p.on(0x16c, []uint32{s.handle}, uint32(0x14b))
		parentName := nthSized(p.on(0x173, []uint32{srk}), 1)
		r := try(t, f, call{cc: 0x14b, handles: []uint32{key, c.parent}, names: map[uint32][]byte{key: name, srk: parentName}, sessions: []*rawSession{s}, params: be(b2(), c.sym)})
		expect(t, what, r.rc, c.want)
		p.flush(s.handle)
	}
}

func TestAnOlderContextOfASessionDoesNotComeBack(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	s := start(t, f, 0, 0xb, noSym)
	save := func() []byte { return ask(t, f, call{cc: 0x162, handles: []uint32{s.handle}}).params }
	older := save()
	expect(t, "the context", p.do(0x161, 0, nil, older).rc, 0)
	newer := save()
	expect(t, "the older one", p.do(0x161, 0, nil, older).rc, 0x1cb)
	expect(t, "the newer one", p.do(0x161, 0, nil, newer).rc, 0)
}

func TestTheAdminRoleNeedsAPolicyThatNamesTheCommand(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	for name, c := range map[string]struct {
		say  func(s *rawSession)
		want uint32
	}{
		"any command":  {func(s *rawSession) { p.on(0x16f, []uint32{s.handle}, byte(0x1f)) }, 0x99d},
		"this command": {func(s *rawSession) { p.on(0x16c, []uint32{s.handle}, uint32(0x148)) }, 0},
	} {
		trial := start(t, f, 3, 0xb, noSym)
		c.say(trial)
		key := p.primary(eccKey(ofThisTPM|adminPolicy, policyDigest(t, f, trial), ecdsa256...))
		s := policySession(t, f)
		c.say(s)
		r := try(t, f, call{cc: 0x148, handles: []uint32{key.handle, hNull}, names: map[uint32][]byte{key.handle: nthName(key)},
			sessions: []*rawSession{s, pw("")}, params: be(b2(), nullScheme)})
		expect(t, name, r.rc, c.want)
		p.flush(trial.handle, s.handle, key.handle)
	}
}

func TestOnlyAStorageKeyTakesCredentialsAndOnlyADecryptionKeySalts(t *testing.T) {
	p := play(t, newFixture(t))
	key := p.primary(eccKey(fixedTPM|fixedParent|origin|userAuth|noDA|decrypt, nil, nullScheme)).handle
	object := p.primary(eccKey(ofThisTPM, nil, ecdsa256...)).handle
	expect(t, "TPM2_MakeCredential", p.on(0x168, []uint32{key}, b2([]byte("secret")), b2()).rc, 0x18a)
	expect(t, "TPM2_ActivateCredential", p.do(0x147, 2, []uint32{object, key}, b2(make([]byte, 50)), b2(make([]byte, 68))).rc, 0x28a)
	salted := func(h uint32) uint32 {
		r := p.plain(0x176, h, hNull, b2(make([]byte, 16)), b2(be(b2(make([]byte, 32)), b2(make([]byte, 32)))), byte(0), noSym, uint16(0xb))
		return r.rc
	}
	expect(t, "a salt for a signing key", salted(object), 0x182)
	expect(t, "a salt that is no point", salted(key), 0x2e7)
}

func TestAnAssertionIsForOneSessionAndOneCommand(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	d7, d8 := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)
	secretOf := func(s *rawSession, nonce, cpHash []byte) uint32 {
		return p.do(0x151, 1, []uint32{hEndorsement, s.handle}, b2(nonce), b2(cpHash), b2(), uint32(0)).rc
	}
	s := policySession(t, f)
	expect(t, "the nonce of the session", secretOf(s, s.nonceTPM, nil), 0)
	expect(t, "another nonce", secretOf(s, d7[:16], nil), 0x1cf)
	expect(t, "a digest that is none", secretOf(s, nil, d7[:31]), 0x2d5)
	expect(t, "a command", secretOf(s, nil, d7), 0)
	expect(t, "the same once more", secretOf(s, nil, d7), 0)
	expect(t, "another command", secretOf(s, nil, d8), 0x151)
	p.flush(s.handle)

	c := byPolicy(nil)
	rate := c.cpHash(0xb, c.params)
	for name, want := range map[string]uint32{string(rate): 0, string(d8): 0x99d} {
		s := policySession(t, f)
		secretOf(s, nil, []byte(name))
		ownerPolicy(t, f, policyDigest(t, f, s))
		expect(t, "the command that was asserted, or another", try(t, f, byPolicy(s)).rc, want)
		p.flush(s.handle)
	}
}
