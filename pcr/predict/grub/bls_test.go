package grub

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fedora is as short as a configuration can be that takes its entries from files.
const fedora = `set pager=1
if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  fi
}
insmod part_gpt
search --no-floppy --fs-uuid --set=root ed5e
if [ -z "${kernelopts}" ]; then
  set kernelopts="root=UUID=10d7 ro "
fi
insmod blscfg
blscfg
`

const (
	fedoraEnv = "(hd0,gpt2)/grub2/grubenv"
	entries   = "(hd0,gpt2)/loader/entries//"
)

// fedoraRun is what Fedora's GRUB measured of it, with the files of another folder.
func fedoraRun(version string, more ...Event) []Event {
	command := func(text string) Event { return Event{Kind: Command, Text: text} }
	file := func(text string) Event { return Event{Kind: File, Text: text} }
	run := []Event{
		command("set pager=1"), command("[ -f " + fedoraEnv + " ]"), command("load_env -f " + fedoraEnv), file(fedoraEnv),
		command("[  ]"), command("set default=0f0f-" + version + ".fc41.x86_64"), command("insmod part_gpt"),
		command("search --no-floppy --fs-uuid --set=root ed5e"), command("[ -z  ]"), command("set kernelopts=root=UUID=10d7 ro "),
		command("insmod blscfg"), command("blscfg"), file(entries + "0f0f-0-rescue.conf"), file(entries + "0f0f-5.9.1-1.fc41.x86_64.conf"),
	}
	cmdline := "(hd0,gpt2)/vmlinuz-" + version + " root=UUID=10d7 ro quiet"
	initrd := "(hd0,gpt2)/initramfs-" + version + ".img"
	return slices.Concat(run, more, []Event{
		command("load_video"), command("[ xy = xy ]"), command("insmod all_video"), command("set gfxpayload=keep"), command("insmod gzio"),
		command("linux " + cmdline), file("(hd0,gpt2)/vmlinuz-" + version), {Kind: Cmdline, Text: cmdline},
		command("initrd " + initrd), file(initrd),
	})
}

func fedoraDisk() disk {
	entry := func(version string) string {
		return "title Fedora Linux (" + version + ")\nversion " + version + "\nlinux /vmlinuz-" + version + "\ninitrd /initramfs-" + version +
			".img\noptions $kernelopts quiet $tuned_params\ngrub_users $grub_users\ngrub_arg --unrestricted\ngrub_class fedora\n"
	}
	return disk{
		fedoraEnv:                                 "# GRUB Environment Block\nsaved_entry=0f0f-5.9.1-1.fc41.x86_64\n####",
		entries + "0f0f-0-rescue.conf":            entry("0-rescue"),
		entries + "0f0f-5.9.1-1.fc41.x86_64.conf": entry("5.9.1-1"),
	}
}

func TestEntriesThatAreFilesAreForetold(t *testing.T) {
	const path = "(hd0,gpt2)/grub2/grub.cfg"
	now := fedoraDisk()
	script := mustParse(t, fedora)
	learned, err := Learn(script, path, fedoraRun("5.9.1-1"), now)
	if err != nil {
		t.Fatal(err)
	}
	next := maps.Clone(now)
	next[entries+"0f0f-5.10.2-1.fc41.x86_64.conf"] = "title New\nlinux /vmlinuz-5.10.2-1\noptions $kernelopts quiet\ninitrd /initramfs-5.10.2-1.img\n"
	for name, saved := range map[string]string{"by name": "0f0f-5.10.2-1.fc41.x86_64", "by title": "New"} {
		next[fedoraEnv] = "# GRUB Environment Block\nsaved_entry=" + saved + "\n"
		f, err := learned.Foretell(script, path, next)
		if err != nil {
			t.Fatal(err)
		}
		want := fedoraRun("5.10.2-1", Event{Kind: File, Text: entries + "0f0f-5.10.2-1.fc41.x86_64.conf"})
		want[5].Text = "set default=" + saved
		for i := range f.Events {
			f.Events[i].Line = 0
		}
		if !cmp.Equal(f.Events, want) {
			t.Error(name, cmp.Diff(want, f.Events))
		}
		if f.Doubt == "" {
			t.Error("the order in which GRUB reads the folder is taken for known")
		}
	}
}

// GRUB writes into its environment block as it boots, so what it read may be gone: then the log alone shows what it was.
func TestAnEnvironmentBlockThatIsGoneIsReadOffTheLog(t *testing.T) {
	const path = "(hd0,gpt2)/grub2/grub.cfg"
	script, then, now := mustParse(t, fedora), fedoraDisk(), fedoraDisk()
	delete(then, fedoraEnv)
	learned, err := Learn(script, path, fedoraRun("5.9.1-1"), then)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []disk{then, now} {
		f, err := learned.Foretell(script, path, d)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Events {
			f.Events[i].Line = 0
		}
		if want := fedoraRun("5.9.1-1"); !cmp.Equal(f.Events, want) {
			t.Error(cmp.Diff(want, f.Events))
		}
	}
	if f, err := learned.Foretell(mustParse(t, fedora+"echo $another\n"), path, then); err == nil {
		t.Errorf("a variable that may be in the block is taken for unset: %v", f.Events)
	}
}

// Without a default GRUB takes the newest.
func TestTheNewestReleaseComesFirst(t *testing.T) {
	ascending := []string{"a-0-rescue", "a-1~rc1-1", "a-1-1", "a-1-2", "a-1.2-1", "a-1.10-1", "a-2.0.9-200.fc9", "a-2.0.10-100.fc9", "a-2.0.10-100.fc10", "b-1-1"}
	for i, a := range ascending {
		for j, b := range ascending {
			got := compareReleases(a, b)
			if (i < j) != (got < 0) || (i > j) != (got > 0) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}
