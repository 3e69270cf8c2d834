package bitlocker_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/eventlog"
	logs "github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// running are the PCRs of a running Windows: PCR n holds the byte n, PCR 11 included, though it was zero at boot.
func running(changed ...int) *pcr.Values {
	v := &pcr.Values{}
	for n := range pcr.Count {
		value := bytes.Repeat([]byte{byte(n)}, 32)
		if slices.Contains(changed, n) {
			value[0] ^= 0xff
		}
		v.Set(eventlog.SHA256, n, value)
	}
	return v
}

// sealedTo is sealed to the values of running, with PCR 11 as it is at boot.
func sealedTo(t synth.TPM, pcrs ...int) synth.TPM {
	t.PCRs, t.Values = pcrs, map[int][]byte{}
	for _, n := range pcrs {
		if n != 11 {
			t.Values[n] = running().Get(eventlog.SHA256, n)
		}
	}
	return t
}

func TestCheckForecastsTheNextBoot(t *testing.T) {
	tpmOnly := sealedTo(synth.TPM{}, 7, 11).Protector()
	legacy := sealedTo(synth.TPM{}, 0, 2, 4, 11).Protector()
	unknown := sealedTo(synth.TPM{Policy: make([]byte, 32)}, 7, 11).Protector()
	withWindowsPCR := sealedTo(synth.TPM{}, 7, 11, 12).Protector()
	for name, c := range map[string]struct {
		volume  synth.Volume
		changed []int
		want    bitlocker.Outcome
		reason  string // in the checks
	}{
		"nothing changed":                      {protected(tpmOnly), nil, "unlocks", "those the key is sealed to"},
		"a PCR outside the profile changed":    {protected(tpmOnly), []int{4, 11}, "unlocks", "those the key is sealed to"},
		"PCR 7 changed":                        {protected(tpmOnly), []int{7}, "recovery", "are not those"},
		"a PIN as well":                        {protected(sealedTo(synth.TPM{PIN: true}, 7, 11).Protector()), nil, "unlocks_with_pin", ""},
		"a startup key as well":                {protected(sealedTo(synth.TPM{StartupKey: true}, 7, 11).Protector()), nil, "unlocks_with_startup_key", ""},
		"both as well":                         {protected(sealedTo(synth.TPM{PIN: true, StartupKey: true}, 7, 11).Protector()), nil, "unlocks_with_pin_and_startup_key", ""},
		"a PIN does not help":                  {protected(sealedTo(synth.TPM{PIN: true}, 7, 11).Protector()), []int{7}, "recovery", ""},
		"suspended, whatever changed":          {protected(tpmOnly, synth.ClearKey()), []int{7}, "suspended", ""},
		"any of two TPM protectors":            {protected(legacy, tpmOnly), []int{4}, "unlocks", "those the key is sealed to"},
		"none of two TPM protectors":           {protected(legacy, tpmOnly), []int{4, 7}, "recovery", ""},
		"an unknown policy":                    {protected(unknown), nil, "unknown", "not one whose outcome can be computed"},
		"an unknown policy beside a wrong one": {protected(tpmOnly, unknown), []int{7}, "unknown", ""},
		"another bank":                         {protected(synth.TPM{PCRs: []int{7, 11}, Bank: 4}.Protector()), nil, "unknown", "no value of PCR 7 in bank sha1"},
		"a PCR that Windows extends, equal":    {protected(withWindowsPCR), nil, "unlocks", ""},
		"a PCR that Windows extends, changed":  {protected(withWindowsPCR), []int{12}, "unknown", "Windows extends PCRs [12]"},
		"no TPM protector":                     {protected(synth.Sealed(false)), nil, "no_tpm", ""},
		"decrypted":                            {synth.Volume{State: 1, Next: 1}, nil, "open", ""},
		"encrypted without protectors":         {synth.Volume{}, nil, "unknown", ""},
		"boot settings":                        {withBCD(protected(legacy)), nil, "unlocks", "compares 2 boot settings"},
	} {
		t.Run(name, func(t *testing.T) {
			got := inspect(t, c.volume.Image()).Check(running(c.changed...), nil)
			if got.Outcome != c.want || !strings.Contains(details(got), c.reason) {
				t.Errorf("outcome %q, want %q; checks\n%s", got.Outcome, c.want, details(got))
			}
		})
	}
}

func protected(by ...synth.Protector) synth.Volume { return synth.Volume{Protectors: by} }

func withBCD(v synth.Volume) synth.Volume {
	v.BCD = []synth.BCDRow{{Kind: 2, Flag: 1, Element: 0x16000049}, {Kind: 2, Element: 0x25000020, Value: make([]byte, 8)}}
	return v
}

func details(v *bitlocker.Verdict) string {
	var lines []string
	for _, c := range v.Checks {
		lines = append(lines, c.Name+" "+string(c.Outcome)+": "+c.Text)
	}
	return strings.Join(lines, "\n")
}

func TestDamagedMetadataProvesNothing(t *testing.T) {
	img := protected(sealedTo(synth.TPM{}, 7, 11).Protector()).Image()
	for _, at := range synth.CopyAt {
		img[at+64+16] ^= 1 // of the volume's identifier
	}
	if got := inspect(t, img).Check(running(), nil); got.Outcome != bitlocker.OutcomeUnknown {
		t.Errorf("outcome %q; checks\n%s", got.Outcome, details(got))
	}
}

func TestCheckNamesThePCRAtFault(t *testing.T) {
	v := inspect(t, protected(sealedTo(synth.TPM{}, 0, 2, 4, 11).Protector()).Image())
	for name, c := range map[string]struct {
		good    *pcr.Values
		changed []int
		reason  string
	}{
		"without good values":               {nil, nil, "are not those the key is sealed to"},
		"with values that unlocked":         {running(7, 11), []int{2, 4}, "PCR 4 (boot-loader-code)"},
		"with values that did not unlock":   {running(0), nil, "neither are the values given as good"},
		"with values that lack what counts": {&pcr.Values{}, nil, "neither are the values given as good"},
	} {
		t.Run(name, func(t *testing.T) {
			got := v.Check(running(2, 4, 5), c.good)
			var changed []int
			for _, d := range got.Forecasts[0].Changed {
				changed = append(changed, d.PCR)
			}
			if got.Outcome != bitlocker.OutcomeRecovery || !slices.Equal(changed, c.changed) {
				t.Errorf("outcome %q, PCRs %v changed, want %v", got.Outcome, changed, c.changed)
			}
			if reason := got.Forecasts[0].Reason; !strings.Contains(reason, c.reason) {
				t.Errorf("reason %q, want %q", reason, c.reason)
			}
		})
	}
}

// TestCheckReplaysTheLogOfABoot seals to what the firmware and the boot manager measure, as Windows does when protection is
// switched on, and asks again after changes.
func TestCheckReplaysTheLogOfABoot(t *testing.T) {
	replayed := func(change func(*logs.Machine)) *pcr.Values {
		m := logs.Default()
		change(&m)
		log, err := eventlog.Parse(logs.Windows(m).Log)
		if err != nil {
			t.Fatal(err)
		}
		return pcr.Replayed(log)
	}
	same := func(*logs.Machine) {}
	first := replayed(same)
	seal := func(pcrs ...int) *bitlocker.Volume {
		s := synth.TPM{PCRs: pcrs, Values: map[int][]byte{}}
		for _, n := range pcrs {
			if n != 11 {
				s.Values[n] = first.Get(eventlog.SHA256, n)
			}
		}
		return inspect(t, protected(s.Protector()).Image())
	}
	secureBoot, legacy := seal(7, 11), seal(0, 2, 4, 11)
	for name, c := range map[string]struct {
		change             func(*logs.Machine)
		secureBoot, legacy bitlocker.Outcome
	}{
		"the same again":       {same, "unlocks", "unlocks"},
		"a firmware update":    {func(m *logs.Machine) { m.Firmware = "2026.11-1" }, "unlocks", "recovery"},
		"a new boot manager":   {func(m *logs.Machine) { m.BootManager = []byte("boot manager, patched") }, "unlocks", "recovery"},
		"a dbx update":         {func(m *logs.Machine) { m.DBX = append(m.DBX, "one more") }, "recovery", "unlocks"},
		"Secure Boot off":      {func(m *logs.Machine) { m.SecureBoot = false }, "recovery", "unlocks"},
		"another Windows boot": {func(m *logs.Machine) { m.Windows.BootCounter++ }, "unlocks", "unlocks"},
	} {
		t.Run(name, func(t *testing.T) {
			next := replayed(c.change)
			if got := secureBoot.Check(next, first); got.Outcome != c.secureBoot {
				t.Errorf("PCRs 7, 11: %q, want %q\n%s", got.Outcome, c.secureBoot, details(got))
			}
			if got := legacy.Check(next, first); got.Outcome != c.legacy {
				t.Errorf("PCRs 0, 2, 4, 11: %q, want %q\n%s", got.Outcome, c.legacy, details(got))
			}
		})
	}
}
