package engine_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// The traffic of a TPM whose process is killed: each kind changes one number that the state must keep.
const (
	ackCounter = iota // increments of an NV counter
	ackOrderly        // increments of an orderly one, which may be ahead after a crash but never behind
	ackData           // a number written to an ordinary index
	ackFailed         // failed tries under the dictionary-attack logic
	ackPIN            // failures that a PIN-fail index counts
	ackPersist        // persistent objects made and removed
	acks
)

var ackNames = [acks]string{"counter", "orderly counter", "data", "failed tries", "PIN failures", "persistent objects"}

// tally is where each number stands.
type tally [acks]uint64

// The indices of the traffic.
const (
	killCounter = 0x01800001
	killOrderly = 0x01800002
	killData    = 0x01800003
	killPIN     = 0x01800004
)

// killSlots is how many persistent handles are filled and emptied in turn.
const killSlots = 4

// persistent are the handles that are there after so many changes: each slot is filled in one turn and emptied in the next.
func (n tally) persistent() (handles []tpm2.TPMHandle) {
	for slot := range uint64(killSlots) {
		if changes := (n[ackPersist] + killSlots - 1 - slot) / killSlots; changes%2 == 1 {
			handles = append(handles, tpm2.TPMHandle(0x81000000+slot))
		}
	}
	return handles
}

// killFixture is a TPM in a folder. Every second round its power is the process, as in a server that firmware starts up.
func killFixture(t testing.TB, dir string, round int) *fixture {
	t.Helper()
	store, err := engine.OpenFileStore(context.Background(), dir, engine.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	power := engine.StaysOn
	if round%2 == 1 {
		power = engine.OffBetween
	}
	f := &fixture{cfg: engine.Config{Store: store, Power: power}}
	f.open(t)
	if power == engine.OffBetween {
		run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	}
	return f
}

// prepareTraffic defines what the traffic changes, with limits that are never reached.
func prepareTraffic(t *testing.T, dir string) tally {
	f := killFixture(t, dir, 0)
	if code := raw(t, f, command(0x13a, 0x4000000a, 0x40, 0, 0, 0, 0x40, 0, 0, 0, 0x40, 0, 0, 0)); code != 0 { // TPM2_DictionaryAttackParameters
		t.Fatalf("0x%x", code)
	}
	counter := define(t, f, killCounter, 8, tpm2.TPMANV{NT: tpm2.TPMNTCounter})
	orderly := define(t, f, killOrderly, 8, tpm2.TPMANV{NT: tpm2.TPMNTCounter, Orderly: true})
	for _, x := range []index{counter, orderly} {
		run(t, f, tpm2.NVIncrement{AuthHandle: x.auth(), NVIndex: x.ref()})
	}
	data := define(t, f, killData, 8, tpm2.TPMANV{})
	run(t, f, data.write("\x00\x00\x00\x00\x00\x00\x00\x00", 0))
	pin := define(t, f, killPIN, 8, tpm2.TPMANV{NT: tpm2.TPMNTPinFail, NoDA: true})
	limit := pin.write("\x00\x00\x00\x00\xff\xff\xff\xff", 0)
	limit.AuthHandle = asOwner
	run(t, f, limit)
	n := readTally(t, f, tally{})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// readTally reads the numbers out of the TPM. Which persistent objects are there does not tell how often they changed: it is
// the count, near the one that is expected, that explains them.
func readTally(t testing.TB, f *fixture, expected tally) tally {
	t.Helper()
	var n tally
	for ack, h := range map[int]tpm2.TPMHandle{ackCounter: killCounter, ackOrderly: killOrderly, ackData: killData} {
		n[ack] = index{t, f, h}.number()
	}
	n[ackPIN] = index{t, f, killPIN}.number() >> 32
	n[ackFailed] = uint64(failedTries(t, f))
	res := run(t, f, tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x81000000, PropertyCount: 100})
	there, err := res.CapabilityData.Data.Handles()
	if err != nil {
		t.Fatal(err)
	}
	for n[ackPersist] = expected[ackPersist]; n[ackPersist] <= expected[ackPersist]+1; n[ackPersist]++ {
		if fmt.Sprint(n.persistent()) == fmt.Sprint(there.Handle) {
			return n
		}
	}
	t.Fatalf("after %d or %d changes the persistent objects are %v", expected[ackPersist], expected[ackPersist]+1, there.Handle)
	return n
}

// step makes one change of a kind.
func (n *tally) step(t testing.TB, f *fixture, ack int, key *tpm2.CreatePrimaryResponse) {
	next := n[ack] + 1
	switch ack {
	case ackCounter, ackOrderly:
		x := index{t, f, map[int]tpm2.TPMHandle{ackCounter: killCounter, ackOrderly: killOrderly}[ack]}
		run(t, f, tpm2.NVIncrement{AuthHandle: x.auth(), NVIndex: x.ref()})
	case ackData:
		run(t, f, index{t, f, killData}.write(string(binary.BigEndian.AppendUint64(nil, next)), 0))
	case ackFailed, ackPIN:
		x := index{t, f, map[int]tpm2.TPMHandle{ackFailed: killData, ackPIN: killPIN}[ack]}
		code := map[int]uint32{ackFailed: 0x98e, ackPIN: 0x9a2}[ack]
		refused(t, f, code, tpm2.NVRead{AuthHandle: named(x.h, x.name(), tpm2.PasswordAuth([]byte("wrong"))), NVIndex: x.ref(), Size: 8})
	case ackPersist:
		h := tpm2.TPMHandle(0x81000000 + n[ackPersist]%killSlots)
		object := tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name}
		if n[ackPersist]/killSlots%2 == 1 {
			object.Handle = h
		}
		run(t, f, tpm2.EvictControl{Auth: asOwner, ObjectHandle: &object, PersistentHandle: h})
	}
	n[ack] = next
}

const (
	killDir   = "VTPMCTL_TEST_KILL_DIR"
	killRound = "VTPMCTL_TEST_KILL_ROUND"
	killTally = "VTPMCTL_TEST_KILL_TALLY"
)

// TestTPMThatIsKilled is the other process of the next test: it makes changes in random order and prints the kind of each
// once it was answered.
func TestTPMThatIsKilled(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("runs only as a child of TestAKilledTPMLosesNothingItAcknowledged")
	}
	round, _ := strconv.Atoi(os.Getenv(killRound))
	f := killFixture(t, dir, round)
	var n tally
	if _, err := fmt.Sscan(os.Getenv(killTally), &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]); err != nil {
		t.Fatal(err)
	}
	key := srk(t, f, tpm2.ECCSRKTemplate)
	for !t.Failed() {
		fmt.Println("ready")
		ack := rand.IntN(acks)
		n.step(t, f, ack, key)
		fmt.Println(ack)
	}
}

// killed runs the other process, kills it at a random moment and counts what it acknowledged.
func killed(t *testing.T, dir string, round int, n tally) tally {
	child := exec.Command(os.Args[0], "-test.run=^TestTPMThatIsKilled$")
	child.Env = append(os.Environ(), killDir+"="+dir, killRound+"="+strconv.Itoa(round), killTally+"="+strings.Trim(fmt.Sprint(n), "[]"))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if kill == nil { // it is under way
			kill = time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { _ = child.Process.Kill() })
		}
		if lines.Text() == "ready" {
			continue
		}
		ack, err := strconv.Atoi(lines.Text())
		if err != nil || ack >= acks {
			t.Fatalf("round %d: the TPM's process said %q", round, lines.Text())
		}
		n[ack]++
	}
	if kill != nil {
		kill.Stop()
	}
	_ = child.Wait() // it was killed
	return n
}

// A process that changes its TPM in every way that must last is killed at random moments. The state can always be read, and
// holds each change that was acknowledged, and at most the one that was under way. VTPMCTL_TEST_KILLS sets the rounds.
func TestAKilledTPMLosesNothingItAcknowledged(t *testing.T) {
	rounds := 60
	if n, err := strconv.Atoi(os.Getenv("VTPMCTL_TEST_KILLS")); err == nil {
		rounds = n
	} else if testing.Short() {
		rounds = 10
	}
	dir := t.TempDir()
	first := prepareTraffic(t, dir)
	last := first
	for round := range rounds {
		acknowledged := killed(t, dir, round, last)
		f := killFixture(t, dir, 0)
		found := readTally(t, f, acknowledged)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		surplus := uint64(0)
		for ack, n := range found {
			if n < acknowledged[ack] {
				t.Fatalf("round %d: %s: %d acknowledged, %d there", round, ackNames[ack], acknowledged[ack], n)
			}
			if ack != ackOrderly { // which goes ahead when power is lost
				surplus += n - acknowledged[ack]
			}
		}
		if surplus > 1 {
			t.Fatalf("round %d: %v acknowledged, %v there", round, acknowledged, found)
		}
		last = found
	}
	for ack := range last {
		if rounds >= 60 && last[ack] == first[ack] {
			t.Errorf("%s: no change in %d rounds", ackNames[ack], rounds)
		}
	}
	t.Logf("%d rounds: %v became %v", rounds, first, last)
}
