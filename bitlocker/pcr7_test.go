package bitlocker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

const (
	somebody = "01020304-0506-0708-090a-0b0c0d0e0f10"

	ca2011  = "Microsoft Windows Production PCA 2011"
	ca2023  = "Windows UEFI CA 2023"
	ca3rd   = "Microsoft Corporation UEFI CA 2011"
	caOther = "Microsoft Root Certificate Authority 2010"
)

func vouched(subject string) synth.Authority {
	return synth.Authority{Variable: "db", Owner: synth.OwnerMicrosoft, Subject: subject}
}

func parse(t *testing.T, f synth.Firmware) *eventlog.Log {
	t.Helper()
	log, err := eventlog.Parse(f.Log())
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestPCR7BindingFollowsWindowsRules(t *testing.T) {
	with := func(change func(*synth.Firmware)) synth.Firmware { f := synth.WindowsFirmware(); change(&f); return f }
	for name, c := range map[string]struct {
		firmware synth.Firmware
		want     bitlocker.BindingOutcome
		check    string // the one that does not pass
		detail   string
	}{
		"the authority of 2011": {synth.WindowsFirmware(), "possible", "", ""},
		"the authority of 2023": {with(func(f *synth.Firmware) {
			f.DB = append(f.DB, ca2023)
			f.Authorities[0].Subject = ca2023
		}), "possible", "", ""},
		"Secure Boot is off":      {with(func(f *synth.Firmware) { f.SecureBoot = []byte{0} }), "not_possible", "secure_boot", "is off"},
		"SecureBoot not measured": {with(func(f *synth.Firmware) { f.LeaveOut = "SecureBoot" }), "not_possible", "secure_boot", "did not measure"},
		"dbx not measured":        {with(func(f *synth.Firmware) { f.LeaveOut = "dbx" }), "not_possible", "variables", "did not measure dbx"},
		"no separator":            {with(func(f *synth.Firmware) { f.Separators = 0 }), "not_possible", "separator", "0 separators"},
		"two separators":          {with(func(f *synth.Firmware) { f.Separators = 2 }), "not_possible", "separator", "2 separators"},
		"nobody vouched":          {with(func(f *synth.Firmware) { f.Authorities = nil }), "not_possible", "authority", "no certificate"},
		"an option ROM before it": {with(func(f *synth.Firmware) {
			f.Authorities = slices.Insert(f.Authorities, 0, vouched(ca3rd))
		}), "not_possible", "authority", "is Microsoft Corporation UEFI CA 2011"},
		"another authority after it": {with(func(f *synth.Firmware) {
			f.Authorities = append(f.Authorities, vouched(ca3rd))
		}), "not_possible", "authority", "a second authority follows"},
		"a root instead":       {with(func(f *synth.Firmware) { f.Authorities[0].Subject = caOther }), "not_possible", "authority", caOther},
		"another owner":        {with(func(f *synth.Firmware) { f.Authorities[0].Owner = somebody }), "not_possible", "authority", "not Microsoft"},
		"not of db":            {with(func(f *synth.Firmware) { f.Authorities[0].Variable = "MokList" }), "not_possible", "authority", "not"},
		"not in db":            {with(func(f *synth.Firmware) { f.DB = []string{ca3rd} }), "not_possible", "authority", "not in the db"},
		"a log cut short":      {with(func(f *synth.Firmware) { f.Cut = true }), "unknown", "log", "to its end"},
		"a log with a forgery": {with(func(f *synth.Firmware) { f.Forged = true }), "unknown", "log", "are not those of their data"},
	} {
		t.Run(name, func(t *testing.T) {
			got := bitlocker.PCR7(parse(t, c.firmware), nil)
			if got.Outcome != c.want {
				t.Errorf("outcome %q, want %q: %+v", got.Outcome, c.want, got.Checks)
			}
			for _, check := range got.Checks {
				switch {
				case check.Name == c.check && (check.Outcome == eventlog.Pass || !strings.Contains(check.Text, c.detail)):
					t.Errorf("check %+v, want %q", check, c.detail)
				case check.Name != c.check && check.Outcome != eventlog.Pass && name != "SecureBoot not measured":
					t.Errorf("check %+v does not pass", check)
				}
			}
		})
	}
}

func TestTheBootManagerOf2023IsSeenComing(t *testing.T) {
	f := synth.WindowsFirmware()
	if bitlocker.PCR7(parse(t, f), nil).Pending {
		t.Error("pending without the certificate of 2023 in db")
	}
	f.DB = append(f.DB, ca2023)
	b := bitlocker.PCR7(parse(t, f), nil)
	if !b.Pending || b.Authority == nil || b.Authority.Subject != ca2011 {
		t.Errorf("pending %v, authority %+v", b.Pending, b.Authority)
	}
	f.Authorities[0].Subject = ca2023
	if bitlocker.PCR7(parse(t, f), nil).Pending {
		t.Error("pending after the boot manager of 2023")
	}
}

func TestALogIsBelievedIfItLeadsToTheTPMsPCR7(t *testing.T) {
	log := parse(t, synth.WindowsFirmware())
	same := pcr.Replayed(log)
	other := pcr.Replayed(log)
	other.Set(eventlog.SHA256, 7, make([]byte, 32))
	for name, c := range map[string]struct {
		live *pcr.Values
		want bitlocker.BindingOutcome
	}{
		"no TPM asked":      {nil, bitlocker.BindingPossible},
		"the same PCR 7":    {same, bitlocker.BindingPossible},
		"another PCR 7":     {other, bitlocker.BindingUnknown},
		"none of its banks": {&pcr.Values{}, bitlocker.BindingUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bitlocker.PCR7(log, c.live); got.Outcome != c.want {
				t.Errorf("outcome %q, want %q: %+v", got.Outcome, c.want, got.Checks)
			}
		})
	}
}
