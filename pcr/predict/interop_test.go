//go:build interop

package predict_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

// TestSystemdMeasureGivesTheSamePCR11 has systemd calculate PCR 11 of the parts of an image, for phases of the boot.
func TestSystemdMeasureGivesTheSamePCR11(t *testing.T) {
	const program = "/usr/lib/systemd/systemd-measure"
	dir := t.TempDir()
	sections := []synth.Section{
		{Name: ".linux", Content: synth.NewKernel("1")}, {Name: ".osrel", Content: []byte("ID=debian\n")},
		{Name: ".cmdline", Content: []byte("root=LABEL=x ro")}, {Name: ".initrd", Content: make([]byte, 70001)},
		{Name: ".splash", Content: []byte("BM not a picture")}, {Name: ".dtb", Content: []byte("\xd0\x0d\xfe\xed")},
		{Name: ".pcrpkey", Content: []byte("-----BEGIN PUBLIC KEY-----\n")},
	}
	args := []string{"calculate", "--json=short"}
	for _, s := range sections {
		path := filepath.Join(dir, s.Name[1:])
		if err := os.WriteFile(path, s.Content, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--"+s.Name[1:]+"="+path)
	}
	magic := synth.Section{Name: ".sdmagic", Content: []byte("#### LoaderInfo: systemd-stub 252.39-1 ####")}
	uname := synth.Section{Name: ".uname", Content: []byte("not measured by version 252")}
	image := synth.Image(append([]synth.Section{magic, uname}, sections...))
	for _, phases := range []string{"enter-initrd", "enter-initrd:leave-initrd", "enter-initrd:leave-initrd:sysinit:ready", ""} {
		words, err := predict.ParsePhases(phases)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := predict.Image(image, 0, words)
		if err != nil {
			t.Fatal(err)
		}
		for bank := range ours.Values {
			text := interop.Run(t, program, append(args, "--bank="+bank.String(), "--phase="+phases)...)
			var theirs map[string][]struct {
				Hash eventlog.Hex `json:"hash"`
			}
			if err := json.Unmarshal(text, &theirs); err != nil || len(theirs[bank.String()]) != 1 {
				t.Fatalf("%v: %s", err, text)
			}
			got := ours.Values[bank][11]
			if want := theirs[bank.String()][0].Hash; got.String() != want.String() {
				t.Errorf("%s %q: %s, systemd-measure says %s", bank, phases, got, want)
			}
		}
	}
}
