package files_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// event measured bytes in two banks.
func event(data []byte) *eventlog.Event {
	return &eventlog.Event{PCR: 9, Type: eventlog.EVIPL, Digests: eventlog.DigestsOf(
		eventlog.Digest{Alg: eventlog.SHA1, Value: eventlog.SHA1.Sum(data)},
		eventlog.Digest{Alg: eventlog.SHA256, Value: eventlog.SHA256.Sum(data)},
	)}
}

func disk(paths map[string][]byte, dirs ...string) *files.Disk {
	tree := fstest.MapFS{}
	for p, data := range paths {
		tree[p] = &fstest.MapFile{Data: data}
	}
	d := &files.Disk{}
	for _, dir := range dirs {
		sub, err := tree.Sub(dir)
		if err != nil {
			panic(err)
		}
		d.Roots = append(d.Roots, files.Root{Name: "/" + dir, FS: sub, Walk: true})
	}
	d.Roots = append(d.Roots, files.Root{Name: "/", FS: tree})
	return d
}

func TestAPathOfABootIsLookedForOnEveryPartition(t *testing.T) {
	d := disk(map[string][]byte{
		"boot/efi/EFI/debian/shimx64.efi": nil, "boot/vmlinuz-1": nil, "vmlinuz": nil, "boot/vmlinuz": nil,
	}, "boot/efi", "boot")
	for path, want := range map[string]string{
		`\EFI\debian\shimx64.efi`:   "[/boot/efi/EFI/debian/shimx64.efi]",
		`\efi\DEBIAN\ShimX64.EFI`:   "[/boot/efi/EFI/debian/shimx64.efi]",
		"(hd0,gpt2)/vmlinuz-1":      "[/boot/vmlinuz-1]",
		"/boot/vmlinuz-1":           "[/boot/vmlinuz-1]",
		"(lvm/vg-root)/vmlinuz":     "[/boot/vmlinuz /vmlinuz]",
		"/../../boot/vmlinuz-1":     "[/boot/vmlinuz-1]",
		"/EFI/debian":               "[]", // a folder
		"":                          "[]",
		"(":                         "[]",
		"/no/such/file":             "[]",
		`\EFI\debian\grubx64.efi`:   "[]",
		"/boot/vmlinuz-1/and/below": "[]",
	} {
		var got []string
		for _, f := range d.Named(path) {
			got = append(got, f.Path)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", path, got, want)
		}
	}
}

func TestAFileIsKnownByWhatWasMeasuredOfIt(t *testing.T) {
	m := synth.OnDisk()
	uki := m.UnifiedImage()
	d := disk(map[string][]byte{
		"boot/efi/uki.efi": uki, "boot/efi/empty": {}, "boot/initrd": []byte("initrd"), "etc/secret": []byte("elsewhere"),
	}, "boot/efi", "boot")
	for name, c := range map[string]struct {
		data []byte
		want files.Origin
	}{
		"content":              {[]byte("initrd"), files.Origin{File: "/boot/initrd", As: "content"}},
		"a section":            {[]byte(m.Cmdline), files.Origin{File: "/boot/efi/uki.efi", As: "section .cmdline"}},
		"a whole image":        {uki, files.Origin{File: "/boot/efi/uki.efi", As: "content"}},
		"a file outside /boot": {[]byte("elsewhere"), files.Origin{}},
		"nothing at all":       {nil, files.Origin{}},
		"something unknown":    {[]byte("unknown"), files.Origin{}},
	} {
		got, ok := d.Find(event(c.data))
		if got != c.want || ok != (c.want.File != "") {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for _, bank := range []eventlog.Alg{eventlog.SHA1, eventlog.SHA384} { // a log whose events have other banks than the first one
		e := &eventlog.Event{Digests: eventlog.DigestsOf(eventlog.Digest{Alg: bank, Value: bank.Sum([]byte("initrd"))})}
		if o, ok := d.Find(e); !ok || o.File != "/boot/initrd" {
			t.Errorf("%s: %v", bank, o)
		}
	}
	if o, ok := d.Find(&eventlog.Event{}); ok {
		t.Errorf("an event without digests is of %v", o)
	}
}

func TestReadingsOfAnImage(t *testing.T) {
	m := synth.OnDisk()
	var got []string
	for as := range files.Readings(m.UnifiedImage()) {
		got = append(got, as)
	}
	want := "[content authenticode section .text section .sdmagic section .linux authenticode of section .linux " +
		"section .osrel section .cmdline section .initrd section .uname]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestAFileByItsFullName(t *testing.T) {
	d := disk(map[string][]byte{"boot/efi/a": []byte("x"), "b": nil}, "boot/efi", "boot")
	for _, path := range []string{"/boot/efi/a", "/b"} {
		if f, ok := d.At(path); !ok || f.Path != path {
			t.Errorf("%s: %v", path, f)
		}
	}
	if f, ok := d.At("/boot/efi/a"); ok {
		if data, err := f.Read(); err != nil || !bytes.Equal(data, []byte("x")) {
			t.Errorf("%q, %v", data, err)
		}
	}
	for _, path := range []string{"", "/", "/boot", "/none", "relative"} {
		if f, ok := d.At(path); ok {
			t.Errorf("%q is %v", path, f)
		}
	}
}

// FuzzReadings reads any file in every way: what is hashed is never more than a few times the file.
func FuzzReadings(f *testing.F) {
	m := synth.OnDisk()
	f.Add(m.UnifiedImage())
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for _, parts := range files.Readings(data) {
			for _, p := range parts {
				n += len(p)
			}
		}
		if n > 4*len(data)+256<<16 {
			t.Errorf("%d bytes are hashed of %d", n, len(data))
		}
	})
}
