package eventlog_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// boots are the boots of synth, by name.
var boots = map[string]func(synth.Machine) *synth.Recording{
	"shim and GRUB": synth.ShimGRUB, "UKI": synth.UKI, "direct": synth.Direct, "Windows": synth.Windows,
	"SeaBIOS": synth.SeaBIOS, "TPM 1.2": synth.TPM12,
}

func TestEveryBootReplaysToItsExtends(t *testing.T) {
	for name, boot := range boots {
		t.Run(name, func(t *testing.T) {
			machine := synth.Default()
			machine.Banks = allBanks
			rec := boot(machine)
			log := mustParse(t, rec.Log)
			if !log.Complete() {
				t.Errorf("notes %v", log.Notes)
			}
			for _, bank := range log.Banks {
				checkReplay(t, log, rec, bank)
			}
			if again := boot(machine); !bytes.Equal(again.Log, rec.Log) {
				t.Error("the same machine gives another log")
			}
		})
	}
}

func TestGoAttestationAcceptsEveryBoot(t *testing.T) {
	for name, boot := range boots {
		machine := synth.Default()
		machine.Banks = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256}
		machine.Windows.TrustPoint = false // go-attestation 0.6.4 knows no registers beyond PCRs
		rec := boot(machine)
		log := mustParse(t, rec.Log)
		for _, bank := range log.Banks {
			if err := goAttestationReplay(t, rec.Log, bank, rec.PCRs(bank)); err != nil {
				t.Errorf("%s, %s: %v", name, bank, err)
			}
		}
	}
}

func TestOneChangedComponentChangesItsPCRsOnly(t *testing.T) {
	for name, c := range map[string]struct {
		boot   func(synth.Machine) *synth.Recording
		change func(*synth.Machine)
		pcrs   []int
	}{
		"kernel under GRUB":  {synth.ShimGRUB, func(m *synth.Machine) { m.Kernel = []byte("evil") }, []int{4, 9}},
		"initrd under GRUB":  {synth.ShimGRUB, func(m *synth.Machine) { m.Initrd = []byte("evil") }, []int{9}},
		"cmdline under GRUB": {synth.ShimGRUB, func(m *synth.Machine) { m.Cmdline += " init=/bin/sh" }, []int{8, 9}},
		"kernel in a UKI":    {synth.UKI, func(m *synth.Machine) { m.Kernel = []byte("evil") }, []int{4, 11}},
		"dbx":                {synth.UKI, func(m *synth.Machine) { m.DBX = append(m.DBX, "another") }, []int{7}},
		"firmware":           {synth.Windows, func(m *synth.Machine) { m.Firmware = "2027.01" }, []int{0}},
		"Windows debugging":  {synth.Windows, func(m *synth.Machine) { m.Windows.Debugging = true }, []int{12}},
	} {
		t.Run(name, func(t *testing.T) {
			machine := synth.Default()
			before := c.boot(machine).PCRs(eventlog.SHA256)
			c.change(&machine)
			after := c.boot(machine).PCRs(eventlog.SHA256)
			var changed []int
			for pcr := range 24 {
				if !bytes.Equal(before[pcr], after[pcr]) {
					changed = append(changed, pcr)
				}
			}
			if !slices.Equal(changed, c.pcrs) {
				t.Errorf("PCRs %v change, want %v", changed, c.pcrs)
			}
		})
	}
}
