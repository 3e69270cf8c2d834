package predict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// software are the parts every boot of Linux has, whether it measures them or not.
var software = map[Kind]string{Kernel: "kernel", Initrd: "initrd", Cmdline: "command line", GRUBConfig: "grub.cfg"}

// unmeasured deals with a change of what this way to boot measures nowhere, which no PCR will show. It tells whether it is
// one.
func (p *plan) unmeasured(c Change) bool {
	why := p.silence(c.Kind)
	if why == "" {
		return false
	}
	p.note("the %s is not measured by this boot: %s", software[c.Kind], why)
	return true
}

// silence is why this way to boot does not measure a part of it; "" where it does, or has no such part.
func (p *plan) silence(k Kind) string {
	measured := map[Kind][]role{
		Kernel: {roleKernel, roleGRUBKernel}, Initrd: {roleInitrd, roleGRUBInitrd},
		Cmdline: {roleOptions, roleGRUBKernel}, GRUBConfig: {roleGRUBConfig},
	}
	if software[k] == "" || slices.ContainsFunc(measured[k], func(r role) bool { return len(p.having(r)) > 0 }) {
		return ""
	}
	switch {
	case p.legacy():
		switch {
		case p.bootSector() != nil:
			return "legacy firmware measures the first sector of the disk, and what that starts measures nothing"
		case k != GRUBConfig:
			return "legacy firmware was handed it by QEMU, and measures none of that"
		}
		return ""
	case k == GRUBConfig || p.byLoader():
		return ""
	case k != Initrd && p.withoutImage():
		return "the firmware did not load the kernel as an image, but jumped into it (EFI handover protocol)"
	case k == Cmdline && p.m.texts()[fromOption] != "":
		return ""
	case k == Initrd && len(p.having(roleOptions)) > 0 && len(initrdWords(p.m.texts())) > 0:
		return "the kernel's EFI stub reads it by the word initrd= of its command line, and measures only what a loader hands it"
	case k != Kernel && p.m.log.Format == eventlog.FormatSHA1 && len(p.having(roleKernel)) > 0:
		return "the kernel's EFI stub measures into no TPM 1.2"
	}
	return ""
}

// byLoader tells a boot by a loader that measures.
func (p *plan) byLoader() bool {
	return slices.ContainsFunc(p.steps, func(s *step) bool { _, ok := s.decoded.(*eventlog.Loader); return ok })
}

// withoutImage tells a boot in which firmware measured no image, but the kernel's EFI stub its initrd: under Secure Boot OVMF
// cannot load the kernel of QEMU's -kernel, whose header is not what was signed, and starts it the older way.
func (p *plan) withoutImage() bool {
	return len(p.having(roleInitrd)) > 0 && len(p.having(roleOptions)) == 0 &&
		!slices.ContainsFunc(p.steps, func(s *step) bool { _, ok := s.decoded.(*eventlog.ImageLoad); return ok })
}

// loadedAgain blocks what such a boot measures once nobody verifies images: the kernel and its command line as well.
func (p *plan) loadedAgain() {
	for _, s := range p.steps {
		if s.event.PCR == imagePCR || s.role == roleInitrd {
			s.block("without Secure Boot the firmware loads the kernel as an image, and it and its command line are measured")
		}
	}
}

// legacy tells a boot by firmware without UEFI, after which nothing was measured (PC Client Implementation Specification
// for Conventional BIOS, "Calling INT 19h").
func (p *plan) legacy() bool {
	called := false
	for _, s := range p.steps {
		switch {
		case s.event.Content != eventlog.ContentPCClient || !s.event.Extends():
		case s.event.PCR > lastFirmware:
			return false
		case s.event.Type == eventlog.EVAction && strings.HasPrefix(string(s.event.Data), "Calling INT 19h"):
			called = true
		}
	}
	return called
}

// lastFirmware is the last of the PCRs that firmware extends.
const lastFirmware = 7

// bootSector is the step in which legacy firmware measured the code in the first sector of a disk.
func (p *plan) bootSector() *step {
	for _, s := range p.steps {
		if d, ok := s.decoded.(*eventlog.Loader); ok && d.What == "mbr" {
			return s
		}
	}
	return nil
}

// The parts of a disk's first sector: code, then the disk's signature, the partition table and the mark at the end.
const (
	sectorTable = 440
	sectorSize  = 512
)

// firstSector replaces the first sector of the disk, of which legacy firmware measures the code in PCR 4 and the table in
// PCR 5 (SeaBIOS, tcgbios.c, tpm_add_bcv).
func (p *plan) firstSector(c Change) error {
	if len(c.Data) < sectorSize || c.Data[sectorSize-2] != 0x55 || c.Data[sectorSize-1] != 0xaa {
		return fail.E(fail.BadInput, "no boot sector: its last two bytes are not 55 aa").Hint("wanted is the disk (/dev/vda), or an image of it")
	}
	p.bootSector().measure(c.Data[:sectorTable])
	for _, s := range p.steps {
		if s.event.Type == eventlog.EVIPLPartitionData {
			s.measure(c.Data[sectorTable:sectorSize])
		}
	}
	return nil
}

// absent is the error about a change of what this way to boot does not have.
func (p *plan) absent(k Kind) error {
	var here []string
	for _, k := range kinds {
		if p.has(k) {
			here = append(here, "--"+string(k))
		}
	}
	err := fail.E(fail.Usage, "--%s: this machine was started by %s, and that measured none", k, p.starter())
	if len(here) == 0 {
		return err.Hint("vtpmctl eventlog explain tells what this machine boots")
	}
	return err.Hint("what can be foretold of such a boot: %s", strings.Join(here, ", "))
}

// kinds are all kinds of changes, as flags are listed.
var kinds = []Kind{Shim, GRUB, Loader, LoaderConf, UKI, GRUBConfig, Kernel, Initrd, Cmdline, DB, DBX, MOK, GPT, SecureBoot, Kexec}

// has tells whether a change of a kind makes sense for this boot.
func (p *plan) has(k Kind) bool {
	roles := map[Kind][]role{
		Shim: {roleShim}, GRUB: {roleGRUB}, Loader: {roleSystemdBoot}, LoaderConf: {roleLoaderConf}, UKI: {roleUKI},
		GRUBConfig: {roleGRUBConfig}, Kernel: {roleKernel, roleGRUBKernel}, Initrd: {roleInitrd, roleGRUBInitrd}, MOK: {roleMok, roleShim},
	}
	some := slices.ContainsFunc(roles[k], func(r role) bool { return len(p.having(r)) > 0 })
	whole := len(p.having(roleUKI)) > 0 // which has its kernel and the others in itself
	switch k {
	case Kernel, Initrd:
		return !whole && some || p.silence(k) != ""
	case Cmdline:
		return !whole && (len(p.having(roleOptions)) > 0 || p.m.texts()[fromGRUB] != "") || p.silence(k) != ""
	case GRUBConfig:
		return some || p.silence(k) != ""
	case DB, DBX:
		return p.variable(string(k)) != nil
	case SecureBoot:
		return p.secureBoot()
	case GPT:
		return p.bootSector() != nil || slices.ContainsFunc(p.steps, func(s *step) bool { return s.event.Type == eventlog.EVEFIGPTEvent })
	case Kexec:
		return true
	}
	return some
}

// starter names what started the machine, as the log shows it.
func (p *plan) starter() string {
	var parts []string
	for _, part := range []struct {
		role role
		name string
	}{{roleShim, "shim"}, {roleGRUB, "GRUB"}, {roleSystemdBoot, "systemd-boot"}, {roleUKI, "a unified kernel image"}} {
		if len(p.having(part.role)) > 0 {
			parts = append(parts, part.name)
		}
	}
	kernel := p.having(roleKernel)
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case p.legacy() && p.bootSector() != nil:
		return "legacy firmware from the first sector of a disk"
	case p.legacy():
		return "legacy firmware"
	case p.withoutImage(), slices.ContainsFunc(kernel, (*step).ofQEMU):
		return "QEMU's -kernel"
	case len(kernel) > 0:
		return fmt.Sprintf("the firmware, which loads %s", kernel[0].what())
	}
	return "something that the log does not tell"
}
