package eventlog

import (
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// maxDigests bounds the digests of one event: more than there are hashes, far fewer than a corrupt count.
const maxDigests = 64

// framing walks the records of a TCG log. It needs no memory of its own, so a log is walked twice: once to count, once
// to keep.
type framing struct {
	data  []byte
	off   int
	end   int // where a tail of zeroes or of 0xFF begins
	agile bool
	sizes map[Alg]int // digest sizes the header declares, for algorithms we cannot compute
	last  *layout     // of the digests of the last agile record
}

// stop is why a walk ended before the end of the data.
type stop struct {
	code   string
	offset int
	text   string
}

// newFraming prepares a walk. The padded tail is found once and from the back: firmware hands over fixed buffers, and a
// tail of zeroes would otherwise read as tens of thousands of EV_PREBOOT_CERT events.
func newFraming(data []byte, spec *SpecID) *framing {
	f := &framing{data: data, end: paddingStart(data)}
	if spec != nil && spec.Signature == "Spec ID Event03" {
		f.agile = true
		f.sizes = make(map[Alg]int)
		for _, a := range spec.Algorithms {
			if !a.Alg.Known() && a.Size > 0 {
				f.sizes[a.Alg] = int(a.Size)
			}
		}
	}
	return f
}

// paddingStart is the offset after the last byte that is not part of an all-zero or all-0xFF tail.
func paddingStart(data []byte) int {
	n := len(data)
	if n == 0 || (data[n-1] != 0 && data[n-1] != 0xff) {
		return n
	}
	for fill := data[n-1]; n > 0 && data[n-1] == fill; n-- {
	}
	return n
}

// next reads the record at f.off into e. It returns false at the end of the log; why is nil where that end is a clean one.
func (f *framing) next(e *Event) (more bool, why *stop) {
	if f.off >= f.end {
		return false, nil
	}
	r := wire.LE(f.data[f.off:])
	*e = Event{Offset: f.off, PCR: r.U32(), Type: EventType(r.U32())}
	digests := aloneSHA1
	if f.agile && f.off > 0 { // the header record has the SHA-1 layout in either format
		count := r.U32()
		if r.Err() == nil && count > maxDigests {
			return false, f.stop("trailing", "no event: it would have %d digests", count)
		}
		if rest := f.data[f.off+r.Offset():]; !f.last.fits(rest, int(count)) {
			if why := f.lookAt(rest, count); why != nil {
				return false, why
			}
		}
		digests = f.last
	}
	e.Digests = Digests{digests, r.Bytes(digests.size)}
	size := r.U32()
	if r.Err() == nil && uint64(size) > uint64(r.Len()) {
		return false, f.stop("truncated", "event data of %d bytes, %d left", size, r.Len())
	}
	e.Data = r.Bytes(int(size))
	if r.Err() != nil {
		return false, f.stop("truncated", "the log ends within an event")
	}
	if f.agile && e.PCR == 0 && e.Type == 0 && e.Digests.Len() == 0 && size == 0 {
		return false, f.stop("trailing", "padding that does not reach the end of the log")
	}
	f.off += r.Offset()
	return true, nil
}

// lookAt finds out how the digests of a crypto-agile record lie.
func (f *framing) lookAt(rest []byte, count uint32) *stop {
	f.last = &layout{}
	r := wire.LE(rest)
	for range count {
		alg := Alg(r.U16())
		size, ok := f.size(alg)
		if r.Err() == nil && !ok {
			return f.stop("trailing", "digest algorithm 0x%04x is not in the header and its size is unknown", uint16(alg))
		}
		f.last.add(alg, r.Offset(), size)
		if r.Bytes(size); r.Err() != nil {
			return f.stop("truncated", "the log ends within an event")
		}
	}
	return nil
}

func (f *framing) stop(code, format string, args ...any) *stop {
	return &stop{code: code, offset: f.off, text: fmt.Sprintf(format, args...)}
}

// size is the length of a digest of alg. An algorithm we know has one size whatever the header claims; a vendor's own is
// believed.
func (f *framing) size(alg Alg) (int, bool) {
	if n := alg.Size(); n > 0 {
		return n, true
	}
	n, ok := f.sizes[alg]
	return n, ok
}

// parseTCG reads an agile or SHA-1 log that starts at the first byte of data.
func parseTCG(data []byte) *Log {
	l := &Log{Format: FormatSHA1, Notes: []Note{}}
	spec, specErr := headerOf(data)
	if spec != nil {
		l.Spec = spec
		if spec.Signature == "Spec ID Event03" {
			l.Format = FormatAgile
		}
		if specErr != nil {
			l.note("header", 0, 0, "the header event does not decode: "+specErr.Error())
		}
	}
	l.noteHeader()

	events, end, why := newFraming(data, spec).count()
	l.Events = make([]Event, events)
	f := newFraming(data, spec)
	for i := range l.Events {
		_, _ = f.next(&l.Events[i]) // it was there when it was counted
		l.Events[i].Number = i
	}
	if spec == nil && events > 0 {
		if locality, ok := startupLocality(&l.Events[0]); ok {
			l.note("opens_with_locality", 0, 0, fmt.Sprintf("the log opens with the startup locality %d instead of a header", locality))
		}
	}
	l.Size = end
	l.noteEnd(data, end, why)
	l.survey()
	return l
}

// count walks to the end of the log: how many records there are, where they end and why.
func (f *framing) count() (events, end int, why *stop) {
	var e Event
	for {
		more, stopped := f.next(&e)
		if !more {
			return events, f.off, stopped
		}
		events++
	}
}

// headerOf decodes the Spec ID event at the start of data; nil where there is none.
func headerOf(data []byte) (*SpecID, error) {
	f := framing{data: data, end: len(data)}
	var e Event
	if ok, _ := f.next(&e); !ok || e.Type != EVNoAction || !isSpecID(e.Data) {
		return nil, nil
	}
	return parseSpecID(e.Data)
}

// noteHeader notes what the header gets wrong.
func (l *Log) noteHeader() {
	if l.Spec == nil {
		l.note("no_header", 0, -1, "no Spec ID event: read as a SHA-1 log, as older kernels and TPM 1.2 give it")
		return
	}
	for _, a := range l.Spec.Algorithms {
		if want := a.Alg.Size(); want != 0 && want != int(a.Size) {
			l.note("algorithm_size", 0, 0,
				fmt.Sprintf("the header says %d bytes for %s, which has %d: read as %d", a.Size, a.Alg, want, want))
		}
	}
	if l.Format == FormatAgile && len(l.Spec.Algorithms) == 0 {
		l.note("no_algorithms", 0, 0, "the header declares no algorithm")
	}
}

// noteEnd notes how the log ended.
func (l *Log) noteEnd(data []byte, end int, why *stop) {
	switch {
	case why != nil:
		l.cut(why.code, why.offset, len(data), why.text)
	case end < len(data):
		l.note("padding", end, -1, fmt.Sprintf("%d bytes of 0x%02x after the last event", len(data)-end, data[len(data)-1]))
	}
}

// survey makes the notes that need the whole log, and the list of banks.
func (l *Log) survey() {
	seen := make(map[Alg]bool)
	add := func(a Alg) {
		if !seen[a] {
			seen[a] = true
			l.Banks = append(l.Banks, a)
		}
	}
	if l.Format == FormatSHA1 {
		add(SHA1)
	} else if l.Spec != nil {
		for _, a := range l.Spec.Algorithms {
			add(a.Alg)
		}
	}
	declared := len(l.Banks)

	var partial, beyond, headers int
	for i := range l.Events {
		e := &l.Events[i]
		if e.Type == EVNoAction && isSpecID(e.Data) {
			if headers++; headers == 2 {
				l.note("second_header", e.Offset, e.Number, "a second Spec ID event; the first one counts")
			}
			continue
		}
		if e.PCR >= pcrCount && e.PCR != trustPointPCR && e.Content != ContentNV {
			if beyond++; beyond == 1 {
				l.note("register", e.Offset, e.Number,
					fmt.Sprintf("register 0x%x is no PCR: this event and others like it extend nothing", e.PCR))
			}
		}
		if e.Extends() && e.Digests.Len() < declared {
			partial++
		}
		for k := range e.Digests.Len() { // in the order of the banks as a rule: no look-up then
			if a := e.Digests.layout.places[k].alg; k >= len(l.Banks) || l.Banks[k] != a {
				add(a)
			}
		}
	}
	if partial > 0 {
		l.note("bank_subset", 0, -1, fmt.Sprintf("%d events carry fewer banks than the header declares", partial))
	}
	for _, a := range l.Banks[declared:] {
		if l.Format != FormatAgile {
			break // other formats declare nothing
		}
		l.note("undeclared_bank", 0, -1, fmt.Sprintf("events carry %s, which the header does not declare", a))
	}
	if l.Banks == nil {
		l.Banks = []Alg{}
	}
	l.CC = len(l.Events) > 0 && l.Events[0].PCR == 1 && l.Format == FormatAgile
}
