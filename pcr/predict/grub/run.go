package grub

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The limits on a run.
const (
	maxSteps   = 20_000
	maxCommand = 1 << 16 // bytes of one command
	maxNesting = 30      // GRUB gives up at 64, and counts lists too
)

// stop says at which line a script cannot be followed further, and why.
type stop struct {
	line int
	why  string
}

func (s stop) Error() string {
	if s.line == 0 {
		return s.why
	}
	return fmt.Sprintf("line %d: %s", s.line, s.why)
}

// errBooted ends a run: GRUB starts what was loaded.
var errBooted = errors.New("booted")

// teller knows what a script does not say: what the log of a boot shows, or what was learned from it.
type teller interface {
	// measured takes a command that GRUB is about to run.
	measured(c *call) error
	// value is that of a variable that no command of the script has set since the command named. The text is what the
	// command that asks begins with, and what follows the variable in it.
	value(name, since string, in *asking) (string, error)
	// outcome tells whether a command succeeded.
	outcome(of status) (bool, error)
	// menu is called when GRUB shows a menu of n entries, of which it would start the one that is given.
	menu(n, usual int) (int, error)
	// content is that of a file that the last command reads. It is nil where it is not known; false if there is no file.
	content(path string) ([]byte, bool, error)
	// folder lists the files in a folder that the last command reads, by their paths.
	folder(path string) ([]string, error)
	// entry is what the entry has that this boot started, if its file is not known; false if none can be told.
	entry() (source string, ok bool)
	// matches is what a path with a wildcard in its last part stands for, in GRUB's order; loaded tells that the script
	// loaded the module for that. None means the path itself.
	matches(w *wildcard, loaded bool) ([]string, error)
}

// call is a command on its way to be run.
type call struct {
	line  int
	args  []string
	reads nature
}

func (c *call) text() string { return strings.Join(c.args, " ") }

// name is that of the command, behind a "!".
func (c *call) name() string {
	if c.args[0] == "!" && len(c.args) > 1 {
		return c.args[1]
	}
	return c.args[0]
}

// nature says what of files a command can read.
type nature int

const (
	readsUnknown nature = iota // a module, a font, whatever
	readsNothing
	readsConfig // the files that teller is asked for
	readsLoader // its arguments
)

// asking is where a variable stands whose value is asked for.
type asking struct {
	line   int
	before string // of the command, expanded
	after  string // what is written behind the variable, up to the next one
	ends   bool   // the word ends there
}

// status is what became of a command.
type status struct {
	line  int
	text  string // of the command
	known bool
	code  int // 0 where it succeeded; of other errors than a test's only that it is none of these
}

var (
	succeeded = status{known: true}
	untrue    = status{known: true, code: 1} // GRUB_ERR_TEST_FAILURE
	failed    = status{known: true, code: -1}
)

// verdict is the status of a test.
func verdict(ok bool) status {
	if ok {
		return succeeded
	}
	return untrue
}

// context is an environment: configfile and submenu open one of their own, in which only exported variables are seen.
type context struct {
	vars     map[string]value
	exported map[string]bool
	menu     *menu
}

// value is that of a variable; since names the command that changed it to what is not known.
type value struct{ text, since string }

// grubs are variables that GRUB itself sets, and exports.
var grubs = []string{"root", "prefix", "cmdpath", "config_file", "config_directory", "lang", "grub_cpu", "grub_platform", "secureboot",
	"shim_lock", "lockdown", "fw_path"}

func setByGRUB(name string) bool {
	return slices.Contains(grubs, name) || strings.HasPrefix(name, "feature_") || strings.HasPrefix(name, "net_")
}

// run is one run of a script.
type run struct {
	tell      teller
	ctx       *context
	functions map[string][]node
	args      []string // of the function or menu entry that runs
	line      int
	nesting   int
	steps     int
	wildcards bool   // the script loaded what expands them
	since     string // the command after which any variable may have a value

	loops, breaks int
	again         bool // continue rather than break
	returning     bool
	last          status
}

// play runs a script to the end, which is where the machine boots.
func play(s *Script, config string, t teller) error {
	r := &run{tell: t, functions: make(map[string][]node), last: succeeded}
	r.ctx = &context{vars: make(map[string]value), exported: make(map[string]bool), menu: &menu{}}
	for _, name := range grubs {
		r.ctx.exported[name] = true
	}
	r.enter(config)
	_, err := r.all(s.body)
	if err == nil && len(r.ctx.menu.entries) > 0 {
		err = r.show()
	}
	if errors.Is(err, errBooted) {
		return nil
	}
	return err
}

// enter tells a script where it was read from.
func (r *run) enter(config string) {
	if !strings.HasPrefix(config, "(") { // on the root device, and that is not in the path
		r.taint("config_file", "source "+config)
		r.taint("config_directory", "source "+config)
		return
	}
	r.set("config_file", config)
	r.set("config_directory", config[:max(strings.LastIndex(config, "/"), 0)])
}

func (r *run) set(name, text string) { r.ctx.vars[name] = value{text: text} }

// taint notes that a command changed a variable.
func (r *run) taint(name, by string) { r.ctx.vars[name] = value{since: by} }

func (r *run) stop(format string, args ...any) error {
	return stop{r.line, fmt.Sprintf(format, args...)}
}

func (r *run) spend(steps int) error {
	if r.steps += steps; r.steps > maxSteps {
		return r.stop("this runs for too long")
	}
	return nil
}

// lookup is the value of a variable.
func (r *run) lookup(name string, in *asking) (string, error) {
	v, set := r.ctx.vars[name]
	switch {
	case name == "?" && r.last.known && r.last.code >= 0:
		return strconv.Itoa(r.last.code), nil
	case name == "?":
		return r.tell.value(name, r.last.text, in)
	case set && v.since == "":
		return v.text, nil
	case set:
		return r.tell.value(name, v.since, in)
	case setByGRUB(name): // no environment block has these
		return r.tell.value(name, "", in)
	}
	return r.tell.value(name, r.since, in)
}

// parameters are the values of $1, $#, $* and $@; false for another name.
func (r *run) parameters(name string) ([]string, bool) {
	switch name {
	case "#":
		if r.args == nil {
			return nil, true
		}
		return []string{strconv.Itoa(len(r.args))}, true
	case "*":
		return []string{strings.Join(r.args, " ")}, true
	case "@":
		return r.args, true
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		return nil, false
	}
	if n < 1 || n > len(r.args) {
		return nil, true
	}
	return r.args[n-1 : n], true
}

// blanks part the words of a value.
const blanks = " \t\n\v\f\r"

// expand makes arguments of words. Where it has to ask for a variable, what was expanded so far tells where it stands;
// visible is false for words that GRUB does not measure.
func (r *run) expand(words []word, visible bool) ([]string, error) {
	var args []string
	var arg, pattern strings.Builder
	open, size := false, 0 // an argument has begun
	end := func() error {
		if !open {
			return nil
		}
		paths, err := r.paths(arg.String(), pattern.String())
		args = append(args, paths...)
		arg.Reset()
		pattern.Reset()
		open = false
		return err
	}
	for _, w := range words {
		for i, p := range w {
			values := []string{p.text}
			switch p.kind {
			case translated:
				if lang := r.ctx.vars["lang"]; lang != (value{}) {
					return nil, r.stop("the text may be translated")
				}
			case variable, quotedVariable:
				var ok bool
				if values, ok = r.parameters(p.text); ok {
					break
				}
				in := &asking{line: r.line}
				if visible {
					in.before = strings.Join(append(args, arg.String()), " ")
					in.after, in.ends = literal(w[i+1:])
				} else {
					in = nil
				}
				v, err := r.lookup(p.text, in)
				if err != nil {
					return nil, err
				}
				values = []string{v}
			}
			if p.kind == variable {
				values = strings.FieldsFunc(strings.Join(values, " "), func(c rune) bool { return strings.ContainsRune(blanks, c) })
			}
			for n, v := range values {
				if n > 0 {
					if err := end(); err != nil {
						return nil, err
					}
				}
				if size += len(v) + 1; size > maxCommand {
					return nil, r.stop("the command is too long")
				}
				arg.WriteString(v)
				if p.kind == bare || p.kind == variable {
					pattern.WriteString(v)
				} else {
					pattern.WriteString(escapePattern(v))
				}
				open = open || v != "" || p.kind == quoted
			}
		}
		if err := end(); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// literal is the text at the start of what is left of a word.
func literal(w word) (text string, ends bool) {
	for _, p := range w {
		if p.kind == variable || p.kind == quotedVariable {
			return text, false
		}
		text += p.text
	}
	return text, true
}

// all runs commands one after the other.
func (r *run) all(nodes []node) (status, error) {
	done := succeeded
	for _, n := range nodes {
		if r.breaks > 0 {
			break
		}
		var err error
		if done, err = r.one(n); err != nil {
			return done, err
		}
		r.last = done
		if r.returning {
			break
		}
	}
	return done, nil
}

func (r *run) one(n node) (status, error) {
	if r.nesting++; r.nesting > maxNesting {
		return succeeded, r.stop("the commands are too deep")
	}
	defer func() { r.nesting-- }()
	if err := r.spend(1); err != nil {
		return succeeded, err
	}
	switch n := n.(type) {
	case *command:
		return r.command(n)
	case *conditional:
		return r.conditional(n)
	case *loop:
		return r.loop(n)
	case *forEach:
		return r.forEach(n)
	case *function:
		r.functions[n.name] = n.body
	}
	return succeeded, nil
}

// succeeds tells whether a command did.
func (r *run) succeeds(s status) (bool, error) {
	if s.known {
		return s.code == 0, nil
	}
	return r.tell.outcome(s)
}

func (r *run) conditional(c *conditional) (status, error) {
	done, err := r.all(c.cond)
	if err != nil || r.returning {
		return done, err
	}
	ok, err := r.succeeds(done)
	if err != nil {
		return done, err
	}
	if !done.known {
		r.last = verdict(ok)
	}
	if ok {
		return r.all(c.then)
	}
	return r.all(c.otherwise)
}

func (r *run) loop(l *loop) (status, error) {
	r.loops++
	defer r.leaveLoop()
	for {
		done, err := r.all(l.cond)
		if err != nil || r.returning {
			return done, err
		}
		ok, err := r.succeeds(done)
		if err != nil || ok == l.until {
			return done, err
		}
		if done, err = r.all(l.body); err != nil || r.returning || !r.goesOn() {
			return done, err
		}
	}
}

func (r *run) forEach(f *forEach) (status, error) {
	r.line = f.line
	words, err := r.expand(f.words, false)
	if err != nil {
		return succeeded, err
	}
	r.loops++
	defer r.leaveLoop()
	done := succeeded
	for _, w := range words {
		r.set(f.name, w)
		if done, err = r.all(f.body); err != nil || r.returning || !r.goesOn() {
			break
		}
	}
	return done, err
}

// goesOn ends a continue, and tells whether the loop has another round.
func (r *run) goesOn() bool {
	if r.breaks == 1 && r.again {
		r.breaks = 0
	}
	return r.breaks == 0
}

func (r *run) leaveLoop() {
	r.loops--
	r.breaks = max(r.breaks-1, 0)
}

// command runs a single command.
func (r *run) command(c *command) (status, error) {
	r.line = c.line
	args, err := r.expand(c.words, true)
	if err != nil {
		return succeeded, err
	}
	if c.block != nil {
		args = append(args, "{"+c.block.text+"}")
	}
	if len(args) == 0 {
		return succeeded, nil
	}
	said := &call{line: c.line, args: args, reads: r.nature(args)}
	if err := r.tell.measured(said); err != nil {
		return succeeded, err
	}
	invert := args[0] == "!"
	if invert {
		if args = args[1:]; len(args) == 0 {
			return failed, nil
		}
	}
	done, err := r.execute(args, c.block, said)
	if invert {
		if done.known { // a command that fails by another error than a test's succeeds either way
			done = verdict(done.code != 0)
		} else {
			done.text = said.text()
		}
	}
	return done, err
}

// execute runs the command of the arguments: one of GRUB's, a function or an assignment.
func (r *run) execute(args []string, b *block, said *call) (status, error) {
	if do := builtinNamed(args[0]); do != nil {
		return do(r, args[1:], b, said)
	}
	if body, ok := r.functions[args[0]]; ok {
		return r.call(body, args[1:])
	}
	if name, text, ok := strings.Cut(args[0], "="); ok {
		r.set(name, text)
		return succeeded, nil
	}
	r.wildcards = r.wildcards || slices.Equal(args, []string{"insmod", "regexp"})
	for i, a := range args { // probe --set=x, regexp --set=1:x, search --set x
		name, ok := strings.CutPrefix(a, "--set=")
		if next := i + 1; (a == "--set" || a == "-s") && next < len(args) {
			name, ok = args[next], true
		}
		if ok {
			r.taint(name[strings.IndexByte(name, ':')+1:], said.text())
		}
	}
	return status{line: said.line, text: said.text()}, nil
}

// call runs a function.
func (r *run) call(body []node, args []string) (status, error) {
	outer, loops := r.args, r.loops
	r.args, r.loops = append([]string{}, args...), 0
	done, err := r.all(body)
	r.args, r.loops, r.returning = outer, loops, false
	return done, err
}

// script reads and runs the text of a menu entry or of another file.
func (r *run) script(text string, lines []int) (status, error) {
	if err := r.spend(1 + len(text)/100); err != nil {
		return succeeded, err
	}
	s, err := parse(text, lines)
	if err != nil {
		return succeeded, err
	}
	return r.all(s.body)
}

// open begins an environment of its own, and returns what ends it.
func (r *run) open() (restore func()) {
	outer := r.ctx
	inner := &context{vars: make(map[string]value), exported: maps.Clone(outer.exported), menu: &menu{}}
	for name, v := range outer.vars {
		if !outer.exported[name] {
			v = value{}
		}
		inner.vars[name] = v
	}
	r.ctx = inner
	return func() { r.ctx = outer }
}
