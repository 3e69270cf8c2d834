package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine"
)

// Section 2.11 of the engine's check list: audit, self-test, attestation's obfuscation, and the order of checks.

var clockRead = call{cc: 0x181}

// audited runs TPM2_ReadClock in an audit session.
func audited(t testing.TB, f *fixture, s *rawSession, attrs byte) reply {
	t.Helper()
	s.attrs = sContinue | sAudit | attrs
	c := clockRead
	c.sessions = []*rawSession{s}
	return try(t, f, c)
}

// auditDigest asks for the digest of a session: whether it is exclusive, and what it is.
func auditDigest(t testing.TB, f *fixture, s *rawSession) (exclusive bool, digest []byte) {
	t.Helper()
	r := ask(t, f, call{cc: 0x14d, handles: []uint32{hEndorsement, hNull, s.handle}, sessions: []*rawSession{pw(""), pw("")}, params: be(b2(), nullScheme)})
	attest := reply{params: nthSized(r, 0), t: t}.reader()
	attest.Bytes(4 + 2)
	attest.Sized16() // signer
	attest.Sized16() // qualifying data
	attest.Bytes(17 + 8)
	return attest.U8() == 1, bytes.Clone(attest.Sized16())
}

func TestSessionAuditDigestsFollowTheirFormula(t *testing.T) {
	f := newFixture(t)
	for _, alg := range []uint16{4, 0xb, 0xc} {
		s := start(t, f, 0, alg, noSym)
		want := make([]byte, len(digestOf(alg)))
		for range 3 {
			r := audited(t, f, s, 0)
			cp, rp := digestOf(alg, be(uint32(0x181))), digestOf(alg, be(uint32(0), uint32(0x181)), r.params)
			want = digestOf(alg, want, cp, rp)
		}
		if _, got := auditDigest(t, f, s); !bytes.Equal(got, want) {
			t.Errorf("0x%x: digest %x, want %x", alg, got, want)
		}
		play(t, f).flush(s.handle)
	}
	never := start(t, f, 0, 0xb, noSym)
	refusedRaw(t, f, 0x38a, call{cc: 0x14d, handles: []uint32{hEndorsement, hNull, never.handle}, sessions: []*rawSession{pw(""), pw("")}, params: be(b2(), nullScheme)})
}

func TestAuditIsExclusiveUntilAnotherCommandComes(t *testing.T) {
	f := newFixture(t)
	a, b := start(t, f, 0, 0xb, noSym), start(t, f, 0, 0xb, noSym)
	expect(t, "the first use", audited(t, f, a, sExclusive).rc, 0)
	expect(t, "the next", audited(t, f, a, sExclusive).rc, 0)
	ask(t, f, clockRead)
	expect(t, "after another command", audited(t, f, a, sExclusive).rc, 0x121)
	expect(t, "without asking for it", audited(t, f, a, 0).rc, 0)
	expect(t, "it is not won back", audited(t, f, a, sExclusive).rc, 0x121)
	expect(t, "begun anew", audited(t, f, a, sExclusive|sReset).rc, 0)
	if exclusive, _ := auditDigest(t, f, a); !exclusive {
		t.Error("asking for the digest says that it is not exclusive")
	}
	expect(t, "another session", audited(t, f, b, 0).rc, 0)
	expect(t, "takes it away", audited(t, f, a, sExclusive).rc, 0x121)
	expect(t, "and has it", audited(t, f, b, sExclusive).rc, 0)
	refusedRaw(t, f, 0x1c4, call{cc: 0x143, params: []byte{2}}) // a command that fails does not count
	expect(t, "after a refusal", audited(t, f, b, sExclusive).rc, 0)
	ask(t, f, call{cc: 0x145, params: be(uint16(0))})
	expect(t, "after TPM2_Shutdown", audited(t, f, b, sExclusive).rc, 0x121)
}

func TestAResponseTellsWhetherItsAuditSessionIsExclusive(t *testing.T) {
	f := newFixture(t)
	s := start(t, f, 0, 0xb, noSym)
	for _, use := range []struct {
		attrs, answered byte
		between         bool // another command comes first
	}{
		{sContinue, sContinue | sExclusive, false},
		{sContinue, sContinue | sExclusive, false},
		{sContinue, sContinue, true},
		{sContinue | sReset, sContinue | sReset | sExclusive, false},
	} {
		if use.between {
			ask(t, f, clockRead)
		}
		audited(t, f, s, use.attrs)
		if s.answered != use.answered|sAudit {
			t.Errorf("asked with 0x%x the response says 0x%x, want 0x%x", use.attrs|sAudit, s.answered, use.answered|sAudit)
		}
	}
}

// A session keeps either what it is bound to or what it audited, not both.
func TestASessionThatAuditsIsBoundToNothing(t *testing.T) {
	f := newFixture(t)
	ask(t, f, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: b2([]byte("own"))})
	s := start(t, f, 0, 0xb, noSym, boundTo(hOwner, "own"))
	adjust := func(bound bool) uint32 {
		s.bound = bound
		return try(t, f, call{cc: 0x130, handles: []uint32{hOwner}, sessions: []*rawSession{s.with("own", sContinue)}, params: []byte{0}}).rc
	}
	expect(t, "bound", adjust(true), 0)
	c := clockRead
	c.sessions, c.extra = []*rawSession{s.with("", sContinue|sAudit)}, 1
	ask(t, f, c)
	expect(t, "still bound", adjust(true), 0x9a2)
	expect(t, "not bound any more", adjust(false), 0)
}

// What is audited is what came, though a session encrypted it.
func TestCommandAuditCoversParametersAsTheyCame(t *testing.T) {
	f := newFixture(t)
	tapped := &tap{to: f}
	owner := func(params ...any) {
		ask(t, f, call{cc: 0x140, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(params...)})
	}
	owner(uint16(0xc), uint32(0), uint32(0)) // a hash that the session does not have
	owner(uint16(0x10), uint32(1), uint32(0x17d), uint32(0))
	_, _, before, _ := commandAudit(t, f)
	s := start(t, f, 0, 0xb, aesCFB, boundTo(hOwner, ""))
	hash := call{cc: 0x17d, sessions: []*rawSession{s.with("", sContinue|sDecrypt)}, extra: 1, params: be(b2([]byte("some data")), uint16(0xb), hNull)}
	r := ask(t, tapped, hash)
	sent := tapped.command[len(tapped.command)-len(hash.params):]
	if bytes.Equal(sent, hash.params) {
		t.Fatal("the data crossed in the clear")
	}
	want := digestOf(0xc, before, digestOf(0xc, be(uint32(0x17d)), sent), digestOf(0xc, be(uint32(0), uint32(0x17d)), r.params))
	if _, _, got, _ := commandAudit(t, f); !bytes.Equal(got, want) {
		t.Errorf("the digest is %x, want %x", got, want)
	}
}

// tap keeps the last command.
type tap struct {
	to      sender
	command []byte
}

func (s *tap) Send(cmd []byte) ([]byte, error) {
	s.command = bytes.Clone(cmd)
	return s.to.Send(cmd)
}

// commandAudit asks for the counter and the digest of command audit, unsigned.
func commandAudit(t testing.TB, f *fixture) (counter uint64, alg uint16, digest, list []byte) {
	t.Helper()
	r := ask(t, f, call{cc: 0x133, handles: []uint32{hEndorsement, hNull}, sessions: []*rawSession{pw(""), pw("")}, params: be(b2(), nullScheme)})
	attest := reply{params: nthSized(r, 0), t: t}.reader()
	attest.Bytes(4 + 2)
	attest.Sized16()
	attest.Sized16()
	attest.Bytes(17 + 8)
	counter, alg = attest.U64(), attest.U16()
	return counter, alg, bytes.Clone(attest.Sized16()), bytes.Clone(attest.Sized16())
}

func TestCommandAuditCountsWhenADigestBegins(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	key := p.primary(eccKey(fixedTPM|fixedParent|origin|userAuth|noDA|sign, nil, uint16(0x18), uint16(0xb)))
	start0, _, digest, list := commandAudit(t, f)
	if len(digest) != 0 || !bytes.Equal(list, digestOf(0xb, be(uint32(0x140)))) {
		t.Errorf("at first the digest is %x, of commands %x", digest, list)
	}
	set := call{cc: 0x140, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(uint16(0x10), uint32(1), uint32(0x181), uint32(0))}
	ask(t, f, set)
	want := func(digest []byte, cc uint32, names, params, answer []byte) []byte {
		if digest == nil {
			digest = make([]byte, 32)
		}
		return digestOf(0xb, digest, digestOf(0xb, be(cc), names, params), digestOf(0xb, be(uint32(0), cc), answer))
	}
	expected := want(nil, 0x140, be(hOwner), set.params, nil)
	clock := ask(t, f, clockRead)
	expected = want(expected, 0x181, nil, nil, clock.params)
	counter, _, digest, list := commandAudit(t, f)
	if counter != start0+1 || !bytes.Equal(digest, expected) || !bytes.Equal(list, digestOf(0xb, be(uint32(0x140), uint32(0x181)))) {
		t.Errorf("counter %d after %d, digest %x, want %x, list %x", counter, start0, digest, expected, list)
	}
	// A signed answer ends the digest; the next audited command begins one and counts.
	ask(t, f, call{cc: 0x133, handles: []uint32{hEndorsement, key.handle}, sessions: []*rawSession{pw(""), pw("")}, params: be(b2(), nullScheme)})
	if counter, _, digest, _ := commandAudit(t, f); counter != start0+1 || len(digest) != 0 {
		t.Errorf("after a signed answer: counter %d, digest %x", counter, digest)
	}
	ask(t, f, clockRead)
	if counter, _, digest, _ := commandAudit(t, f); counter != start0+2 || len(digest) != 32 {
		t.Errorf("after the next command: counter %d, digest %x", counter, digest)
	}
	expect(t, "an algorithm together with a list", p.do(0x140, 1, []uint32{hOwner}, uint16(0xc), uint32(1), uint32(0x17b), uint32(0)).rc, 0x1c4)
	ask(t, f, call{cc: 0x140, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(uint16(0xc), uint32(0), uint32(0))})
	if _, alg, digest, _ := commandAudit(t, f); alg != 0xc || len(digest) != 48 {
		t.Errorf("algorithm 0x%x, digest %x", alg, digest)
	}
	for _, cc := range []uint32{0x140, 0x145} { // the one is always audited, TPM2_Shutdown never
		p.do(0x140, 1, []uint32{hOwner}, uint16(0x10), uint32(1), cc, uint32(0))
		p.do(0x140, 1, []uint32{hOwner}, uint16(0x10), uint32(0), uint32(1), uint32(0x140))
	}
	if got := listed(t, f, 4, 0, 4); len(got) != 2 || binary.BigEndian.Uint32(got[0]) != 0x140 {
		t.Errorf("audited commands: %x", got)
	}
}

func TestSelfTestsAreDoneAndSayNothing(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	expect(t, "TPM2_SelfTest", p.plain(0x143, byte(1)).rc, 0)
	if r := p.plain(0x142, uint32(2), uint16(0xb), uint16(1)); r.rc != 0 || r.reader().U32() != 0 {
		t.Errorf("TPM2_IncrementalSelfTest leaves %x to do", r.params)
	}
	if r := p.plain(0x17c); !bytes.Equal(r.params, be(b2(), uint32(0))) {
		t.Errorf("TPM2_GetTestResult answers %x", r.params)
	}
}

// brokenRand fails when it is told to: then a command meets a fault that is not the caller's.
type brokenRand struct {
	stream
	broken bool
	left   int // reads that still succeed
}

func (r *brokenRand) Read(p []byte) (int, error) {
	if r.broken && r.left == 0 {
		return 0, errors.New("no entropy")
	}
	r.left = max(0, r.left-1)
	return r.stream.Read(p)
}

// In failure mode a TPM answers two commands, until it is started again.
func TestFailureModeAnswersTwoCommandsUntilTheNextPowerOn(t *testing.T) {
	rand := &brokenRand{}
	f := newFixture(t, func(c *engine.Config) { c.Rand = rand })
	p := play(t, f)
	extendPCR(t, f, 5, "kept")
	rand.broken = true
	expect(t, "the command that fails", p.plain(0x17b, uint16(8)).rc, 0x101)
	rand.broken = false
	for _, cc := range []uint32{0x17b, 0x181, 0x17e, 0x143, 0x144} {
		expect(t, "another command", p.plain(cc, make([]byte, 4)).rc, 0x101)
	}
	if r := p.plain(0x17c); !bytes.Equal(r.params, be(b2(), uint32(0x101))) {
		t.Errorf("TPM2_GetTestResult answers %x", r.params)
	}
	expect(t, "TPM2_GetCapability", p.plain(0x17a, uint32(6), uint32(0x100), uint32(4)).rc, 0)
	if err := f.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	expect(t, "TPM2_Startup", p.plain(0x144, uint16(0)).rc, 0)
	expect(t, "afterwards", p.plain(0x17b, uint16(8)).rc, 0)
}

// A TPM2_Clear that breaks between the owner's hierarchy and the endorsement's leaves both as they were, when the TPM is
// started again.
func TestWhatABrokenCommandLeftHalfDoneIsNotKept(t *testing.T) {
	for name, restart := range map[string]func(*fixture) error{
		"PowerCycle": func(f *fixture) error {
			if err := f.PowerCycle(); err != nil {
				return err
			}
			_, err := startUpClear.Execute(f)
			return err
		},
		"Reset": func(f *fixture) error { return f.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			rand := &brokenRand{}
			f := newFixture(t, func(c *engine.Config) { c.Rand = rand })
			p := play(t, f)
			before := p.primary(eccStorage())
			p.flush(before.handle)
			rand.broken, rand.left = true, 3
			expect(t, "TPM2_Clear", p.do(0x126, 1, []uint32{hLockout}).rc, 0x101)
			rand.broken = false
			if err := restart(f); err != nil {
				t.Fatal(err)
			}
			if after := p.primary(eccStorage()); !bytes.Equal(nthSized(after, 0), nthSized(before, 0)) {
				t.Error("the owner's seed is another one")
			}
		})
	}
}

// Counters that tell one TPM from another are obfuscated for signers outside of the endorsement and platform hierarchies: by
// KDFa of the owner's proof, label "OBFUSCATE" and the signer, so that they stay what they are for one signer.
func TestCountersAreObfuscatedForSomeSigners(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		if err := f.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	p := play(t, f)
	type counts struct {
		resets, restarts uint32
		firmware         uint64
	}
	told := func(signer uint32) counts { // by TPM2_GetTime
		r := p.do(0x14c, 2, []uint32{hEndorsement, signer}, b2(), uint16(0x18), uint16(0xb))
		attest := reply{params: nthSized(r, 0), t: t}.reader()
		attest.Bytes(4 + 2)
		attest.Sized16()
		attest.Sized16()
		attest.U64()
		c := counts{attest.U32(), attest.U32(), 0}
		attest.U8()
		c.firmware = attest.U64()
		return c
	}
	signer := func(root uint32) uint32 {
		r := p.do(0x131, 1, []uint32{root}, secret("", ""), eccKey(fixedTPM|fixedParent|origin|userAuth|noDA|sign, nil, nullScheme), nothingMore)
		return r.handle
	}
	bare := counts{resets: 4, firmware: 1 << 32}
	owner, endorsement, platform := signer(hOwner), signer(hEndorsement), signer(hPlatform)
	for h, plain := range map[uint32]bool{owner: false, endorsement: true, platform: true} {
		got := told(h)
		if (got == bare) != plain {
			t.Errorf("0x%x: %+v", h, got)
		}
		if !plain && (got.resets == bare.resets || got.restarts == bare.restarts || got.firmware == bare.firmware) {
			t.Errorf("0x%x: %+v shows one of %+v", h, got, bare)
		}
		if again := told(h); again != got {
			t.Errorf("0x%x: %+v, then %+v", h, got, again)
		}
	}
	null := told(hNull)
	if null.firmware == told(owner).firmware || null.firmware == bare.firmware {
		t.Error("the null signer is told what the owner's is")
	}
	ask(t, f, call{cc: 0x126, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}}) // TPM2_Clear: a new proof
	if told(hNull).firmware == null.firmware {
		t.Error("the null signer is told the same whatever the TPM")
	}
}

// Checks come in this order, and each failure hides those after it: header, code, handles, sessions, authorization,
// parameters, trailing bytes, command.
func TestChecksComeInTheOrderOfTheSpecification(t *testing.T) {
	f := newFixture(t)
	frame := func(tag uint16, size int, cc uint32, body ...any) []byte {
		b := be(body...)
		return be(tag, uint32(10+len(b)+size), cc, b)
	}
	badAuth := be(uint32(pwHandle), uint16(0), byte(0), b2([]byte("wrong")))
	goodAuth := be(uint32(pwHandle), uint16(0), byte(0), uint16(0))
	badSession := be(uint32(0x02000007), uint16(0), byte(0), uint16(0))
	area := func(a []byte) []byte { return be(uint32(len(a)), a) }
	badParam := be(^uint64(0)) // for TPM2_ClockSet
	for i, c := range []struct {
		what string
		cmd  []byte
		want uint32
	}{
		{"the tag", frame(0x1234, 1, 0x999, uint32(5)), 0x1e},
		{"the size", frame(0x8002, 1, 0x999, uint32(5)), 0x142},
		{"the code", frame(0x8002, 0, 0x999, uint32(5)), 0x143},
		{"the handle's kind", frame(0x8002, 0, 0x128, hEndorsement, area(badSession), badParam[:3]), 0x184},
		{"a handle cut short", frame(0x8002, 0, 0x128, byte(1)), 0x19a},
		{"an object that is not there", frame(0x8002, 0, 0x15e, uint32(0x80000000), area(badSession)), 0x910},
		{"no authorization", frame(0x8001, 0, 0x128, hOwner, badParam[:3]), 0x125},
		{"the size of the area", frame(0x8002, 0, 0x128, hOwner, uint32(500), badSession), 0x95},
		{"the session", frame(0x8002, 0, 0x128, hOwner, area(badSession), badParam[:3]), 0x918},
		{"the auth value", frame(0x8002, 0, 0x128, hOwner, area(badAuth), badParam[:3]), 0x9a2},
		{"a parameter cut short", frame(0x8002, 0, 0x128, hOwner, area(goodAuth), badParam[:3]), 0x1da},
		{"bytes after the last", frame(0x8002, 0, 0x128, hOwner, area(goodAuth), badParam, byte(0)), 0x95},
		{"the command itself", frame(0x8002, 0, 0x128, hOwner, area(goodAuth), badParam), 0x1c4},
		{"nothing", frame(0x8002, 0, 0x128, hOwner, area(goodAuth), uint64(1)<<40), 0},
	} {
		if got := raw(t, f, c.cmd); got != c.want {
			t.Errorf("%d, %s: 0x%x, want 0x%x", i, c.what, got, c.want)
		}
	}
	off := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	for cc, want := range map[uint32]uint32{0x999: 0x143, 0x128: 0x100, 0x17b: 0x100} {
		if got := raw(t, off, frame(0x8001, 0, cc)); got != want {
			t.Errorf("before TPM2_Startup command 0x%x gives 0x%x, want 0x%x", cc, got, want)
		}
	}
}
