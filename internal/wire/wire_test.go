package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

func TestReaderReadsWhatWriterWrote(t *testing.T) {
	type pair struct {
		w *wire.Writer
		r func([]byte) *wire.Reader
	}
	for name, p := range map[string]pair{"big-endian": {wire.NewBE(), wire.BE}, "little-endian": {wire.NewLE(), wire.LE}} {
		t.Run(name, func(t *testing.T) {
			out := p.w.U8(1).U16(0x0203).U32(0x04050607).U64(0x08090a0b0c0d0e0f).Sized16([]byte("ab")).Sized32([]byte("c")).Bytes([]byte("d")).Out()
			r := p.r(out)
			if a, b, c, d := r.U8(), r.U16(), r.U32(), r.U64(); a != 1 || b != 0x0203 || c != 0x04050607 || d != 0x08090a0b0c0d0e0f {
				t.Errorf("integers = %x %x %x %x", a, b, c, d)
			}
			if a, b, c := r.Sized16(), r.Sized32(), r.Rest(); string(a) != "ab" || string(b) != "c" || string(c) != "d" {
				t.Errorf("bytes = %q %q %q", a, b, c)
			}
			if r.Err() != nil || r.Len() != 0 || r.Offset() != len(out) {
				t.Errorf("err %v, %d left, offset %d", r.Err(), r.Len(), r.Offset())
			}
		})
	}
	if got := wire.NewLE().U16(0x0102).Out(); !bytes.Equal(got, []byte{2, 1}) {
		t.Errorf("little-endian U16 = %x", got)
	}
}

func TestReaderFailsForGoodAndSaysWhere(t *testing.T) {
	r := wire.BE([]byte{0, 5, 'a', 'b'})
	if b := r.Sized16(); b != nil {
		t.Errorf("a string longer than the input was read: %q", b)
	}
	var short *wire.ShortError
	if !errors.As(r.Err(), &short) || short.Offset != 2 || short.Want != 5 || short.Have != 2 {
		t.Errorf("err = %v", r.Err())
	}
	if r.U8() != 0 || r.Rest() != nil || r.Offset() != 2 {
		t.Error("a failed reader went on reading")
	}
}

func TestReaderSurvivesHugeSizes(t *testing.T) {
	for _, in := range [][]byte{{0xff, 0xff, 0xff, 0xff, 1}, {0x80, 0, 0, 0}} {
		if r := wire.BE(in); r.Sized32() != nil || r.Err() == nil {
			t.Errorf("size in %x was believed", in)
		}
	}
	if r := wire.LE([]byte{1}); r.Bytes(-1) != nil || r.Err() == nil {
		t.Error("a negative length was believed")
	}
}
