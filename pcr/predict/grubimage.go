package predict

import (
	"bytes"
	"slices"

	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// The modules that are a part of GRUB's image lie in its section "mods" (include/grub/kernel.h, struct grub_module_info64
// and grub_module_header): insmod reads no file for these.
const (
	modulesSection = "mods"
	modulesMagic   = 0x676d696d
	elfModule      = 0
	maxModules     = 1000
)

// modulesOf names them. What cannot be read is left out.
func modulesOf(data []byte) (names []string) {
	image, err := authenticode.Parse(data)
	if err != nil {
		return nil
	}
	section := image.Section(modulesSection)
	if section == nil {
		return nil
	}
	r := wire.LE(section.Data)
	magic, _, offset, size := r.U32(), r.U32(), r.U64(), r.U64()
	if r.Err() != nil || magic != modulesMagic || offset > size || size > uint64(len(section.Data)) {
		return nil
	}
	for r = wire.LE(section.Data[offset:size]); r.Len() > 0 && len(names) < maxModules; {
		kind, length := r.U32(), r.U32()
		body := r.Bytes(int(length) - 8)
		if r.Err() != nil {
			break
		}
		if name := elfSection(body, ".modname"); kind == elfModule && name != nil {
			text, _, _ := bytes.Cut(name, []byte{0})
			names = append(names, string(text))
		}
	}
	return names
}

// elfSection is the content of a section of an ELF64 object (System V ABI, "Sections"), nil where there is none.
func elfSection(elf []byte, name string) []byte {
	if len(elf) < 64 || !bytes.HasPrefix(elf, []byte("\x7fELF\x02\x01")) {
		return nil
	}
	r := wire.LE(elf[40:])
	table := r.U64()
	r = wire.LE(elf[58:])
	size, count, strings := int(r.U16()), int(r.U16()), int(r.U16())
	header := func(n int) (name uint32, content []byte) {
		at := table + uint64(n*size)
		if size < 64 || table > uint64(len(elf)) || at > uint64(len(elf)-64) || len(elf) < 64 {
			return 0, nil
		}
		r := wire.LE(elf[at:])
		name = r.U32()
		r = wire.LE(elf[at+24:])
		from, length := r.U64(), r.U64()
		if from > uint64(len(elf)) || length > uint64(len(elf))-from {
			return 0, nil
		}
		return name, elf[from : from+length]
	}
	_, names := header(strings)
	for n := range count {
		at, content := header(n)
		if int64(at) < int64(len(names)) && bytes.HasPrefix(names[at:], append([]byte(name), 0)) {
			return content
		}
	}
	return nil
}

// Builtin tells whether a module is a part of the GRUB that was started.
func (d *grubDisk) Builtin(module string) bool {
	if d.modules == nil {
		for _, s := range d.p.having(roleGRUB) {
			d.modules = append(d.modules, modulesOf(d.p.bytesOf(s))...)
		}
	}
	return slices.Contains(d.modules, module)
}
