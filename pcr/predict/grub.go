package predict

import (
	"bytes"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

// commands yields the steps in which GRUB measured a text.
func (p *plan) commands(yield func(*step, *eventlog.Loader) bool) {
	for _, s := range p.steps {
		d, ok := s.decoded.(*eventlog.Loader)
		if ok && d.Producer == "grub" && d.What != "file" && !s.gone && !yield(s, d) {
			return
		}
	}
}

// setCommand gives a step of GRUB another text. The word before it is not measured; older builds measure its NUL.
func (s *step) setCommand(d *eventlog.Loader, text string) {
	if text == d.Text {
		return
	}
	body := bytes.TrimRight(s.event.Data, "\x00")
	data := append(bytes.Clone(body[:len(body)-len(d.Text)]), text...)
	data = append(data, s.event.Data[len(body):]...)
	hashed := []byte(text)
	if strings.HasSuffix(s.check.Rule, "NUL") {
		hashed = append(hashed, 0)
	}
	s.event.Data = data
	s.decoded, _ = s.event.Decode()
	s.measure(hashed)
}

// replaceText replaces a word or a line wherever GRUB measured it, and tells the kernel's stub.
func (p *plan) replaceText(old, text string) {
	if old == "" || old == text {
		return
	}
	for s, d := range p.commands {
		s.setCommand(d, strings.ReplaceAll(d.Text, old, text))
	}
	p.grubText()
	p.retire(old)
}

// grubText has the kernel's stub measure the command line that GRUB gives it now.
func (p *plan) grubText() {
	for s, d := range p.commands {
		if d.What == "kernel_cmdline" && s.changed {
			p.newText(fromGRUB, d.Text)
		}
	}
}

// retire blocks the files of GRUB's that still have an old text in them: they will not be what they were.
func (p *plan) retire(old string) {
	for _, r := range []role{roleGRUBConfig, roleGRUBFile} {
		for _, s := range p.having(r) {
			if s.changed || s.given != nil {
				continue
			}
			if data := p.bytesOf(s); bytes.Contains(data, []byte(old)) {
				s.block(s.named() + " has the old text in it: give its new version (--grub-cfg)")
			}
		}
	}
}

// grubCmdline replaces the command line in what GRUB measures.
func (p *plan) grubCmdline(text string) {
	var line string
	for _, d := range p.commands {
		if d.What == "kernel_cmdline" {
			line = d.Text
		}
	}
	kernel, old, _ := strings.Cut(line, " ")
	if old == text {
		return // a new grub.cfg said so already
	}
	if old != "" {
		p.replaceText(old, text)
		return
	}
	for s, d := range p.commands {
		if strings.HasSuffix(d.Text, kernel) {
			s.setCommand(d, d.Text+" "+text)
		}
	}
	p.grubText()
}
