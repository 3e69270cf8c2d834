// Package host is the machine vtpmctl runs on, as far as it is not the TPM: sysfs, securityfs, DMI, EFI variables. It is
// read through fs.FS, so that any machine can be a fixture of a test.
package host

import (
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Host is one machine.
type Host struct {
	OS   string // as runtime.GOOS
	Root fs.FS  // the root of its file system: "sys/class/dmi/id/sys_vendor"

	dmi  func(field string) string // where firmware strings are not files; nil where they are
	boot func() string             // where the name of the boot is not a file; nil where it is
	wbcl func() []byte             // the log that Windows keeps in its registry; nil elsewhere
}

// Local is this machine; root is the root of its file system, such as "/" or `C:\`.
func Local(root string) Host {
	return Host{OS: runtime.GOOS, Root: os.DirFS(root), dmi: localDMI, boot: localBoot, wbcl: localWBCL}
}

// DMI is a string of the firmware's description of the machine, by its name in sysfs: "sys_vendor". What is not told,
// or only to root, is "".
func (h Host) DMI(field string) string {
	if h.dmi != nil {
		return h.dmi(field)
	}
	return h.Text("sys/class/dmi/id/" + field)
}

func (h Host) exists(path string) bool {
	_, err := fs.Stat(h.Root, path)
	return err == nil
}

// Text reads a small text file, such as an attribute of sysfs, without the white space around it. What cannot be read
// is "", and so is everything on the zero Host.
func (h Host) Text(path string) string {
	if h.Root == nil {
		return ""
	}
	data, err := fs.ReadFile(h.Root, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// PCR is the value of a PCR in hex, as the kernel shows it to everybody without a TPM command of ours; "" where it does
// not. The kernel's name of a bank has no number of bits after sm3.
func (h Host) PCR(bank string, n int) string {
	if bank == "sm3_256" {
		bank = "sm3"
	}
	return h.Text("sys/class/tpm/tpm0/pcr-" + bank + "/" + strconv.Itoa(n))
}
