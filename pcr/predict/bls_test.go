package predict_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

// fedora is a machine whose menu entries are files: /boot is a partition of its own.
type fedora struct {
	entries []string          // in the order of the folder
	options map[string]string // of each
	saved   string
	odd     string // a line of its configuration that does not lead to its log
}

const fedoraConfig = `load_env
set default=${saved_entry}
function load_video {
  insmod all_video
}
blscfg
`

func (f fedora) entry(id string) []byte {
	return []byte("title " + id + "\nlinux /vmlinuz-" + id + "\ninitrd /initramfs-" + id + "\noptions " + f.options[id] + "\n")
}

func (f fedora) env() []byte {
	return []byte("# GRUB Environment Block\nsaved_entry=" + f.saved + "\n")
}

// boot is what GRUB measures.
func (f fedora) boot() *synth.Recording {
	b := synth.Agile(eventlog.SHA1, eventlog.SHA256)
	command := func(text string) { b.Event(8, eventlog.EVIPL, []byte(text), []byte("grub_cmd: "+text+"\x00")) }
	file := func(path string, content []byte) {
		b.Event(9, eventlog.EVIPL, content, append([]byte("(hd0,gpt2)"+path), 0))
	}
	file("/grub2/grub.cfg", []byte(fedoraConfig+f.odd))
	command("load_env")
	file("/grub2/grubenv", f.env())
	command("set default=" + f.saved)
	command("blscfg")
	for _, id := range f.entries {
		file("/loader/entries//"+id+".conf", f.entry(id))
	}
	command("load_video")
	command("insmod all_video")
	command("set gfxpayload=keep")
	command("insmod gzio")
	line := "(hd0,gpt2)/vmlinuz-" + f.saved + " " + f.options[f.saved]
	command("linux " + line)
	file("/vmlinuz-"+f.saved, []byte("kernel "+f.saved))
	b.Event(8, eventlog.EVIPL, []byte(line), []byte("kernel_cmdline: "+line+"\x00"))
	command("initrd (hd0,gpt2)/initramfs-" + f.saved)
	file("/initramfs-"+f.saved, []byte("initramfs "+f.saved))
	return b.Recording()
}

func (f fedora) tree() fstest.MapFS {
	tree := fstest.MapFS{}
	put := func(name string, data []byte) { tree["boot/"+name] = &fstest.MapFile{Data: data} }
	put("grub2/grub.cfg", []byte(fedoraConfig+f.odd))
	put("grub2/grubenv", f.env())
	for _, id := range f.entries {
		put("loader/entries/"+id+".conf", f.entry(id))
		put("vmlinuz-"+id, []byte("kernel "+id))
		put("initramfs-"+id, []byte("initramfs "+id))
	}
	return tree
}

func newFedora() fedora {
	return fedora{[]string{"f-1", "f-3"}, map[string]string{"f-1": "root=a quiet", "f-2": "root=a quiet", "f-3": "root=a quiet"}, "f-3", ""}
}

// A kernel update adds an entry, grubby changes what is in one.
func TestEntriesOfTheirOwnThatChangeAreForetold(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*fedora)
		ordered bool // the system lists the folder as it is on the disk
		blocked []int
	}{
		"nothing":                            {func(*fedora) {}, false, nil},
		"another command line":               {func(f *fedora) { f.options["f-3"] = "root=b ro" }, false, nil},
		"another one of an entry not booted": {func(f *fedora) { f.options["f-1"] = "root=b ro" }, false, nil},
		"another default":                    {func(f *fedora) { f.saved = "f-1" }, false, nil},
		"an entry less":                      {func(f *fedora) { f.entries = f.entries[1:] }, false, nil},
		"a new entry":                        {func(f *fedora) { f.entries, f.saved = []string{"f-1", "f-2", "f-3"}, "f-2" }, true, nil},
		"a new entry and a changed one": {func(f *fedora) {
			f.entries, f.saved, f.options["f-3"] = []string{"f-1", "f-2", "f-3"}, "f-2", "root=b"
		}, true, nil},
		"a new entry in a folder of unknown order": {func(f *fedora) { f.entries, f.saved = []string{"f-1", "f-2", "f-3"}, "f-2" }, false, []int{9}},
		"a folder in another order":                {func(f *fedora) { f.entries, f.saved = []string{"f-3", "f-2", "f-1"}, "f-2" }, true, []int{9}},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := newFedora(), newFedora()
			if strings.HasPrefix(name, "a folder") { // the log has them as they are not listed
				before.entries = []string{"f-3", "f-1"}
			}
			c.change(&after)
			tree := after.tree()
			for name, file := range before.tree() { // an entry that goes leaves its kernel
				if tree[name] == nil && !strings.HasSuffix(name, ".conf") {
					tree[name] = file
				}
			}
			disk := rootsOf(tree)
			for i := range disk.Roots {
				disk.Roots[i].Ordered = c.ordered
			}
			f, err := machineOf(t, before.boot(), disk).Predict(predict.Future{Disk: true})
			if err != nil {
				t.Fatal(err)
			}
			checkValues(t, f, after.boot(), c.blocked)
		})
	}
}

// Where nobody says that the disk counts, an entry that changed blocks the commands that it may give.
func TestAnEntryThatChangedBlocksCommandsToo(t *testing.T) {
	before, after := newFedora(), newFedora()
	after.options["f-3"] = "root=b ro"
	checkValues(t, machineOf(t, before.boot(), rootsOf(after.tree())).Current(), before.boot(), []int{8, 9})
	before.odd, after.odd = "unheard-of\n", "unheard-of\n"
	for name, change := range map[string]func(*fedora){
		"changed": func(*fedora) {},
		"new":     func(f *fedora) { f.options["f-3"] = before.options["f-3"]; f.entries = append(f.entries, "f-9") },
		"gone":    func(f *fedora) { f.options["f-3"] = before.options["f-3"]; f.entries = f.entries[1:] },
	} {
		change(&after)
		f, err := machineOf(t, before.boot(), rootsOf(after.tree())).Predict(predict.Future{Disk: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := confidences(f)[predict.Blocked]; got != "8,9" {
			t.Errorf("an entry is %s: %q are blocked", name, got)
		}
		after = newFedora()
		after.options["f-3"], after.odd = "root=b ro", before.odd
	}
}
