package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// clock is a host clock that tests move by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// stream is a source of bytes that repeats from test to test.
type stream struct{ sum [32]byte }

func (s *stream) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		s.sum = sha256.Sum256(s.sum[:])
		n += copy(p[n:], s.sum[:])
	}
	return len(p), nil
}

// fixture is a TPM whose time, randomness and store a test controls.
type fixture struct {
	*engine.TPM
	clock *clock
	cfg   engine.Config
}

// Send holds the TPM to its word: after every answer, what must outlive a crash is in the store, and of the command nothing is left.
func (f *fixture) Send(cmd []byte) ([]byte, error) {
	res, err := f.TPM.Send(cmd)
	if err == nil && !engine.StoredForTest(f.TPM) {
		panic(fmt.Sprintf("after the command %x the store is behind", cmd))
	}
	if left := engine.LeftForTest(f.TPM); left != "" {
		panic(fmt.Sprintf("after the command %x there is still %s", cmd, left))
	}
	return res, err
}

func newFixture(t testing.TB, change ...func(*engine.Config)) *fixture {
	t.Helper()
	f := &fixture{clock: &clock{time.Unix(1_700_000_000, 0)}}
	f.cfg = engine.Config{Rand: &stream{}, Now: f.clock.Now, Store: engine.NewMemoryStore()}
	for _, c := range change {
		c(&f.cfg)
	}
	f.open(t)
	return f
}

func (f *fixture) open(t testing.TB) {
	t.Helper()
	tpm, err := engine.New(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.TPM = tpm
}

// reopen ends the process, so to speak, and starts the next one.
func (f *fixture) reopen(t testing.TB) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.open(t)
}

// run executes a command that must succeed.
func run[R any](t testing.TB, f *fixture, cmd tpm2.Command[R, *R]) *R {
	t.Helper()
	res, err := cmd.Execute(f)
	if err != nil {
		t.Fatalf("%T: %v", cmd, err)
	}
	return res
}

// refused executes a command that must be refused with a code.
func refused[R any](t testing.TB, f *fixture, want uint32, cmd tpm2.Command[R, *R]) {
	t.Helper()
	_, err := cmd.Execute(f)
	var got tpm2.TPMRC
	if !errors.As(err, &got) || uint32(got) != want {
		t.Errorf("%T: %v (0x%x), want 0x%x", cmd, err, uint32(got), want)
	}
}

// raw sends bytes and gives the response code.
func raw(t testing.TB, f *fixture, cmd []byte) uint32 {
	t.Helper()
	res, err := f.Send(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if len(res) < 10 || int(binary.BigEndian.Uint32(res[2:])) != len(res) {
		t.Fatalf("malformed response %x", res)
	}
	return binary.BigEndian.Uint32(res[6:])
}

func pcrAuth(pcr int) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)}
}

func extendPCR(t testing.TB, f *fixture, pcr int, data string) {
	t.Helper()
	d := sha256.Sum256([]byte(data))
	run(t, f, tpm2.PCRExtend{PCRHandle: pcrAuth(pcr), Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{
		HashAlg: tpm2.TPMAlgSHA256, Digest: d[:]}}}})
}

func readPCR(t testing.TB, f *fixture, alg tpm2.TPMIAlgHash, pcr uint) []byte {
	t.Helper()
	res := run(t, f, tpm2.PCRRead{PCRSelectionIn: selection(alg, pcr)})
	if len(res.PCRValues.Digests) != 1 {
		t.Fatalf("%d digests for one PCR", len(res.PCRValues.Digests))
	}
	return res.PCRValues.Digests[0].Buffer
}

func selection(alg tpm2.TPMIAlgHash, pcrs ...uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: alg, PCRSelect: tpm2.PCClientCompatible.PCRs(pcrs...)}}}
}

func TestANewTPMIsStartedAndAnswers(t *testing.T) {
	f := newFixture(t)
	if got := run(t, f, tpm2.GetRandom{BytesRequested: 16}); len(got.RandomBytes.Buffer) != 16 {
		t.Errorf("%d random bytes", len(got.RandomBytes.Buffer))
	}
	if zero := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(zero, make([]byte, 32)) {
		t.Errorf("PCR 0 = %x", zero)
	}
	if ones := readPCR(t, f, tpm2.TPMAlgSHA1, 17); !bytes.Equal(ones, bytes.Repeat([]byte{0xff}, 20)) {
		t.Errorf("PCR 17 = %x", ones)
	}
	refused(t, f, 0x100, tpm2.Startup{StartupType: tpm2.TPMSUClear})
}

func TestPCRsGoOnBetweenProcessesAndEndWithAReset(t *testing.T) {
	f := newFixture(t)
	extendPCR(t, f, 7, "secure boot")
	d := sha256.Sum256([]byte("secure boot"))
	want := sha256.Sum256(append(make([]byte, 32), d[:]...))
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 7); !bytes.Equal(got, want[:]) {
		t.Fatalf("PCR 7 = %x, want %x", got, want)
	}
	f.reopen(t)
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 7); !bytes.Equal(got, want[:]) {
		t.Errorf("after the next start PCR 7 = %x, want %x", got, want)
	}
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 7); !bytes.Equal(got, make([]byte, 32)) {
		t.Errorf("after a reset PCR 7 = %x", got)
	}
}

func TestAServerPowersTheTPMOnAndTheClientStartsItUp(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	refused(t, f, 0x100, tpm2.GetRandom{BytesRequested: 8})
	refused(t, f, 0x1c4, tpm2.Startup{StartupType: tpm2.TPMSUState})
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	extendPCR(t, f, 0, "firmware")
	before := readPCR(t, f, tpm2.TPMAlgSHA256, 0)

	run(t, f, tpm2.Shutdown{ShutdownType: tpm2.TPMSUState})
	f.reopen(t)
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUState})
	if after := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(before, after) {
		t.Errorf("TPM Resume changed PCR 0 from %x to %x", before, after)
	}

	f.reopen(t)
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(got, make([]byte, 32)) {
		t.Errorf("PCR 0 survived the loss of power: %x", got)
	}
}

func TestAClosedTPMSaysSo(t *testing.T) {
	f := newFixture(t)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.HashStart()
	ended := f.HashEnd()
	_, sent := f.TPM.Send([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8})
	_, _, taken := f.Snapshot(true)
	for what, err := range map[string]error{"Send": sent, "Snapshot": taken, "Restore": f.Restore(nil), "Reset": f.Reset(), "HashEnd": ended,
		"SetResetPolicy": f.SetResetPolicy(engine.ResetExplicitly), "PowerCycle": f.PowerCycle()} {
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Errorf("closed once more: %v", err)
	}
}

func TestMalformedCommandsGetTheCodesOfTheSpecification(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		cmd  []byte
		want uint32
	}{
		"nothing":                         {[]byte{}, 0x9a},
		"a TPM 1.2 tag":                   {[]byte{0, 0xc1, 0, 0, 0, 10, 0, 0, 0, 0xf1}, 0x1e},
		"a size that is not true":         {[]byte{0x80, 1, 0, 0, 0, 13, 0, 0, 1, 0x7b, 0, 8}, 0x142},
		"a command that does not exist":   {[]byte{0x80, 1, 0, 0, 0, 10, 0, 0, 0x0f, 0xff}, 0x143},
		"a parameter cut short":           {[]byte{0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x7b, 0}, 0x1da},
		"bytes after the last parameter":  {[]byte{0x80, 1, 0, 0, 0, 13, 0, 0, 1, 0x7b, 0, 8, 0}, 0x95},
		"no authorization where one must": {[]byte{0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x3d, 0, 0, 0, 16}, 0x125},
		"a PCR that is none":              {[]byte{0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x3d, 0, 0, 0, 24}, 0x184},
		"a hash that is none":             {[]byte{0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1, 0, 1, 3, 1, 0, 0}, 0x1c3},
	} {
		t.Run(name, func(t *testing.T) {
			if got := raw(t, f, c.cmd); got != c.want {
				t.Errorf("response code 0x%x, want 0x%x", got, c.want)
			}
		})
	}
}

func TestReadingCommandsDoNotWriteTheState(t *testing.T) {
	store := &countingStore{Store: engine.NewMemoryStore()}
	f := newFixture(t, func(c *engine.Config) { c.Store = store })
	start := store.saves
	run(t, f, tpm2.GetRandom{BytesRequested: 8})
	readPCR(t, f, tpm2.TPMAlgSHA256, 0)
	run(t, f, tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: 0x100, PropertyCount: 10})
	f.clock.now = f.clock.now.Add(time.Hour)
	readPCR(t, f, tpm2.TPMAlgSHA256, 0)
	if store.saves != start {
		t.Errorf("%d writes for reading", store.saves-start)
	}
	extendPCR(t, f, 4, "loader")
	if store.saves != start+1 {
		t.Errorf("%d writes for one change", store.saves-start)
	}
}

func TestAProcessThatOnlyReadsWritesNothing(t *testing.T) {
	store := &countingStore{Store: engine.NewMemoryStore()}
	f := newFixture(t, func(c *engine.Config) { c.Store = store })
	extendPCR(t, f, 4, "loader")
	before := store.saves
	for range 3 {
		f.clock.now = f.clock.now.Add(time.Hour)
		f.reopen(t)
		readPCR(t, f, tpm2.TPMAlgSHA256, 4)
	}
	if store.saves != before {
		t.Errorf("%d writes for reading", store.saves-before)
	}
	clock := run(t, f, tpm2.ReadClock{}).CurrentTime.ClockInfo.Clock
	if want := uint64(3 * time.Hour / time.Millisecond); clock != want {
		t.Errorf("the clock is %d, want %d", clock, want)
	}
}

func TestTheClockNeverGoesBackInACrash(t *testing.T) {
	f := newFixture(t)
	clockNow := func() uint64 { return run(t, f, tpm2.ReadClock{}).CurrentTime.ClockInfo.Clock }
	if code := raw(t, f, command(0x128, 0x40000001, 0, 0, 1, 0, 0, 0, 0, 0)); code != 0 { // TPM2_ClockSet
		t.Fatalf("0x%x", code)
	}
	f.TPM = crash(t, f)
	if got := clockNow(); got < 1<<40 {
		t.Errorf("the clock that was set is %d after a crash", got)
	}
	f.clock.now = f.clock.now.Add(-time.Hour) // the host's clock is set back
	clockNow()
	f.clock.now = f.clock.now.Add(time.Minute)
	before := clockNow()
	f.TPM = crash(t, f)
	if got := clockNow(); got < before {
		t.Errorf("the clock went from %d back to %d", before, got)
	}
}

// A full disk must not let anybody try out auth values: as long as a failure cannot be stored, nothing is answered.
func TestNothingIsAnsweredWhileAFailureCannotBeStored(t *testing.T) {
	store := &countingStore{Store: engine.NewMemoryStore()}
	f := newFixture(t, func(c *engine.Config) { c.Store = store })
	x := define(t, f, 0x01800001, 8, tpm2.TPMANV{})
	run(t, f, x.write("12345678", 0))
	guess := tpm2.NVRead{AuthHandle: named(x.h, x.name(), tpm2.PasswordAuth([]byte("wrong"))), NVIndex: x.ref(), Size: 8}
	store.full = errors.New("disk full")
	for range 2 {
		if _, err := guess.Execute(f); !errors.Is(err, store.full) {
			t.Errorf("a wrong guess: %v", err)
		}
		if _, err := (tpm2.GetRandom{BytesRequested: 1}).Execute(f); !errors.Is(err, store.full) {
			t.Errorf("what comes after it: %v", err)
		}
	}
	store.full = nil
	run(t, f, tpm2.GetRandom{BytesRequested: 1})
	f.TPM = crash(t, f)
	if n := failedTries(t, f); n != 1 {
		t.Errorf("%d failed tries, want the one that was carried out", n)
	}
}

// failedTries is TPM_PT_LOCKOUT_COUNTER.
func failedTries(t testing.TB, f *fixture) uint32 {
	t.Helper()
	res := run(t, f, tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: 0x20e, PropertyCount: 1})
	p, err := res.CapabilityData.Data.TPMProperties()
	if err != nil || len(p.TPMProperty) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	return p.TPMProperty[0].Value
}

// countingStore counts what is written, and fails when it is full.
type countingStore struct {
	engine.Store
	saves int
	full  error
}

func (s *countingStore) Save(b []byte) error {
	if s.full != nil {
		return s.full
	}
	s.saves++
	return s.Store.Save(b)
}

// FuzzSend runs a command on a TPM that has something of everything: a storage key, a sealed object, sessions, an NV index,
// a persistent object.
func FuzzSend(f *testing.F) {
	state := furnished(f)
	f.Add([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8})
	f.Add([]byte{0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7a, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, 8})
	for cc := uint32(0x11f); cc <= 0x19a; cc++ { // every command, with handles that may fit
		f.Add(command(cc, 0x80000001, 0, 0, 0, 0))
		f.Add(command(cc, 0x40000001, 0, 0, 0, 0))
	}
	f.Fuzz(func(t *testing.T, cmd []byte) {
		tpm := newFixture(t)
		if err := tpm.Restore(state); err != nil {
			t.Fatal(err)
		}
		if raw(t, tpm, cmd) == 0x101 {
			t.Error("the command broke the TPM")
		}
		tpm.reopen(t)
	})
}

// furnished is the state of a TPM in use.
func furnished(t testing.TB) []byte {
	t.Helper()
	f := newFixture(t)
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	sealed(t, f, parent, []byte("x"), []byte("PIN"), nil)
	run(t, f, define(t, f, 0x01800001, 8, tpm2.TPMANV{}).write("12345678", 0))
	run(t, f, tpm2.EvictControl{Auth: asOwner, ObjectHandle: &tpm2.NamedHandle{Handle: parent.ObjectHandle, Name: parent.Name},
		PersistentHandle: 0x81000001})
	for _, open := range []func() error{
		func() error { _, _, err := tpm2.PolicySession(f, tpm2.TPMAlgSHA256, 16); return err },
		func() error { _, _, err := tpm2.HMACSession(f, tpm2.TPMAlgSHA256, 16); return err },
	} {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	state, _, err := f.Snapshot(true)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func FuzzState(f *testing.F) {
	store := engine.NewMemoryStore()
	tpm, err := engine.New(engine.Config{Store: store, Rand: &stream{}})
	if err != nil {
		f.Fatal(err)
	}
	if err := tpm.Close(); err != nil {
		f.Fatal(err)
	}
	blob, _ := store.Load()
	f.Add(blob)
	f.Add(furnished(f))
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		store := engine.NewMemoryStore()
		if err := store.Save(blob); err != nil {
			t.Fatal(err)
		}
		tpm, err := engine.New(engine.Config{Store: store, Rand: &stream{}})
		if err != nil {
			if kept, _ := store.Load(); !bytes.Equal(kept, blob) {
				t.Error("a state that cannot be read was overwritten")
			}
			return
		}
		if err := tpm.Close(); err != nil {
			t.Error(err)
		}
	})
}
