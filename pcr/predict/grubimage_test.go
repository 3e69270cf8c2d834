package predict

import (
	"archive/tar"
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// module is an ELF object with a name in its section .modname, behind the header of a module of GRUB's.
func module(kind uint32, name string) []byte {
	const names = "\x00.modname\x00.names\x00"
	content := append([]byte(name), 0)
	head := wire.NewLE().Bytes([]byte("\x7fELF\x02\x01")).Bytes(make([]byte, 34)).U64(64).Bytes(make([]byte, 10))
	head.U16(64).U16(2).U16(1)
	at := uint64(64 + 2*64)
	section := func(name uint32, from, size int) {
		head.U32(name).Bytes(make([]byte, 20)).U64(uint64(from)).U64(uint64(size)).Bytes(make([]byte, 24))
	}
	section(1, int(at), len(content))
	section(10, int(at)+len(content), len(names))
	elf := head.Bytes(content).Bytes([]byte(names)).Out()
	return wire.NewLE().U32(kind).U32(uint32(8 + len(elf))).Bytes(elf).Out()
}

func modulesImage(modules ...[]byte) []byte {
	body := slices.Concat(modules...)
	section := wire.NewLE().U32(modulesMagic).U32(0).U64(24).U64(uint64(24 + len(body))).Bytes(body).Out()
	return synth.Image([]synth.Section{{Name: "mods", Content: section}})
}

func TestModulesInTheImageAreNamed(t *testing.T) {
	image := modulesImage(module(0, "ext2"), module(1, "memdisk"), module(0, "regexp"))
	if got := modulesIn(image); !slices.Equal(got, []string{"ext2", "regexp"}) {
		t.Errorf("%q", got)
	}
	short := modulesImage(module(0, "ext2"), []byte{0, 0, 0, 0, 255, 255, 0, 0, 1})
	if got := modulesIn(short); !slices.Equal(got, []string{"ext2"}) {
		t.Errorf("%q", got)
	}
	if got := modulesIn([]byte("MZ")); got != nil {
		t.Errorf("%q", got)
	}
}

func modulesIn(image []byte) []string {
	if g := grubImageIn(image); g != nil {
		return g.modules
	}
	return nil
}

// part is what is no module in an image.
func part(kind uint32, content []byte) []byte {
	return wire.NewLE().U32(kind).U32(uint32(8 + len(content))).Bytes(content).Out()
}

// tarOf is an archive as grub-mkstandalone makes it.
func tarOf(t testing.TB, name, content string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []tar.Header{{Name: "boot/", Typeflag: tar.TypeDir}, {Name: "boot/other", Size: 3}, {Name: name, Size: int64(len(content))}} {
		f.Format, f.Mode = tar.FormatUSTAR, 0o600
		if err := w.WriteHeader(&f); err != nil {
			t.Fatal(err)
		}
		body := content
		if f.Name != name {
			body = "xyz"[:f.Size]
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fatOf is a FAT with 12 bits and clusters of a sector, whose one file has them in reverse order.
func fatOf(name string, content []byte) []byte {
	const sector, clusters = 512, 20
	boot := make([]byte, sector)
	copy(boot[11:], wire.NewLE().U16(sector).U8(1).U16(1).U8(1).U16(16).U16(3+clusters).U8(0xf8).U16(1).Out())
	boot[510], boot[511] = 0x55, 0xaa
	table, root, data := make([]byte, sector), make([]byte, sector), make([]byte, clusters*sector)
	put := func(n, v int) {
		at := n + n/2
		old := int(table[at]) | int(table[at+1])<<8
		if n%2 == 1 {
			v = v<<4 | old&0xf
		} else {
			v |= old & 0xf000
		}
		table[at], table[at+1] = byte(v), byte(v>>8)
	}
	first, prev := 0, 0
	for i := 0; i < len(content); i += sector {
		n := 2 + clusters - 1 - i/sector
		copy(data[(n-2)*sector:], content[i:min(len(content), i+sector)])
		if prev == 0 {
			first = n
		} else {
			put(prev, n)
		}
		put(n, 0xfff)
		prev = n
	}
	entry := append([]byte(name), make([]byte, 21)...)
	copy(entry[26:], wire.NewLE().U16(uint16(first)).U32(uint32(len(content))).Out())
	copy(root[32:], entry)
	copy(root, "GRUB    CFG\x08") // a label of the same name
	return slices.Concat(boot, table, root, data)
}

func TestFilesInTheImageAreRead(t *testing.T) {
	long := strings.Repeat("set x=1\n", 200)
	for name, c := range map[string]struct {
		memdisk    []byte
		path, want string
	}{
		"an archive":               {tarOf(t, "boot/grub/grub.cfg", long), "(memdisk)/boot/grub/grub.cfg", long},
		"an empty file":            {tarOf(t, "boot/grub/grub.cfg", ""), "(memdisk)/boot/grub/grub.cfg", ""},
		"another file":             {tarOf(t, "boot/grub/grub.cfg", long), "(memdisk)/grub.cfg", "none"},
		"a FAT":                    {fatOf("GRUB    CFG", []byte(long)), "(memdisk)/grub.cfg", long},
		"a FAT without it":         {fatOf("GRUB    CF ", []byte(long)), "(memdisk)/grub.cfg", "none"},
		"a FAT cut short":          {fatOf("GRUB    CFG", []byte(long))[:9000], "(memdisk)/grub.cfg", "none"},
		"another device":           {fatOf("GRUB    CFG", []byte(long)), "(hd0)/grub.cfg", "none"},
		"a name that is too long":  {fatOf("GRUB    CFG", []byte(long)), "(memdisk)/grubgrubgrub.cfg", "none"},
		"an archive that is short": {tarOf(t, "boot/grub/grub.cfg", long)[:2600], "(memdisk)/boot/grub/grub.cfg", "none"},
		"nothing":                  {nil, "(memdisk)/grub.cfg", "none"},
	} {
		g := grubImageIn(modulesImage(part(memdiskModule, c.memdisk), part(configModule, []byte("normal (memdisk)/grub.cfg\n\x00\x00")),
			part(prefixModule, []byte("/EFI/x\x00\x00"))))
		data, ok := g.file(c.path)
		if ok != (c.want != "none") || ok && string(data) != c.want {
			t.Errorf("%s: %v, %d bytes", name, ok, len(data))
		}
		if g.config != "normal (memdisk)/grub.cfg\n" || g.prefix != "/EFI/x" {
			t.Errorf("%q %q", g.config, g.prefix)
		}
	}
}

// FuzzModules reads any image.
func FuzzModules(f *testing.F) {
	f.Add(module(0, "ext2"))
	f.Add(part(memdiskModule, tarOf(f, "grub.cfg", "set x=1")))
	f.Add(part(memdiskModule, fatOf("GRUB    CFG", make([]byte, 1000))))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if g := grubImageIn(modulesImage(data)); g != nil {
			g.file("(memdisk)/grub.cfg")
		}
		tarFile(data, "grub.cfg")
		fatFile(data, "grub.cfg")
		elfSection(data, ".modname")
	})
}

// GRUBImageForTest is an image with a configuration of its own and an archive with a grub.cfg in it.
func GRUBImageForTest(t testing.TB, start, config string, modules ...string) []byte {
	parts := [][]byte{part(configModule, []byte(start+"\x00")), part(prefixModule, []byte("/EFI/debian\x00"))}
	if config != "" {
		parts = append(parts, part(memdiskModule, tarOf(t, "grub.cfg", config)))
	}
	for _, name := range modules {
		parts = append(parts, module(elfModule, name))
	}
	return modulesImage(parts...)
}
