//go:build interop

package predict

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// TestDebiansGRUBIsReadAsMtoolsReadIt takes the signed image apart, whose memdisk is a FAT.
func TestDebiansGRUBIsReadAsMtoolsReadIt(t *testing.T) {
	data, err := os.ReadFile("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
	if err != nil {
		t.Fatal(err)
	}
	g := grubImageIn(data)
	if g == nil || g.prefix != "/EFI/debian" || !strings.HasPrefix(g.config, "normal (memdisk)/grub.cfg") || !slices.Contains(g.modules, "tpm") {
		t.Fatalf("%+v", g)
	}
	disk := filepath.Join(t.TempDir(), "memdisk")
	if err := os.WriteFile(disk, g.memdisk, 0o600); err != nil {
		t.Fatal(err)
	}
	want := interop.Run(t, "mtype", "-i", disk, "::grub.cfg")
	if got, ok := g.file("(memdisk)/grub.cfg"); !ok || string(got) != string(want) {
		t.Errorf("it has\n%s\nmtools read\n%s", got, want)
	}
}

// TestAStandaloneGRUBIsRead has grub-mkstandalone make an image, whose memdisk is an archive.
func TestAStandaloneGRUBIsRead(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "given.cfg")
	if err := os.WriteFile(config, []byte(strings.Repeat("set x=1\n", 300)), 0o600); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "grub.efi")
	interop.Run(t, "grub-mkstandalone", "-O", "x86_64-efi", "-o", image, "--modules=tpm part_gpt", "boot/grub/grub.cfg="+config)
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	g := grubImageIn(data)
	if g == nil || !slices.Contains(g.modules, "part_gpt") {
		t.Fatalf("%+v", g)
	}
	if got, ok := g.file("(memdisk)/boot/grub/grub.cfg"); !ok || string(got) != string(want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}
