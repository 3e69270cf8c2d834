package eventlog

import (
	"iter"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// agileRecords are those of a crypto-agile TCG log, without padding: events that only other formats can hold make it fail.
// A log without a Spec ID event gets one.
func (l *Log) agileRecords() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		w := wire.NewLE()
		events := l.Events
		if l.Format != FormatAgile && !startsAgile(events) {
			w.U32(0).U32(uint32(EVNoAction)).Bytes(make([]byte, SHA1.Size())).Sized32(agileHeader(l.Banks))
		} else if len(events) > 0 {
			w.U32(events[0].PCR).U32(uint32(events[0].Type)).Bytes(make([]byte, SHA1.Size())).Sized32(events[0].Data)
			events = events[1:]
		}
		if !yield(w.Out(), nil) {
			return
		}
		for i := range events {
			e := &events[i]
			if e.Content != ContentPCClient {
				yield(nil, fail.E(fail.Unsupported, "event %d is no PC Client event: a TCG log cannot hold it", e.Number).
					Hint("convert to one of the CEL encodings"))
				return
			}
			w.Reset()
			w.U32(e.PCR).U32(uint32(e.Type)).U32(uint32(e.Digests.Len()))
			for d := range e.Digests.All() {
				w.U16(uint16(d.Alg)).Bytes(d.Value)
			}
			if !yield(w.Sized32(e.Data).Out(), nil) {
				return
			}
		}
	}
}

// startsAgile tells whether the first event is the header of a crypto-agile log, as in a CEL made from one.
func startsAgile(events []Event) bool {
	return len(events) > 0 && events[0].Type == EVNoAction && isSpecID(events[0].Data) && events[0].Data[14] == '3'
}

// agileHeader is the data of a Spec ID event that declares banks.
func agileHeader(banks []Alg) []byte {
	w := wire.NewLE().Bytes([]byte("Spec ID Event03\x00")).U32(0).U8(0).U8(2).U8(0).U8(2).U32(uint32(len(banks)))
	for _, b := range banks {
		w.U16(uint16(b)).U16(uint16(b.Size()))
	}
	return w.U8(0).Out()
}
