package engine

import (
	"slices"
	"time"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// initialize is _TPM_Init: power came on. Loaded sessions and transient objects are gone.
func (t *TPM) initialize() {
	t.clearFleeting()
	t.heal()
	t.started, t.hcrtm, t.failed, t.cmd = false, nil, nil, nil
	t.measuring = nil
	t.Time, t.HealedAt, t.BlockedAt = 0, 0, 0
}

// advance moves Time and Clock on by the time that passed on the host since the last call, never backwards.
func (t *TPM) advance() {
	now := t.now()
	elapsed := now.Sub(t.stamp)
	if elapsed < time.Millisecond {
		if elapsed < 0 {
			t.stamp = now
		}
		return
	}
	ms := uint64(elapsed / time.Millisecond)
	t.stamp = t.stamp.Add(time.Duration(ms) * time.Millisecond)
	if t.power == OffBetween { // the host's clock may have been set meanwhile: what is stored counts from how it stands now
		t.stamp = now.Add(-elapsed % time.Millisecond)
	}
	if t.started || t.power == StaysOn {
		t.Time += ms
		t.Clock += ms
	}
}

// settle takes down what the passing of time alone did, and tells whether that was anything. Time is no reason to write: how
// clocks stand to the host's is in the store, and the rest follows from it. A write that is made anyway has this too.
func (t *TPM) settle() (changed bool) {
	da, safe := t.nv.DA, t.clockSafe()
	t.heal()
	changed = da != t.nv.DA || safe == t.nv.ClockUnsafe
	t.nv.ClockUnsafe = !safe
	return changed
}

type startupIn struct{ Type uint16 }

// startup is TPM2_Startup.
func (t *TPM) startup(in *startupIn) (*none, error) {
	if in.Type != suClear && in.Type != suState {
		return nil, rcValue.param(1)
	}
	if in.Type == suState && t.nv.Orderly != suState {
		return nil, rcValue.param(1)
	}
	if t.locality != 0 && t.locality != 3 {
		return nil, rcLocality
	}
	if was, now := t.ram.StartedAt, t.startLocality(); in.Type == suState && was != now {
		if was == hcrtmLocality || now == hcrtmLocality {
			return nil, rcValue.param(1)
		}
		return nil, rcLocality
	}
	return nil, t.startUp(in.Type)
}

// hcrtmLocality is what an H-CRTM counts as, whatever the locality of TPM2_Startup is.
const hcrtmLocality = 4

// startLocality is how a TPM2_Startup now would be told from others: a TPM Resume must come the way the TPM was started.
func (t *TPM) startLocality() uint8 {
	if t.hcrtm != nil {
		return hcrtmLocality
	}
	return t.locality
}

// startUp begins to run: a TPM Resume when the state was saved and is wanted, a TPM Restart when it was saved and is
// not, else a TPM Reset (part 1, 12.2.3).
func (t *TPM) startUp(kind uint16) error {
	saved := t.nv.Orderly == suState
	resume, reset := saved && kind == suState, !saved
	disorderly := t.nv.Orderly == orderlyNone
	if disorderly {
		t.nv.ClockUnsafe = true
	}
	t.safeAt = nextUpdate(t.Clock)
	t.nvStartup(resume, reset, disorderly)
	t.startUpLockout()
	switch {
	case reset:
		if err := t.resetCounters(); err != nil {
			return err
		}
	case resume:
		t.ram.RestartCount++
	default:
		t.ram.RestartCount++
		t.ram.ClearCount++
	}
	if !resume {
		t.nv.Owner.Enabled, t.nv.Endorsement.Enabled, t.nv.PlatformNVEnabled = true, true, true
		t.nv.Platform.authority = authority{PolicyAlg: crypt.AlgNull}
		t.ram.PCRAuths = [pcrGroups][]byte{}
	}
	t.nv.Platform.Enabled = true
	t.pcrStartup(resume)
	t.startCountdowns(resume)
	t.ram.StartedAt, t.ram.Disorderly = t.startLocality(), disorderly
	if !resume {
		t.ram.Commits = commits{}
	}
	t.nv.Orderly = orderlyNone
	t.started = true
	var err error
	t.ram.TimeEpoch, err = t.random(8)
	return err
}

// resetCounters is what only a TPM Reset does: contexts, tickets and objects of the null hierarchy become void.
func (t *TPM) resetCounters() error {
	t.nv.ResetCount++
	t.nv.TotalResetCount++
	pcrs := t.ram.PCRs
	t.ram = newPowered()
	t.ram.PCRs = pcrs
	t.ram.SessionCounter = 1
	return t.reseed(&t.ram.Null)
}

type shutdownIn struct{ Type uint16 }

// shutdown is TPM2_Shutdown.
func (t *TPM) shutdown(in *shutdownIn) (*none, error) {
	if in.Type != suClear && in.Type != suState {
		return nil, rcValue.param(1)
	}
	if in.Type == suState && t.ram.Reallocating {
		return nil, rcType.param(1)
	}
	t.shutDown(in.Type)
	return nil, nil
}

// shutDown prepares for the loss of power. Any later change takes it back: see execute.
func (t *TPM) shutDown(kind uint16) {
	t.nv.Orderly = kind
	t.saveCountdowns()
}

type selfTestIn struct{ Full yesNo }

// selfTest is TPM2_SelfTest. The algorithms are Go's and are tested where they are built.
func (t *TPM) selfTest(*selfTestIn) (*none, error) { return nil, nil }

type incrementalSelfTestIn struct{ Algs algList }

type incrementalSelfTestOut struct{ ToDo algList }

// incrementalSelfTest is TPM2_IncrementalSelfTest: nothing is left to do.
func (t *TPM) incrementalSelfTest(in *incrementalSelfTestIn) (*incrementalSelfTestOut, error) {
	if slices.ContainsFunc(in.Algs, func(alg uint16) bool { return algorithms[alg] == 0 }) {
		return nil, rcValue.param(1)
	}
	return &incrementalSelfTestOut{}, nil
}

// algList is a TPML_ALG.
type algList []uint16

func (l *algList) code(c *coder) {
	list(c, (*[]uint16)(l), maxAlgList, c.u16)
}

type getTestResultOut struct {
	Data   buffer2B
	Result uint32
}

// getTestResult is TPM2_GetTestResult: no news, or why the TPM is in failure mode.
func (t *TPM) getTestResult(*none) (*getTestResultOut, error) {
	result := rcSuccess
	if t.failed != nil {
		result = rcFailure
	}
	return &getTestResultOut{Result: uint32(result)}, nil
}

type getRandomIn struct{ Bytes uint16 }

type getRandomOut struct{ Random digest2B }

// getRandom is TPM2_GetRandom: at most a digest at a time.
func (t *TPM) getRandom(in *getRandomIn) (*getRandomOut, error) {
	b, err := t.random(min(int(in.Bytes), maxDigest))
	return &getRandomOut{b}, err
}

type stirRandomIn struct{ Data sensitive2B }

// stirRandom is TPM2_StirRandom. The host's randomness needs no help, so that the data is only checked.
func (t *TPM) stirRandom(*stirRandomIn) (*none, error) { return nil, nil }
