package bitlocker

import (
	"fmt"
	"hash/crc32"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Copy is the health of one of the three copies of the metadata.
type Copy struct {
	Index       int        `json:"index"` // 1 to 3
	Offset      int64      `json:"offset"`
	Status      CopyStatus `json:"status"`
	Detail      string     `json:"detail,omitempty"`
	Size        int        `json:"size"` // of the part the CRC covers
	CRC32       Code32     `json:"crc32"`
	ComputedCRC Code32     `json:"computed_crc32"`
	Used        bool       `json:"used"`
}

// CopyStatus says how far a copy can be trusted.
type CopyStatus string

// The statuses of a copy, best first.
const (
	CopyOK         CopyStatus = "ok"
	CopyBadCRC     CopyStatus = "crc_mismatch"
	CopyDamaged    CopyStatus = "damaged"
	CopyUnreadable CopyStatus = "unreadable"
)

// metadataCopy keeps the bytes of a copy beside its health. They hold wrapped keys, so they stay out of Copy.
type metadataCopy struct {
	Copy
	block *block // nil unless the status is CopyOK or CopyBadCRC
}

// block is one copy of the metadata: block header, metadata header and entries.
type block struct {
	data             []byte // all the CRC covers
	version          uint16
	state, nextState uint16
	encryptedBytes   int64
	headerSectors    uint32
	offsets          [3]int64 // of the copies
	headerBackup     int64    // Vista: the MFT mirror
	volumeID         string
	method           uint16
	created          uint64
	entries          []byte
}

const (
	blockHeaderSize    = 64
	metadataHeaderSize = 48
	validationSize     = 8
	areaSize           = 64 << 10 // of one copy, validation record included
)

// readCopies reads all copies; Vista's boot sector gives only the first, which then names the others.
func readCopies(src source, boot *bootSector) []metadataCopy {
	copies := make([]metadataCopy, len(boot.offsets))
	for i, off := range boot.offsets {
		copies[i] = readCopy(src, i+1, off)
	}
	best := bestCopy(copies)
	if best == nil {
		return copies
	}
	for i, off := range best.block.offsets {
		if copies[i].block == nil && off != boot.offsets[i] {
			copies[i] = readCopy(src, i+1, off)
		}
	}
	return copies
}

// bestCopy is the first copy with a good CRC, else the first that decodes at all, else nil.
func bestCopy(copies []metadataCopy) *metadataCopy {
	for _, want := range []CopyStatus{CopyOK, CopyBadCRC} {
		for i := range copies {
			if copies[i].Status == want {
				return &copies[i]
			}
		}
	}
	return nil
}

func readCopy(src source, index int, off int64) metadataCopy {
	c := metadataCopy{Copy: Copy{Index: index, Offset: off}}
	if off <= 0 {
		c.fail(CopyUnreadable, fmt.Errorf("its offset is missing or beyond any volume"))
		return c
	}
	head, err := src.read(off, blockHeaderSize+metadataHeaderSize)
	if err != nil {
		c.fail(CopyUnreadable, err)
		return c
	}
	if c.Size, err = blockSize(head); err != nil {
		c.fail(CopyDamaged, err)
		return c
	}
	data, err := src.read(off, c.Size+validationSize)
	if err != nil {
		c.fail(CopyUnreadable, err)
		return c
	}
	b, err := parseBlock(data[:c.Size])
	if err != nil {
		c.fail(CopyDamaged, err)
		return c
	}
	c.block = b
	c.CRC32 = Code32(wire.LE(data[c.Size+4:]).U32()) // after u16 size and u16 version of the validation record
	c.ComputedCRC = Code32(crc32.ChecksumIEEE(data[:c.Size]))
	c.Status = CopyOK
	if c.CRC32 != c.ComputedCRC {
		c.fail(CopyBadCRC, fmt.Errorf("CRC-32 is %v, the validation record says %v", c.ComputedCRC, c.CRC32))
	}
	return c
}

func (c *metadataCopy) fail(status CopyStatus, err error) { c.Status, c.Detail = status, err.Error() }

// blockSize reads how many bytes a block has: version 2 counts in units of 16.
func blockSize(head []byte) (int, error) {
	r := wire.LE(head)
	if sig := r.Bytes(8); string(sig) != fveSignature {
		return 0, fmt.Errorf("offset 0: no FVE signature")
	}
	size, version := int(r.U16()), r.U16()
	switch version {
	case 1:
	case 2:
		size *= 16
	default:
		return 0, fmt.Errorf("offset 10: block version %d is not 1 or 2", version)
	}
	if size < blockHeaderSize+metadataHeaderSize || size > areaSize-validationSize {
		return 0, fmt.Errorf("offset 8: a block of %d bytes", size)
	}
	return size, nil
}

// parseBlock decodes both headers of a block whose size blockSize has checked, and finds its entries.
func parseBlock(data []byte) (*block, error) {
	b := &block{data: data}
	r := wire.LE(data)
	r.Bytes(10) // signature and size
	b.version, b.state, b.nextState = r.U16(), r.U16(), r.U16()
	encrypted := r.U64()
	r.U32() // size of the region being converted
	b.headerSectors = r.U32()
	for i := range b.offsets {
		b.offsets[i] = boundedOffset(r.U64())
	}
	b.headerBackup = boundedOffset(r.U64())

	size := r.U32()
	r.U32() // version, always 1
	headerSize := r.U32()
	r.U32() // size again
	b.volumeID = guid(r.Bytes(16))
	r.U32() // next nonce
	b.method = r.U16()
	r.U16() // the method again, on some volumes
	b.created = r.U64()
	switch {
	case r.Err() != nil:
		return nil, r.Err()
	case encrypted > maxBytes:
		return nil, fmt.Errorf("offset 16: %d encrypted bytes are beyond any volume", encrypted)
	case headerSize != metadataHeaderSize:
		return nil, fmt.Errorf("offset 72: a metadata header of %d bytes", headerSize)
	case size < metadataHeaderSize || uint64(size) > uint64(len(data)-blockHeaderSize):
		return nil, fmt.Errorf("offset 64: %d bytes of metadata in a block of %d", size, len(data))
	}
	b.encryptedBytes = int64(encrypted)
	b.entries = data[blockHeaderSize+metadataHeaderSize : blockHeaderSize+size]
	return b, nil
}
