package predict

import (
	"slices"
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
	if got := modulesOf(image); !slices.Equal(got, []string{"ext2", "regexp"}) {
		t.Errorf("%q", got)
	}
	short := modulesImage(module(0, "ext2"), []byte{0, 0, 0, 0, 255, 255, 0, 0, 1})
	if got := modulesOf(short); !slices.Equal(got, []string{"ext2"}) {
		t.Errorf("%q", got)
	}
	if got := modulesOf([]byte("MZ")); got != nil {
		t.Errorf("%q", got)
	}
}

// FuzzModules reads any image.
func FuzzModules(f *testing.F) {
	f.Add(module(0, "ext2"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		modulesOf(modulesImage(data))
		elfSection(data, ".modname")
	})
}
