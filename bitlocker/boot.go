package bitlocker

import (
	"bytes"
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Kind is the variant of BitLocker a boot sector names.
type Kind string

// The kinds of volume.
const (
	KindVista         Kind = "vista"           // metadata version 1
	KindWindows7      Kind = "windows_7"       // Windows 7 and later, the usual one
	KindToGo          Kind = "to_go"           // removable drive behind a FAT discovery volume
	KindUsedSpaceOnly Kind = "used_space_only" // encrypt on write
	KindUnknown       Kind = "unknown"         // signed as BitLocker, with an identifier we do not know
)

const (
	sectorBytes  = 512
	fveSignature = "-FVE-FS-"
	fatSignature = "MSWIN4.1"

	guidInformation = "4967d63b-2e29-4ad8-8399-f6a339e3d001"
	guidEOW         = "92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8"
)

// bootSector is what the first sector of a volume tells. An offset of 0 is one it does not give.
type bootSector struct {
	kind       Kind
	sectorSize int
	offsets    [3]int64
	warnings   []string
}

// readBoot recognises the first sector of a BitLocker volume.
func readBoot(src source) (*bootSector, error) {
	sector, err := src.read(0, sectorBytes)
	if err != nil {
		return nil, fail.E(fail.BadInput, "the first sector cannot be read: %w", err)
	}
	b := parseBoot(sector)
	if b == nil {
		return nil, notBitLocker(sector)
	}
	return b, nil
}

// parseBoot returns nil for a sector that is not the start of a BitLocker volume.
func parseBoot(sector []byte) *bootSector {
	if len(sector) < sectorBytes {
		return nil
	}
	b := &bootSector{}
	switch oem := string(sector[3:11]); {
	case oem == fveSignature && bytes.HasPrefix(sector, []byte{0xeb, 0x52, 0x90}):
		b.kind = KindVista
	case oem == fveSignature:
		b.kind = kindOf(sector[160:176])
		b.setOffsets(sector[176:200])
	case oem == fatSignature && kindOf(sector[424:440]) == KindWindows7:
		b.kind = KindToGo
		b.setOffsets(sector[440:464])
	default:
		return nil
	}
	b.setSectorSize(sector)
	if b.kind == KindVista {
		b.setVistaOffset(sector)
	}
	if b.kind == KindUnknown {
		b.warnings = append(b.warnings, "the boot sector carries an unknown BitLocker identifier "+guid(sector[160:176]))
	}
	return b
}

func kindOf(identifier []byte) Kind {
	switch guid(identifier) {
	case guidInformation:
		return KindWindows7
	case guidEOW:
		return KindUsedSpaceOnly
	}
	return KindUnknown
}

func (b *bootSector) setOffsets(three []byte) {
	r := wire.LE(three)
	for i := range b.offsets {
		b.offsets[i] = boundedOffset(r.U64())
	}
}

// setSectorSize reads the BIOS parameter block. Some volumes leave the size out; 512 is what Windows then assumes.
func (b *bootSector) setSectorSize(sector []byte) {
	switch size := int(wire.LE(sector[11:13]).U16()); size {
	case 512, 1024, 2048, 4096:
		b.sectorSize = size
	default:
		b.sectorSize = sectorBytes
		if size != 0 {
			b.warnings = append(b.warnings, fmt.Sprintf("the boot sector gives an impossible sector size, %d", size))
		}
	}
}

// setVistaOffset reads the cluster number of the first copy; that copy names the other two.
func (b *bootSector) setVistaOffset(sector []byte) {
	cluster := uint64(sector[13]) * uint64(b.sectorSize)
	if lcn := wire.LE(sector[56:64]).U64(); lcn <= maxBytes/sectorBytes {
		b.offsets[0] = boundedOffset(lcn * cluster)
	}
}

// boundedOffset turns an offset no volume can have into -1, which no read accepts.
func boundedOffset(off uint64) int64 {
	if off > maxBytes {
		return -1
	}
	return int64(off)
}

// notBitLocker says what the sector is instead, because the next step depends on it.
func notBitLocker(sector []byte) error {
	err := fail.E(fail.BadInput, "not a BitLocker volume: %s", describeSector(sector))
	switch {
	case isDisk(sector):
		return err.Hint("this looks like a whole disk: its BitLocker partitions are found by their partition table")
	case string(sector[3:7]) == "NTFS":
		return err.Hint(`on Windows an unlocked drive letter shows plain NTFS: read \\.\PhysicalDriveN instead`)
	}
	return err
}

func describeSector(sector []byte) string {
	switch {
	case len(bytes.Trim(sector, "\x00")) == 0:
		return "the first sector is empty"
	case string(sector[3:7]) == "NTFS":
		return "the first sector is that of a plain NTFS volume"
	case string(sector[3:11]) == fatSignature, string(sector[82:87]) == "FAT32":
		return "the first sector is that of a plain FAT volume"
	case bytes.HasPrefix(sector, []byte("LUKS\xba\xbe")):
		return "the first sector is that of a LUKS volume"
	case isDisk(sector):
		return "the first sector is a partition table"
	}
	return "the first sector has no FVE signature at offset 3"
}
