//go:build guest

package guest

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

//go:embed init.sh
var initScript []byte

const (
	busybox      = "/bin/busybox"
	shim         = "/usr/lib/shim/shimx64.efi.signed"
	grub         = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
	systemdBoot  = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
	systemdStub  = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
	snakeoilKey  = "/usr/share/ovmf/PkKek-1-snakeoil.key"
	snakeoilCert = "/usr/share/ovmf/PkKek-1-snakeoil.pem"
	removable    = "EFI/BOOT/BOOTX64.EFI" // what firmware starts from a disk that no boot option names
)

// usualCmdline has the kernel believe in its timer: on a busy host the test of it fails now and then.
const usualCmdline = "console=ttyS0 quiet panic=-1 no_timer_check"

// prepared is a boot whose files are made.
type prepared struct {
	dir       string // holds them: kernel, initrd, and what the loader makes of them
	device    string
	cmdline   string
	arguments string // what the loader is told: the command line, and a word of its own
	options   []string
}

// path is the file of one of its parts.
func (p *prepared) path(name string) string { return filepath.Join(p.dir, name) }

// unified is the unified kernel image, the signed one where there is one: a signer pads what it signs.
func (p *prepared) unified() string {
	if _, err := os.Stat(p.path("uki.signed")); err == nil {
		return p.path("uki.signed")
	}
	return p.path("uki")
}

// prepare makes the files of a boot.
func (b boot) prepare(t *testing.T) *prepared {
	t.Helper()
	if b.by == nil {
		b.by = direct
	}
	if b.kernel == "" {
		b.kernel = kernel(t)
	}
	if b.on == nil {
		b.on = &ovmf
	}
	p := &prepared{dir: t.TempDir(), device: b.device}
	if p.device == "" {
		p.device = "tpm-tis"
	}
	s := software{dir: p.dir, kernel: p.path("kernel"), initrd: p.path("initrd"), cmdline: b.cmdline}
	if s.cmdline == "" {
		s.cmdline = usualCmdline
	}
	p.cmdline = s.cmdline
	write(t, s.kernel, read(t, b.kernel))
	write(t, s.initrd, archive(t, b.initramfs(t)))
	m := b.by(t, s)
	p.arguments = m.prefix + s.cmdline
	p.options = append(b.on.options(t, p.dir, m.variables), m.options...)
	return p
}

// initramfs is what the guest finds. It has vtpmctl where a step calls it: what is small is loaded and measured soon.
func (b boot) initramfs(t *testing.T) map[string]file {
	files := map[string]file{"init": {initScript, 0o755}, "bin/busybox": {read(t, busybox), 0o755}}
	if slices.ContainsFunc(b.steps, func(s step) bool { return strings.Contains(s.command, "vtpmctl ") }) {
		files["bin/vtpmctl"] = file{read(t, vtpmctl), 0o755}
	}
	maps.Copy(files, b.files)
	for name, data := range b.in {
		files["in/"+name] = file{data, 0o600}
	}
	for i, s := range b.steps {
		files[fmt.Sprintf("steps/%02d-%s", i, s.name)] = file{[]byte(s.command + "\n"), 0o755}
	}
	return files
}

type file struct {
	data []byte
	mode int
}

// archive packs files as an initramfs: cpio in the format newc, compressed.
func archive(t *testing.T, files map[string]file) []byte {
	t.Helper()
	var cpio bytes.Buffer
	entry := func(name string, mode int, data []byte) {
		fmt.Fprintf(&cpio, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		cpio.Write(make([]byte, -cpio.Len()&3))
		cpio.Write(data)
		cpio.Write(make([]byte, -cpio.Len()&3))
	}
	const folder, regular = 0o040755, 0o100000
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, dir := range parents(name) {
			if !made[dir] {
				made[dir] = true
				entry(dir, folder, nil)
			}
		}
		entry(name, regular|files[name].mode, files[name].data)
	}
	entry("TRAILER!!!", 0, nil)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(cpio.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// parents are the folders that lead to a file, outermost first.
func parents(name string) []string {
	var all []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		all = append(all, dir)
	}
	slices.Reverse(all)
	return all
}

// software is what a loader starts. The loader leaves what it makes in dir.
type software struct{ dir, kernel, initrd, cmdline string }

// media are what a machine starts from.
type media struct {
	options   []string // QEMU's
	variables []variable
	prefix    string // of the command line
}

// loader is a way to start software.
type loader func(*testing.T, software) media

// direct has QEMU hand the kernel to the firmware, which starts it as an EFI application, or to SeaBIOS.
func direct(_ *testing.T, s software) media {
	return media{options: []string{"-kernel", s.kernel, "-initrd", s.initrd, "-append", s.cmdline}}
}

// shimGRUB is the way of the distributions: shim, GRUB with its configuration, a kernel; Debian's, signed.
func shimGRUB(t *testing.T, s software) media {
	config := filepath.Join(s.dir, "grub.cfg")
	write(t, config, fmt.Appendf(nil, "linux /vmlinuz %s\ninitrd /initrd.img\nboot\n", s.cmdline))
	return disk(t, s, map[string]string{
		removable: shim, "EFI/BOOT/grubx64.efi": grub, "EFI/debian/grub.cfg": config, "vmlinuz": s.kernel, "initrd.img": s.initrd,
	})
}

// stub has a boot option of the firmware start the kernel, with its command line.
func stub(t *testing.T, s software) media {
	m := disk(t, s, map[string]string{"vmlinuz.efi": s.kernel, "initrd.img": s.initrd})
	m.prefix = stubInitrd
	m.variables = bootOption(`\vmlinuz.efi`, stubInitrd+s.cmdline)
	return m
}

// stubInitrd tells the kernel's EFI stub where the initrd is.
const stubInitrd = `initrd=\initrd.img `

// uki is a unified kernel image, which the firmware starts.
func uki(t *testing.T, s software) media {
	return disk(t, s, map[string]string{removable: unify(t, s)})
}

// signedUKI is one that Secure Boot accepts where the snakeoil key is enrolled.
func signedUKI(t *testing.T, s software) media {
	return disk(t, s, map[string]string{removable: sign(t, unify(t, s))})
}

// bootUKI has systemd-boot start a unified kernel image.
func bootUKI(t *testing.T, s software) media {
	config := filepath.Join(s.dir, "loader.conf")
	write(t, config, []byte("timeout 0\n"))
	return disk(t, s, map[string]string{removable: systemdBoot, "loader/loader.conf": config, "EFI/Linux/linux.efi": unify(t, s)})
}

// unify makes the unified kernel image: dir/uki.
func unify(t *testing.T, s software) string {
	t.Helper()
	out, cmdline, release := filepath.Join(s.dir, "uki"), filepath.Join(s.dir, "cmdline"), filepath.Join(s.dir, "osrel")
	write(t, cmdline, []byte(s.cmdline))
	write(t, release, []byte("ID=guest\nNAME=\"A guest\"\nPRETTY_NAME=\"A guest\"\nVERSION_ID=1\n"))
	args := []string{"-p"}
	for _, section := range []struct{ name, file, address string }{
		{".osrel", release, "0x20000"}, {".cmdline", cmdline, "0x30000"}, {".linux", s.kernel, "0x2000000"}, {".initrd", s.initrd, "0x4000000"},
	} {
		args = append(args, "--add-section", section.name+"="+section.file, "--change-section-vma", section.name+"="+section.address)
	}
	interop.Run(t, "objcopy", append(args, systemdStub, out)...)
	return out
}

// sign signs an EFI application with the key that Debian publishes for tests.
func sign(t *testing.T, image string) string {
	t.Helper()
	key, out := image+".key", image+".signed"
	interop.Run(t, "openssl", "pkey", "-in", snakeoilKey, "-passin", "pass:snakeoil", "-out", key)
	interop.Run(t, "sbsign", "--key", key, "--cert", snakeoilCert, "--output", out, image)
	return out
}

// The disk's identity is fixed: it is measured.
const (
	diskGUID      = "8f6c2f1e-52a7-4c0e-9d3b-6f1a0c5e7d21"
	partitionGUID = "2b7e1516-28ae-4d2a-abf7-158809cf4f3c"
	diskSectors   = 100 << 11 // 100 MiB
	espStart      = 2048
	espSectors    = diskSectors - 2*espStart
)

// disk makes a disk with one EFI system partition that holds files, which it leaves in dir/esp too.
func disk(t *testing.T, s software, files map[string]string) media {
	t.Helper()
	image := filepath.Join(s.dir, "disk")
	write(t, image, nil)
	if err := os.Truncate(image, diskSectors*512); err != nil {
		t.Fatal(err)
	}
	interop.Run(t, "sgdisk", "--disk-guid="+diskGUID, fmt.Sprintf("--new=1:%d:%d", espStart, espStart+espSectors-1),
		"--typecode=1:ef00", "--partition-guid=1:"+partitionGUID, "--change-name=1:ESP", image)
	return filled(t, s, image, files)
}

// filled puts files on the one partition of a disk, and leaves them in dir/esp too.
func filled(t *testing.T, s software, image string, files map[string]string) media {
	t.Helper()
	esp := filepath.Join(s.dir, "esp")
	for name, source := range files {
		at := filepath.Join(esp, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, at, read(t, source))
	}
	interop.Run(t, "mkfs.vfat", "-F", "32", "--invariant", fmt.Sprint("--offset=", espStart), image, fmt.Sprint(espSectors/2))
	top, err := filepath.Glob(filepath.Join(esp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	copying := append([]string{"-s", "-i", fmt.Sprintf("%s@@%d", image, espStart*512)}, top...)
	interop.Run(t, "mcopy", append(copying, "::/")...)
	return media{options: []string{"-drive", "if=none,id=disk,format=raw,file=" + image, "-device", "virtio-blk-pci,drive=disk"}}
}

// variable is a UEFI variable of the firmware's boot manager.
type variable struct {
	name string
	data []byte
}

// bootOption is the only boot option: a file of the disk's EFI system partition and its arguments.
func bootOption(file, arguments string) []variable {
	var paths []byte
	node := func(kind, subtype byte, data []byte) {
		paths = append(paths, kind, subtype)
		paths = binary.LittleEndian.AppendUint16(paths, uint16(4+len(data)))
		paths = append(paths, data...)
	}
	drive := binary.LittleEndian.AppendUint32(nil, 1)
	drive = binary.LittleEndian.AppendUint64(drive, espStart)
	drive = binary.LittleEndian.AppendUint64(drive, espSectors)
	drive = append(append(drive, guidBytes(partitionGUID)...), 2, 2) // GPT, named by GUID
	node(4, 1, drive)
	node(4, 4, utf16z(file))
	node(0x7f, 0xff, nil)

	option := binary.LittleEndian.AppendUint32(nil, 1) // active
	option = binary.LittleEndian.AppendUint16(option, uint16(len(paths)))
	option = slices.Concat(option, utf16z("Linux"), paths, utf16z(arguments))
	return []variable{{"Boot0000", option}, {"BootOrder", []byte{0, 0}}}
}

// withVariables adds variables to OVMF's store: they go behind those it has, as EDK2's AUTHENTICATED_VARIABLE_HEADER,
// the name and the data, on a boundary of four bytes.
func withVariables(t *testing.T, store []byte, add []variable) []byte {
	t.Helper()
	const header = 60
	at := 0x48 + 0x1c // behind the headers of the volume and of the store
	for binary.LittleEndian.Uint16(store[at:]) == 0x55aa {
		at += header + int(binary.LittleEndian.Uint32(store[at+36:])) + int(binary.LittleEndian.Uint32(store[at+40:]))
		at = (at + 3) &^ 3
	}
	for _, v := range add {
		name := utf16z(v.name)
		h := make([]byte, header)
		binary.LittleEndian.PutUint16(h, 0x55aa)
		h[2] = 0x3f                             // added and valid
		binary.LittleEndian.PutUint32(h[4:], 7) // non-volatile, for boot services and at run time
		binary.LittleEndian.PutUint32(h[36:], uint32(len(name)))
		binary.LittleEndian.PutUint32(h[40:], uint32(len(v.data)))
		copy(h[44:], guidBytes("8be4df61-93ca-11d2-aa0d-00e098032b8c")) // EFI_GLOBAL_VARIABLE
		entry := slices.Concat(h, name, v.data)
		if free := store[at : at+len(entry)]; len(bytes.Trim(free, "\xff")) > 0 {
			t.Fatalf("the variable store has no room at %#x", at)
		}
		copy(store[at:], entry)
		at = (at + len(entry) + 3) &^ 3
	}
	return store
}

// utf16z is text in UTF-16 with its end.
func utf16z(s string) []byte {
	var b []byte
	for _, r := range s + "\x00" {
		b = append(b, byte(r), byte(r>>8))
	}
	return b
}

// guidBytes is a GUID as EFI stores it: the first three parts in little-endian order.
func guidBytes(text string) []byte {
	var b [16]byte
	digits := strings.ReplaceAll(text, "-", "")
	for i, at := range [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		fmt.Sscanf(digits[2*at:2*at+2], "%02x", &b[i])
	}
	return b[:]
}
