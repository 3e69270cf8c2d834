package predict

import (
	"bytes"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// What grub-mkimage puts into an image lies in its section "mods" (include/grub/kernel.h, struct grub_module_info64 and
// grub_module_header).
const (
	modulesSection = "mods"
	modulesMagic   = 0x676d696d
	maxModules     = 1000

	elfModule     = 0
	memdiskModule = 1
	configModule  = 2
	prefixModule  = 3
)

// grubImage is what an image brings along.
type grubImage struct {
	modules []string // insmod reads no file for these
	config  string   // is run first
	prefix  string   // where grub.cfg is, if that says nothing else
	memdisk []byte
}

// grubImageIn takes an image apart. What cannot be read is left out; it is nil where there is no such section.
func grubImageIn(data []byte) *grubImage {
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
	g := &grubImage{}
	r = wire.LE(section.Data[offset:size])
	for range maxModules {
		kind, length := r.U32(), r.U32()
		body := r.Bytes(int(length) - 8)
		if r.Err() != nil {
			break
		}
		text, _, _ := bytes.Cut(body, []byte{0})
		switch kind {
		case elfModule:
			if name := elfSection(body, ".modname"); name != nil {
				name, _, _ = bytes.Cut(name, []byte{0})
				g.modules = append(g.modules, string(name))
			}
		case memdiskModule:
			g.memdisk = body
		case configModule:
			g.config = string(text)
		case prefixModule:
			g.prefix = string(text)
		}
	}
	return g
}

// replaceGRUB replaces GRUB's image, and what follows from what it brings along.
func (p *plan) replaceGRUB(c Change) error {
	was := p.grubImage()
	if err := p.image(c, roleGRUB); err != nil {
		return err
	}
	now := p.grubImage()
	if all := p.having(roleGRUBConfig); now == nil && was != nil && len(all) > 0 {
		p.blockCommands(all[0], "what the new GRUB brings along cannot be read")
	}
	if now == nil {
		return nil
	}
	for s := range p.files {
		name := s.named()
		if device(name) != memdiskDevice {
			continue
		}
		data, ok := now.file(name)
		switch {
		case !ok:
			p.blockCommands(s, "the new GRUB has no "+name+" that can be read")
		case s.event.Covers(data):
		case s.role == roleGRUBConfig:
			c := Change{Kind: GRUBConfig, Old: name, Data: data}
			if was != nil {
				if past, ok := was.file(name); ok && s.event.Covers(past) {
					c.Past = past
				}
			}
			if err := p.grubConfig(c); err != nil {
				return err
			}
		default:
			s.given = data
			s.measure(data)
		}
	}
	p.compareImages(was, now)
	return nil
}

// compareImages blocks what a difference of two images may change and nobody can tell.
func (p *plan) compareImages(was, now *grubImage) {
	all := p.having(roleGRUBConfig)
	switch {
	case len(all) == 0:
		return
	case was == nil:
		p.trustLess(all[0], "the GRUB of this boot is not at hand: that the new one begins with the same commands and modules is taken for granted")
		return
	}
	if was.config != now.config || was.prefix != now.prefix {
		p.blockCommands(all[0], "the new GRUB begins with other commands or in another folder than that of this boot")
	}
	for _, d := range p.commands {
		module, ok := strings.CutPrefix(d.Text, "insmod ")
		if ok && slices.Contains(was.modules, module) != slices.Contains(now.modules, module) {
			all[0].block("the module " + module + " is a part of one GRUB and a file of the other")
		}
	}
}

// grubImage is what the image brings along that will be started; nil where that is not at hand.
func (p *plan) grubImage() *grubImage {
	for _, s := range p.having(roleGRUB) {
		if g := grubImageIn(p.bytesOf(s)); g != nil {
			return g
		}
	}
	return nil
}

// files yields the steps in which GRUB read a file.
func (p *plan) files(yield func(*step) bool) {
	for _, s := range slices.Clone(p.steps) {
		if (s.role == roleGRUBConfig || s.role == roleGRUBFile) && !s.gone && !yield(s) {
			return
		}
	}
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

// Builtin tells whether a module is a part of the GRUB that will be started.
func (d *grubDisk) Builtin(module string) bool {
	g := d.inside()
	return g != nil && slices.Contains(g.modules, module)
}

// inside is what GRUB's image brings along: that of this boot, or the one that will be started.
func (d *grubDisk) inside() *grubImage {
	if d.image == nil {
		steps := d.p.having(roleGRUB)
		if d.past {
			steps = slices.DeleteFunc(slices.Clone(d.p.m.steps), func(s *step) bool { return s.role != roleGRUB })
		}
		for _, s := range steps {
			data := d.p.bytesOf(s)
			if d.past {
				data = d.p.m.read(s.origin.File)
			}
			if g := grubImageIn(data); g != nil {
				d.image = g
			}
		}
	}
	return d.image
}
