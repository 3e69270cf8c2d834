package predict

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// plan is one future in the making.
type plan struct {
	m       *Machine
	steps   []*step
	notes   []string
	profile int // of the unified kernel image

	initrdGiven  []byte // by a change, "" and nil without one
	cmdlineGiven string
}

func (m *Machine) plan() *plan {
	p := &plan{m: m, steps: make([]*step, len(m.steps)), profile: m.bootedProfile()}
	for i, s := range m.steps {
		p.steps[i] = s.clone()
	}
	return p
}

// note says something about the future that no PCR shows.
func (p *plan) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// having lists the steps of a role.
func (p *plan) having(r role) (found []*step) {
	for _, s := range p.steps {
		if s.role == r && !s.gone {
			found = append(found, s)
		}
	}
	return found
}

// digests are those of bytes in every bank of the log.
func (p *plan) digests(parts ...[]byte) eventlog.Digests {
	var all []eventlog.Digest
	for _, bank := range p.m.log.Banks {
		if bank.Known() {
			all = append(all, eventlog.Digest{Alg: bank, Value: bank.Sum(parts...)})
		}
	}
	return eventlog.DigestsOf(all...)
}

// insert puts a new event before the step at index at.
func (p *plan) insert(at int, pcr uint32, t eventlog.EventType, data []byte, parts ...[]byte) *step {
	e := eventlog.Event{Number: -1, PCR: pcr, Type: t, Data: data, Digests: p.digests(parts...)}
	s := &step{event: e, grade: Exact, changed: true, added: true}
	s.decoded, _ = e.Decode()
	p.steps = slices.Insert(p.steps, at, s)
	return s
}

// assume takes events over as they are.
func (p *plan) assume(numbers []int) {
	for _, s := range p.steps {
		if s.grade == Blocked && slices.Contains(numbers, s.event.Number) {
			s.grade, s.why = Copied, "assumed to stay as it is"
		}
	}
}

// outdated deals with files that changed since the boot, and that no change names: the next boot would use them.
func (p *plan) outdated(useDisk bool) error {
	if useDisk {
		p.again()
	}
	for _, s := range slices.Clone(p.steps) {
		if s.loaded == nil || s.gone {
			continue
		}
		if useDisk {
			if err := p.reload(s); err != nil {
				return err
			}
		}
		if s.loaded == nil {
			continue
		}
		why := fmt.Sprintf("%s has changed since this boot", s.loaded.Path)
		s.block(why)
		if s.role == roleGRUBConfig || s.role == roleGRUBFile && path.Ext(s.named()) == ".conf" {
			p.blockCommands(s, why)
		}
	}
	return nil
}

// forecast replays the plan.
func (p *plan) forecast() *Forecast {
	f := &Forecast{PCRs: []PCR{}, Events: []EventChange{}, Notes: append([]string{}, p.notes...), Values: eventlog.Values{}}
	future := *p.m.log
	future.Events = nil
	byPCR := make(map[int][]*step)
	for _, s := range p.steps {
		if s.event.Extends() {
			byPCR[int(s.event.PCR)] = append(byPCR[int(s.event.PCR)], s)
			if !s.gone {
				f.Steps = append(f.Steps, Step{int(s.event.PCR), slices.Collect(s.event.Digests.All()), s.changed})
			}
		}
		if s.changed && s.grade != Blocked {
			f.Events = append(f.Events, s.change())
		}
		if !s.gone {
			future.Events = append(future.Events, s.event)
		}
	}
	replay := future.Replay()
	for _, n := range slices.Sorted(maps.Keys(p.m.now)) {
		pcr := verdict(n, p.m.now[n], byPCR[n])
		f.PCRs = append(f.PCRs, pcr)
		if pcr.Confidence == Blocked {
			continue
		}
		for bank := range p.m.now[n].banks {
			if b := replay.Bank(bank); b != nil && b.PCR(n) != nil {
				if f.Values[bank] == nil {
					f.Values[bank] = make(map[int]eventlog.Hex)
				}
				f.Values[bank][n] = b.PCR(n).Value
			}
		}
	}
	return f
}

// verdict grades one PCR by its worst step.
func verdict(n int, now register, steps []*step) PCR {
	pcr := PCR{Index: n, Confidence: Exact}
	copied := 0
	for _, s := range steps {
		pcr.Changed = pcr.Changed || s.changed
		switch {
		case s.grade == Blocked && pcr.Confidence != Blocked:
			pcr.Confidence, pcr.Why = Blocked, s.why
			if s.event.Number >= 0 {
				pcr.Event = &s.event.Number
			}
		case s.grade == Copied && !s.gone:
			copied++
			if pcr.Why == "" {
				pcr.Why = s.why
			}
		}
	}
	switch {
	case now.problem != "":
		pcr.Confidence, pcr.Why, pcr.Event = Blocked, now.problem, nil
	case pcr.Confidence == Exact && copied > 0:
		pcr.Confidence = Copied
		pcr.Why = cmp.Or(pcr.Why, fmt.Sprintf("%d of %d events are taken over as they are", copied, len(steps)))
	}
	return pcr
}

func (s *step) change() EventChange {
	c := EventChange{PCR: int(s.event.PCR), What: s.what(), Before: digestMap(s.before), After: digestMap(s.event.Digests)}
	if !s.added {
		c.Number = &s.event.Number
	}
	if s.gone {
		c.After = nil
	}
	return c
}

// compare notes for every PCR in which banks the log leads to its value. Without values the log is believed.
func (m *Machine) compare(values eventlog.Values) {
	m.now = make(map[int]register)
	banks := make(map[eventlog.Alg]bool)
	for _, b := range m.log.Replay().Banks {
		banks[b.Alg] = true
		for _, p := range b.PCRs {
			m.now[p.Index] = register{banks: banks}
		}
	}
	if values == nil {
		return
	}
	for n, now := range m.now {
		now.banks, now.problem = make(map[eventlog.Alg]bool), "no value of this PCR is known to check the log against"
		m.now[n] = now
	}
	for _, v := range m.log.Compare(values) {
		now, logged := m.now[v.PCR]
		switch v.State {
		case eventlog.Match:
			if logged {
				now.banks[v.Bank], now.problem = true, ""
			}
		case eventlog.Unlogged:
			now = register{problem: "extended, and the log has no event for it"}
		case eventlog.Differs:
			if m.matchPhases(v) {
				now.banks[v.Bank], now.problem = true, ""
				break
			}
			if len(now.banks) == 0 {
				now.problem = "the log does not lead to the value this PCR has"
				if v.Hypothesis != nil {
					now.problem += ": " + v.Hypothesis.Text
				}
			}
		default:
			continue
		}
		if logged || v.State == eventlog.Unlogged {
			m.now[v.PCR] = now
		}
	}
}

// systemdPhases are what systemd measures into PCR 11 in the course of a boot (systemd-pcrphase.service).
var systemdPhases = []string{"enter-initrd", "leave-initrd", "sysinit", "ready"}

// matchPhases tries the phases of a boot, each alone and the first ones together, after the last event of PCR 11.
func (m *Machine) matchPhases(v eventlog.PCRVerdict) bool {
	if v.PCR != ukiPCR {
		return false
	}
	for from := range systemdPhases {
		value := bytes.Clone(v.Replayed)
		for to := from; to < len(systemdPhases); to++ {
			value = v.Bank.Sum(value, v.Bank.Sum([]byte(systemdPhases[to])))
			if bytes.Equal(value, v.Actual) {
				m.phases = systemdPhases[from : to+1]
				return true
			}
		}
	}
	return false
}

// setPhases ends PCR 11 at the phases that were asked for: those of now if nil. Phases that a log of systemd has are
// replaced, not repeated.
func (p *plan) setPhases(phases []string) {
	if phases == nil {
		phases = p.m.phases
	} else {
		for _, s := range p.steps {
			if s.event.PCR == ukiPCR && s.event.Content == eventlog.ContentSystemd {
				s.remove()
			}
		}
	}
	for _, phase := range phases {
		s := p.insert(len(p.steps), ukiPCR, eventlog.EVIPL, []byte(phase), []byte(phase))
		s.changed = slices.Compare(phases, p.m.phases) != 0
	}
}

// ParsePhases reads phases the way systemd-measure writes them, "enter-initrd:leave-initrd"; "" is none.
func ParsePhases(text string) ([]string, error) {
	phases := []string{}
	if text == "" {
		return phases, nil
	}
	for phase := range strings.SplitSeq(text, ":") {
		if phase == "" {
			return nil, fail.E(fail.Usage, "there is an empty phase in %q", text).
				Hint("the phases of a boot are %s", strings.Join(systemdPhases, ":"))
		}
		phases = append(phases, phase)
	}
	return phases, nil
}
