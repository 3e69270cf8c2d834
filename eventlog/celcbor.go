package eventlog

import (
	"errors"
	"iter"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// The major types of CBOR (RFC 8949) that CEL uses.
const (
	cborUint  = 0
	cborBytes = 2
	cborText  = 3
	cborArray = 4
	cborMap   = 5
)

var errCBOR = errors.New("no CEL-CBOR record")

// cborHead reads the head of an item of definite length.
func cborHead(r *wire.Reader) (major uint8, n uint64) {
	b := r.U8()
	major, n = b>>5, uint64(b&0x1f)
	switch n {
	case 24:
		n = uint64(r.U8())
	case 25:
		n = uint64(r.U16())
	case 26:
		n = uint64(r.U32())
	case 27:
		n = r.U64()
	case 28, 29, 30, 31:
		r.Fail(errCBOR)
	}
	return major, n
}

// cborWant reads an item of a given major type; strings come back whole.
func cborWant(r *wire.Reader, want uint8) (n uint64, body []byte) {
	major, n := cborHead(r)
	if major != want {
		r.Fail(errCBOR)
	}
	if (want == cborBytes || want == cborText) && r.Err() == nil {
		if n > uint64(r.Len()) {
			r.Fail(errCBOR)
			return 0, nil
		}
		body = r.Bytes(int(n))
	}
	if r.Err() != nil {
		return 0, nil
	}
	return n, body
}

// cborKey reads a map key that must be n.
func cborKey(r *wire.Reader, n uint64) {
	if got, _ := cborWant(r, cborUint); got != n {
		r.Fail(errCBOR)
	}
}

// parseCELCBOR reads CEL-CBOR: an array of records, or a sequence of them; nil where data is something else.
func parseCELCBOR(data []byte) *Log {
	if len(data) < 8 || data[0]>>5 != cborArray && data[0]>>5 != cborMap {
		return nil
	}
	l := &Log{Format: FormatCELCBOR, Notes: []Note{}, Events: []Event{}}
	r := wire.BE(data)
	if data[0] == 0x9f { // an array of indefinite length ends with a break
		r.U8()
	} else if data[0]>>5 == cborArray {
		cborHead(r)
	}
	for r.Len() > 0 {
		start := r.Offset()
		if data[start] == 0xff && data[0] == 0x9f {
			l.Size = start + 1
			break
		}
		e := cborRecord(r, data)
		if r.Err() != nil {
			if len(l.Events) == 0 {
				return nil
			}
			l.cut("truncated", start, len(data), r.Err())
			break
		}
		e.Number, e.Offset = len(l.Events), start
		l.Events = append(l.Events, e)
		l.Size = r.Offset()
	}
	l.survey()
	return l
}

func cborRecord(r *wire.Reader, data []byte) (e Event) {
	if n, _ := cborWant(r, cborMap); n != 5 {
		r.Fail(errCBOR)
	}
	cborKey(r, celRecnum)
	cborWant(r, cborUint)
	kind, _ := cborWant(r, cborUint)
	register, _ := cborWant(r, cborUint)
	if (kind != celPCR && kind != celNVIndex) || register > 0xffffffff {
		r.Fail(errCBOR)
	}
	e.PCR = uint32(register)
	cborKey(r, celDigests)
	count, _ := cborWant(r, cborArray)
	if count > maxDigests {
		r.Fail(errCBOR)
	}
	var digests []Digest
	for range min(count, maxDigests) {
		cborWant(r, cborMap)
		cborKey(r, 0)
		alg, _ := cborWant(r, cborUint)
		cborKey(r, 1)
		_, digest := cborWant(r, cborBytes)
		if r.Err() == nil && alg <= 0xffff && len(digest) == Alg(alg).Size() {
			digests = append(digests, Digest{Alg: Alg(alg), Value: digest})
		}
	}
	e.Digests = DigestsOf(digests...)
	cborKey(r, celKeyType)
	content, _ := cborWant(r, cborUint)
	cborKey(r, celKeyBody)
	e.setCBOR(r, data, content)
	if kind == celNVIndex {
		e.Content = ContentNV
	}
	return e
}

// maxCBORDepth bounds what is skipped.
const maxCBORDepth = 8

// cborSkip reads over an item of any kind.
func cborSkip(r *wire.Reader, depth int) {
	major, n := cborHead(r)
	switch {
	case depth == maxCBORDepth:
		r.Fail(errCBOR)
	case major == cborBytes || major == cborText:
		if n > uint64(r.Len()) {
			r.Fail(errCBOR)
			return
		}
		r.Bytes(int(n))
	case major == cborArray || major == cborMap:
		for i := uint64(0); i < n && r.Err() == nil; i++ {
			cborSkip(r, depth+1)
			if major == cborMap {
				cborSkip(r, depth+1)
			}
		}
	case major == 6: // a tag, and what it is about
		cborSkip(r, depth+1)
	}
}

// structured tells whether a content of this type is a map whose fields are known here.
func structured(kind uint64) bool { return kind == celStd || kind == celTemplate }

// setCBOR reads a content; one of a type unknown here, or of another shape than its type has, is kept as it is.
func (e *Event) setCBOR(r *wire.Reader, data []byte, kind uint64) {
	at := r.Offset()
	odd := structured(kind) && at < len(data) && data[at]>>5 != cborMap
	switch {
	case kind == celStd && !odd:
		cborWant(r, cborMap)
		cborKey(r, 0)
		t, _ := cborWant(r, cborUint)
		cborKey(r, 1)
		_, e.Data = cborWant(r, cborBytes)
		e.Type = EventType(t)
	case kind == celTemplate && !odd:
		cborWant(r, cborMap)
		cborKey(r, 0)
		_, name := cborWant(r, cborText)
		cborKey(r, 1)
		_, data := cborWant(r, cborBytes)
		e.Content, e.Data = ContentIMA, append(append(append([]byte{}, name...), 0), data...)
	case kind == celSystemd:
		e.Content = ContentSystemd
		_, e.Data = cborWant(r, cborBytes)
	default:
		cborSkip(r, 0)
		if kind > 0xffffffff {
			r.Fail(errCBOR)
		}
		if r.Err() == nil {
			e.Content, e.Type, e.Data = ContentOther, EventType(kind), data[at:r.Offset()]
		}
	}
}

// celCBORRecords are those of a CEL-CBOR log, one array of records.
func (l *Log) celCBORRecords() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		w := wire.NewBE()
		cborPut(w, cborArray, uint64(len(l.Events)))
		if !yield(w.Out(), nil) {
			return
		}
		counts := make(map[uint32]uint64)
		for i := range l.Events {
			e := &l.Events[i]
			register := uint64(celPCR)
			if e.Content == ContentNV {
				register = celNVIndex
			}
			w.Reset()
			cborPut(w, cborMap, 5)
			for _, n := range []uint64{celRecnum, counts[e.PCR], register, uint64(e.PCR), celDigests} {
				cborPut(w, cborUint, n)
			}
			counts[e.PCR]++
			cborPut(w, cborArray, uint64(e.Digests.Len()))
			for d := range e.Digests.All() {
				cborPut(w, cborMap, 2)
				cborPut(w, cborUint, 0)
				cborPut(w, cborUint, uint64(d.Alg))
				cborPut(w, cborUint, 1)
				cborString(w, cborBytes, d.Value)
			}
			e.putCBOR(w)
			if !yield(w.Out(), nil) {
				return
			}
		}
	}
}

func (e *Event) putCBOR(w *wire.Writer) {
	cborPut(w, cborUint, celKeyType)
	pair := func(kind uint64, first func(), data []byte) {
		cborPut(w, cborUint, kind)
		cborPut(w, cborUint, celKeyBody)
		cborPut(w, cborMap, 2)
		cborPut(w, cborUint, 0)
		first()
		cborPut(w, cborUint, 1)
		cborString(w, cborBytes, data)
	}
	switch e.Content {
	case ContentPCClient:
		pair(celStd, func() { cborPut(w, cborUint, uint64(e.Type)) }, e.Data)
	case ContentIMA:
		name, fields := e.imaTemplate()
		pair(celTemplate, func() { cborString(w, cborText, []byte(name)) }, fields)
	case ContentOther:
		kind := uint64(e.Type)
		if kind == 0 {
			kind = celSystemd
		}
		cborPut(w, cborUint, kind)
		cborPut(w, cborUint, celKeyBody)
		if kind != celSystemd && !structured(kind) && isCBOR(e.Data) {
			w.Bytes(e.Data)
		} else {
			cborString(w, cborBytes, e.Data)
		}
	default:
		cborPut(w, cborUint, celSystemd)
		cborPut(w, cborUint, celKeyBody)
		cborString(w, cborBytes, e.Data)
	}
}

// isCBOR tells whether data is one item.
func isCBOR(data []byte) bool {
	r := wire.BE(data)
	cborSkip(r, 0)
	return r.Err() == nil && r.Len() == 0
}

// cborPut writes the head of an item in its shortest form.
func cborPut(w *wire.Writer, major uint8, n uint64) {
	major <<= 5
	switch {
	case n < 24:
		w.U8(major | uint8(n))
	case n <= 0xff:
		w.U8(major | 24).U8(uint8(n))
	case n <= 0xffff:
		w.U8(major | 25).U16(uint16(n))
	case n <= 0xffffffff:
		w.U8(major | 26).U32(uint32(n))
	default:
		w.U8(major | 27).U64(n)
	}
}

func cborString(w *wire.Writer, major uint8, b []byte) {
	cborPut(w, major, uint64(len(b)))
	w.Bytes(b)
}
