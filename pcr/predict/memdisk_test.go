package predict_test

import (
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

// Another GRUB brings along another configuration, or other modules.
func TestWhatAnotherGRUBBringsAlongIsForetold(t *testing.T) {
	const start, config = "normal (memdisk)/grub.cfg", "set x=1\nconfigfile (hd0,gpt1)/EFI/debian/grub.cfg"
	with := func(m *synth.Machine, start, config string, modules ...string) {
		m.GRUB, m.Memdisk = predict.GRUBImageForTest(t, start, config, modules...), config
	}
	more := strings.Replace(config, "set x=1", "set x=1\nset y=2", 1)
	for name, c := range map[string]struct {
		change       func(*synth.Machine)
		blocked      []int // the old image is at hand
		blockedAlone []int // it is not
	}{
		"other bytes":                    {func(m *synth.Machine) { with(m, start, config, "ext2", "efi_gop") }, nil, nil},
		"another value":                  {func(m *synth.Machine) { with(m, start, strings.Replace(config, "1", "2", 1), "ext2") }, nil, nil},
		"a command more":                 {func(m *synth.Machine) { with(m, start, more, "ext2") }, nil, []int{8, 9}},
		"another start":                  {func(m *synth.Machine) { with(m, "set debug=all\n"+start, config, "ext2") }, []int{8, 9}, nil},
		"a module less":                  {func(m *synth.Machine) { with(m, start, config) }, []int{9}, nil},
		"no configuration":               {func(m *synth.Machine) { with(m, start, "", "ext2") }, []int{8, 9}, []int{8, 9}},
		"nothing that tells what it has": {func(m *synth.Machine) { m.GRUB = synth.NewKernel("grub") }, []int{8, 9}, nil},
	} {
		for _, alone := range []bool{false, true} {
			before, after := synth.OnDisk(), synth.OnDisk()
			before.SecureBoot, after.SecureBoot = false, false
			with(&before, start, config, "ext2")
			with(&after, start, config, "ext2")
			c.change(&after)
			blocked, future := c.blocked, predict.Future{Changes: []predict.Change{{Kind: predict.GRUB, Name: "/tmp/grub.efi", Data: after.GRUB}}}
			disk, _ := diskOf(before)
			if alone {
				disk, _ = diskOf(after)
				blocked, future = c.blockedAlone, predict.Future{Disk: true}
			}
			f, err := machineOf(t, synth.ShimGRUB(before), disk).Predict(future)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(name, func(t *testing.T) {
				if name == "another start" && alone || name == "a module less" && alone {
					if !strings.Contains(strings.Join(f.Notes, "\n"), "taken for granted") {
						t.Errorf("it is not said what is assumed: %q", f.Notes)
					}
					return
				}
				checkValues(t, f, synth.ShimGRUB(after), blocked)
			})
		}
	}
}
