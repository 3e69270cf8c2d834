package predict

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// The firmware of a virtual machine gets the kernel of QEMU's -kernel by a file system of its own with this name (OVMF,
// QemuKernelLoaderFsDxe), and tells the kernel of its initrd by a word that it adds to the command line.
const (
	qemuMedia  = "1428f772-b64a-441e-b8c3-9ebdd7f893c7"
	qemuInitrd = " initrd=initrd"
)

// handover is how QEMU has filled in the header of a kernel that it handed over: a boot loader's part of it, though no
// boot loader runs (hw/i386/x86.c, x86_load_linux; Linux, Documentation/arch/x86/boot.rst).
type handover struct {
	memory uint64 // bytes below 4 GiB
	initrd int    // bytes
}

// ofQEMU tells a kernel that QEMU handed to the firmware.
func (s *step) ofQEMU() bool {
	d, ok := s.decoded.(*eventlog.ImageLoad)
	return ok && d.Path != nil && strings.Contains(strings.ToLower(d.Path.Text), qemuMedia)
}

// The fields of the header that count here, by their places in the file.
const (
	bootMagic    = 0x202 // "HdrS"
	bootProtocol = 0x206
	loaderType   = 0x210
	loadFlags    = 0x211
	initrdAddr   = 0x218
	initrdSize   = 0x21c
	heapEnd      = 0x224
	cmdlineAddr  = 0x228
	initrdMax    = 0x22c
	loadableTo   = 0x236 // XLF_*
	headerEnd    = 0x268

	minProtocol = 0x203 // older kernels, of 2004, know no highest address of an initrd
)

// isLinux tells a kernel that QEMU can hand over.
func isLinux(data []byte) bool {
	return len(data) >= headerEnd && bytes.HasPrefix(data[bootMagic:], []byte("HdrS")) &&
		binary.LittleEndian.Uint16(data[bootProtocol:]) >= minProtocol && data[loadFlags]&1 != 0
}

// fill fills in the header of a kernel.
func (h handover) fill(kernel []byte) {
	const (
		qemu, canUseHeap, above4G = 0xb0, 0x80, 2
		setupAt, textAt           = 0x10000, 0x20000
		acpi                      = 0x28000 // room for tables, at the end of memory
		page                      = 4096
	)
	le := binary.LittleEndian
	le.PutUint32(kernel[cmdlineAddr:], textAt)
	kernel[loaderType] = qemu
	kernel[loadFlags] |= canUseHeap
	le.PutUint16(kernel[heapEnd:], textAt-setupAt-0x200)
	if h.initrd == 0 {
		return
	}
	last := uint64(le.Uint32(kernel[initrdMax:]))
	if le.Uint16(kernel[bootProtocol:]) >= 0x20c && kernel[loadableTo]&above4G != 0 {
		last = 1<<32 - 1
	}
	last = min(last, h.memory-acpi-1)
	le.PutUint32(kernel[initrdAddr:], uint32(last-uint64(h.initrd))&^(page-1))
	le.PutUint32(kernel[initrdSize:], uint32(h.initrd))
}

// covered is what firmware measures of a kernel that was handed over so.
func (h handover) covered(kernel []byte) ([][]byte, error) {
	kernel = bytes.Clone(kernel)
	h.fill(kernel)
	image, err := authenticode.Parse(kernel)
	if err != nil {
		return nil, err
	}
	return image.Covered()
}

// maxHandovers bounds how often a kernel is hashed to find out how it was handed over.
const maxHandovers = 256

// deriveHandover finds out how QEMU handed the kernel of this boot over, from that kernel and its initrd among the files.
func (m *Machine) deriveHandover() {
	for _, s := range m.steps {
		d, ok := s.decoded.(*eventlog.ImageLoad)
		if ok && s.role == roleKernel && s.ofQEMU() && s.grade != Exact { // a newer QEMU hands a kernel over as it is
			m.searchHandover(s, uint64(d.Location))
		}
	}
}

func (m *Machine) searchHandover(s *step, kernelAt uint64) {
	tries := 0
	kernels, initrds := m.handedFiles()
	for memory := range lowMemory(kernelAt) {
		for _, kernel := range kernels {
			for _, size := range initrds {
				if tries++; tries > maxHandovers {
					return
				}
				h := handover{memory, size}
				if parts, err := h.covered(kernel.data); err == nil && s.event.Covers(parts...) {
					s.follows("the kernel, with the header that QEMU gave it")
					s.origin.File, s.handover = kernel.path, &h
					return
				}
			}
		}
	}
}

// handed is a file that QEMU may have handed over.
type handed struct {
	path string
	data []byte
}

// handedFiles are the kernels among the files, and the sizes of what may have been the initrd: the one that was measured,
// or where none was, for the stub measures into no TPM 1.2, every file that looks like one, or none at all.
func (m *Machine) handedFiles() (kernels []handed, initrds []int) {
	measured := false
	for _, s := range m.steps {
		if s.role == roleInitrd {
			measured = true
			if data := m.read(s.origin.File); data != nil {
				initrds = append(initrds, len(data))
			}
		}
	}
	if !measured {
		initrds = append(initrds, 0)
	}
	for f := range m.disk.Files {
		data, err := f.Read()
		switch {
		case err != nil: // it explains nothing
		case isLinux(data):
			kernels = append(kernels, handed{f.Path, data})
		case !measured && isInitrd(data) && !slices.Contains(initrds, len(data)):
			initrds = append(initrds, len(data))
		}
	}
	return kernels, initrds
}

// isInitrd tells a file that the kernel can unpack, by how it begins.
func isInitrd(data []byte) bool {
	return slices.ContainsFunc([]string{"07070", "\x1f\x8b", "\xfd7zXZ", "\x28\xb5\x2f\xfd", "\x02\x21\x4c\x18", "BZh", "]\x00\x00", "\x89LZO"},
		func(magic string) bool { return bytes.HasPrefix(data, []byte(magic)) })
}

// lowMemory yields what the memory below 4 GiB may come to, the likely first. Firmware loads the kernel near its end.
func lowMemory(kernelAt uint64) iter.Seq[uint64] {
	const mib, end = 1 << 20, 1 << 32
	return func(yield func(uint64) bool) {
		if kernelAt >= end {
			kernelAt = 0 // above it, which tells nothing
		}
		for memory := kernelAt/(64*mib)*(64*mib) + 64*mib; memory <= end; memory += 64 * mib {
			if !yield(memory) {
				return
			}
		}
		for memory := kernelAt/mib*mib + mib; memory < kernelAt+256*mib; memory += mib {
			if !yield(memory) {
				return
			}
		}
	}
}

// handOver measures the kernels that QEMU will hand over.
func (p *plan) handOver() error {
	for _, s := range p.having(roleKernel) {
		switch {
		case !s.ofQEMU():
		case strings.Contains(p.cmdlineGiven, "vga="):
			s.block("QEMU writes what the command line says of vga= into the kernel's header")
		case s.given != nil || p.initrdGiven != nil:
			if err := p.fillHeader(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillHeader measures a kernel with the header that QEMU will give it: that says how long the initrd is, and where.
func (p *plan) fillHeader(s *step) error {
	asItIs := s.handover == nil && s.grade == Exact
	switch {
	case asItIs && s.given == nil:
		return nil
	case asItIs:
		return s.measureImage(s.given)
	case s.handover == nil:
		s.block("QEMU changes the header of a kernel that it loads itself (-kernel). " +
			"Put the kernel and the initrd that it loaded into one folder: --esp DIR")
		return nil
	}
	h, kernel := *s.handover, s.given
	if kernel == nil {
		kernel = p.m.read(s.origin.File)
	}
	if p.initrdGiven != nil {
		h.initrd = len(p.initrdGiven)
	}
	parts, err := h.covered(kernel)
	if err != nil {
		return fail.E(fail.BadInput, "%w", err).Hint("an EFI image is wanted")
	}
	s.measure(parts...)
	return nil
}

// handedCmdline replaces the command line of QEMU's -append, to which firmware adds a word about the initrd. It tells
// whether there is one.
func (p *plan) handedCmdline(running, text string) bool {
	if !slices.ContainsFunc(p.having(roleKernel), (*step).ofQEMU) {
		return false
	}
	if strings.HasSuffix(running, qemuInitrd) && !strings.HasSuffix(text, qemuInitrd) {
		text += qemuInitrd
	}
	for _, s := range p.having(roleOptions) {
		if s.text == nil {
			s.block("the command line of this boot is not at hand, so how it was measured is not known. " +
				"--root DIR takes it from DIR/proc/cmdline, as the guest shows it")
			continue
		}
		s.measure(s.text.write(text))
	}
	return true
}
