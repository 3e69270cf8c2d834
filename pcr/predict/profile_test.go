package predict_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

// profiles is an image with three profiles.
func profiles(version string) []byte {
	section := func(name, text string) synth.Section { return synth.Section{Name: name, Content: []byte(text)} }
	return synth.Image([]synth.Section{
		section(".sdmagic", "#### LoaderInfo: systemd-stub "+version+" ####"), section(".osrel", "ID=x\n"), section(".cmdline", "quiet"),
		section(".linux", "kernel"),
		section(".profile", "ID=main\n"),
		section(".profile", "ID=factory\n"), section(".cmdline", "factory-reset"),
		section(".profile", "ID=live\n"), section(".initrd", "live"),
	})
}

func TestAProfileOfAUnifiedImageHasItsOwnSections(t *testing.T) {
	for _, c := range []struct {
		version string
		profile int
		want    string // sections and their contents, in the order in which the stub measures them
		fails   string
	}{
		{"257.1", 0, ".linux=kernel .osrel=ID=x\n .cmdline=quiet .profile=ID=main\n", ""},
		{"257.1", 1, ".linux=kernel .osrel=ID=x\n .cmdline=factory-reset .profile=ID=factory\n", ""},
		{"258", 2, ".linux=kernel .osrel=ID=x\n .cmdline=quiet .initrd=live .profile=ID=live\n", ""},
		{"257.1", 3, "", "the image has 3 profiles, and no number 3"},
		{"257.1", -1, "", "there is no profile -1"},
		{"256", 1, "", "systemd-stub 256 in the image knows no profiles"},
		{"256", 0, ".linux=kernel .osrel=ID=x\n .cmdline=quiet .initrd=live", ""},
	} {
		f, err := predict.Image(profiles(c.version), c.profile, nil)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v, want %s", err, c.fails)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		value := make([]byte, sha256.Size)
		extend := func(data []byte) {
			digest := sha256.Sum256(data)
			sum := sha256.Sum256(append(value, digest[:]...))
			value = sum[:]
		}
		for word := range strings.SplitSeq(c.want, " ") {
			name, content, _ := strings.Cut(word, "=")
			extend([]byte(name + "\x00"))
			extend([]byte(content))
		}
		if got := f.Values[eventlog.SHA256][11]; !bytes.Equal(got, value) {
			t.Errorf("profile %d of version %s gives %s, want %x", c.profile, c.version, got, value)
		}
	}
}

// The choice of another profile than the first is measured before the sections (systemd, stub.c, measure_profile).
func TestAnotherProfileIsMeasured(t *testing.T) {
	m := synth.OnDisk()
	disk, _ := diskOf(m)
	machine, one := machineOf(t, synth.UKI(m), disk), 1
	f, err := machine.Predict(predict.Future{Profile: &one, Changes: []predict.Change{{Kind: predict.UKI, Data: profiles("257.1")}}})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(f.Steps, func(s predict.Step) bool { return s.PCR == 12 })
	if at < 0 || f.Steps[at+1].PCR != 11 {
		t.Fatalf("PCR 12 is extended at %d", at)
	}
	for _, d := range f.Steps[at].Digests {
		if want := d.Alg.Sum([]byte("1\x00\x00\x00")); !bytes.Equal(d.Value, want) {
			t.Errorf("%s is measured, want %s", d.Value, want)
		}
	}
	if _, err := machine.Predict(predict.Future{Profile: &one}); err == nil {
		t.Error("the image of this boot has another profile")
	}
	if _, err := machineOf(t, synth.ShimGRUB(m), disk).Predict(predict.Future{Profile: &one}); err == nil {
		t.Error("a machine without a unified image has another profile")
	}
}
