package engine_test

import (
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/engine"
)

// killed takes the power away without a word and starts the TPM up again.
func (f *fixture) killed(t testing.TB) {
	t.Helper()
	f.open(t)
	ask(t, f, call{cc: 0x144, params: be(uint16(0))})
}

// wait lets time pass on the host.
func (f *fixture) wait(d time.Duration) { f.clock.now = f.clock.now.Add(d) }

func orderly(t *testing.T, f *fixture) bool { return properties(t, f)[0x201]>>31 == 1 }

// Section 2.8: after a loss of power without TPM2_Shutdown the clock is not safe until NV was told of it again; but it never
// shows a value below one that it has shown, though nothing but reading commands came.
func TestTheClockGoesOnAfterAKillAndIsSafeAtItsNextUpdate(t *testing.T) {
	for _, reads := range [][]time.Duration{
		{0}, {time.Millisecond}, {4095 * time.Millisecond}, {4096 * time.Millisecond}, {4097 * time.Millisecond},
		{3 * time.Second, 3 * time.Second, 3 * time.Second}, {time.Hour}, {time.Hour, 2 * time.Second},
	} {
		f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
		ask(t, f, call{cc: 0x144, params: be(uint16(0))})
		update := time.Duration(properties(t, f)[0x119]) * time.Millisecond // TPM_PT_CLOCK_UPDATE
		for range 3 {
			var told uint64
			for _, d := range reads {
				f.wait(d)
				_, told, _, _, _ = clockNow(t, f)
			}
			f.killed(t)
			_, clock, _, _, safe := clockNow(t, f)
			if clock < told || clock > told+uint64(update/time.Millisecond) {
				t.Errorf("%v: clock %d after %d", reads, clock, told)
			}
			if safe != 0 || orderly(t, f) {
				t.Errorf("%v: safe %d, orderly %v after a loss of power", reads, safe, orderly(t, f))
			}
			f.wait(update - time.Millisecond)
			if _, _, _, _, safe := clockNow(t, f); safe != 0 {
				t.Errorf("%v: safe before the clock was stored", reads)
			}
			f.wait(time.Millisecond)
			if _, _, _, _, safe := clockNow(t, f); safe != 1 || orderly(t, f) {
				t.Errorf("%v: safe %d, orderly %v after an update of the clock", reads, safe, orderly(t, f))
			}
		}
	}
}

// What is read after TPM2_Shutdown counts too: the next start is orderly, its clock safe.
func TestTheClockGoesOnAfterAShutdownThatWasNotTheEnd(t *testing.T) {
	for kind := range uint16(2) {
		f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
		ask(t, f, call{cc: 0x144, params: be(uint16(0))})
		ask(t, f, call{cc: 0x145, params: be(kind)})
		f.wait(1500 * time.Millisecond)
		_, told, _, _, _ := clockNow(t, f)
		f.killed(t)
		if _, clock, _, _, safe := clockNow(t, f); clock != told || safe != 1 || !orderly(t, f) {
			t.Errorf("shutdown %d: clock %d after %d, safe %d, orderly %v", kind, clock, told, safe, orderly(t, f))
		}
	}
}

// The clock of a TPM whose power stays on goes on with the host's, and is not stored for that.
func TestTheClockGoesOnWhenAServerTakesUpATPMThatRan(t *testing.T) {
	f := newFixture(t)
	f.wait(time.Hour)
	_, told, _, _, _ := clockNow(t, f)
	f.cfg.Power = engine.OffBetween
	f.killed(t)
	if _, clock, _, _, safe := clockNow(t, f); clock < told || safe != 0 {
		t.Errorf("clock %d after %d, safe %d", clock, told, safe)
	}
}

// The clock is what reading commands write, and no more often than the TPM says.
func TestReadingWritesNothingButTheClock(t *testing.T) {
	for power, want := range map[engine.Power]int{engine.StaysOn: 0, engine.OffBetween: 5} {
		store := &countingStore{Store: engine.NewMemoryStore()}
		f := newFixture(t, func(c *engine.Config) { c.Power, c.Store = power, store })
		if power == engine.OffBetween {
			ask(t, f, call{cc: 0x144, params: be(uint16(0))})
		}
		store.saves = 0
		for range 20 * 1024 {
			f.wait(time.Millisecond)
			clockNow(t, f)
		}
		if store.saves != want {
			t.Errorf("power %d: %d writes in 20 seconds, want %d", power, store.saves, want)
		}
	}
}
