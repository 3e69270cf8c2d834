// Package pcr reads platform configuration registers and reasons about their values. It takes a tpm.Sender and plain
// structs, and prints nothing.
package pcr

// Usage says what is measured into a PCR of a PC Client platform.
type Usage struct {
	PCR      int    `json:"pcr"`
	Name     string `json:"name"` // of the UAPI.7 registry; "" where it has none
	Measures string `json:"measures"`
}

// Usages lists what each PCR of a virtual machine measures, by the TCG PC Client Platform Firmware Profile section 3.3.4
// and the UAPI.7 "Linux TPM2 PCR" registry.
func Usages() []Usage {
	return []Usage{
		{0, "platform-code", "firmware code and CRTM"},
		{1, "platform-config", "firmware settings and host configuration"},
		{2, "external-code", "code of option ROMs"},
		{3, "external-config", "settings of option ROMs"},
		{4, "boot-loader-code", "boot loader and other UEFI applications"},
		{5, "boot-loader-config", "partition table, boot loader settings"},
		{6, "host-platform", "host specifics, such as the id of the VM"},
		{7, "secure-boot-policy", "Secure Boot state, its keys, and which of them were used"},
		{8, "grub-commands", "commands of GRUB and the kernel command line"},
		{9, "kernel-initrd", "files GRUB read; initrd and command line of the EFI stub"},
		{10, "ima", "files the kernel's integrity measurement saw"},
		{11, "kernel-boot", "unified kernel image and boot phases; BitLocker's access control"},
		{12, "kernel-config", "command line overrides, credentials, add-ons; Windows boot events"},
		{13, "sysexts", "system extension images; Windows boot modules"},
		{14, "shim-policy", "machine owner keys of shim; Windows boot authorities"},
		{15, "system-identity", "machine id, volume keys, mounts"},
		{16, "debug", "nothing by itself; anyone may reset it"},
		{17, "", "dynamic root of trust: launch"},
		{18, "", "dynamic root of trust: launch control"},
		{19, "", "dynamic root of trust: OS"},
		{20, "", "dynamic root of trust: OS"},
		{21, "", "dynamic root of trust: OS"},
		{22, "", "dynamic root of trust: OS"},
		{23, "application-support", "applications; anyone may reset it"},
	}
}

// UsageOf is the usage of one PCR; one that is not in the registry has no words.
func UsageOf(pcr int) Usage {
	if all := Usages(); pcr >= 0 && pcr < len(all) {
		return all[pcr]
	}
	return Usage{PCR: pcr}
}
