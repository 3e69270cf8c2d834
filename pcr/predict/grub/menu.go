package grub

import "strings"

// menu is a list of entries.
type menu struct{ entries []entry }

// entry is one of them.
type entry struct {
	title, id string
	args      []string
	source    string
	lines     []int
	submenu   bool
}

// optionsOfEntries are the options of menuentry that take a value.
const optionsOfEntries = " --class --users --hotkey --source --id -c -u -h -s "

// menuentry adds to the menu.
func menuentry(r *run, args []string, b *block, said *call) (status, error) {
	if b != nil {
		args = args[:len(args)-1]
	}
	e := entry{submenu: said.name() == "submenu"}
	for i := 0; i < len(args); i++ {
		name, text, has := strings.Cut(args[i], "=")
		switch {
		case args[i] == "--":
			e.args = append(e.args, args[i+1:]...)
			i = len(args)
			continue
		case len(args[i]) < 2 || args[i][0] != '-':
			e.args = append(e.args, args[i])
			continue
		case !has && strings.Contains(optionsOfEntries, " "+name+" ") && i+1 < len(args):
			i++
			text = args[i]
		}
		switch name {
		case "--id":
			e.id = text
		case "--source", "-s":
			e.source = text
		}
	}
	if len(e.args) == 0 {
		return failed, nil
	}
	if b != nil {
		quoted := make([]string, len(e.args))
		for i, a := range e.args {
			quoted[i] = " " + quote(a)
		}
		e.source = "setparams" + strings.Join(quoted, "") + "\n" + b.text
		e.lines = append([]int{said.line}, b.lines...)
	}
	r.add(e)
	return succeeded, nil
}

// quote has GRUB take a text as it is.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func (r *run) add(e entry) {
	if e.title = e.args[0]; e.id == "" {
		e.id = e.title
	}
	r.ctx.menu.entries = append(r.ctx.menu.entries, e)
}

// show lets the menu start an entry.
func (r *run) show() error {
	entries := r.ctx.menu.entries
	usual, err := r.preset(entries)
	if err != nil {
		return err
	}
	n, err := r.tell.menu(len(entries), usual)
	if err != nil {
		return err
	}
	return r.start(&entries[n])
}

// preset is the entry that the variable default names: by number, identifier or title. Where it names none GRUB takes the
// first.
func (r *run) preset(entries []entry) (int, error) {
	text, err := r.lookup("default", nil)
	if err != nil || text == "" {
		return 0, err
	}
	head := head(text)
	if strings.Trim(head, "0123456789") == "" {
		if n := number(head); n >= 0 && n < len(entries) {
			return n, nil
		}
		return 0, nil
	}
	for i, e := range entries {
		if e.id == head || e.title == head {
			return i, nil
		}
	}
	if c := head[0]; c >= '0' && c <= '9' {
		return 0, r.stop("the default entry is %s, which names none, and versions of GRUB disagree about what it means", text)
	}
	return 0, nil
}

// head is the first part of "menu>entry", in which ">>" is a ">" of a name.
func head(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '>' {
			if i+1 == len(path) || path[i+1] != '>' {
				break
			}
			i++
		}
		out.WriteByte(path[i])
	}
	return out.String()
}

// tail is what follows it.
func tail(path string) string {
	for i := 0; i+1 < len(path); i++ {
		if path[i] != '>' {
			continue
		}
		if path[i+1] != '>' {
			return path[i+1:]
		}
		i++
	}
	return ""
}

// start runs an entry (grub_menu_execute_entry). One that is no menu boots.
func (r *run) start(e *entry) error {
	if r.nesting++; r.nesting > maxNesting {
		return r.stop("the menus are too deep")
	}
	preset, chosen := r.ctx.vars["default"], r.ctx.vars["chosen"]
	if e.submenu {
		restore := r.open()
		defer restore()
		r.set("timeout", "0")
	}
	path := strings.ReplaceAll(e.id, ">", ">>")
	if chosen.text != "" {
		path = chosen.text + ">" + path
	}
	r.set("chosen", path)
	r.ctx.exported["chosen"] = true
	r.set("default", tail(preset.text))
	r.args = append([]string{}, e.args...)
	if _, err := r.script(e.source, e.lines); err != nil {
		return err
	}
	if !e.submenu {
		return errBooted
	}
	if len(r.ctx.menu.entries) == 0 {
		return r.stop("the menu %s is empty", e.title)
	}
	return r.show()
}
