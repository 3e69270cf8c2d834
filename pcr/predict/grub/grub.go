// Package grub foretells what GRUB measures when its configuration changes. It interprets GRUB's scripts twice: the
// configuration of this boot along the log, which shows what no script says (whether a file was there, what a variable
// held, which menu entry was started), and the new one with what was learned. A script whose log it does not reproduce
// command by command teaches nothing, so what the interpreter lacks cannot become a wrong forecast.
//
// It is pure: it takes texts and a way to read files, and returns what would be measured.
package grub

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// Kind is what was measured, in the words of eventlog.Loader.
type Kind string

// The kinds.
const (
	Command Kind = "command"
	File    Kind = "file"
	Cmdline Kind = "kernel_cmdline"
)

// Event is one thing that GRUB measures.
type Event struct {
	Kind   Kind
	Text   string // the command as it is run, the command line, or the path of the file
	Number int    // in the log
	Line   int    // of the configuration, where it is foretold
}

// Disk is what GRUB reads from, by its paths, with and without a device.
type Disk interface {
	Read(path string) ([]byte, bool)
	Time(path string) (time.Time, bool)                // of the last change
	List(folder string) (names []string, ordered bool) // the files in it; ordered if GRUB lists them like that
	Builtin(module string) bool                        // whether it is a part of GRUB's image, so that insmod reads no file
}

// Boot is what a boot taught.
type Boot struct {
	values   map[fact]string
	unclear  map[fact]bool
	outcomes map[string]bool      // of commands
	besides  map[string][][]Event // what each command measured, each time it ran, besides itself
	loads    []load
	Picked   string // the title of a menu entry that somebody chose, other than the preset
}

// fact is a variable after the command that set it to something.
type fact struct{ name, since string }

// load is a command that loaded a kernel or initrds, and what it measured.
type load struct {
	args    []string
	besides []Event
}

// menuShown stands in Boot.besides for what GRUB reads to show its menu.
const menuShown = "\x00menu"

// group is a command of the log and what follows it.
type group struct {
	Event
	besides []Event
	call    *call // as the last run made it
}

// The limits on learning.
const (
	maxRuns       = 4000
	maxSpent      = 400_000 // commands of all runs
	maxCandidates = 100     // values that a variable may have had
)

// Learn runs the configuration of a boot along its log, which begins behind the event of the file.
func Learn(s *Script, config string, log []Event, disk Disk) (*Boot, error) {
	return learn(s, config, log, &follower{disk: disk})
}

// LearnWithout learns without the configuration of the boot: from a later one, which asks the same. What an update writes
// anew may differ: menu entries, the value that a variable is set to, and what an entry says and loads. What only such a
// command would show is not learned.
func LearnWithout(later *Script, config string, log []Event, disk Disk) (*Boot, error) {
	return learn(later, config, log, &follower{disk: disk, loose: true})
}

func learn(s *Script, config string, log []Event, f *follower) (*Boot, error) {
	f.groups = []group{{}}
	for _, e := range log {
		if e.Kind == Command {
			f.groups = append(f.groups, group{Event: e})
			continue
		}
		last := &f.groups[len(f.groups)-1]
		last.besides = append(last.besides, e)
	}
	var boot *Boot
	for runs := 0; ; runs++ {
		if runs == maxRuns || f.spent > maxSpent {
			return nil, stop{0, "there are too many ways in which its commands may have come to this log"}
		}
		f.begin()
		err := play(s, config, f)
		if err == nil && f.at+1 < len(f.groups) {
			err = f.parted(stop{0, "the configuration ends"})
		}
		switch {
		case err == nil && boot == nil:
			boot = f.boot()
		case err == nil:
			boot.doubt(f)
		case f.at > f.furthest || f.failure == nil:
			f.furthest, f.failure = f.at, err
		}
		if !f.another() {
			break
		}
	}
	if boot == nil {
		return nil, f.failure
	}
	return boot, nil
}

// follower runs a script along a log. Where the script alone does not tell how it goes on, it takes the first way, and
// when it parts from the log, the next.
type follower struct {
	groups []group // the first one is before any command
	disk   Disk
	loose  bool // the script is a later one

	choices []choice
	spent   int

	furthest int
	failure  error

	// of this run
	at       int // the group of the last command
	chosen   int
	values   map[fact]string
	vague    map[fact]bool // asked for in a command that is another one in the log
	outcomes map[string]bool
	menus    []int // groups before a menu
	picked   int   // a group that began an entry somebody chose
}

// choice is a decision and how many ways there are.
type choice struct{ way, of int }

func (f *follower) begin() {
	f.at, f.chosen, f.picked, f.menus = 0, 0, -1, nil
	f.values, f.vague, f.outcomes = make(map[fact]string), make(map[fact]bool), make(map[string]bool)
}

// choose takes one of several ways, the same as in the last run until that is used up.
func (f *follower) choose(of int) int {
	if f.chosen == len(f.choices) {
		f.choices = append(f.choices, choice{0, of})
	}
	f.chosen++
	return f.choices[f.chosen-1].way
}

// another prepares a run that takes the next way; false if none is left.
func (f *follower) another() bool {
	for n := len(f.choices); n > 0; n = len(f.choices) {
		last := &f.choices[n-1]
		if last.way++; last.way < last.of {
			return true
		}
		f.choices = f.choices[:n-1]
	}
	return false
}

// parted tells where a script and the log part.
func (f *follower) parted(s stop) error {
	if f.at+1 < len(f.groups) {
		next := f.groups[f.at+1]
		s.why += fmt.Sprintf(", and event %d is %q", next.Number, shorten(next.Text))
	} else {
		s.why += ", and the log has no command more"
	}
	return s
}

// shorten cuts a command to what a message has room for.
func shorten(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if runes := []rune(line); len(runes) > 60 {
		line, more = string(runes[:60]), true
	}
	if more {
		line += "…"
	}
	return line
}

func (f *follower) measured(c *call) error {
	f.spent++
	text := c.text()
	if f.loose && !isEntry(text) {
		f.passEntries()
	}
	switch {
	case f.at+1 < len(f.groups) && f.groups[f.at+1].Text == text:
	case f.loose && isEntry(text):
		return nil
	case f.loose && f.at+1 < len(f.groups) && rewritten(text, f.groups[f.at+1].Text):
		was := *c
		was.args = f.groups[f.at+1].words()
		c = &was
	default:
		return f.parted(stop{c.line, fmt.Sprintf("it would run %q", shorten(text))})
	}
	f.at++
	f.groups[f.at].call = c
	return nil
}

// words are the arguments of a command in the log, which does not show what was quoted; the command line of a kernel does.
func (g *group) words() []string {
	for _, e := range g.besides {
		name, _, _ := strings.Cut(g.Text, " ")
		if args := append([]string{name}, splitCmdline(e.Text)...); e.Kind == Cmdline && strings.Join(args, " ") == g.Text {
			return args
		}
	}
	return strings.Split(g.Text, " ")
}

// isEntry tells a command that only adds to the menu.
func isEntry(text string) bool {
	return strings.HasPrefix(text, "menuentry ") || strings.HasPrefix(text, "submenu ")
}

// passEntries passes over what the log adds to the menu.
func (f *follower) passEntries() {
	for f.at+1 < len(f.groups) && isEntry(f.groups[f.at+1].Text) {
		f.at++
		f.groups[f.at].call = &call{args: []string{f.groups[f.at].Text}, reads: readsNothing}
	}
}

// rewritten tells whether a command may be what an update made of another one: neither decides what is run next.
func rewritten(text, was string) bool {
	name, rest, _ := strings.Cut(text, " ")
	old, before, _ := strings.Cut(was, " ")
	switch {
	case name != old:
		return false
	case name == "set":
		one, _, _ := strings.Cut(rest, "=")
		two, _, _ := strings.Cut(before, "=")
		return one == two
	}
	return name == "echo" || name == "setparams" || strings.HasPrefix(name, "linux") || strings.HasPrefix(name, "initrd")
}

func (f *follower) value(name, since string, in *asking) (string, error) {
	key := fact{name, since}
	if v, ok := f.values[key]; ok {
		return v, nil
	}
	if f.loose && in != nil && !isEntry(in.before) {
		f.passEntries()
		if f.at+1 < len(f.groups) && !strings.HasPrefix(f.groups[f.at+1].Text, in.before) {
			f.vague[key] = true
			return "", nil
		}
	}
	candidates := []string{""}
	if in != nil && f.at+1 < len(f.groups) {
		rest, _ := strings.CutPrefix(f.groups[f.at+1].Text, in.before)
		for i := 1; i <= len(rest) && len(candidates) < maxCandidates; i++ {
			behind, ok := strings.CutPrefix(rest[i:], in.after)
			if ok && (!in.ends || behind == "" || behind[0] == ' ') {
				candidates = append(candidates, rest[:i])
			}
		}
	}
	v := candidates[f.choose(len(candidates))]
	f.values[key] = v
	return v, nil
}

func (f *follower) outcome(of status) (bool, error) {
	ok, known := f.outcomes[of.text]
	if !known {
		ok = f.choose(2) == 1
		f.outcomes[of.text] = ok
	}
	return ok, nil
}

func (f *follower) menu(n, usual int) (int, error) {
	if f.loose {
		f.passEntries()
	}
	f.menus = append(f.menus, f.at)
	if f.loose {
		return usual, nil
	}
	switch way := f.choose(n); {
	case way == 0:
		return usual, nil
	case way <= usual:
		f.picked = f.at + 1
		return way - 1, nil
	default:
		f.picked = f.at + 1
		return way, nil
	}
}

func (f *follower) content(path string) ([]byte, bool, error) {
	for _, e := range f.groups[f.at].besides {
		if e.Kind == File && strings.HasSuffix(e.Text, path) {
			data, ok := f.disk.Read(e.Text)
			if !ok {
				data = nil
			}
			return data, true, nil
		}
	}
	return nil, false, nil
}

func (f *follower) folder(path string) (names []string, err error) {
	for _, e := range f.groups[f.at].besides {
		if e.Kind == File && strings.Contains(e.Text, path+"/") {
			names = append(names, e.Text)
		}
	}
	return names, nil
}

// entry is what an entry has that was started, as far as the log goes on with it.
func (f *follower) entry() (source string, ok bool) {
	source = entryStart
	for _, g := range f.groups[f.at+1:] {
		if name, _, _ := strings.Cut(g.Text, " "); name == "linux" || name == "initrd" {
			for word := range strings.SplitSeq(g.Text, " ") {
				if rest, ok := strings.CutPrefix(word, "("); ok && strings.Contains(rest, ")") {
					_, word, _ = strings.Cut(rest, ")")
					source += "($root)"
				}
				source += quote(word) + " "
			}
			source += "\n"
		}
	}
	return source, true
}

// boot is what the run that reproduced the log taught.
func (f *follower) boot() *Boot {
	b := &Boot{values: f.values, outcomes: f.outcomes, unclear: make(map[fact]bool), besides: make(map[string][][]Event)}
	for i, g := range f.groups {
		text := g.Text
		if g.call != nil && g.call.reads == readsLoader {
			b.loads = append(b.loads, load{g.call.args, g.besides})
		}
		for _, at := range f.menus {
			if at == i && len(g.besides) > 0 && g.call != nil && g.call.reads == readsNothing {
				b.besides[text] = append(b.besides[text], nil)
				text = menuShown
			}
		}
		b.besides[text] = append(b.besides[text], g.besides)
	}
	for key := range f.vague {
		if _, known := f.values[key]; !known {
			b.unclear[key] = true
		}
	}
	if f.picked >= 0 && f.picked < len(f.groups) {
		b.Picked = strings.TrimPrefix(f.groups[f.picked].Text, "setparams ")
	}
	return b
}

// doubt forgets what another run reproduced the log without.
func (b *Boot) doubt(f *follower) {
	for key, v := range b.values {
		if w, ok := f.values[key]; !ok || v != w {
			b.unclear[key] = true
		}
	}
	for key := range f.values {
		if _, ok := b.values[key]; !ok {
			b.unclear[key] = true
		}
	}
	maps.Copy(b.unclear, f.vague)
	maps.DeleteFunc(b.outcomes, func(text string, ok bool) bool {
		other, known := f.outcomes[text]
		return !known || other != ok
	})
}
