package grub

import (
	"slices"
	"strconv"
	"strings"
)

// builtin is a command of GRUB's that a script cannot be understood without. What any other one does shows in the log, or
// does not matter.
type builtin func(r *run, args []string, b *block, said *call) (status, error)

// builtinNamed is nil for other commands.
func builtinNamed(name string) builtin {
	switch name {
	case "set":
		return set
	case "unset":
		return unset
	case "export":
		return export
	case "echo", "true":
		return nothing
	case "false":
		return fails
	case "[", "test":
		return condition
	case "setparams":
		return setparams
	case "shift":
		return shift
	case "return":
		return leave
	case "break", "continue":
		return breakLoop
	case "increment", "decrement":
		return count
	case "menuentry", "submenu":
		return menuentry
	case "blscfg":
		return blscfg
	case "source", ".":
		return source
	case "configfile":
		return configfile
	case "load_env":
		return loadEnv
	case "search":
		return search
	case "search.fs_uuid", "search.fs_label", "search.file":
		return searchFor
	case "hwmatch", "read", "getenv":
		return sets
	case "boot", "exit", "reboot", "halt", "fwsetup":
		return boots
	case "eval":
		return eval
	case "normal", "extract_entries_source", "extract_entries_configfile":
		return unknown
	}
	return nil
}

// silent are further commands that read no file, whatever their arguments.
const silent = " set export unset echo true false test setparams shift return break continue increment decrement menuentry submenu" +
	" search.fs_uuid search.fs_label terminal_input terminal_output serial sleep save_env boot reboot halt fwsetup gfxpayload cls clear "

// nature tells what of files a command can read.
func (r *run) nature(args []string) nature {
	name := args[0]
	_, ours := r.functions[name]
	switch {
	case name == "source", name == ".", name == "configfile", name == "load_env", name == "blscfg":
		return readsConfig
	case strings.HasPrefix(name, "linux"), strings.HasPrefix(name, "initrd"):
		return readsLoader
	case ours, name == "eval", strings.Contains(silent, " "+name+" "), strings.Contains(name, "="),
		name == "[" && !slices.Contains(args, "-s"),
		name == "search" && !slices.Contains(args, "--file") && !slices.Contains(args, "-f"):
		return readsNothing
	}
	return readsUnknown
}

func nothing(*run, []string, *block, *call) (status, error) { return succeeded, nil }

func fails(*run, []string, *block, *call) (status, error) { return untrue, nil }

func unknown(r *run, _ []string, _ *block, said *call) (status, error) {
	return succeeded, r.stop("%s runs commands that are not in the file", said.args[0])
}

// eval runs its arguments as a script.
func eval(r *run, args []string, _ *block, _ *call) (status, error) {
	if len(args) == 0 {
		return succeeded, nil
	}
	if r.nesting++; r.nesting > maxNesting {
		return succeeded, r.stop("the commands are too deep")
	}
	defer func() { r.nesting-- }()
	return r.script(strings.Join(args, " "), []int{r.line})
}

// boots ends the run: what follows was never reached.
func boots(*run, []string, *block, *call) (status, error) { return succeeded, errBooted }

func set(r *run, args []string, _ *block, _ *call) (status, error) {
	if len(args) > 0 {
		if name, text, ok := strings.Cut(args[0], "="); ok {
			r.set(name, text)
		}
	}
	return succeeded, nil
}

func unset(r *run, args []string, _ *block, _ *call) (status, error) {
	if len(args) > 0 {
		r.set(args[0], "")
		delete(r.ctx.exported, args[0])
	}
	return succeeded, nil
}

func export(r *run, args []string, _ *block, _ *call) (status, error) {
	for _, name := range args {
		r.ctx.exported[name] = true
	}
	return succeeded, nil
}

func setparams(r *run, args []string, _ *block, _ *call) (status, error) {
	if r.args == nil { // neither a function nor an entry
		return failed, nil
	}
	r.args = append([]string{}, args...)
	return succeeded, nil
}

func shift(r *run, args []string, _ *block, _ *call) (status, error) {
	n := 1
	if len(args) > 0 {
		n = number(args[0])
	}
	if r.args == nil {
		return succeeded, nil
	}
	if n < 0 || n > len(r.args) {
		return failed, nil
	}
	r.args = r.args[n:]
	return succeeded, nil
}

func leave(r *run, args []string, _ *block, _ *call) (status, error) {
	r.returning = r.args != nil
	if len(args) == 0 {
		return r.last, nil
	}
	return status{known: true, code: number(args[0])}, nil
}

func breakLoop(r *run, args []string, _ *block, said *call) (status, error) {
	n := 1
	if len(args) > 0 {
		n = number(args[0])
	}
	r.again, r.breaks = said.name() == "continue", max(0, min(n, r.loops))
	return succeeded, nil
}

// count adds to a variable, or takes from it (Fedora's commands for the count of failed boots).
func count(r *run, args []string, _ *block, said *call) (status, error) {
	if len(args) != 1 {
		return failed, nil
	}
	by := 1
	if said.name() == "decrement" {
		by = -1
	}
	if v, ok := r.ctx.vars[args[0]]; ok && v.since == "" {
		r.set(args[0], strconv.Itoa(number(v.text)+by))
	} else {
		r.taint(args[0], said.text())
	}
	return succeeded, nil
}

// number is what GRUB makes of the start of a text.
func number(text string) int {
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	base := 10
	if rest, ok := strings.CutPrefix(text, "0x"); ok {
		base, text = 16, rest
	} else if len(text) > 1 && text[0] == '0' {
		base = 8
	}
	end := 0
	for end < len(text) && strings.IndexByte("0123456789abcdef"[:base], text[end]|0x20*(text[end]>>6)) >= 0 {
		end++
	}
	n, err := strconv.ParseInt(text[:end], base, 64)
	if err != nil {
		return 0
	}
	if negative {
		return int(-n)
	}
	return int(n)
}

// search sets root, or what --set names.
func search(r *run, args []string, _ *block, said *call) (status, error) {
	for i, a := range args {
		name, ok := strings.CutPrefix(a, "--set=")
		if a == "--set" || a == "-s" {
			name, ok = "root", true
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				name = args[i+1]
			}
		}
		if ok {
			r.taint(name, said.text())
		}
	}
	return status{line: said.line, text: said.text()}, nil
}

// searchFor is a search for one thing: what, variable, hints.
func searchFor(r *run, args []string, _ *block, said *call) (status, error) {
	name := "root"
	if len(args) > 1 {
		name = args[1]
	}
	r.taint(name, said.text())
	return status{line: said.line, text: said.text()}, nil
}

// sets is a command that sets a variable to what no script knows.
func sets(r *run, args []string, _ *block, said *call) (status, error) {
	switch {
	case said.name() == "hwmatch":
		r.taint("match", said.text())
	case len(args) > 0:
		r.taint(args[len(args)-1], said.text())
	}
	return status{line: said.line, text: said.text()}, nil
}

// source runs another file as if it stood here.
func source(r *run, args []string, _ *block, said *call) (status, error) {
	if len(args) != 1 {
		return failed, nil
	}
	data, ok, err := r.tell.content(args[0])
	if err != nil || !ok {
		return succeeded, err
	}
	if data == nil {
		return succeeded, r.stop("%s is read, and is not at hand", args[0])
	}
	s, err := Parse(data)
	if err != nil {
		return succeeded, r.stop("%s: %v", args[0], err)
	}
	if err := r.spend(1 + len(data)/100); err != nil {
		return succeeded, err
	}
	file, dir := r.ctx.vars["config_file"], r.ctx.vars["config_directory"]
	r.enter(args[0])
	_, err = r.all(s.body)
	r.ctx.vars["config_file"], r.ctx.vars["config_directory"] = file, dir
	return succeeded, err
}

// configfile runs another file in an environment of its own, and shows its menu.
func configfile(r *run, args []string, b *block, said *call) (status, error) {
	restore := r.open()
	defer restore()
	done, err := source(r, args, b, said)
	if err == nil && len(r.ctx.menu.entries) > 0 {
		err = r.show()
	}
	return done, err
}

// loadEnv takes variables from a file of a kilobyte (GRUB's manual, "The GRUB environment block").
func loadEnv(r *run, args []string, _ *block, said *call) (status, error) {
	done := status{line: said.line, text: said.text()}
	path, only := "", map[string]bool{}
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--file=")
		switch {
		case ok:
			path = name
		case (args[i] == "-f" || args[i] == "--file") && i+1 < len(args):
			i++
			path = args[i]
		case !strings.HasPrefix(args[i], "-"):
			only[args[i]] = true
		}
	}
	if path == "" {
		prefix, known := r.ctx.vars["prefix"]
		if path = prefix.text + "/grubenv"; !known || prefix.since != "" {
			path = "/grubenv" // whatever the folder
		}
	}
	data, ok, err := r.tell.content(path)
	if err != nil || !ok {
		return done, err
	}
	if data == nil {
		r.since = said.text()
		return done, nil
	}
	for line := range strings.Lines(string(data)) {
		name, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok && !strings.HasPrefix(name, "#") && (len(only) == 0 || only[name]) {
			r.set(name, unescape(text))
		}
	}
	return done, nil
}

func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
