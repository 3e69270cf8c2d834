package predict_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

// bzImage is a kernel that QEMU can load: an image with a boot header of protocol 2.15.
func bzImage(version string) []byte {
	image := synth.Image([]synth.Section{{Name: ".text", Content: append(make([]byte, 2048), version...)}})
	copy(image[0x202:], "HdrS\x0f\x02")
	image[0x211] = 1 // loaded high
	binary.LittleEndian.PutUint32(image[0x22c:], 0x7fffffff)
	image[0x236] = 0x7f
	return image
}

// handed is a kernel with the header that QEMU gave it.
func handed(kernel []byte, initrdAddr, initrdSize uint32) []byte {
	k := bytes.Clone(kernel)
	le := binary.LittleEndian
	k[0x210], k[0x211] = 0xb0, 0x81
	le.PutUint32(k[0x218:], initrdAddr)
	le.PutUint32(k[0x21c:], initrdSize)
	le.PutUint16(k[0x224:], 0xfe00)
	le.PutUint32(k[0x228:], 0x20000)
	return k
}

// qemuBoot is a boot by QEMU's -kernel: the image that firmware measured, and where it was loaded.
type qemuBoot struct {
	image    []byte
	at       uint64
	initrd   []byte
	cmdline  string
	old      bool // TPM 1.2, into which the kernel's stub does not measure
	handover bool // firmware measured no image
}

const tagged = eventlog.EVEventTag

func (b qemuBoot) record(t *testing.T) *synth.Recording {
	t.Helper()
	log := synth.Agile(eventlog.SHA256)
	if b.old {
		log = synth.SHA1()
	}
	if b.handover {
		var name []byte
		for _, c := range []byte("SecureBoot") {
			name = append(name, c, 0)
		}
		global := "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
		log.Data(7, eventlog.EVEFIVariableDriverConfig, wire.NewLE().Bytes([]byte(global)).U64(10).U64(1).Bytes(name).Bytes([]byte{1}).Out())
	} else {
		image, err := authenticode.Parse(b.image)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := image.Covered()
		if err != nil {
			t.Fatal(err)
		}
		path := "\x04\x03\x14\x00\x72\xf7\x28\x14\x4a\xb6\x1e\x44\xb8\xc3\x9e\xbd\xd7\xf8\x93\xc7" + // VenMedia(1428f772-…)
			"\x04\x04\x12\x00k\x00e\x00r\x00n\x00e\x00l\x00\x00\x00\x7f\xff\x04\x00"
		data := wire.NewLE().U64(b.at).U64(uint64(len(b.image))).U64(0).U64(uint64(len(path))).Bytes([]byte(path)).Out()
		log.Event(4, eventlog.EVEFIBootServicesApp, slices.Concat(parts...), data)
	}
	for pcr := range uint32(8) {
		log.Data(pcr, eventlog.EVSeparator, make([]byte, 4))
	}
	tag := func(id uint32, name string, content []byte) {
		log.Event(9, tagged, content, wire.NewLE().U32(id).Sized32([]byte(name+"\x00")).Out())
	}
	if !b.old && !b.handover {
		var text []byte
		for _, c := range []byte(b.cmdline + " initrd=initrd\x00") {
			text = append(text, c, 0)
		}
		tag(0x8f3b22ed, "LOADED_IMAGE::LoadOptions", text)
	}
	if !b.old {
		tag(0x8f3b22ec, "Linux initrd", b.initrd)
	}
	return log.Recording()
}

// roots is a disk with files: those of /boot are looked through.
func roots(t *testing.T, contents map[string][]byte) *files.Disk {
	t.Helper()
	tree := fstest.MapFS{"boot/README": {Data: []byte("text")}}
	for name, data := range contents {
		tree[name] = &fstest.MapFile{Data: data}
	}
	boot, err := tree.Sub("boot")
	if err != nil {
		t.Fatal(err)
	}
	return &files.Disk{Roots: []files.Root{{Name: "/boot", FS: boot, Walk: true}, {Name: "/", FS: tree}}}
}

func mustPredict(t *testing.T, rec *synth.Recording, disk *files.Disk, changes ...predict.Change) *predict.Forecast {
	t.Helper()
	f, err := machineOf(t, rec, disk).Predict(predict.Future{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAKernelOfQEMUIsForetoldWithTheHeaderItWillHave(t *testing.T) {
	gzip := func(size int) []byte { return append([]byte("\x1f\x8b"), make([]byte, size-2)...) }
	oldKernel, newKernel, oldInitrd, newInitrd := bzImage("6.1"), bzImage("6.2"), gzip(5000), gzip(9000)
	kernel := predict.Change{Kind: predict.Kernel, Name: "/tmp/vmlinuz", Data: newKernel}
	initrd := predict.Change{Kind: predict.Initrd, Name: "/tmp/initrd", Data: newInitrd}
	cmdline := predict.Change{Kind: predict.Cmdline, Name: "quiet second"}
	const below512M, below1000M = 0x20000000 - 0x28000 - 1, 1000<<20 - 0x28000 - 1
	place := func(last uint32, data []byte) uint32 { return (last - uint32(len(data))) &^ 0xfff }
	put := func(kernel, initrd []byte) []byte {
		return handed(kernel, place(below512M, initrd), uint32(len(initrd)))
	}
	now := qemuBoot{image: put(oldKernel, oldInitrd), at: 0x1c905018, initrd: oldInitrd, cmdline: "quiet"}
	for _, c := range []struct {
		name          string
		before, after qemuBoot
		changes       []predict.Change
		changed       string
	}{
		{"a new kernel", now, qemuBoot{image: put(newKernel, oldInitrd), initrd: oldInitrd, cmdline: "quiet"},
			[]predict.Change{kernel}, "4"},
		{"a new initrd, whose size is in the kernel's header", now, qemuBoot{image: put(oldKernel, newInitrd), initrd: newInitrd, cmdline: "quiet"},
			[]predict.Change{initrd}, "4,9"},
		{"a new command line", now, qemuBoot{image: now.image, initrd: oldInitrd, cmdline: "quiet second"},
			[]predict.Change{cmdline}, "9"},
		{"all three", now, qemuBoot{image: put(newKernel, newInitrd), initrd: newInitrd, cmdline: "quiet second"},
			[]predict.Change{kernel, initrd, cmdline}, "4,9"},
		{"an odd size of memory", qemuBoot{image: handed(oldKernel, place(below1000M, oldInitrd), 5000), at: 950 << 20, initrd: oldInitrd, cmdline: "quiet"},
			qemuBoot{image: handed(newKernel, place(below1000M, oldInitrd), 5000), initrd: oldInitrd, cmdline: "quiet"},
			[]predict.Change{kernel}, "4"},
		{"a kernel that QEMU leaves as it is", qemuBoot{image: oldKernel, at: 0x1c905018, initrd: oldInitrd, cmdline: "quiet"},
			qemuBoot{image: newKernel, initrd: newInitrd, cmdline: "quiet"}, []predict.Change{kernel, initrd}, "4,9"},
		{"TPM 1.2, which gets the size of the initrd alone", qemuBoot{image: put(oldKernel, oldInitrd), at: 0x1c905018, old: true},
			qemuBoot{image: put(newKernel, newInitrd), old: true}, []predict.Change{kernel, initrd, cmdline}, "4"},
		{"a kernel without an initrd", qemuBoot{image: handed(oldKernel, 0, 0), at: 0x1c905018, old: true},
			qemuBoot{image: put(newKernel, newInitrd), old: true}, []predict.Change{kernel, initrd}, "4"},
		{"a kernel that firmware does not measure", qemuBoot{handover: true, initrd: oldInitrd}, qemuBoot{handover: true, initrd: newInitrd},
			[]predict.Change{kernel, initrd, cmdline}, "9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := roots(t, map[string][]byte{"boot/vmlinuz": oldKernel, "boot/initrd": oldInitrd, "boot/other": gzip(4096),
				"proc/cmdline": []byte("quiet initrd=initrd\n")})
			f := mustPredict(t, c.before.record(t), disk, c.changes...)
			came := c.after.record(t)
			bank := eventlog.SHA256
			if c.before.old {
				bank = eventlog.SHA1
			}
			for n, want := range came.PCRs(bank) {
				if got := f.Values[bank][n]; !bytes.Equal(got, want) {
					t.Errorf("PCR %d: %s was foretold, %s came: %s", n, got, want, why(f, n))
				}
			}
			if got := changed(f); got != c.changed {
				t.Errorf("PCRs %s change, want %s", got, c.changed)
			}
		})
	}

	t.Run("without the kernel of this boot", func(t *testing.T) {
		f := mustPredict(t, now.record(t), roots(t, nil), kernel, cmdline)
		if !strings.Contains(why(f, 4), "--esp DIR") || !strings.Contains(why(f, 9), "DIR/proc/cmdline") || f.Values[eventlog.SHA256][4] != nil {
			t.Errorf("%q, %q", why(f, 4), why(f, 9))
		}
	})
	t.Run("Secure Boot off, after which the kernel is measured", func(t *testing.T) {
		f := mustPredict(t, qemuBoot{handover: true, initrd: oldInitrd}.record(t), roots(t, nil), predict.Change{Kind: predict.SecureBoot, Name: "off"})
		if got := confidences(f); got[predict.Blocked] != "4,9" || changed(f) != "7" {
			t.Errorf("%v, PCRs %s change", got, changed(f))
		}
	})
	t.Run("what QEMU cannot load is refused by its name", func(t *testing.T) {
		m := machineOf(t, now.record(t), roots(t, nil))
		_, err := m.Predict(predict.Future{Changes: []predict.Change{{Kind: predict.Kernel, Name: "kernel.efi", Data: synth.NewKernel("1")}}})
		if err == nil || fail.KindOf(err) != fail.BadInput || !strings.HasPrefix(err.Error(), "kernel kernel.efi: ") {
			t.Error(err)
		}
	})
}

func TestWhatABootDoesNotMeasureChangesNothing(t *testing.T) {
	kernel := predict.Change{Kind: predict.Kernel, Data: []byte("new")}
	initrd := predict.Change{Kind: predict.Initrd, Data: []byte("new")}
	cmdline := predict.Change{Kind: predict.Cmdline, Name: "new"}
	config := predict.Change{Kind: predict.GRUBConfig, Data: []byte("new")}
	m := synth.OnDisk()
	for name, c := range map[string]struct {
		boot    *synth.Recording
		changes []predict.Change
		notes   []string
	}{
		"legacy firmware": {synth.SeaBIOS(m), []predict.Change{kernel, initrd, cmdline, config}, []string{"kernel", "initrd", "command line", "grub.cfg"}},
		"TPM 1.2":         {synth.TPM12(m), []predict.Change{initrd, cmdline}, []string{"initrd", "command line"}},
	} {
		t.Run(name, func(t *testing.T) {
			disk, _ := diskOf(m)
			f := mustPredict(t, c.boot, disk, c.changes...)
			var notes []string
			for _, n := range f.Notes {
				what, _, _ := strings.Cut(n, " is not measured by this boot: ")
				notes = append(notes, strings.TrimPrefix(what, "the "))
			}
			if !slices.Equal(notes, c.notes) {
				t.Errorf("%q", f.Notes)
			}
			if got := changed(f); got != "" {
				t.Errorf("PCRs %s change", got)
			}
			checkValues(t, f, c.boot, nil)
		})
	}
}

func TestALegacyBootMeasuresTheFirstSector(t *testing.T) {
	sector := func(code, table string) []byte {
		data := make([]byte, 1024)
		copy(data, code)
		copy(data[440:], table)
		data[510], data[511] = 0x55, 0xaa
		return data
	}
	boot := func(sector []byte) *synth.Recording {
		b := synth.Agile(eventlog.SHA1, eventlog.SHA256)
		b.Data(4, eventlog.EVAction, []byte("Calling INT 19h"))
		b.Event(4, eventlog.EVIPL, sector[:440], []byte("MBR"))
		b.Event(5, eventlog.EVIPLPartitionData, sector[440:512], []byte("MBR PARTITION_TABLE"))
		return b.Recording()
	}
	for name, c := range map[string]struct {
		sector  []byte
		changed string
	}{
		"the same": {sector("code", "table"), ""}, "another table": {sector("code", "other"), "5"}, "other code": {sector("more", "table"), "4"},
	} {
		f := mustPredict(t, boot(sector("code", "table")), roots(t, nil), predict.Change{Kind: predict.GPT, Data: c.sector})
		checkValues(t, f, boot(c.sector), nil)
		if got := changed(f); got != c.changed {
			t.Errorf("%s: PCRs %s change, want %s", name, got, c.changed)
		}
	}
	_, err := machineOf(t, boot(sector("code", "table")), roots(t, nil)).Predict(predict.Future{Changes: []predict.Change{{Kind: predict.GPT, Data: make([]byte, 512)}}})
	if err == nil || !strings.Contains(err.Error(), "55 aa") {
		t.Error(err)
	}
}

// A boot loader that measures for itself, in whatever way, is not passed over.
func TestALoaderThatMeasuresUnderLegacyFirmwareIsNotSilent(t *testing.T) {
	b := synth.Agile(eventlog.SHA1, eventlog.SHA256)
	b.Data(4, eventlog.EVAction, []byte("Calling INT 19h"))
	b.Event(4, eventlog.EVIPL, []byte("code"), []byte("MBR"))
	b.Event(8, eventlog.EVIPL, []byte("kernel"), []byte("of a loader of its own"))
	_, err := machineOf(t, b.Recording(), roots(t, nil)).Predict(predict.Future{Changes: []predict.Change{{Kind: predict.Kernel, Data: []byte("new")}}})
	if err == nil {
		t.Error("the kernel is said not to be measured")
	}
}

func TestWhatABootDoesNotHaveIsAnErrorThatNamesTheBoot(t *testing.T) {
	m := synth.OnDisk()
	disk, _ := diskOf(m)
	direct := qemuBoot{image: handed(bzImage("6.1"), 0, 0), at: 0x1c905018, cmdline: "quiet"}.record(t)
	for _, c := range []struct {
		boot         *synth.Recording
		kind         predict.Kind
		names, hints string
	}{
		{direct, predict.Shim, "--shim: this machine was started by QEMU's -kernel", "--kernel, --initrd, --cmdline, --kexec"},
		{direct, predict.UKI, "QEMU's -kernel", "--kernel"},
		{direct, predict.GRUBConfig, "QEMU's -kernel", "--kernel"},
		{direct, predict.GPT, "QEMU's -kernel", "--kernel"},
		{synth.SeaBIOS(m), predict.GRUB, "legacy firmware from the first sector of a disk", "--grub-cfg, --kernel, --initrd, --cmdline, --gpt, --kexec"},
		{synth.SeaBIOS(m), predict.DBX, "legacy firmware", "--gpt"},
		{synth.SeaBIOS(m), predict.MOK, "legacy firmware", "--gpt"},
		{synth.SeaBIOS(m), predict.SecureBoot, "legacy firmware", "--gpt"},
		{synth.UKI(m), predict.Shim, "a unified kernel image", "--uki, --db, --dbx, --gpt, --secure-boot, --kexec"},
		{synth.SystemdBoot(m), predict.GRUB, "systemd-boot, a unified kernel image", "--loader"},
		{synth.ShimGRUB(m), predict.LoaderConf, "shim, GRUB", "--shim, --grub, --grub-cfg"},
		{synth.Direct(m), predict.Loader, `\vmlinuz.efi`, "--cmdline"},
	} {
		_, err := machineOf(t, c.boot, disk).Predict(predict.Future{Changes: []predict.Change{{Kind: c.kind, Name: "off", Data: synth.SignatureList("Somebody")}}})
		if err == nil || fail.KindOf(err) != fail.Usage || !strings.Contains(err.Error(), c.names) || !strings.Contains(strings.Join(fail.HintsOf(err), ""), c.hints) {
			t.Errorf("%s: %v, hints %q", c.kind, err, fail.HintsOf(err))
		}
	}
}

func TestKexecLeavesThePCRsAsTheyAre(t *testing.T) {
	m := synth.OnDisk()
	rec := synth.UKI(m)
	log, err := eventlog.Parse(rec.Log)
	if err != nil {
		t.Fatal(err)
	}
	values := func(extra map[int]string, phases ...string) eventlog.Values {
		v := valuesOf(rec)
		for bank := range v {
			for n, text := range extra {
				v[bank][n] = bank.Sum([]byte(text))
			}
			for _, phase := range phases {
				v[bank][11] = bank.Sum(v[bank][11], bank.Sum([]byte(phase)))
			}
		}
		return v
	}
	kexec := predict.Change{Kind: predict.Kexec}
	kernel := predict.Change{Kind: predict.Kernel, Data: []byte("new")}
	for name, c := range map[string]struct {
		now     eventlog.Values
		phases  []string
		blocked []int
		want    eventlog.Values
	}{
		"as the log has them":                   {values(nil), nil, nil, values(nil)},
		"as a program extended them":            {values(map[int]string{0: "x", 8: "y", 23: "z"}), nil, nil, values(map[int]string{0: "x", 8: "y", 23: "z"})},
		"but for IMA's and systemd's":           {values(map[int]string{10: "ima", 15: "machine"}), nil, []int{10, 15}, values(nil)},
		"with the phases of systemd":            {values(nil, "enter-initrd", "leave-initrd"), nil, []int{11}, values(nil)},
		"with phases up to one that was chosen": {values(nil, "enter-initrd"), []string{"final", "enter-initrd"}, nil, values(nil, "enter-initrd", "final", "enter-initrd")},
	} {
		t.Run(name, func(t *testing.T) {
			disk, _ := diskOf(m)
			f, err := predict.New(log, c.now, disk).Predict(predict.Future{Changes: []predict.Change{kernel, kexec}, Phases: c.phases})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(f.Notes, func(n string) bool { return n == "the kernel is not measured by kexec" }) {
				t.Errorf("%q", f.Notes)
			}
			for bank, pcrs := range c.want {
				for n := range 24 {
					want := pcrs[n]
					if slices.Contains(c.blocked, n) {
						want = nil
					}
					if got := f.Values[bank][n]; !bytes.Equal(got, want) {
						t.Errorf("%s PCR %d: %s, want %s", bank, n, got, want)
					}
				}
			}
		})
	}
	disk, _ := diskOf(m)
	_, err = predict.New(log, nil, disk).Predict(predict.Future{Changes: []predict.Change{kexec, {Kind: predict.DBX}}})
	if err == nil || !strings.Contains(err.Error(), "--dbx: kexec starts a kernel without firmware") {
		t.Error(err)
	}
}
