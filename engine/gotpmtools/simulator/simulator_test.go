package simulator_test

import (
	"errors"
	"testing"

	"github.com/google/go-tpm-tools/simulator"
)

// primary is the response to TPM2_CreatePrimary of an ECC storage key in the owner hierarchy: the key and its name.
func primary(t *testing.T, s *simulator.Simulator) string {
	t.Helper()
	return exchange(t, s, "\x80\x02\x00\x00\x00\x43\x00\x00\x01\x31\x40\x00\x00\x01"+ // header, owner
		"\x00\x00\x00\x09\x40\x00\x00\x09\x00\x00\x01\x00\x00"+ // empty password
		"\x00\x04\x00\x00\x00\x00"+ // no auth value, no data
		"\x00\x1a\x00\x23\x00\x0b\x00\x03\x00\x72\x00\x00\x00\x06\x00\x80\x00\x43\x00\x10\x00\x03\x00\x10\x00\x00\x00\x00"+ // P-256, AES-128 CFB
		"\x00\x00\x00\x00\x00\x00") // no outside information, no PCRs
}

func exchange(t *testing.T, s *simulator.Simulator, command string) string {
	t.Helper()
	if n, err := s.Write([]byte(command)); n != len(command) || err != nil {
		t.Fatal(n, err)
	}
	response := make([]byte, 4096)
	n, err := s.Read(response)
	if err != nil || n < 10 || string(response[6:10]) != "\x00\x00\x00\x00" {
		t.Fatalf("response %x, %v", response[:n], err)
	}
	return string(response[:n])
}

func seeded(t *testing.T, seed int64) *simulator.Simulator {
	t.Helper()
	s, err := simulator.GetWithFixedSeedInsecure(seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeysFollowFromTheSeed(t *testing.T) {
	s, same, other := seeded(t, 1), seeded(t, 1), seeded(t, 2)
	key := primary(t, s)
	if primary(t, same) != key {
		t.Error("the same seed gives another key")
	}
	if primary(t, other) == key {
		t.Error("another seed gives the same key")
	}
}

func TestAResetKeepsTheSeedsAndAManufactureResetDoesNot(t *testing.T) {
	s := seeded(t, 1)
	key := primary(t, s)
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if primary(t, s) != key {
		t.Error("another key after a reset")
	}
	if err := s.ManufactureReset(); err != nil {
		t.Fatal(err)
	}
	if primary(t, s) == key {
		t.Error("the same key in a new TPM")
	}
}

func TestAClosedSimulatorRefusesEverything(t *testing.T) {
	s, err := simulator.Get()
	if err != nil {
		t.Fatal(err)
	}
	if s.IsClosed() {
		t.Error("closed at once")
	}
	if err := s.Close(); err != nil || !s.IsClosed() {
		t.Error("not closed:", err)
	}
	_, write := s.Write(nil)
	_, read := s.Read(nil)
	for name, err := range map[string]error{"Write": write, "Read": read, "Reset": s.Reset(), "ManufactureReset": s.ManufactureReset(), "Close": s.Close()} {
		if !errors.Is(err, simulator.ErrUsingClosedSimulator) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
