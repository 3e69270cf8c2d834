package eventlog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Values are PCR values from elsewhere: a TPM, a file, a quote. A bank that is there without a PCR was not read.
type Values map[Alg]map[int]Hex

// PCRState is what became of one PCR of one bank.
type PCRState string

// The states.
const (
	Match      PCRState = "match"       // the log explains the value
	Differs    PCRState = "differs"     // the log gives another value
	Unlogged   PCRState = "unlogged"    // extended, and the log has no event for it
	Capped     PCRState = "capped"      // Windows closed a bank it does not use with one extend of zeroes
	BankAbsent PCRState = "bank_absent" // the log says nothing about this bank
)

// PCRVerdict compares one PCR with the log.
type PCRVerdict struct {
	Bank       Alg         `json:"bank"`
	PCR        int         `json:"pcr"`
	State      PCRState    `json:"state"`
	Replayed   Hex         `json:"replayed"`
	Actual     Hex         `json:"actual"`
	Events     int         `json:"events"`
	Note       string      `json:"note,omitempty"`
	Quirk      string      `json:"quirk,omitempty"`      // a known deviation that it may be: see docs/eventlog.md
	Hypothesis *Hypothesis `json:"hypothesis,omitempty"` // the first assumption under which the log gives the value
}

// Hypothesis is an assumption that would explain a value. It is no proof: somebody who can change a log can make one fit.
type Hypothesis struct {
	Code  string `json:"code"`
	Quirk string `json:"quirk,omitempty"` // see docs/eventlog.md
	Text  string `json:"text"`
}

// Compare compares every given value with the log's replay, bank by bank in the log's order.
func (l *Log) Compare(values Values) []PCRVerdict {
	replay := l.Replay()
	older := sync.OnceValue(l.olderReplays)
	verdicts := []PCRVerdict{}
	for _, bank := range banksOf(l, values) {
		b := replay.Bank(bank)
		for pcr := range pcrCount {
			actual, ok := values[bank][pcr]
			if !ok || len(actual) != bank.Size() {
				continue
			}
			v := PCRVerdict{Bank: bank, PCR: pcr, Actual: actual, State: BankAbsent, Replayed: Hex{}}
			if b != nil {
				l.judge(&v, b.PCR(pcr), older)
			}
			verdicts = append(verdicts, v)
		}
	}
	l.weigh(verdicts)
	return verdicts
}

// banksOf lists the banks of values: those of the log first, in its order, then the others by number.
func banksOf(l *Log, values Values) []Alg {
	var banks, others []Alg
	for _, b := range l.Banks {
		if values[b] != nil && b.Known() {
			banks = append(banks, b)
		}
	}
	for b := range values {
		if !slices.Contains(banks, b) && b.Known() {
			others = append(others, b)
		}
	}
	slices.Sort(others)
	return append(banks, others...)
}

// judge fills in the verdict about a PCR; p is nil where the log has no event for it.
func (l *Log) judge(v *PCRVerdict, p *PCRReplay, older func() []*Replay) {
	start := ResetValue(v.Bank, v.PCR)
	v.Replayed = start
	if p != nil {
		v.Replayed, v.Events = p.Value, p.Events
		if p.Missing > 0 {
			v.Note = fmt.Sprintf("%d events have no digest for this bank", p.Missing)
		}
	}
	logged := p != nil && p.Events+p.Missing > 0
	switch {
	case bytes.Equal(v.Actual, v.Replayed):
		v.State = Match
	case bytes.Equal(v.Actual, extended(v.Bank, v.Replayed, make(Hex, v.Bank.Size()))):
		v.State, v.Quirk = Capped, "Q11"
		v.Note = "the replayed value and one extend of zeroes: Windows closes a bank it does not use"
	case !logged && isReset(v.Actual):
		v.State = Match // all zeroes or all ones: PCR 17 to 22 differ in that between TPMs
	case !logged:
		v.State = Unlogged
		v.Note = unloggedNote(v.Bank, v.PCR, v.Actual)
		if strings.HasPrefix(v.Note, "systemd") {
			v.Quirk = "Q3"
		}
	case v.PCR == imaPCR && l.paddedIMA(v.Bank, v.Actual):
		v.State = Match
		v.Note = fmt.Sprintf("the kernel had no %s when it started: IMA padded its SHA-1 digests with zeroes", v.Bank)
	default:
		v.State = Differs
		v.Hypothesis = l.explainDifference(v.Bank, v.PCR, v.Actual, older)
	}
}

func extended(bank Alg, value, digest Hex) Hex {
	value = bytes.Clone(value)
	bank.extend(value, digest)
	return value
}

func isReset(value Hex) bool {
	return len(bytes.Trim(value, "\x00")) == 0 || len(bytes.Trim(value, "\xff")) == 0
}

// unloggedNote says who extends a PCR without telling the firmware's log.
func unloggedNote(bank Alg, pcr int, actual Hex) string {
	zero := make(Hex, bank.Size())
	for _, data := range [][]byte{{0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}} {
		if bytes.Equal(actual, extended(bank, zero, bank.Sum(data))) {
			return "extended by a separator only"
		}
	}
	switch pcr {
	case 10:
		return "the kernel's IMA extends PCR 10 and keeps a list of its own: add it (--with ima)"
	case 9, 11, 12, 13, 15:
		return "systemd extends this PCR after the kernel started and keeps a log of its own: add it (--with systemd)"
	case 8, 14, 4:
		return "a boot loader extends this PCR: the kernel was not handed the whole log"
	}
	return ""
}

// maxSearch bounds the events of a PCR for which every one is left out in turn.
const maxSearch = 256

// explainDifference looks for the first assumption that gives value.
func (l *Log) explainDifference(bank Alg, pcr int, value Hex, older func() []*Replay) *Hypothesis {
	s := l.findStarts(new([]Note))
	start, _ := s.of(bank, pcr)
	var digests []Hex
	for i := range l.Events {
		if e := &l.Events[i]; e.Extends() && int(e.PCR) == pcr {
			if d := e.extendDigest(bank); len(d) == bank.Size() {
				digests = append(digests, d)
			}
		}
	}
	replayed := fold(bank, start, digests)
	fits := func(start Hex, digests []Hex) bool { return bytes.Equal(fold(bank, start, digests), value) }
	for _, search := range []func() *Hypothesis{
		func() *Hypothesis { return otherStart(bank, pcr, digests, fits) },
		func() *Hypothesis { return bootPhases(bank, pcr, replayed, fits) },
		func() *Hypothesis { return missingExit(bank, pcr, replayed, fits) },
		func() *Hypothesis { return olderLog(bank, pcr, value, older()) },
		func() *Hypothesis { return earlierValue(bank, start, digests, value) },
		func() *Hypothesis { return oneEventLess(bank, start, digests, value) },
	} {
		if h := search(); h != nil {
			return h
		}
	}
	return nil
}

func fold(bank Alg, start Hex, digests []Hex) Hex {
	value := bytes.Clone(start)
	for _, d := range digests {
		bank.extend(value, d)
	}
	return value
}

// otherStart tries the localities TPM2_Startup may come from; an H-CRTM makes it 4 as well (PFP, "PCR[0] initial value").
// The PCRs of the dynamic root of trust start at zeroes or at ones.
func otherStart(bank Alg, pcr int, digests []Hex, fits func(Hex, []Hex) bool) *Hypothesis {
	if pcr >= firstDynamic && pcr <= lastDynamic {
		for _, fill := range []byte{0, 0xff} {
			if fits(bytes.Repeat([]byte{fill}, bank.Size()), digests) {
				return &Hypothesis{Code: "other_start", Text: fmt.Sprintf("PCR %d started at %02x, which the log does not say", pcr, fill)}
			}
		}
	}
	if pcr != 0 {
		return nil
	}
	for locality := range byte(5) {
		start := make(Hex, bank.Size())
		start[len(start)-1] = locality
		if fits(start, digests) {
			return &Hypothesis{Code: "other_start", Quirk: "Q10",
				Text: fmt.Sprintf("PCR 0 started at locality %d, which the log does not say", locality)}
		}
	}
	return nil
}

// phasePCR is where systemd measures how far a boot has come, and phases are its words, in their order
// (systemd-pcrphase.service). A boot without an initrd has not all of them.
const phasePCR = 11

var phases = []string{"enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final"}

// bootPhases tries what systemd measures into the PCR that its stub began.
func bootPhases(bank Alg, pcr int, replayed Hex, fits func(Hex, []Hex) bool) *Hypothesis {
	if pcr != phasePCR {
		return nil
	}
	for first := range phases {
		var tail []Hex
		for last, word := range phases[first:] {
			if tail = append(tail, bank.Sum([]byte(word))); fits(replayed, tail) {
				return &Hypothesis{Code: "boot_phases", Quirk: "Q3", Text: "systemd measured the phases " +
					strings.Join(phases[first:first+last+1], ", ") + " after the log had ended: its own log tells (--with systemd)"}
			}
		}
	}
	return nil
}

// missingExit tries the events around ExitBootServices: firmware or kernels without a final-events table lose them.
func missingExit(bank Alg, pcr int, replayed Hex, fits func(Hex, []Hex) bool) *Hypothesis {
	if pcr != 5 {
		return nil
	}
	sum := func(text string) Hex { return bank.Sum([]byte("Exit Boot Services " + text)) }
	invocation, success, failure := sum("Invocation"), sum("Returned with Success"), sum("Returned with Failure")
	for _, tail := range [][]Hex{
		{invocation}, {invocation, success}, {invocation, failure}, {invocation, failure, invocation, success},
		{success}, {invocation, failure, success},
	} {
		if fits(replayed, tail) {
			return &Hypothesis{Code: "missing_exit_boot_services",
				Text: fmt.Sprintf("the log lacks %d events of ExitBootServices: no final-events table", len(tail))}
		}
	}
	return nil
}

// imaPCR is the one that IMA extends.
const imaPCR = 10

// paddedIMA tells whether the value is that of a kernel that had no such hash when it started, as Debian's have no
// SHA-384: it extends the bank with the SHA-1 digests of the list, padded with zeroes. The list vouches for those.
func (l *Log) paddedIMA(bank Alg, value Hex) bool {
	padded := false
	replayed := ResetValue(bank, imaPCR)
	for i := range l.Events {
		e := &l.Events[i]
		if !e.Extends() || e.PCR != imaPCR {
			continue
		}
		d := e.extendDigest(bank)
		if e.Content == ContentIMA && !e.imaViolation() && len(e.Digest(SHA1)) > 0 && bank != SHA1 {
			d, padded = make(Hex, bank.Size()), true
			copy(d, e.Digest(SHA1))
		}
		if len(d) == bank.Size() {
			bank.extend(replayed, d)
		}
	}
	return padded && bytes.Equal(replayed, value)
}

// olderReplays replays the other logs of a bundle: once for all PCRs, for there may be thousands.
func (l *Log) olderReplays() []*Replay {
	replays := make([]*Replay, len(l.Older))
	for i, older := range l.Older {
		replays[i] = older.Replay()
	}
	return replays
}

// olderLog tries the other logs of a bundle.
func olderLog(bank Alg, pcr int, value Hex, older []*Replay) *Hypothesis {
	for i, replay := range older {
		if b := replay.Bank(bank); b != nil {
			if p := b.PCR(pcr); p != nil && bytes.Equal(p.Value, value) {
				return &Hypothesis{Code: "older_log", Quirk: "Q13", Text: fmt.Sprintf("an older log of the bundle fits, %d before the newest", i+1)}
			}
		}
	}
	return nil
}

// earlierValue finds the point at which the value was that of the TPM: the log has events that were never extended, or
// that came after the value was read. A loader that asks for the log early makes firmware list the same events once more
// in the final-events table, so a tail that is there twice has a name of its own.
func earlierValue(bank Alg, start Hex, digests []Hex, value Hex) *Hypothesis {
	v := bytes.Clone(start)
	for i := range digests {
		if bytes.Equal(v, value) {
			n := len(digests) - i
			if n <= i && slices.EqualFunc(digests[i:], digests[i-n:i], func(a, b Hex) bool { return bytes.Equal(a, b) }) {
				return &Hypothesis{Code: "doubled_tail", Quirk: "Q19", Text: fmt.Sprintf("the last %d events are in the log twice", n)}
			}
			return &Hypothesis{Code: "fewer_events",
				Text: fmt.Sprintf("the value is that before the last %d of %d events", n, len(digests))}
		}
		bank.extend(v, digests[i])
	}
	return nil
}

// oneEventLess tries to leave out every single event.
func oneEventLess(bank Alg, start Hex, digests []Hex, value Hex) *Hypothesis {
	if len(digests) > maxSearch {
		return nil
	}
	before := bytes.Clone(start)
	for i, d := range digests {
		if bytes.Equal(fold(bank, before, digests[i+1:]), value) {
			return &Hypothesis{Code: "one_event_less", Text: fmt.Sprintf("event %d of %d of this PCR was not extended", i+1, len(digests))}
		}
		bank.extend(before, d)
	}
	return nil
}

// weigh looks at the verdicts of a bank together: where one PCR differs and nothing explains it, what became of the others
// does.
func (l *Log) weigh(verdicts []PCRVerdict) {
	for from := 0; from < len(verdicts); {
		to := from
		for to < len(verdicts) && verdicts[to].Bank == verdicts[from].Bank {
			to++
		}
		bank := verdicts[from:to]
		matching := func(first, last int) bool { // PCRs that the log speaks of, one at least
			n := 0
			for i := range bank {
				if p := &bank[i]; p.PCR >= first && p.PCR <= last && p.Events > 0 {
					if p.State != Match {
						return false
					}
					n++
				}
			}
			return n > 0
		}
		for i := range bank {
			p := &bank[i]
			switch {
			case p.State != Differs || p.Hypothesis != nil:
			case p.PCR == 0 && matching(1, pcrCount-1):
				p.Quirk, p.Note = "Q10", "no start value fits, and the log gives every other PCR: the firmware's log may be incomplete"
			case p.PCR >= 4 && matching(0, 3) && l.endsEarly():
				p.Quirk, p.Note = "Q18", "the log ends before ExitBootServices, and gives the PCRs of the firmware: its area may have been full"
			}
		}
		from = to
	}
}

// endsEarly tells whether this is a UEFI log that has no word of the end of the boot services.
func (l *Log) endsEarly() bool {
	uefi := false
	for i := range l.Events {
		e := &l.Events[i]
		uefi = uefi || e.Type == EVEFIBootServicesApp || e.Type == EVEFIVariableBoot
		if e.PCR == 5 && bytes.HasPrefix(e.Data, []byte("Exit Boot Services")) {
			return false
		}
	}
	return uefi
}
