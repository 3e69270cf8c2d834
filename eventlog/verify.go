package eventlog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Outcome of a check: "no" differs from "could not tell".
type Outcome string

// The outcomes.
const (
	Pass      Outcome = "pass"
	Fail      Outcome = "fail"
	NotProven Outcome = "not_proven"
)

// NamedCheck is one line of a verdict.
type NamedCheck struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"`
}

// Verification is everything that can be said for and against a log.
type Verification struct {
	Checks  []NamedCheck    `json:"checks"`
	PCRs    []PCRVerdict    `json:"pcrs"`
	Data    map[Binding]int `json:"data"` // events by how far their digest vouches for their data
	Broken  []BrokenEvent   `json:"broken"`
	Grammar []Finding       `json:"grammar"`
	Quotes  []QuoteCheck    `json:"quotes"`
}

// BrokenEvent is an event whose data is not what was measured.
type BrokenEvent struct {
	Number  int       `json:"number"`
	PCR     uint32    `json:"pcr"`
	Type    EventType `json:"type"`
	Summary string    `json:"summary"`
	Note    string    `json:"note"`
}

// Rules says what counts. The zero Rules is lenient where real firmware is sloppy.
type Rules struct {
	Strict bool         // what is not proven fails
	Ignore []string     // deviations such as "Q11" that are taken as they are
	Also   []NamedCheck // made elsewhere, and judged with the others

	// Signed tells why signature is none of the right key over a TPMS_ATTEST, and what it is worth less for; nil where the
	// key is not known.
	Signed func(attest, signature []byte) (weakness string, err error)
}

// Verify checks the log in itself, and against values where they are given; nil values are not compared.
func (l *Log) Verify(values Values, rules Rules) *Verification {
	v := &Verification{PCRs: []PCRVerdict{}, Data: make(map[Binding]int), Broken: []BrokenEvent{}, Grammar: l.Grammar(), Quotes: l.TrustPoints()}
	v.Checks = slices.Clone(rules.Also)
	v.checkComplete(l)
	v.checkData(l)
	v.checkGrammar(&rules)
	v.checkQuotes(&rules)
	if values != nil {
		v.PCRs = l.Compare(values)
		v.checkPCRs(&rules)
		v.checkUnknown(values)
	}
	if rules.Strict {
		for i := range v.Checks {
			if v.Checks[i].Outcome == NotProven {
				v.Checks[i].Outcome = Fail
			}
		}
	}
	return v
}

// Worst is the outcome of the whole: the worst of its checks.
func (v *Verification) Worst() Outcome {
	worst := Pass
	for _, c := range v.Checks {
		if c.Outcome == Fail {
			return Fail
		}
		if c.Outcome == NotProven {
			worst = NotProven
		}
	}
	return worst
}

func (v *Verification) add(name string, outcome Outcome, format string, args ...any) {
	v.Checks = append(v.Checks, NamedCheck{name, outcome, fmt.Sprintf(format, args...)})
}

func (v *Verification) checkComplete(l *Log) {
	if l.Complete() {
		v.add("complete", Pass, "all %d events were read", len(l.Events))
		return
	}
	for _, n := range l.Notes {
		if n.Code == "trailing" || n.Code == "truncated" {
			v.add("complete", NotProven, "offset %d: %s", n.Offset, n.Text)
		}
	}
}

func (v *Verification) checkData(l *Log) {
	for i := range l.Events {
		e := &l.Events[i]
		decoded, _ := e.Decode()
		c := e.check(decoded)
		v.Data[c.Binding]++
		if c.Binding == Broken {
			v.Broken = append(v.Broken, BrokenEvent{e.Number, e.PCR, e.Type, decoded.String(), c.Note})
		}
	}
	if n := len(v.Broken); n > 0 {
		v.add("data", Fail, "%d events do not say what was measured, the first is event %d", n, v.Broken[0].Number)
		return
	}
	v.add("data", Pass, "%d events say what was measured, %d only name it", v.Data[Bound], v.Data[Label])
}

// checkGrammar: what vendors are known to do is told by its number, and is no oddity.
func (v *Verification) checkGrammar(rules *Rules) {
	var odd []Finding
	said := make(map[string]bool)
	for _, f := range v.Grammar {
		switch {
		case f.Quirk == "":
			odd = append(odd, f)
		case !said[f.Quirk]:
			said[f.Quirk] = true
			v.deviation(f.Quirk, rules, "PCR %d, event %d: %s", f.PCR, f.Event, f.Text)
		}
	}
	if len(odd) == 0 {
		v.add("grammar", Pass, "PCR 0 to 7 were separated once, and only the boot came after")
		return
	}
	v.add("grammar", NotProven, "%d oddities, the first in PCR %d: %s", len(odd), odd[0].PCR, odd[0].Text)
}

// deviation adds a check about a known deviation, which is none where it is ignored.
func (v *Verification) deviation(quirk string, rules *Rules, format string, args ...any) {
	outcome := NotProven
	if rules.ignores(quirk) {
		outcome = Pass
	}
	v.add("deviation", outcome, "%s: %s", quirk, fmt.Sprintf(format, args...))
}

func (v *Verification) checkQuotes(rules *Rules) {
	for i := range v.Quotes {
		q := &v.Quotes[i]
		switch {
		case q.Match:
			v.add("trust_point", Pass, "event %d quotes the replayed values of %s PCRs %s%s", q.Event, q.Bank, ranges(q.PCRs), q.when())
			v.checkSignature(q, rules)
		case q.Note != "":
			v.add("trust_point", NotProven, "event %d: %s", q.Event, q.Note)
		default:
			v.add("trust_point", Fail, "event %d quotes other values than the log gives", q.Event)
		}
	}
}

// checkSignature: anybody can write a quote that fits his log; a TPM's signature is what he cannot write.
func (v *Verification) checkSignature(q *QuoteCheck, rules *Rules) {
	const name = "trust_point_signature"
	switch {
	case len(q.signature) == 0:
		v.add(name, NotProven, "event %d: the quote has no signature", q.Event)
		return
	case rules.Signed == nil:
		v.add(name, NotProven, "event %d: signed by %s, whose public key was not given", q.Event, orNothing(q.AIK))
		return
	}
	weakness, err := rules.Signed(q.attest, q.signature)
	switch {
	case err != nil:
		v.add(name, Fail, "event %d: not a signature of the given key: %s", q.Event, err)
	case weakness != "" && !rules.ignores("Q14"):
		v.add(name, NotProven, "Q14: event %d: signed by the given key, %s", q.Event, weakness)
	default:
		v.add(name, Pass, "event %d: signed by the given key", q.Event)
	}
}

// ignored is what becomes of a PCR whose deviation is taken as it is.
const ignored PCRState = "ignored"

// checkPCRs sums the verdicts up, one check for each state that occurs.
func (v *Verification) checkPCRs(rules *Rules) {
	states := make(map[PCRState]map[Alg][]int)
	for i := range v.PCRs {
		p := &v.PCRs[i]
		state := p.State
		if state != Match && rules.ignores(p.quirk()) {
			state = ignored
		}
		if state == Match && p.Events == 0 {
			continue // untouched, as the log says: nothing to be proud of
		}
		if states[state] == nil {
			states[state] = make(map[Alg][]int)
		}
		states[state][p.Bank] = append(states[state][p.Bank], p.PCR)
	}
	for _, s := range []struct {
		state   PCRState
		outcome Outcome
		text    string
	}{
		{Match, Pass, "the log gives these values"},
		{ignored, Pass, "taken as they are, a known deviation that is ignored"},
		{Differs, Fail, "the log gives other values"},
		{Unlogged, NotProven, "extended, and not in the log"},
		{Capped, NotProven, "closed by Windows, which does not use the bank"},
		{BankAbsent, NotProven, "the log has no such bank"},
	} {
		if names := states[s.state]; len(names) > 0 {
			v.add("pcr_"+string(s.state), s.outcome, "%s: %s", s.text, selection(names))
		}
	}
	if len(v.PCRs) == 0 {
		v.add("pcr", NotProven, "no PCR value to compare with")
	}
}

// quirk is the deviation that a verdict rests on.
func (p *PCRVerdict) quirk() string {
	if p.Hypothesis != nil && p.Hypothesis.Quirk != "" {
		return p.Hypothesis.Quirk
	}
	return p.Quirk
}

// checkUnknown names the banks that have values and whose hash is not known here.
func (v *Verification) checkUnknown(values Values) {
	for _, bank := range slices.Sorted(maps.Keys(values)) {
		if !bank.Known() && len(values[bank]) > 0 {
			v.add("bank_not_checked", NotProven, "Q26: the hash of bank %s cannot be computed here", bank)
		}
	}
}

// selection names PCRs the way they are selected: sha1:0-7+sha256:0-7,14.
func selection(pcrs map[Alg][]int) string {
	var banks []string
	for _, bank := range slices.Sorted(maps.Keys(pcrs)) {
		banks = append(banks, bank.String()+":"+ranges(pcrs[bank]))
	}
	return strings.Join(banks, "+")
}

// ranges prints ascending numbers, runs of three and more as a range.
func ranges(numbers []int) string {
	var words []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		if end-i < 2 {
			end = i
			words = append(words, fmt.Sprint(numbers[i]))
		} else {
			words = append(words, fmt.Sprintf("%d-%d", numbers[i], numbers[end]))
		}
		i = end + 1
	}
	return strings.Join(words, ",")
}
