package bitlocker

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// BCDList is a baseline of boot configuration settings. Where the profile does not rest on Secure Boot, Windows asks for
// the recovery key when a setting no longer has the value sealed here (event 523).
type BCDList struct {
	Role Code16   `json:"role"`
	Rows []BCDRow `json:"rows"`
}

// BCDRow is one row of the baseline.
type BCDRow struct {
	Kind    BCDKind `json:"kind"`
	Element Code32  `json:"element"`
	Name    string  `json:"name,omitempty"` // as bcdedit spells it
	Absent  bool    `json:"absent"`         // the setting must not be there
	Digest  pcr.Hex `json:"digest,omitempty"`
	Value   string  `json:"value,omitempty"` // of the few whose digest we know
}

// BCDKind is the kind of a row.
type BCDKind string

// The kinds of rows. An object row begins the settings of a boot object and holds a SHA-1; the third kind has been seen
// once, and its meaning is not known.
const (
	BCDObject  BCDKind = "object"
	BCDSetting BCDKind = "setting"
	BCDUnknown BCDKind = "unknown"
)

const (
	bcdRowSize = 40
	maxBCDRows = 1600 // more do not fit a copy of the metadata
)

// decodeBCD splits a validation list into its rows: u16 kind, u16 flag, u32 element, SHA-256 of the value.
func decodeBCD(d datum) (BCDList, error) {
	list := BCDList{Role: Code16(d.role), Rows: []BCDRow{}}
	r := d.reader()
	for r.Len() >= bcdRowSize && len(list.Rows) < maxBCDRows {
		list.Rows = append(list.Rows, decodeBCDRow(r))
	}
	if r.Len() > 0 {
		return list, fmt.Errorf("%d bytes after row %d are not a row", r.Len(), len(list.Rows))
	}
	return list, nil
}

func decodeBCDRow(r *wire.Reader) BCDRow {
	kind, flag := r.U16(), r.U16()
	row := BCDRow{Kind: BCDUnknown, Element: Code32(r.U32()), Absent: flag == 1}
	digest := r.Bytes(sha256.Size)
	row.Name = bcdNames[uint32(row.Element)]
	switch kind {
	case 1:
		row.Kind, row.Name, digest = BCDObject, "", digest[:20]
	case 2:
		row.Kind = BCDSetting
	}
	if !row.Absent {
		row.Digest = bytes.Clone(digest)
		row.Value = knownBCDValues()[string(digest)]
	}
	return row
}

// bcdNames are the settings a default Windows baseline gives a value to, and those most often changed by hand.
var bcdNames = map[uint32]string{
	0x11000001: "device",
	0x12000002: "path",
	0x12000005: "locale",
	0x14000006: "inherit",
	0x15000011: "debugtype",
	0x16000010: "debug",
	0x16000048: "nointegritychecks",
	0x16000049: "testsigning",
	0x16000060: "isolatedcontext",
	0x1600006c: "bootuxdisabled",
	0x21000001: "osdevice",
	0x21000026: "hiberfildevice",
	0x22000002: "systemroot",
	0x22000011: "kernel",
	0x22000012: "hal",
	0x25000020: "nx",
	0x25000021: "pae",
	0x25000080: "safeboot",
	0x250000f0: "hypervisorlaunchtype",
	0x250000f7: "bootdebug",
	0x26000006: "debugoptionenabled",
	0x26000010: "detecthal",
	0x26000022: "winpe",
	0x26000030: "nolowmem",
	0x26000081: "safebootalternateshell",
	0x260000a0: "debug",
	0x46000010: "ramdisk",
}

// knownBCDValues maps digests back to values. The hash input is the raw value: two bytes for a boolean, eight for an
// integer, UTF-16LE with its terminator for a string.
var knownBCDValues = sync.OnceValue(func() map[string]string {
	known := map[string]string{}
	add := func(raw []byte, value string) {
		sum := sha256.Sum256(raw)
		known[string(sum[:])] = value
	}
	add([]byte{0, 0}, "no")
	add([]byte{1, 0}, "yes")
	for i := range uint64(16) {
		add(binary.LittleEndian.AppendUint64(nil, i), fmt.Sprint(i))
	}
	for _, path := range []string{
		`\Windows`, `\hiberfil.sys`, `\Windows\system32\winload.efi`, `\Windows\system32\winload.exe`,
		`\Windows\system32\winresume.efi`, `\Windows\system32\winresume.exe`, `\EFI\Microsoft\Boot\bootmgfw.efi`,
		`\EFI\Microsoft\Boot\memtest.efi`,
	} {
		for _, spelling := range []string{path, strings.ToLower(path)} {
			var raw []byte
			for _, u := range append(utf16.Encode([]rune(spelling)), 0) {
				raw = binary.LittleEndian.AppendUint16(raw, u)
			}
			add(raw, spelling)
		}
	}
	return known
})
