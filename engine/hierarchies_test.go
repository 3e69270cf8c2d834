package engine_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// Sections 2.4 and 2.8 of the engine's check list: names, hierarchies and proofs; clear, startup and time.

func TestNamesAndQualifiedNamesFollowTheirFormula(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	srk := p.primary(eccStorage())
	read := func(h uint32) (public, name, qualified []byte) {
		r := ask(t, f, call{cc: 0x173, handles: []uint32{h}})
		return nthSized(r, 0), nthSized(r, 1), nthSized(r, 2)
	}
	public, name, qualified := read(srk.handle)
	if want := nameOf(0xb, public); !bytes.Equal(name, want) || !bytes.Equal(nthName(srk), want) {
		t.Errorf("name %x, want %x", name, want)
	}
	if want := nameOf(0xb, be(hOwner, name)); !bytes.Equal(qualified, want) {
		t.Errorf("qualified name %x, want %x", qualified, want)
	}
	made := p.do(0x153, 1, []uint32{srk.handle}, secret("", "x"), keyedHash(fixedTPM|fixedParent|userAuth, nil, nullScheme), nothingMore)
	item := p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
	public2, name2, qualified2 := read(item.handle)
	if want := nameOf(0xb, public2); !bytes.Equal(name2, want) || !bytes.Equal(nthSized(item, 0), want) {
		t.Errorf("a child's name %x, want %x", name2, want)
	}
	if want := nameOf(0xb, append(bytes.Clone(qualified), name2...)); !bytes.Equal(qualified2, want) {
		t.Errorf("a child's qualified name %x, want %x", qualified2, want)
	}
}

func TestTheNameOfAnIndexIsThatOfItsPublicAreaAndChangesWithIt(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 8, tpmaNV{WriteSTClear: true, ReadSTClear: true})
	seen := map[string]string{}
	look := func(when string) {
		t.Helper()
		r := ask(t, f, call{cc: 0x169, handles: []uint32{0x01800001}})
		name := nthSized(r, 1)
		if want := nameOf(0xb, nthSized(r, 0)); !bytes.Equal(name, want) {
			t.Errorf("%s: name %x, want %x", when, name, want)
		}
		if other, ok := seen[string(name)]; ok {
			t.Errorf("the name is the same %s and %s", other, when)
		}
		seen[string(name)] = when
	}
	look("defined")
	run(t, f, x.write("data", 0))
	look("written")
	run(t, f, tpm2.NVWriteLock{AuthHandle: x.auth(), NVIndex: x.ref()})
	look("write-locked")
	run(t, f, tpm2.NVReadLock{AuthHandle: x.auth(), NVIndex: x.ref()})
	look("read-locked too")
}

// What belongs to a hierarchy, to see what is left of it.
type belongings struct {
	primary, context []byte
	creation         call // CertifyCreation with a ticket of the hierarchy
	persistent       uint32
}

func furnish(t *testing.T, f *fixture, root, persistent uint32) belongings {
	t.Helper()
	made := ask(t, f, call{cc: 0x131, handles: []uint32{root}, sessions: []*rawSession{pw("")}, params: be(secret("", ""), eccStorage(), nothingMore), returns: true})
	b := belongings{primary: nthSized(made, 0), persistent: persistent}
	b.context = ask(t, f, call{cc: 0x162, handles: []uint32{made.handle}}).params
	if persistent != 0 {
		who := hOwner
		if root == hPlatform {
			who = hPlatform
		}
		ask(t, f, call{cc: 0x120, handles: []uint32{who, made.handle}, sessions: []*rawSession{pw("")}, params: be(persistent)})
		w := made.reader()
		w.Sized16()
		w.Sized16()
		hash := bytes.Clone(w.Sized16())
		tag, hierarchy, digest := w.U16(), w.U32(), bytes.Clone(w.Sized16())
		b.creation = call{cc: 0x14a, handles: []uint32{hNull, persistent}, sessions: []*rawSession{pw("")},
			params: be(b2(), b2(hash), nullScheme, tag, hierarchy, b2(digest))}
		ask(t, f, b.creation)
	}
	play(t, f).flush(made.handle)
	return b
}

// check compares what is left: the seed by the primary key, the proof by the context, the persistent object.
func (b belongings) check(t *testing.T, f *fixture, who string, root uint32, seedKept, contextKept, objectKept bool) {
	t.Helper()
	made := ask(t, f, call{cc: 0x131, handles: []uint32{root}, sessions: []*rawSession{pw("")}, params: be(secret("", ""), eccStorage(), nothingMore), returns: true})
	if got := bytes.Equal(nthSized(made, 0), b.primary); got != seedKept {
		t.Errorf("%s: the primary key is the same: %v", who, got)
	}
	r := try(t, f, call{cc: 0x161, params: b.context, returns: true})
	if (r.rc == 0) != contextKept || r.rc != 0 && r.rc != 0x1df {
		t.Errorf("%s: the context gives 0x%x", who, r.rc)
	}
	play(t, f).flush(made.handle, r.handle)
	if b.persistent == 0 {
		return
	}
	if r := try(t, f, call{cc: 0x173, handles: []uint32{b.persistent}}); (r.rc == 0) != objectKept {
		t.Errorf("%s: the persistent object gives 0x%x", who, r.rc)
	}
	if objectKept {
		ask(t, f, b.creation)
	}
}

// Clear replaces the storage seed and two proofs; ChangeEPS and ChangePPS their own; a reset those of the null hierarchy.
func TestSeedsAndProofsAreReplacedByWhatReplacesThem(t *testing.T) {
	type kept struct{ seed, context, object bool }
	all, none := kept{true, true, true}, kept{}
	for name, c := range map[string]struct {
		act                                func(f *fixture)
		owner, endorsement, platform, null kept
	}{
		"Clear":     {func(f *fixture) { play(t, f).do(0x126, 1, []uint32{hPlatform}) }, none, kept{true, false, false}, all, all},
		"ChangeEPS": {func(f *fixture) { play(t, f).do(0x124, 1, []uint32{hPlatform}) }, all, none, all, all},
		"ChangePPS": {func(f *fixture) { play(t, f).do(0x125, 1, []uint32{hPlatform}) }, all, all, none, all},
		"a reset": {func(f *fixture) {
			if err := f.Reset(); err != nil {
				t.Fatal(err)
			}
		}, kept{true, false, true}, kept{true, false, true}, kept{true, false, true}, none},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			owner, endorsement, platform := furnish(t, f, hOwner, 0x81000001), furnish(t, f, hEndorsement, 0x81010001), furnish(t, f, hPlatform, 0x81800001)
			null := furnish(t, f, hNull, 0)
			c.act(f)
			owner.check(t, f, "owner", hOwner, c.owner.seed, c.owner.context, c.owner.object)
			endorsement.check(t, f, "endorsement", hEndorsement, c.endorsement.seed, c.endorsement.context, c.endorsement.object)
			platform.check(t, f, "platform", hPlatform, c.platform.seed, c.platform.context, c.platform.object)
			null.check(t, f, "null", hNull, c.null.seed, c.null.context, false)
		})
	}
}

func TestClearTakesAuthorizationsCountersAndTheOwnersIndices(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	for _, h := range []uint32{hOwner, hEndorsement, hLockout} {
		ask(t, f, call{cc: 0x12e, handles: []uint32{h}, sessions: []*rawSession{pw("")}, params: be(b2(make([]byte, 32)), uint16(0xb))})
		setAuth(t, f, h, "", "auth")
	}
	ask(t, f, call{cc: 0x13a, handles: []uint32{hLockout}, sessions: []*rawSession{pw("auth")}, params: be(uint32(9), uint32(8), uint32(7))})
	ask(t, f, call{cc: 0x12a, handles: []uint32{hOwner}, sessions: []*rawSession{pw("auth")}, params: be(b2(), nvPublic(0x01800001, 0x20002, 8))})
	p.do(0x12a, 1, []uint32{hPlatform}, b2(), nvPublic(0x01400001, 0x40010001, 8))
	ask(t, f, call{cc: 0x121, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}, params: be(hEndorsement, byte(0))})
	f.clock.now = f.clock.now.Add(time.Hour)
	for range 2 {
		if err := f.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	before := ask(t, f, call{cc: 0x17e, params: be(uint32(0))}).reader().U32() // PCR update counter
	ask(t, f, call{cc: 0x126, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}})
	if after := ask(t, f, call{cc: 0x17e, params: be(uint32(0))}).reader().U32(); after != before+1 {
		t.Errorf("the PCR update counter goes from %d to %d", before, after)
	}
	v := properties(t, f)
	if v[0x200]&7 != 0 || v[0x201]&0xf != 0xf {
		t.Errorf("TPMA_PERMANENT 0x%x, TPMA_STARTUP_CLEAR 0x%x", v[0x200], v[0x201])
	}
	if v[0x20f] != 3 || v[0x210] != 1000 || v[0x211] != 1000 || v[0x202] != 1 {
		t.Errorf("max tries %d, recovery %d, lockout recovery %d, NV indices %d", v[0x20f], v[0x210], v[0x211], v[0x202])
	}
	if n := ask(t, f, call{cc: 0x17a, params: be(uint32(9), hOwner, uint32(9))}).reader(); n.U8() != 0 || n.U32() != 9 || n.U32() != 0 {
		t.Error("policies are left")
	}
	now := ask(t, f, call{cc: 0x181}).reader()
	if time, clock, resets, restarts, safe := now.U64(), now.U64(), now.U32(), now.U32(), now.U8(); clock != 0 || resets != 0 || restarts != 0 || safe != 1 {
		t.Errorf("time %d, clock %d, resets %d, restarts %d, safe %d", time, clock, resets, restarts, safe)
	}
	ask(t, f, call{cc: 0x127, handles: []uint32{hLockout}, sessions: []*rawSession{pw("")}, params: []byte{1}})
	refusedRaw(t, f, 0x120, call{cc: 0x126, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}})
	refusedRaw(t, f, 0x98e, call{cc: 0x127, handles: []uint32{hLockout}, sessions: []*rawSession{pw("x")}, params: []byte{0}})
	ask(t, f, call{cc: 0x127, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}, params: []byte{0}})
	ask(t, f, call{cc: 0x126, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}})
}

func TestADisabledHierarchyHidesWhatIsItsOwn(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	b := furnish(t, f, hOwner, 0x81000001)
	define(t, f, 0x01800001, 8, tpmaNV{})
	loaded := p.primary(eccStorage())
	control := func(who, what uint32, state byte) uint32 {
		return p.do(0x121, 1, []uint32{who}, what, state).rc
	}
	if rc := control(hEndorsement, hOwner, 0); rc != 0x124 {
		t.Errorf("another hierarchy turns the owner's off: 0x%x", rc)
	}
	control(hOwner, hOwner, 0)
	refusedRaw(t, f, 0x910, call{cc: 0x173, handles: []uint32{loaded.handle}})
	refusedRaw(t, f, 0x18b, call{cc: 0x173, handles: []uint32{0x81000001}})
	refusedRaw(t, f, 0x18b, call{cc: 0x169, handles: []uint32{0x01800001}})
	refusedRaw(t, f, 0x1c5, call{cc: 0x161, params: b.context})
	refusedRaw(t, f, 0x185, call{cc: 0x121, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(hOwner, byte(1))})
	control(hPlatform, hOwner, 1)
	ask(t, f, call{cc: 0x173, handles: []uint32{0x81000001}})
	control(hPlatform, hPlatform, 0)
	if rc := control(hPlatform, hPlatform, 1); rc != 0x185 {
		t.Errorf("the platform turns itself on: 0x%x", rc)
	}
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	if rc := control(hPlatform, hPlatformNV, 1); rc != 0 {
		t.Errorf("after a reset the platform answers 0x%x", rc)
	}
}

// clockNow reads TPMS_TIME_INFO.
func clockNow(t testing.TB, f *fixture) (time, clock uint64, resets, restarts uint32, safe byte) {
	t.Helper()
	r := ask(t, f, call{cc: 0x181}).reader()
	return r.U64(), r.U64(), r.U32(), r.U32(), r.U8()
}

// A TPM Reset, a TPM Restart and a TPM Resume keep different things (part 1, 12.2.3).
func TestResetRestartAndResumeKeepWhatIsTheirs(t *testing.T) {
	for name, c := range map[string]struct {
		shutdown, startup     uint16
		orderly               bool
		resets, restarts      uint32
		pcr, pcr16            bool
		session, stClear      bool // a saved session, a stClear object's context
		object, null, enabled bool // another object's context, a context of the null hierarchy, shEnable stays off
		platformAuth          bool
	}{
		"Reset":            {shutdown: 0, startup: 0, orderly: true, resets: 1},
		"disorderly Reset": {shutdown: 0xffff, startup: 0, resets: 1},
		"Restart":          {shutdown: 1, startup: 0, orderly: true, restarts: 1, session: true, object: true, null: true},
		"Resume": {shutdown: 1, startup: 1, orderly: true, restarts: 1, pcr: true, session: true, stClear: true, object: true, null: true,
			enabled: true, platformAuth: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
			p := play(t, f)
			p.plain(0x144, uint16(0))
			if _, _, _, _, safe := clockNow(t, f); safe != 1 {
				t.Error("a new TPM's clock is not safe")
			}
			extendPCR(t, f, 3, "x")
			extendPCR(t, f, 16, "x")
			save := func(root uint32, public []byte) []byte {
				k := p.do(0x131, 1, []uint32{root}, secret("", ""), public, nothingMore)
				blob := ask(t, f, call{cc: 0x162, handles: []uint32{k.handle}}).params
				p.flush(k.handle)
				return blob
			}
			stClearKey := publicArea(0x23, storage|stClear, nil, aesCFB, nullScheme, uint16(3), nullScheme, b2(), b2())
			object, clearing, null := save(hEndorsement, eccStorage()), save(hEndorsement, stClearKey), save(hNull, eccStorage())
			session := ask(t, f, call{cc: 0x162, handles: []uint32{start(t, f, 0, 0xb, noSym).handle}}).params
			setAuth(t, f, hPlatform, "", "platform")
			ask(t, f, call{cc: 0x121, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(hOwner, byte(0))})
			f.clock.now = f.clock.now.Add(10 * time.Second)
			_, clock, resets, restarts, _ := clockNow(t, f)
			if c.shutdown != 0xffff {
				ask(t, f, call{cc: 0x145, params: be(c.shutdown)})
			}
			f.reopen(t)
			ask(t, f, call{cc: 0x144, params: be(c.startup)})

			now, clock2, resets2, restarts2, safe := clockNow(t, f)
			wantRestarts := restarts + c.restarts
			if c.resets > 0 {
				wantRestarts = 0
			}
			if now != 0 || c.orderly && clock2 < clock || resets2 != resets+c.resets || restarts2 != wantRestarts || (safe == 1) != c.orderly {
				t.Errorf("time %d, clock %d after %d, resets %d after %d, restarts %d after %d, safe %d", now, clock2, clock, resets2, resets, restarts2, restarts, safe)
			}
			for pcr, kept := range map[uint]bool{3: c.pcr, 16: c.pcr16} {
				if got := !bytes.Equal(readPCR(t, f, tpm2.TPMAlgSHA256, pcr), make([]byte, 32)); got != kept {
					t.Errorf("PCR %d is kept: %v", pcr, got)
				}
			}
			for what, w := range map[string]struct {
				blob []byte
				kept bool
			}{"a saved session": {session, c.session}, "an object": {object, c.object}, "an object with stClear": {clearing, c.stClear}, "an object of the null hierarchy": {null, c.null}} {
				r := try(t, f, call{cc: 0x161, params: w.blob, returns: true})
				if (r.rc == 0) != w.kept {
					t.Errorf("%s: 0x%x", what, r.rc)
				}
				p.flush(r.handle)
			}
			if r := try(t, f, call{cc: 0x129, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("platform")}, params: b2()}); (r.rc == 0) != c.platformAuth {
				t.Errorf("the platform's auth value gives 0x%x", r.rc)
			}
			if r := p.primary(eccStorage()); (r.rc == 0x185) != c.enabled {
				t.Errorf("the owner's hierarchy, turned off before, gives 0x%x", r.rc)
			}
		})
	}
}

func TestWhatChangesTheTPMAfterShutdownTakesItBack(t *testing.T) {
	for name, c := range map[string]struct {
		command []byte
		resumes bool
	}{
		"nothing":       {nil, true},
		"a random read": {be(uint16(0x8001), uint32(12), uint32(0x17b), uint16(4)), true},
		"an extend":     {be(uint16(0x8002), uint32(65), uint32(0x182), uint32(8), uint32(9), uint32(pwHandle), uint16(0), byte(0), uint16(0), uint32(1), uint16(0xb), make([]byte, 32)), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
			p := play(t, f)
			p.plain(0x144, uint16(0))
			p.plain(0x145, uint16(1))
			if c.command != nil {
				if rc := raw(t, f, c.command); rc != 0 {
					t.Fatalf("0x%x", rc)
				}
			}
			f.reopen(t)
			if r := p.plain(0x144, uint16(1)); (r.rc == 0) != c.resumes || r.rc != 0 && r.rc != 0x1c4 {
				t.Errorf("TPM Resume: 0x%x", r.rc)
			}
		})
	}
}

func TestStartupIsForLocalitiesZeroAndThreeAndShowsInPCR0(t *testing.T) {
	for locality, want := range map[uint8]uint32{0: 0, 3: 0, 1: 0x907, 2: 0x907, 4: 0x907} {
		f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
		f.SetLocality(locality)
		refusedRaw(t, f, want, call{cc: 0x144, params: be(uint16(0))})
		if want != 0 {
			continue
		}
		f.SetLocality(0)
		if got := readPCR(t, f, tpm2.TPMAlgSHA256, 0); got[31] != locality || !bytes.Equal(got[:31], make([]byte, 31)) {
			t.Errorf("locality %d: PCR 0 = %x", locality, got)
		}
		// The same host resumes at the locality at which it started.
		ask(t, f, call{cc: 0x145, params: be(uint16(1))})
		f.reopen(t)
		f.SetLocality(3 - locality)
		refusedRaw(t, f, 0x907, call{cc: 0x144, params: be(uint16(1))})
		f.SetLocality(locality)
		refusedRaw(t, f, 0, call{cc: 0x144, params: be(uint16(1))})
		refusedRaw(t, f, 0x100, call{cc: 0x144, params: be(uint16(1))})
	}
}

func TestClockIsSetForwardOnlyAndTicketsOfTimeFollowIt(t *testing.T) {
	f := newFixture(t)
	f.clock.now = f.clock.now.Add(time.Minute)
	_, clock, _, _, _ := clockNow(t, f)
	set := func(v uint64) call {
		return call{cc: 0x128, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: be(v)}
	}
	refusedRaw(t, f, 0x1c4, set(clock-1))
	refusedRaw(t, f, 0x1c4, set(0xffff000000000001))
	ask(t, f, set(clock+1000000))
	f.TPM = crash(t, f)
	if now, got, _, _, _ := clockNow(t, f); got != clock+1000000 || now >= got {
		t.Errorf("clock %d, time %d", got, now)
	}
	for rate, want := range map[byte]uint32{0xfd: 0, 0: 0, 3: 0, 4: 0x1c4, 0xfc: 0x1c4} {
		refusedRaw(t, f, want, call{cc: 0x130, handles: []uint32{hOwner}, sessions: []*rawSession{pw("")}, params: []byte{rate}})
	}
}
