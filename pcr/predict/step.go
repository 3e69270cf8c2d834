package predict

import (
	"bytes"
	"slices"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
)

// step is an event on its way into a predicted log.
type step struct {
	event   eventlog.Event // with the digests it will have
	before  eventlog.Digests
	decoded eventlog.Decoded
	check   eventlog.Check
	role    role

	origin   files.Origin                       // the file that was measured, if one is known
	derived  string                             // from what else the measured bytes follow
	loaded   *files.File                        // the file on disk that has the name, and other content
	given    []byte                             // the image a future puts here
	making   func(*authenticode.Image) [][]byte // how the initrd was made of a unified image
	handover *handover                          // how QEMU handed this kernel over
	text     *textRule                          // how the command line that was measured here is written

	grade   Confidence
	why     string
	changed bool
	added   bool
	gone    bool
}

// look grades an event as it is: what its data vouches for and what a file explains is known exactly.
func (m *Machine) look(e *eventlog.Event) *step {
	s := &step{event: *e, before: e.Digests, grade: Copied}
	s.decoded, _ = e.Decode()
	if !e.Extends() {
		s.grade = Exact
		return s
	}
	s.check = e.Check()
	if s.check.Binding == eventlog.Bound {
		s.grade = Exact
		return s
	}
	for _, f := range m.disk.Named(s.named()) {
		if o, ok := covered(e, &f); ok {
			s.found(o)
			return s
		}
		if s.loaded == nil {
			s.loaded = &f
		}
	}
	if o, ok := m.disk.Find(e); ok { // a copy of what was measured does not make up for a file that has other content now
		loaded := s.loaded
		s.found(o)
		s.loaded = loaded
	}
	return s
}

// twin tells whether the same bytes were measured in both steps of the boot.
func (s *step) twin(other *step) bool {
	return s.before.Equal(other.before)
}

// covered tells which part of a file was measured, if any.
func covered(e *eventlog.Event, f *files.File) (files.Origin, bool) {
	data, err := f.Read()
	if err != nil {
		return files.Origin{}, false
	}
	for as, parts := range files.Readings(data) {
		if e.Covers(parts...) {
			return files.Origin{File: f.Path, As: as}, true
		}
	}
	return files.Origin{}, false
}

// named is the path that an event names, "" where it names none.
func (s *step) named() string {
	switch d := s.decoded.(type) {
	case *eventlog.ImageLoad:
		if d.Path != nil && !s.ofQEMU() {
			return d.Path.File
		}
	case *eventlog.Loader:
		if d.Producer == "grub" && d.What == "file" {
			return d.Text
		}
	case *eventlog.Tagged:
		if len(d.Records) == 1 && d.Records[0].ID == tagLoaderConf {
			return "/loader/loader.conf"
		}
	}
	return ""
}

// clone copies a step for one future.
func (s *step) clone() *step {
	c := *s
	return &c
}

// measure gives the step the digests of other bytes.
func (s *step) measure(parts ...[]byte) {
	digests := slices.Collect(s.event.Digests.All())
	for i := range digests {
		d := &digests[i]
		if !d.Alg.Known() {
			continue
		}
		sum := d.Alg.Sum(parts...)
		s.changed = s.changed || !bytes.Equal(sum, d.Value)
		d.Value = sum
	}
	s.event.Digests = eventlog.DigestsOf(digests...)
	s.grade, s.why, s.loaded, s.gone = Exact, "", nil, false
}

// measureData gives the step other data, which its digest covers as it did the old.
func (s *step) measureData(data []byte) {
	s.event.Data = data
	s.decoded, _ = s.event.Decode()
	s.measure(data)
}

// block says that nobody can tell what will be measured here.
func (s *step) block(why string) {
	s.grade, s.why = Blocked, why
}

// remove takes the step out of the future.
func (s *step) remove() { s.gone, s.changed, s.grade = true, true, Exact }

// what names the step for a person.
func (s *step) what() string { return s.decoded.String() }

func digestMap(digests eventlog.Digests) map[eventlog.Alg]eventlog.Hex {
	m := make(map[eventlog.Alg]eventlog.Hex, digests.Len())
	for d := range digests.All() {
		m[d.Alg] = d.Value
	}
	return m
}
