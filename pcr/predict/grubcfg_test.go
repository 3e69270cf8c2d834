package predict

import (
	"strings"
	"testing"
)

const oldConfig = `# made by grub-mkconfig
set default="0"
set timeout=5
if [ "x" = "y" ]; then
	set never=1
fi
function idle {
	set a=1
}
menuentry 'Debian' --class debian {
	insmod ext2
	linux /boot/vmlinuz-1 root=LABEL=x ro
	initrd /boot/initrd-1
}
submenu 'Advanced options' {
	menuentry 'Debian, with Linux 1' {
		linux /boot/vmlinuz-1 root=LABEL=x ro single
	}
}
`

// run is what GRUB measured of oldConfig.
var run = []string{"set default=0", "set timeout=5",
	"menuentry Debian --class debian {\n\tinsmod ext2\n\tlinux /boot/vmlinuz-1 root=LABEL=x ro\n\tinitrd /boot/initrd-1\n}",
	"submenu Advanced options {\n\tmenuentry 'Debian, with Linux 1' {\n\t\tlinux /boot/vmlinuz-1 root=LABEL=x ro single\n\t}\n}",
	"insmod ext2", "linux /boot/vmlinuz-1 root=LABEL=x ro", "initrd /boot/initrd-1"}

func TestANewConfigurationChangesTheCommandsItsLinesBecame(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		want     map[int]string // by index in run
		blocked  bool
	}{
		"nothing":        {"", "", nil, false},
		"a timeout":      {"timeout=5", "timeout=1", map[int]string{1: "set timeout=1"}, false},
		"a comment more": {"set timeout=5\n", "# why\n\nset timeout=5\n", nil, false},
		"a command line": {"root=LABEL=x ro\n\tinitrd", "root=LABEL=y\n\tinitrd", map[int]string{
			2: "menuentry Debian --class debian {\n\tinsmod ext2\n\tlinux /boot/vmlinuz-1 root=LABEL=y\n\tinitrd /boot/initrd-1\n}",
			5: "linux /boot/vmlinuz-1 root=LABEL=y"}, false},
		"another kernel everywhere": {"vmlinuz-1", "vmlinuz-2", map[int]string{
			2: "menuentry Debian --class debian {\n\tinsmod ext2\n\tlinux /boot/vmlinuz-2 root=LABEL=x ro\n\tinitrd /boot/initrd-1\n}",
			3: "submenu Advanced options {\n\tmenuentry 'Debian, with Linux 1' {\n\t\tlinux /boot/vmlinuz-2 root=LABEL=x ro single\n\t}\n}",
			5: "linux /boot/vmlinuz-2 root=LABEL=x ro"}, false},
		"an entry more in the menu that is not opened": {"submenu 'Advanced options' {\n", "submenu 'Advanced options' {\n\tmenuentry 'New' {\n\t}\n",
			map[int]string{3: "submenu Advanced options {\n\tmenuentry 'New' {\n\t}\n\tmenuentry 'Debian, with Linux 1' {\n\t\tlinux /boot/vmlinuz-1 root=LABEL=x ro single\n\t}\n}"}, false},
		"a line more in a function that is not called": {"\tset a=1\n", "\tset a=1\n\tset b=2\n", nil, false},
		"a command more":              {"set timeout=5\n", "set timeout=5\nset x=1\n", nil, true},
		"a command less":              {"set timeout=5\n", "", nil, true},
		"a command more in the entry": {"\tinsmod ext2\n", "\tinsmod ext2\n\tinsmod gzio\n", nil, true},
		"an entry more at the top":    {"submenu 'Adv", "menuentry 'New' {\n}\nsubmenu 'Adv", nil, true},
		"everything":                  {oldConfig, "set x=1\n", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			edit, why := compareConfigs(oldConfig, strings.ReplaceAll(oldConfig, c.from, c.to), run)
			if c.from == "" {
				edit, why = compareConfigs(oldConfig, oldConfig, run)
			}
			if (why != "") != c.blocked {
				t.Fatalf("blocked: %q", why)
			}
			if c.blocked {
				return
			}
			for i, command := range run {
				want := command
				if c.want[i] != "" {
					want = c.want[i]
				}
				if got := edit(command); got != want {
					t.Errorf("%q became %q, want %q", command, got, want)
				}
			}
		})
	}
}

// FuzzConfig compares any two configurations: it ends, and an equal one changes nothing.
func FuzzConfig(f *testing.F) {
	f.Add(oldConfig, "set x=1\n", "set timeout=5")
	f.Add("}{\n{\n}", "{\n{\n", "{")
	f.Add("a {\nb\n}\n", "a {\nb\nc\n}\n", "x {\nb\n}")
	f.Fuzz(func(t *testing.T, past, next, command string) {
		if len(past)+len(next) > 2000 {
			return
		}
		if edit, why := compareConfigs(past, next, []string{command}); why == "" {
			edit(command)
		}
		edit, why := compareConfigs(past, past, []string{command})
		if why != "" || edit(command) != command {
			t.Errorf("a configuration that is the same changes %q: %s", command, why)
		}
	})
}

// FuzzFiles gives every reader of a file garbage.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("MZ"))
	f.Add(make([]byte, 1024))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = gptData(data)
		_, _ = Sections(data)
		if lists, update, err := signatureLists(data); err == nil {
			appendLists(lists, lists)
			if !update && len(lists) > len(data) {
				t.Error("lists longer than the file")
			}
		}
	})
}
