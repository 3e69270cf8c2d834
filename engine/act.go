package engine

import (
	"math"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// actCount is how many authenticated countdown timers the TPM has: TPM_RH_ACT_0 and on.
const actCount = 1

// countdown is an authenticated countdown timer (part 1, 40). It counts Time down to a signal, which for a host means to
// be reset; the platform's auth value or its own policy sets it.
type countdown struct {
	authority        // the policy; the auth value is the platform's
	Deadline  uint64 // a reading of Time; 0 when it does not count
	Stopped   bool   // a signal was taken back, and nothing counts
	Updated   bool   // it was set since TPM2_Startup
	Saved     uint32 // seconds that were left at TPM2_Shutdown(STATE)
	Signal    bool   // it signals, whatever Time says
}

func (a *countdown) code(c *coder) {
	a.authority.code(c)
	c.u64(&a.Deadline)
	c.yesNo(&a.Stopped)
	c.yesNo(&a.Updated)
	c.u32(&a.Saved)
	c.yesNo(&a.Signal)
}

// isACT tells whether h is a countdown timer of this TPM.
func (h handle) isACT() bool { return h >= rhACT0 && h < rhACT0+actCount }

// countdown finds the timer of a handle.
func (t *TPM) countdown(h handle) *countdown { return &t.ram.ACTs[h-rhACT0] }

// signaled tells whether the timer has run out and nobody took the signal back.
func (t *TPM) signaled(a *countdown) bool { return a.Signal || a.Deadline != 0 && t.Time >= a.Deadline }

// remaining is how many seconds are left of a countdown.
func (t *TPM) remaining(a *countdown) uint32 {
	switch {
	case a.Stopped:
		return math.MaxUint32
	case a.Deadline <= t.Time:
		return 0
	}
	return uint32((a.Deadline - t.Time + 999) / 1000)
}

// saveCountdowns is what TPM2_Shutdown(STATE) does to the timers. One that was not set since startup is halved, so that
// time cannot be stretched by resuming again and again.
func (t *TPM) saveCountdowns() {
	for i := range t.ram.ACTs {
		a := &t.ram.ACTs[i]
		a.Saved, a.Signal = t.remaining(a), t.signaled(a)
		if !a.Updated && a.Saved > 1 && a.Saved != math.MaxUint32 {
			a.Saved /= 2
		}
	}
}

// startCountdowns takes the timers up again after a TPM Resume, and turns them off otherwise.
func (t *TPM) startCountdowns(resume bool) {
	for i := range t.ram.ACTs {
		a := &t.ram.ACTs[i]
		if !resume {
			*a = countdown{authority: authority{PolicyAlg: crypt.AlgNull}}
			continue
		}
		a.Updated, a.Deadline = false, 0
		if !a.Signal && !a.Stopped && a.Saved > 0 {
			a.Deadline = t.Time + uint64(a.Saved)*1000
		}
	}
}

type actSetTimeoutIn struct {
	ACT     handle `tpm:"act,user"`
	Timeout uint32
}

// actSetTimeout is TPM2_ACT_SetTimeout (part 3, 33.2): seconds from now. Zero ends a countdown with its signal at once;
// the largest number takes a signal back.
func (t *TPM) actSetTimeout(in *actSetTimeoutIn) (*none, error) {
	a := t.countdown(in.ACT)
	switch in.Timeout {
	case math.MaxUint32:
		if !t.signaled(a) {
			return nil, rcValue.param(1)
		}
		a.Deadline, a.Signal, a.Stopped = 0, false, true
	case 0:
		a.Signal = a.Signal || a.Deadline != 0
		a.Deadline, a.Stopped = 0, false
	default:
		a.Deadline, a.Signal, a.Stopped = t.Time+uint64(in.Timeout)*1000, false, false
	}
	a.Updated = true
	return nil, nil
}

// actData is the answer of TPM_CAP_ACT: handle, seconds left and TPMA_ACT of each timer.
func (t *TPM) actData(in *getCapabilityIn) ([]byte, bool) {
	var ids []uint32
	for i := range t.ram.ACTs {
		ids = append(ids, uint32(rhACT0)+uint32(i))
	}
	return page(in, 12, ids, func(w *wire.Writer, id uint32) {
		a := t.countdown(handle(id))
		w.U32(id).U32(t.remaining(a)).U32(bitmap(t.signaled(a)))
	})
}
