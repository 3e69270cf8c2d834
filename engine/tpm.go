package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Power says what the start of a process means to the TPM.
type Power uint8

const (
	// StaysOn models a TPM that keeps its power between processes: PCRs, sessions and loaded objects are part of the
	// state, time goes on by the clock of the host, and a new state is started up. A reset is an explicit act.
	StaysOn Power = iota
	// OffBetween models a TPM whose power is the process: New powers it on, and the client sends TPM2_Startup, as
	// firmware does. What a power failure loses is not written.
	OffBetween
)

// Config is what a TPM is made of. The zero Config is a TPM in memory with the host's randomness and clock.
type Config struct {
	Rand    io.Reader        // source of all randomness; nil is crypto/rand
	Now     func() time.Time // the host's clock; nil is time.Now
	Store   Store            // where the state lives; nil is a new NewMemoryStore
	Profile Profile          // limits and identity; zero is PC()
	Power   Power            // what happens between processes
	Boot    string           // names the host's boot: another one is another boot; "" when that is not known
}

// TPM is a TPM 2.0. Its methods may be called from several goroutines; commands run one at a time.
type TPM struct {
	mu      sync.Mutex
	rand    io.Reader
	now     func() time.Time
	store   Store
	profile Profile
	power   Power
	boot    string

	settings settings // survives everything

	nv  permanent // survives loss of power
	ram powered   // survives as long as power does, and TPM2_Shutdown(STATE)
	clocks

	objects   []*object           // transient slots, nil where free
	sessions  map[handle]*session // loaded sessions
	measuring *hashEvent          // H-CRTM or DRTM sequence in progress
	primaries primaries           // what was derived from the seeds

	started   bool        // TPM2_Startup was done
	failed    error       // why the TPM is in failure mode
	canceled  atomic.Bool // see Cancel; not guarded by mu
	locality  uint8
	presence  bool              // physical presence is asserted
	hcrtm     map[uint16][]byte // what a _TPM_Hash sequence before TPM2_Startup makes of PCR 0, by bank
	exclusive handle
	cmd       *execution // the command in progress
	memory    memory     // that it runs in
	stamp     time.Time  // when clocks were last advanced
	ran       bool       // the state that was loaded is that of a TPM whose clocks went on after it was written
	safeAt    uint64     // where Clock is safe again when nv.ClockUnsafe says that it was not
	saved     []byte     // the durable part of the state as it is in the store
	stored    []byte     // the blob that saved is part of, if this process made it: room for the blob after the next
	scratch   []byte     // room to encode the durable part in, to compare it
	anchor    clocks     // how the clocks stood to the host's then
	owed      bool       // a change could not be saved
	asLoaded  bool       // nothing but time and reading commands came since the state was loaded
	unchanged bool       // the last command changed nothing that is stored: no need to compare
}

// ErrClosed is what Send returns after Close.
var ErrClosed = errors.New("engine: the TPM was closed")

// New loads the TPM in cfg.Store, or manufactures one there. It fails when the state cannot be read or written; a state
// it cannot read is never overwritten.
func New(cfg Config) (*TPM, error) {
	t := &TPM{rand: cfg.Rand, now: cfg.Now, store: cfg.Store, profile: cfg.Profile, power: cfg.Power, boot: cfg.Boot,
		ram: newPowered()}
	if t.rand == nil {
		t.rand = rand.Reader
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.store == nil {
		t.store = NewMemoryStore()
	}
	if t.profile.Name == "" {
		t.profile = PC()
	}
	blob, err := t.store.Load()
	if err != nil {
		return nil, err
	}
	t.clearFleeting()
	if blob == nil {
		err = t.beginNewState()
	} else {
		err = t.resumeState(blob)
	}
	if err != nil {
		return nil, err
	}
	if t.asLoaded {
		return t, nil
	}
	t.noteBoot()
	return t, t.commit()
}

// beginNewState manufactures a TPM and, when its power stays on, starts it up.
func (t *TPM) beginNewState() error {
	t.stamp = t.now()
	if err := t.manufacture(); err != nil {
		return err
	}
	t.initialize()
	if t.power == StaysOn {
		return t.startUp(suClear)
	}
	return nil
}

// resumeState takes up a stored state: going on where it stopped, or powering on.
func (t *TPM) resumeState(blob []byte) error {
	if err := t.decodeState(blob); err != nil {
		return err
	}
	if t.power == StaysOn && t.started {
		t.advance()
		if t.hostRebooted() {
			return t.reset()
		}
		t.asLoaded = t.saved != nil
		return nil
	}
	t.resumeClock()
	t.initialize()
	if t.power == StaysOn {
		return t.startUp(suClear)
	}
	return nil
}

// Send runs one command and returns its response. A TPM error is a response, not an error: Send fails only when the
// state cannot be saved or the TPM was closed. It never panics: a fault inside puts the TPM into failure mode.
func (t *TPM) Send(cmd []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil {
		return nil, ErrClosed
	}
	if t.owed { // a store that fails must not make tries free: what it owes comes before the next answer
		if err := t.commit(); err != nil {
			return nil, err
		}
	}
	t.advance()
	t.unchanged = false
	res := t.execute(cmd)
	if t.unchanged && t.anchored().Clock == t.anchor.Clock {
		return res, nil
	}
	if t.failed != nil {
		return res, nil // what a broken command left half done must not be kept
	}
	if err := t.commit(); err != nil {
		return nil, err
	}
	return res, nil
}

// SetLocality sets the locality of the commands that follow: 0 to 4, or 32 to 255 for the extended ones. Those between do not
// exist and count as 0, as they do for the reference.
func (t *TPM) SetLocality(locality uint8) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if locality > 4 && locality < 32 {
		locality = 0
	}
	t.locality = locality
}

// Cancel makes the command that runs, and those that follow, answer TPM_RC_CANCELED instead of searching for primes, until it
// is called with false. It does not wait for the command.
func (t *TPM) Cancel(on bool) { t.canceled.Store(on) }

// SetPhysicalPresence asserts physical presence, or takes it back.
func (t *TPM) SetPhysicalPresence(present bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.presence = present
}

// PowerCycle takes the power away and gives it back: sessions and transient objects are gone, and the TPM waits for
// TPM2_Startup. Without a TPM2_Shutdown before it, this is an unorderly reset.
func (t *TPM) PowerCycle() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance()
	if err := t.recall(); err != nil {
		return err
	}
	t.initialize()
	return t.commit()
}

// recall takes what is stored for what is in memory, where a command that broke may have left half of what it does.
func (t *TPM) recall() error {
	if t.failed == nil {
		return nil
	}
	if t.store == nil {
		return ErrClosed
	}
	blob, err := t.store.Load()
	if err != nil {
		return err
	}
	was, err := t.stateOf(blob)
	if err == nil {
		t.nv, t.ram, t.primaries = was.nv, was.ram, nil
	}
	return err
}

// Reset is an orderly reboot of the host: TPM2_Shutdown(CLEAR), a power cycle and TPM2_Startup(CLEAR).
func (t *TPM) Reset() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance()
	if err := t.recall(); err != nil {
		return err
	}
	if err := t.reset(); err != nil {
		return err
	}
	return t.commit()
}

func (t *TPM) reset() error {
	if t.started {
		t.shutDown(suClear)
	}
	t.initialize()
	return t.startUp(suClear)
}

// Close saves what goes on between processes and gives the Store back. It closes the Store too if that can be closed.
func (t *TPM) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil {
		return nil
	}
	t.advance()
	f := &fleeting{}
	if t.power == StaysOn {
		f = t.fleets()
	}
	var err error
	keep := t.failed == nil && !t.asLoaded
	if t.power == OffBetween {
		t.initialize()
	}
	if keep {
		err = t.save(f)
	}
	if c, ok := t.store.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	t.store = nil
	return err
}

// random returns n bytes of the TPM's randomness.
func (t *TPM) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(t.rand, b); err != nil {
		return nil, fmt.Errorf("engine: the source of randomness failed: %w", err)
	}
	return b, nil
}
