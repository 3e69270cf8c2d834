package predict

import (
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
)

// State is what became of the bytes behind an event whose digest covers something outside the log.
type State string

// The states.
const (
	Found       State = "found"       // a file has them
	Derived     State = "derived"     // they follow from other events, or from parts of a file
	Changed     State = "changed"     // the file that the event names has other content
	Unexplained State = "unexplained" // no file has them
	Firmware    State = "firmware"    // firmware and its tables, which are in no file
)

// Origin is an event and the file that it measured.
type Origin struct {
	Event int                `json:"event"`
	PCR   int                `json:"pcr"`
	Type  eventlog.EventType `json:"type"`
	What  string             `json:"what"`
	State State              `json:"state"`
	File  string             `json:"file,omitempty"`
	As    string             `json:"as,omitempty"` // what of the file: "content", "authenticode", "section .initrd", …
}

// lastPlatform is the last of the PCRs that only firmware extends with bytes of its own.
const lastPlatform = 3

// Origins tells for every event whose digest covers bytes outside the log where these are.
func (m *Machine) Origins() []Origin {
	all := []Origin{}
	for _, s := range m.steps {
		if !s.event.Extends() || s.check.Binding != eventlog.Label {
			continue
		}
		o := Origin{Event: s.event.Number, PCR: int(s.event.PCR), Type: s.event.Type, What: s.what(), State: Unexplained}
		switch {
		case s.derived != "":
			o.State, o.File, o.As = Derived, s.origin.File, s.derived
		case s.origin.File != "":
			o.State, o.File, o.As = Found, s.origin.File, s.origin.As
		case s.loaded != nil:
			o.State, o.File = Changed, s.loaded.Path
		case s.event.PCR <= lastPlatform:
			o.State = Firmware
		}
		all = append(all, o)
	}
	return all
}

// found notes the file that was measured.
func (s *step) found(o files.Origin) { s.origin, s.grade, s.loaded = o, Exact, nil }

// follows notes that what was measured follows from something else that is known.
func (s *step) follows(from string) { s.derived, s.grade, s.loaded = from, Exact, nil }
