package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"time"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// stateVersion is the layout of the state blob. Older ones are read too: a field that a later version brought is coded
// where coder.since says so, and keeps its first value in a state that lacks it.
//
//	1  the first
//	2  settings (settings.go), countdown timers (act.go)
//	3  whether the last startup followed a shutdown
const stateVersion uint16 = 3

// derivationLevel numbers the way primary keys follow from seeds. A state keeps the level it was made with, so that its
// keys survive a change of the engine.
const derivationLevel uint8 = 1

// seedSize is the size of primary seeds and proofs: that of the largest digest.
const seedSize = maxDigest

// authority is what a hierarchy, or the lockout, is controlled by.
type authority struct {
	Auth      []byte
	Policy    []byte
	PolicyAlg uint16
}

func (a *authority) code(c *coder) {
	c.sized(&a.Auth, maxDigest)
	c.hashOrNull(&a.PolicyAlg)
	c.sized(&a.Policy, maxDigest)
}

// hierarchy is a tree of keys: its seed, and the proof that keys its tickets and contexts.
type hierarchy struct {
	authority
	Seed, Proof []byte
	Enabled     bool
}

func (h *hierarchy) code(c *coder) {
	h.authority.code(c)
	c.sized(&h.Seed, seedSize)
	c.sized(&h.Proof, seedSize)
	c.yesNo(&h.Enabled)
}

// lockoutState is the dictionary-attack logic (part 1, 19.8). Times are in seconds.
type lockoutState struct {
	Failed, MaxTries          uint32
	Recovery, LockoutRecovery uint32
	LockoutBlocked            bool
}

func (l *lockoutState) code(c *coder) {
	c.u32(&l.Failed)
	c.u32(&l.MaxTries)
	c.u32(&l.Recovery)
	c.u32(&l.LockoutRecovery)
	c.yesNo(&l.LockoutBlocked)
}

// clocks are the counts that go on by themselves, in milliseconds. HealedAt and BlockedAt are readings of Time that the
// dictionary-attack logic counts from.
type clocks struct{ Time, Clock, HealedAt, BlockedAt uint64 }

func (k *clocks) code(c *coder) {
	c.u64(&k.Time)
	c.u64(&k.Clock)
	c.u64(&k.HealedAt)
	c.u64(&k.BlockedAt)
}

// permanent is what survives loss of power.
type permanent struct {
	Derivation                   uint8
	Owner, Endorsement, Platform hierarchy
	Lockout                      authority
	PlatformNVEnabled            bool
	DisableClear                 bool
	DA                           lockoutState
	ClockUnsafe                  bool
	ResetCount                   uint32
	TotalResetCount              uint64
	Orderly                      uint16 // what TPM2_Shutdown left, or orderlyNone
	MaxCounter                   uint64
	AuditAlg                     uint16
	AuditCounter                 uint64
	AuditCommands, PPCommands    []uint32
	AlgorithmSet                 uint32
	PCRAlloc                     pcrSelection // takes effect at the next reset
	PCRGroups                    [pcrGroups]authority
	Indices                      []nvIndex
	Persistent                   []*object
}

// orderlyNone says that the TPM runs, or lost its power without TPM2_Shutdown.
const orderlyNone uint16 = 0xffff

func (p *permanent) code(c *coder) {
	c.u8(&p.Derivation)
	p.Owner.code(c)
	p.Endorsement.code(c)
	p.Platform.code(c)
	p.Lockout.code(c)
	c.yesNo(&p.PlatformNVEnabled)
	c.yesNo(&p.DisableClear)
	p.DA.code(c)
	c.yesNo(&p.ClockUnsafe)
	c.u32(&p.ResetCount)
	c.u64(&p.TotalResetCount)
	c.u16(&p.Orderly)
	c.u64(&p.MaxCounter)
	c.hash(&p.AuditAlg)
	c.u64(&p.AuditCounter)
	list(c, &p.AuditCommands, maxCommandsList, c.u32)
	list(c, &p.PPCommands, maxCommandsList, c.u32)
	c.u32(&p.AlgorithmSet)
	p.PCRAlloc.code(c)
	for i := range p.PCRGroups {
		p.PCRGroups[i].code(c)
	}
	list(c, &p.Indices, maxListed, func(x *nvIndex) { x.code(c) })
	list(c, &p.Persistent, maxListed, func(o **object) {
		if *o == nil {
			*o = new(object)
		}
		(*o).code(c)
	})
}

// maxListed bounds the lists of a state: more than any profile allows.
const maxListed = 1 << 16

// powered is what lives as long as the power does, or as TPM2_Shutdown(STATE) carries it over.
type powered struct {
	Null           hierarchy
	TimeEpoch      []byte
	RestartCount   uint32
	ClearCount     uint32
	ObjectContexts uint64
	SessionCounter uint64
	SavedSessions  []savedSession
	PCRCounter     uint32
	AuditDigest    []byte
	PCRs           []pcrValues
	PCRAuths       [pcrGroups][]byte
	Commits        commits
	ACTs           [actCount]countdown
	StartedAt      uint8 // locality of TPM2_Startup, or hcrtmLocality
	Reallocating   bool  // TPM2_PCR_Allocate was used
	Disorderly     bool  // no TPM2_Shutdown came before the last TPM2_Startup
}

// newPowered is what a TPM has that was never started.
func newPowered() powered {
	p := powered{Null: hierarchy{authority: authority{PolicyAlg: crypt.AlgNull}, Enabled: true}}
	for i := range p.ACTs {
		p.ACTs[i].PolicyAlg = crypt.AlgNull
	}
	return p
}

func (p *powered) code(c *coder) {
	p.Null.code(c)
	c.sized(&p.TimeEpoch, maxDigest)
	c.u32(&p.RestartCount)
	c.u32(&p.ClearCount)
	c.u64(&p.ObjectContexts)
	c.u64(&p.SessionCounter)
	list(c, &p.SavedSessions, maxListed, func(s *savedSession) { s.code(c) })
	c.u32(&p.PCRCounter)
	c.sized(&p.AuditDigest, maxDigest)
	list(c, &p.PCRs, maxHashAlgs, func(b *pcrValues) { b.code(c) })
	for i := range p.PCRAuths {
		c.sized(&p.PCRAuths[i], maxDigest)
	}
	p.Commits.code(c)
	for i := range p.ACTs {
		if c.since(2) {
			p.ACTs[i].code(c)
		}
	}
	if c.since(2) {
		c.u8(&p.StartedAt)
		c.yesNo(&p.Reallocating)
	}
	if c.since(3) {
		c.yesNo(&p.Disorderly)
	}
}

// fleeting are the loaded sessions and transient objects. They are stored only by Close, and leave the store as soon as
// they are loaded from it: a session whose nonces were rolled back could be replayed.
type fleeting struct {
	Exclusive handle
	Objects   []slot
	Sessions  []loadedSession
}

func (f *fleeting) empty() bool { return len(f.Objects) == 0 && len(f.Sessions) == 0 }

type slot struct {
	Index  uint8
	Object *object
}

type loadedSession struct {
	Handle  handle
	Session *session
}

func (f *fleeting) code(c *coder) {
	c.u32((*uint32)(&f.Exclusive))
	list(c, &f.Objects, maxListed, func(s *slot) {
		c.u8(&s.Index)
		if s.Object == nil {
			s.Object = new(object)
		}
		s.Object.code(c)
	})
	list(c, &f.Sessions, maxListed, func(s *loadedSession) {
		c.u32((*uint32)(&s.Handle))
		if s.Session == nil {
			s.Session = new(session)
		}
		s.Session.code(c)
	})
}

func (t *TPM) clearFleeting() {
	t.objects = make([]*object, t.profile.Transient)
	t.sessions = map[handle]*session{}
	t.exclusive = 0
}

// keepsPower tells whether what lives by power is to outlive a crash: power that may fail takes it along, unless a shutdown
// saved it.
func (t *TPM) keepsPower() bool { return t.power == StaysOn || t.nv.Orderly == suState }

// encode puts a state blob together in the room of buf: the time and the clocks, then what lasts, which is what is in NV and,
// if that is kept, what is there as long as power is; then what is fleeting. lasting is that part of the blob.
func (t *TPM) encode(buf []byte, keep bool, f *fleeting) (blob, lasting []byte) {
	c := &coder{w: wire.AppendBE(buf[:0]).Grow(len(t.saved) + 1024).U16(stateVersion).U64(uint64(t.stamp.UnixMilli()))}
	t.clocks.code(c)
	start := c.w.Len()
	t.settings.code(c)
	c.yesNo(&t.started)
	t.nv.code(c)
	c.yesNo(&keep)
	if keep {
		t.ram.code(c)
	}
	end := c.w.Len()
	f.code(c)
	blob = c.w.Out()
	return blob, blob[start:end:end]
}

// commit writes the state if the last command changed it. The passing of time is no change: where it stood is written
// with the next one.
func (t *TPM) commit() error { return t.save(&fleeting{}) }

func (t *TPM) save(f *fleeting) error {
	if t.store == nil {
		return ErrClosed
	}
	t.asLoaded = false
	anchor := t.anchored()
	blob, lasting := t.encode(t.scratch, t.keepsPower(), f)
	if t.scratch = blob; bytes.Equal(lasting, t.saved) && anchor == t.anchor && f.empty() {
		return nil
	}
	if t.settle() {
		return t.save(f)
	}
	t.owed = true
	if err := t.store.Save(blob); err != nil {
		return fmt.Errorf("save the TPM's state: %w", err)
	}
	t.saved, t.stored, t.scratch = lasting, blob, t.stored
	t.anchor, t.owed = anchor, false
	return nil
}

// anchored is what a commit must not miss of the clocks: as they stand to that of the host, they do not change as time passes.
// Where the process is the power, Time ends with it, and Clock is stored with each change: see resumeClock.
func (t *TPM) anchored() clocks {
	if t.power == OffBetween {
		return clocks{}
	}
	k, now := t.clocks, uint64(t.stamp.UnixMilli())
	k.Time -= now
	k.Clock -= now
	return k
}

func (t *TPM) fleets() *fleeting {
	f := &fleeting{Exclusive: t.exclusive}
	for i, o := range t.objects {
		if o != nil {
			f.Objects = append(f.Objects, slot{uint8(i), o})
		}
	}
	for _, h := range sortedHandles(t.sessions) {
		f.Sessions = append(f.Sessions, loadedSession{h, t.sessions[h]})
	}
	return f
}

// decodeState is the inverse of what commit writes. It is total: any input gives a state or an error.
func (t *TPM) decodeState(blob []byte) error {
	c := &coder{r: wire.BE(blob)}
	c.version = c.r.U16()
	if c.err() == nil && (c.version == 0 || c.version > stateVersion) {
		return fmt.Errorf("state version %d, this engine reads 1 to %d: use the version of the program that wrote it", c.version, stateVersion)
	}
	stamp := int64(c.r.U64())
	t.clocks.code(c)
	start := c.r.Offset()
	if c.since(2) {
		t.settings.code(c)
	}
	c.yesNo(&t.started)
	t.nv.code(c)
	var keep bool
	c.yesNo(&keep)
	if keep {
		t.ram.code(c)
	}
	lasting := blob[start:c.r.Offset()]
	t.ran, t.safeAt = t.started, nextUpdate(t.Clock)
	t.started = t.started && keep // without what lives by power, power is gone
	var f fleeting
	f.code(c)
	if err := c.err(); err != nil {
		return fmt.Errorf("the TPM's state is damaged at byte %d of %d: %w", c.r.Offset(), len(blob), err)
	}
	if c.r.Len() != 0 {
		return fmt.Errorf("the TPM's state has %d bytes too many", c.r.Len())
	}
	t.stamp = time.UnixMilli(stamp)
	t.restoreFleets(&f)
	if c.version == stateVersion && f.empty() { // else the first commit migrates it, or takes the fleeting part out of the store
		t.saved, t.anchor = lasting, t.anchored()
	}
	return nil
}

// restoreFleets takes loaded objects and sessions up again, as far as the profile has room for them.
func (t *TPM) restoreFleets(f *fleeting) {
	for _, s := range f.Objects {
		if int(s.Index) < len(t.objects) {
			t.objects[s.Index] = s.Object
		}
	}
	for _, s := range f.Sessions {
		t.sessions[s.Handle] = s.Session
	}
	t.exclusive = f.Exclusive
}

// manufacture makes a TPM that never was: new seeds and proofs, no auth values, PCR banks of the profile.
func (t *TPM) manufacture() error {
	t.nv = permanent{Derivation: derivationLevel, Orderly: suClear, AuditAlg: cmp.Or(t.profile.AuditHash, crypt.AlgSHA256),
		DA: newLockoutState()}
	for _, h := range []*hierarchy{&t.nv.Endorsement, &t.nv.Platform, &t.nv.Owner} {
		if err := t.reseed(h); err != nil {
			return err
		}
	}
	t.nv.Lockout.PolicyAlg = crypt.AlgNull
	for i := range t.nv.PCRGroups {
		t.nv.PCRGroups[i].PolicyAlg = crypt.AlgNull
	}
	for _, alg := range t.profile.Banks {
		t.nv.PCRAlloc = append(t.nv.PCRAlloc, pcrBank{Alg: alg, Mask: 1<<maxPCRs - 1, Size: pcrSelectBytes})
	}
	t.nv.AuditCommands = []uint32{ccSetCommandCodeAuditStatus}
	t.nv.PPCommands = alwaysPPCommands()
	return nil
}

// reseed gives a hierarchy a new seed and proof, and takes its auth value and policy away.
func (t *TPM) reseed(h *hierarchy) (err error) {
	h.authority = authority{PolicyAlg: crypt.AlgNull}
	t.primaries = nil
	if h.Seed, err = t.random(seedSize); err != nil {
		return err
	}
	h.Proof, err = t.random(seedSize)
	return err
}
