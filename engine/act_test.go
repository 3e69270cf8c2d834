package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

const act0 = 0x40000110

func setTimeout(seconds uint32) call {
	return call{cc: 0x198, handles: []uint32{act0}, sessions: []*rawSession{pw("")}, params: be(seconds)}
}

// countdown reads the timer: seconds left, and whether it signals.
func countdown(t *testing.T, f *fixture) (left uint32, signals bool) {
	t.Helper()
	r := ask(t, f, call{cc: 0x17a, params: be(uint32(10), uint32(act0), uint32(8))}).reader()
	if more, what, n, h := r.U8(), r.U32(), r.U32(), r.U32(); more != 0 || what != 10 || n != 1 || h != act0 {
		t.Fatalf("TPM_CAP_ACT: more %d, capability %d, %d timers, the first is 0x%x", more, what, n, h)
	}
	return r.U32(), r.U32()&1 == 1
}

func TestCountdownTimersSignalWhenTheirTimeHasCome(t *testing.T) {
	f := newFixture(t)
	expect := func(when string, left uint32, signals bool) {
		t.Helper()
		if l, s := countdown(t, f); l != left || s != signals {
			t.Errorf("%s: %d seconds left, signals %v; want %d, %v", when, l, s, left, signals)
		}
	}
	pass := func(d time.Duration) { f.clock.now = f.clock.now.Add(d) }

	expect("never set", 0, false)
	refusedRaw(t, f, 0x1c4, setTimeout(0xffffffff)) // there is no signal to take back
	ask(t, f, setTimeout(60))
	expect("just set", 60, false)
	pass(59500 * time.Millisecond)
	expect("half a second before", 1, false)
	f.reopen(t)
	pass(500 * time.Millisecond)
	expect("at the end", 0, true)
	ask(t, f, setTimeout(0xffffffff))
	expect("taken back", 0xffffffff, false)
	ask(t, f, setTimeout(0))
	expect("zero while nothing counts", 0, false)
	ask(t, f, setTimeout(100))
	ask(t, f, setTimeout(0))
	expect("zero while it counts", 0, true)
	ask(t, f, setTimeout(5))
	expect("set again while it signals", 5, false)
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	expect("after a reset", 0, false)
}

func TestCountdownTimersResumeWithHalfOfWhatNobodyRenewed(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	ask(t, f, setTimeout(100))
	resume := func(want uint32) {
		t.Helper()
		run(t, f, tpm2.Shutdown{ShutdownType: tpm2.TPMSUState})
		f.reopen(t)
		run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUState})
		if left, _ := countdown(t, f); left != want {
			t.Errorf("%d seconds left, want %d", left, want)
		}
	}
	resume(100)
	resume(50)
	f.clock.now = f.clock.now.Add(50 * time.Second)
	run(t, f, tpm2.Shutdown{ShutdownType: tpm2.TPMSUState})
	f.reopen(t)
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUState})
	if _, signals := countdown(t, f); !signals {
		t.Error("the signal did not last through TPM Resume")
	}
}

func TestCountdownTimersAnswerToThePlatformOrTheirPolicy(t *testing.T) {
	f := newFixture(t)
	change := func(auth, fresh string) {
		t.Helper()
		ask(t, f, call{cc: 0x129, handles: []uint32{0x4000000c}, sessions: []*rawSession{pw(auth)}, params: b2([]byte(fresh))})
	}
	change("", "platform")
	refusedRaw(t, f, 0x9a2, setTimeout(60))
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x198))) // PolicyCommandCode
	ask(t, f, call{cc: 0x12e, handles: []uint32{act0}, sessions: []*rawSession{pw("platform")}, params: be(b2(policy), uint16(0xb))})
	s := start(t, f, 1, 0xb, noSym)
	s.noHMAC = true
	ask(t, f, call{cc: 0x16c, handles: []uint32{s.handle}, params: be(uint32(0x198))})
	c := setTimeout(60)
	c.sessions = []*rawSession{s}
	ask(t, f, c)
	if left, _ := countdown(t, f); left != 60 {
		t.Errorf("%d seconds left", left)
	}
	r := ask(t, f, call{cc: 0x17a, params: be(uint32(9), uint32(act0), uint32(8))}).reader()
	r.U8()
	if what, n, h := r.U32(), r.U32(), r.U32(); what != 9 || n != 1 || h != act0 {
		t.Errorf("TPM_CAP_AUTH_POLICIES lists %d, the first 0x%x", n, h)
	}
	change("platform", "")
	ask(t, f, call{cc: 0x121, handles: []uint32{0x4000000c}, sessions: []*rawSession{pw("")}, params: be(uint32(0x4000000c), byte(0))})
	refusedRaw(t, f, 0x12f, setTimeout(60))
}
