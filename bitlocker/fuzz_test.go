package bitlocker_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"testing"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// sparse is a volume of which only the boot sector and the areas of metadata exist; the rest reads as zeros.
type sparse struct{ boot, area []byte }

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= synth.Size {
		return 0, io.EOF
	}
	clear(p)
	overlay(p, off, s.boot, 0)
	for _, at := range synth.CopyAt {
		overlay(p, off, s.area, int64(at))
	}
	return len(p), nil
}

func overlay(p []byte, off int64, data []byte, at int64) {
	if from := off - at; from >= 0 && from < int64(len(data)) {
		copy(p, data[from:])
	}
}

// fuzzSeeds are whole volumes; their boot sector and one copy of the metadata become the seeds.
func fuzzSeeds() [][]byte {
	var seeds [][]byte
	for _, layout := range []synth.Layout{synth.Windows7, synth.ToGo, synth.UsedSpaceOnly, synth.Vista} {
		seeds = append(seeds, synth.Volume{
			Layout: layout, Description: "VM C: 1/1/2024", Protectors: append(everyProtector(), synth.ClearKey()),
			BCD: []synth.BCDRow{{Kind: 2, Element: 0x25000020, Value: make([]byte, 8)}, {Kind: 2, Flag: 1}, {Kind: 1}},
		}.Image())
	}
	return seeds
}

// repairCRC makes the validation record fit, so that mutated metadata is not stopped by its checksum.
func repairCRC(area []byte) []byte {
	if len(area) < 16 {
		return area
	}
	area = bytes.Clone(area)
	size := int(binary.LittleEndian.Uint16(area[8:])) * 16
	if area[10] == 1 {
		size /= 16
	}
	if size+8 <= len(area) {
		binary.LittleEndian.PutUint32(area[size+4:], crc32.ChecksumIEEE(area[:size]))
	}
	return area
}

func FuzzInspect(f *testing.F) {
	for _, img := range fuzzSeeds() {
		f.Add(img[:512], img[synth.CopyAt[0]:][:2048], true)
	}
	f.Fuzz(func(t *testing.T, boot, area []byte, repair bool) {
		if repair {
			area = repairCRC(area)
		}
		v, err := bitlocker.Inspect(sparse{boot, area}, 0)
		if err != nil {
			if fail.KindOf(err) != fail.BadInput {
				t.Errorf("kind %s: %v", fail.KindOf(err), err)
			}
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("the result has no JSON: %v", err)
		}
		used := 0
		for _, c := range v.Copies {
			if c.Used {
				used++
			}
			if (c.Status == bitlocker.CopyOK) != (c.Detail == "") {
				t.Errorf("copy %+v", c)
			}
		}
		if used != 1 || len(v.Copies) != 3 {
			t.Errorf("%d of %d copies are used", used, len(v.Copies))
		}
		for _, p := range v.Protectors {
			if p.TPM != nil && p.TPM.Policy == bitlocker.PolicyAuthValuePCR && !bytes.Equal(p.TPM.PolicyDigest, p.TPM.Recomputed) {
				t.Errorf("a policy is called known and differs: %+v", p.TPM)
			}
		}
	})
}

func FuzzFind(f *testing.F) {
	volume := synth.Volume{}.Image()[:512]
	for _, img := range [][]byte{synth.GPT(512, volume), synth.GPT(4096, volume), synth.MBR(false, volume), synth.MBR(true, volume), volume} {
		f.Add(img[:min(len(img), 12<<10)])
	}
	f.Fuzz(func(t *testing.T, img []byte) {
		found, err := bitlocker.Find(bytes.NewReader(img), int64(len(img)))
		if (err == nil) != (len(found) > 0) {
			t.Errorf("%d volumes, err %v", len(found), err)
		}
		for _, p := range found {
			if p.Offset < 0 || p.Offset > int64(len(img))-512 {
				t.Errorf("a volume at offset %d of %d bytes", p.Offset, len(img))
			}
		}
	})
}
