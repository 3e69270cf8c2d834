package predict

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Kind is what a Change replaces. Its text is that of the flag.
type Kind string

// The kinds, in the order in which they take effect.
const (
	Shim       Kind = "shim"
	GRUB       Kind = "grub"
	Loader     Kind = "loader" // systemd-boot
	LoaderConf Kind = "loader-conf"
	UKI        Kind = "uki"
	GRUBConfig Kind = "grub-cfg"
	Kernel     Kind = "kernel"
	Initrd     Kind = "initrd"
	Cmdline    Kind = "cmdline"
	DB         Kind = "db"
	DBX        Kind = "dbx"
	MOK        Kind = "mok"
	GPT        Kind = "gpt"
	SecureBoot Kind = "secure-boot"
	Kexec      Kind = "kexec" // no firmware runs: the kernel that does starts the next one
)

// Change is one thing that a future replaces.
type Change struct {
	Kind Kind
	Old  string // the file that is replaced, where a boot uses several; GRUBConfig: the file of the old configuration
	Name string // the new file; Cmdline: the text; SecureBoot: "off"
	Data []byte // content of the new file
	Past []byte // GRUBConfig: content of Old
}

func (c Change) String() string {
	if c.Old != "" {
		return fmt.Sprintf("%s %s instead of %s", c.Kind, c.Name, c.Old)
	}
	if c.Name == "" {
		return string(c.Kind)
	}
	return fmt.Sprintf("%s %s", c.Kind, c.Name)
}

// apply makes one change. An error about what is in its file names it.
func (p *plan) apply(c Change) error {
	err := p.change(c)
	if err != nil && fail.KindOf(err) == fail.BadInput {
		return fmt.Errorf("%s: %w", c, err)
	}
	return err
}

func (p *plan) change(c Change) error {
	switch c.Kind {
	case Initrd:
		p.initrdGiven = c.Data
	case Cmdline:
		p.cmdlineGiven = c.Name
	}
	if p.unmeasured(c) {
		return nil
	}
	switch c.Kind {
	case Shim:
		return p.image(c, roleShim)
	case GRUB:
		return p.replaceGRUB(c)
	case Loader:
		return p.image(c, roleSystemdBoot)
	case LoaderConf:
		return p.content(c, roleLoaderConf)
	case UKI:
		return p.uki(c)
	case GRUBConfig:
		if len(p.having(roleGRUB)) == 0 && !p.has(GRUBConfig) {
			return p.absent(c.Kind)
		}
		return p.grubConfig(c)
	case Kernel:
		return p.kernel(c)
	case Initrd:
		return p.initrd(c)
	case Cmdline:
		return p.cmdline(c)
	case DB, DBX:
		return p.database(c)
	case MOK:
		return p.mok(c)
	case GPT:
		return p.gpt(c)
	case SecureBoot:
		return p.secureBootOff(c)
	}
	return fail.E(fail.Usage, "there is no change of kind %q", c.Kind)
}

// reload puts the file that is on disk now where an older one was measured.
func (p *plan) reload(s *step) error {
	f := s.loaded
	data, err := f.Read()
	if err != nil {
		return nil //nolint:nilerr // what cannot be read stays outdated, and blocks
	}
	kinds := map[role]Kind{
		roleShim: Shim, roleGRUB: GRUB, roleSystemdBoot: Loader, roleLoaderConf: LoaderConf, roleUKI: UKI,
		roleGRUBConfig: GRUBConfig, roleGRUBKernel: Kernel, roleKernel: Kernel, roleGRUBInitrd: Initrd,
	}
	kind, ok := kinds[s.role]
	switch {
	case ok:
		return p.apply(Change{Kind: kind, Name: f.Path, Old: s.named(), Data: data})
	case s.role == roleGRUBFile:
		s.measure(data)
	case s.event.Type == eventlog.EVEFIBootServicesApp:
		return s.measureImage(data)
	}
	return nil
}

// one finds the step of a role that a change is about.
func (p *plan) one(c Change, r role) (*step, error) {
	all := p.having(r)
	if c.Old != "" && len(all) > 1 {
		all = slices.DeleteFunc(all, func(s *step) bool { return !samePath(s.named(), c.Old) })
	}
	switch len(all) {
	case 0:
		return nil, p.absent(c.Kind)
	case 1:
		return all[0], nil
	}
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.named()
	}
	return nil, fail.E(fail.Usage, "this boot used several: %s", strings.Join(names, ", ")).
		Hint("--%s %s=%s says which one is replaced", c.Kind, names[0], c.Name)
}

// samePath compares the path in a log with one that a user wrote, who may have named the file alone.
func samePath(logged, written string) bool {
	a, b := onPartition(strings.ReplaceAll(logged, `\`, "/")), onPartition(strings.ReplaceAll(written, `\`, "/"))
	return strings.EqualFold(a, b) || strings.HasSuffix(strings.ToLower(b), strings.ToLower(a)) ||
		strings.EqualFold(path.Base(a), path.Base(b))
}

// image replaces an image that is measured as a whole, once or several times.
func (p *plan) image(c Change, r role) error {
	steps := p.having(r)
	if len(steps) == 0 || slices.ContainsFunc(steps, func(s *step) bool { return !s.twin(steps[0]) }) {
		s, err := p.one(c, r)
		if err != nil {
			return err
		}
		steps = []*step{s}
	}
	if r == roleShim {
		p.newShim(steps[0], c)
	}
	for _, s := range steps {
		if err := s.measureImage(c.Data); err != nil {
			return err
		}
	}
	return nil
}

// measureImage gives the step the digest of an image.
func (s *step) measureImage(data []byte) error {
	image, err := authenticode.Parse(data)
	if err != nil {
		return fail.E(fail.BadInput, "%w", err).Hint("an EFI image is wanted")
	}
	parts, err := image.Covered()
	if err != nil {
		return fail.E(fail.BadInput, "%w", err)
	}
	s.given = data
	s.measure(parts...)
	return nil
}

// content replaces a file that is measured as it is.
func (p *plan) content(c Change, r role) error {
	s, err := p.one(c, r)
	if err != nil {
		return err
	}
	s.given = c.Data
	s.measure(c.Data)
	return nil
}

// kernel replaces the kernel: its image, and under GRUB the file and the paths in commands.
func (p *plan) kernel(c Change) error {
	if len(p.having(roleKernel)) == 0 && len(p.having(roleUKI)) > 0 {
		return fail.E(fail.Usage, "this machine boots a unified kernel image: its kernel is a part of that").
			Hint("--uki FILE replaces it")
	}
	under := len(p.having(roleGRUBKernel)) > 0
	if under {
		s, err := p.one(c, roleGRUBKernel)
		if err != nil {
			return err
		}
		p.rename(s, c)
		s.given = c.Data
		s.measure(c.Data)
	}
	for _, s := range p.having(roleKernel) {
		if s.ofQEMU() {
			if !isLinux(c.Data) {
				return fail.E(fail.BadInput, "no Linux kernel, and QEMU's -kernel starts nothing else").Hint("a bzImage is wanted, as /boot/vmlinuz is")
			}
			s.given = c.Data // and measured when all is known that goes into its header
			return nil
		}
	}
	if under && len(p.having(roleKernel)) == 0 {
		return nil // without Secure Boot GRUB has nobody measure the image
	}
	return p.image(Change{Kind: c.Kind, Name: c.Name, Data: c.Data}, roleKernel)
}

// initrd replaces an initrd: the file GRUB read, and what the kernel's stub got.
func (p *plan) initrd(c Change) error {
	got := p.having(roleInitrd)
	if len(p.having(roleGRUBInitrd)) > 0 {
		s, err := p.one(c, roleGRUBInitrd)
		if err != nil {
			return err
		}
		p.rename(s, c)
		s.given = c.Data
		s.measure(c.Data)
		for _, s := range got {
			p.joinInitrds(s)
		}
		return nil
	}
	if len(p.having(roleUKI)) > 0 {
		return fail.E(fail.Usage, "this machine boots a unified kernel image: its initrd is a part of that").
			Hint("--uki FILE replaces it")
	}
	s, err := p.one(c, roleInitrd)
	if err != nil {
		return err
	}
	s.given = c.Data
	if n := len(initrdWords(p.m.texts())); n > 1 {
		s.block(fmt.Sprintf("the initrd is made of %d files", n))
		return nil
	}
	s.measure(c.Data)
	return nil
}

// joinInitrds makes one initrd of the files GRUB read: each begins at a multiple of four.
func (p *plan) joinInitrds(s *step) {
	var parts [][]byte
	size := 0
	for _, file := range p.having(roleGRUBInitrd) {
		data := p.bytesOf(file)
		if data == nil {
			s.block("not all files are at hand that this initrd is made of")
			return
		}
		parts = append(parts, make([]byte, -size&3), data)
		size += -size&3 + len(data)
	}
	s.measure(parts...)
}

// bytesOf are the bytes behind a step, nil where they are not known.
func (p *plan) bytesOf(s *step) []byte {
	if s.given != nil || s.origin.File == "" || s.changed {
		return s.given
	}
	return p.m.read(s.origin.File)
}

// read reads a file of the disk by its full name.
func (m *Machine) read(name string) []byte {
	if name == "" {
		return nil
	}
	f, ok := m.disk.At(name)
	if !ok {
		return nil
	}
	data, err := f.Read()
	if err != nil {
		return nil
	}
	return data
}

// rename follows a kernel or an initrd that gets another name: one that lies beside the old one is booted by its own
// name, and one from elsewhere takes the old one's place.
func (p *plan) rename(s *step, c Change) {
	home := s.origin.File
	if s.loaded != nil {
		home = s.loaded.Path
	}
	old := s.named()
	if home == "" {
		for _, f := range p.m.disk.Named(old) {
			home = f.Path
		}
	}
	if c.Name == "" || home == "" || path.Dir(home) != path.Dir(c.Name) || path.Base(home) == path.Base(c.Name) {
		return
	}
	name := path.Join(path.Dir(onPartition(old)), path.Base(c.Name))
	p.replaceText(onPartition(old), name)
	s.event.Data = append([]byte(strings.Replace(old, onPartition(old), name, 1)), 0)
	s.decoded, _ = s.event.Decode()
	s.changed = true
}
