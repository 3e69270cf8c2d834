package grub

import (
	"path"
	"slices"
	"strings"
)

// entryStart is what each entry begins with.
const entryStart = "load_video\nset gfxpayload=keep\ninsmod gzio\n"

// maxEntries bounds the files of a folder.
const maxEntries = 200

// blscfg makes menu entries of the files of the Boot Loader Specification (grub-core/commands/blscfg.c of Fedora's GRUB).
func blscfg(r *run, args []string, _ *block, said *call) (status, error) {
	done := status{line: said.line, text: said.text()}
	if len(args) > 0 {
		return done, r.stop("%s: only blscfg without arguments is understood", said.text())
	}
	folder := r.ctx.vars["blsdir"].text
	if folder == "" {
		folder = "/loader/entries"
	}
	names, err := r.tell.folder(folder)
	if err != nil {
		return done, err
	}
	if len(names) > maxEntries {
		return done, r.stop("%s has too many files", folder)
	}
	slices.SortStableFunc(names, func(a, b string) int { return compareReleases(identifier(b), identifier(a)) })
	for _, name := range names {
		data, ok, err := r.tell.content(name)
		if err != nil {
			return done, err
		}
		e, valid := blsEntry(string(data))
		if !ok || data == nil {
			if e.source, valid = r.tell.entry(); !valid {
				return done, r.stop("%s is read, and is not at hand", name)
			}
			e.args = []string{identifier(name)} // its title is in the file
		}
		if valid {
			e.id = identifier(name)
			r.add(e)
		}
	}
	return done, nil
}

// identifier is the name of an entry's file.
func identifier(name string) string { return strings.TrimSuffix(path.Base(name), ".conf") }

// blsEntry reads a file. Variables in its options are left to the linux command that they become a part of.
func blsEntry(text string) (e entry, ok bool) {
	var title, kernel, options, initrds string
	if len(text) > maxText {
		return e, false
	}
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.IndexAny(line, " \t")
		if at < 0 {
			break
		}
		first := func(field *string, text string) {
			if *field == "" {
				*field = text
			}
		}
		switch value := strings.TrimLeft(line[at:], " \t"); line[:at] {
		case "title":
			first(&title, value)
		case "linux":
			first(&kernel, value)
		case "options":
			first(&options, " "+value)
		case "initrd":
			initrds += " ($root)" + value
		case "grub_arg":
			e.args = append(e.args, value)
		}
	}
	if kernel == "" {
		return e, false
	}
	if title == "" {
		title = kernel
	}
	e.args = append([]string{title}, e.args...)
	e.source = entryStart + "linux ($root)" + kernel + options + "\n"
	if initrds != "" {
		e.source += "initrd" + initrds + "\n"
	}
	return e, true
}

// compareReleases orders "name-version-release", as Fedora's GRUB does.
func compareReleases(a, b string) int {
	one, two := parts(a), parts(b)
	for i := range one {
		if c := compareVersions(one[i], two[i]); c != 0 {
			return c
		}
	}
	return 0
}

func parts(id string) [3]string {
	head, release, ok := cutLast(id)
	if !ok {
		return [3]string{id}
	}
	name, version, ok := cutLast(head)
	if !ok {
		return [3]string{head, release}
	}
	return [3]string{name, version, release}
}

func cutLast(s string) (head, tail string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// compareVersions compares segment by segment, as rpm does: a number is newer than a word, "~" is older than nothing.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		a, b = strings.TrimLeftFunc(a, separates), strings.TrimLeftFunc(b, separates)
		for _, mark := range []string{"~", "+"} {
			left, right := strings.HasPrefix(a, mark), strings.HasPrefix(b, mark)
			switch {
			case left && right:
				a, b = a[1:], b[1:]
				return compareVersions(a, b)
			case mark == "+" && (left || right) && a == "":
				return -1
			case mark == "+" && (left || right) && b == "":
				return 1
			case left:
				return -1
			case right:
				return 1
			}
		}
		if a == "" || b == "" {
			break
		}
		isNumber := a[0] >= '0' && a[0] <= '9'
		one, two := segment(a, isNumber), segment(b, isNumber)
		if two == "" {
			if isNumber {
				return 1
			}
			return -1
		}
		a, b = a[len(one):], b[len(two):]
		if isNumber {
			one, two = strings.TrimLeft(one, "0"), strings.TrimLeft(two, "0")
			if len(one) != len(two) {
				return len(one) - len(two)
			}
		}
		if c := strings.Compare(one, two); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func digit(c rune) bool  { return c >= '0' && c <= '9' }
func letter(c rune) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func separates(c rune) bool { return !digit(c) && !letter(c) && c != '~' && c != '+' }

// segment is what a version begins with: digits or letters.
func segment(s string, number bool) string {
	of := letter
	if number {
		of = digit
	}
	return s[:len(s)-len(strings.TrimLeftFunc(s, of))]
}
