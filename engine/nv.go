package engine

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// nvAttrs is a TPMA_NV.
type nvAttrs uint32

// NV attributes (part 2, 13.4).
const (
	nvPPWrite       nvAttrs = 1 << 0
	nvOwnerWrite    nvAttrs = 1 << 1
	nvAuthWrite     nvAttrs = 1 << 2
	nvPolicyWrite   nvAttrs = 1 << 3
	nvPolicyDelete  nvAttrs = 1 << 10
	nvWriteLocked   nvAttrs = 1 << 11
	nvWriteAll      nvAttrs = 1 << 12
	nvWriteDefine   nvAttrs = 1 << 13
	nvWriteStClear  nvAttrs = 1 << 14
	nvGlobalLock    nvAttrs = 1 << 15
	nvPPRead        nvAttrs = 1 << 16
	nvOwnerRead     nvAttrs = 1 << 17
	nvAuthRead      nvAttrs = 1 << 18
	nvPolicyRead    nvAttrs = 1 << 19
	nvNoDA          nvAttrs = 1 << 25
	nvOrderly       nvAttrs = 1 << 26
	nvClearStClear  nvAttrs = 1 << 27
	nvReadLocked    nvAttrs = 1 << 28
	nvWritten       nvAttrs = 1 << 29
	nvPlatformOwned nvAttrs = 1 << 30 // TPMA_NV_PLATFORMCREATE
	nvReadStClear   nvAttrs = 1 << 31

	nvReserved nvAttrs = 1<<8 | 1<<9 | 0x1f<<20
	nvWriters          = nvPPWrite | nvOwnerWrite | nvAuthWrite | nvPolicyWrite
	nvReaders          = nvPPRead | nvOwnerRead | nvAuthRead | nvPolicyRead
)

func (a nvAttrs) has(all nvAttrs) bool { return a&all == all }

// nvType is a TPM_NT.
type nvType uint8

const (
	ntOrdinary nvType = 0
	ntCounter  nvType = 1
	ntBits     nvType = 2
	ntExtend   nvType = 4
	ntPinFail  nvType = 8
	ntPinPass  nvType = 9
)

// kind is the type of index that the attributes describe.
func (a nvAttrs) kind() nvType { return nvType(a >> 4 & 0xf) }

// nvPublic is a TPMS_NV_PUBLIC.
type nvPublic struct {
	Index   handle
	NameAlg uint16
	Attrs   nvAttrs
	Policy  []byte
	Size    uint16
}

func (p *nvPublic) code(c *coder) {
	c.u32((*uint32)(&p.Index))
	c.require(p.Index.kind() == htNV, rcValue)
	c.hash(&p.NameAlg)
	c.u32((*uint32)(&p.Attrs))
	c.require(p.Attrs&nvReserved == 0, rcReservedBits)
	c.sized(&p.Policy, maxDigest)
	c.u16(&p.Size)
	c.require(p.Size <= maxNVSize, rcSize)
}

// nvIndex is an NV index with its data.
type nvIndex struct {
	Public nvPublic
	Auth   []byte
	Data   []byte
}

func (x *nvIndex) code(c *coder) {
	x.Public.code(c)
	c.sized(&x.Auth, maxDigest)
	c.sized(&x.Data, maxNVSize)
}

// name is the Name of an index: it changes with every attribute that the public area shows.
func (x *nvIndex) name() []byte { return nameOf(x.Public.NameAlg, marshal(&x.Public)) }

func (x *nvIndex) is(a nvAttrs) bool { return x.Public.Attrs.has(a) }

func (x *nvIndex) set(a nvAttrs) { x.Public.Attrs |= a }

func (x *nvIndex) unset(a nvAttrs) { x.Public.Attrs &^= a }

// counter is the number in a counter or bit field.
func (x *nvIndex) counter() uint64 {
	if len(x.Data) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(x.Data)
}

// findIndex searches the indices, which are kept in order of their handles.
func (t *TPM) findIndex(h handle) (int, bool) {
	return slices.BinarySearchFunc(t.nv.Indices, h, func(x nvIndex, h handle) int { return int(x.Public.Index) - int(h) })
}

// index finds an NV index, nil when it is not defined.
func (t *TPM) index(h handle) *nvIndex {
	if i, ok := t.findIndex(h); ok {
		return &t.nv.Indices[i]
	}
	return nil
}

// checkIndexPresent tells why an NV index cannot be used: it is not defined, or its hierarchy is off.
func (t *TPM) checkIndexPresent(h handle) rc {
	x := t.index(h)
	switch {
	case x == nil,
		x.is(nvPlatformOwned) && !t.nv.PlatformNVEnabled,
		!x.is(nvPlatformOwned) && !t.nv.Owner.Enabled:
		return rcHandle
	}
	return rcSuccess
}

// nvStartup does to the indices what a startup does: locks that last until then open, and data that does not survive is
// gone. After an unorderly stop an orderly counter goes to the next number it cannot have had.
func (t *TPM) nvStartup(resume, reset, unorderly bool) {
	if resume {
		return
	}
	for i := range t.nv.Indices {
		x := &t.nv.Indices[i]
		x.unset(nvReadLocked)
		counts := x.Public.Attrs.kind() == ntCounter
		if !counts && (x.is(nvClearStClear) || x.is(nvOrderly) && reset) {
			x.unset(nvWritten)
		}
		if !x.is(nvWriteDefine) || !x.is(nvWritten) {
			x.unset(nvWriteLocked)
		}
		if counts && x.is(nvOrderly|nvWritten) && unorderly {
			t.skipOrderly(x)
		}
	}
}

// orderlyCount is how many increments an orderly counter may lose (TPM_PT_ORDERLY_COUNT).
const orderlyCount = 0xff

// skipOrderly moves an orderly counter to the last number before the next one that it would have saved.
func (t *TPM) skipOrderly(x *nvIndex) {
	n := x.counter() | orderlyCount
	x.Data = binary.BigEndian.AppendUint64(nil, n)
	t.nv.MaxCounter = max(t.nv.MaxCounter, n)
}

// dropIndices removes the indices that match.
func (t *TPM) dropIndices(match func(*nvIndex) bool) {
	t.nv.Indices = slices.DeleteFunc(t.nv.Indices, func(x nvIndex) bool {
		if !match(&x) {
			return false
		}
		t.retireCounter(&x)
		return true
	})
}

// retireCounter remembers the value of a counter that goes away, so that no later counter starts below it.
func (t *TPM) retireCounter(x *nvIndex) {
	if x.Public.Attrs.kind() == ntCounter && x.is(nvWritten) {
		t.nv.MaxCounter = max(t.nv.MaxCounter, x.counter())
	}
}

// nvSpaceUsed is the room that indices take.
func (t *TPM) nvSpaceUsed() int {
	n := 0
	for i := range t.nv.Indices {
		n += int(t.nv.Indices[i].Public.Size)
	}
	return n
}

// newIndexData is what an index holds before it is written, which nobody can read.
func newIndexData(p *nvPublic) []byte { return bytes.Repeat([]byte{0xff}, int(p.Size)) }

// nvExtendDigest folds data into an extend index.
func nvExtendDigest(x *nvIndex, data []byte) []byte {
	old := x.Data
	if !x.is(nvWritten) {
		old = make([]byte, crypt.HashSize(x.Public.NameAlg))
	}
	return crypt.Digest(x.Public.NameAlg, old, data)
}
