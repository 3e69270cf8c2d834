package eventlog

import (
	"fmt"
	"iter"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// The types of CEL-TLV (TCG Canonical Event Log Format, "TLV Encoding"); CEL-CBOR numbers the same fields as map keys,
// except that the content is split from its type there.
const (
	celRecnum   = 0
	celPCR      = 1
	celNVIndex  = 2
	celDigests  = 3
	celMgmt     = 4
	celStd      = 5
	celTemplate = 7
	celSystemd  = 9
	celCOS      = 80 // Google's container operating system
	celKeyType  = 9  // CBOR: the content's type
	celKeyBody  = 10 // CBOR: the content
)

// tlv reads one type, length and value; the length is big-endian.
func tlv(r *wire.Reader) (kind uint8, value []byte) {
	kind = r.U8()
	return kind, r.Sized32()
}

// bigEndian reads a number of 1 to 8 bytes; writers disagree about the size of record numbers and registers.
func bigEndian(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// parseCELTLV reads CEL-TLV; nil where data is something else.
func parseCELTLV(data []byte) *Log {
	l := &Log{Format: FormatCELTLV, Notes: []Note{}, Events: []Event{}}
	for r := wire.BE(data); r.Len() > 0; {
		start := r.Offset()
		e, err := tlvRecord(r)
		if err != nil {
			if len(l.Events) == 0 {
				return nil
			}
			l.cut("truncated", start, len(data), err)
			break
		}
		e.Number, e.Offset = len(l.Events), start
		l.Events = append(l.Events, e)
		l.Size = r.Offset()
	}
	l.survey()
	return l
}

func tlvRecord(r *wire.Reader) (e Event, err error) {
	kind, value := tlv(r)
	if _, ok := bigEndian(value); kind != celRecnum || !ok {
		return e, fmt.Errorf("no record number")
	}
	kind, value = tlv(r)
	register, ok := bigEndian(value)
	if !ok || register > 0xffffffff || (kind != celPCR && kind != celNVIndex) {
		return e, fmt.Errorf("no register")
	}
	e.PCR = uint32(register)
	kind, value = tlv(r)
	if kind != celDigests {
		return e, fmt.Errorf("no digests")
	}
	var digests []Digest
	for d := wire.BE(value); d.Len() > 0 && len(digests) < maxDigests; {
		alg, digest := tlv(d)
		if d.Err() != nil {
			return e, d.Err()
		}
		if len(digest) == Alg(alg).Size() {
			digests = append(digests, Digest{Alg: Alg(alg), Value: digest})
		}
	}
	e.Digests = DigestsOf(digests...)
	content, body := tlv(r)
	if r.Err() != nil {
		return e, r.Err()
	}
	e.setTLV(content, body)
	if kind == celNVIndex {
		e.Content = ContentNV
	}
	return e, nil
}

// setTLV reads a content; one that does not have its type's shape stays what it is.
func (e *Event) setTLV(kind uint8, body []byte) {
	r := wire.BE(body)
	switch kind {
	case celStd:
		_, number := tlv(r)
		_, data := tlv(r)
		if t, ok := bigEndian(number); ok && r.Err() == nil {
			e.Type, e.Data = EventType(t), data
			return
		}
	case celTemplate:
		_, name := tlv(r)
		_, data := tlv(r)
		if r.Err() == nil {
			e.Content, e.Data = ContentIMA, append(append(append([]byte{}, name...), 0), data...)
			return
		}
	case celSystemd:
		e.Content, e.Data = ContentSystemd, body
		return
	}
	e.Content, e.Type, e.Data = ContentOther, EventType(kind), body
}

// celTLVRecords are those of a CEL-TLV log.
func (l *Log) celTLVRecords() iter.Seq2[[]byte, error] {
	put := func(w *wire.Writer, kind uint8, value []byte) { w.U8(kind).Sized32(value) }
	number := func(n uint64) []byte { return wire.NewBE().U64(n).Out() }
	return func(yield func([]byte, error) bool) {
		w := wire.NewBE()
		counts := make(map[uint32]uint64)
		for i := range l.Events {
			e := &l.Events[i]
			w.Reset()
			put(w, celRecnum, number(counts[e.PCR]))
			counts[e.PCR]++
			register := uint8(celPCR)
			if e.Content == ContentNV {
				register = celNVIndex
			}
			put(w, register, wire.NewBE().U32(e.PCR).Out())
			digests := wire.NewBE()
			for d := range e.Digests.All() {
				if d.Alg <= 0xff { // the type of a digest is its algorithm, in one byte
					put(digests, uint8(d.Alg), d.Value)
				}
			}
			put(w, celDigests, digests.Out())
			kind, body := e.tlvContent()
			put(w, kind, body)
			if !yield(w.Out(), nil) {
				return
			}
		}
	}
}

func (e *Event) tlvContent() (kind uint8, body []byte) {
	pair := func(a, b []byte) []byte { return wire.NewBE().U8(0).Sized32(a).U8(1).Sized32(b).Out() }
	switch e.Content {
	case ContentPCClient:
		return celStd, pair(wire.NewBE().U32(uint32(e.Type)).Out(), e.Data)
	case ContentIMA:
		name, fields := e.imaTemplate()
		return celTemplate, pair([]byte(name), fields)
	case ContentOther:
		if e.Type != 0 && e.Type <= 0xff {
			return uint8(e.Type), e.Data
		}
	}
	return celSystemd, e.Data
}
