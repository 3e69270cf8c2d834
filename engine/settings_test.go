package engine_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

func TestATPMIsResetWithItsHostWhenItsOwnerChoseThat(t *testing.T) {
	for name, c := range map[string]struct {
		policy engine.ResetPolicy
		next   string // boot of the host that the next process runs in
		reset  bool
	}{
		"the same boot":                      {engine.ResetWithHost, "boot 1", false},
		"another boot":                       {engine.ResetWithHost, "boot 2", true},
		"a boot that is not known":           {engine.ResetWithHost, "", false},
		"another boot, but only by its user": {engine.ResetExplicitly, "boot 2", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *engine.Config) { c.Boot = "boot 1" })
			if err := f.SetResetPolicy(c.policy); err != nil {
				t.Fatal(err)
			}
			extendPCR(t, f, 16, "data")
			f.cfg.Boot = c.next
			for range 2 { // the second process of a boot finds what the first one left
				f.reopen(t)
				if f.ResetPolicy() != c.policy {
					t.Errorf("the policy became %v", f.ResetPolicy())
				}
				if got := bytes.Equal(readPCR(t, f, tpm2.TPMAlgSHA256, 16), make([]byte, 32)); got != c.reset {
					t.Errorf("reset: %v, want %v", got, c.reset)
				}
				c.reset = false
				extendPCR(t, f, 16, "more")
			}
		})
	}
}

func TestAResetWithTheHostIsOrderly(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Boot = "boot 1" })
	if err := f.SetResetPolicy(engine.ResetWithHost); err != nil {
		t.Fatal(err)
	}
	before := run(t, f, tpm2.ReadClock{}).CurrentTime.ClockInfo
	f.cfg.Boot = "boot 2"
	f.clock.now = f.clock.now.Add(time.Minute)
	f.reopen(t)
	after := run(t, f, tpm2.ReadClock{}).CurrentTime.ClockInfo
	if after.ResetCount != before.ResetCount+1 || !after.Safe || after.Clock != before.Clock+60_000 {
		t.Errorf("clock %+v after %+v", after, before)
	}
}

func TestAResetWithTheHostNeedsToKnowTheBoot(t *testing.T) {
	f := newFixture(t)
	if f.SetResetPolicy(engine.ResetWithHost) == nil || f.ResetPolicy() != engine.ResetExplicitly {
		t.Error("a policy that cannot be kept was accepted")
	}
}

// A server whose power ends with its process leaves a state that says started. Who goes on with it as powered must start it
// up: PCRs and the null hierarchy's proof are gone, and a proof that anybody knows is none.
func TestAKilledServersTPMIsStartedUpByTheNextProcess(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	extendPCR(t, f, 0, "firmware")
	f.cfg.Power = engine.StaysOn
	f.open(t) // the server was killed: it never closed
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(got, make([]byte, 32)) {
		t.Errorf("PCR 0 survived the loss of power: %x", got)
	}
	if clock := run(t, f, tpm2.ReadClock{}).CurrentTime.ClockInfo; clock.Safe || clock.ResetCount != 2 {
		t.Errorf("after an unorderly stop: %+v", clock)
	}
}
