package bitlocker_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// everyProtector has one protector of each kind the generator knows, cheap ones only.
func everyProtector() []synth.Protector {
	return []synth.Protector{
		synth.TPM{PCRs: []int{7, 11}}.Protector(),
		synth.TPM{PCRs: []int{0, 2, 4, 11}, PIN: true}.Protector(),
		synth.Sealed(true),
		synth.Sealed(false),
		synth.ExternalKey([32]byte{1}),
	}
}

func inspect(t *testing.T, img []byte) *bitlocker.Volume {
	t.Helper()
	v, err := bitlocker.Inspect(bytes.NewReader(img), int64(len(img)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestInspectNamesEveryLayout(t *testing.T) {
	for name, c := range map[string]struct {
		layout synth.Layout
		want   bitlocker.Kind
		backup *bitlocker.Extent
	}{
		"Windows 7 and later": {synth.Windows7, bitlocker.KindWindows7, &bitlocker.Extent{Offset: 0x80000, Size: 8192}},
		"To Go":               {synth.ToGo, bitlocker.KindToGo, &bitlocker.Extent{Offset: 0x80000, Size: 8192}},
		"used space only":     {synth.UsedSpaceOnly, bitlocker.KindUsedSpaceOnly, &bitlocker.Extent{Offset: 0x80000, Size: 8192}},
		"Vista":               {synth.Vista, bitlocker.KindVista, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := inspect(t, synth.Volume{Layout: c.layout, Description: "VM-01 My Disk 5/17/2024"}.Image())
			if v.Kind != c.want || v.VolumeID != synth.VolumeID || v.SectorSize != 512 {
				t.Errorf("kind %q, volume %s, sectors of %d", v.Kind, v.VolumeID, v.SectorSize)
			}
			if v.State.String() != "encrypted" || v.Method.String() != "aes-xts-128" {
				t.Errorf("state %v, method %v", v.State, v.Method)
			}
			if v.Created == nil || !v.Created.Equal(synth.Created) {
				t.Errorf("created %v, want %v", v.Created, synth.Created)
			}
			want := &bitlocker.Description{Text: "VM-01 My Disk 5/17/2024", Computer: "VM-01", Volume: "My Disk", Date: "5/17/2024"}
			if diff := cmp.Diff(want, v.Description); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.backup, v.HeaderBackup); diff != "" {
				t.Error(diff)
			}
			for i, copy := range v.Copies {
				if copy.Status != bitlocker.CopyOK || copy.Offset != int64(synth.CopyAt[i]) || copy.Used != (i == 0) {
					t.Errorf("copy %+v", copy)
				}
			}
			if v.Protection != bitlocker.ProtectionNone || len(v.Warnings) != 0 {
				t.Errorf("protection %q, warnings %q", v.Protection, v.Warnings)
			}
		})
	}
}

func TestInspectNamesEveryProtector(t *testing.T) {
	v := inspect(t, synth.Volume{Protectors: append(everyProtector(), synth.ClearKey())}.Image())
	type row struct {
		ID      string
		Kind    bitlocker.ProtectorKind
		WMIType int
		Name    string
		KeyFile string
		HasTPM  bool
		Holds   string
	}
	var got []row
	for _, p := range v.Protectors {
		got = append(got, row{p.ID, p.Kind, p.WMIType, p.Name, p.KeyFile, p.HasTPM(), strings.Join(p.Holds, " ")})
	}
	want := []row{
		{synth.ProtectorID(0), "tpm", 1, "TPM Protection", "", true, "string tpm_blob"},
		{synth.ProtectorID(1), "tpm_pin", 4, "TPM Protection", "", true, "string tpm_blob stretch_key aes_ccm_key"},
		{synth.ProtectorID(2), "recovery_password", 3, "", "", false, "stretch_key aes_ccm_key backup_times"},
		{synth.ProtectorID(3), "password", 8, "", "", false, "stretch_key aes_ccm_key"},
		{synth.ProtectorID(4), "external_key", 2, "ExternalKey", "76543210-BA98-4EDC-8F01-0203040506A4.BEK", false,
			"string use_key aes_ccm_key"},
		{synth.ProtectorID(5), "clear_key", 0, "", "", false, "key aes_ccm_key"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Protection != bitlocker.ProtectionSuspended {
		t.Errorf("protection %q with a clear key", v.Protection)
	}
	if v := inspect(t, synth.Volume{Protectors: everyProtector()}.Image()); v.Protection != bitlocker.ProtectionOn {
		t.Errorf("protection %q without a clear key", v.Protection)
	}
}

func TestInspectNamesMethodsAndStates(t *testing.T) {
	for method, want := range map[uint16]string{
		0x8000: "aes-cbc-128-diffuser", 0x8001: "aes-cbc-256-diffuser", 0x8002: "aes-cbc-128", 0x8003: "aes-cbc-256",
		0x8004: "aes-xts-128", 0x8005: "aes-xts-256", 0x8009: "unknown_0x8009",
	} {
		if v := inspect(t, synth.Volume{Method: method}.Image()); v.Method.String() != want {
			t.Errorf("method 0x%04x = %v, want %s", method, v.Method, want)
		}
	}
	v := inspect(t, synth.Volume{State: 2, Next: 1, SectorSize: 4096}.Image())
	if v.State.String() != "converting" || v.NextState.String() != "decrypted" || v.SectorSize != 4096 {
		t.Errorf("state %v, next %v, sectors of %d", v.State, v.NextState, v.SectorSize)
	}
}

func TestTheBestCopyIsUsed(t *testing.T) {
	const ok, badCRC, damaged, unreadable = bitlocker.CopyOK, bitlocker.CopyBadCRC, bitlocker.CopyDamaged, bitlocker.CopyUnreadable
	flip := func(copies ...int) func([]byte) []byte { // one bit of the description
		return func(img []byte) []byte {
			for _, i := range copies {
				img[synth.CopyAt[i]+112+9] ^= 1
			}
			return img
		}
	}
	for name, c := range map[string]struct {
		damage  func([]byte) []byte
		want    []bitlocker.CopyStatus
		used    int
		warning string
	}{
		"all are good":              {flip(), []bitlocker.CopyStatus{ok, ok, ok}, 0, ""},
		"the first is damaged":      {flip(0), []bitlocker.CopyStatus{badCRC, ok, ok}, 1, ""},
		"only the last is good":     {flip(0, 1), []bitlocker.CopyStatus{badCRC, badCRC, ok}, 2, ""},
		"all fail their CRC":        {flip(0, 1, 2), []bitlocker.CopyStatus{badCRC, badCRC, badCRC}, 0, "cannot be trusted"},
		"the first is wiped":        {wipe(0), []bitlocker.CopyStatus{damaged, ok, ok}, 1, ""},
		"the volume is cut short":   {func(img []byte) []byte { return img[:0x90000] }, []bitlocker.CopyStatus{ok, unreadable, unreadable}, 0, ""},
		"the second is older":       {olderCopy, []bitlocker.CopyStatus{ok, ok, ok}, 0, "copies 1 and 2 differ"},
		"the boot sector has 1 bad": {badBootOffset, []bitlocker.CopyStatus{ok, ok, ok}, 1, ""},
		"the copies were moved":     {movedCopies, []bitlocker.CopyStatus{ok, damaged, damaged}, 0, "says it lies at"},
	} {
		t.Run(name, func(t *testing.T) {
			v := inspect(t, c.damage(synth.Volume{Description: "a b c", Protectors: everyProtector()}.Image()))
			var got []bitlocker.CopyStatus
			for _, copy := range v.Copies {
				got = append(got, copy.Status)
				if (copy.Status == ok) != (copy.Detail == "") {
					t.Errorf("copy %d is %s with detail %q", copy.Index, copy.Status, copy.Detail)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("copies are %v, want %v", got, c.want)
			}
			if warnings := strings.Join(v.Warnings, "\n"); !strings.Contains(warnings, c.warning) || (c.warning == "") != (warnings == "") {
				t.Errorf("warnings %q, want %q", warnings, c.warning)
			}
			if name != "the boot sector has 1 bad" && !v.Copies[c.used].Used {
				t.Errorf("copy %d is not the one used", c.used+1)
			}
			if len(v.Protectors) != len(everyProtector()) {
				t.Errorf("%d protectors", len(v.Protectors))
			}
		})
	}
}

func wipe(i int) func([]byte) []byte {
	return func(img []byte) []byte { clear(img[synth.CopyAt[i]:][:4096]); return img }
}

// olderCopy gives copy 2 another description and the CRC that goes with it.
func olderCopy(img []byte) []byte {
	area := img[synth.CopyAt[1]:]
	size := int(binary.LittleEndian.Uint16(area[8:])) * 16
	area[112+8] = 'z'
	binary.LittleEndian.PutUint32(area[size+4:], crc32.ChecksumIEEE(area[:size]))
	return img
}

// badBootOffset makes the boot sector's first offset impossible; the other copies still name the right one.
func badBootOffset(img []byte) []byte {
	binary.LittleEndian.PutUint64(img[176:], math.MaxUint64)
	return img
}

func movedCopies(img []byte) []byte {
	copy(img[0x1e0000:], img[synth.CopyAt[0]:][:65536])
	for i := range synth.CopyAt {
		wipe(i)(img)
	}
	for i := range 3 {
		binary.LittleEndian.PutUint64(img[176+8*i:], uint64(0x1e0000+4096*i))
	}
	return img
}

func TestNoKeyMaterialIsShown(t *testing.T) {
	img, secrets := synth.Volume{Protectors: append(everyProtector(), synth.ClearKey())}.ImageAndSecrets()
	if len(secrets) < 20 {
		t.Fatalf("the generator reports %d secrets", len(secrets))
	}
	v := inspect(t, img)
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	everyByte(reflect.ValueOf(v), &raw)
	for _, secret := range secrets {
		if len(secret) < 12 {
			t.Fatalf("a secret of %d bytes would be found by chance", len(secret))
		}
		for _, shown := range []string{
			string(secret[:12]), hex.EncodeToString(secret[:12]), base64.StdEncoding.EncodeToString(secret[:12]),
		} {
			if bytes.Contains(text, []byte(shown)) || bytes.Contains(raw.Bytes(), []byte(shown)) {
				t.Errorf("%x… is shown", secret[:12])
			}
		}
	}
}

// everyByte collects all text and bytes reachable from v, unexported fields included.
func everyByte(v reflect.Value, out *bytes.Buffer) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			everyByte(v.Elem(), out)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			everyByte(v.Field(i), out)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			everyByte(v.Index(i), out)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			everyByte(k, out)
			everyByte(v.MapIndex(k), out)
		}
	case reflect.String:
		out.WriteString(v.String())
	case reflect.Uint8:
		out.WriteByte(byte(v.Uint()))
	}
}

func TestInspectRefusesWhatIsNoBitLockerVolume(t *testing.T) {
	sector := func(at int, text string) []byte {
		img := make([]byte, 8192)
		copy(img[at:], text)
		return img
	}
	for name, c := range map[string]struct {
		img        []byte
		want, hint string
	}{
		"an empty file":          {nil, "cannot be read", ""},
		"less than a sector":     {make([]byte, 511), "cannot be read", ""},
		"zeros":                  {make([]byte, 8192), "the first sector is empty", ""},
		"a plain NTFS volume":    {sector(3, "NTFS    "), "plain NTFS volume", `PhysicalDriveN`},
		"a plain FAT volume":     {sector(3, "MSWIN4.1"), "plain FAT volume", ""},
		"a LUKS volume":          {sector(0, "LUKS\xba\xbe"), "LUKS volume", ""},
		"a whole disk":           {synth.GPT(512, nil), "partition table", "partition table"},
		"text":                   {sector(0, strings.Repeat("hello ", 90)), "no FVE signature", ""},
		"metadata that is gone":  {synth.Volume{}.Image()[:synth.CopyAt[0]], "no copy of its metadata can be read", "whole volume"},
		"metadata that is wiped": {wipe(0)(wipe(1)(wipe(2)(synth.Volume{}.Image()))), "no FVE signature", "whole volume"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bitlocker.Inspect(bytes.NewReader(c.img), int64(len(c.img)))
			if fail.KindOf(err) != fail.BadInput || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v; want %q", fail.KindOf(err), err, c.want)
			}
			if hints := strings.Join(fail.HintsOf(err), "\n"); !strings.Contains(hints, c.hint) || (c.hint == "") != (hints == "") {
				t.Errorf("hints %q, want %q", hints, c.hint)
			}
		})
	}
}

// sectorDevice refuses what a raw Windows device refuses, and counts.
type sectorDevice struct {
	img    []byte
	sector int
	read   int
}

func (d *sectorDevice) ReadAt(p []byte, off int64) (int, error) {
	if off%int64(d.sector) != 0 || len(p)%d.sector != 0 {
		return 0, errors.New("the parameter is incorrect")
	}
	d.read += len(p)
	return bytes.NewReader(d.img).ReadAt(p, off)
}

func TestInspectReadsFewWholeSectors(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		d := &sectorDevice{img: synth.Volume{Protectors: everyProtector()}.Image(), sector: sector}
		if _, err := bitlocker.Inspect(d, 0); err != nil {
			t.Errorf("sectors of %d: %v", sector, err)
		}
		if d.read > 64<<10 {
			t.Errorf("%d bytes were read for a few KiB of metadata", d.read)
		}
	}
}

func TestReadErrorsAreNotHidden(t *testing.T) {
	broken := errors.New("input/output error")
	_, err := bitlocker.Inspect(readerAt(func([]byte, int64) (int, error) { return 0, broken }), 0)
	if !errors.Is(err, broken) {
		t.Errorf("err = %v", err)
	}
	img := synth.Volume{}.Image()
	v, err := bitlocker.Inspect(readerAt(func(p []byte, off int64) (int, error) {
		if off == int64(synth.CopyAt[1]) {
			return 0, broken
		}
		return bytes.NewReader(img).ReadAt(p, off)
	}), 0)
	if err != nil || v.Copies[1].Status != bitlocker.CopyUnreadable || !strings.Contains(v.Copies[1].Detail, broken.Error()) {
		t.Errorf("copies %+v, err %v", v.Copies, err)
	}
}

type readerAt func([]byte, int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

var _ io.ReaderAt = readerAt(nil)
