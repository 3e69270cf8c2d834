package synth

import (
	"bytes"
	"encoding/binary"
)

// GPT makes a disk with an empty partition 1 and, unless volume is nil, volume as partition 3.
func GPT(sectorSize int, volume []byte) []byte {
	const first, second = 64, 128
	img := make([]byte, second*sectorSize+len(volume))
	mbrEntry(img, 0, 0, 0xee, 1, 0xffffffff)
	head := img[sectorSize:]
	copy(head, "EFI PART")
	binary.LittleEndian.PutUint64(head[72:], 2)
	binary.LittleEndian.PutUint32(head[80:], 128)
	binary.LittleEndian.PutUint32(head[84:], 128)
	entry := func(i, lba, count int, name string) {
		e := img[2*sectorSize+128*i:]
		copy(e, bytes.Repeat([]byte{byte(i + 1)}, 32))
		binary.LittleEndian.PutUint64(e[32:], uint64(lba))
		binary.LittleEndian.PutUint64(e[40:], uint64(lba+count-1))
		copy(e[56:], utf16z(name))
	}
	entry(0, first, second-first, "EFI system partition")
	if volume != nil {
		entry(2, second, len(volume)/sectorSize, "Basic data partition")
		copy(img[second*sectorSize:], volume)
	}
	return img
}

// MBR makes a disk with the volume in primary partition 2 or, if logical, in partition 7, the third logical one.
func MBR(logical bool, volume []byte) []byte {
	const start = 256
	img := make([]byte, start*512+len(volume))
	count := uint32(len(volume) / 512)
	if !logical {
		mbrEntry(img, 0, 1, 7, start, count)
	} else {
		mbrEntry(img, 0, 0, 0x0f, 16, start-16+count)
		mbrEntry(img, 16, 0, 7, 8, 8) // relative to its own record; empty
		mbrEntry(img, 16, 1, 5, 48, 1)
		mbrEntry(img, 64, 0, 7, 8, 8)
		mbrEntry(img, 64, 1, 5, 96, 1)
		mbrEntry(img, 112, 0, 7, start-112, count)
	}
	copy(img[start*512:], volume)
	return img
}

func mbrEntry(img []byte, sector, slot int, typ byte, lba, count uint32) {
	record := img[sector*512:][:512]
	entry := record[446+16*slot:]
	entry[4] = typ
	binary.LittleEndian.PutUint32(entry[8:], lba)
	binary.LittleEndian.PutUint32(entry[12:], count)
	record[510], record[511] = 0x55, 0xaa
}
