package predict_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

type boot = func(synth.Machine) *synth.Recording

var boots = map[string]boot{
	"shim and GRUB": synth.ShimGRUB, "UKI": synth.UKI, "systemd-boot and UKI": synth.SystemdBoot,
	"systemd-boot and kernel": synth.Type1, "EFI stub": synth.Direct,
	"shim and GRUB, twice": func(m synth.Machine) *synth.Recording { m.MoreLoads = 1; return synth.ShimGRUB(m) },
}

// valuesOf plays a recording into PCRs that start at zero.
func valuesOf(rec *synth.Recording) eventlog.Values {
	v := eventlog.Values{}
	for _, bank := range []eventlog.Alg{eventlog.SHA1, eventlog.SHA256} {
		v[bank] = rec.PCRs(bank)
	}
	return v
}

// diskOf is the file system a machine boots from.
func diskOf(m synth.Machine) (*files.Disk, fstest.MapFS) {
	tree := treeOf(m.Files())
	return rootsOf(tree), tree
}

func treeOf(all map[string][]byte) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, data := range all {
		tree[name] = &fstest.MapFile{Data: data}
	}
	return tree
}

func rootsOf(tree fstest.MapFS) *files.Disk {
	d := &files.Disk{}
	for _, dir := range []string{"boot/efi", "boot"} {
		sub, err := tree.Sub(dir)
		if err != nil {
			panic(err)
		}
		d.Roots = append(d.Roots, files.Root{Name: "/" + dir, FS: sub, Walk: true})
	}
	d.Roots = append(d.Roots, files.Root{Name: "/", FS: tree})
	return d
}

func machineOf(t *testing.T, rec *synth.Recording, disk *files.Disk) *predict.Machine {
	t.Helper()
	log, err := eventlog.Parse(rec.Log)
	if err != nil {
		t.Fatal(err)
	}
	return predict.New(log, valuesOf(rec), disk)
}

// confidences lists the PCRs by confidence, such as "exact 0,7".
func confidences(f *predict.Forecast) map[predict.Confidence]string {
	lists := make(map[predict.Confidence][]string)
	for _, p := range f.PCRs {
		lists[p.Confidence] = append(lists[p.Confidence], fmt.Sprint(p.Index))
	}
	out := make(map[predict.Confidence]string)
	for c, l := range lists {
		out[c] = strings.Join(l, ",")
	}
	return out
}

func changed(f *predict.Forecast) string {
	var list []string
	for _, p := range f.PCRs {
		if p.Changed {
			list = append(list, fmt.Sprint(p.Index))
		}
	}
	return strings.Join(list, ",")
}

func TestThisBootIsForetoldFromItsFiles(t *testing.T) {
	for name, boot := range boots {
		t.Run(name, func(t *testing.T) {
			m := synth.OnDisk()
			rec := boot(m)
			disk, _ := diskOf(m)
			f := machineOf(t, rec, disk).Current()
			want := map[predict.Confidence]string{predict.Copied: "0,1"}
			var exact []string
			for _, n := range slices.Sorted(maps.Keys(rec.PCRs(eventlog.SHA256))) {
				if n > 1 && n != 14 {
					exact = append(exact, fmt.Sprint(n))
				}
				if n == 14 { // shim's lists are no files
					want[predict.Copied] = "0,1,14"
				}
			}
			want[predict.Exact] = strings.Join(exact, ",")
			if got := confidences(f); !maps.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			for _, p := range f.PCRs {
				if p.Confidence != predict.Exact {
					t.Logf("%+v", p)
				}
			}
			checkValues(t, f, rec, nil)
		})
	}
}

// checkValues compares every foretold value with the boot that came, and sees that none is missing but the blocked.
func checkValues(t *testing.T, f *predict.Forecast, came *synth.Recording, blocked []int) {
	t.Helper()
	for bank, want := range valuesOf(came) {
		for n, value := range want {
			got := f.Values[bank][n]
			switch {
			case slices.Contains(blocked, n):
				if got != nil {
					t.Errorf("%s PCR %d has a value, and should be blocked", bank, n)
				}
			case got == nil:
				t.Errorf("%s PCR %d has no value: %s", bank, n, why(f, n))
			case !bytes.Equal(got, value):
				t.Errorf("%s PCR %d: %s was foretold, %s came", bank, n, got, value)
			}
		}
	}
}

func why(f *predict.Forecast, n int) string {
	for _, p := range f.PCRs {
		if p.Index == n {
			return p.Why
		}
	}
	return "not in the forecast"
}

// TestTheBootThatComesIsTheOneForetold changes a machine, foretells, and boots it.
func TestTheBootThatComesIsTheOneForetold(t *testing.T) {
	uki := func(m synth.Machine) []predict.Change {
		return []predict.Change{{Kind: predict.UKI, Name: "/tmp/new.efi", Data: m.UnifiedImage()}}
	}
	kernel := func(m *synth.Machine) { m.Kernel = synth.NewKernel("6.12.50") }
	for name, c := range map[string]struct {
		boots   []string
		change  func(*synth.Machine)
		told    func(next synth.Machine) []predict.Change
		changed string
		blocked []int
	}{
		"a new kernel under GRUB": {
			[]string{"shim and GRUB"}, kernel,
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Kernel, Name: "/tmp/vmlinuz", Data: m.Kernel}}
			}, "4,9", nil},
		"a new kernel that shim measures twice": {
			[]string{"shim and GRUB, twice"}, kernel,
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Kernel, Name: "/tmp/vmlinuz", Data: m.Kernel}}
			}, "4,9", nil},
		"a new initrd under GRUB": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.Initrd = []byte("another initrd") },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Initrd, Name: "/tmp/initrd", Data: m.Initrd}}
			}, "9", nil},
		"a new command line under GRUB": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.Cmdline = "root=LABEL=new ro" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: m.Files()["boot/grub/grub.cfg"]}}
			}, "8,9", nil},
		"a new command line said twice": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.Cmdline = "root=LABEL=new ro" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: m.Files()["boot/grub/grub.cfg"]},
					{Kind: predict.Cmdline, Name: m.Cmdline}}
			}, "8,9", nil},
		"a command line without the grub.cfg that has it": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.Cmdline = "root=LABEL=new ro" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Cmdline, Name: m.Cmdline}}
			},
			"8,9", []int{9}},
		"a new timeout in grub.cfg": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.GRUBConfig = strings.Replace(m.GRUBConfig, "timeout=5", "timeout=9", 1) },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: m.Files()["boot/grub/grub.cfg"]}}
			}, "8,9", nil},
		"a command more in grub.cfg": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.GRUBConfig += "\nset x=1" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: m.Files()["boot/grub/grub.cfg"]}}
			}, "8,9", nil},
		"a command less in grub.cfg": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.GRUBConfig = strings.Replace(m.GRUBConfig, "insmod ext2\n", "", 1) },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: m.Files()["boot/grub/grub.cfg"]}}
			}, "8,9", nil},
		"a question in grub.cfg that this boot did not ask": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.GRUBConfig += "\nif keystatus --shift; then set timeout=9; fi" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: m.Files()["boot/grub/grub.cfg"]}}
			}, "9", []int{8, 9}},
		"a new shim": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.Shim = bytes.Replace(m.Shim, []byte("15.8"), []byte("15.9"), 1) },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Shim, Name: "/tmp/shim.efi", Data: m.Shim}}
			}, "4", nil},
		"a new GRUB": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.GRUB = bytes.Replace(m.GRUB, []byte("2.12"), []byte("2.14"), 1) },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GRUB, Name: "/tmp/grub.efi", Data: m.GRUB}}
			}, "4", nil},
		"another machine owner key": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.MOK = []string{"Our own key"} },
			func(synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.MOK, Name: "/tmp/mok.esl", Data: synth.SignatureList("Our own key")}}
			}, "14", nil},
		"a longer dbx": {
			slices.Collect(maps.Keys(boots)), func(m *synth.Machine) { m.DBX = append(m.DBX, "revoked grub 2.06") },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.DBX, Name: "/tmp/dbx", Data: synth.HashList(m.DBX...)}}
			}, "7", nil},
		"another root partition": {
			slices.Collect(maps.Keys(boots)), func(m *synth.Machine) { m.RootGUID = "00112233-4455-6677-8899-aabbccddeeff" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.GPT, Name: "/dev/vda", Data: m.Disk()}}
			}, "5", nil},
		"a new kernel in a UKI": {[]string{"UKI", "systemd-boot and UKI"}, kernel, uki, "4,11", nil},
		"a new initrd in a UKI": {
			[]string{"UKI", "systemd-boot and UKI"}, func(m *synth.Machine) { m.Initrd = []byte("another initrd") }, uki, "4,9,11", nil},
		"a new command line in a UKI": {
			[]string{"UKI", "systemd-boot and UKI"}, func(m *synth.Machine) { m.Cmdline = "root=LABEL=new ro" }, uki, "4,9,11", nil},
		"a new loader.conf": {
			[]string{"systemd-boot and UKI", "systemd-boot and kernel"}, func(m *synth.Machine) { m.LoaderConf = "timeout 0\n" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.LoaderConf, Name: "/tmp/loader.conf", Data: []byte(m.LoaderConf)}}
			}, "5", nil},
		"a new systemd-boot": {
			[]string{"systemd-boot and UKI", "systemd-boot and kernel"},
			func(m *synth.Machine) { m.SystemdBoot = bytes.Replace(m.SystemdBoot, []byte("257"), []byte("258"), 1) },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Loader, Name: "/tmp/sd.efi", Data: m.SystemdBoot}}
			}, "4", nil},
		"a new kernel and initrd": {
			[]string{"systemd-boot and kernel", "EFI stub"},
			func(m *synth.Machine) { kernel(m); m.Initrd = []byte("another initrd") },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Kernel, Name: "/tmp/vmlinuz", Data: m.Kernel},
					{Kind: predict.Initrd, Name: "/tmp/initrd", Data: m.Initrd}}
			}, "4,9", nil},
		"a new command line of systemd-boot": {
			[]string{"systemd-boot and kernel"}, func(m *synth.Machine) { m.Cmdline = "root=LABEL=new ro" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Cmdline, Name: m.Cmdline}}
			},
			"9,12", nil},
		"a new command line in the boot option": {
			[]string{"EFI stub"}, func(m *synth.Machine) { m.Cmdline = "root=LABEL=new ro" },
			func(m synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.Cmdline, Name: m.Cmdline}}
			},
			"1,9", nil},
		"Secure Boot off": {
			[]string{"EFI stub", "systemd-boot and kernel"}, func(m *synth.Machine) { m.SecureBoot, m.Keys = false, true },
			func(synth.Machine) []predict.Change { return []predict.Change{{Kind: predict.SecureBoot, Name: "off"}} },
			"7", nil},
		"Secure Boot off, and the stub lets firmware measure its kernel": {
			[]string{"UKI", "systemd-boot and UKI"}, func(m *synth.Machine) { m.SecureBoot, m.Keys = false, true },
			func(synth.Machine) []predict.Change { return []predict.Change{{Kind: predict.SecureBoot, Name: "off"}} },
			"4,7", nil},
		"Secure Boot off under GRUB": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) { m.SecureBoot, m.Keys = false, true },
			func(synth.Machine) []predict.Change { return []predict.Change{{Kind: predict.SecureBoot, Name: "off"}} },
			"7", []int{4, 9}},
		"a UKI that another certificate of db vouches for": {
			[]string{"UKI"}, func(m *synth.Machine) { m.Signer = "Synthetic Windows Production CA 2023" }, uki, "7", nil},
		"a UKI whose signer nobody knows": {
			[]string{"UKI"}, func(m *synth.Machine) { m.Signer = "Somebody" }, uki, "", []int{7}},
		"a UKI that is not signed": {[]string{"UKI"}, func(m *synth.Machine) { m.Signer = "" }, uki, "", []int{7}},
		"a UKI with a stub that loads its kernel alone": {
			[]string{"UKI", "systemd-boot and UKI"}, func(m *synth.Machine) { m.StubVersion = 258 }, uki, "4", nil},
		"a db without the certificate that vouched": {
			[]string{"UKI"}, func(*synth.Machine) {},
			func(synth.Machine) []predict.Change {
				return []predict.Change{{Kind: predict.DB, Name: "/tmp/db", Data: synth.SignatureList("Somebody")}}
			}, "7", []int{7}},
		"all of it at once under GRUB": {
			[]string{"shim and GRUB"}, func(m *synth.Machine) {
				kernel(m)
				m.Initrd, m.Cmdline, m.KernelVersion = []byte("another initrd"), "root=LABEL=new ro", "6.12.50-cloud-amd64"
			},
			func(m synth.Machine) []predict.Change {
				return []predict.Change{
					{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: m.Files()["boot/grub/grub.cfg"]},
					{Kind: predict.Kernel, Name: "/boot/vmlinuz-6.12.50-cloud-amd64", Data: m.Kernel},
					{Kind: predict.Initrd, Name: "/boot/initrd.img-6.12.50-cloud-amd64", Data: m.Initrd},
				}
			}, "4,8,9", nil},
	} {
		for _, bootName := range c.boots {
			t.Run(name+" with "+bootName, func(t *testing.T) {
				before := synth.OnDisk()
				after := synth.OnDisk()
				c.change(&after)
				disk, _ := diskOf(before)
				f, err := machineOf(t, boots[bootName](before), disk).Predict(predict.Future{Changes: c.told(after)})
				if err != nil {
					t.Fatal(err)
				}
				checkValues(t, f, boots[bootName](after), c.blocked)
				if got := changed(f); got != c.changed {
					t.Errorf("PCRs %s change, want %s", got, c.changed)
				}
			})
		}
	}
}

// What a new grub.cfg leaves out the kernel does not get, and what it adds it gets. Whether a kernel measures an initrd is
// known from a boot in which it did.
func TestInitrdsFollowANewConfiguration(t *testing.T) {
	all := func(m *synth.Machine) { m.Microcode = []byte("early") }
	for name, c := range map[string]struct {
		before, after func(*synth.Machine)
		changed       string
		blocked       []int
	}{
		"the first one goes":  {all, func(m *synth.Machine) { m.Microcode = nil }, "8,9", nil},
		"the second one goes": {all, func(m *synth.Machine) { m.Initrd = nil }, "8,9", nil},
		"both go":             {all, func(m *synth.Machine) { m.Initrd, m.Microcode = nil, nil }, "8,9", nil},
		"the only one goes":   {func(*synth.Machine) {}, func(m *synth.Machine) { m.Initrd = nil }, "8,9", nil},
		"one comes first":     {func(*synth.Machine) {}, all, "8,9", nil},
		"the first one comes": {func(m *synth.Machine) { m.Initrd = nil }, all, "9", []int{8, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			before := synth.OnDisk()
			c.before(&before)
			after := before
			c.after(&after)
			tree := maps.Clone(before.Files())
			maps.Copy(tree, after.Files()) // an update brings its files before the configuration that names them
			tree["boot/grub/grub.cfg"] = before.Files()["boot/grub/grub.cfg"]
			f, err := machineOf(t, synth.ShimGRUB(before), rootsOf(treeOf(tree))).Predict(predict.Future{Changes: []predict.Change{
				{Kind: predict.GRUBConfig, Name: "/tmp/grub.cfg", Data: after.Files()["boot/grub/grub.cfg"]}}})
			if err != nil {
				t.Fatal(err)
			}
			checkValues(t, f, synth.ShimGRUB(after), c.blocked)
			if got := changed(f); got != c.changed {
				t.Errorf("PCRs %s change, want %s", got, c.changed)
			}
		})
	}
}

func TestAnUpdateOfDBXIsAppendedWithoutWhatIsThere(t *testing.T) {
	before, after := synth.OnDisk(), synth.OnDisk()
	after.DBX = append(after.DBX, "revoked grub 2.06")
	update := synth.SignedUpdate(synth.HashList(before.DBX[0], "revoked grub 2.06"))
	disk, _ := diskOf(before)
	f, err := machineOf(t, synth.UKI(before), disk).Predict(predict.Future{Changes: []predict.Change{{Kind: predict.DBX, Data: update}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := changed(f); got != "7" {
		t.Errorf("PCRs %s change", got)
	}
	after.MoreDBX = synth.HashList("revoked grub 2.06") // firmware appends a list of its own
	after.DBX = before.DBX
	checkValues(t, f, synth.UKI(after), nil)
}

func TestANewDBXThatForbidsWhatIsBootedIsToldOf(t *testing.T) {
	m := synth.OnDisk()
	disk, _ := diskOf(m)
	machine := machineOf(t, synth.UKI(m), disk)
	var digest eventlog.Hex
	for _, s := range machine.Current().Steps {
		if s.PCR == 4 {
			digest = s.Digests[1].Value // the image is the last but its kernel
		}
	}
	list := synth.HashList("x")
	copy(list[len(list)-32:], digest)
	f, err := machine.Predict(predict.Future{Changes: []predict.Change{{Kind: predict.DBX, Data: list}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Notes) != 1 || !strings.Contains(f.Notes[0], `\EFI\Linux\linux-6.12.41-cloud-amd64.efi`) {
		t.Errorf("%q", f.Notes)
	}
}

func TestPhasesOfSystemdExplainPCR11(t *testing.T) {
	m := synth.OnDisk()
	rec := synth.UKI(m)
	disk, _ := diskOf(m)
	log, err := eventlog.Parse(rec.Log)
	if err != nil {
		t.Fatal(err)
	}
	at := func(phases ...string) eventlog.Values {
		v := valuesOf(rec)
		for bank := range v {
			for _, p := range phases {
				v[bank][11] = bank.Sum(v[bank][11], bank.Sum([]byte(p)))
			}
		}
		return v
	}
	for _, c := range []struct {
		now  []string
		ask  []string
		want []string
	}{
		{now: nil, ask: nil, want: nil},
		{now: []string{"enter-initrd", "leave-initrd", "sysinit", "ready"}, ask: nil, want: []string{"enter-initrd", "leave-initrd", "sysinit", "ready"}},
		{now: []string{"sysinit", "ready"}, ask: []string{}, want: nil},
		{now: []string{"enter-initrd"}, ask: []string{"enter-initrd", "leave-initrd"}, want: []string{"enter-initrd", "leave-initrd"}},
	} {
		machine := predict.New(log, at(c.now...), disk)
		if !slices.Equal(machine.Phases(), c.now) {
			t.Errorf("%v is now, %v was found", c.now, machine.Phases())
		}
		f, err := machine.Predict(predict.Future{Phases: c.ask})
		if err != nil {
			t.Fatal(err)
		}
		want := at(c.want...)[eventlog.SHA256][11]
		if got := f.Values[eventlog.SHA256][11]; !bytes.Equal(got, want) {
			t.Errorf("%v now, %v asked for: %s, want %s", c.now, c.ask, got, want)
		}
	}
	odd := predict.New(log, at("no phase of systemd"), disk).Current()
	if got := confidences(odd)[predict.Blocked]; got != "11" {
		t.Errorf("%q are blocked", got)
	}
}

func TestWhatChangedOnDiskIsTakenOrBlocks(t *testing.T) {
	for name, c := range map[string]struct {
		boot    boot
		change  func(*synth.Machine)
		blocked []int // while nobody says that the disk counts
		still   []int // though the disk counts
	}{
		"a kernel under GRUB":           {synth.ShimGRUB, func(m *synth.Machine) { m.Kernel = synth.NewKernel("2") }, []int{4, 9}, nil},
		"an initrd under GRUB":          {synth.ShimGRUB, func(m *synth.Machine) { m.Initrd = []byte("2") }, []int{9}, nil},
		"a grub.cfg":                    {synth.ShimGRUB, func(m *synth.Machine) { m.Cmdline = "quiet" }, []int{8, 9}, nil},
		"a grub.cfg with a new command": {synth.ShimGRUB, func(m *synth.Machine) { m.GRUBConfig += "\nterminal_output console" }, []int{8, 9}, []int{8, 9}},
		"a loader.conf":                 {synth.SystemdBoot, func(m *synth.Machine) { m.LoaderConf = "timeout 7\n" }, []int{5}, nil},
		"a systemd-boot":                {synth.SystemdBoot, func(m *synth.Machine) { m.SystemdBoot = synth.NewKernel("no") }, []int{4}, nil},
		"a shim":                        {synth.ShimGRUB, func(m *synth.Machine) { m.Shim = synth.NewKernel("no") }, []int{4}, []int{7}},
		"a UKI":                         {synth.UKI, func(m *synth.Machine) { m.Kernel = synth.NewKernel("2") }, []int{4, 9, 11}, []int{9}},
		"a kernel and nothing else":     {synth.Direct, func(m *synth.Machine) { m.Kernel = synth.NewKernel("2") }, []int{4}, nil},
		"nothing that this boot used":   {synth.Direct, func(m *synth.Machine) { m.GRUB = synth.NewKernel("2") }, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := synth.OnDisk(), synth.OnDisk()
			c.change(&after)
			disk, _ := diskOf(after)
			machine := machineOf(t, c.boot(before), disk)
			checkValues(t, machine.Current(), c.boot(before), c.blocked)
			f, err := machine.Predict(predict.Future{Disk: true})
			if err != nil {
				t.Fatal(err)
			}
			checkValues(t, f, c.boot(after), c.still)
		})
	}
}

// A copy of the old grub.cfg, wherever it lies in /boot, is as good as the old one, and does not hide the new one.
func TestACopyOfTheOldConfigurationIsFound(t *testing.T) {
	before, after := synth.OnDisk(), synth.OnDisk()
	after.Cmdline, after.GRUBConfig = "quiet", after.GRUBConfig+"\nset x=1"
	_, tree := diskOf(after)
	tree["boot/grub/booted.cfg"] = &fstest.MapFile{Data: before.Files()["boot/grub/grub.cfg"]}
	machine := machineOf(t, synth.ShimGRUB(before), rootsOf(tree))
	checkValues(t, machine.Current(), synth.ShimGRUB(before), []int{8, 9})
	f, err := machine.Predict(predict.Future{Disk: true})
	if err != nil {
		t.Fatal(err)
	}
	checkValues(t, f, synth.ShimGRUB(after), nil)
}

// TestOldSystemdBootHandsOnTheCommandLineOfAnImage is about versions before 254, where it is in PCR 12 too.
func TestOldSystemdBootHandsOnTheCommandLineOfAnImage(t *testing.T) {
	before, after := synth.OnDisk(), synth.OnDisk()
	before.StubVersion, after.StubVersion, after.Cmdline = 252, 252, "root=LABEL=new ro"
	change := []predict.Change{{Kind: predict.UKI, Name: "/tmp/new.efi", Data: after.UnifiedImage()}}
	disk, tree := diskOf(before)
	f, err := machineOf(t, synth.SystemdBoot(before), disk).Predict(predict.Future{Changes: change})
	if err != nil {
		t.Fatal(err)
	}
	checkValues(t, f, synth.SystemdBoot(after), nil)
	if got := changed(f); got != "4,9,11,12" {
		t.Errorf("PCRs %s change", got)
	}
	clear(tree) // the old image is gone: was the command line its own, or typed?
	if f, err = machineOf(t, synth.SystemdBoot(before), rootsOf(tree)).Predict(predict.Future{Changes: change}); err != nil {
		t.Fatal(err)
	}
	checkValues(t, f, synth.SystemdBoot(after), []int{9, 12})
}

func TestAnEventThatIsAssumedIsCopied(t *testing.T) {
	before, after := synth.OnDisk(), synth.OnDisk()
	after.Initrd = []byte("2")
	disk, _ := diskOf(after)
	machine := machineOf(t, synth.ShimGRUB(before), disk)
	var blocking []int
	for _, p := range machine.Current().PCRs {
		if p.Confidence == predict.Blocked {
			blocking = append(blocking, *p.Event)
		}
	}
	if len(blocking) != 1 {
		t.Fatalf("blocked by %v", blocking)
	}
	f, err := machine.Predict(predict.Future{Assume: []int{blocking[0], blocking[0] + 3}}) // the file, and what the stub got
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.PCRs {
		if p.Index == 9 && p.Confidence == predict.Blocked && *p.Event == blocking[0] {
			t.Error("it still blocks")
		}
	}
}

// FuzzPredict changes everything about machines whose log, and whose every file, is hostile.
func FuzzPredict(f *testing.F) {
	m := synth.OnDisk()
	for _, boot := range boots {
		f.Add(boot(m).Log, m.UnifiedImage())
	}
	f.Add(synth.ShimGRUB(m).Log, []byte("menuentry x {\n}\n"))
	f.Add(synth.Direct(m).Log, m.Disk())
	f.Add(synth.SeaBIOS(m).Log, bzImage("6.1"))
	f.Add(synth.TPM12(m).Log, bzImage("6.1"))
	f.Add(synth.UKI(m).Log, synth.SignedUpdate(synth.HashList("x")))
	f.Fuzz(func(t *testing.T, data, file []byte) {
		log, err := eventlog.Parse(data)
		if err != nil || len(log.Events) > 200 {
			return
		}
		_, tree := diskOf(m)
		for name := range tree {
			tree[name] = &fstest.MapFile{Data: file}
		}
		machine := predict.New(log, nil, rootsOf(tree))
		machine.Origins()
		for _, kind := range []predict.Kind{predict.Shim, predict.GRUB, predict.Loader, predict.LoaderConf, predict.UKI, predict.GRUBConfig,
			predict.Kernel, predict.Initrd, predict.DB, predict.DBX, predict.MOK, predict.GPT, predict.Cmdline, predict.SecureBoot, predict.Kexec} {
			change := predict.Change{Kind: kind, Name: "/boot/x", Data: file, Past: []byte("set x=1\n")}
			if kind == predict.SecureBoot {
				change.Name = "off"
			}
			forecast, err := machine.Predict(predict.Future{Changes: []predict.Change{change}, Disk: true, Phases: []string{"a"}})
			if err == nil {
				predict.Components([]*predict.Forecast{forecast, machine.Current()})
			}
		}
	})
}
