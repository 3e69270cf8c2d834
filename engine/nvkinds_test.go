package engine_test

import (
	"bytes"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine"
)

// Sections 2.7 and 2.9 of the engine's check list: NV indices (part 1, 37; part 3, 31) and dictionary attacks (19.8).

const (
	nvOwnerRW    = 0x00020002
	nvPlatformRW = 0x40010001
	nvKinds      = 4 // the type of an index stands in bits 4 to 7
	nvOrderly    = 1 << 26
	nvClear      = 1 << 27
	nvNoDA       = 1 << 25
)

// nv is NV through its owner or the platform.
type nv struct {
	*player
	who, index uint32
}

func (x nv) define(attrs uint32, size uint16) uint32 {
	return x.do(0x12a, 1, []uint32{x.who}, b2(), nvPublic(x.index, attrs, size)).rc
}

func (x nv) run(cc uint32, params ...any) reply {
	return x.do(cc, 1, []uint32{x.who, x.index}, params...)
}

func (x nv) read(size uint16) []byte {
	r := x.run(0x14e, size, uint16(0))
	if r.rc != 0 {
		return be(r.rc)
	}
	return nthSized(r, 0)
}

func (x nv) write(data []byte) uint32 { return x.run(0x137, b2(data), uint16(0)).rc }
func (x nv) increment() uint32        { return x.run(0x134).rc }
func (x nv) setBits(v uint64) uint32  { return x.run(0x135, v).rc }
func (x nv) extend(b []byte) uint32   { return x.run(0x136, b2(b)).rc }

// expect reports a code that is not the one that was meant to come.
func expect(t *testing.T, what string, got, want uint32) {
	t.Helper()
	if got != want {
		t.Errorf("%s: 0x%x, want 0x%x", what, got, want)
	}
}

func TestEachKindOfIndexIsChangedByItsOwnCommand(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	for name, c := range map[string]struct {
		kind                           uint32
		size                           uint16
		write, increment, bits, extend uint32
	}{
		"ordinary": {0, 8, 0, 0x282, 0x282, 0x282},
		"counter":  {1, 8, 0x082, 0, 0x282, 0x282},
		"bits":     {2, 8, 0x082, 0x282, 0, 0x282},
		"extend":   {4, 32, 0x082, 0x282, 0x282, 0},
		"PIN fail": {8, 8, 0, 0x282, 0x282, 0x282},
		"PIN pass": {9, 8, 0, 0x282, 0x282, 0x282},
	} {
		t.Run(name, func(t *testing.T) {
			x := nv{p, hOwner, 0x01800000 + c.kind}
			expect(t, "define", x.define(nvOwnerRW|nvNoDA|c.kind<<nvKinds, c.size), 0)
			if got := x.read(8); !bytes.Equal(got, be(uint32(0x14a))) {
				t.Errorf("unwritten it gives %x", got)
			}
			expect(t, "write", x.write(make([]byte, 8)), c.write)
			expect(t, "increment", x.increment(), c.increment)
			expect(t, "set bits", x.setBits(5), c.bits)
			expect(t, "extend", x.extend([]byte("x")), c.extend)
			want := make([]byte, 8)
			switch c.kind {
			case 1:
				want[7] = 1
			case 2:
				x.setBits(2)
				want[7] = 7
			case 4:
				want = digestOf(0xb, make([]byte, 32), []byte("x"))
			}
			if got := x.read(c.size); !bytes.Equal(got, want) {
				t.Errorf("it holds %x, want %x", got, want)
			}
		})
	}
	x := nv{p, hOwner, 0x01800020}
	expect(t, "a kind that is none", x.define(nvOwnerRW|3<<nvKinds, 8), 0x2c2)
}

// Who may read and write is a matrix of the attributes: owner, platform, the index's auth value.
func TestOwnerPlatformAndAuthValueHaveTheRightsTheAttributesGive(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	const index = 0x01400001
	for write := range uint32(3) {
		for read := range uint32(3) {
			ask(t, f, call{cc: 0x12a, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")},
				params: be(b2([]byte("index")), nvPublic(index, 1<<30|1<<write|1<<(16+read)|nvNoDA, 8))})
			for who, h := range []uint32{hPlatform, hOwner, index} {
				auth := pw("")
				if h == index {
					auth = pw("index")
				}
				want := uint32(0x149)
				if h == index {
					want = 0x12f
				}
				rc := func(cc uint32, params ...any) uint32 {
					return try(t, f, call{cc: cc, handles: []uint32{h, index}, sessions: []*rawSession{auth}, params: be(params...)}).rc
				}
				allowed := func(right uint32, otherwise uint32) uint32 {
					if uint32(who) == right {
						return 0
					}
					return otherwise
				}
				expect(t, "write", rc(0x137, b2([]byte{1}), uint16(0)), allowed(write, want))
				p.do(0x137, 1, []uint32{[]uint32{hPlatform, hOwner, 0}[min(write, 1)], index}, b2([]byte{1}), uint16(0))
				if write == 2 {
					try(t, f, call{cc: 0x137, handles: []uint32{index, index}, sessions: []*rawSession{pw("index")}, params: be(b2([]byte{1}), uint16(0))})
				}
				expect(t, "read", rc(0x14e, uint16(1), uint16(0)), allowed(read, want))
			}
			ask(t, f, call{cc: 0x122, handles: []uint32{hPlatform, index}, sessions: []*rawSession{pw("")}})
		}
	}
}

func TestLocksLastAsTheirAttributesSay(t *testing.T) {
	for name, c := range map[string]struct {
		attrs             uint32
		writeLock, global uint32 // codes of TPM2_NV_WriteLock, and of a write after TPM2_NV_GlobalWriteLock
		afterReset        uint32 // code of a write then
	}{
		"none":          {0, 0x282, 0, 0},
		"WRITE_STCLEAR": {1 << 14, 0, 0, 0},
		"WRITEDEFINE":   {1 << 13, 0, 0, 0x148},
		"GLOBALLOCK":    {1 << 15, 0x282, 0x148, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			x := nv{play(t, f), hOwner, 0x01800001}
			expect(t, "define", x.define(nvOwnerRW|c.attrs, 8), 0)
			expect(t, "write", x.write([]byte{1}), 0)
			x.do(0x132, 1, []uint32{hOwner})
			expect(t, "write after the global lock", x.write([]byte{1}), c.global)
			if err := f.Reset(); err != nil {
				t.Fatal(err)
			}
			expect(t, "write after a reset", x.write([]byte{1}), 0)
			expect(t, "lock", x.run(0x138).rc, c.writeLock)
			if c.writeLock == 0 {
				expect(t, "write when locked", x.write([]byte{1}), 0x148)
				expect(t, "lock again", x.run(0x138).rc, 0)
			}
			if err := f.Reset(); err != nil {
				t.Fatal(err)
			}
			expect(t, "write after the next reset", x.write([]byte{1}), c.afterReset)
			if !bytes.Equal(x.read(1), []byte{1}) {
				t.Errorf("it holds %x", x.read(1))
			}
		})
	}
	f := newFixture(t)
	x := nv{play(t, f), hOwner, 0x01800001}
	x.define(nvOwnerRW, 8)
	expect(t, "read lock without READ_STCLEAR", x.run(0x14f).rc, 0x282)
}

func TestDataThatDoesNotLastIsUnwrittenAfterAStartup(t *testing.T) {
	for name, c := range map[string]struct {
		attrs    uint32
		shutdown uint16 // 0xffff: none
		startup  uint16
		kept     bool
	}{
		"ordinary, Reset":         {0, 0, 0, true},
		"ordinary, power failure": {0, 0xffff, 0, true},
		"CLEAR_STCLEAR, Reset":    {nvClear, 0, 0, false},
		"CLEAR_STCLEAR, Restart":  {nvClear, 1, 0, false},
		"CLEAR_STCLEAR, Resume":   {nvClear, 1, 1, true},
		"ORDERLY, Reset":          {nvOrderly, 0, 0, false},
		"ORDERLY, Restart":        {nvOrderly, 1, 0, true},
		"ORDERLY, Resume":         {nvOrderly, 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
			x := nv{play(t, f), hOwner, 0x01800001}
			x.plain(0x144, uint16(0))
			x.define(nvOwnerRW|c.attrs, 8)
			x.write([]byte("12345678"))
			if c.shutdown != 0xffff {
				x.plain(0x145, c.shutdown)
			}
			f.reopen(t)
			expect(t, "startup", x.plain(0x144, c.startup).rc, 0)
			want := be(uint32(0x14a))
			if c.kept {
				want = []byte("12345678")
			}
			if got := x.read(8); !bytes.Equal(got, want) {
				t.Errorf("it gives %q, want %q", got, want)
			}
			expect(t, "write", x.write([]byte("again")), 0)
		})
	}
}

// A counter starts above every count there ever was; an orderly one may skip but never repeats a number.
func TestCountersNeverRepeatANumber(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	p := play(t, f)
	p.plain(0x144, uint16(0))
	counter, orderly := nv{p, hOwner, 0x01800001}, nv{p, hOwner, 0x01800002}
	counter.define(nvOwnerRW|1<<nvKinds, 8)
	orderly.define(nvOwnerRW|1<<nvKinds|nvOrderly, 8)
	count := func(x nv) uint64 { return reply{params: x.read(8), t: t}.reader().U64() }
	for range 5 {
		counter.increment()
	}
	orderly.increment()
	first := count(orderly)
	if count(counter) != 5 || first != 6 {
		t.Fatalf("counters %d and %d", count(counter), first)
	}
	p.plain(0x145, uint16(0))
	f.reopen(t)
	p.plain(0x144, uint16(0))
	if got := count(orderly); got != first {
		t.Errorf("after an orderly stop the orderly counter is %d, was %d", got, first)
	}
	f.reopen(t) // power fails
	p.plain(0x144, uint16(0))
	orderly.increment()
	if got := count(orderly); got != 256 {
		t.Errorf("after a power failure the orderly counter is %d: the numbers up to 255 may have been used", got)
	}
	counter.increment()
	if got := count(counter); got != 6 {
		t.Errorf("the other counter is %d", got)
	}
	p.do(0x122, 1, []uint32{hOwner, orderly.index})
	orderly.define(nvOwnerRW|1<<nvKinds, 8)
	orderly.increment()
	if got := count(orderly); got != 257 {
		t.Errorf("a new counter starts at %d", got)
	}
	p.do(0x126, 1, []uint32{hPlatform}) // Clear
	counter.define(nvOwnerRW|1<<nvKinds, 8)
	counter.increment()
	if got := count(counter); got != 258 {
		t.Errorf("after Clear a new counter starts at %d", got)
	}
}

func TestWritesAndReadsKeepToTheIndexAndTheBuffer(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	x := nv{p, hOwner, 0x01800001}
	expect(t, "define", x.define(nvOwnerRW, 2048), 0)
	for _, c := range []struct {
		size, offset int
		want         uint32
	}{{1024, 0, 0}, {1024, 1024, 0}, {1025, 0, 0x1d5}, {1, 2047, 0}, {1, 2048, 0x146}, {0, 2048, 0}, {0, 2049, 0x2c4}, {2, 2047, 0x146}} {
		expect(t, "write", x.run(0x137, b2(make([]byte, c.size)), uint16(c.offset)).rc, c.want)
		want := c.want
		if c.size == 1025 {
			want = 0x1c4
		}
		expect(t, "read", x.run(0x14e, uint16(c.size), uint16(c.offset)).rc, want)
	}
	all := nv{p, hOwner, 0x01800002}
	expect(t, "define WRITEALL", all.define(nvOwnerRW|1<<12, 8), 0)
	expect(t, "part of WRITEALL", all.write([]byte("1234")), 0x146)
	expect(t, "all of WRITEALL", all.write([]byte("12345678")), 0)
	expect(t, "WRITEALL beyond the buffer", nv{p, hOwner, 0x01800003}.define(nvOwnerRW|1<<12, 1025), 0x2d5)
}

// What only a policy may delete stays until it does, Clear or not.
func TestPolicyDeleteIsForThePlatformAndAPolicy(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x11f)))
	const index = 0x01400001
	public := b2(be(uint32(index), uint16(0xb), uint32(nvPlatformRW|1<<10), b2(policy), uint16(8)))
	p.do(0x12a, 1, []uint32{hPlatform}, b2(), public)
	expect(t, "undefine", p.do(0x122, 1, []uint32{hPlatform, index}).rc, 0x282)
	expect(t, "without policy", p.do(0x11f, 2, []uint32{index, hPlatform}).rc, 0x124)
	p.do(0x126, 1, []uint32{hPlatform})
	s := policySession(t, f)
	p.on(0x16c, []uint32{s.handle}, uint32(0x11f))
	c := call{cc: 0x11f, handles: []uint32{index, hPlatform}, sessions: []*rawSession{s, pw("")}}
	ask(t, f, c)
	expect(t, "it is gone", p.on(0x169, []uint32{index}).rc, 0x18b)
	expect(t, "the owner's", nv{p, hOwner, 0x01800001}.define(nvOwnerRW|1<<10, 8), 0x2c2)
}

func TestTheAuthValueOfAnIndexIsChangedByAPolicyAlone(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x13b)))
	const index = 0x01800001
	p.do(0x12a, 1, []uint32{hOwner}, b2([]byte("old")), b2(be(uint32(index), uint16(0xb), uint32(0x02060006), b2(policy), uint16(8))))
	refusedRaw(t, f, 0x124, call{cc: 0x13b, handles: []uint32{index}, sessions: []*rawSession{pw("old")}, params: b2([]byte("new"))})
	s := policySession(t, f)
	p.on(0x16c, []uint32{s.handle}, uint32(0x13b))
	s.attrs = 0
	ask(t, f, call{cc: 0x13b, handles: []uint32{index}, sessions: []*rawSession{s}, params: b2([]byte("new"))})
	write := func(auth string) uint32 {
		return try(t, f, call{cc: 0x137, handles: []uint32{index, index}, sessions: []*rawSession{pw(auth)}, params: be(b2([]byte{1}), uint16(0))}).rc
	}
	expect(t, "the old value", write("old"), 0x9a2)
	expect(t, "the new value", write("new"), 0)
}

func tries(t *testing.T, f *fixture) uint32 { t.Helper(); return properties(t, f)[0x20e] }

// Which failures count: those with the auth value of what is protected, and no other.
func TestFailuresCountForWhatIsProtected(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	ask(t, f, call{cc: 0x13a, handles: []uint32{hLockout}, sessions: []*rawSession{pw("")}, params: be(uint32(100), uint32(1000), uint32(1000))})
	srk := p.primary(eccStorage())
	load := func(attrs uint32, policy []byte) uint32 {
		made := p.do(0x153, 1, []uint32{srk.handle}, secret("pin", "x"), keyedHash(fixedTPM|fixedParent|userAuth|attrs, policy, nullScheme), nothingMore)
		return p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1))).handle
	}
	authValue := digestOf(0xb, make([]byte, 32), be(uint32(0x16b)))
	protected, exempt := load(0, authValue), load(noDA, nil)
	index := func(h, attrs uint32) uint32 {
		p.do(0x12a, 1, []uint32{hOwner}, b2([]byte("pin")), nvPublic(h, 0x00060006|attrs, 8))
		return h
	}
	nvProtected, nvExempt := index(0x01800001, 0), index(0x01800002, nvNoDA)
	unseal := func(h uint32, s *rawSession) uint32 {
		return try(t, f, call{cc: 0x15e, handles: []uint32{h}, sessions: []*rawSession{s}}).rc
	}
	write := func(h uint32, s *rawSession) uint32 {
		return try(t, f, call{cc: 0x137, handles: []uint32{h, h}, sessions: []*rawSession{s}, params: be(b2([]byte{1}), uint16(0))}).rc
	}
	wrongHMAC := func() *rawSession { s := start(t, f, 0, 0xb, noSym).with("guess", 0); return s }
	for _, c := range []struct {
		name   string
		use    func() uint32
		code   uint32
		counts bool
	}{
		{"a protected object, by password", func() uint32 { return unseal(protected, pw("guess")) }, 0x98e, true},
		{"a protected object, by HMAC", func() uint32 {
			s := wrongHMAC()
			defer p.flush(s.handle)
			return unseal(protected, s)
		}, 0x98e, true},
		{"an exempt object", func() uint32 { return unseal(exempt, pw("guess")) }, 0x9a2, false},
		{"the owner", func() uint32 {
			return try(t, f, call{cc: 0x130, handles: []uint32{hOwner}, sessions: []*rawSession{pw("guess")}, params: []byte{0}}).rc
		}, 0x9a2, false},
		{"a protected index", func() uint32 { return write(nvProtected, pw("guess")) }, 0x98e, true},
		{"an exempt index", func() uint32 { return write(nvExempt, pw("guess")) }, 0x9a2, false},
		{"a session that audits", func() uint32 {
			s := wrongHMAC()
			s.damage, s.attrs = true, sAudit
			defer p.flush(s.handle)
			return try(t, f, call{cc: 0x181, sessions: []*rawSession{s}}).rc
		}, 0x9a2, false},
		{"a session bound to what is protected", func() uint32 {
			s := start(t, f, 0, 0xb, noSym, boundTo(nvProtected, "guess"))
			s.with("", sAudit)
			defer p.flush(s.handle)
			return try(t, f, call{cc: 0x181, sessions: []*rawSession{s}}).rc
		}, 0x98e, true},
		{"a policy that asks for the value", func() uint32 {
			s := start(t, f, 1, 0xb, noSym).with("guess", 0)
			p.on(0x16b, []uint32{s.handle})
			defer p.flush(s.handle)
			return unseal(protected, s)
		}, 0x98e, true},
		{"a policy that does not match", func() uint32 {
			s := policySession(t, f)
			defer p.flush(s.handle)
			return unseal(protected, s)
		}, 0x99d, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := tries(t, f)
			expect(t, "code", c.use(), c.code)
			if counted := tries(t, f) == before+1; counted != c.counts {
				t.Errorf("failed tries go from %d to %d", before, tries(t, f))
			}
		})
	}
	// The first right use after a start is not put off: the reference answers TPM_RC_RETRY.
	f.reopen(t)
	expect(t, "the right value at once", unseal(protected, pw("pin")), 0)
}

func TestLockoutStopsWhatIsProtectedAndNothingElse(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	define := func(h, attrs uint32) {
		p.do(0x12a, 1, []uint32{hOwner}, b2([]byte("pin")), nvPublic(h, 0x00060006|attrs, 8))
	}
	define(0x01800001, 0)
	define(0x01800002, nvNoDA)
	write := func(h uint32, s *rawSession) uint32 {
		return try(t, f, call{cc: 0x137, handles: []uint32{h, h}, sessions: []*rawSession{s}, params: be(b2([]byte{1}), uint16(0))}).rc
	}
	bound := start(t, f, 0, 0xb, noSym, boundTo(0x01800001, "pin")).with("", sContinue|sAudit)
	expect(t, "a bound session", try(t, f, call{cc: 0x181, sessions: []*rawSession{bound}}).rc, 0)
	for range 3 {
		expect(t, "guess", write(0x01800001, pw("guess")), 0x98e)
	}
	expect(t, "the right value in lockout", write(0x01800001, pw("pin")), 0x921)
	expect(t, "one without protection", write(0x01800002, pw("pin")), 0)
	expect(t, "the owner", p.do(0x130, 1, []uint32{hOwner}, byte(0)).rc, 0)
	expect(t, "a session bound to it", try(t, f, call{cc: 0x181, sessions: []*rawSession{bound}}).rc, 0x921)
	if v := properties(t, f)[0x200]; v&0x200 == 0 {
		t.Errorf("TPMA_PERMANENT 0x%x does not say that there is a lockout", v)
	}
	expect(t, "the lockout's reset", p.do(0x139, 1, []uint32{hLockout}).rc, 0)
	expect(t, "afterwards", write(0x01800001, pw("pin")), 0)
}

// The lockout authority has one try; a recovery time of zero leaves it to the next startup, as it turns the count off.
func TestTheLockoutAuthorityHasOneTry(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	set := func(auth string, recovery uint32) uint32 {
		return try(t, f, call{cc: 0x13a, handles: []uint32{hLockout}, sessions: []*rawSession{pw(auth)}, params: be(uint32(3), recovery, recovery)}).rc
	}
	setAuth(t, f, hLockout, "", "lock")
	expect(t, "parameters", set("lock", 60), 0)
	expect(t, "a wrong value", set("guess", 60), 0x98e)
	expect(t, "the right one then", set("lock", 60), 0x921)
	f.TPM = crash(t, f)
	expect(t, "in the next process", set("lock", 60), 0x921)
	f.clock.now = f.clock.now.Add(61e9)
	expect(t, "when the time has passed", set("lock", 0), 0)
	expect(t, "a wrong value", set("guess", 0), 0x98e)
	f.clock.now = f.clock.now.Add(3600e9)
	expect(t, "no time heals", set("lock", 0), 0x921)
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	expect(t, "a startup does", set("lock", 0), 0)
	p.do(0x12a, 1, []uint32{hOwner}, b2([]byte("pin")), nvPublic(0x01800001, 0x00060006, 8))
	for range 5 {
		r := try(t, f, call{cc: 0x137, handles: []uint32{0x01800001, 0x01800001}, sessions: []*rawSession{pw("guess")}, params: be(b2([]byte{1}), uint16(0))})
		expect(t, "a guess where recovery time 0 turns protection off", r.rc, 0x98e)
	}
	if n := tries(t, f); n != 0 {
		t.Errorf("%d failed tries", n)
	}
	// Its policy is not stopped by the count.
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x139)))
	ask(t, f, call{cc: 0x12e, handles: []uint32{hLockout}, sessions: []*rawSession{pw("lock")}, params: be(b2(policy), uint16(0xb))})
	expect(t, "a wrong value", set("guess", 0), 0x98e)
	s := policySession(t, f)
	p.on(0x16c, []uint32{s.handle}, uint32(0x139))
	ask(t, f, call{cc: 0x139, handles: []uint32{hLockout}, sessions: []*rawSession{s}})
}
