package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

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

// The clock of a TPM whose power stays on goes on with the host's, and is not stored for that; tries heal as well.
func TestTheClockGoesOnWhenAServerTakesUpATPMThatRan(t *testing.T) {
	f := newFixture(t)
	define(t, f, 0x01800001, 8, tpm2.TPMANV{}).failTry()
	f.wait(time.Hour)
	_, told, _, _, _ := clockNow(t, f)
	f.cfg.Power = engine.OffBetween
	f.killed(t)
	if _, clock, _, _, safe := clockNow(t, f); clock < told || safe != 0 || failedTries(t, f) != 0 {
		t.Errorf("clock %d after %d, safe %d, %d failed tries", clock, told, safe, failedTries(t, f))
	}
}

// failTry uses an index with a wrong auth value.
func (x index) failTry() {
	x.t.Helper()
	wrong := named(x.h, x.name(), tpm2.PasswordAuth([]byte("wrong")))
	refused(x.t, x.f, 0x98e, tpm2.NVWrite{AuthHandle: wrong, NVIndex: x.ref(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: []byte("x")}})
}

// A try that healed is not counted again with the next one.
func TestTriesHealBetweenTwoFailures(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 8, tpm2.TPMANV{})
	for range 5 {
		x.failTry()
		f.wait(1000 * time.Second)
	}
	x.failTry()
	if n := failedTries(t, f); n != 1 {
		t.Errorf("%d failed tries, want the last one", n)
	}
}

// A snapshot of a clock that is not safe makes none that is.
func TestARestoredClockIsSafeAtItsNextUpdate(t *testing.T) {
	from := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	from.wait(9 * time.Second)
	ask(t, from, call{cc: 0x144, params: be(uint16(0))})
	from.killed(t)
	snapshot, _, err := from.Snapshot(true)
	if err != nil {
		t.Fatal(err)
	}
	to := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	to.clock = from.clock
	to.cfg.Now = from.clock.Now
	to.killed(t)
	if err := to.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	_, _, _, _, before := clockNow(t, to)
	to.wait(4096 * time.Millisecond)
	if _, _, _, _, after := clockNow(t, to); before != 0 || after != 1 {
		t.Errorf("safe %d, then %d", before, after)
	}
}

// An hour of reading: tries heal and the clock gets safe again, which is seen, but nothing is written.
func TestReadingCommandsWriteNothingForAnHour(t *testing.T) {
	for _, power := range []engine.Power{engine.StaysOn, engine.OffBetween} {
		store := &countingStore{Store: engine.NewMemoryStore()}
		f := newFixture(t, func(c *engine.Config) { c.Power, c.Store = power, store })
		if power == engine.OffBetween {
			ask(t, f, call{cc: 0x144, params: be(uint16(0))})
		}
		x := define(t, f, 0x01800001, 8, tpm2.TPMANV{})
		run(t, f, x.write("12345678", 0))
		if err := f.PowerCycle(); err != nil {
			t.Fatal(err)
		}
		ask(t, f, call{cc: 0x144, params: be(uint16(0))})
		x.failTry()
		read := tpm2.NVRead{AuthHandle: x.auth(), NVIndex: x.ref(), Size: 8}
		if _, _, _, _, safe := clockNow(t, f); safe != 0 || failedTries(t, f) != 1 {
			t.Errorf("power %d: safe %d, %d failed tries at first", power, safe, failedTries(t, f))
		}
		store.saves = 0
		var told uint64
		for range int(time.Hour / (3 * time.Second)) {
			f.wait(3 * time.Second)
			clockNow(t, f)
			run(t, f, read)
			random := tpm2.GetRandom{BytesRequested: 8}
			if _, err := random.Execute(f, tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.AESEncryption(128, tpm2.EncryptOut))); err != nil {
				t.Fatal(err)
			}
			readPCR(t, f, tpm2.TPMAlgSHA256, 0)
			_, told, _, _, _ = clockNow(t, f)
		}
		if _, _, _, _, safe := clockNow(t, f); safe != 1 || failedTries(t, f) != 0 {
			t.Errorf("power %d: safe %d, %d failed tries after an hour", power, safe, failedTries(t, f))
		}
		if store.saves != 0 {
			t.Errorf("power %d: %d writes for reading", power, store.saves)
		}
		f.TPM = crash(t, f)
		if power == engine.OffBetween {
			ask(t, f, call{cc: 0x144, params: be(uint16(0))})
		}
		if _, clock, _, _, _ := clockNow(t, f); clock < told {
			t.Errorf("power %d: clock %d after %d", power, clock, told)
		}
	}
}

// The host's clock that was set back does not tell how long nothing but reading commands came.
func TestTheClockGoesOnAfterAKillThoughTheHostsWasSetBack(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	ask(t, f, call{cc: 0x144, params: be(uint16(0))})
	f.wait(time.Hour)
	_, told, _, _, _ := clockNow(t, f)
	f.wait(-24 * time.Hour)
	f.killed(t)
	if _, clock, _, _, safe := clockNow(t, f); clock < told || safe != 0 {
		t.Errorf("clock %d after %d, safe %d", clock, told, safe)
	}
}

// The host's clock is set back while a TPM runs: its clock stands still for that moment, and no kill takes it back further.
func TestTheClockDoesNotGoBackWithTheHosts(t *testing.T) {
	store := &countingStore{Store: engine.NewMemoryStore()}
	f := newFixture(t, func(c *engine.Config) { c.Power, c.Store = engine.OffBetween, store })
	ask(t, f, call{cc: 0x144, params: be(uint16(0))})
	f.wait(time.Hour)
	_, before, _, _, _ := clockNow(t, f)
	f.wait(-30 * time.Minute)
	store.saves = 0
	_, told, _, _, _ := clockNow(t, f)
	extendPCR(t, f, 16, "nothing that is stored")
	if store.saves != 0 {
		t.Errorf("%d writes because the host's clock was set", store.saves)
	}
	incremented(t, f)
	f.wait(time.Minute)
	f.killed(t)
	if _, clock, _, _, _ := clockNow(t, f); told != before || clock < told+60_000 || clock > told+60_000+4096 {
		t.Errorf("clock %d, then %d, and %d after a minute and a kill", before, told, clock)
	}
}

// incremented makes a change that is stored.
func incremented(t *testing.T, f *fixture) {
	x := define(t, f, 0x01800001, 8, tpm2.TPMANV{NT: tpm2.TPMNTCounter})
	run(t, f, tpm2.NVIncrement{AuthHandle: x.auth(), NVIndex: x.ref()})
}

// A process that ends takes the power away: the clock stands still until the next one, and what time did before is kept.
func TestTheClockStandsStillWithoutPower(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	ask(t, f, call{cc: 0x144, params: be(uint16(0))})
	f.killed(t)
	x := define(t, f, 0x01800001, 8, tpm2.TPMANV{})
	x.failTry()
	f.wait(1000 * time.Second)
	ask(t, f, call{cc: 0x145, params: be(uint16(0))})
	f.wait(500 * time.Second)
	_, told, _, _, _ := clockNow(t, f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.wait(10 * time.Hour)
	f.killed(t)
	if _, clock, _, _, safe := clockNow(t, f); clock != told || safe != 1 || failedTries(t, f) != 0 {
		t.Errorf("clock %d after %d, safe %d, %d failed tries", clock, told, safe, failedTries(t, f))
	}
}
