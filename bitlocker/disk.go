package bitlocker

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Partition is a part of a disk that starts with the boot sector of a BitLocker volume.
type Partition struct {
	Number int    `json:"number"` // in the partition table, from 1; 0: the source is the volume itself
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"` // 0: unknown
	Name   string `json:"name,omitempty"`
	Kind   Kind   `json:"kind"`
}

const (
	maxPartitions = 256
	maxLogical    = 64 // logical partitions of an MBR
)

// Find looks for BitLocker volumes: at the start of r, else in the partitions of its GPT or MBR. size bounds r; 0 means
// unknown. It is an error when r is not one and holds none.
func Find(r io.ReaderAt, size int64) ([]Partition, error) {
	src := source{r, size}
	sector, err := src.read(0, sectorBytes)
	if err != nil {
		return nil, fail.E(fail.BadInput, "the first sector cannot be read: %w", err)
	}
	if boot := parseBoot(sector); boot != nil {
		return []Partition{{Size: size, Kind: boot.kind}}, nil
	}
	if !isDisk(sector) {
		return nil, notBitLocker(sector)
	}
	var found []Partition
	table := partitions(src, sector)
	for _, p := range table {
		first, err := src.read(p.Offset, sectorBytes)
		if err != nil {
			continue // a table may name more than the disk has
		}
		if boot := parseBoot(first); boot != nil {
			p.Kind = boot.kind
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, fail.E(fail.BadInput, "no BitLocker volume: none of the %d partitions of this disk starts with the FVE "+
			"signature", len(table))
	}
	return found, nil
}

// Section is the part of r that p names.
func (p Partition) Section(r io.ReaderAt) *io.SectionReader {
	size := p.Size
	if size <= 0 {
		size = maxBytes
	}
	return io.NewSectionReader(r, p.Offset, size)
}

// isDisk reports whether a sector holds an MBR, or the protective one before a GPT: boot signature and a table whose
// status bytes are possible, one of them in use. A FAT or NTFS boot sector has code there.
func isDisk(sector []byte) bool {
	if !bytes.Equal(sector[510:512], []byte{0x55, 0xaa}) {
		return false
	}
	used := false
	for i := range 4 {
		entry := sector[446+16*i:][:16]
		if entry[0]&0x7f != 0 {
			return false
		}
		used = used || entry[4] != 0
	}
	return used
}

func partitions(src source, mbr []byte) []Partition {
	for _, sectorSize := range []int64{512, 4096} {
		if list := gpt(src, sectorSize); list != nil {
			return list
		}
	}
	return mbrPartitions(src, mbr)
}

// gpt reads a GUID partition table (UEFI specification, section 5.3). A damaged one gives what can be read: each entry is
// judged by the sector it points to.
func gpt(src source, sectorSize int64) []Partition {
	head, err := src.read(sectorSize, 92)
	if err != nil || string(head[:8]) != "EFI PART" {
		return nil
	}
	r := wire.LE(head[72:])
	tableLBA, count, entrySize := r.U64(), r.U32(), r.U32()
	list := []Partition{}
	if entrySize < 128 || entrySize > 4096 || tableLBA > uint64(maxBytes/sectorSize) {
		return list
	}
	for i := range int(min(count, maxPartitions)) {
		entry, err := src.read(int64(tableLBA)*sectorSize+int64(i)*int64(entrySize), 128)
		if err != nil {
			break
		}
		if p, ok := gptEntry(entry, sectorSize); ok {
			p.Number = i + 1
			list = append(list, p)
		}
	}
	return list
}

func gptEntry(entry []byte, sectorSize int64) (Partition, bool) {
	first, last := binary.LittleEndian.Uint64(entry[32:]), binary.LittleEndian.Uint64(entry[40:])
	limit := uint64(maxBytes / sectorSize)
	if bytes.Equal(entry[:16], make([]byte, 16)) || first == 0 || last < first || last >= limit {
		return Partition{}, false
	}
	size := int64(last-first+1) * sectorSize
	return Partition{Offset: int64(first) * sectorSize, Size: size, Name: utf16Text(entry[56:128])}, true
}

// mbrPartitions reads the four primary partitions and the chain of logical ones. The sector size is not written there.
func mbrPartitions(src source, mbr []byte) []Partition {
	const sectorSize = sectorBytes
	var list []Partition
	for i := range 4 {
		typ, start, count := mbrEntry(mbr, i)
		switch typ {
		case 0:
		case 0x05, 0x0f, 0x85: // extended
			list = append(list, logicalPartitions(src, start)...)
		default:
			list = append(list, Partition{Number: i + 1, Offset: start * sectorSize, Size: count * sectorSize})
		}
	}
	return list
}

// logicalPartitions follows the chain of extended boot records: each has one partition, relative to itself, and a link,
// relative to the first.
func logicalPartitions(src source, first int64) (list []Partition) {
	for at, i := first, 0; i < maxLogical; i++ {
		record, err := src.read(at*sectorBytes, sectorBytes)
		if err != nil || !bytes.Equal(record[510:], []byte{0x55, 0xaa}) {
			break
		}
		if typ, start, count := mbrEntry(record, 0); typ != 0 {
			list = append(list, Partition{Number: 5 + i, Offset: (at + start) * sectorBytes, Size: count * sectorBytes})
		}
		typ, next, _ := mbrEntry(record, 1)
		if typ == 0 || next == 0 {
			break
		}
		at = first + next
	}
	return list
}

func mbrEntry(sector []byte, i int) (typ byte, start, count int64) {
	entry := sector[446+16*i:][:16]
	return entry[4], int64(binary.LittleEndian.Uint32(entry[8:])), int64(binary.LittleEndian.Uint32(entry[12:]))
}
