//go:build guest

package guest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

var allBanks = []string{"sha1", "sha256", "sha384", "sha512"}

// TestBoots starts machines in all the ways there are. Each log must give the PCRs that the guest's kernel read, break no
// rule and be explained. Where there is another way the machine starts the next time, that is foretold.
func TestBoots(t *testing.T) {
	for _, c := range []struct {
		name       string
		banks      []string // allBanks
		old        bool     // a TPM 1.2
		boot       boot
		secureBoot string
		loader     string
		golden     bool // the log holds nothing of others but the names of their files
		next       *next
	}{
		{name: "direct with SHA-256 alone", banks: []string{"sha256"}, boot: boot{device: "tpm-crb"},
			secureBoot: "off", loader: "Linux EFI stub", golden: true},
		{name: "direct with SHA-384 alone", banks: []string{"sha384"},
			secureBoot: "off", loader: "Linux EFI stub", golden: true},
		{name: "direct with TPM 1.2", banks: []string{"sha1"}, old: true, secureBoot: "not measured", golden: true},
		{name: "SeaBIOS", boot: boot{on: &seabios}, secureBoot: "not measured", golden: true},
		{name: "SeaBIOS with TPM 1.2", banks: []string{"sha1"}, old: true, boot: boot{on: &seabios}, secureBoot: "not measured", golden: true},
		{name: "EFI stub", boot: boot{by: stub}, secureBoot: "off", loader: "Linux EFI stub", golden: true,
			next: &next{kernel: true, cmdline: true, changes: []int{1, 4, 9}}},
		{name: "unified kernel image", boot: boot{by: uki}, secureBoot: "off", loader: "systemd-stub, Linux EFI stub", golden: true,
			next: &next{image: "uki", changes: []int{4, 9, 11}}},
		{name: "systemd-boot", boot: boot{by: bootUKI}, secureBoot: "off", loader: "systemd-boot, systemd-stub, Linux EFI stub", golden: true,
			next: &next{image: "uki", changes: []int{4, 9, 11, 12}}},
		{name: "signed unified kernel image", boot: boot{by: signedUKI, on: &ovmfSnakeoil}, secureBoot: "on",
			loader: "systemd-stub, Linux EFI stub"},
		{name: "shim and GRUB", boot: boot{by: shimGRUB, on: &ovmfMS}, secureBoot: "on", loader: "shim, grub",
			next: &next{kernel: true, initrd: true, grub: true, changes: []int{4, 8, 9}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			machine := newMachine
			if c.old {
				machine = newOldMachine
			}
			m := machine(t, c.banks...)
			if c.banks == nil {
				c.banks = allBanks
			}
			before := m.measure(t, c.boot, c.banks...)
			story := before.log.ExplainRunning(before.running)
			if story.SecureBoot != c.secureBoot || story.Loader != c.loader {
				t.Errorf("Secure Boot is %s, started by %s", story.SecureBoot, story.Loader)
			}
			if told := story.Cmdline == strings.TrimPrefix(before.running, "BOOT_IMAGE="); told != (c.loader != "") {
				t.Errorf("the command line is told as %q, the kernel has %q", story.Cmdline, before.running)
			}
			if c.golden {
				before.golden(t, strings.ReplaceAll(c.name, " ", "-"))
			}
			if c.next != nil {
				c.next.follow(t, m, c.boot, before)
			}
		})
	}
}

// measured is a boot and what the guest's kernel knows of it.
type measured struct {
	*prepared
	raw     []byte
	log     *eventlog.Log // with IMA's list
	values  pcrs
	running string // command line
}

// measure boots, and judges the log.
func (m *machine) measure(t *testing.T, b boot, banks ...string) *measured {
	t.Helper()
	p := b.prepare(t)
	d := judge(t, m.start(t, p).wait(t), banks...)
	d.prepared = p
	return d
}

// judge replays and verifies the log of a boot. Only PCR 10 is not firmware's or the loader's: IMA's list is added where
// it is of the same boot.
func judge(t *testing.T, r results, banks ...string) *measured {
	t.Helper()
	m := &measured{raw: r.file(t, "eventlog"), values: kernelPCRs(t, r, banks...),
		running: strings.TrimSuffix(string(r.file(t, "cmdline")), "\n")}
	var err error
	if m.log, err = eventlog.Parse(m.raw); err != nil {
		t.Fatal(err)
	}
	if list, ok := r["ima"]; ok {
		ima, err := eventlog.Parse(list)
		if err != nil {
			t.Fatal(err)
		}
		m.log.Append(ima)
	}
	v := m.log.Verify(m.values.forLog(t), eventlog.Rules{})
	// QEMU hands a kernel of its -kernel to OVMF in a way that has a name, Q25.
	odd := slices.ContainsFunc(v.Grammar, func(f eventlog.Finding) bool { return f.Quirk != "Q25" })
	if v.Worst() == eventlog.Fail || odd {
		t.Errorf("the log is not true: %+v", v.Checks)
	}
	explained := 0
	for _, p := range v.PCRs {
		if p.State == eventlog.Match && p.Events > 0 {
			explained++
		}
		if p.State != eventlog.Match && (p.PCR != 10 || r["ima"] != nil) {
			t.Errorf("%s PCR %d: %s: %s", p.Bank, p.PCR, p.State, p.Note)
		}
	}
	if want := 8 * len(banks); explained < want {
		t.Errorf("%d PCRs are explained, want %d at least", explained, want)
	}
	t.Logf("a log of %d bytes and %d events explains %d PCRs", len(m.raw), len(m.log.Events), explained)
	return m
}

// next is what differs in the next boot, besides the initramfs: it always has a file more.
type next struct {
	kernel, initrd, cmdline, grub bool   // foretold by these flags of pcr predict; a command line is a boot option's
	image                         string // by this one, which takes the whole image
	changes                       []int  // the PCRs that come out differently
}

// follow foretells the next boot with other software, boots it and compares. The other boot is also told from the first by
// what was changed.
func (n *next) follow(t *testing.T, m *machine, b boot, before *measured) {
	t.Helper()
	b.cmdline, b.kernel = usualCmdline+" second", otherKernel(t)
	b.files = map[string]file{"second": {[]byte("another initramfs\n"), 0o644}}
	p := b.prepare(t)
	foretold := n.predict(t, before, p)
	after := judge(t, m.start(t, p).wait(t), allBanks...)

	compare(t, foretold, before, after, n.changes)
}

// compare sees that a boot came as it was foretold, and that the given PCRs differ from the boot before it.
func compare(t *testing.T, foretold pcrs, before, after *measured, changes []int) {
	t.Helper()
	for _, bank := range allBanks {
		for i := range 24 {
			if i == 10 {
				continue // IMA's: the boot aggregate follows from the others
			}
			key := fmt.Sprint(bank, " ", i)
			want, ok := foretold[key]
			if !ok {
				want = before.values[key] // nothing is measured there
			}
			if want != after.values[key] {
				t.Errorf("%s was foretold as %s and became %s", key, want, after.values[key])
			}
		}
	}
	var changed []int
	for _, d := range eventlog.DiffLogs(before.log, after.log).PCRs {
		if d.PCR != 10 {
			changed = append(changed, d.PCR)
		}
	}
	if !slices.Equal(changed, changes) {
		t.Errorf("PCRs %v differ between the boots, want %v", changed, changes)
	}
}

// predict asks vtpmctl for the PCRs after the boot of p.
func (n *next) predict(t *testing.T, now *measured, p *prepared) pcrs {
	t.Helper()
	log, values := now.path("log"), now.path("pcrs")
	write(t, log, now.raw)
	write(t, values, now.values.pcrread())
	args := []string{"pcr", "predict", log, "--against", values, "--esp", now.path("esp"), "-o", "json"}
	if n.kernel {
		args = append(args, "--kernel", p.path("kernel"))
	}
	if n.initrd {
		args = append(args, "--initrd", p.path("initrd"))
	}
	if n.cmdline {
		args = append(args, "--cmdline", stubInitrd+p.cmdline)
	}
	if n.grub {
		args = append(args, "--grub-cfg", p.path("grub.cfg"))
	}
	if n.image != "" {
		args = append(args, "--"+n.image, p.path("uki"))
	}
	var d struct {
		Futures []struct {
			Banks []bankDoc
			PCRs  []struct {
				PCR        int
				Confidence string
				Why        string
			}
		}
	}
	decode(t, interop.Run(t, vtpmctl, args...), &d)
	if len(d.Futures) != 1 {
		t.Fatalf("%d futures", len(d.Futures))
	}
	for _, p := range d.Futures[0].PCRs {
		if p.Confidence == "blocked" && p.PCR != 10 {
			t.Errorf("PCR %d is blocked: %s", p.PCR, p.Why)
		}
	}
	return valuesOf(d.Futures[0].Banks)
}

// Without Secure Boot, GRUB starts the kernel without its EFI stub, and the kernel never hears of the log.
func TestABootWithoutALogIsDiagnosed(t *testing.T) {
	t.Parallel()
	r := newMachine(t).boot(t, boot{by: shimGRUB, steps: []step{{"verify", "vtpmctl eventlog verify"}, {"explain", "vtpmctl eventlog explain"}}})
	if _, ok := r["eventlog"]; ok {
		t.Fatal("the kernel has a log")
	}
	r.refuses(t, "verify", "66", "GRUB")
	if told := string(r.file(t, "verify.stdout")); !strings.Contains(told, "Q1: PCR 0,4,7-9 are extended, by GRUB among others") {
		t.Errorf("the PCRs are not asked for the reason:\n%s", told)
	}
}

// A kernel started by kexec has the log of the boot that the firmware measured, and PCRs that tell no more.
func TestKexecKeepsTheLog(t *testing.T) {
	t.Parallel()
	inner := boot{steps: []step{{"explain", "vtpmctl eventlog explain"}}}.prepare(t)
	outer := boot{
		files: withLibraries(t, "/sbin/kexec"),
		in:    results{"kernel": read(t, inner.path("kernel")), "initrd": read(t, inner.path("initrd"))},
		steps: []step{{"kexec", "kexec -s -l /in/kernel --initrd=/in/initrd --append='" + usualCmdline + " second' && kexec -e"}},
	}
	r := newMachine(t).boot(t, outer)
	if told := string(r.stdout(t, "explain")); !strings.Contains(told, "was started with another command line") {
		t.Errorf("explain does not say that another kernel runs:\n%s", told)
	}
	delete(r, "ima") // each kernel extended PCR 10, and has a list of its own
	m := judge(t, r, allBanks...)
	m.golden(t, "direct")
	if m.running != usualCmdline+" second" {
		t.Errorf("the kernel that ran was started with %q", m.running)
	}
}

// withLibraries is a program of the host with the libraries it needs.
func withLibraries(t *testing.T, program string) map[string]file {
	t.Helper()
	files := map[string]file{"bin/" + filepath.Base(program): {read(t, program), 0o755}}
	for word := range strings.FieldsSeq(string(interop.Run(t, "ldd", program))) {
		if strings.HasPrefix(word, "/") {
			files[strings.TrimPrefix(word, "/")] = file{read(t, word), 0o755}
		}
	}
	return files
}
