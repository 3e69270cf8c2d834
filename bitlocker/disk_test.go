package bitlocker_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// disk makes a GPT disk with an empty partition 1 and, unless volume is nil, volume as partition 3.
func disk(sectorSize int, volume []byte) []byte {
	const first, second = 64, 128
	img := make([]byte, second*sectorSize+len(volume))
	img[446+4] = 0xee
	binary.LittleEndian.PutUint32(img[446+8:], 1)
	binary.LittleEndian.PutUint32(img[446+12:], 0xffffffff)
	img[510], img[511] = 0x55, 0xaa
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
		copy(e[56:], wide(name))
	}
	entry(0, first, second-first, "EFI system partition")
	if volume != nil {
		entry(2, second, len(volume)/sectorSize, "Basic data partition")
		copy(img[second*sectorSize:], volume)
	}
	return img
}

// mbrDisk makes an MBR disk with the volume in a primary partition or as the second logical one.
func mbrDisk(logical bool, volume []byte) []byte {
	const start = 256
	img := make([]byte, start*512+len(volume))
	put := func(sector, slot int, typ byte, lba, count int) {
		e := img[sector*512+446+16*slot:]
		e[4] = typ
		binary.LittleEndian.PutUint32(e[8:], uint32(lba))
		binary.LittleEndian.PutUint32(e[12:], uint32(count))
		img[sector*512+510], img[sector*512+511] = 0x55, 0xaa
	}
	count := len(volume) / 512
	if !logical {
		put(0, 1, 7, start, count)
	} else {
		put(0, 0, 0x0f, 16, start-16+count)
		put(16, 0, 7, 8, 8) // first logical: relative to its record; empty
		put(16, 1, 5, 48, 1)
		put(64, 0, 7, start-64, count)
	}
	copy(img[start*512:], volume)
	return img
}

func TestFindLooksInEveryPartition(t *testing.T) {
	volume := synth.Volume{Layout: synth.UsedSpaceOnly}.Image()
	for name, c := range map[string]struct {
		img  []byte
		want bitlocker.Partition
	}{
		"the volume itself":      {volume, bitlocker.Partition{Size: synth.Size}},
		"GPT":                    {disk(512, volume), bitlocker.Partition{Number: 3, Offset: 128 * 512, Size: synth.Size, Name: "Basic data partition"}},
		"GPT on 4096":            {disk(4096, volume), bitlocker.Partition{Number: 3, Offset: 128 * 4096, Size: synth.Size, Name: "Basic data partition"}},
		"MBR, primary partition": {mbrDisk(false, volume), bitlocker.Partition{Number: 2, Offset: 256 * 512, Size: synth.Size}},
		"MBR, logical partition": {mbrDisk(true, volume), bitlocker.Partition{Number: 6, Offset: 256 * 512, Size: synth.Size}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Kind = bitlocker.KindUsedSpaceOnly
			got, err := bitlocker.Find(bytes.NewReader(c.img), int64(len(c.img)))
			if diff := cmp.Diff([]bitlocker.Partition{c.want}, got); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
			if v, err := bitlocker.Inspect(got[0].Section(bytes.NewReader(c.img)), got[0].Size); err != nil || v.VolumeID != synth.VolumeID {
				t.Errorf("the partition found: %v, %v", v, err)
			}
		})
	}
}

func TestFindSaysThereIsNone(t *testing.T) {
	loop := mbrDisk(true, nil)
	binary.LittleEndian.PutUint32(loop[16*512+446+16+8:], 0xffffffff) // the chain leads off the disk
	for name, c := range map[string]struct {
		img  []byte
		want string
	}{
		"a disk of empty partitions": {disk(512, nil), "none of the 1 partitions"},
		"an endless chain":           {loop, "none of the 1 partitions"},
		"a file of zeros":            {make([]byte, 4096), "the first sector is empty"},
		"nothing":                    {nil, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bitlocker.Find(bytes.NewReader(c.img), int64(len(c.img)))
			if fail.KindOf(err) != fail.BadInput || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
