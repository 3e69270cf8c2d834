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

func TestFindLooksInEveryPartition(t *testing.T) {
	volume := synth.Volume{Layout: synth.UsedSpaceOnly}.Image()
	for name, c := range map[string]struct {
		img  []byte
		want bitlocker.Partition
	}{
		"the volume itself":      {volume, bitlocker.Partition{Size: synth.Size}},
		"GPT":                    {synth.GPT(512, volume), bitlocker.Partition{Number: 3, Offset: 128 * 512, Size: synth.Size, Name: "Basic data partition"}},
		"GPT on 4096":            {synth.GPT(4096, volume), bitlocker.Partition{Number: 3, Offset: 128 * 4096, Size: synth.Size, Name: "Basic data partition"}},
		"MBR, primary partition": {synth.MBR(false, volume), bitlocker.Partition{Number: 2, Offset: 256 * 512, Size: synth.Size}},
		"MBR, logical partition": {synth.MBR(true, volume), bitlocker.Partition{Number: 7, Offset: 256 * 512, Size: synth.Size}},
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
	loop := synth.MBR(true, nil)
	binary.LittleEndian.PutUint32(loop[16*512+446+16+8:], 0xffffffff) // the chain leads off the disk
	for name, c := range map[string]struct {
		img  []byte
		want string
	}{
		"a disk of empty partitions": {synth.GPT(512, nil), "none of the 1 partitions"},
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

func TestFindReadsWholeSectors(t *testing.T) {
	volume := synth.Volume{}.Image()
	for _, sector := range []int{512, 4096} {
		d := &sectorDevice{img: synth.GPT(sector, volume), sector: sector}
		if found, err := bitlocker.Find(d, 0); err != nil || len(found) != 1 {
			t.Errorf("sectors of %d: %+v, %v", sector, found, err)
		}
	}
}
