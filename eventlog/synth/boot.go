package synth

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Machine is what a boot is made of. Change one field of Default and the log of that other boot differs exactly where a
// real one would. Files are stand-ins: their bytes are what is hashed, where a real machine hashes a PE image by its
// Authenticode rules.
type Machine struct {
	Banks      []eventlog.Alg
	SecureBoot bool
	Keys       bool     // are there though Secure Boot is off
	Firmware   string   // firmware version
	DBX        []string // names of revoked images
	MoreDBX    []byte   // signature lists that were appended later

	Shim, GRUB, Kernel, Initrd []byte   // shim and GRUB chain; the UKI boot uses Kernel and Initrd too
	Microcode                  []byte   // an initrd before the other; GRUB alone loads it
	Stub                       []byte   // systemd-stub
	StubVersion                int      // that it says it has
	Signer                     string   // who vouches for the unified kernel image
	SystemdBoot                []byte   // systemd-boot
	LoaderConf                 string   // its configuration
	MOK                        []string // names of machine owner keys
	RootGUID                   string   // of the root partition
	Cmdline                    string   // kernel command line
	KernelVersion              string   // in file names
	GRUBConfig                 string   // commands GRUB runs before it boots, one a line
	Memdisk                    string   // grub.cfg in the image of GRUB, which leads to the others; "" where there is none
	MoreLoads                  int      // GRUB 2.06 of Debian has shim judge the kernel once more, and shim measures it again
	BootManager, WindowsLoader []byte   // Windows
	Windows                    WindowsState
}

// WindowsState is what the Windows loader measures about its configuration.
type WindowsState struct {
	BootCounter   uint64
	BitLocker     uint32 // unlock flags: 4 TPM, 0x10 PIN, 0x40 recovery
	Debugging     bool
	TestSigning   bool
	SafeMode      bool
	HVCI          bool
	WithoutSHA1   bool // the operating system measures into SHA-256 only, though the firmware has both banks
	TrustPoint    bool // append the quote events that belong to no PCR
	SystemModules []string
}

// Default is a virtual machine with Secure Boot on and SHA-1 and SHA-256 banks.
func Default() Machine {
	return Machine{
		Banks: []eventlog.Alg{eventlog.SHA1, eventlog.SHA256}, SecureBoot: true, Firmware: "2026.05-1",
		DBX:  []string{"revoked boot manager 1", "revoked boot manager 2", "revoked shim 15.4"},
		Shim: []byte("shim 15.8, signed"), GRUB: []byte("grub 2.12, signed"), Stub: []byte("systemd-stub 257"),
		StubVersion: 257, Signer: loaderCA, SystemdBoot: []byte("systemd-boot 257"), LoaderConf: "timeout 3\n", MOK: []string{distroCA}, RootGUID: rootGUID,
		Kernel: []byte("linux 6.12.41, signed"), Initrd: []byte("initrd for 6.12.41"), KernelVersion: "6.12.41-cloud-amd64",
		Cmdline:     "root=UUID=6f2c1d0e-8b7a-4c59-a1e3-90d4b5c6a7f8 ro console=ttyS0 quiet",
		GRUBConfig:  "set default=0\nset timeout=5\ninsmod part_gpt\ninsmod ext2\nsearch --no-floppy --fs-uuid --set=root 6f2c1d0e-8b7a-4c59-a1e3-90d4b5c6a7f8",
		BootManager: []byte("boot manager 10.0.26100, signed"), WindowsLoader: []byte("os loader 10.0.26100, signed"),
		Windows: WindowsState{BootCounter: 42, BitLocker: 4, HVCI: true, TrustPoint: true,
			SystemModules: []string{`\Windows\System32\ntoskrnl.exe`, `\Windows\System32\hal.dll`, `\Windows\System32\drivers\tpm.sys`}},
	}
}

// rootGUID is the root partition of the Linux boots.
const rootGUID = "7c4d2a10-5e6f-4b3c-8d9e-1f2a3b4c5d6e"

// pcr0to6 lists the PCRs that firmware separates from what boots later.
var pcr0to6 = []uint32{0, 1, 2, 3, 4, 5, 6}

// firmware measures what OVMF measures before it loads a boot option.
func (m *Machine) firmware() *Builder {
	b := Agile(m.Banks...)
	b.Data(0, eventlog.EVSCRTMVersion, utf16z(m.Firmware))
	m.blob(b, "PEIFV", 0x820000, 0xe0000)
	m.blob(b, "DXEFV", 0x900000, 0xe80000)
	m.secureBootVariables(b)
	b.Data(7, eventlog.EVSeparator, make([]byte, 4))
	b.Event(1, eventlog.EVPlatformConfigFlags, []byte("etc/table-loader of this machine"), []byte("ACPI DATA"))
	table := wire.NewLE().U64(1).Bytes(guid(smbios3Table)).U64(0x7f77a000).Out()
	b.Event(1, eventlog.EVEFIHandoffTables, []byte("SMBIOS of this machine"), table)
	return b
}

// blob measures a firmware volume: the digest covers flash, the log only names it.
func (m *Machine) blob(b *Builder, name string, base, size uint64) {
	data := wire.NewLE().U8(byte(len(name))).Bytes([]byte(name)).U64(base).U64(size).Out()
	b.Event(0, eventlog.EVEFIFirmwareBlob2, []byte(name+" of firmware "+m.Firmware), data)
}

// secureBootVariables measures the five variables into PCR 7, empty ones as well (PFP, "Measuring UEFI variables").
func (m *Machine) secureBootVariables(b *Builder) {
	config := func(vendor, name string, data []byte) {
		b.Data(7, eventlog.EVEFIVariableDriverConfig, Variable(vendor, name, data))
	}
	if !m.SecureBoot && !m.Keys {
		config(globalVariable, "SecureBoot", []byte{0})
		for _, name := range []string{"PK", "KEK"} {
			config(globalVariable, name, nil)
		}
		config(imageSecurity, "db", nil)
		config(imageSecurity, "dbx", nil)
		return
	}
	on := byte(0)
	if m.SecureBoot {
		on = 1
	}
	config(globalVariable, "SecureBoot", []byte{on})
	config(globalVariable, "PK", signatureList(certX509, Certificate("Synthetic Platform Key")))
	config(globalVariable, "KEK", signatureList(certX509, Certificate("Synthetic Key Exchange Key")))
	config(imageSecurity, "db", slices.Concat(
		signatureList(certX509, Certificate(windowsCA)), signatureList(certX509, Certificate(loaderCA))))
	config(imageSecurity, "dbx", append(hashList(m.DBX...), m.MoreDBX...))
}

// The certificates of db.
const (
	windowsCA = "Synthetic Windows Production CA 2023"
	loaderCA  = "Synthetic Third Party UEFI CA 2023"
	distroCA  = "Synthetic Distribution Secure Boot CA"
)

// bootOption measures the boot variables, the attempt to boot, and the separators.
func (m *Machine) bootOption(b *Builder, description, file string, data ...byte) {
	boot := func(name string, data []byte) {
		b.Event(1, eventlog.EVEFIVariableBoot, data, Variable(globalVariable, name, data)) // OVMF hashes the value only
	}
	boot("BootOrder", []byte{3, 0, 0, 0})
	boot("Boot0003", loadOption(description, slices.Concat(diskNode(), filePathNode(file), endOfPath), data))
	boot("Boot0000", loadOption("UiApp", slices.Concat(node(4, 7, guid(owner)), node(4, 6, guid(owner)), endOfPath), nil))
	b.Data(4, eventlog.EVEFIAction, []byte("Calling EFI Application from Boot Option"))
	for _, pcr := range pcr0to6 {
		b.Data(pcr, eventlog.EVSeparator, make([]byte, 4))
	}
	b.Data(5, eventlog.EVEFIGPTEvent, gptData(m.RootGUID))
}

// load measures the start of an image.
func (m *Machine) load(b *Builder, image []byte, path []byte) {
	b.Event(4, eventlog.EVEFIBootServicesApp, measured(image), imageLoad(image, path))
}

// vouched measures which certificate let the next image run.
func (m *Machine) vouched(b *Builder, vendor, variable, certificate string) {
	if m.SecureBoot {
		b.Data(7, eventlog.EVEFIVariableAuthority, authority(vendor, variable, certificate))
	}
}

// exitBootServices is the end of the firmware's part.
func (m *Machine) exitBootServices(b *Builder) {
	for _, action := range []string{"Exit Boot Services Invocation", "Exit Boot Services Returned with Success"} {
		b.Data(5, eventlog.EVEFIAction, []byte(action))
	}
}

// ShimGRUB boots Linux the way most distributions do: shim, GRUB, kernel and initrd from a menu.
func ShimGRUB(m Machine) *Recording {
	b := m.firmware()
	m.bootOption(b, "debian", shimPath)
	m.vouched(b, imageSecurity, "db", loaderCA)
	m.load(b, m.Shim, diskPath(shimPath))
	m.shim(b)
	m.vouched(b, shimLock, "Shim", distroCA)
	m.load(b, m.GRUB, slices.Concat(filePathNode(grubPath), endOfPath))
	m.grub(b)
	for range 1 + m.MoreLoads {
		m.load(b, m.Kernel, endOfPath)
	}
	m.linuxStub(b, "BOOT_IMAGE="+m.kernelPath()+" "+m.Cmdline)
	m.exitBootServices(b)
	return b.Recording()
}

// shim measures its state (shim, mok.c): lists into PCR 14, what changes verification into PCR 7.
func (m *Machine) shim(b *Builder) {
	mok := func(name string, content []byte) {
		b.Event(14, eventlog.EVIPL, content, append([]byte(name), 0))
	}
	mok("MokList", signatureList(certX509, certificates(m.MOK)...))
	mok("MokListX", hashList("revoked grub 2.04"))
	if !m.SecureBoot && !m.Keys {
		mok("MokSBState", []byte{1})
		return
	}
	b.Data(7, eventlog.EVEFIVariableAuthority, Variable(shimLock, "SbatLevel", []byte("sbat,1,2025051000\nshim,4\ngrub,5\n")))
	b.Data(7, eventlog.EVEFIVariableAuthority, Variable(shimLock, "MokListTrusted", []byte{1}))
}

// grub measures every command into PCR 8 and every file it reads into PCR 9.
func (m *Machine) grub(b *Builder) {
	command := func(prefix, text string) {
		b.Event(8, eventlog.EVIPL, []byte(text), []byte(prefix+": "+text+"\x00"))
	}
	file := func(path string, content []byte) { b.Event(9, eventlog.EVIPL, content, append([]byte(path), 0)) }
	if m.Memdisk != "" {
		file("(memdisk)/grub.cfg", []byte(m.Memdisk))
		for line := range lines(m.Memdisk) {
			command("grub_cmd", line)
		}
	}
	file("(hd0,gpt1)/EFI/debian/grub.cfg", []byte("configfile /boot/grub/grub.cfg"))
	if m.Memdisk != "" {
		command("grub_cmd", "configfile /boot/grub/grub.cfg")
	}
	file("/boot/grub/grub.cfg", []byte(m.grubConfig()))
	for line := range lines(m.GRUBConfig) {
		command("grub_cmd", line)
	}
	kernel := m.kernelPath()
	if m.real() {
		command("grub_cmd", "menuentry Debian --class debian "+m.menuBlock())
		command("grub_cmd", "setparams Debian")
	}
	command("grub_cmd", fmt.Sprintf("linux %s %s", kernel, m.Cmdline))
	file(kernel, m.Kernel)
	command("kernel_cmdline", kernel+" "+m.Cmdline)
	if paths := slices.Sorted(maps.Keys(m.initrds())); len(paths) > 0 {
		command("grub_cmd", "initrd "+strings.Join(paths, " "))
		for _, path := range paths {
			file(path, m.initrds()[path])
		}
	}
}

// linuxStub measures what the kernel's EFI stub was given.
func (m *Machine) linuxStub(b *Builder, cmdline string) {
	tag := func(id uint32, name string, content []byte) {
		b.Event(9, eventlog.EVEventTag, content, tagged(id, append([]byte(name), 0)))
	}
	tag(0x8f3b22ed, "LOADED_IMAGE::LoadOptions", utf16z(cmdline))
	var initrd []byte
	for _, path := range slices.Sorted(maps.Keys(m.initrds())) {
		initrd = append(initrd, make([]byte, -len(initrd)&3)...) // each begins at a multiple of four
		initrd = append(initrd, m.initrds()[path]...)
	}
	if initrd != nil {
		tag(0x8f3b22ec, "Linux initrd", initrd)
	}
}

// tagged is PCClientTaggedEvent.
func tagged(id uint32, data []byte) []byte { return wire.NewLE().U32(id).Sized32(data).Out() }

// UKI boots a unified kernel image straight from firmware: systemd-stub measures its sections into PCR 11.
func UKI(m Machine) *Recording {
	b := m.firmware()
	m.bootOption(b, "Linux", m.ukiPath())
	m.vouched(b, imageSecurity, "db", m.Signer)
	m.unified(b)
	m.exitBootServices(b)
	return b.Recording()
}

// SystemdBoot boots a unified kernel image by way of systemd-boot.
func SystemdBoot(m Machine) *Recording {
	b := m.systemdBoot()
	if m.StubVersion < 254 { // systemd-boot takes the command line out of the image and hands it to the stub
		b.Data(12, eventlog.EVIPL, utf16z(m.Cmdline))
	}
	m.unified(b)
	m.exitBootServices(b)
	return b.Recording()
}

// systemdBoot boots as far as systemd-boot's menu.
func (m *Machine) systemdBoot() *Builder {
	b := m.firmware()
	m.bootOption(b, "Linux Boot Manager", systemdBootPath)
	m.vouched(b, imageSecurity, "db", loaderCA)
	m.load(b, m.SystemdBoot, diskPath(systemdBootPath))
	b.Event(5, eventlog.EVEventTag, []byte(m.LoaderConf), tagged(0xf5bc582a, utf16z("loader.conf")))
	return b
}

// unified starts the unified kernel image: its stub measures the sections, and starts the kernel in it. From version 252
// firmware does not measure that kernel under Secure Boot.
func (m *Machine) unified(b *Builder) {
	m.load(b, m.UnifiedImage(), diskPath(m.ukiPath()))
	for _, s := range m.sections() {
		b.Event(11, eventlog.EVIPL, append([]byte(s.Name), 0), utf16z(s.Name))
		b.Event(11, eventlog.EVIPL, s.Content, utf16z(s.Name))
	}
	if !m.real() || !m.SecureBoot {
		m.load(b, m.Kernel, endOfPath)
	}
	m.linuxStub(b, m.Cmdline)
}

// Type1 boots a kernel and an initrd of their own by way of systemd-boot.
func Type1(m Machine) *Recording {
	b := m.systemdBoot()
	m.load(b, m.Kernel, diskPath(`\vmlinuz.efi`))
	cmdline := `initrd=\initrd.img ` + m.Cmdline
	b.Data(12, eventlog.EVIPL, utf16z(cmdline))
	m.linuxStub(b, cmdline)
	m.exitBootServices(b)
	return b.Recording()
}

// Direct boots a kernel through its EFI stub, as QEMU's -kernel does.
func Direct(m Machine) *Recording {
	b := m.firmware()
	m.bootOption(b, "Linux", `\vmlinuz.efi`, utf16z(m.Cmdline)...)
	m.vouched(b, imageSecurity, "db", loaderCA)
	m.load(b, m.Kernel, diskPath(`\vmlinuz.efi`))
	m.linuxStub(b, m.Cmdline)
	m.exitBootServices(b)
	return b.Recording()
}

// SeaBIOS boots from a master boot record, without UEFI; its separators are all ones.
func SeaBIOS(m Machine) *Recording {
	b := Agile(m.Banks...)
	b.Data(1, eventlog.EVEventTag, tagged(1, []byte("SMBIOS of this machine")))
	b.Data(2, eventlog.EVEventTag, tagged(7, []byte("Start Option ROM Scan")))
	b.Data(4, eventlog.EVAction, []byte("Calling INT 19h"))
	for pcr := range uint32(8) {
		b.Data(pcr, eventlog.EVSeparator, []byte{0xff, 0xff, 0xff, 0xff})
	}
	b.Data(4, eventlog.EVAction, []byte("Booting BCV device 80h (HDD)"))
	b.Event(4, eventlog.EVIPL, m.GRUB, []byte("MBR"))
	b.Event(5, eventlog.EVIPLPartitionData, []byte("partition table"), []byte("MBR PARTITION_TABLE"))
	return b.Recording()
}

// TPM12 boots Linux on a TPM 1.2: the same chain in a SHA-1 log without a header, as old kernels hand it over.
func TPM12(m Machine) *Recording {
	b := SHA1()
	b.Data(0, eventlog.EVSCRTMVersion, utf16z(m.Firmware))
	for pcr := range uint32(8) {
		b.Data(pcr, eventlog.EVSeparator, make([]byte, 4))
	}
	m.load(b, m.Kernel, diskPath(`\vmlinuz.efi`))
	return b.Recording()
}
