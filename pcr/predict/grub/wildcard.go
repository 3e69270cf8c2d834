package grub

import (
	"path"
	"strings"
)

// wildcard is a path whose last part may stand for several names (GRUB's module regexp, commands/wildcard.c).
type wildcard struct {
	line   int
	folder string // to the last slash
	parts  string // the pattern of the name, in which a backslash takes what follows as it is
}

// escapePattern has a text stand for itself.
func escapePattern(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(text)
}

// wild tells whether a pattern has a wildcard, and where the first one is.
func wild(pattern string) (at int, ok bool) {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '*', '?':
			return i, true
		}
	}
	return 0, false
}

// paths are what an argument stands for.
func (r *run) paths(text, pattern string) ([]string, error) {
	at, ok := wild(pattern)
	if !ok || strings.IndexByte("/(*", pattern[0]) < 0 {
		return []string{text}, nil
	}
	slash := strings.LastIndexByte(pattern[:at], '/')
	if slash < 0 || strings.Contains(pattern[at:], "/") {
		return nil, r.stop("what the wildcard stands for depends on disks and folders: %s", text)
	}
	w := &wildcard{r.line, strings.NewReplacer(`\\`, `\`, `\*`, `*`, `\?`, `?`).Replace(pattern[:slash+1]), pattern[slash+1:]}
	names, err := r.tell.matches(w, r.wildcards)
	if err != nil || len(names) == 0 {
		return []string{text}, err
	}
	if err := r.spend(len(names)); err != nil {
		return nil, err
	}
	for i := range names {
		names[i] = w.folder + names[i]
	}
	return names, nil
}

// among picks the names that match. GRUB's pattern is one of path.Match but for brackets and dots, which mean nothing.
func (w *wildcard) among(names []string) (found []string) {
	pattern := strings.ReplaceAll(w.parts, "[", `\[`)
	for _, name := range names {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			found = append(found, name)
		}
	}
	return found
}

// listed are the names that match on a disk; more than one only where their order is known.
func (w *wildcard) listed(disk Disk) (found []string, ok bool) {
	names, ordered := disk.List(w.folder)
	if names == nil {
		return nil, false
	}
	found = w.among(names)
	return found, ordered || len(found) < 2
}

// matches tries whether the log has the path itself, or what the folder has today.
func (f *follower) matches(w *wildcard, _ bool) ([]string, error) {
	if found, ok := w.listed(f.disk); ok && len(found) > 0 && f.choose(2) == 1 {
		return found, nil
	}
	return nil, nil
}

func (f *foreteller) matches(w *wildcard, loaded bool) ([]string, error) {
	f.line = w.line
	found, ok := w.listed(f.disk)
	switch {
	case !ok:
		return nil, f.stop("what the wildcard stands for depends on files: %s%s", w.folder, w.parts)
	case len(found) > 0 && !loaded && !f.disk.Builtin("regexp"):
		return nil, f.stop("whether GRUB has the module for wildcards is not known: %s%s", w.folder, w.parts)
	}
	return found, nil
}
