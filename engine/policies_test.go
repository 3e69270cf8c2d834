package engine_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// Section 2.3 of the engine's check list: what a policy session keeps beside its digest (part 1, 19.7; part 3, 23).

// policySession starts a policy session that carries no secret.
func policySession(t testing.TB, f *fixture) *rawSession {
	t.Helper()
	s := start(t, f, 1, 0xb, noSym)
	s.noHMAC = true
	return s
}

// policyDigest reads the digest of a session.
func policyDigest(t testing.TB, f *fixture, s *rawSession) []byte {
	t.Helper()
	return nthSized(ask(t, f, call{cc: 0x189, handles: []uint32{s.handle}}), 0)
}

// ownerPolicy makes a digest the policy of the owner, whose auth value is nobody's.
func ownerPolicy(t testing.TB, f *fixture, digest []byte) {
	t.Helper()
	alg := uint16(0xb)
	if len(digest) == 0 {
		alg = 0x10
	}
	ask(t, f, call{cc: 0x12e, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(b2(digest), alg)})
}

// byPolicy sets the clock rate as the owner: a command that changes nothing.
func byPolicy(s *rawSession) call {
	return call{cc: 0x130, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: []byte{0}}
}

func TestDigestsOfPoliciesFollowTheirFormula(t *testing.T) {
	f := newFixture(t)
	zero, d7, d8 := make([]byte, 32), bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)
	name := be(uint16(0xb), d7)
	pcrs := be(uint32(1), uint16(0xb), byte(3), byte(1), byte(0), byte(0))
	for title, c := range map[string]struct {
		cc     uint32
		params []byte
		want   []byte
	}{
		"AuthValue":        {0x16b, nil, digestOf(0xb, zero, be(uint32(0x16b)))},
		"Password":         {0x18c, nil, digestOf(0xb, zero, be(uint32(0x16b)))},
		"PhysicalPresence": {0x187, nil, digestOf(0xb, zero, be(uint32(0x187)))},
		"CommandCode":      {0x16c, be(uint32(0x15e)), digestOf(0xb, zero, be(uint32(0x16c), uint32(0x15e)))},
		"Locality":         {0x16f, []byte{3}, digestOf(0xb, zero, be(uint32(0x16f), byte(3)))},
		"NvWritten":        {0x18f, []byte{1}, digestOf(0xb, zero, be(uint32(0x18f), byte(1)))},
		"CpHash":           {0x16e, b2(d7), digestOf(0xb, zero, be(uint32(0x16e), d7))},
		"NameHash":         {0x170, b2(d7), digestOf(0xb, zero, be(uint32(0x170), d7))},
		"Template":         {0x190, b2(d7), digestOf(0xb, zero, be(uint32(0x190), d7))},
		"PCR":              {0x17f, be(b2(), pcrs), digestOf(0xb, zero, be(uint32(0x17f), pcrs, digestOf(0xb, zero)))},
		"OR of two":        {0x171, be(uint32(2), b2(zero), b2(d7)), digestOf(0xb, zero, be(uint32(0x171), zero, d7))},
		"OR of eight": {0x171, be(uint32(8), b2(d7), b2(d7), b2(d7), b2(d7), b2(d7), b2(d7), b2(d7), b2(zero)),
			digestOf(0xb, zero, be(uint32(0x171)), bytes.Repeat(d7, 7), zero)},
		"DuplicationSelect":           {0x188, be(b2(name), b2(name), byte(0)), digestOf(0xb, zero, be(uint32(0x188), name, byte(0)))},
		"DuplicationSelect of object": {0x188, be(b2(name), b2(name), byte(1)), digestOf(0xb, zero, be(uint32(0x188), name, name, byte(1)))},
		"CounterTimer": {0x16d, be(b2([]byte{0, 0}), uint16(0), uint16(0)),
			digestOf(0xb, zero, be(uint32(0x16d), digestOf(0xb, []byte{0, 0}, be(uint16(0), uint16(0)))))},
	} {
		t.Run(title, func(t *testing.T) {
			for _, kind := range []byte{1, 3} {
				s := start(t, f, kind, 0xb, noSym)
				ask(t, f, call{cc: c.cc, handles: []uint32{s.handle}, params: c.params})
				if got := policyDigest(t, f, s); !bytes.Equal(got, c.want) {
					t.Errorf("kind %d: digest %x, want %x", kind, got, c.want)
				}
				play(t, f).flush(s.handle)
			}
		})
	}
	secret := func(kind byte) []byte {
		s := start(t, f, kind, 0xb, noSym)
		ask(t, f, call{cc: 0x151, handles: []uint32{hOwner, s.handle}, sessions: []*rawSession{pw("")}, params: be(b2(), b2(), b2([]byte("ref")), uint32(0))})
		got := policyDigest(t, f, s)
		play(t, f).flush(s.handle)
		return got
	}
	want := digestOf(0xb, digestOf(0xb, zero, be(uint32(0x151), hOwner)), []byte("ref"))
	if got := secret(1); !bytes.Equal(got, want) || !bytes.Equal(secret(3), want) {
		t.Errorf("PolicySecret: digest %x, want %x", got, want)
	}
	// Policies that stand for others start from zeros: PolicyOR and PolicyAuthorize, whatever was there.
	s := start(t, f, 3, 0xb, noSym)
	p := play(t, f)
	p.on(0x16b, []uint32{s.handle})
	p.on(0x171, []uint32{s.handle}, uint32(2), b2(d7), b2(d8))
	if got, want := policyDigest(t, f, s), digestOf(0xb, zero, be(uint32(0x171), d7, d8)); !bytes.Equal(got, want) {
		t.Errorf("OR after AuthValue: %x, want %x", got, want)
	}
	p.on(0x16a, []uint32{s.handle}, b2(d8), b2([]byte("ref")), b2(name), uint16(0x8022), hNull, b2())
	if got, want := policyDigest(t, f, s), digestOf(0xb, digestOf(0xb, zero, be(uint32(0x16a), name)), []byte("ref")); !bytes.Equal(got, want) {
		t.Errorf("Authorize: %x, want %x", got, want)
	}
}

// cpHash, nameHash and templateHash share one slot: the first takes it.
func TestOneSlotHoldsTheDigestACommandMustMatch(t *testing.T) {
	f := newFixture(t)
	d := bytes.Repeat([]byte{7}, 32)
	for _, first := range []uint32{0x16e, 0x170, 0x190} {
		for _, second := range []uint32{0x16e, 0x170, 0x190, 0x188} {
			s := policySession(t, f)
			ask(t, f, call{cc: first, handles: []uint32{s.handle}, params: b2(d)})
			params := b2(d)
			if second == 0x188 {
				params = be(b2(), b2(be(uint16(0xb), d)), byte(0))
			}
			want := uint32(0x151)
			if second == first && second != 0x170 { // a name hash is said once
				want = 0
			}
			refusedRaw(t, f, want, call{cc: second, handles: []uint32{s.handle}, params: params})
			if second == first {
				other := map[uint32]uint32{0x16e: 0x151, 0x170: 0x151, 0x190: 0x1c4}[second]
				refusedRaw(t, f, other, call{cc: second, handles: []uint32{s.handle}, params: b2(bytes.Repeat([]byte{8}, 32))})
			}
			play(t, f).flush(s.handle)
		}
	}
}

func TestADigestInTheSlotStopsEveryOtherCommand(t *testing.T) {
	template := eccStorage()
	cpHash := func(rate byte) []byte { return digestOf(0xb, be(uint32(0x130), hOwner, rate)) }
	create := func(s *rawSession, public []byte) call {
		return call{cc: 0x131, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: be(secret("", ""), public, nothingMore), returns: true}
	}
	other := keyedHash(fixedTPM|fixedParent|origin|userAuth|sign, nil, uint16(5), uint16(0xb))
	for name, c := range map[string]struct {
		cc          uint32
		digest      []byte
		good, wrong func(s *rawSession) call
	}{
		"cpHash": {0x16e, cpHash(0), byPolicy, func(s *rawSession) call {
			c := byPolicy(s)
			c.params = []byte{1}
			return c
		}},
		"nameHash": {0x170, digestOf(0xb, be(hOwner)), byPolicy, func(s *rawSession) call {
			return call{cc: 0x14e, handles: []uint32{hOwner, 0x01800001}, names: map[uint32][]byte{}, sessions: []*rawSession{s}, params: be(uint16(1), uint16(0))}
		}},
		"template":                         {0x190, digestOf(0xb, template[2:]), func(s *rawSession) call { return create(s, template) }, func(s *rawSession) call { return create(s, other) }},
		"template of what does not create": {0x190, digestOf(0xb, template[2:]), func(s *rawSession) call { return create(s, template) }, byPolicy},
		"command code":                     {0x16c, be(uint32(0x130)), byPolicy, func(s *rawSession) call { return create(s, template) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			define(t, f, 0x01800001, 8, tpmaNV{})
			params := b2(c.digest)
			wrong := uint32(0x99d)
			if c.cc == 0x16c {
				params, wrong = c.digest, 0x9a4
			}
			s := policySession(t, f)
			ask(t, f, call{cc: c.cc, handles: []uint32{s.handle}, params: params})
			ownerPolicy(t, f, policyDigest(t, f, s))
			refusedRaw(t, f, wrong, c.wrong(s))
			ask(t, f, c.good(s))
		})
	}
}

func TestPolicyPCRNoticesEveryPCRThatCounts(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	pcrs := be(uint32(1), uint16(0xb), byte(3), byte(0x80), byte(0), byte(0))
	s := policySession(t, f)
	p.on(0x17f, []uint32{s.handle}, b2(), pcrs)
	ownerPolicy(t, f, policyDigest(t, f, s))
	for pcr := range 24 {
		s := policySession(t, f)
		ask(t, f, call{cc: 0x17f, handles: []uint32{s.handle}, params: be(b2(), pcrs)})
		f.SetLocality(2)
		if pcr >= 17 && pcr <= 18 {
			f.SetLocality(3)
		}
		p.do(0x182, 1, []uint32{uint32(pcr)}, uint32(1), uint16(0xb), make([]byte, 32))
		f.SetLocality(0)
		want := uint32(0x128) // of PCR 7 too: that the digest does not match is noticed later than the counter
		if pcr == 16 || pcr >= 21 {
			want = 0
		}
		refusedRaw(t, f, want, byPolicy(s))
		if pcr == 7 {
			p.on(0x180, []uint32{s.handle})
			refusedRaw(t, f, 0x1c4, call{cc: 0x17f, handles: []uint32{s.handle}, params: be(b2(digestOf(0xb, make([]byte, 32))), pcrs)})
			ask(t, f, call{cc: 0x17f, handles: []uint32{s.handle}, params: be(b2(), pcrs)})
			ownerPolicy(t, f, policyDigest(t, f, s))
		}
		p.flush(s.handle)
	}
}

// Localities said twice are cut; what is left must hold when the session is used.
func TestPolicyLocalityHoldsAtUse(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	s := policySession(t, f)
	p.on(0x16f, []uint32{s.handle}, byte(0x0e))
	p.on(0x16f, []uint32{s.handle}, byte(0x07))
	ownerPolicy(t, f, policyDigest(t, f, s))
	for locality, want := range map[uint8]uint32{0: 0x907, 1: 0, 2: 0, 3: 0x907, 4: 0x907} {
		f.SetLocality(locality)
		s := policySession(t, f)
		p.on(0x16f, []uint32{s.handle}, byte(0x0e))
		p.on(0x16f, []uint32{s.handle}, byte(0x07))
		refusedRaw(t, f, want, byPolicy(s))
		p.flush(s.handle)
	}
	refusedRaw(t, f, 0x1cd, call{cc: 0x16f, handles: []uint32{s.handle}, params: []byte{8}}) // nothing is left
}

// PolicyAuthorize replaces the digest but keeps what was put off until use.
func TestPolicyAuthorizeKeepsTheChecksThatWerePutOff(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	key := p.primary(eccKey(fixedTPM|fixedParent|origin|userAuth|noDA|sign, nil, uint16(0x18), uint16(0xb)))
	name := nthName(key)
	approved := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x130)))
	aHash := digestOf(0xb, approved, []byte("ref"))
	sig := ask(t, f, call{cc: 0x15d, handles: []uint32{key.handle}, sessions: []*rawSession{pw("")}, params: be(b2(aHash), nullScheme, uint16(0x8024), hNull, b2())})
	ticket := ask(t, f, call{cc: 0x177, handles: []uint32{key.handle}, params: be(b2(aHash), sig.params)}).params
	authorize := func(s *rawSession, ticket []byte) call {
		return call{cc: 0x16a, handles: []uint32{s.handle}, params: be(b2(approved), b2([]byte("ref")), b2(name), ticket)}
	}
	s := policySession(t, f)
	refusedRaw(t, f, 0x1c4, authorize(s, ticket)) // the session is not at what was approved
	p.on(0x16c, []uint32{s.handle}, uint32(0x130))
	bad := bytes.Clone(ticket)
	bad[len(bad)-1] ^= 1
	refusedRaw(t, f, 0x4c4, authorize(s, bad))
	ask(t, f, authorize(s, ticket))
	ownerPolicy(t, f, policyDigest(t, f, s))
	refusedRaw(t, f, 0x9a4, call{cc: 0x128, handles: []uint32{hOwner}, sessions: []*rawSession{s}, params: be(uint64(0))})
	ask(t, f, byPolicy(s))
}

// The sign of an expiration asks for a ticket; the nonce says from when it counts.
func TestAssertionsExpireAndGiveTicketsBySignAndNonce(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	assert := func(s *rawSession, nonce []byte, expiration int32) reply {
		return try(t, f, call{cc: 0x151, handles: []uint32{hOwner, s.handle}, sessions: []*rawSession{pw("")},
			params: be(b2(nonce), b2(), b2(), uint32(expiration))})
	}
	trial := policySession(t, f)
	assert(trial, nil, 0)
	ownerPolicy(t, f, policyDigest(t, f, trial))
	p.flush(trial.handle)
	pass := func(d time.Duration) { f.clock.now = f.clock.now.Add(d) }
	pass(100 * time.Second)
	for _, c := range []struct {
		name       string
		withNonce  bool
		expiration int32
		wait       time.Duration
		asserted   uint32
		ticket     bool
		used       uint32
	}{
		{"no limit", true, 0, time.Hour, 0, false, 0},
		{"in time", true, 60, 59 * time.Second, 0, false, 0},
		{"too late", true, 60, 61 * time.Second, 0, false, 0x9a3},
		{"in time, with a ticket", true, -60, 59 * time.Second, 0, true, 0},
		{"without nonce from power-on, and over", false, 60, 0, 0x4e3, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := policySession(t, f)
			var nonce []byte
			if c.withNonce {
				nonce = s.nonceTPM
			}
			r := assert(s, nonce, c.expiration)
			if r.rc != c.asserted {
				t.Fatalf("PolicySecret: 0x%x, want 0x%x", r.rc, c.asserted)
			}
			if r.rc == 0 {
				w := r.reader()
				timeout := w.Sized16()
				if got := len(timeout) > 0; got != c.ticket {
					t.Errorf("a ticket came: %v", got)
				}
				if w.Bytes(6); len(w.Sized16()) > 0 != c.ticket {
					t.Error("ticket and timeout disagree")
				}
				pass(c.wait)
				refusedRaw(t, f, c.used, byPolicy(s))
			}
			p.flush(s.handle)
		})
	}
	// Without nonce, an expiration is a reading of Time.
	s := policySession(t, f)
	seconds := int32(ask(t, f, call{cc: 0x181}).reader().U64()/1000) + 30
	ticketed := assert(s, nil, -seconds)
	w := ticketed.reader()
	timeout, ticket := bytes.Clone(w.Sized16()), bytes.Clone(w.Rest())
	redeem := func(s *rawSession, timeout, ticket []byte) uint32 {
		return try(t, f, call{cc: 0x172, handles: []uint32{s.handle}, params: be(b2(timeout), b2(), b2(), b2(be(hOwner)), ticket)}).rc
	}
	s2 := policySession(t, f)
	if rc := redeem(s2, timeout, ticket); rc != 0 {
		t.Errorf("the ticket is refused: 0x%x", rc)
	}
	refusedRaw(t, f, 0, byPolicy(s2))
	for what, alter := range map[string]func() ([]byte, []byte){
		"a later timeout":         func() ([]byte, []byte) { l := bytes.Clone(timeout); l[3] ^= 1; return l, ticket },
		"another digest":          func() ([]byte, []byte) { l := bytes.Clone(ticket); l[len(l)-1] ^= 1; return timeout, l },
		"the tag of PolicySigned": func() ([]byte, []byte) { l := bytes.Clone(ticket); l[1] = 0x25; return timeout, l },
	} {
		a, b := alter()
		if rc := redeem(s2, a, b); rc != 0x5e0 {
			t.Errorf("a ticket with %s: 0x%x", what, rc)
		}
	}
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	s3 := policySession(t, f)
	if rc := redeem(s3, timeout, ticket); rc != 0x5e0 {
		t.Errorf("after a reset the ticket gives 0x%x", rc)
	}
	trial3 := start(t, f, 3, 0xb, noSym)
	if rc := redeem(trial3, timeout, ticket); rc != 0x182 {
		t.Errorf("a trial session takes the ticket: 0x%x", rc)
	}
}

// A ticket is of the hierarchy that its entity belongs to. What belongs to none is the owner's.
func TestTicketsAreOfTheHierarchyOfTheirEntity(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	p.do(0x12a, 1, []uint32{hPlatform}, b2(), nvPublic(0x01400001, 0x40010000|0x02050005, 8))
	p.do(0x12a, 1, []uint32{hOwner}, b2(), nvPublic(0x01800001, 0x02060006, 8))
	for entity, want := range map[uint32]uint32{hOwner: hOwner, hEndorsement: hEndorsement, hPlatform: hPlatform, hLockout: hOwner,
		16: hOwner, 0x01800001: hOwner, 0x01400001: hPlatform} {
		s := policySession(t, f)
		c := call{cc: 0x151, handles: []uint32{entity, s.handle}, sessions: []*rawSession{pw("")}, params: be(b2(s.nonceTPM), b2(), b2(), uint32(0xffffffc4))}
		w := ask(t, f, c).reader()
		timeout, tag, hierarchy := w.Sized16(), w.U16(), w.U32()
		if len(timeout) != 8 || tag != 0x8023 || hierarchy != want {
			t.Errorf("the ticket of 0x%x: timeout %x, tag 0x%x, hierarchy 0x%x, want 0x%x", entity, timeout, tag, hierarchy, want)
		}
		p.flush(s.handle)
	}
}

// The twelve operators of TPM_EO, signed and unsigned, on operands of either sign. Of two negative operands the reference
// takes the one with the greater bytes for the smaller: compare says why that is kept.
func TestPolicyNVComparesByTwelveOperators(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 2, tpmaNV{})
	s := policySession(t, f)
	type pair struct{ a, b uint16 }
	equal, above, below := pair{5, 5}, pair{6, 5}, pair{5, 6}
	minus, plus := pair{0xfffb, 5}, pair{5, 0xfffb}
	all := []pair{equal, above, below, minus, plus}
	holds := [][]pair{
		{equal}, {above, below, minus, plus}, // EQ, NEQ
		{above, plus}, {above, minus}, // signed and unsigned GT
		{below, minus}, {below, plus}, // LT
		{equal, above, plus}, {equal, above, minus}, // GE
		{equal, below, minus}, {equal, below, plus}, // LE
		{equal}, {}, // BITSET, BITCLEAR
	}
	for _, c := range all {
		run(t, f, x.write(string(be(c.a)), 0))
		for op, good := range holds {
			want := uint32(0x126)
			for _, g := range good {
				if g == c {
					want = 0
				}
			}
			switch op { // by the bits: 6 = 0b110, 5 = 0b101, 0xfffb = ...11111011
			case 10:
				if c.a&c.b == c.b {
					want = 0
				}
			case 11:
				if c.a&c.b == 0 {
					want = 0
				}
			}
			refusedRaw(t, f, want, call{cc: 0x149, handles: []uint32{hOwner, 0x01800001, s.handle}, sessions: []*rawSession{pw("")},
				params: be(b2(be(c.b)), uint16(0), uint16(op))})
		}
	}
	refusedRaw(t, f, 0x3c4, call{cc: 0x149, handles: []uint32{hOwner, 0x01800001, s.handle}, sessions: []*rawSession{pw("")},
		params: be(b2(be(uint16(5))), uint16(0), uint16(12))})
	run(t, f, x.write(string(be(uint16(0x00f0))), 0))
	for operand, want := range map[uint16]uint32{0x0f00: 0, 0x0010: 0x126} {
		refusedRaw(t, f, want, call{cc: 0x149, handles: []uint32{hOwner, 0x01800001, s.handle}, sessions: []*rawSession{pw("")},
			params: be(b2(be(operand)), uint16(0), uint16(11))})
	}
}

func TestPolicyCounterTimerLooksAtTimeAndCounters(t *testing.T) {
	f := newFixture(t)
	s := policySession(t, f)
	f.clock.now = f.clock.now.Add(77 * time.Second)
	now := ask(t, f, call{cc: 0x181}).params // TPMS_TIME_INFO
	for offset := range 25 {
		refusedRaw(t, f, 0, call{cc: 0x16d, handles: []uint32{s.handle}, params: be(b2(now[offset:]), uint16(offset), uint16(0))})
		refusedRaw(t, f, 0x126, call{cc: 0x16d, handles: []uint32{s.handle}, params: be(b2(now[offset:]), uint16(offset), uint16(1))})
	}
	// A trial session does not look.
	trial := start(t, f, 3, 0xb, noSym)
	ask(t, f, call{cc: 0x16d, handles: []uint32{trial.handle}, params: be(b2(make([]byte, 8)), uint16(0), uint16(3))})
}

// An NV PIN index counts when PolicySecret uses its auth value.
func TestPINIndicesCountInPolicySecret(t *testing.T) {
	for name, c := range map[string]struct {
		kind    uint32
		uses    []string
		codes   []uint32
		pinDone uint64 // count and limit afterwards
	}{
		"pass": {0x90, []string{"pin", "no", "pin", "pin"}, []uint32{0, 0x9a2, 0, 0x12f}, 2<<32 | 2},
		"fail": {0x80, []string{"no", "pin", "no", "no", "pin"}, []uint32{0x9a2, 0, 0x9a2, 0x9a2, 0x12f}, 2<<32 | 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			// No AUTHREAD: the attribute is about reading, and this is none.
			ask(t, f, call{cc: 0x12a, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")},
				params: be(b2([]byte("pin")), nvPublic(0x01800001, 0x02020002|c.kind, 8))})
			s := policySession(t, f)
			use := func(pin string, expiration uint32) reply {
				return try(t, f, call{cc: 0x151, handles: []uint32{0x01800001, s.handle}, sessions: []*rawSession{pw(pin)},
					params: be(b2(s.nonceTPM), b2(), b2(), expiration)})
			}
			if r := use("pin", 0); r.rc != 0x12f {
				t.Errorf("not written: 0x%x", r.rc)
			}
			ask(t, f, call{cc: 0x137, handles: []uint32{hOwner, 0x01800001}, sessions: []*rawSession{pw("")}, params: be(b2(be(uint64(2))), uint16(0))})
			for i, pin := range c.uses {
				r := use(pin, 0xffffffc4) // -60: asks for a ticket
				if r.rc != c.codes[i] {
					t.Errorf("use %d with %q: 0x%x, want 0x%x", i+1, pin, r.rc, c.codes[i])
				}
				if r.rc == 0 && len(r.reader().Sized16()) > 0 != (name == "fail") {
					t.Errorf("%s: use %d gives a ticket", name, i+1)
				}
			}
			r := ask(t, f, call{cc: 0x14e, handles: []uint32{hOwner, 0x01800001}, sessions: []*rawSession{pw("")}, params: be(uint16(8), uint16(0))})
			if got := nthSized(r, 0); !bytes.Equal(got, be(c.pinDone)) {
				t.Errorf("the index holds %x", got)
			}
		})
	}
}

func TestPolicySignedChecksTheSignatureOverWhatItLimits(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	key := p.primary(eccKey(fixedTPM|fixedParent|origin|userAuth|noDA|sign, nil, uint16(0x18), uint16(0xb)))
	for i, c := range []struct {
		withNonce  bool
		cpHash     []byte
		expiration uint32
	}{{}, {withNonce: true, expiration: 60}, {cpHash: digestOf(0xb, be(uint32(0x130), hOwner, byte(0)))}, {withNonce: true, expiration: 0xffffff00}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s := policySession(t, f)
			var nonce []byte
			if c.withNonce {
				nonce = s.nonceTPM
			}
			aHash := digestOf(0xb, nonce, be(c.expiration), c.cpHash, []byte("ref"))
			sig := ask(t, f, call{cc: 0x15d, handles: []uint32{key.handle}, sessions: []*rawSession{pw("")},
				params: be(b2(aHash), nullScheme, uint16(0x8024), hNull, b2())}).params
			signed := func(expiration uint32, cpHash []byte) call {
				return call{cc: 0x160, handles: []uint32{key.handle, s.handle}, params: be(b2(nonce), b2(cpHash), b2([]byte("ref")), expiration, sig)}
			}
			refusedRaw(t, f, 0x5db, signed(c.expiration+1000, c.cpHash))
			refusedRaw(t, f, 0x5db, signed(c.expiration, make([]byte, 32)))
			if r := ask(t, f, signed(c.expiration, c.cpHash)); len(r.reader().Sized16()) > 0 != (int32(c.expiration) < 0) {
				t.Error("a ticket by the sign of the expiration")
			}
			ownerPolicy(t, f, policyDigest(t, f, s))
			ask(t, f, byPolicy(s))
			ownerPolicy(t, f, nil)
			p.flush(s.handle)
		})
	}
}

func TestPolicyNvWrittenAndPhysicalPresenceHoldAtUse(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	written := func(b byte) []byte { return digestOf(0xb, make([]byte, 32), be(uint32(0x18f), b)) }
	for _, want := range []byte{0, 1} {
		index := uint32(0x01800010) + uint32(want)
		public := b2(be(index, uint16(0xb), uint32(0x0002000a), b2(written(want)), uint16(8))) // POLICYWRITE, OWNERWRITE, OWNERREAD
		ask(t, f, call{cc: 0x12a, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(b2(), public)})
		for already := range byte(2) {
			s := policySession(t, f)
			p.on(0x18f, []uint32{s.handle}, want)
			code := uint32(0x99d)
			if already == want {
				code = 0
			}
			refusedRaw(t, f, code, call{cc: 0x137, handles: []uint32{index, index}, sessions: []*rawSession{s}, params: be(b2([]byte{1}), uint16(0))})
			p.do(0x137, 1, []uint32{hOwner, index}, b2([]byte{1}), uint16(0))
			p.flush(s.handle)
		}
	}
	s := policySession(t, f)
	p.on(0x187, []uint32{s.handle})
	ownerPolicy(t, f, policyDigest(t, f, s))
	refusedRaw(t, f, 0x990, byPolicy(s))
	f.SetPhysicalPresence(true)
	ask(t, f, byPolicy(s))
}
