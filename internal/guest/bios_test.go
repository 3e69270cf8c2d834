//go:build guest

package guest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

const biosGRUB = "/usr/lib/grub/i386-pc"

// legacyGRUB is GRUB on a disk with a partition table in its first sector, which SeaBIOS starts with INT 19h.
func legacyGRUB(t *testing.T, s software) media {
	t.Helper()
	config := filepath.Join(s.dir, "grub.cfg")
	write(t, config, fmt.Appendf(nil, "linux /vmlinuz %s\ninitrd /initrd.img\nboot\n", s.cmdline))
	return legacyDisk(t, s, map[string]string{"grub/grub.cfg": config, "vmlinuz": s.kernel, "initrd.img": s.initrd})
}

// legacyDisk makes a disk with one partition that holds files, which it leaves in dir/esp too. GRUB's core is where its
// boot sector looks for it without being told: in the second sector and those behind.
func legacyDisk(t *testing.T, s software, files map[string]string) media {
	t.Helper()
	const sector, tableAt = 512, 440
	core := filepath.Join(s.dir, "core")
	interop.Run(t, "grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/grub", "-o", core,
		"biosdisk", "part_msdos", "fat", "normal", "linux", "boot")
	first := read(t, filepath.Join(biosGRUB, "boot.img"))
	table := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(s.cmdline))) // the disk's signature
	table = append(table, 0, 0, 0x80, 0xfe, 0xff, 0xff, 0x0c, 0xfe, 0xff, 0xff)
	table = binary.LittleEndian.AppendUint32(table, espStart)
	table = binary.LittleEndian.AppendUint32(table, espSectors)
	copy(first[tableAt:sector-2], append(table, make([]byte, 48)...))

	image := filepath.Join(s.dir, "disk")
	write(t, image, append(first[:sector:sector], read(t, core)...))
	if err := os.Truncate(image, diskSectors*sector); err != nil {
		t.Fatal(err)
	}
	return filled(t, s, image, files)
}
