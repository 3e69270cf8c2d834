package bitlocker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Verdict says what a volume will ask for at the next boot.
type Verdict struct {
	Outcome   Outcome               `json:"outcome"`
	Checks    []eventlog.NamedCheck `json:"checks"`
	Forecasts []Forecast            `json:"forecasts"` // one for each TPM protector; any one that releases its key is enough
}

// Outcome is what happens at the next boot.
type Outcome string

// The outcomes.
const (
	OutcomeUnlocks    Outcome = "unlocks"                  // by itself
	OutcomePIN        Outcome = "unlocks_with_pin"         // as always with this protector
	OutcomeStartupKey Outcome = "unlocks_with_startup_key" // as always with this protector
	OutcomeBoth       Outcome = "unlocks_with_pin_and_startup_key"
	OutcomeSuspended  Outcome = "suspended" // unlocks whatever the PCRs hold: the key lies in the clear
	OutcomeOpen       Outcome = "open"      // not encrypted
	OutcomeRecovery   Outcome = "recovery"  // asks for the recovery key
	OutcomeNoTPM      Outcome = "no_tpm"    // asks for a password or key, as always: no protector uses a TPM
	OutcomeUnknown    Outcome = "unknown"   // cannot be told
)

// Forecast is whether the TPM will release the key of one protector.
type Forecast struct {
	ID        string           `json:"id"`
	Kind      ProtectorKind    `json:"kind"`
	Bank      pcr.Bank         `json:"bank,omitempty"`
	PCRs      []int            `json:"pcrs"`
	Releases  eventlog.Outcome `json:"releases"`
	Reason    string           `json:"reason"`
	Expected  pcr.Hex          `json:"expected_pcr_digest,omitempty"`
	Predicted pcr.Hex          `json:"predicted_pcr_digest,omitempty"`
	// Changed are the PCRs at fault. A digest alone does not tell them: they are known where values were given that
	// give the sealed digest.
	Changed []pcr.Difference `json:"changed_pcrs"`
}

// sealPCR is extended by Windows once it has the key, and sealed at its reset value.
const sealPCR = 11

// Check forecasts the next boot, on which the PCRs will hold next until Windows takes over. The value of PCR 11 in it
// does not matter. good are values of a time when the volume unlocked, to tell which PCR is at fault; it may be nil.
func (v *Volume) Check(next, good *pcr.Values) *Verdict {
	verdict := &Verdict{Outcome: OutcomeUnknown, Checks: []eventlog.NamedCheck{v.checkMetadata()}, Forecasts: []Forecast{}}
	for _, p := range v.Protectors {
		if p.HasTPM() {
			verdict.Forecasts = append(verdict.Forecasts, p.forecast(next, good))
		}
	}
	if len(verdict.Forecasts) > 0 {
		verdict.Checks = append(verdict.Checks, verdict.checkTPM())
		verdict.Checks = append(verdict.Checks, v.checkBootSettings()...)
	}
	verdict.Outcome = v.outcome(verdict)
	return verdict
}

func (v *Volume) checkMetadata() eventlog.NamedCheck {
	c := eventlog.NamedCheck{Name: "metadata", Outcome: eventlog.Pass, Text: "a copy passes its CRC-32"}
	if !slices.ContainsFunc(v.Copies, func(c Copy) bool { return c.Used && c.Status == CopyOK }) {
		c.Outcome, c.Text = eventlog.NotProven, "no copy passes its CRC-32"
	}
	return c
}

// checkTPM sums up the forecasts.
func (verdict *Verdict) checkTPM() eventlog.NamedCheck {
	rank := func(f Forecast) int {
		return slices.Index([]eventlog.Outcome{eventlog.Pass, eventlog.NotProven, eventlog.Fail}, f.Releases)
	}
	best := slices.MinFunc(verdict.Forecasts, func(a, b Forecast) int { return rank(a) - rank(b) })
	return eventlog.NamedCheck{Name: "tpm", Outcome: best.Releases, Text: best.Reason}
}

// checkBootSettings: without PCR 7 in the profile, Windows itself compares the settings with the baseline (event 523).
func (v *Volume) checkBootSettings() []eventlog.NamedCheck {
	rows := 0
	for _, list := range v.BCD {
		rows += len(list.Rows)
	}
	secureBoot := func(p Protector) bool { return p.TPM != nil && slices.Contains(p.TPM.PCRs, 7) }
	if rows == 0 || slices.ContainsFunc(v.Protectors, secureBoot) {
		return nil
	}
	return []eventlog.NamedCheck{{Name: "boot_settings", Outcome: eventlog.NotProven, Text: fmt.Sprintf("Windows compares %d boot "+
		"settings with its baseline as well, and asks for the recovery key if one has changed; they are not compared here", rows)}}
}

func (v *Volume) outcome(verdict *Verdict) Outcome {
	switch {
	case verdict.Checks[0].Outcome != eventlog.Pass:
		return OutcomeUnknown
	case v.State == stateDecrypted && v.NextState == stateDecrypted:
		return OutcomeOpen
	case v.Protection == ProtectionSuspended:
		return OutcomeSuspended
	case len(v.Protectors) > 0 && len(verdict.Forecasts) == 0:
		return OutcomeNoTPM
	}
	for _, kind := range []struct {
		kind ProtectorKind
		then Outcome
	}{
		{ProtectorTPM, OutcomeUnlocks}, {ProtectorTPMPIN, OutcomePIN}, {ProtectorTPMStartupKey, OutcomeStartupKey},
		{ProtectorTPMPINStartupKey, OutcomeBoth},
	} {
		if slices.ContainsFunc(verdict.Forecasts, func(f Forecast) bool { return f.Kind == kind.kind && f.Releases == eventlog.Pass }) {
			return kind.then
		}
	}
	maybe := func(f Forecast) bool { return f.Releases != eventlog.Fail }
	if len(verdict.Forecasts) > 0 && !slices.ContainsFunc(verdict.Forecasts, maybe) {
		return OutcomeRecovery
	}
	return OutcomeUnknown
}

// forecast compares the digest p is sealed to with the one next gives.
func (p *Protector) forecast(next, good *pcr.Values) Forecast {
	f := Forecast{ID: p.ID, Kind: p.Kind, PCRs: []int{}, Releases: eventlog.NotProven, Changed: []pcr.Difference{}}
	if p.TPM == nil {
		f.Reason = "the protector has no TPM datum"
		return f
	}
	f.Bank, f.PCRs, f.Expected = p.TPM.Bank, p.TPM.PCRs, p.TPM.Expected
	if p.TPM.Policy != PolicyAuthValuePCR {
		f.Reason = "the policy is not one whose outcome can be computed"
		return f
	}
	sealed := pcr.Of(p.TPM.Bank, p.TPM.PCRs...)
	expects, err := atUnseal(next, sealed)
	if err != nil {
		f.Reason = err.Error()
		return f
	}
	f.Predicted = digestOf(p.TPM.NameAlg, expects)
	if bytes.Equal(f.Predicted, f.Expected) {
		f.Releases, f.Reason = eventlog.Pass, "the PCRs are those the key is sealed to"
		return f
	}
	f.Reason = "the PCRs are not those the key is sealed to"
	if later := windowsPCRs(p.TPM.PCRs); len(later) > 0 {
		f.Reason += fmt.Sprintf("; but Windows extends PCRs %v as it starts, and what they hold when the key is released is "+
			"not known", later)
		return f
	}
	f.Releases = eventlog.Fail
	f.blame(p.TPM, sealed, expects, good)
	return f
}

// windowsPCRs are the PCRs of a profile that Windows extends besides PCR 11. No default profile has them.
func windowsPCRs(pcrs []int) (list []int) {
	for _, n := range pcrs {
		if n > sealPCR && n < 15 {
			list = append(list, n)
		}
	}
	return list
}

// blame tells which PCRs are at fault, if good gives the sealed digest.
func (f *Forecast) blame(t *TPM, sealed pcr.Selection, next, good *pcr.Values) {
	if good == nil {
		return
	}
	then, err := atUnseal(good, sealed)
	if err != nil || !bytes.Equal(digestOf(t.NameAlg, then), t.Expected) {
		f.Reason += "; neither are the values given as good, so the PCR at fault cannot be named"
		return
	}
	f.Changed = append(f.Changed, pcr.Compare(then, next)...)
	var names []string
	for _, c := range f.Changed {
		names = append(names, fmt.Sprintf("PCR %d (%s)", c.PCR, pcr.UsageOf(c.PCR).Name))
	}
	f.Reason += "; changed: " + strings.Join(names, ", ")
}

// atUnseal are the selected values with PCR 11 as it is when Windows asks for the key.
func atUnseal(values *pcr.Values, sealed pcr.Selection) (*pcr.Values, error) {
	at := &pcr.Values{}
	for _, b := range sealed {
		for n := range b.PCRs.Each() {
			value := values.Get(b.Bank, n)
			if n == sealPCR {
				value = eventlog.ResetValue(b.Bank, n)
			}
			if value == nil {
				return nil, fmt.Errorf("there is no value of PCR %d in bank %v", n, b.Bank)
			}
			at.Set(b.Bank, n, value)
		}
	}
	return at, nil
}

// digestOf hashes all of values, PCRs ascending, as TPM2_PolicyPCR does.
func digestOf(alg pcr.Bank, values *pcr.Values) pcr.Hex {
	digest, err := values.Digest(alg, nil)
	if err != nil {
		panic("bitlocker: " + err.Error()) // only a selection can be at fault, and there is none
	}
	return digest
}
