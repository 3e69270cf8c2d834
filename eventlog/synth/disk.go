package synth

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// OnDisk is Default with images as firmware wants them, so that what it boots from can be laid out as files.
func OnDisk() Machine {
	m := Default()
	text := func(what []byte) Section { return Section{".text", what} }
	m.Shim = Image([]Section{text(m.Shim), {".sbatlevel", []byte("sbat,1,2025051000\n")}, {".vendor_c", Certificate(distroCA)}}, loaderCA)
	m.GRUB = Image([]Section{text(m.GRUB)}, distroCA)
	m.SystemdBoot = Image([]Section{text(m.SystemdBoot)}, loaderCA)
	m.Kernel = NewKernel("6.12.41")
	return m
}

// NewKernel is a kernel with an EFI stub, which shim and firmware accept.
func NewKernel(version string) []byte {
	return Image([]Section{{".text", []byte("linux " + version)}}, distroCA, loaderCA)
}

// real tells whether the images are PE images.
func (m *Machine) real() bool { return bytes.HasPrefix(m.Kernel, []byte("MZ")) }

const (
	shimPath        = `\EFI\debian\shimx64.efi`
	grubPath        = `\EFI\debian\grubx64.efi`
	systemdBootPath = `\EFI\systemd\systemd-bootx64.efi`
)

func (m *Machine) kernelPath() string { return "/boot/vmlinuz-" + m.KernelVersion }
func (m *Machine) initrdPath() string { return "/boot/initrd.img-" + m.KernelVersion }
func (m *Machine) ukiPath() string    { return `\EFI\Linux\linux-` + m.KernelVersion + `.efi` }

// sections are what systemd-stub measures, in its order.
func (m *Machine) sections() []Section {
	all := []Section{
		{".linux", m.Kernel}, {".osrel", []byte("ID=debian\nVERSION_ID=13\n")}, {".cmdline", []byte(m.Cmdline)},
		{".initrd", m.Initrd}, {".uname", []byte(m.KernelVersion)},
	}
	if m.StubVersion < 254 {
		return all[:4]
	}
	return all
}

// UnifiedImage is the unified kernel image.
func (m *Machine) UnifiedImage() []byte {
	if !m.real() {
		return slices.Concat(m.Stub, m.Kernel, []byte(m.Cmdline), m.Initrd)
	}
	magic := fmt.Sprintf("#### LoaderInfo: systemd-stub %d ####", m.StubVersion)
	sections := []Section{{".text", m.Stub}, {".sdmagic", []byte(magic)}}
	if m.Signer == "" {
		return Image(append(sections, m.sections()...))
	}
	return Image(append(sections, m.sections()...), m.Signer)
}

// menuBlock is the block of the menu entry that is booted.
func (m *Machine) menuBlock() string {
	block := fmt.Sprintf("{\n\tlinux %s %s\n", m.kernelPath(), m.Cmdline)
	if paths := slices.Sorted(maps.Keys(m.initrds())); len(paths) > 0 {
		block += "\tinitrd " + strings.Join(paths, " ") + "\n"
	}
	return block + "}"
}

// initrds are the files that GRUB joins to the initrd, by their paths, in whose order they come.
func (m *Machine) initrds() map[string][]byte {
	all := map[string][]byte{}
	if m.Microcode != nil {
		all["/boot/early.img"] = m.Microcode
	}
	if m.Initrd != nil {
		all[m.initrdPath()] = m.Initrd
	}
	return all
}

// grubConfig is grub.cfg.
func (m *Machine) grubConfig() string {
	if !m.real() {
		return m.GRUBConfig
	}
	return m.GRUBConfig + "\nmenuentry 'Debian' --class debian " + m.menuBlock() + "\n"
}

// Files are what the machine boots from, by their paths in its file system, whichever way it boots.
func (m *Machine) Files() map[string][]byte {
	esp := func(path string) string { return "boot/efi" + strings.ReplaceAll(path, `\`, "/") }
	files := map[string][]byte{
		esp(shimPath): m.Shim, esp(grubPath): m.GRUB, esp(`\EFI\debian\grub.cfg`): []byte("configfile /boot/grub/grub.cfg"),
		esp(systemdBootPath): m.SystemdBoot, esp(`\loader\loader.conf`): []byte(m.LoaderConf), esp(m.ukiPath()): m.UnifiedImage(),
		esp(`\vmlinuz.efi`): m.Kernel, esp(`\initrd.img`): m.Initrd,
		"boot/grub/grub.cfg": []byte(m.grubConfig()), m.kernelPath()[1:]: m.Kernel,
	}
	for path, data := range m.initrds() {
		files[path[1:]] = data
	}
	return files
}

// certificates are those of the given names.
func certificates(names []string) [][]byte {
	all := make([][]byte, len(names))
	for i, n := range names {
		all[i] = Certificate(n)
	}
	return all
}

// SignatureList is a signature list of certificates of the given names.
func SignatureList(names ...string) []byte { return signatureList(certX509, certificates(names)...) }

// HashList is a signature list of the hashes of the given names, as in Machine.DBX.
func HashList(names ...string) []byte { return hashList(names...) }

// Disk is the start of the disk the machine boots from: its partition table.
func (m *Machine) Disk() []byte {
	data := gptData(m.RootGUID)
	entries := make([]byte, gptEntries*128)
	copy(entries, data[92+8:])
	header := bytes.Clone(data[:92])
	return slices.Concat(make([]byte, 512), header, make([]byte, 512-92), entries)
}

// SignedUpdate is a signed update of a variable (EFI_VARIABLE_AUTHENTICATION_2), but for its signature.
func SignedUpdate(lists []byte) []byte {
	pkcs7 := guid("4aafd29d-68df-49ee-8aa9-347d375665a7")
	body := bytes.Repeat([]byte{0x30}, 40)
	w := wire.NewLE().Bytes(make([]byte, 16)).U32(uint32(8 + 16 + len(body))).U16(0x0200).U16(0x0ef1)
	return w.Bytes(pkcs7).Bytes(body).Bytes(lists).Out()
}
