package cmd

import (
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/internal/host"
)

func TestTheKernelListsFATAndXFSAsTheyAre(t *testing.T) {
	mounts := "/dev/vda3 / ext4 rw 0 0\n/dev/vda2 /boot xfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\nx /bootcamp btrfs rw 0 0\n"
	a := &app{Env: &Env{Host: host.Host{Root: fstest.MapFS{"proc/self/mounts": {Data: []byte(mounts)}}}}}
	for dir, want := range map[string]bool{"/": false, "/boot": true, "/boot/efi": true, "/bootcamp": false, "/boot/loader": true, "/efi": false} {
		if got := a.listsInOrder(dir); got != want {
			t.Errorf("%s: %v", dir, got)
		}
	}
}
