package grub

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// config is written as grub-mkconfig writes it.
const config = `# made by grub-mkconfig
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi

if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option

function recordfail {
  set recordfail=1
  if [ -n "${have_grubenv}" ]; then if [ -z "${boot_once}" ]; then save_env recordfail; fi; fi
}
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop
  fi
}
if loadfont unicode ; then
  set gfxmode=auto
  load_video
  insmod gfxterm
fi
terminal_output gfxterm
if [ "${recordfail}" = 1 ] ; then
  set timeout=30
else
  set timeout=5
fi
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple' {
	recordfail
	load_video
	insmod gzio
	if [ x$grub_platform = xxen ]; then insmod xzio; fi
	search --no-floppy --fs-uuid --set=root 6f2c
	echo	'Loading Linux 1 ...'
	linux	/vmlinuz-1 root=/dev/vda2 ro "a b" quiet
	initrd	/initrd-1
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced' {
	menuentry 'Debian GNU/Linux, with Linux 1' $menuentry_id_option 'gnulinux-1' {
		linux	/vmlinuz-1 root=/dev/vda2 ro
		initrd	/initrd-1
	}
	menuentry 'Debian GNU/Linux, with Linux 1 (recovery)' $menuentry_id_option 'gnulinux-1-recovery' {
		linux	/vmlinuz-1 root=/dev/vda2 ro single
		initrd	/initrd-1
	}
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`

const configPath = "(hd0,gpt1)/boot/grub/grub.cfg"

// disk is what a machine reads from.
type disk map[string]string

func (d disk) Read(path string) ([]byte, bool) {
	text, ok := d[path]
	if !ok {
		return nil, false
	}
	return []byte(text), true
}

func (d disk) List(folder string) (names []string, ordered bool) {
	for path := range d {
		if name, ok := strings.CutPrefix(path, folder); ok && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, false
}

// Time is the time that stands in a file.
func (d disk) Time(path string) (time.Time, bool) {
	n, err := strconv.Atoi(d[path])
	return time.Unix(int64(n), 0), err == nil
}

func (disk) Builtin(module string) bool { return module == "regexp" }

// world knows all that scripts may ask for: it stands for a machine.
func world() *Boot {
	file := func(name string) []Event { return []Event{{Kind: File, Text: name}} }
	const env, font = "(hd0,gpt1)/boot/grub/grubenv", "(hd0,gpt1)/boot/grub/fonts/unicode.pf2"
	return &Boot{
		values: map[fact]string{{"prefix", ""}: "(hd0,gpt1)/boot/grub", {"grub_platform", ""}: "efi", {"feature_menuentry_id", ""}: "y",
			{"feature_all_video_module", ""}: "y", {"feature_default_font_path", ""}: "y"},
		outcomes: map[string]bool{"[ -s " + env + " ]": true, "loadfont unicode": true,
			"[ -f (hd0,gpt1)/boot/grub/custom.cfg ]": false, "keystatus --shift": false},
		besides: map[string][][]Event{"[ -s " + env + " ]": {file(env)}, "load_env": {file(env)}, "loadfont unicode": {file(font)},
			"insmod all_video": {file("(hd0,gpt1)/boot/grub/x86_64-efi/all_video.mod"), nil}, "insmod gzio": {nil}, "insmod gfxterm": {nil},
			"insmod ext2": {nil}, "loadfont other": {file("(hd0,gpt1)/boot/grub/fonts/other.pf2")},
			menuShown: {file("(hd0,gpt1)/boot/grub/theme.txt")}, "terminal_output gfxterm": {nil},
			"search --no-floppy --fs-uuid --set=root 6f2c": {nil}},
		loads: []load{{[]string{"linux", "/k"}, []Event{{Kind: File, Text: "/k"}, {Kind: Cmdline, Text: "/k"}}},
			{[]string{"initrd", "/i"}, file("/i")}},
	}
}

var files = disk{"(hd0,gpt1)/boot/grub/grubenv": "# GRUB Environment Block\nsaved_entry=1\n####"}

// boot plays a machine with a configuration.
func (b *Boot) boot(t *testing.T, text string, d disk) []Event {
	t.Helper()
	f, err := b.Foretell(mustParse(t, text), configPath, d)
	if err != nil {
		t.Fatal(err)
	}
	if f.Doubt != "" {
		t.Fatal(f.Doubt)
	}
	for i := range f.Events {
		f.Events[i].Number, f.Events[i].Line = 100+i, 0
	}
	return f.Events
}

func mustParse(t *testing.T, text string) *Script {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const end = "if [ -f  ${config"

// rewrites are what becomes of the configuration.
var rewrites = map[string]struct{ from, to string }{
	"the same":             {"x", "x"},
	"a command more":       {"terminal_output gfxterm\n", "terminal_output gfxterm\nset lang=de\nexport lang\n"},
	"a command less":       {"terminal_output gfxterm\n", ""},
	"a kernel update":      {"-1", "-2"},
	"a command line":       {"quiet", "quiet splash 'with \"words\"'"},
	"two initrds":          {"/initrd-1\n}\nsub", "/ucode /initrd-1\n}\nsub"},
	"another default":      {`default="0"`, `default="gnulinux-advanced>gnulinux-1-recovery"`},
	"a default by path":    {`default="0"`, `default="1>1"`},
	"an entry before":      {"menuentry 'Debian GNU/Linux' ", "menuentry 'New' {\n\trecordfail\n\tlinux /new a=b\n\tinitrd /i-new\n}\nmenuentry 'Debian GNU/Linux' "},
	"a function and an if": {end, "function f {\n  if [ \"$1\" = efi ]; then set console=$1; fi\n}\nf $grub_platform\n" + end},
	"a loop":               {end, "for i in a b; do set x=$x$i; done\n" + end},
	"an early exit":        {"set gfxmode=auto", "set gfxmode=1024x768\n  set again=$gfxmode"},
	"a variable written":   {"set timeout=5", "set timeout=5\n  echo $prefix ${config_directory} $never_set"},
	"a font no more":       {"loadfont unicode", "true"},
	"a video module less":  {"  load_video\n  insmod gfxterm", "  insmod gfxterm"},
}

func TestAnotherConfigurationIsForetoldFromABoot(t *testing.T) {
	for name, c := range rewrites {
		t.Run(name, func(t *testing.T) {
			learned, err := Learn(mustParse(t, config), configPath, world().boot(t, config, files), files)
			if err != nil {
				t.Fatal(err)
			}
			next := strings.ReplaceAll(config, c.from, c.to)
			if next == config && c.from != c.to {
				t.Fatal("nothing is replaced")
			}
			want := world().boot(t, next, files)
			if got := learned.boot(t, next, files); !cmp.Equal(got, want) {
				t.Error(cmp.Diff(want, got))
			}
		})
	}
}

// The old configuration is gone: what an update writes anew is foretold, and nothing is foretold wrongly.
func TestAConfigurationThatWasOverwrittenIsForetoldFromTheLog(t *testing.T) {
	log := world().boot(t, config, files)
	rewrites := maps.Clone(rewrites)
	rewrites["an entry before, and a kernel update"] = struct{ from, to string }{"menuentry 'Debian GNU/Linux' ",
		"menuentry 'New' {\n\trecordfail\n\tload_video\n\tinsmod gzio\n\tif [ x$grub_platform = xxen ]; then insmod xzio; fi\n" +
			"\tsearch --no-floppy --fs-uuid --set=root 6f2c\n\techo new\n\tlinux /new a=b\n\tinitrd /i-new\n}\nmenuentry 'Debian GNU/Linux' "}
	rewrites["an entry less"] = struct{ from, to string }{"\tmenuentry 'Debian GNU/Linux, with Linux 1 (recovery)'", "}\nsubmenu 'x' {\n\tmenuentry 'x'"}
	rewrites["another timeout"] = struct{ from, to string }{"timeout=5", "timeout=9"}
	for name, c := range rewrites {
		t.Run(name, func(t *testing.T) {
			next := strings.ReplaceAll(config, c.from, c.to)
			script := mustParse(t, next)
			learned, err := LearnWithout(script, configPath, log, files)
			var f *Forecast
			if err == nil {
				f, err = learned.Foretell(script, configPath, files)
			}
			switch name {
			case "the same", "a kernel update", "a command line", "two initrds", "an entry before, and a kernel update", "an entry less", "another timeout":
				if err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				t.Log(err)
				return
			}
			for i := range f.Events {
				f.Events[i].Number, f.Events[i].Line = 100+i, 0
			}
			if want := world().boot(t, next, files); !cmp.Equal(f.Events, want) {
				t.Error(cmp.Diff(want, f.Events))
			}
		})
	}
}

// What a script makes of files is foretold from those that are there.
func TestFilesAnswerForThemselves(t *testing.T) {
	d := disk{"/old": "100", "/new": "200", "/k/vmlinuz-1": "", "/k/.vmlinuz-1": "", "/k/[vmlinuz]": "", "/one/x": ""}
	for script, want := range map[string]string{
		"if [ /new -nt /old ]; then echo yes; fi":            "echo yes",
		"if [ /new -ot /old ]; then echo yes; fi":            "",
		"if [ /old -ot /new ]; then echo yes; fi":            "echo yes",
		"if [ /old -nt /gone ]; then echo yes; fi":           "line 1: whether",
		"insmod regexp\nfor i in /one/*; do echo $i; done":   "echo /one/x",
		"for i in /k/v*; do echo $i; done":                   "echo /k/vmlinuz-1",
		"echo /k/[*":                                         "echo /k/[vmlinuz]",
		"echo /k/*vmlinuz-1":                                 "line 1: what the wildcard stands for depends on files",
		"echo /gone/*":                                       "line 1: what the wildcard stands for depends on files",
		"echo /*/x":                                          "line 1: what the wildcard stands for depends on disks",
		"echo (hd*)/x":                                       "line 1: what the wildcard stands for depends on disks",
		"x=/one/?\necho $x":                                  "echo /one/x",
		"x=/one/?\necho \"$x\" '/one/?' /one/\\? a/one/?":    "echo /one/? /one/? /one/? a/one/?",
		"x='echo'\neval $x 'a;' \"$x b\"":                    "echo b",
		"function f { eval return 1; }\nif f; then true; fi": "return 1",
	} {
		f, err := new(Boot).Foretell(mustParse(t, script), configPath, d)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case len(f.Events) > 0:
			got = f.Events[len(f.Events)-1].Text
		}
		if !strings.HasPrefix(got, want) || want == "" && strings.HasPrefix(got, "echo") {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

func TestWhatABootDidNotShowIsNotForetold(t *testing.T) {
	const at = "set timeout=5"
	for name, c := range map[string]struct{ add, why string }{
		"another test for a file":      {"if [ -f /x ]; then true; fi", `line 44: whether "[ -f /x ]" succeeds is not known`},
		"a command that may fail":      {"if keystatus --shift; then true; fi", `line 44: whether "keystatus --shift" succeeds`},
		"a variable of GRUB's":         {"echo $grub_cpu", "line 44: the log does not show what GRUB sets the variable grub_cpu to"},
		"what a search found":          {"search --set=root --label x\necho $root", `what the variable root holds after "search --set=root --label x"`},
		"a wildcard":                   {"echo /boot/*", "depends on files"},
		"commands from elsewhere":      {"extract_entries_source /x", "extract_entries_source runs commands that are not in the file"},
		"a file nobody looked at":      {"source /x", "whether there is a /x is not known"},
		"an endless loop":              {"while true; do echo; done", "this runs for too long"},
		"a function without end":       {"f", "the commands are too deep"},
		"a loader this boot never ran": {"linuxefi /x", "what linuxefi measures is not known"},
		"a default nobody agrees on":   {"set default=1.5", "versions of GRUB disagree"},
	} {
		t.Run(name, func(t *testing.T) {
			learned, err := Learn(mustParse(t, config), configPath, world().boot(t, config, files), files)
			if err != nil {
				t.Fatal(err)
			}
			next := "function f { f; }\n" + strings.Replace(config, at, at+"\n"+c.add, 1)
			f, err := learned.Foretell(mustParse(t, next), configPath, files)
			if err == nil {
				t.Fatalf("it is foretold: %v", f.Events)
			}
			if !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, want %s", err, c.why)
			}
		})
	}
}

func TestFilesThatAreNotKnownAreDoubted(t *testing.T) {
	learned, err := Learn(mustParse(t, config), configPath, world().boot(t, config, files), files)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := learned.Foretell(mustParse(t, "insmod regexp\n"+config), configPath, files); err != nil || f.Doubt != "" {
		t.Errorf("%v: a module of the image is doubted: %q", err, f.Doubt)
	}
	f, err := learned.Foretell(mustParse(t, "insmod chain\n"+config), configPath, files)
	if err != nil || !strings.Contains(f.Doubt, `line 1: what "insmod chain" reads is not known`) {
		t.Errorf("%v %q", err, f.Doubt)
	}
}

func TestAConfigurationThatIsNotOfTheBootTeachesNothing(t *testing.T) {
	log := world().boot(t, config, files)
	for name, c := range map[string]struct{ from, to, why string }{
		"another word":      {"set timeout=5", "set timeout=6", `line 42: it would run "set timeout=6", and event 120 is "set timeout=5"`},
		"a command more":    {"terminal_output gfxterm\n", "terminal_output gfxterm\ntrue\n", `line 39: it would run "true", and event 119 is "[  = 1 ]"`},
		"a command less":    {"terminal_output gfxterm\n", "", `it would run "[  = 1 ]", and event 118 is "terminal_output gfxterm"`},
		"less in the entry": {"	initrd	/initrd-1\n}\nsub", "}\nsub", "and event"},
		"more in the entry": {"	initrd	/initrd-1\n}\nsub", "	initrd	/initrd-1\n	true\n}\nsub", "and event"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Learn(mustParse(t, strings.Replace(config, c.from, c.to, 1)), configPath, log, files)
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, want %s", err, c.why)
			}
		})
	}
}

// A log in which somebody chose another entry teaches all the same, and says so.
func TestAnEntryThatSomebodyChoseIsTold(t *testing.T) {
	chosen := strings.Replace(config, `default="0"`, `default="1>0"`, 1)
	log := world().boot(t, chosen, files)
	for i := range log {
		log[i].Text = strings.Replace(log[i].Text, "set default=1>0", "set default=0", 1)
	}
	learned, err := Learn(mustParse(t, config), configPath, log, files)
	if err != nil {
		t.Fatal(err)
	}
	if learned.Picked != "Advanced options" {
		t.Errorf("%q was chosen", learned.Picked)
	}
	f, err := learned.Foretell(mustParse(t, config), configPath, files)
	if err != nil || !strings.Contains(f.Doubt, "insmod gzio") {
		t.Fatal(err, f)
	}
	if last := f.Events[len(f.Events)-5]; last.Text != `linux /vmlinuz-1 root=/dev/vda2 ro a b quiet` {
		t.Errorf("foretold is %v", last)
	}
}

// A variable that may have held one thing or another is not used.
func TestWhatALogDoesNotDecideIsUnclear(t *testing.T) {
	const two = "echo a $x$y\n"
	log := []Event{{Kind: Command, Text: "echo a b", Number: 1}}
	learned, err := Learn(mustParse(t, two), configPath, log, files)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := learned.Foretell(mustParse(t, two+"echo $x\n"), configPath, files); err == nil {
		t.Errorf("it is foretold: %v", f.Events)
	}
	const same = "if keystatus; then true; else true; fi\n"
	log = []Event{{Kind: Command, Text: "keystatus"}, {Kind: Command, Text: "true"}}
	if learned, err = Learn(mustParse(t, same), configPath, log, files); err != nil {
		t.Fatal(err)
	}
	if len(learned.outcomes) > 0 {
		t.Errorf("it learned %v", learned.outcomes)
	}
}

// The environment block that the next boot reads may name another entry.
func TestTheEnvironmentBlockIsReadAsItIsNow(t *testing.T) {
	learned, err := Learn(mustParse(t, config), configPath, world().boot(t, config, files), files)
	if err != nil {
		t.Fatal(err)
	}
	next := maps.Clone(files)
	next["(hd0,gpt1)/boot/grub/grubenv"] += "\nnext_entry=gnulinux-advanced>gnulinux-1\n"
	if got, want := learned.boot(t, config, next), world().boot(t, config, next); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	if !slices.ContainsFunc(learned.boot(t, config, next), func(e Event) bool { return e.Text == "save_env next_entry" }) {
		t.Error("the next entry is not used")
	}
}

// FuzzLearn runs any two scripts along any log: it ends, and never panics. What is foretold for the same script is the log.
func FuzzLearn(f *testing.F) {
	f.Add(config, config, "[ -s x/grubenv ]\x00set have_grubenv=true")
	f.Add("menuentry a { submenu b { ${c}", "while true; do for i in a b; do continue 2; done; done", "true")
	f.Add("echo $a $b $c", "if a; then b; fi", "echo x y z")
	f.Add("if a; then b; else c; fi\nif d; then e; fi", "function a { a; }\na", "a\x00b\x00d")
	f.Add("blscfg\nload_env\nsearch --set\ntest ( ! -o -a", "export x; x=1; y=$x; echo \"$y", "blscfg")
	f.Fuzz(func(t *testing.T, past, next, run string) {
		was, err := Parse([]byte(past))
		if err != nil {
			var s stop
			if !errors.As(err, &s) {
				t.Fatal(err)
			}
			return
		}
		var log []Event
		for text := range strings.SplitSeq(run, "\x00") {
			log = append(log, Event{Kind: Command, Text: text})
		}
		if without, err := LearnWithout(was, configPath, log, files); err == nil {
			_, _ = without.Foretell(was, configPath, files)
		}
		learned, err := Learn(was, configPath, log, files)
		if err != nil {
			return
		}
		if same, err := learned.Foretell(was, configPath, files); err == nil && learned.Picked == "" {
			for i, e := range slices.DeleteFunc(same.Events, func(e Event) bool { return e.Kind != Command }) {
				if i >= len(log) || e.Text != log[i].Text {
					t.Errorf("%q is foretold of itself at %d", e.Text, i)
				}
			}
		}
		if will, err := Parse([]byte(next)); err == nil {
			_, _ = learned.Foretell(will, configPath, files)
		}
	})
}
