package bitlocker_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/pcr"
)

func wide(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestBCDBaselineIsDecoded(t *testing.T) {
	path, other := wide(`\Windows\system32\winload.efi`), []byte("a device nobody can guess")
	rows := []synth.BCDRow{
		{Kind: 2, Flag: 1, Element: 0x16000049},
		{Kind: 1, Value: []byte("object")},
		{Kind: 2, Element: 0x12000002, Value: path},
		{Kind: 2, Element: 0x25000020, Value: make([]byte, 8)},
		{Kind: 2, Element: 0x16000060, Value: []byte{1, 0}},
		{Kind: 2, Element: 0x11000001, Value: other},
		{Kind: 3, Element: 0x99000020, Value: []byte{3}},
	}
	v := inspect(t, synth.Volume{BCD: rows}.Image())
	digest := func(b []byte) pcr.Hex { d := sha256.Sum256(b); return d[:] }
	want := []bitlocker.BCDList{{Role: 4, Rows: []bitlocker.BCDRow{
		{Kind: "setting", Element: 0x16000049, Name: "testsigning", Absent: true},
		{Kind: "object", Digest: digest([]byte("object"))[:20]},
		{Kind: "setting", Element: 0x12000002, Name: "path", Digest: digest(path), Value: `\Windows\system32\winload.efi`},
		{Kind: "setting", Element: 0x25000020, Name: "nx", Digest: digest(make([]byte, 8)), Value: "0"},
		{Kind: "setting", Element: 0x16000060, Name: "isolatedcontext", Digest: digest([]byte{1, 0}), Value: "yes"},
		{Kind: "setting", Element: 0x11000001, Name: "device", Digest: digest(other)},
		{Kind: "unknown", Element: 0x99000020, Digest: digest([]byte{3})},
	}}}
	if diff := cmp.Diff(want, v.BCD); diff != "" {
		t.Error(diff)
	}
	if len(v.Warnings) != 0 {
		t.Errorf("warnings %q", v.Warnings)
	}
}
