package predict

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// source is where a command line stands.
type source int

const (
	fromGRUB   source = iota // the kernel_cmdline event: the path and the command line
	fromUKI                  // the section .cmdline
	fromLoader               // systemd-boot and -stub, PCR 12
	fromOption               // the boot option
	fromKernel               // the running kernel, which says what it was given
)

// textRule says how an event's bytes come from a command line.
type textRule struct {
	source source
	write  func(string) []byte
}

func utf16le(text string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

func utf16z(text string) []byte { return append(utf16le(text), 0, 0) }

// tidy is what systemd-stub makes of a command line: control characters become blanks, those at the end go.
func tidy(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.TrimRight(text, "\x00"))
	return strings.TrimSpace(clean)
}

// writings are the ways in which command lines become bytes.
var writings = []func(string) []byte{
	utf16z,
	func(t string) []byte { return utf16z(tidy(t)) },
	func(t string) []byte { return utf16z("BOOT_IMAGE=" + t) }, // GRUB, loader/i386/linux.c
	utf16le,
	func(t string) []byte { return utf16le(tidy(t)) },
}

// optionPCRs are where firmware measures boot options: the second for a TPM 1.2.
var optionPCRs = []uint32{1, 5}

// texts are the command lines of this boot.
func (m *Machine) texts() map[source]string {
	texts := make(map[source]string)
	for _, s := range m.steps {
		switch d := s.decoded.(type) {
		case *eventlog.Loader:
			switch {
			case d.Producer == "grub" && d.What == "kernel_cmdline":
				texts[fromGRUB] = d.Text
			case d.Producer == "systemd-boot":
				texts[fromLoader] = d.Text
			}
		case *eventlog.Variable:
			if d.Option != nil && d.Option.Active && d.Option.Optional >= 4 && slices.Contains(optionPCRs, s.event.PCR) {
				c := d.Content()
				if t := fromUTF16(c[len(c)-d.Option.Optional:]); t != "" && texts[fromOption] == "" {
					texts[fromOption] = t
				}
			}
		}
		if s.role == roleUKI {
			if image, err := unified(m.read(s.origin.File), m.bootedProfile()); err == nil {
				if c := image.Section(".cmdline"); c != nil {
					texts[fromUKI] = string(c.Data)
				}
			}
		}
	}
	for _, f := range m.disk.Named("/proc/cmdline") {
		if data, err := f.Read(); err == nil {
			texts[fromKernel] = strings.TrimSpace(string(data))
		}
	}
	return texts
}

func fromUTF16(data []byte) string {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) >= 2; data = data[2:] {
		units = append(units, binary.LittleEndian.Uint16(data))
	}
	text := strings.TrimRight(string(utf16.Decode(units)), "\x00")
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\ufffd' }) {
		return ""
	}
	return text
}

// initrdWords are the initrd= parameters of command lines.
func initrdWords(texts map[source]string) (words []string) {
	for _, from := range []source{fromLoader, fromOption} {
		for _, w := range strings.Fields(texts[from]) {
			if strings.HasPrefix(w, "initrd=") {
				words = append(words, w)
			}
		}
		if len(words) > 0 {
			break
		}
	}
	return words
}

// deriveText finds out which command line the kernel's stub measured, and how it was written, and what the initrd of a
// unified image was made of.
func (m *Machine) deriveText() {
	texts := m.texts()
	for _, s := range m.steps {
		switch s.role {
		case roleOptions:
			s.text = ruleFor(&s.event, texts)
			if s.text != nil {
				s.follows("the command line")
			}
		case roleInitrd:
			m.deriveInitrd(s)
		}
	}
}

// ruleFor finds the command line that an event measured, the better told sources first.
func ruleFor(e *eventlog.Event, texts map[source]string) *textRule {
	for from := fromGRUB; from <= fromKernel; from++ {
		for _, write := range writings {
			if text, ok := texts[from]; ok && e.Covers(write(text)) {
				return &textRule{from, write}
			}
		}
	}
	return nil
}

// newText says that a command line is another one now; the kernel's stub will measure it.
func (p *plan) newText(from source, text string) {
	for _, s := range p.having(roleOptions) {
		switch {
		case s.text == nil:
			s.block("it is not known how the kernel was given its command line")
		case s.text.source == from, s.text.source == fromKernel && from == fromUKI && p.m.texts()[fromLoader] == "":
			s.measure(s.text.write(text))
		}
	}
}

// cmdline replaces the kernel's command line.
func (p *plan) cmdline(c Change) error {
	texts := p.m.texts()
	switch {
	case texts[fromGRUB] != "":
		p.grubCmdline(c.Name)
	case p.loaderCmdline(c.Name):
	case p.handedCmdline(texts[fromKernel], c.Name):
	case texts[fromOption] != "" && len(p.having(roleKernel)) > 0:
		p.optionCmdline(texts[fromOption], c.Name)
	case len(p.having(roleUKI)) > 0:
		return fail.E(fail.Usage, "the command line of this machine is a part of its unified kernel image").
			Hint("--uki FILE replaces the image")
	default:
		return fail.E(fail.Usage, "the log does not tell where this kernel has its command line from")
	}
	return nil
}

// loaderCmdline replaces what systemd-boot or -stub measured into PCR 12; systemd-boot's own initrd= words stay.
func (p *plan) loaderCmdline(text string) bool {
	found := false
	for _, s := range p.steps {
		d, ok := s.decoded.(*eventlog.Loader)
		if !ok || d.Producer != "systemd-boot" || s.gone {
			continue
		}
		var words []string
		for _, w := range strings.Fields(d.Text) {
			if strings.HasPrefix(w, "initrd=") && !strings.Contains(text, "initrd=") {
				words = append(words, w)
			}
		}
		full := strings.Join(append(words, text), " ")
		s.measureText(utf16z(full))
		p.newText(fromLoader, full)
		found = true
	}
	return found
}

// measureText gives the step another text, and the digest by the rule that held for the old one.
func (s *step) measureText(data []byte) {
	hashed := data
	switch s.check.Rule {
	case "data and one zero byte":
		data = data[:len(data)-1]
	case "text without its NUL":
		hashed = bytes.TrimSuffix(data, []byte{0})
	}
	s.event.Data = data
	s.decoded, _ = s.event.Decode()
	s.measure(hashed)
}

// optionCmdline replaces the command line in the boot option, which firmware measures into PCR 1.
func (p *plan) optionCmdline(old, text string) {
	for _, s := range p.steps {
		d, ok := s.decoded.(*eventlog.Variable)
		if !ok || d.Option == nil || d.Option.Optional == 0 {
			continue
		}
		content := d.Content()
		head, tail := content[:len(content)-d.Option.Optional], content[len(content)-d.Option.Optional:]
		if fromUTF16(tail) != old {
			continue
		}
		fresh := utf16le(text)
		if bytes.HasSuffix(tail, []byte{0, 0}) {
			fresh = utf16z(text)
		}
		s.measureVariable(append(bytes.Clone(head), fresh...))
	}
	p.newText(fromOption, text)
}
