package grub

import (
	"fmt"
	"slices"
	"strings"
)

// Forecast is what GRUB will measure from a configuration on.
type Forecast struct {
	Events []Event
	Doubt  string // about the files among them: why they may be others
}

// Foretell runs another configuration with what a boot taught. The error tells at which line something is asked that the
// boot did not show.
func (b *Boot) Foretell(s *Script, config string, disk Disk) (*Forecast, error) {
	f := &foreteller{boot: b, disk: disk, ran: make(map[string]int)}
	f.follow("", 0)
	if err := play(s, config, f); err != nil {
		return nil, err
	}
	return &f.Forecast, nil
}

type foreteller struct {
	Forecast
	boot *Boot
	disk Disk
	ran  map[string]int // how often each command was run
	from int            // behind the last command in Events
	line int
}

// follow takes what a command measured besides itself in the boot that taught; false if that did not run it.
func (f *foreteller) follow(text string, line int) bool {
	f.from, f.line = len(f.Events), line
	times := f.boot.besides[text]
	if len(times) == 0 {
		return false
	}
	f.add(times[min(f.ran[text], len(times)-1)]...)
	f.ran[text]++
	return true
}

func (f *foreteller) add(events ...Event) {
	for _, e := range events {
		f.Events = append(f.Events, Event{Kind: e.Kind, Text: e.Text, Line: f.line})
	}
}

func (f *foreteller) doubt(format string, args ...any) {
	if f.Doubt == "" {
		f.Doubt = f.stop(format, args...).Error()
	}
}

func (f *foreteller) stop(format string, args ...any) error {
	return stop{f.line, fmt.Sprintf(format, args...)}
}

func (f *foreteller) measured(c *call) error {
	f.line = c.line
	f.add(Event{Kind: Command, Text: c.text()})
	switch known := f.follow(c.text(), c.line); {
	case known, c.reads == readsNothing, c.reads == readsConfig:
		return nil
	case c.reads == readsLoader:
		return f.load(c.args)
	case c.args[0] == "insmod" && len(c.args) == 2 && f.disk.Builtin(c.args[1]):
		return nil
	}
	f.doubt("what %q reads is not known, for this boot did not run it", shorten(c.text()))
	return nil
}

// features are variables that are "y" in every GRUB that measures (grub-core/normal/main.c, since 2.02).
var features = []string{"chainloader_bpb", "ntldr", "platform_search_hint", "default_font_path", "all_video_module", "menuentry_id",
	"menuentry_options", "200_final", "nativedisk_cmd", "timeout_style"}

func (f *foreteller) value(name, since string, in *asking) (string, error) {
	if in != nil {
		f.line = in.line
	}
	key := fact{name, since}
	v, known := f.boot.values[key]
	switch {
	case f.boot.unclear[key]:
		return "", f.stop("what the variable %s held in this boot is not clear from its log", name)
	case known:
		return v, nil
	case since != "":
		return "", f.stop("the log does not show what the variable %s holds after %q", name, shorten(since))
	case name == "grub_platform":
		return "efi", nil
	case strings.HasPrefix(name, "feature_") && slices.Contains(features, name[len("feature_"):]):
		return "y", nil
	case setByGRUB(name):
		return "", f.stop("the log does not show what GRUB sets the variable %s to", name)
	}
	return "", nil // nobody sets it
}

func (f *foreteller) outcome(of status) (bool, error) {
	f.line = of.line
	ok, known := f.boot.outcomes[of.text]
	if now, found := f.tested(of.text); found {
		return now, nil
	}
	if !known {
		return false, stop{of.line, fmt.Sprintf("whether %q succeeds is not known, for this boot did not run it", shorten(of.text))}
	}
	return ok, nil
}

// tested answers a test of files that are there now.
func (f *foreteller) tested(text string) (ok, found bool) {
	words := strings.Split(text, " ")
	if len(words) == 5 && words[0] == "[" && (words[2] == "-nt" || words[2] == "-ot") {
		one, found := f.disk.Time(words[1])
		two, both := f.disk.Time(words[3])
		newer := one.Unix() > two.Unix()
		if words[2] == "-ot" {
			newer = one.Unix() < two.Unix()
		}
		return newer, found && both
	}
	if len(words) != 4 || words[0] != "[" || !slices.Contains([]string{"-e", "-f", "-s"}, words[1]) {
		return false, false
	}
	data, found := f.disk.Read(words[2])
	return words[1] != "-s" || len(data) > 0, found
}

func (f *foreteller) menu(_, usual int) (int, error) {
	f.follow(menuShown, f.line)
	return usual, nil
}

func (f *foreteller) content(path string) ([]byte, bool, error) {
	for _, e := range f.Events[f.from:] {
		if e.Kind == File && strings.HasSuffix(e.Text, path) {
			data, ok := f.disk.Read(e.Text)
			if !ok {
				data = nil
			}
			return data, true, nil
		}
	}
	data, ok := f.disk.Read(path)
	if ok { // it is new
		f.add(Event{Kind: File, Text: path})
		return data, true, nil
	}
	if last := f.Events[f.from-1]; f.ran[last.Text] == 0 {
		return nil, false, f.stop("whether there is a %s is not known, for this boot did not look", path)
	}
	return nil, false, nil
}

// entry is not asked for: what will be started has to be known.
func (f *foreteller) entry() (string, bool) { return "", false }

// folder lists the files that are there now. GRUB reads them in the order of the file system: the log shows that of those
// that were there, the disk that of all, if the system lists them so.
func (f *foreteller) folder(path string) ([]string, error) {
	in := func(e Event) bool { return e.Kind == File && strings.Contains(e.Text, path+"/") }
	first := slices.IndexFunc(f.Events[f.from:], in) + f.from
	if first < f.from {
		return nil, f.stop("this boot read nothing in %s", path)
	}
	dir := f.Events[first].Text[:strings.LastIndexByte(f.Events[first].Text, '/')+1]
	names, ordered := f.disk.List(dir)
	var now, before []string
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") && !strings.HasPrefix(name, ".") {
			now = append(now, dir+name)
		}
	}
	for _, e := range f.Events[f.from:] {
		if in(e) && slices.Contains(now, e.Text) {
			before = append(before, e.Text)
		}
	}
	fresh := slices.DeleteFunc(slices.Clone(now), func(name string) bool { return slices.Contains(before, name) })
	rest := slices.DeleteFunc(slices.Clone(now), func(name string) bool { return slices.Contains(fresh, name) })
	if len(fresh) == 0 || !ordered || !slices.Equal(rest, before) {
		now = slices.Concat(before, fresh)
		for _, name := range fresh {
			f.doubt("%s is new, and in which order GRUB reads the folder is not known", name)
		}
	}
	after := slices.DeleteFunc(slices.Clone(f.Events[first:]), in)
	f.Events = f.Events[:first]
	for _, name := range now {
		f.add(Event{Kind: File, Text: name})
	}
	f.Events = append(f.Events, after...)
	return now, nil
}

// load foretells what a command that loads a kernel or initrds measures: as one of its name did, with other arguments.
func (f *foreteller) load(args []string) error {
	for _, l := range f.boot.loads {
		if l.args[0] != args[0] || len(l.besides) == 0 {
			continue
		}
		if events, ok := l.with(args[1:]); ok {
			f.add(events...)
			return nil
		}
	}
	return f.stop("what %s measures is not known, for this boot did not run it", args[0])
}

// with gives the events of a command other arguments.
func (l load) with(args []string) (all []Event, ok bool) {
	was := l.args[1:]
	if strings.HasPrefix(l.args[0], "initrd") {
		each := slices.EqualFunc(was, l.besides, func(a string, e Event) bool { return e.Kind == File && e.Text == a })
		for _, a := range args {
			all = append(all, Event{Kind: File, Text: a})
		}
		return all, each
	}
	for _, e := range l.besides {
		at := slices.Index(was, e.Text)
		switch {
		case e.Kind == Cmdline && e.Text == loaderCmdline(was):
			all = append(all, Event{Kind: Cmdline, Text: loaderCmdline(args)})
		case e.Kind == File && at >= 0 && at < len(args):
			all = append(all, Event{Kind: File, Text: args[at]})
		default:
			return nil, false
		}
	}
	return all, true
}

// splitCmdline is the inverse of loaderCmdline.
func splitCmdline(text string) (args []string) {
	var arg strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			arg.WriteByte(text[i])
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			args = append(args, arg.String())
			arg.Reset()
		default:
			arg.WriteByte(c)
		}
	}
	return append(args, arg.String())
}

// loaderCmdline is the command line that a kernel gets of the arguments (grub_create_loader_cmdline).
func loaderCmdline(args []string) string {
	var out strings.Builder
	for i, a := range args {
		if i > 0 {
			out.WriteByte(' ')
		}
		blank := strings.Contains(a, " ")
		if blank {
			out.WriteByte('"')
		}
		for _, c := range []byte(a) {
			if c == '\\' || c == '\'' || c == '"' {
				out.WriteByte('\\')
			}
			out.WriteByte(c)
		}
		if blank {
			out.WriteByte('"')
		}
	}
	return out.String()
}
