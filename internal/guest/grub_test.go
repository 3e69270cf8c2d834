//go:build guest

package guest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

// grubConfig is written as grub-mkconfig writes it: two kernels, the older one in a menu of its own.
const grubConfig = `# made like grub-mkconfig's
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="0"
fi

if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option

function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop
  fi
}
terminal_output console
if [ "${recordfail}" = 1 ] ; then
  set timeout=30
else
  if [ x$feature_timeout_style = xy ] ; then
    set timeout_style=hidden
    set timeout=0
  # Fallback hidden-timeout code in case the timeout_style feature is
  # unavailable.
  elif sleep --interruptible 0 ; then
    set timeout=0
  fi
fi
menuentry 'Linux' --class linux $menuentry_id_option 'linux-simple' {
	load_video
	insmod gzio
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	insmod part_gpt
	insmod fat
	search --no-floppy --fs-uuid --set=root 1234-ABCD
	echo	'Loading Linux 1 ...'
	linux	/vmlinuz-1 CMDLINE
	echo	'Loading initial ramdisk ...'
	initrd	/initrd.img-1
}
submenu 'Advanced options for Linux' $menuentry_id_option 'linux-advanced' {
	menuentry 'Linux, with Linux 1' --class linux $menuentry_id_option 'linux-1-advanced' {
		load_video
		insmod part_gpt
		insmod fat
		linux	/vmlinuz-1 CMDLINE
		initrd	/initrd.img-1
	}
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`

// menuGRUB is shim and GRUB with a configuration that has a menu, on a disk with two kernels.
func menuGRUB(config string) loader {
	return func(t *testing.T, s software) media {
		cfg, env, extra := filepath.Join(s.dir, "grub.cfg"), filepath.Join(s.dir, "grubenv"), filepath.Join(s.dir, "extra")
		write(t, cfg, []byte(strings.ReplaceAll(config, "CMDLINE", s.cmdline)))
		block := "# GRUB Environment Block\nsaved_entry=linux-1-advanced\n"
		write(t, env, []byte(block+strings.Repeat("#", 1024-len(block))))
		write(t, extra, archive(t, map[string]file{"extra": {[]byte("an initramfs besides\n"), 0o644}}))
		return disk(t, s, map[string]string{
			removable: shim, "EFI/BOOT/grubx64.efi": grub, "EFI/debian/grub.cfg": cfg, "EFI/debian/grubenv": env,
			"vmlinuz-1": s.kernel, "initrd.img-1": s.initrd, "vmlinuz-2": otherKernel(t), "initrd.img-2": s.initrd, "extra.img": extra,
		})
	}
}

// TestAnotherConfigurationOfGRUBIsForetold boots with one grub.cfg after the other. Each is foretold in the boot before it,
// in which nothing but GRUB's commands, and what they load, tells of it.
func TestAnotherConfigurationOfGRUBIsForetold(t *testing.T) {
	t.Parallel()
	const timeout = "terminal_output console\n"
	m := newMachine(t)
	config := grubConfig
	before := m.measure(t, boot{by: menuGRUB(config), on: &ovmfMS}, allBanks...)
	for _, c := range []struct {
		name    string
		edit    []string // old and new texts
		changes []int
	}{
		{"commands come and go", []string{
			timeout, timeout + "set color_normal=white/black\ninsmod regexp\n",
			"	echo	'Loading initial ramdisk ...'\n", "",
		}, []int{8, 9}},
		{"a new kernel is the default, the old one in the menu, with another command line and two initrds", []string{
			"menuentry 'Linux' ", "function say {\n  if [ \"$1\" != \"\" ]; then echo \"$1\" $2; fi\n}\nmenuentry 'Linux' ",
			"	echo	'Loading Linux 1 ...'\n	linux	/vmlinuz-1 CMDLINE\n	initrd	/initrd.img-1",
			"	say 'Loading Linux' 2\n	linux	/vmlinuz-2 CMDLINE second 'with blanks'\n	initrd	/initrd.img-2 /extra.img",
		}, []int{4, 8, 9}},
		{"an entry of the menu within the menu", []string{
			`default="0"`, `default="linux-advanced>linux-1-advanced"`,
			timeout, timeout + "for i in 1 2 3; do\n  if [ $i -ge 2 ]; then set last=$i; fi\ndone\necho $prefix $last\n",
		}, []int{4, 8, 9}},
	} {
		config = strings.NewReplacer(c.edit...).Replace(config)
		p := boot{by: menuGRUB(config), on: &ovmfMS}.prepare(t)
		foretold := (&next{grub: true}).predict(t, before, p)
		after := judge(t, m.start(t, p).wait(t), allBanks...)
		after.prepared = p
		t.Log(c.name)
		compare(t, foretold, before, after)
		var changed []int
		for _, d := range eventlog.DiffLogs(before.log, after.log).PCRs {
			if d.PCR != 10 {
				changed = append(changed, d.PCR)
			}
		}
		if !slices.Equal(changed, c.changes) {
			t.Errorf("PCRs %v differ between the boots, want %v", changed, c.changes)
		}
		before = after
	}
}
