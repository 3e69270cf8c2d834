// Package synth makes BitLocker volumes for tests: small image files with a boot sector, three copies of FVE metadata and
// encrypted sectors, which cryptsetup, dislocker and libbde read and open. It shares no code with package bitlocker, so
// that each checks the other; and logs of boots that BitLocker would judge. Only tests import it. It touches no file: a volume is a byte slice.
// Seal uses a TPM it is given.
//
// Keys and salts come from a fixed seed, so the same Volume gives the same bytes; these volumes protect nothing.
package synth

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
)

// Layout is the variant of boot sector.
type Layout int

// The layouts.
const (
	Windows7 Layout = iota
	ToGo
	UsedSpaceOnly
	Vista // metadata only: its sectors stay in the clear
)

// Volume says what to make. The zero Volume is an encrypted Windows 7 volume without protectors.
type Volume struct {
	Layout      Layout
	SectorSize  int    // 0: 512
	Method      uint16 // 0: AES-XTS-128
	State, Next uint16 // 0: encrypted
	Description string // "": none
	Protectors  []Protector
	BCD         []BCDRow // none: no list
	Seed        uint64
	Plain       []byte // contents of the volume from sector 32 on; at most a few hundred KiB
}

// Protector adds one VMK entry. Exactly one constructor makes it.
type Protector struct {
	protection uint16
	name       string
	properties func(m *maker, vmk []byte) []byte
}

// BCDRow is one row of a validation list.
type BCDRow struct {
	Kind, Flag uint16
	Element    uint32
	Value      []byte // hashed, unless Flag is 1
}

// Geometry of every volume made: small, with the copies far enough apart to be damaged one by one.
const (
	Size       = 2 << 20
	areaSize   = 64 << 10
	backupSize = 8 << 10 // the first 16 sectors of 512, moved to backupAt
	backupAt   = 0x80000
	eowAt      = 0x90000
)

// CopyAt are the offsets of the three copies of the metadata.
var CopyAt = [3]int{0x70000, 0xb0000, 0xf0000}

var (
	volumeID = [16]byte{0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0x4e, 0x8f, 1, 2, 3, 4, 5, 6, 7}
	// Created is when every volume made was encrypted.
	Created = time.Date(2024, 5, 17, 9, 30, 0, 123456700, time.UTC)
)

// VolumeID is the identifier of every volume made.
const VolumeID = "76543210-ba98-4edc-8f01-020304050607"

// maker makes keys and wraps them, and remembers all of it.
type maker struct {
	seed    [40]byte // and a counter
	nonces  uint32
	secrets [][]byte
}

func (m *maker) bytes(n int) []byte {
	var b []byte
	for len(b) < n {
		binary.LittleEndian.PutUint64(m.seed[32:], binary.LittleEndian.Uint64(m.seed[32:])+1)
		sum := sha256.Sum256(m.seed[:])
		b = append(b, sum[:]...)
	}
	b = b[:n]
	m.secrets = append(m.secrets, b)
	return b
}

// Image makes the volume.
func (v Volume) Image() []byte {
	img, _ := v.ImageAndSecrets()
	return img
}

// ImageAndSecrets also returns what must never be shown of the volume: keys, salts, wrapped keys and private blobs.
func (v Volume) ImageAndSecrets() (img []byte, secrets [][]byte) {
	if v.SectorSize == 0 {
		v.SectorSize = 512
	}
	if v.Method == 0 {
		v.Method = 0x8004
	}
	if v.State == 0 {
		v.State, v.Next = 4, 4
	}
	m := &maker{}
	binary.LittleEndian.PutUint64(m.seed[:], v.Seed)
	vmk, fvek := m.bytes(32), m.bytes(fvekSize(v.Method))

	img = make([]byte, Size)
	v.data(img, fvek)
	copy(img, v.bootSector())
	area := v.metadata(m, vmk, fvek)
	for _, at := range CopyAt {
		copy(img[at:], area)
	}
	if v.Layout == UsedSpaceOnly {
		for i := range 2 {
			copy(img[eowAt+4096*i:], eowBlock())
		}
	}
	return img, m.secrets
}

// data writes an NTFS boot sector and v.Plain, encrypted, with the first sectors moved to where the metadata says.
func (v Volume) data(img, fvek []byte) {
	encrypt := xts
	switch {
	case v.Layout == Vista || v.Method < 0x8002:
		return
	case v.Method < 0x8004:
		encrypt = cbc
	}
	boot := make([]byte, backupSize)
	copy(boot, "\xeb\x52\x90NTFS    ")
	binary.LittleEndian.PutUint16(boot[11:], uint16(v.SectorSize))
	boot[13], boot[21] = 8, 0xf8
	binary.LittleEndian.PutUint64(boot[40:], Size/uint64(v.SectorSize)-1)
	boot[510], boot[511] = 0x55, 0xaa
	encrypt(fvek, v.SectorSize, img[backupAt:][:backupSize], boot, backupAt)
	plain := make([]byte, (len(v.Plain)+v.SectorSize-1)/v.SectorSize*v.SectorSize)
	copy(plain, v.Plain)
	encrypt(fvek, v.SectorSize, img[PlainAt:][:len(plain)], plain, PlainAt)
}

// PlainAt is where Volume.Plain starts.
const PlainAt = 32 * 512

func (v Volume) bootSector() []byte {
	b := make([]byte, 512)
	copy(b, "\xeb\x58\x90-FVE-FS-")
	binary.LittleEndian.PutUint16(b[11:], uint16(v.SectorSize))
	b[13], b[21], b[24], b[26], b[64], b[66] = 8, 0xf8, 0x3f, 0xff, 0x80, 0x29
	copy(b[71:], "NO NAME    FAT32   ")
	b[510], b[511] = 0x55, 0xaa
	at := 160
	switch v.Layout {
	case ToGo:
		copy(b[3:], "MSWIN4.1")
		at = 424
	case Vista:
		copy(b, "\xeb\x52\x90")
		clear(b[64:90])
		b[13] = 1
		binary.LittleEndian.PutUint64(b[56:], uint64(CopyAt[0]/v.SectorSize))
		return b
	}
	copy(b[at:], []byte{0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01})
	for i, off := range CopyAt {
		binary.LittleEndian.PutUint64(b[at+16+8*i:], uint64(off))
	}
	if v.Layout == UsedSpaceOnly {
		copy(b[at:], []byte{0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8})
		binary.LittleEndian.PutUint64(b[at+40:], eowAt)
		binary.LittleEndian.PutUint64(b[at+48:], eowAt+4096)
	}
	return b
}

// metadata makes one copy: block header, metadata header, entries, padding, validation record.
func (v Volume) metadata(m *maker, vmk, fvek []byte) []byte {
	entries := v.entries(m, vmk, fvek)
	size := 64 + 48 + len(entries)
	padded := (size + 15) / 16 * 16
	b := new(buffer)
	b.raw([]byte("-FVE-FS-"))
	if v.Layout == Vista {
		b.u16(uint16(padded)).u16(1).u16(v.State).u16(v.Next).u64(0).u64(0)
	} else {
		b.u16(uint16(padded / 16)).u16(2).u16(v.State).u16(v.Next).u64(Size).u32(0).u32(uint32(backupSize / v.SectorSize))
	}
	for _, off := range CopyAt {
		b.u64(uint64(off))
	}
	if v.Layout == Vista {
		b.u64(11754495) // MFT mirror cluster
	} else {
		b.u64(backupAt)
	}
	b.u32(uint32(size - 64)).u32(1).u32(48).u32(uint32(size - 64)).raw(volumeID[:])
	b.u32(64).u16(v.Method).u16(0).u64(fileTime(Created)).raw(entries).raw(make([]byte, padded-size))

	block := slices.Clone(b.out)
	hash := sha256.Sum256(block)
	area := areaSize
	if v.Layout == Vista {
		area = 16 << 10
	}
	version := uint16(2)
	if v.Layout == Vista {
		version = 1
	}
	b.u16(uint16(area - len(block))).u16(version).u32(crc32.ChecksumIEEE(block))
	b.raw(m.ccmDatum(vmk, keyDatum(0x2005, hash[:])))
	return b.out
}

func (v Volume) entries(m *maker, vmk, fvek []byte) []byte {
	b := new(buffer)
	if v.Description != "" {
		b.raw(datum(7, 2, utf16z(v.Description)))
	}
	for i, p := range v.Protectors {
		id := slices.Clone(volumeID[:])
		id[15] = byte(0xa0 + i)
		body := new(buffer).raw(id).u64(fileTime(Created.Add(time.Duration(i) * time.Minute))).u16(uint16(i)).u16(p.protection)
		if p.name != "" {
			body.raw(datum(0, 2, utf16z(p.name)))
		}
		b.raw(datum(2, 8, body.raw(p.properties(m, vmk)).out))
	}
	b.raw(withRole(3, m.ccmDatum(vmk, keyDatum(v.Method, fvek))))
	if len(v.BCD) > 0 {
		b.raw(datum(4, 7, bcdList(v.BCD)))
	}
	if v.Layout != Vista {
		b.raw(datum(0xf, 0xf, new(buffer).u64(backupAt).u64(backupSize).u16(5).u16(0).out))
	}
	return b.out
}

// ProtectorID is the identifier of the protector at index i of Volume.Protectors.
func ProtectorID(i int) string { return fmt.Sprintf("76543210-ba98-4edc-8f01-0203040506%02x", 0xa0+i) }

func bcdList(rows []BCDRow) []byte {
	b := new(buffer)
	for _, r := range rows {
		var hash [32]byte
		if r.Flag != 1 {
			hash = sha256.Sum256(r.Value)
		}
		b.u16(r.Kind).u16(r.Flag).u32(r.Element).raw(hash[:])
	}
	return b.out
}

// eowBlock makes encrypt-on-write information with no regions being converted, as on a volume at rest.
func eowBlock() []byte {
	const header, size = 0x38, 0x40
	b := new(buffer).raw([]byte("FVE-EOW\x00")).u16(header).u16(size).u32(512).u32(512).u32(0).u32(0).u32(0).u32(1)
	b.u32(0).u64(eowAt).u64(eowAt + 4096).u64(0)
	binary.LittleEndian.PutUint32(b.out[0x24:], crc32.ChecksumIEEE(b.out))
	return b.out
}
