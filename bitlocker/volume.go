// Package bitlocker reads what a BitLocker volume says about itself in the clear: the FVE metadata that stands beside the
// encrypted data. From it alone it tells how the volume is protected and, for a TPM protector, which PCR values the TPM
// wants to see before it releases the key.
//
// It reads a few blocks through an io.ReaderAt, at sector-aligned offsets, so a raw Windows device will do; it opens no
// file, no device and no TPM. It never asks for a key, and none leaves it: nonces, ciphertexts, salts and the clear key of
// a suspended volume have no field to go to. The layout is that of Windows 7 and later, with the Vista, To Go and
// used-space-only variants; Microsoft has not published it, so the names are those of the libbde format document.
package bitlocker

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Volume is what the metadata of one volume says.
type Volume struct {
	Kind           Kind         `json:"kind"`
	VolumeID       string       `json:"volume_id"`
	SectorSize     int          `json:"sector_size"`
	State          State        `json:"state"`
	NextState      State        `json:"next_state"`
	Protection     Protection   `json:"protection"`
	Method         Method       `json:"method"`
	EncryptedBytes int64        `json:"encrypted_bytes"`
	Created        *time.Time   `json:"created,omitempty"`
	Description    *Description `json:"description,omitempty"`
	Protectors     []Protector  `json:"protectors"`
	BCD            []BCDList    `json:"bcd"`
	HeaderBackup   *Extent      `json:"header_backup,omitempty"`
	Copies         []Copy       `json:"copies"`
	Entries        []Entry      `json:"entries"`
	Warnings       []string     `json:"warnings"`
}

// Protection says whether a key is needed to open the volume.
type Protection string

// The protections. Suspended is also what a volume shows that was encrypted and never had protection switched on.
const (
	ProtectionOn        Protection = "on"
	ProtectionSuspended Protection = "suspended"
	ProtectionNone      Protection = "none"
)

// Description is the label Windows writes when it encrypts: computer name, volume name and date.
type Description struct {
	Text     string `json:"text"`
	Computer string `json:"computer,omitempty"`
	Volume   string `json:"volume,omitempty"`
	Date     string `json:"date,omitempty"` // in the format of that computer's locale: never to be parsed
}

// Extent is a run of bytes on the volume.
type Extent struct {
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`
}

// Entry names one metadata entry; its contents are decoded elsewhere or not at all.
type Entry struct {
	Role      Code16 `json:"role"`
	RoleName  string `json:"role_name"`
	Value     Code16 `json:"value"`
	ValueName string `json:"value_name"`
	Size      int    `json:"size"`
}

// Inspect reads the metadata of the volume that starts at offset 0 of r. size bounds it; 0 means unknown. Damage that
// leaves one copy of the metadata readable is told in Copies and Warnings, not as an error.
func Inspect(r io.ReaderAt, size int64) (*Volume, error) {
	v, _, err := inspect(r, size)
	return v, err
}

// inspect also returns the block it decoded, for callers inside the package that need what a Volume must not hold.
func inspect(r io.ReaderAt, size int64) (*Volume, *block, error) {
	src := source{r, size}
	boot, err := readBoot(src)
	if err != nil {
		return nil, nil, err
	}
	copies := readCopies(src, boot)
	best := bestCopy(copies)
	if best == nil {
		return nil, nil, unreadable(copies)
	}
	v := &Volume{
		Kind: boot.kind, SectorSize: boot.sectorSize, Warnings: append([]string{}, boot.warnings...),
		Protectors: []Protector{}, BCD: []BCDList{}, Entries: []Entry{}, Copies: []Copy{},
	}
	for i := range copies {
		copies[i].Used = &copies[i] == best
		v.Copies = append(v.Copies, copies[i].Copy)
	}
	v.compareCopies(copies, best)
	v.decodeBlock(best.block)
	return v, best.block, nil
}

// unreadable is the error for a volume none of whose copies can be decoded.
func unreadable(copies []metadataCopy) error {
	var why []string
	for _, c := range copies {
		why = append(why, fmt.Sprintf("copy %d at offset %d is %s (%s)", c.Index, c.Offset, c.Status, c.Detail))
	}
	return fail.E(fail.BadInput, "this is a BitLocker volume, but no copy of its metadata can be read: %s",
		strings.Join(why, "; ")).
		Hint("the three copies lie far apart: give the whole volume or disk, not its first megabytes")
}

// compareCopies warns of what the copies say together and none says alone.
func (v *Volume) compareCopies(copies []metadataCopy, best *metadataCopy) {
	if best.Status != CopyOK {
		v.warn("no copy passes its CRC-32: what follows is decoded from copy %d and cannot be trusted", best.Index)
	}
	for _, c := range copies {
		if c.Status == CopyOK && !bytes.Equal(c.block.data, best.block.data) {
			v.warn("copies %d and %d differ though both pass their CRC-32: an update was interrupted", best.Index, c.Index)
		}
	}
	if n := best.Index - 1; best.block.offsets[n] != best.Offset {
		v.warn("copy %d was found at offset %d, but says it lies at %d", best.Index, best.Offset, best.block.offsets[n])
	}
}

func (v *Volume) warn(format string, args ...any) {
	v.Warnings = append(v.Warnings, fmt.Sprintf(format, args...))
}

// decodeBlock fills v from one copy of the metadata. Entries that cannot be decoded are named in Warnings.
func (v *Volume) decodeBlock(b *block) {
	v.State, v.NextState = State(b.state), State(b.nextState)
	v.Method = Method(b.method)
	v.VolumeID = b.volumeID
	v.EncryptedBytes = b.encryptedBytes
	v.Created = fileTime(b.created)
	if b.headerSectors > 0 && b.headerBackup > 0 && b.version >= 2 { // version 1 keeps the MFT mirror there
		v.HeaderBackup = &Extent{Offset: b.headerBackup, Size: int64(b.headerSectors) * int64(v.SectorSize)}
	}
	list, err := datums(b.entries)
	if err != nil {
		v.warn("metadata entries: %v", err)
	}
	for _, d := range list {
		v.Entries = append(v.Entries, d.entry())
		v.decodeEntry(d)
	}
	v.Protection = protectionOf(v.Protectors)
}

func (v *Volume) decodeEntry(d datum) {
	switch {
	case d.role == roleVMK && d.value == valueVMK:
		p, warnings := decodeProtector(d)
		v.Protectors = append(v.Protectors, p)
		v.Warnings = append(v.Warnings, warnings...)
	case d.role == roleDescription && d.value == valueString && v.Description == nil:
		v.Description = describe(utf16Text(d.body))
	case d.value == valueBCDList:
		list, err := decodeBCD(d)
		v.BCD = append(v.BCD, list)
		if err != nil {
			v.warn("BCD list %v: %v", Code16(d.role), err)
		}
	case d.role == roleHeaderBackup && d.value == valueExtent:
		v.decodeHeaderBackup(d)
	}
}

// decodeHeaderBackup reads where the first sectors of the plain volume were moved. The entry has more in it since Windows
// 8, of unknown meaning.
func (v *Volume) decodeHeaderBackup(d datum) {
	r := d.reader()
	offset, size := r.U64(), r.U64()
	if r.Err() != nil || offset > maxBytes || size > maxBytes {
		v.warn("volume header entry: offset and size are missing or beyond any volume")
		return
	}
	v.HeaderBackup = &Extent{Offset: int64(offset), Size: int64(size)}
}

// describe splits a label at its first and last space; the volume's own name may hold spaces.
func describe(text string) *Description {
	d := &Description{Text: text}
	first, last := strings.IndexByte(text, ' '), strings.LastIndexByte(text, ' ')
	if first > 0 && last > first {
		d.Computer, d.Volume, d.Date = text[:first], strings.TrimSpace(text[first:last]), text[last+1:]
	}
	return d
}

func protectionOf(list []Protector) Protection {
	if slices.ContainsFunc(list, func(p Protector) bool { return p.Kind == ProtectorClearKey }) {
		return ProtectionSuspended
	}
	if len(list) == 0 {
		return ProtectionNone
	}
	return ProtectionOn
}
