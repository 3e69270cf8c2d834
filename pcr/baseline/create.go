package baseline

import (
	"bytes"
	"slices"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// What a baseline covers unless its maker says otherwise. PCR 10 changes with every file that IMA measures, and 16 to 23
// belong to whoever wants them.
var (
	byLog   = pcr.SetOf(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15) // as far as the log explains them
	byValue = pcr.SetOf(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14)                 // without a log: what only firmware and loaders extend
)

// Create makes a baseline of what was measured. An empty sel takes, in each bank the firmware measures into, the PCRs whose
// values the log explains: what nobody can explain today would be an unexplained difference tomorrow.
func Create(m *Measured, sel pcr.Selection, by Entry) (*Baseline, error) {
	if len(measuredBanks(m.Values)) == 0 {
		return nil, unmeasured("nothing was measured: PCR 0 to 7 hold their reset values in every bank")
	}
	if len(sel) == 0 {
		if sel = m.selection(); len(sel) == 0 {
			return nil, fail.E(fail.AnswerNo, "the event log explains none of the PCRs: it is not the log of this boot").
				Hint("vtpmctl eventlog verify tells where it differs").Hint("--pcrs takes PCRs as they are")
		}
	}
	values, err := m.Values.Only(sel)
	if err != nil {
		return nil, err
	}
	by.PCRs, by.Events = numbers(sel), []string{}
	b := &Baseline{Origin: m.Origin, Values: *values, Source: m.Source, History: []Entry{by}}
	if m.Log != nil {
		b.log = m.Log.Only(b.has)
	}
	return b, nil
}

func unmeasured(format string, args ...any) *fail.Error {
	return fail.E(fail.Unsupported, format, args...).
		Hint("the firmware has to measure the boot: UEFI, with the TPM present when the machine was started")
}

// measuredBanks are the banks that have values, and whose firmware PCRs are not all untouched.
func measuredBanks(v *pcr.Values) []pcr.Bank {
	untouched := v.Unmeasured()
	var banks []pcr.Bank
	for _, b := range v.Banks {
		if len(b.PCRs) > 0 && !slices.Contains(untouched, b.Bank) {
			banks = append(banks, b.Bank)
		}
	}
	return banks
}

// selection is what Create covers by default.
func (m *Measured) selection() pcr.Selection {
	truth := replayOf(m.Log)
	var sel pcr.Selection
	for _, bank := range measuredBanks(m.Values) {
		for n := range (byLog | byValue).Each() {
			value := m.Values.Get(bank, n)
			switch {
			case value == nil:
			case m.Log == nil && byValue.Has(n), m.Log != nil && byLog.Has(n) && bytes.Equal(truth.value(bank, n), value):
				sel = sel.With(bank, pcr.SetOf(n))
			}
		}
	}
	return sel
}

// replay is what a log leads to; nil for no log.
type replay struct{ *eventlog.Replay }

func replayOf(log *eventlog.Log) replay {
	if log == nil {
		return replay{}
	}
	return replay{log.Replay()}
}

// value is what a PCR holds if the log is true; nil where the log has no such bank.
func (r replay) value(bank pcr.Bank, n int) pcr.Hex {
	if r.Replay == nil {
		return nil
	}
	b := r.Bank(bank)
	if b == nil {
		return nil
	}
	if p := b.PCR(n); p != nil {
		return p.Value
	}
	return eventlog.ResetValue(bank, n)
}

// numbers lists the PCRs of a selection, those of all banks together.
func numbers(sel pcr.Selection) []int {
	var set pcr.Set
	for _, b := range sel {
		set |= b.PCRs
	}
	return slices.Collect(set.Each())
}
