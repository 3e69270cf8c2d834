package predict

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// measuredSections are the sections that systemd-stub measures, in its order, and the version that began to (systemd,
// uki.h). The signature of the expected PCRs, .pcrsig, cannot be a part of them.
var measuredSections = []struct {
	name  string
	since int
}{
	{".linux", 0}, {".osrel", 0}, {".cmdline", 0}, {".initrd", 0}, {".ucode", 256}, {".splash", 0}, {".dtb", 0},
	{".uname", 254}, {".sbat", 254}, {".pcrpkey", 0}, {".profile", 257}, {".dtbauto", 257}, {".hwids", 257}, {".efifw", 258},
}

// oldestStub is taken for a stub that does not say its version.
const oldestStub = 252

// stubVersion reads the version out of the section .sdmagic, "#### LoaderInfo: systemd-stub 257.3-1 ####".
func stubVersion(image *authenticode.Image) int {
	s := image.Section(".sdmagic")
	if s == nil {
		return oldestStub
	}
	_, rest, ok := bytes.Cut(s.Data, []byte("systemd-stub "))
	if !ok {
		return oldestStub
	}
	end := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	version, err := strconv.Atoi(string(rest[:end]))
	if err != nil {
		return oldestStub
	}
	return version
}

// Measurement is one extend of PCR 11: the section or phase, and the bytes that are hashed.
type Measurement struct {
	Section string
	Parts   [][]byte
}

// measurements lists what systemd-stub measures of a unified kernel image into PCR 11: of each section its name, and then
// its content.
func measurements(image *authenticode.Image) ([]Measurement, error) {
	version := stubVersion(image)
	var all []Measurement
	for _, known := range measuredSections {
		s := image.Section(known.name)
		if s == nil || known.since > version {
			continue
		}
		content := s.Loaded()
		if content == nil {
			return nil, fail.E(fail.BadInput, "section %s is far larger in memory than in the file", s.Name)
		}
		all = append(all, Measurement{s.Name, [][]byte{append([]byte(s.Name), 0)}}, Measurement{s.Name, content})
	}
	return all, nil
}

// unified reads a unified kernel image as one of its profiles.
func unified(data []byte, profile int) (*authenticode.Image, error) {
	image, err := authenticode.Parse(data)
	if err != nil {
		return nil, fail.E(fail.BadInput, "%w", err).Hint("a unified kernel image is wanted")
	}
	if image.Section(".linux") == nil {
		return nil, fail.E(fail.BadInput, "the image has no section .linux").Hint("a unified kernel image is wanted")
	}
	return image, choose(image, profile)
}

// The first version of systemd-stub that knows profiles, and what it measures of the choice of one (UAPI.5, "Multi-Profile
// UKIs"; systemd, stub.c).
const (
	profilesSince  = 257
	profileSection = ".profile"
	profilePCR     = 12
	tagProfile     = 0x13aed6db
)

// choose leaves the sections of one profile: those up to the first .profile are common to all, and what lies between that
// of the profile and the next comes before them. Profile 0 may be the common sections alone.
func choose(image *authenticode.Image, profile int) error {
	if profile < 0 {
		return fail.E(fail.Usage, "there is no profile %d", profile).Hint("profiles are counted from 0")
	}
	if stubVersion(image) < profilesSince {
		if profile != 0 {
			return fail.E(fail.BadInput, "systemd-stub %d in the image knows no profiles, from %d on it does", stubVersion(image), profilesSince)
		}
		return nil
	}
	count := 0
	var own, common []authenticode.Section
	for _, s := range image.Sections {
		if s.Name == profileSection {
			count++
		}
		switch count {
		case 0:
			common = append(common, s)
		case profile + 1:
			own = append(own, s)
		}
	}
	if profile != 0 && profile >= count {
		return fail.E(fail.BadInput, "the image has %d profiles, and no number %d", max(count, 1), profile).
			Hint("profiles are counted from 0")
	}
	image.Sections = append(own, common...)
	return nil
}

// bootedProfile is the one that the stub says it was told to use: it does not say so of the usual one.
func (m *Machine) bootedProfile() int {
	for _, s := range m.steps {
		if d, ok := s.decoded.(*eventlog.Tagged); ok && len(d.Records) == 1 && d.Records[0].ID == tagProfile {
			if n, err := strconv.Atoi(d.Records[0].Text); err == nil {
				return n
			}
		}
	}
	return 0
}

// chooseProfile has the stub told to use another profile of its image.
func (p *plan) chooseProfile(profile int, changes []Change) error {
	was := p.profile
	if p.profile = profile; profile == was {
		return nil
	}
	all, sections := p.having(roleUKI), p.having(roleSection)
	if len(all) == 0 || len(sections) == 0 {
		return fail.E(fail.Usage, "this machine boots no unified kernel image, which alone has profiles")
	}
	text := utf16z(strconv.Itoa(profile))
	data := wire.NewLE().U32(tagProfile).Sized32(text).Out()
	for _, s := range p.steps {
		if d, ok := s.decoded.(*eventlog.Tagged); ok && len(d.Records) == 1 && d.Records[0].ID == tagProfile {
			s.remove()
		}
	}
	if profile != 0 { // it is measured just before the sections
		p.insert(indexOf(p.steps, sections[0]), profilePCR, eventlog.EVEventTag, data, text)
	}
	if slices.ContainsFunc(changes, func(c Change) bool { return c.Kind == UKI }) {
		return nil
	}
	image := p.bytesOf(all[0])
	if image == nil {
		return fail.E(fail.MissingInput, "the unified kernel image of this boot is not at hand").Hint("--uki FILE names it")
	}
	return p.uki(Change{Kind: UKI, Name: all[0].named(), Data: image})
}

// Image is the forecast of PCR 11 for any machine that boots a unified kernel image: what systemd-stub measures of it, and
// the given phases.
func Image(data []byte, profile int, phases []string) (*Forecast, error) {
	image, err := unified(data, profile)
	if err != nil {
		return nil, err
	}
	sections, err := measurements(image)
	if err != nil {
		return nil, err
	}
	f := &Forecast{PCRs: []PCR{{Index: ukiPCR, Confidence: Exact, Changed: true}}, Events: []EventChange{}, Notes: []string{},
		Values: eventlog.Values{}}
	for _, phase := range phases {
		sections = append(sections, Measurement{phase, [][]byte{[]byte(phase)}})
	}
	for _, m := range sections {
		step := Step{PCR: ukiPCR, Changed: true}
		for _, bank := range pcrlockAlgs {
			step.Digests = append(step.Digests, eventlog.Digest{Alg: bank, Value: bank.Sum(m.Parts...)})
		}
		f.Steps = append(f.Steps, step)
	}
	for i, bank := range pcrlockAlgs {
		value := eventlog.ResetValue(bank, ukiPCR)
		for _, step := range f.Steps {
			value = bank.Sum(value, step.Digests[i].Value)
		}
		f.Values[bank] = map[int]eventlog.Hex{ukiPCR: value}
	}
	return f, nil
}

// uki replaces the unified kernel image: the image, its kernel, its sections, and what the kernel's stub gets from it.
func (p *plan) uki(c Change) error {
	s, err := p.one(c, roleUKI)
	if err != nil {
		return err
	}
	image, err := unified(c.Data, p.profile)
	if err != nil {
		return err
	}
	old := p.bytesOf(s)
	if err := s.measureImage(c.Data); err != nil {
		return err
	}
	if err := p.inner(s, image, old); err != nil {
		return err
	}
	if err := p.sections(image); err != nil {
		return err
	}
	if section := image.Section(".cmdline"); section != nil {
		p.newText(fromUKI, string(section.Data))
		p.handedOn(string(section.Data))
	}
	for _, s := range p.having(roleInitrd) {
		p.stubInitrd(s, image)
	}
	return nil
}

// handedOn follows a command line that systemd-boot reads out of the image and hands to the stub as if somebody had typed
// it, so that it is in PCR 12 too (before version 254).
func (p *plan) handedOn(text string) {
	texts := p.m.texts()
	old, given := texts[fromUKI], texts[fromLoader]
	switch {
	case given == "" || given == text || given == tidy(text):
	case given == old:
		p.loaderCmdline(text)
	case given == tidy(old):
		p.loaderCmdline(tidy(text))
	case old == "":
		for _, s := range p.steps {
			if d, ok := s.decoded.(*eventlog.Loader); ok && d.Producer == "systemd-boot" {
				s.block("the old image is not at hand: whether this command line was a part of it is not known")
			}
		}
	}
}

// measuresKernel tells whether firmware measures the kernel that the stub loads: from 258 the stub loads it without
// firmware's help, and from 252 under Secure Boot it puts its own verification in the place of the one that measures.
func measuresKernel(version int, secureBoot bool) bool {
	return version < 258 && (version < 252 || !secureBoot)
}

// inner replaces the kernel inside the image in PCR 4.
func (p *plan) inner(uki *step, image *authenticode.Image, old []byte) error {
	present := p.having(roleInner)
	measures := measuresKernel(stubVersion(image), p.secureBoot())
	if before, err := authenticode.Parse(old); err == nil && stubVersion(before) == stubVersion(image) {
		measures = len(present) > 0 // the same stub does the same again
	}
	if !measures {
		for _, s := range present {
			s.remove()
		}
		return nil
	}
	if len(present) == 0 {
		at := 1 + indexOf(p.steps, uki)
		present = append(present, p.insert(at, imagePCR, eventlog.EVEFIBootServicesApp, make([]byte, 32)))
		present[0].role = roleInner
	}
	return present[0].measureImage(image.Section(".linux").Data)
}

func indexOf(steps []*step, s *step) int {
	for i := range steps {
		if steps[i] == s {
			return i
		}
	}
	return -1
}

// sections puts the sections of another image in the place of those of this boot. Equal ones are matched, so that the
// events that change are those of sections that changed.
func (p *plan) sections(image *authenticode.Image) error {
	all, err := measurements(image)
	if err != nil {
		return err
	}
	old := p.having(roleSection)
	at := 0
	for i, m := range all {
		if i < len(old) && old[i].section() == m.Section {
			old[i].measure(m.Parts...)
			at = 1 + indexOf(p.steps, old[i])
			continue
		}
		for _, s := range old[min(i, len(old)):] { // from here on the images have other sections
			at = max(at, indexOf(p.steps, s))
			s.remove()
		}
		old = old[:min(i, len(old))]
		s := p.insert(at, ukiPCR, eventlog.EVIPL, utf16z(m.Section), m.Parts...)
		s.role = roleSection
		at++
	}
	for _, s := range old[min(len(all), len(old)):] {
		s.remove()
	}
	return nil
}

// section is the name in an event of systemd-stub.
func (s *step) section() string {
	if d, ok := s.decoded.(*eventlog.Loader); ok {
		return d.Text
	}
	return ""
}

// initrdMakings are the ways in which the stub makes one initrd of its sections: it begins each at a multiple of four, or
// hands on a single one as it is.
var initrdMakings = []func(image *authenticode.Image) [][]byte{
	func(i *authenticode.Image) [][]byte { return sectionParts(i, false, ".initrd") },
	func(i *authenticode.Image) [][]byte { return sectionParts(i, true, ".initrd") },
	func(i *authenticode.Image) [][]byte { return sectionParts(i, true, ".ucode", ".initrd") },
}

func sectionParts(image *authenticode.Image, pad bool, names ...string) (parts [][]byte) {
	for _, name := range names {
		s := image.Section(name)
		if s == nil {
			continue
		}
		parts = append(parts, s.Data)
		if pad {
			parts = append(parts, make([]byte, -len(s.Data)&3))
		}
	}
	return parts
}

// deriveInitrd finds out how the stub of this boot made its initrd.
func (m *Machine) deriveInitrd(s *step) {
	for _, u := range m.steps {
		if u.role != roleUKI || u.origin.File == "" {
			continue
		}
		image, err := unified(m.read(u.origin.File), m.bootedProfile())
		if err != nil {
			return
		}
		for _, making := range initrdMakings {
			if parts := making(image); s.event.Covers(parts...) {
				s.making = making
				if s.origin.File == "" {
					s.follows("the initrd of " + u.origin.File)
				}
				return
			}
		}
	}
}

// stubInitrd gives the kernel's stub the initrd of another image.
func (p *plan) stubInitrd(s *step, image *authenticode.Image) {
	if s.making == nil {
		s.block("the initrd that the kernel got was not made of the image alone")
		return
	}
	s.measure(s.making(image)...)
}
