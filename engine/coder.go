package engine

import (
	"errors"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// coder reads or writes TPM structures. A structure describes itself once, in a code method that serves both
// directions, so that what the engine writes is what it reads. Exactly one of r and w is set.
//
// A read that fails makes every later read yield zero values; err then says why, as a TPM_RC.
type coder struct {
	r       *wire.Reader
	w       *wire.Writer
	version uint16 // of the state that is read
	maxRSA  int    // bits of the largest RSA key that a command may be about; zero for any
}

// codable is a TPM structure.
type codable interface{ code(c *coder) }

// marshal is the wire form of v.
func marshal(v codable) []byte {
	c := &coder{w: wire.AppendBE(make([]byte, 0, usualStructure))}
	v.code(c)
	return c.w.Out()
}

// usualStructure is room for most structures, in bytes. A longer one makes itself more.
const usualStructure = 192

// unmarshal reads all of data into v; bytes left over are an error.
func unmarshal(data []byte, v codable) error {
	c := &coder{r: wire.BE(data)}
	v.code(c)
	if c.err() == nil && c.r.Len() != 0 {
		return rcSize
	}
	return c.err()
}

func (c *coder) reading() bool { return c.r != nil }

// since tells whether a field that came with a version of the state is there. What is written is of the newest one.
func (c *coder) since(version uint16) bool { return !c.reading() || c.version >= version }

// err is nil or the rc of the first read that failed.
func (c *coder) err() error {
	if !c.failed() {
		return nil
	}
	if code, ok := errors.AsType[rc](c.r.Err()); ok {
		return code
	}
	return rcInsufficient
}

func (c *coder) failed() bool { return c.r != nil && c.r.Err() != nil }

// require makes a read fail with code unless ok; a write does not care.
func (c *coder) require(ok bool, code rc) {
	if c.reading() && !ok {
		c.r.Fail(code)
	}
}

func (c *coder) u8(v *uint8) {
	if c.reading() {
		*v = c.r.U8()
	} else {
		c.w.U8(*v)
	}
}

func (c *coder) u16(v *uint16) {
	if c.reading() {
		*v = c.r.U16()
	} else {
		c.w.U16(*v)
	}
}

func (c *coder) u32(v *uint32) {
	if c.reading() {
		*v = c.r.U32()
	} else {
		c.w.U32(*v)
	}
}

func (c *coder) u64(v *uint64) {
	if c.reading() {
		*v = c.r.U64()
	} else {
		c.w.U64(*v)
	}
}

// yesNo codes a TPMI_YES_NO.
func (c *coder) yesNo(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	c.u8(&b)
	c.require(b <= 1, rcValue)
	*v = b == 1
}

// sized codes a TPM2B of plain bytes, of at most limit bytes.
func (c *coder) sized(v *[]byte, limit int) {
	if !c.reading() {
		c.w.Sized16(*v)
		return
	}
	n := int(c.r.U16())
	c.require(n <= limit, rcSize)
	*v = copyOf(c.r.Bytes(n))
}

// fixed codes exactly n bytes without a size.
func (c *coder) fixed(v *[]byte, n int) {
	if c.reading() {
		*v = copyOf(c.r.Bytes(n))
	} else {
		c.w.Bytes(*v)
	}
}

// copyOf is bytes.Clone without append, which finds out first how much room it shall make.
func copyOf(b []byte) []byte {
	c := make([]byte, len(b))
	copy(c, b)
	return c
}

// framed codes a TPM2B that holds one structure: a size, then what inner codes. A size that is zero, or not what inner
// reads, is TPM_RC_SIZE.
func (c *coder) framed(inner func()) {
	if !c.reading() {
		outer := c.w
		c.w = wire.NewBE()
		inner()
		outer.Sized16(c.w.Out())
		c.w = outer
		return
	}
	size := int(c.r.U16())
	c.require(size != 0 || c.r.Err() != nil, rcSize)
	start := c.r.Offset()
	inner()
	c.require(c.r.Offset()-start == size, rcSize)
}

// list codes the count of a TPML, which must not exceed limit, and then each element.
func list[T any](c *coder, v *[]T, limit int, each func(*T)) {
	n := c.count(len(*v), limit)
	if c.reading() {
		*v = make([]T, n)
	}
	for i := range *v {
		if each(&(*v)[i]); c.failed() {
			return
		}
	}
}

// count codes how many there are of something; none when there are more than limit.
func (c *coder) count(have, limit int) int {
	n := uint32(have)
	c.u32(&n)
	c.require(uint64(n) <= uint64(limit), rcSize)
	if c.failed() {
		return 0
	}
	return int(n)
}

// peekU16 is the next 16 bits, not consumed; zero when there are not that many.
func (c *coder) peekU16() uint16 {
	p := *c.r
	return p.U16()
}
