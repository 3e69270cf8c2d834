package predict

import (
	"path"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

// role is the part a measured thing plays in a boot.
type role int

const (
	roleNone role = iota

	// images, in PCR 4
	roleShim
	roleGRUB
	roleSystemdBoot
	roleUKI
	roleInner  // the kernel in a UKI, which firmware measures once more when the stub loads it
	roleKernel // a kernel of its own

	// files that GRUB read, in PCR 9
	roleGRUBKernel
	roleGRUBInitrd
	roleGRUBConfig
	roleGRUBFile

	roleSection    // of a UKI, in PCR 11
	roleOptions    // the command line as the kernel's EFI stub got it
	roleInitrd     // the initrd as the stub got it
	roleLoaderConf // of systemd-boot
	roleMok        // shim's lists
)

// The PCRs and tags of boot loaders (UAPI.7; Linux, efistub.h; systemd, measure.h).
const (
	imagePCR       = 4
	grubCommandPCR = 8
	grubFilePCR    = 9
	ukiPCR         = 11
	shimPCR        = 14

	tagOptions    = 0x8f3b22ed
	tagInitrd     = 0x8f3b22ec
	tagLoaderConf = 0xf5bc582a
)

// assignRoles tells the parts of a boot by what surrounds them: who measures GRUB's commands was started just before the
// first of them.
func assignRoles(steps []*step) {
	var images []int
	grub, section, shim := -1, -1, -1
	first := func(at *int, i int) {
		if *at < 0 {
			*at = i
		}
	}
	for i, s := range steps {
		switch d := s.decoded.(type) {
		case *eventlog.ImageLoad:
			if s.event.Type == eventlog.EVEFIBootServicesApp && s.event.PCR == imagePCR && !inFirmware(d) {
				images = append(images, i)
			}
		case *eventlog.Loader:
			switch {
			case d.Producer == "grub":
				first(&grub, i)
			case d.Producer == "shim":
				first(&shim, i)
				s.role = roleMok
			case d.What == "section":
				first(&section, i)
				s.role = roleSection
			}
		case *eventlog.Variable:
			if s.event.Type == eventlog.EVEFIVariableAuthority && d.GUID.Name() == "shim" {
				first(&shim, i)
			}
		case *eventlog.Tagged:
			s.role = tagRole(d)
		case *eventlog.Windows:
			return // its loader is no kernel, and nothing else of it is known here
		}
	}
	lastBefore := func(i int) int {
		last := -1
		for _, n := range images {
			if n < i {
				last = n
			}
		}
		return last
	}
	give := func(i int, r role) {
		if i >= 0 && steps[i].role == roleNone {
			steps[i].role = r
		}
	}
	last := len(steps)
	if section >= 0 {
		last = lastBefore(section)
		give(last, roleUKI)
	}
	if grub >= 0 {
		give(lastBefore(grub), roleGRUB)
	}
	give(lastBefore(shim), roleShim)
	for _, i := range images {
		switch {
		case section >= 0 && i > section:
			give(i, roleInner)
		case section < 0 && i == images[len(images)-1]:
			give(i, roleKernel)
		}
	}
	for _, i := range images { // GRUB has shim judge the kernel twice, and shim measures it each time
		if last := steps[images[len(images)-1]]; last.role == roleKernel && steps[i].twin(last) {
			give(i, roleKernel)
		}
	}
	for _, i := range images { // what is left between shim and the kernel
		if i < last && grub < 0 && steps[i].role == roleNone && i == lastBefore(min(last, images[len(images)-1])) {
			give(i, roleSystemdBoot)
		}
	}
	assignGRUBFiles(steps)
}

// inFirmware leaves out applications that firmware has in itself, such as its menu.
func inFirmware(d *eventlog.ImageLoad) bool {
	return d.Path != nil && (strings.Contains(d.Path.Text, "Fv(") || strings.Contains(d.Path.Text, "FvFile("))
}

func tagRole(d *eventlog.Tagged) role {
	if len(d.Records) == 1 {
		switch d.Records[0].ID {
		case tagOptions:
			return roleOptions
		case tagInitrd:
			return roleInitrd
		case tagLoaderConf:
			return roleLoaderConf
		}
	}
	return roleNone
}

// assignGRUBFiles tells what the files are that GRUB read, by the commands that name them.
func assignGRUBFiles(steps []*step) {
	kernels, initrds := make(map[string]bool), make(map[string]bool)
	for _, s := range steps {
		d, ok := s.decoded.(*eventlog.Loader)
		if !ok || d.Producer != "grub" {
			continue
		}
		words := strings.Fields(d.Text)
		switch {
		case d.What == "kernel_cmdline" && len(words) > 0:
			kernels[onPartition(words[0])] = true
		case d.What == "command" && len(words) > 1 && strings.HasPrefix(words[0], "initrd"):
			for _, w := range words[1:] {
				initrds[onPartition(w)] = true
			}
		case d.What == "command" && len(words) > 1 && (words[0] == "linux" || words[0] == "linuxefi" || words[0] == "linux16"):
			kernels[onPartition(words[1])] = true
		}
	}
	for _, s := range steps {
		d, ok := s.decoded.(*eventlog.Loader)
		if !ok || d.Producer != "grub" || d.What != "file" {
			continue
		}
		switch p := onPartition(d.Text); {
		case kernels[p]:
			s.role = roleGRUBKernel
		case initrds[p]:
			s.role = roleGRUBInitrd
		case strings.HasSuffix(p, ".cfg"):
			s.role = roleGRUBConfig
		default:
			s.role = roleGRUBFile
		}
	}
}

// onPartition is a path of GRUB without its device.
func onPartition(p string) string {
	if rest, ok := strings.CutPrefix(p, "("); ok {
		_, p, _ = strings.Cut(rest, ")")
	}
	return path.Clean("/" + p)
}

// shareOrigins gives an event that names no file the file of the one that does: GRUB reads the kernel into PCR 9 by its
// name, and shim measures it into PCR 4 without.
func (m *Machine) shareOrigins() {
	share := func(from, to role) {
		for _, s := range m.steps {
			if s.role != from || s.loaded == nil {
				continue
			}
			for _, t := range m.steps {
				if t.role == to && t.loaded == nil && (t.grade == Copied || t.origin.File != "" && t.origin.File == s.origin.File) {
					t.loaded = s.loaded
				}
			}
		}
	}
	share(roleGRUBKernel, roleKernel)
	share(roleGRUBInitrd, roleInitrd)
	share(roleUKI, roleSection)
	share(roleUKI, roleInner)
	share(roleUKI, roleInitrd)
	share(roleUKI, roleOptions)
	m.deriveText()
}
