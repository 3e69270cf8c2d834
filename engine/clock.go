package engine

import "time"

// clockUpdate is TPM_PT_CLOCK_UPDATE: Clock is taken up at a multiple of so many milliseconds after a loss of power, and is
// safe from the next one on (part 1, 36.3).
const clockUpdate = 4096

// longestUpdate is the longest interval between two updates that part 1, 36.3 allows: 2^22 milliseconds.
const longestUpdate = 1 << 22

// nextUpdate is the first multiple of clockUpdate after a value of Clock.
func nextUpdate(clock uint64) uint64 { return clock + clockUpdate - clock%clockUpdate }

// clockSafe tells whether no greater value of Clock was told before.
func (t *TPM) clockSafe() bool { return !t.nv.ClockUnsafe || t.Clock >= t.safeAt }

// resumeClock takes Clock up where the loss of power left it. What reading commands told after the last write the store does
// not know, but that it was no more than the time that passed on the host since: TPM2_ClockRateAdjust changes no rate here.
// So Clock goes on by that time, off or on, as TPM2_ClockSet might set it; it stood still only where the process said
// that it took the power away. A host's clock that was set back to before the last write tells nothing, and the longest
// interval stands for what passed. Thus Clock shows less than it showed only where the host's clock was set back, and at most
// by as much as it was set back.
func (t *TPM) resumeClock() {
	now := t.now()
	if t.ran {
		if passed := now.Sub(t.stamp) / time.Millisecond; passed >= 0 {
			t.Clock += uint64(passed)
			if t.started { // power stayed on
				t.Time += uint64(passed)
			}
		} else {
			t.Clock += longestUpdate
		}
	}
	if t.nv.Orderly == orderlyNone {
		t.Clock = nextUpdate(t.Clock)
	}
	t.stamp = now
}
