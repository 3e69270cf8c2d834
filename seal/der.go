package seal

import (
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// The ASN.1 tags a key file uses (X.690); a context tag is explicit.
const (
	tagBoolean  = 0x01
	tagInteger  = 0x02
	tagOctets   = 0x04
	tagOID      = 0x06
	tagUTF8     = 0x0c
	tagSequence = 0x30
	tagContext  = 0xa0
)

// derReader walks over the values of one constructed value. The first value that is not what was asked for makes it
// fail for good, and the failure names the field and its offset in the whole file. encoding/asn1 names neither.
type derReader struct {
	r    *wire.Reader
	base int // offset of r in the whole
	err  *error
}

func newDER(data []byte) *derReader {
	var err error
	return &derReader{r: wire.BE(data), err: &err}
}

func (d *derReader) fail(field, format string, args ...any) {
	if *d.err == nil {
		*d.err = fmt.Errorf("offset %d, %s: %s", d.base+d.r.Offset(), field, fmt.Sprintf(format, args...))
	}
}

// done fails where something is left, and returns the first failure.
func (d *derReader) done(field string) error {
	if *d.err == nil && d.r.Len() > 0 {
		d.fail(field, "%d bytes too many", d.r.Len())
	}
	return *d.err
}

// more tells whether another value follows.
func (d *derReader) more() bool { return *d.err == nil && d.r.Len() > 0 }

// next reads a value of any tag.
func (d *derReader) next(field string) (tag byte, content []byte) {
	if *d.err != nil {
		return 0, nil
	}
	start := d.r.Offset()
	tag = d.r.U8()
	length := int(d.r.U8())
	if length >= 0x80 {
		length = d.longLength(length & 0x7f)
	}
	content = d.r.Bytes(length)
	if d.r.Err() != nil {
		*d.err = fmt.Errorf("offset %d, %s: cut short", d.base+start, field)
		return 0, nil
	}
	return tag, content
}

func (d *derReader) longLength(size int) (n int) {
	if size == 0 || size > 3 {
		return -1 // indefinite, or beyond anything a key file can be: a failed read
	}
	for range size {
		n = n<<8 | int(d.r.U8())
	}
	return n
}

// take reads a value that must have tag.
func (d *derReader) take(field string, tag byte) []byte {
	got, content := d.next(field)
	if *d.err == nil && got != tag {
		d.fail(field, "a value of type 0x%02x, 0x%02x is right", got, tag)
		return nil
	}
	return content
}

// in reads a constructed value and returns a reader of what is in it; it shares the failure.
func (d *derReader) in(field string, tag byte) *derReader {
	content := d.take(field, tag)
	return &derReader{r: wire.BE(content), base: d.base + d.r.Offset() - len(content), err: d.err}
}

// optional is in for an explicit context tag, if that is what comes next; nil otherwise.
func (d *derReader) optional(field string, n byte) *derReader {
	if *d.err != nil || d.r.Len() == 0 || d.peek() != tagContext|n {
		return nil
	}
	return d.in(field, tagContext|n)
}

func (d *derReader) peek() byte {
	ahead := *d.r
	return ahead.U8()
}

// boolean accepts any value but zero as true: openssl_tpm2_engine and tpm2-tools write 1 where DER wants 0xff.
func (d *derReader) boolean(field string) bool {
	b := d.take(field, tagBoolean)
	if *d.err == nil && len(b) != 1 {
		d.fail(field, "a truth value of %d bytes", len(b))
	}
	return len(b) == 1 && b[0] != 0
}

// uint32 reads an INTEGER. A handle such as 0x81000001 that was written as a negative 32-bit number is accepted.
func (d *derReader) uint32(field string) (n uint32) {
	b := d.take(field, tagInteger)
	if len(b) == 5 && b[0] == 0 {
		b = b[1:]
	}
	if *d.err == nil && (len(b) == 0 || len(b) > 4) {
		d.fail(field, "not a 32-bit number")
	}
	for _, v := range b {
		n = n<<8 | uint32(v)
	}
	return n
}

// der encodes one value.
func der(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	w := wire.NewBE().U8(tag)
	switch {
	case n < 0x80:
		w.U8(byte(n))
	case n < 0x100:
		w.U8(0x81).U8(byte(n))
	case n < 0x10000:
		w.U8(0x82).U16(uint16(n))
	default:
		w.U8(0x83).U8(byte(n >> 16)).U16(uint16(n))
	}
	for _, p := range parts {
		w.Bytes(p)
	}
	return w.Out()
}

// derUint32 encodes a number as a positive INTEGER of the least length.
func derUint32(n uint32) []byte {
	b := wire.NewBE().U8(0).U32(n).Out()
	for len(b) > 1 && b[0] == 0 && b[1] < 0x80 {
		b = b[1:]
	}
	return der(tagInteger, b)
}

// explicit wraps a value in a context tag.
func explicit(n byte, value []byte) []byte { return der(tagContext|n, value) }
