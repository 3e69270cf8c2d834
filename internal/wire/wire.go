// Package wire reads and writes the byte layouts of the trusted-computing world: big-endian TPM structures (TPM 2.0
// Library part 2) and little-endian firmware tables and event logs (TCG PC Client PFP, UEFI, Windows FVE).
//
// It touches nothing but byte slices. Every read is bounded; the first one that does not fit makes the Reader fail for
// good, so a decoder may read a whole structure and look at Err once.
package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// ShortError says which read ran past the end of the input.
type ShortError struct {
	Offset int // of the read, in bytes from the start of the input
	Want   int // bytes the read asked for
	Have   int // bytes that were left
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("offset %d: %d bytes wanted, %d left", e.Offset, e.Want, e.Have)
}

// Reader is a cursor over a byte slice. After the first read that does not fit, every read returns zero values, nothing
// is consumed, and Err says where that was.
type Reader struct {
	data []byte
	off  int
	big  bool
	err  error
}

// BE reads data as big-endian, the order of TPM commands and structures.
func BE(data []byte) *Reader { return &Reader{data: data, big: true} }

// LE reads data as little-endian, the order of event logs, UEFI structures and Windows metadata.
func LE(data []byte) *Reader { return &Reader{data: data} }

// Bytes returns the next n bytes as a view into the input; copy it to keep it. A negative n is a failed read.
func (r *Reader) Bytes(n int) []byte {
	if !r.has(n) {
		return nil
	}
	r.off += n
	return r.data[r.off-n : r.off : r.off]
}

// has tells whether n bytes are left; if not, the Reader has failed. The compiler puts it in its callers.
func (r *Reader) has(n int) bool {
	return r.err == nil && uint(n) <= uint(r.Len()) || r.short(n)
}

// short is kept out of has so that has is small.
//
//go:noinline
func (r *Reader) short(n int) bool {
	r.Fail(&ShortError{Offset: r.off, Want: n, Have: r.Len()})
	return false
}

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if !r.has(1) {
		return 0
	}
	b := r.data[r.off]
	r.off++
	return b
}

// U16 reads two bytes.
func (r *Reader) U16() uint16 {
	if !r.has(2) {
		return 0
	}
	b := r.data[r.off:]
	r.off += 2
	if r.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

// U32 reads four bytes.
func (r *Reader) U32() uint32 {
	if !r.has(4) {
		return 0
	}
	b := r.data[r.off:]
	r.off += 4
	if r.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

// U64 reads eight bytes.
func (r *Reader) U64() uint64 {
	if !r.has(8) {
		return 0
	}
	b := r.data[r.off:]
	r.off += 8
	if r.big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

// Sized16 reads a 16-bit size and that many bytes: the TPM2B shape. The result is a view into the input.
func (r *Reader) Sized16() []byte { return r.Bytes(int(r.U16())) }

// Sized32 reads a 32-bit size and that many bytes. The result is a view into the input.
func (r *Reader) Sized32() []byte {
	n := r.U32()
	if r.err == nil && uint64(n) > uint64(r.Len()) { // an int may be 32 bits wide: never convert before this check
		r.err = &ShortError{Offset: r.off, Want: int(min(uint64(n), 1<<31-1)), Have: r.Len()}
	}
	if r.err != nil {
		return nil
	}
	return r.Bytes(int(n))
}

// Rest consumes and returns all that is left, as a view into the input.
func (r *Reader) Rest() []byte { return r.Bytes(r.Len()) }

// Len is the number of bytes left.
func (r *Reader) Len() int { return len(r.data) - r.off }

// Offset is the number of bytes consumed.
func (r *Reader) Offset() int { return r.off }

// Err is nil, or the *ShortError of the first read that did not fit, or what Fail was given.
func (r *Reader) Err() error { return r.err }

// Fail makes the Reader fail with err, unless it has failed already: for a decoder that finds a value it cannot accept.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Writer appends values to a byte slice. Its methods stay calls: put into their hundreds of callers they would
// take 30 kB of the binary.
type Writer struct {
	data []byte
	big  bool
}

// NewBE writes big-endian.
func NewBE() *Writer { return AppendBE(make([]byte, 0, 64)) } // most of what is written is not much longer

// AppendBE writes big-endian behind what buf holds.
func AppendBE(buf []byte) *Writer { return &Writer{data: buf, big: true} }

// NewLE writes little-endian.
func NewLE() *Writer { return &Writer{} }

// U8 appends one byte.
//
//go:noinline
func (w *Writer) U8(v uint8) *Writer { w.data = append(w.data, v); return w }

// U16 appends two bytes.
//
//go:noinline
func (w *Writer) U16(v uint16) *Writer {
	if w.big {
		w.data = binary.BigEndian.AppendUint16(w.data, v)
	} else {
		w.data = binary.LittleEndian.AppendUint16(w.data, v)
	}
	return w
}

// U32 appends four bytes.
//
//go:noinline
func (w *Writer) U32(v uint32) *Writer {
	if w.big {
		w.data = binary.BigEndian.AppendUint32(w.data, v)
	} else {
		w.data = binary.LittleEndian.AppendUint32(w.data, v)
	}
	return w
}

// U64 appends eight bytes.
//
//go:noinline
func (w *Writer) U64(v uint64) *Writer {
	if w.big {
		w.data = binary.BigEndian.AppendUint64(w.data, v)
	} else {
		w.data = binary.LittleEndian.AppendUint64(w.data, v)
	}
	return w
}

// Bytes appends b as it is.
//
//go:noinline
func (w *Writer) Bytes(b []byte) *Writer { w.data = append(w.data, b...); return w }

// Sized16 appends the length of b in 16 bits, then b. It panics above 65535 bytes: callers bound what they write.
func (w *Writer) Sized16(b []byte) *Writer {
	if len(b) > 0xffff {
		panic(fmt.Sprintf("wire: %d bytes do not fit a 16-bit size", len(b)))
	}
	w.U16(uint16(len(b)))
	w.data = append(w.data, b...)
	return w
}

// Sized32 appends the length of b in 32 bits, then b.
func (w *Writer) Sized32(b []byte) *Writer { return w.U32(uint32(len(b))).Bytes(b) }

// Grow makes room for n more bytes at once. It only saves time.
func (w *Writer) Grow(n int) *Writer { w.data = slices.Grow(w.data, n); return w }

// Reset forgets what was written and keeps the room: what Out returned is overwritten.
func (w *Writer) Reset() *Writer { w.data = w.data[:0]; return w }

// Len is the number of bytes written.
func (w *Writer) Len() int { return len(w.data) }

// Out returns what was written. The Writer keeps the slice: write no more after Out.
func (w *Writer) Out() []byte { return w.data }
