// Package predict says what the PCRs will hold after a later boot: the log of this boot is replayed with the digests that
// changed files, commands and variables will have. What it cannot compute it does not guess: it names the event that
// stands in the way of a PCR.
//
// It is pure: it takes a parsed log, PCR values and file systems, and returns structs. It opens no TPM, prints nothing and
// reads no clock.
package predict

import (
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
)

// Confidence says how a predicted value was arrived at.
type Confidence string

// The confidences.
const (
	Exact   Confidence = "exact"   // every event was computed anew, from its data or from a file
	Copied  Confidence = "copied"  // some events are taken over as they are: nothing that changes should touch them
	Blocked Confidence = "blocked" // an event cannot be foreseen: there is no value
)

// Machine is a machine as it booted.
type Machine struct {
	log    *eventlog.Log
	disk   *files.Disk
	values eventlog.Values // of now; nil if they are not known
	steps  []*step
	now    map[int]register
	phases []string // that systemd measured after the log ended
}

// Future is what will be different.
type Future struct {
	Changes []Change
	Disk    bool     // files that changed since the boot will be used as they are now
	Phases  []string // of systemd, up to which PCR 11 is foreseen; nil for those of now
	Profile *int     // of a unified kernel image; nil for that of this boot
	Assume  []int    // numbers of events to be taken over as they are, whatever speaks against it
}

// Forecast is a predicted boot.
type Forecast struct {
	PCRs   []PCR           `json:"pcrs"`
	Events []EventChange   `json:"events"` // that differ from those of this boot
	Notes  []string        `json:"notes"`
	Values eventlog.Values `json:"-"` // of the PCRs that are not blocked

	Steps []Step `json:"-"` // the whole predicted log
}

// PCR is the prediction of one PCR.
type PCR struct {
	Index      int        `json:"pcr"`
	Confidence Confidence `json:"confidence"`
	Changed    bool       `json:"changed"`
	Event      *int       `json:"event"` // that blocks it
	Why        string     `json:"why"`   // it is blocked, or what is copied
}

// EventChange is an event that will be different, be gone (no After) or be new (no Number).
type EventChange struct {
	Number *int                          `json:"event"`
	PCR    int                           `json:"pcr"`
	What   string                        `json:"what"`
	Before map[eventlog.Alg]eventlog.Hex `json:"before"`
	After  map[eventlog.Alg]eventlog.Hex `json:"after"`
}

// Step is one extend of a predicted boot.
type Step struct {
	PCR     int
	Digests []eventlog.Digest
	Changed bool
}

// register is what is known about one PCR of this boot.
type register struct {
	banks   map[eventlog.Alg]bool // in which the log leads to the value
	problem string                // why it leads nowhere
}

// New looks at a boot: it finds the files behind its events, and compares where the log leads to with values, which may
// be nil.
func New(log *eventlog.Log, values eventlog.Values, disk *files.Disk) *Machine {
	m := &Machine{log: log, disk: disk, values: values}
	for i := range log.Events {
		m.steps = append(m.steps, m.look(&log.Events[i]))
	}
	assignRoles(m.steps)
	m.shareOrigins()
	m.deriveHandover()
	m.compare(values)
	return m
}

// Current is the forecast of this boot itself: a PCR that is blocked here is not understood, or its files have changed.
func (m *Machine) Current() *Forecast {
	f, err := m.Predict(Future{})
	if err != nil {
		panic("predict: nothing changes, and yet: " + err.Error())
	}
	return f
}

// Phases are the boot phases that systemd has measured into PCR 11 by now, as far as they explain its value.
func (m *Machine) Phases() []string { return m.phases }

// Predict computes one future. It fails where a change makes no sense for this boot.
func (m *Machine) Predict(f Future) (*Forecast, error) {
	p := m.plan()
	if f.byKexec() {
		return p.kexec(f)
	}
	if f.Profile != nil {
		if err := p.chooseProfile(*f.Profile, f.Changes); err != nil {
			return nil, err
		}
	}
	for _, c := range f.Changes {
		if err := p.apply(c); err != nil {
			return nil, err
		}
	}
	if err := p.handOver(); err != nil {
		return nil, err
	}
	if err := p.outdated(f.Disk); err != nil {
		return nil, err
	}
	p.authorities()
	p.setPhases(f.Phases)
	p.assume(f.Assume)
	return p.forecast(), nil
}
