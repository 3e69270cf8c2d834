package baseline

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// State is what a check comes to, for a machine and for each PCR.
type State string

// The states.
const (
	Trusted    State = "trusted"    // as in the baseline
	Exception  State = "exception"  // something differs that nobody has accepted
	Unmeasured State = "unmeasured" // there is nothing to compare: no values, or a bank that nobody measures into
)

// Verdict is what Check found.
type Verdict struct {
	State  State                 `json:"state"`
	Checks []eventlog.NamedCheck `json:"checks"`
	PCRs   []PCRVerdict          `json:"pcrs"` // those of the baseline
}

// PCRVerdict compares one PCR with the baseline.
type PCRVerdict struct {
	PCR      int       `json:"pcr"`
	Name     string    `json:"pcr_name"` // of the UAPI registry
	Measures string    `json:"measures"`
	State    State     `json:"state"`
	Values   []Compare `json:"values"`
	Changes  []Change  `json:"changes"`
	Note     string    `json:"note,omitempty"`
}

// Compare is one bank's value of a PCR and what the baseline expects.
type Compare struct {
	Bank     pcr.Bank `json:"bank"`
	Expected pcr.Hex  `json:"expected"`
	Actual   pcr.Hex  `json:"actual"` // empty where there is none
}

// Change is an event that is not as in the baseline, with the name by which it can be accepted.
type Change struct {
	ID string `json:"id"` // "4.1": the first change of PCR 4
	eventlog.Change
}

// Check compares what a machine measured with the baseline. proofs are checks that were made elsewhere, of the signature and
// the anchor: one that failed makes everything an exception.
func (b *Baseline) Check(m *Measured, proofs ...eventlog.NamedCheck) *Verdict {
	v := &Verdict{State: Trusted, Checks: slices.Clone(proofs), PCRs: []PCRVerdict{}}
	gone := b.missingBanks(m)
	v.checkBanks(b, gone)
	v.checkOrigin(b, m)
	b.comparePCRs(v, m, gone)
	v.checkLog(m)
	nothing := len(gone) == len(b.Banks)
	v.checkPCRs(nothing)
	if nothing {
		v.State = Unmeasured
	}
	for _, c := range v.Checks {
		if c.Outcome == eventlog.Fail {
			v.State = Exception
		}
	}
	return v
}

func (v *Verdict) add(name string, outcome eventlog.Outcome, format string, args ...any) {
	v.Checks = append(v.Checks, eventlog.NamedCheck{Name: name, Outcome: outcome, Text: fmt.Sprintf(format, args...)})
}

// missingBanks are the baseline's banks that were not measured into this time.
func (b *Baseline) missingBanks(m *Measured) []pcr.Bank {
	measured := measuredBanks(m.Values)
	var gone []pcr.Bank
	for _, bank := range b.Banks {
		if !slices.Contains(measured, bank.Bank) {
			gone = append(gone, bank.Bank)
		}
	}
	return gone
}

// checkBanks: with no bank left nothing can be told; with some left, one that is gone is a change like others.
func (v *Verdict) checkBanks(b *Baseline, gone []pcr.Bank) {
	switch len(gone) {
	case 0:
		v.add("measured", eventlog.Pass, "%d PCR values of the baseline were measured", b.Selection().Len())
	case len(b.Banks):
		v.add("measured", eventlog.NotProven, "no bank of the baseline was measured into: %s", names(gone))
	default:
		v.add("measured", eventlog.Fail, "switched off, or no longer measured into: %s", names(gone))
	}
}

func names(banks []pcr.Bank) string {
	words := make([]string, len(banks))
	for i, b := range banks {
		words[i] = b.String()
	}
	return strings.Join(words, ", ")
}

func (v *Verdict) checkOrigin(b *Baseline, m *Measured) {
	if m.Origin.Target != "" && m.Origin.Emulated != b.Origin.Emulated {
		kind := map[bool]string{true: "a software TPM of vtpmctl", false: "the machine's TPM"}
		v.add("tpm", eventlog.Fail, "the baseline is of %s, and this is %s", kind[b.Origin.Emulated], kind[m.Origin.Emulated])
	}
}

// comparePCRs judges each PCR of the baseline.
func (b *Baseline) comparePCRs(v *Verdict, m *Measured, gone []pcr.Bank) {
	changes := make(map[int][]eventlog.Change)
	volatile := make(map[int]bool)
	if b.log != nil && m.Log != nil {
		d := eventlog.DiffLogs(b.log, m.Log.Only(b.has))
		for _, p := range d.PCRs {
			changes[p.PCR] = p.Changes
		}
		for _, n := range d.Volatile {
			volatile[n] = true
		}
	}
	truth := replayOf(m.Log)
	for _, n := range numbers(b.Selection()) {
		p := b.compare(n, m, gone)
		if p.State == Exception {
			p.explain(truth, changes[n], volatile[n] && b.explains(&p))
		}
		v.PCRs = append(v.PCRs, p)
	}
}

// compare compares the values of one PCR.
func (b *Baseline) compare(n int, m *Measured, gone []pcr.Bank) PCRVerdict {
	u := pcr.UsageOf(n)
	p := PCRVerdict{PCR: n, Name: u.Name, Measures: u.Measures, State: Unmeasured, Values: []Compare{}, Changes: []Change{}}
	missing := false
	for _, bank := range b.Banks {
		expected := b.Get(bank.Bank, n)
		if expected == nil {
			continue
		}
		c := Compare{bank.Bank, expected, m.Values.Get(bank.Bank, n)}
		p.Values = append(p.Values, c)
		switch {
		case slices.Contains(gone, bank.Bank):
		case c.Actual == nil:
			missing = true
		case !bytes.Equal(c.Expected, c.Actual):
			p.State = Exception
		case p.State == Unmeasured:
			p.State = Trusted
		}
	}
	if missing && p.State == Trusted { // the values of other banks do not vouch for one that is kept back
		p.State = Unmeasured
	}
	return p
}

// explains tells whether the events of the baseline lead to the values that it has. If they do not, nobody knows what else is
// behind those.
func (b *Baseline) explains(p *PCRVerdict) bool {
	truth := replayOf(b.log)
	return !slices.ContainsFunc(p.Values, func(c Compare) bool { return !bytes.Equal(truth.value(c.Bank, p.PCR), c.Expected) })
}

// explain names the events behind a difference. An event is believed as far as the log leads to the value that is there.
func (p *PCRVerdict) explain(truth replay, changes []eventlog.Change, volatile bool) {
	for i, c := range changes {
		p.Changes = append(p.Changes, Change{ID: fmt.Sprintf("%d.%d", p.PCR, i+1), Change: c})
	}
	explained := true
	for _, c := range p.Values {
		if c.Actual != nil && !bytes.Equal(c.Expected, c.Actual) && !bytes.Equal(c.Actual, truth.value(c.Bank, p.PCR)) {
			explained = false
		}
	}
	switch {
	case truth.Replay == nil:
		p.Note = "there is no event log, which could tell what changed"
	case !explained:
		p.Note = "the event log does not lead to this value either: something was extended that is not in it, or it is not true"
	case len(changes) > 0:
	case volatile:
		p.State = Trusted
		p.Note = "nothing but counters and load addresses differs"
	default:
		p.Note = "the events are those of the baseline, or it has none: they do not tell why the values differ"
	}
}

func (v *Verdict) checkLog(m *Measured) {
	var differ, unexplained []int
	for _, p := range v.PCRs {
		if p.State == Exception {
			differ = append(differ, p.PCR)
			if p.Note != "" {
				unexplained = append(unexplained, p.PCR)
			}
		}
	}
	switch {
	case m.Log == nil:
		v.add("event_log", eventlog.NotProven, "there is none: values alone are compared")
	case len(unexplained) > 0:
		v.add("event_log", eventlog.NotProven, "it does not tell what changed in PCR %s", join(unexplained))
	case len(differ) > 0:
		v.add("event_log", eventlog.Pass, "it leads to the values that differ")
	default:
		v.add("event_log", eventlog.Pass, "%d events were read, and none was needed to explain a difference", len(m.Log.Events))
	}
}

// checkPCRs: where some PCRs have values, one that has none is a difference; where nothing was measured, nothing is told.
func (v *Verdict) checkPCRs(nothing bool) {
	states := make(map[State][]int)
	for _, p := range v.PCRs {
		states[p.State] = append(states[p.State], p.PCR)
	}
	if list := states[Exception]; len(list) > 0 {
		v.add("pcrs", eventlog.Fail, "PCR %s unlike the baseline", join(list))
	} else if len(states[Trusted]) > 0 {
		v.add("pcrs", eventlog.Pass, "PCR %s are as in the baseline", join(states[Trusted]))
	}
	if list := states[Unmeasured]; len(list) > 0 {
		outcome := eventlog.Fail
		if nothing {
			outcome = eventlog.NotProven
		}
		v.add("unmeasured_pcrs", outcome, "PCR %s without a value to compare", join(list))
	}
}

func join(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ",")
}
