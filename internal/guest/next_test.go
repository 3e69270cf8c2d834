//go:build guest

package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// secondCmdline is that of a boot that was foretold.
const secondCmdline = usualCmdline + " second"

// next is the next boot, of other software.
type next struct {
	kernel, initrd, cmdline, grub, disk bool // foretold by these flags of pcr predict; the others stay as they are

	image      bool     // foretold by --uki, which takes all three
	unmeasured []string // what predict must say is not measured
	diff       []string // what differs between the logs
}

// follow foretells the next boot with other software, boots it and compares.
func (n *next) follow(t *testing.T, m *machine, b boot, before *measured) {
	t.Helper()
	if n.image || n.cmdline || n.grub {
		b.cmdline = secondCmdline
	}
	if n.image || n.kernel {
		b.kernel = otherKernel(t)
	}
	b.files = map[string]file{"second": {[]byte("another initramfs\n"), 0o644}}
	p := b.prepare(t)
	foretold := n.predict(t, before, p)
	after := judge(t, m.start(t, p).wait(t), before.banks...)
	after.prepared = p
	compare(t, foretold, before, after)
	if d := cmp.Diff(n.diff, differences(t, before.keep(t), after.keep(t))); d != "" {
		t.Errorf("the logs differ otherwise than in what was changed (-want +got):\n%s", d)
	}
}

// predict asks vtpmctl for the PCRs after the boot of p.
func (n *next) predict(t *testing.T, now *measured, p *prepared) pcrs {
	t.Helper()
	args := []string{"pcr", "predict", now.keep(t), "--against", now.path("pcrs"), "--root", now.path("root"), "--esp", now.files(t), "-o", "json"}
	write(t, now.path("pcrs"), now.values.pcrread())
	if err := os.MkdirAll(now.path("root/proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, now.path("root/proc/cmdline"), []byte(now.running+"\n"))
	for _, c := range []struct {
		is          bool
		flag, value string
	}{
		{n.kernel, "--kernel", p.path("kernel")}, {n.initrd, "--initrd", p.path("initrd")}, {n.cmdline, "--cmdline", p.arguments},
		{n.grub, "--grub-cfg", p.path("grub.cfg")}, {n.disk, "--gpt", p.path("disk")}, {n.image, "--uki", p.unified()},
	} {
		if c.is {
			args = append(args, c.flag, c.value)
		}
	}
	foretold := readForecast(t, interop.Run(t, vtpmctl, args...), n.unmeasured)
	for key := range foretold {
		if bank, _, _ := strings.Cut(key, " "); !slices.Contains(now.banks, bank) {
			t.Errorf("%s is foretold, and the TPM has no such bank", key)
		}
	}
	return foretold
}

// keep writes the log to a file.
func (m *measured) keep(t *testing.T) string {
	t.Helper()
	write(t, m.path("log"), m.raw)
	return m.path("log")
}

// files is the folder of what was booted: the disk's, or where QEMU has the kernel from.
func (m *measured) files(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(m.path("esp")); err == nil {
		return m.path("esp")
	}
	dir := m.path("handed")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kernel", "initrd"} {
		write(t, filepath.Join(dir, name), read(t, m.path(name)))
	}
	return dir
}

// readForecast takes the values out of `pcr predict -o json`. No PCR may be blocked but those given, and what is said not to
// be measured must be what was expected.
func readForecast(t *testing.T, doc []byte, unmeasured []string, blocked ...int) pcrs {
	t.Helper()
	var d struct {
		Futures []struct {
			Banks []bankDoc
			Notes []string
			PCRs  []struct {
				PCR        int
				Confidence string
				Why        string
			}
		}
	}
	decode(t, doc, &d)
	if len(d.Futures) != 1 {
		t.Fatalf("%d futures", len(d.Futures))
	}
	var said []string
	for _, note := range d.Futures[0].Notes {
		if what, _, ok := strings.Cut(note, " is not measured by "); ok {
			said = append(said, strings.TrimPrefix(what, "the "))
		}
	}
	slices.Sort(said)
	slices.Sort(unmeasured)
	if !slices.Equal(said, unmeasured) {
		t.Errorf("%q are said not to be measured, want %q", said, unmeasured)
	}
	for _, p := range d.Futures[0].PCRs {
		if p.Confidence == "blocked" && p.PCR != 10 && !slices.Contains(blocked, p.PCR) {
			t.Errorf("PCR %d is blocked: %s", p.PCR, p.Why)
		}
	}
	return valuesOf(d.Futures[0].Banks)
}

// compare sees that a boot came as it was foretold. PCR 10 is IMA's: its boot aggregate follows from the others.
func compare(t *testing.T, foretold pcrs, before, after *measured) {
	t.Helper()
	told := 0
	for _, bank := range before.banks {
		for i := range 24 {
			if i == 10 {
				continue
			}
			key := fmt.Sprint(bank, " ", i)
			want, ok := foretold[key]
			if ok {
				told++
			} else {
				want = before.values[key] // nothing is measured there
			}
			if want != after.values[key] {
				t.Errorf("%s was foretold as %s and became %s", key, want, after.values[key])
			}
		}
	}
	if told < 8*len(before.banks) {
		t.Errorf("%d values were foretold, want %d at least", told, 8*len(before.banks))
	}
	t.Logf("%d values were foretold", told)
}

// differences are those of two logs, as `eventlog diff` has them: PCR, kind, and what the second boot measured. PCR 10 is
// not in the logs.
func differences(t *testing.T, before, after string) (all []string) {
	t.Helper()
	doc, err := interop.Try(t, vtpmctl, "eventlog", "diff", before, after, "-o", "json")
	var d struct {
		Equal bool
		PCRs  []struct {
			PCR     int
			Changes []struct {
				Kind, Type    string
				Before, After *struct{ Summary string }
			}
		}
	}
	if json.Unmarshal(doc, &d) != nil || d.Equal != (err == nil) {
		t.Fatalf("%v\n%s", err, doc)
	}
	for _, p := range d.PCRs {
		for _, c := range p.Changes {
			side := c.After
			if side == nil {
				side = c.Before
			}
			what := side.Summary
			if c.Type == "EV_EFI_BOOT_SERVICES_APPLICATION" {
				what = path.Base(what) // without the device
			}
			if strings.HasPrefix(what, "image of ") {
				what = "image without a path" // and without its size, which is the distribution's
			}
			if option, file, ok := strings.Cut(what, " HD("); ok {
				what = option + " " + path.Base(file)
			}
			all = append(all, fmt.Sprint(p.PCR, " ", c.Kind, " ", what))
		}
	}
	return all
}
