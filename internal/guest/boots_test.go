//go:build guest

package guest

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

var allBanks = []string{"sha1", "sha256", "sha384", "sha512"}

// TestBoots starts machines in all the ways there are. Each log must give the PCRs that the guest's kernel read, break no
// rule and be explained. Then kernel, initrd and command line change: what the machine will measure with them is foretold,
// it starts again and is compared, and diff must name what changed, and nothing else.
func TestBoots(t *testing.T) {
	const (
		options = "9 changed Linux EFI stub: command line: LOADED_IMAGE::LoadOptions"
		initrd  = "9 changed Linux EFI stub: initrd: Linux initrd"
		qemu    = "4 changed kernel"
	)
	sections := []string{"11 changed systemd-stub section: .linux", "11 changed systemd-stub section: .cmdline",
		"11 changed systemd-stub section: .initrd"}
	inner := "4 changed VenMedia(55c5d1f8-04cd-46b5-8a20-e56cbb3052d0)" // the kernel in a unified image (systemd, stub)
	for _, c := range []struct {
		name       string
		banks      []string // allBanks
		old        bool     // a TPM 1.2
		boot       boot
		secureBoot string
		loader     string
		untold     bool // the log does not tell the command line
		golden     bool // the log holds nothing of others but the names of their files
		next       next
	}{
		{name: "direct with SHA-256 alone", banks: []string{"sha256"}, boot: boot{device: "tpm-crb"},
			secureBoot: "off", loader: "Linux EFI stub", golden: true,
			next: next{kernel: true, initrd: true, cmdline: true, diff: []string{qemu, options, initrd}}},
		{name: "direct with SHA-384 alone", banks: []string{"sha384"},
			secureBoot: "off", loader: "Linux EFI stub", golden: true,
			next: next{initrd: true, diff: []string{qemu, initrd}}},
		{name: "direct with TPM 1.2", banks: []string{"sha1"}, old: true, secureBoot: "not measured", untold: true, golden: true,
			next: next{kernel: true, initrd: true, cmdline: true, unmeasured: []string{"initrd", "command line"}, diff: []string{qemu}}},
		{name: "direct under Secure Boot", boot: boot{on: &ovmfMS}, secureBoot: "on", loader: "Linux EFI stub", untold: true,
			next: next{kernel: true, initrd: true, cmdline: true, unmeasured: []string{"kernel", "command line"}, diff: []string{initrd}}},
		{name: "SeaBIOS", boot: boot{on: &seabios}, secureBoot: "not measured", untold: true, golden: true,
			next: next{kernel: true, initrd: true, cmdline: true, unmeasured: []string{"kernel", "initrd", "command line"}}},
		{name: "SeaBIOS with TPM 1.2", banks: []string{"sha1"}, old: true, boot: boot{on: &seabios}, secureBoot: "not measured",
			untold: true, golden: true,
			next: next{kernel: true, initrd: true, cmdline: true, unmeasured: []string{"kernel", "initrd", "command line"}}},
		{name: "SeaBIOS and GRUB", boot: boot{on: &seabios, by: legacyGRUB}, secureBoot: "not measured", loader: "seabios",
			untold: true, golden: true,
			next: next{kernel: true, initrd: true, cmdline: true, grub: true, disk: true,
				unmeasured: []string{"kernel", "initrd", "command line", "grub.cfg"}, diff: []string{"5 changed MBR PARTITION_TABLE"}}},
		{name: "SeaBIOS and GRUB with TPM 1.2", banks: []string{"sha1"}, old: true, boot: boot{on: &seabios, by: legacyGRUB},
			secureBoot: "not measured", loader: "seabios", untold: true, golden: true,
			next: next{kernel: true, initrd: true, cmdline: true, grub: true, disk: true,
				unmeasured: []string{"kernel", "initrd", "command line", "grub.cfg"}, diff: []string{"5 changed MBR PARTITION_TABLE"}}},
		{name: "EFI stub", boot: boot{by: stub}, secureBoot: "off", loader: "Linux EFI stub", golden: true,
			next: next{kernel: true, initrd: true, cmdline: true, unmeasured: []string{"initrd"},
				diff: []string{`1 changed Boot0000: Linux \vmlinuz.efi`, `4 changed \vmlinuz.efi`, options}}},
		{name: "unified kernel image", boot: boot{by: uki}, secureBoot: "off", loader: "systemd-stub, Linux EFI stub", golden: true,
			next: next{image: true, diff: slices.Concat([]string{`4 changed \EFI\BOOT\BOOTX64.EFI`, inner, options, initrd}, sections)}},
		{name: "systemd-boot", boot: boot{by: bootUKI}, secureBoot: "off", loader: "systemd-boot, systemd-stub, Linux EFI stub", golden: true,
			next: next{image: true, diff: slices.Concat([]string{`4 changed \EFI\Linux\linux.efi`, inner, options, initrd}, sections,
				slices.Repeat([]string{"12 changed systemd-boot cmdline: " + secondCmdline}, 2))}},
		{name: "signed unified kernel image", boot: boot{by: signedUKI, on: &ovmfSnakeoil}, secureBoot: "on",
			loader: "systemd-stub, Linux EFI stub",
			next:   next{image: true, diff: slices.Concat([]string{`4 changed \EFI\BOOT\BOOTX64.EFI`, options, initrd}, sections)}},
		{name: "shim and GRUB", boot: boot{by: shimGRUB, on: &ovmfMS}, secureBoot: "on", loader: "shim, grub",
			next: next{kernel: true, initrd: true, grub: true, diff: []string{
				"4 changed image without a path", "4 changed image without a path",
				"8 changed grub command: linux /vmlinuz " + secondCmdline, "8 changed grub kernel cmdline: /vmlinuz " + secondCmdline,
				"9 changed grub file: (hd0,gpt1)/EFI/debian/grub.cfg", "9 changed grub file: /vmlinuz", "9 changed grub file: /initrd.img"}}},
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
			if told := story.Cmdline == strings.TrimPrefix(before.running, "BOOT_IMAGE="); told == c.untold {
				t.Errorf("the command line is told as %q, the kernel has %q", story.Cmdline, before.running)
			}
			if c.golden {
				before.golden(t, strings.ReplaceAll(c.name, " ", "-"))
			}
			c.next.follow(t, m, c.boot, before)
		})
	}
}

// measured is a boot and what the guest's kernel knows of it.
type measured struct {
	*prepared
	raw     []byte
	banks   []string
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
	m := &measured{raw: r.file(t, "eventlog"), banks: banks, values: kernelPCRs(t, r, banks...),
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

// Without Secure Boot, GRUB starts the kernel without its EFI stub, and the kernel never hears of the log.
func TestABootWithoutALogIsDiagnosed(t *testing.T) {
	t.Parallel()
	r := newMachine(t).boot(t, boot{by: shimGRUB, steps: []step{{"verify", "vtpmctl eventlog verify"}, {"explain", "vtpmctl eventlog explain"},
		{"predict", "vtpmctl pcr predict"}}})
	if _, ok := r["eventlog"]; ok {
		t.Fatal("the kernel has a log")
	}
	r.refuses(t, "verify", "66", "GRUB")
	r.refuses(t, "predict", "66", "GRUB")
	if told := string(r.file(t, "verify.stdout")); !strings.Contains(told, "Q1: PCR 0,4,7-9 are extended, by GRUB among others") {
		t.Errorf("the PCRs are not asked for the reason:\n%s", told)
	}
}

// A kernel started by kexec has the log of the boot that the firmware measured, and PCRs that tell no more. The kernel that
// starts it foretells that, with a PCR that a program extended.
func TestKexecKeepsThePCRs(t *testing.T) {
	t.Parallel()
	inner := boot{}.prepare(t)
	outer := boot{
		files: withLibraries(t, "/sbin/kexec"),
		in:    results{"kernel": read(t, inner.path("kernel")), "initrd": read(t, inner.path("initrd"))},
		steps: []step{
			{"extend", "vtpmctl pcr extend 8 /init >/dev/null && grep -H . /sys/class/tpm/tpm0/pcr-*/8 | sed 's|.*/pcr-\\(.*\\)/\\(.*\\):|\\1 \\2 |'"},
			{"predict", "vtpmctl pcr predict --kexec --kernel /in/kernel --initrd /in/initrd --cmdline '" + secondCmdline + "' -o json"},
			{"refuse", "vtpmctl pcr predict --kexec --shim /in/kernel"},
			{"kexec", "kexec -s -l /in/kernel --initrd=/in/initrd --append='" + secondCmdline + "' && " + sendResults + " && kexec -e"},
		},
	}
	all := newMachine(t).start(t, outer.prepare(t)).waitAll(t)
	if len(all) != 2 {
		t.Fatalf("%d kernels sent their results", len(all))
	}
	first, second := all[0], all[1]
	first.refuses(t, "refuse", "64", "kexec starts a kernel without firmware")
	foretold := readForecast(t, first.stdout(t, "predict"), []string{"kernel", "initrd", "command line"}, 10)
	delete(second, "ima") // each kernel extended PCR 10, and has a list of its own
	after := kernelPCRs(t, second, allBanks...)
	for key, value := range after {
		if _, pcr, _ := strings.Cut(key, " "); (pcr == "10") == (foretold[key] == value) {
			t.Errorf("%s was foretold as %q and is %s", key, foretold[key], value)
		}
	}
	for line := range strings.Lines(string(first.stdout(t, "extend"))) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.Trim(f[2], "0") == "" || after[f[0]+" 8"] != strings.ToLower(f[2]) {
			t.Errorf("PCR 8 was %q before", line)
		}
	}
	unextended := maps.Clone(second)
	unextended["kernel-pcrs"] = regexp.MustCompile(`(?m)^(\S+ 8) .*$`).ReplaceAllFunc(second["kernel-pcrs"], func(line []byte) []byte {
		f := strings.Fields(string(line))
		return []byte(f[0] + " 8 " + strings.Repeat("0", len(f[2])))
	})
	m := judge(t, unextended, allBanks...)
	m.golden(t, "direct")
	if m.running != secondCmdline {
		t.Errorf("the kernel that ran was started with %q", m.running)
	}
	before, now := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "now")
	write(t, before, first.file(t, "eventlog"))
	write(t, now, m.raw)
	if d := differences(t, before, now); d != nil {
		t.Errorf("the logs differ: %q", d)
	}
	told := fmt.Sprint(m.log.ExplainRunning(m.running).Sections)
	if !strings.Contains(told, "was started with another command line") {
		t.Errorf("explain does not say that another kernel runs:\n%s", told)
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
