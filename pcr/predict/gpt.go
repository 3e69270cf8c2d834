package predict

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// MaxGPT is how much of a disk is looked at for its partition table.
const MaxGPT = 1 << 20

// gptHeader is the size of EFI_PARTITION_TABLE_HEADER (UEFI, "GPT Header").
const gptHeader = 92

// gptData makes UEFI_GPT_DATA (PFP) of the start of a disk, or of a backup that sgdisk made: the header, and the entries
// in use.
func gptData(disk []byte) ([]byte, error) {
	for _, sector := range []int{512, 4096} {
		if len(disk) < sector+gptHeader || !bytes.HasPrefix(disk[sector:], []byte("EFI PART")) {
			continue
		}
		header := disk[sector : sector+gptHeader]
		first := binary.LittleEndian.Uint64(header[72:])
		count, size := uint64(binary.LittleEndian.Uint32(header[80:])), uint64(binary.LittleEndian.Uint32(header[84:]))
		sum := binary.LittleEndian.Uint32(header[88:])
		if size < 128 || size > 4096 || count > 1024 || first > MaxGPT {
			return nil, fail.E(fail.BadInput, "partition table of %d entries of %d bytes at sector %d", count, size, first)
		}
		for _, at := range []uint64{first * uint64(sector), 3 * uint64(sector)} { // a backup has both headers first
			if at+count*size > uint64(len(disk)) {
				continue
			}
			if entries := disk[at : at+count*size]; crc32.ChecksumIEEE(entries) == sum {
				return encodeGPT(header, entries, int(size)), nil
			}
		}
		return nil, fail.E(fail.BadInput, "the partition entries do not have the checksum that the header says")
	}
	return nil, fail.E(fail.BadInput, "no GUID partition table").
		Hint("wanted is the disk (/dev/vda), an image of it, or what sgdisk --backup wrote")
}

func encodeGPT(header, entries []byte, size int) []byte {
	var used [][]byte
	for ; len(entries) >= size; entries = entries[size:] {
		if len(bytes.Trim(entries[:16], "\x00")) > 0 { // an entry without a type is not in use
			used = append(used, entries[:size])
		}
	}
	w := wire.NewLE().Bytes(header).U64(uint64(len(used)))
	for _, e := range used {
		w.Bytes(e)
	}
	return w.Out()
}

// gpt replaces the partition table of the boot disk: of the one that has the same disk GUID, where several were measured.
func (p *plan) gpt(c Change) error {
	if p.bootSector() != nil {
		return p.firstSector(c)
	}
	if !p.has(GPT) {
		return p.absent(c.Kind)
	}
	data, err := gptData(c.Data)
	if err != nil {
		return err
	}
	var tables []*step
	for _, s := range p.steps {
		if s.event.Type == eventlog.EVEFIGPTEvent && len(s.event.Data) >= gptHeader {
			tables = append(tables, s)
		}
	}
	for _, s := range tables {
		if len(tables) == 1 || bytes.Equal(s.event.Data[56:72], data[56:72]) {
			s.measureData(data)
			return nil
		}
	}
	return fail.E(fail.Usage, "this boot measured no partition table of that disk")
}
