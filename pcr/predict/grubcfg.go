package predict

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr/predict/grub"
)

// grubConfig replaces grub.cfg: the file, and what GRUB measures as it runs it.
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
	for _, again := range p.having(roleGRUBConfig) { // GRUB looks whether it is there, and then reads it
		if again != s && again.twin(s) {
			again.given = c.Data
			again.measure(c.Data)
		}
	}
	known := past != nil || s.event.Covers(c.Data)
	s.given = c.Data
	s.measure(c.Data)
	why := p.rerun(s, past, c.Data, !known)
	switch {
	case why != "" && !known:
		p.blockCommands(s, "grub.cfg has changed, and the old one is not at hand to compare with (--grub-cfg OLD=NEW): "+why)
	case why != "" && s.changed:
		p.blockCommands(s, why)
	case !known:
		p.trustLess(s, s.named()+" was overwritten since this boot: what GRUB found then was read off the log with the new one")
	}
	return nil
}

// trustLess says of what GRUB measures that it may be wrong, and why.
func (p *plan) trustLess(config *step, why string) {
	p.note("%s", why)
	for s := range p.commands {
		if s.grade == Exact {
			s.grade, s.why = Copied, why
		}
	}
	if config.grade == Exact {
		config.grade, config.why = Copied, why
	}
}

// again runs the configuration of this boot once more, for the files that it reads may have changed: menu entries of their
// own (Boot Loader Specification), the environment block, custom.cfg.
func (p *plan) again() {
	all := p.having(roleGRUBConfig)
	if len(all) == 0 {
		return
	}
	s := all[len(all)-1]
	data := p.bytesOf(s)
	if s.loaded != nil || s.changed || data == nil {
		return
	}
	why := p.rerun(s, data, data, false) // what is not understood stays as it is, but for entries that are not what they were
	if name := p.otherEntry(newGRUBDisk(p, s)); why != "" && name != "" {
		p.blockCommands(s, name+" is not what it was in this boot, and "+why)
	}
}

// otherEntry names a menu entry of its own that changed since this boot, is gone or is new.
func (p *plan) otherEntry(disk *grubDisk) string {
	var read []string
	for _, s := range p.having(roleGRUBFile) {
		if name := s.named(); path.Ext(name) == ".conf" {
			if _, ok := disk.Read(name); s.loaded != nil || !ok {
				return name
			}
			read = append(read, path.Clean(name))
		}
	}
	if len(read) == 0 {
		return ""
	}
	dir := path.Dir(read[0])
	names, _ := disk.List(dir)
	for _, name := range names {
		if name = path.Join(dir, name); path.Ext(name) == ".conf" && !slices.Contains(read, name) {
			return name
		}
	}
	return ""
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

// blockCommands blocks what GRUB measures of its commands, at the first one, and the files that these would read.
func (p *plan) blockCommands(config *step, why string) {
	for s := range p.commands {
		s.block(why)
	}
	config.block(why)
}

// rerun has the steps behind a configuration follow from another one, which is all there is of it where the old one is
// lost. It says why they cannot.
func (p *plan) rerun(config *step, past, next []byte, lost bool) (why string) {
	if past == nil {
		past = next
	}
	name := config.named()
	first := 0
	for i, s := range p.steps {
		if s == config || s.named() == name && s.twin(config) {
			first = i + 1
		}
	}
	var steps []*step
	var log []grub.Event
	for _, s := range p.steps[first:] {
		if d, ok := s.decoded.(*eventlog.Loader); ok && d.Producer == "grub" && !s.gone {
			steps = append(steps, s)
			log = append(log, grub.Event{Kind: grub.Kind(d.What), Text: d.Text, Number: s.event.Number})
		}
	}
	disk := newGRUBDisk(p, config)
	was, err := grub.Parse(past)
	if err != nil {
		return "the grub.cfg of this boot is not understood: " + err.Error()
	}
	learn := grub.Learn
	if lost {
		learn = grub.LearnWithout
	}
	boot, err := learn(was, name, log, disk.measured())
	if err != nil && lost {
		return "the new grub.cfg does not tell how this boot's log came about: " + err.Error()
	}
	if err != nil {
		return "the grub.cfg of this boot does not lead to its log: " + err.Error()
	}
	will, err := grub.Parse(next)
	if err != nil {
		return "the new grub.cfg is not understood: " + err.Error()
	}
	f, err := boot.Foretell(will, name, disk)
	if err != nil {
		return "the new grub.cfg is not foreseen: " + err.Error()
	}
	if len(log)*len(f.Events) > maxAligned {
		return "the log has too many commands to be compared"
	}
	if boot.Picked != "" {
		p.note("this boot started the menu entry %q, which somebody chose; foretold is the one that GRUB starts by itself", boot.Picked)
	}
	p.become(first, steps, log, f.Events, disk)
	if f.Doubt != "" {
		config.block(f.Doubt)
	}
	return ""
}

// become makes GRUB's steps what it will measure: equal ones stay, of the others one takes the place of another that is
// alike, and the rest is inserted or gone.
func (p *plan) become(at int, steps []*step, was, will []grub.Event, disk *grubDisk) {
	pairs := align(was, will)
	initrds := p.names(roleGRUBInitrd)
	for i, s := range steps {
		if !slices.Contains(pairs, i) {
			s.remove()
		}
	}
	var kernel, command string
	for i, e := range will {
		var s *step
		if pairs[i] >= 0 {
			s = steps[pairs[i]]
			at = 1 + indexOf(p.steps, s)
		} else {
			s = p.another(at, steps, e)
			at++
		}
		d, ok := s.decoded.(*eventlog.Loader)
		switch {
		case !ok || d.Text == e.Text:
		case e.Kind != grub.File:
			s.setCommand(d, e.Text)
		default:
			s.role = roleGRUBFile
			switch path := onPartition(e.Text); {
			case strings.HasPrefix(command, "linux"):
				s.role, kernel = roleGRUBKernel, e.Text
			case strings.HasPrefix(command, "initrd"):
				s.role = roleGRUBInitrd
			case strings.HasSuffix(path, ".cfg"):
				s.role = roleGRUBConfig
			}
			p.readInstead(s, e.Text, disk)
		}
		if e.Kind == grub.Command {
			command = e.Text
		}
	}
	p.grubText()
	p.start(kernel)
	if after := p.names(roleGRUBInitrd); !slices.Equal(initrds, after) {
		p.otherInitrds(len(initrds) > 0, len(after) > 0)
	}
}

// otherInitrds has the kernel's stub get other files.
func (p *plan) otherInitrds(before, after bool) {
	for _, s := range p.having(roleInitrd) {
		if after {
			p.joinInitrds(s)
		} else {
			s.remove()
		}
	}
	if before {
		return
	}
	for _, s := range p.having(roleOptions) {
		s.block("the kernel got no initrd in this boot, and how it would measure one is not known")
	}
}

// names are the files of the steps of a role.
func (p *plan) names(r role) (names []string) {
	for _, s := range p.having(r) {
		names = append(names, s.named())
	}
	return names
}

// another inserts a step for an event that this boot does not have.
func (p *plan) another(at int, steps []*step, e grub.Event) *step {
	pcr, data := uint32(grubFilePCR), []byte("\x00")
	if e.Kind != grub.File {
		pcr, data = grubCommandPCR, []byte("grub_cmd: \x00")
	}
	for _, s := range steps {
		if d, ok := s.decoded.(*eventlog.Loader); ok && d.What == string(e.Kind) {
			pcr, data = s.event.PCR, bytes.Replace(s.event.Data, []byte(d.Text), nil, 1)
		}
	}
	s := p.insert(at, pcr, eventlog.EVIPL, data)
	s.decoded = &eventlog.Loader{Producer: "grub", What: string(e.Kind)}
	s.check = steps[0].check
	return s
}

// readInstead has a step read another file.
func (p *plan) readInstead(s *step, name string, disk *grubDisk) {
	s.event.Data = append([]byte(name), 0)
	s.decoded, _ = s.event.Decode()
	s.origin, s.loaded, s.changed = files.Origin{}, nil, true
	data, ok := disk.Read(name)
	if !ok {
		s.block(name + " will be read, and is not found on this machine")
		return
	}
	s.given = data
	s.measure(data)
}

// start has shim and the firmware start another kernel, "" for the one of this boot.
func (p *plan) start(kernel string) {
	for _, s := range p.having(roleGRUBKernel) {
		if kernel == "" || s.named() != kernel {
			continue
		}
		if s.given == nil || p.kernel(Change{Kind: Kernel, Old: kernel, Data: s.given}) != nil {
			for _, k := range p.having(roleKernel) {
				k.block(kernel + " will be started, and is not at hand as an image")
			}
		}
	}
}

// maxAligned bounds the comparison of two logs.
const maxAligned = 4 << 20

// alike tells whether one event may be said to become the other.
func alike(a, b grub.Event) bool {
	one, _, _ := strings.Cut(a.Text, " ")
	two, _, _ := strings.Cut(b.Text, " ")
	return a.Kind == b.Kind && (a.Kind != grub.Command || one == two)
}

// align finds for each new event the old one that it takes the place of, or -1: the longest common subsequence first, and
// in the gaps of that the next one that is alike.
func align(was, will []grub.Event) []int {
	same := func(a, b grub.Event) bool { return a.Kind == b.Kind && a.Text == b.Text }
	common := make([][]int32, len(was)+1)
	for i := range common {
		common[i] = make([]int32, len(will)+1)
	}
	for i := len(was) - 1; i >= 0; i-- {
		for j := len(will) - 1; j >= 0; j-- {
			if same(was[i], will[j]) {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	pairs := make([]int, len(will))
	gap := func(i, j, iEnd, jEnd int) {
		for ; j < jEnd; j++ {
			pairs[j] = -1
			if n := slices.IndexFunc(was[i:iEnd], func(o grub.Event) bool { return alike(o, will[j]) }); n >= 0 {
				pairs[j] = i + n
				i += n + 1
			}
		}
	}
	fromI, fromJ := 0, 0
	for i, j := 0, 0; ; {
		switch {
		case i == len(was) || j == len(will):
			gap(fromI, fromJ, len(was), len(will))
			return pairs
		case same(was[i], will[j]):
			gap(fromI, fromJ, i, j)
			pairs[j] = i
			i, j = i+1, j+1
			fromI, fromJ = i, j
		case common[i+1][j] >= common[i][j+1]:
			i++
		default:
			j++
		}
	}
}

// grubDisk is what GRUB reads from, as far as this machine shows it.
type grubDisk struct {
	p      *plan
	device string // of the configuration
	base   string // where the system has that device
	past   bool   // as it was in this boot

	image *grubImage // when somebody asked for it
}

// newGRUBDisk finds the device of a configuration.
func newGRUBDisk(p *plan, config *step) *grubDisk {
	d := &grubDisk{p: p, device: device(config.named())}
	home := config.origin.File
	if config.loaded != nil {
		home = config.loaded.Path
	}
	if found := p.m.disk.Named(config.named()); home == "" && len(found) == 1 {
		home = found[0].Path
	}
	if base, ok := strings.CutSuffix(home, onPartition(config.named())); ok && home != "" {
		d.base = base + "/"
	}
	return d
}

// device is the device in a path of GRUB, "" where there is none.
func device(path string) string {
	if !strings.HasPrefix(path, "(") {
		return ""
	}
	return path[:strings.IndexByte(path, ')')+1]
}

// measured is the disk as it was in this boot.
func (d grubDisk) measured() *grubDisk {
	d.past, d.image = true, nil
	return &d
}

// Read reads a file that GRUB names.
func (d *grubDisk) Read(name string) ([]byte, bool) {
	if device(name) == memdiskDevice {
		if g := d.inside(); g != nil {
			return g.file(name)
		}
		return nil, false
	}
	if d.past {
		for _, s := range d.p.m.steps {
			if s.named() == name && s.origin.File != "" {
				return d.p.m.read(s.origin.File), true
			}
		}
		return nil, false
	}
	f := d.find(name)
	if f == nil {
		return nil, false
	}
	data, err := f.Read()
	return data, err == nil
}

// Time is when a file was changed last.
func (d *grubDisk) Time(name string) (time.Time, bool) {
	f := d.find(name)
	if d.past || f == nil {
		return time.Time{}, false
	}
	return f.Time()
}

// find is the file on the device of the configuration, or the only one of its path on another.
func (d *grubDisk) find(name string) *files.File {
	found := d.p.m.disk.Named(name)
	for i, f := range found {
		if d.base != "" && f.Path == path.Join(d.base, onPartition(name)) {
			return &found[i]
		}
	}
	if len(found) != 1 || d.base != "" && device(name) == d.device && d.device != "" {
		return nil
	}
	return &found[0]
}

// List lists a folder by the names of its files, and tells whether GRUB reads them in that order.
func (d *grubDisk) List(folder string) (names []string, ordered bool) {
	if on := device(folder); d.base == "" || on != "" && on != d.device {
		return nil, false
	}
	return d.p.m.disk.List(path.Join(d.base, onPartition(folder)))
}
