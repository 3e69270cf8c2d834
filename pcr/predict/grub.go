package predict

import (
	"bytes"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
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

// grubConfig replaces grub.cfg: the file, and the commands that were run from it, as far as old lines have new ones in
// their place.
func (p *plan) grubConfig(c Change) error {
	s, err := p.config(c)
	if err != nil {
		return err
	}
	past := c.Past
	if past == nil {
		past = p.bytesOf(s)
	}
	if c.Past != nil && !s.event.Covers(past) {
		return fail.E(fail.BadInput, "%s is not the grub.cfg of this boot: event %d has another digest", c.Old, s.event.Number)
	}
	s.given = c.Data
	s.measure(c.Data)
	if bytes.Equal(past, c.Data) {
		return nil
	}
	if past == nil {
		p.blockCommands("grub.cfg has changed, and the old one is not at hand to compare with: --grub-cfg OLD=NEW")
		return nil
	}
	edit, why := compareConfigs(string(past), string(c.Data), p.texts())
	if why != "" {
		p.blockCommands(why)
		return nil
	}
	for s, d := range p.commands {
		s.setCommand(d, edit(d.Text))
	}
	p.cmdlineFromCommand()
	p.grubText()
	p.followPaths()
	return nil
}

// config finds the step of the configuration that a change is about: the one that has the old content, or the name, or
// the last one that was read, which the earlier ones only lead to.
func (p *plan) config(c Change) (*step, error) {
	all := p.having(roleGRUBConfig)
	if len(all) == 0 {
		return nil, fail.E(fail.Usage, "GRUB read no configuration in this boot").Hint("vtpmctl eventlog explain tells what this machine boots")
	}
	for _, s := range all {
		if c.Past != nil && s.event.Covers(c.Past) || c.Past == nil && c.Old != "" && s.named() == c.Old {
			return s, nil
		}
	}
	return all[len(all)-1], nil
}

// texts are the commands of this boot.
func (p *plan) texts() (texts []string) {
	for _, d := range p.commands {
		texts = append(texts, d.Text)
	}
	return texts
}

// blockCommands blocks what GRUB measures of its commands, at the first one.
func (p *plan) blockCommands(why string) {
	for s := range p.commands {
		s.block(why)
	}
	for _, s := range p.having(roleOptions) {
		s.block(why)
	}
}

// cmdlineFromCommand gives the kernel_cmdline event what the linux command says now.
func (p *plan) cmdlineFromCommand() {
	line := ""
	for s, d := range p.commands {
		word, rest, _ := strings.Cut(d.Text, " ")
		switch {
		case d.What == "command" && strings.HasPrefix(word, "linux") && s.changed:
			line = rest
		case d.What == "kernel_cmdline" && line != "":
			s.setCommand(d, line)
		}
	}
}

// followPaths reads the kernel and the initrds that new commands name.
func (p *plan) followPaths() {
	var kernels, initrds []string
	for _, d := range p.commands {
		words := strings.Fields(d.Text)
		switch {
		case d.What == "kernel_cmdline" && len(words) > 0:
			kernels = words[:1]
		case d.What == "command" && len(words) > 1 && strings.HasPrefix(words[0], "initrd"):
			initrds = words[1:]
		}
	}
	p.follow(roleGRUBKernel, kernels, p.kernel)
	p.follow(roleGRUBInitrd, initrds, p.initrd)
}

// follow gives each file of a role the content of the path that is read now.
func (p *plan) follow(r role, paths []string, change func(Change) error) {
	steps := p.having(r)
	if len(steps) != len(paths) {
		for _, s := range steps {
			if len(paths) > 0 {
				s.block("other files are read in its place")
			}
		}
		return
	}
	for i, s := range steps {
		old := s.named()
		if onPartition(old) == onPartition(paths[i]) || s.given != nil {
			continue
		}
		f := p.fileNamed(paths[i])
		if f == nil {
			s.block(paths[i] + " will be read in its place, and is not found on this machine")
			continue
		}
		data, err := f.Read()
		if err != nil || change(Change{Kind: Kernel, Name: "", Old: old, Data: data}) != nil {
			s.block(f.Path + " will be read in its place, and cannot be used")
		}
	}
}
