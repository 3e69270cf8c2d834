package bitlocker_test

import (
	"bytes"
	"testing"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

func engine(t *testing.T) tpm.Conn { return tpmtest.Engine(t, tpm.Options{Allow: tpmtest.Everything}) }

func TestTheForecastIsWhatTheEngineDoes(t *testing.T) { forecastIsWhatHappens(t, engine(t)) }

func TestPairKnowsTheEngineThatSealed(t *testing.T) { pairKnowsWhoSealed(t, engine) }

func sealNow(t *testing.T, conn tpm.Sender, key []byte) synth.TPM {
	t.Helper()
	sealed, err := synth.SealNow(conn, key)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func extend(t *testing.T, conn tpm.Sender, n int) {
	t.Helper()
	d, err := pcr.EventDigests(pcr.Selection{{Bank: eventlog.SHA256}}, bytes.NewReader([]byte("something was measured")))
	if err == nil {
		err = pcr.Extend(conn, n, d)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// forecastIsWhatHappens asks for the forecast at each step, and then lets the TPM decide.
func forecastIsWhatHappens(t *testing.T, conn tpm.Conn) {
	t.Helper()
	vmk := bytes.Repeat([]byte{0xa5}, 44)
	extend(t, conn, 7) // the firmware
	sealed := sealNow(t, conn, vmk)
	v := inspect(t, protected(sealed.Protector()).Image())
	if got := v.Protectors[0].TPM; got.Policy != bitlocker.PolicyAuthValuePCR || got.Bank != eventlog.SHA256 {
		t.Fatalf("the TPM's own object: %+v", got)
	}
	step := func(name string, want bitlocker.Outcome, opens bool) {
		t.Helper()
		live, err := pcr.Read(conn, nil)
		if err != nil {
			t.Fatal(err)
		}
		key, err := sealed.Unseal(conn)
		if opens != (err == nil) || opens && !bytes.Equal(key, vmk) {
			t.Errorf("%s: the TPM gives %x, %v", name, key, err)
		}
		if got := v.Check(live, nil); got.Outcome != want {
			t.Errorf("%s: forecast %q, want %q", name, got.Outcome, want)
		}
	}
	step("at boot", bitlocker.OutcomeUnlocks, true)
	extend(t, conn, 11)
	step("once Windows has closed the door behind itself", bitlocker.OutcomeUnlocks, false)
	extend(t, conn, 7)
	step("after a change of PCR 7", bitlocker.OutcomeRecovery, false)
}

func pairKnowsWhoSealed(t *testing.T, open func(*testing.T) tpm.Conn) {
	t.Helper()
	owner, stranger := open(t), open(t)
	img := protected(sealNow(t, owner, make([]byte, 44)).Protector()).Image()
	if err := synth.Provision(stranger); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		conn tpm.Conn
		want eventlog.Outcome
	}{
		"the TPM that sealed":           {owner, eventlog.Pass},
		"the TPM of another machine":    {stranger, eventlog.Fail},
		"a TPM that never knew Windows": {open(t), eventlog.Fail},
	} {
		_, got, err := bitlocker.Pair(c.conn, bytes.NewReader(img), int64(len(img)))
		if err != nil || len(got) != 1 || got[0].Paired != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
