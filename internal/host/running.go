package host

import (
	"io/fs"
	"strings"
)

// Cmdline is the command line of the running kernel to the letter, as it is measured; "" where it is not told.
func (h Host) Cmdline() string {
	if h.Root == nil {
		return ""
	}
	text, err := fs.ReadFile(h.Root, "proc/cmdline")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}

// EFIVariable is the content of a UEFI variable of the running system; ok is false where it cannot be read. Its file has four
// bytes of attributes in front (Linux, efivarfs).
func (h Host) EFIVariable(name, guid string) (content []byte, ok bool) {
	path := "sys/firmware/efi/efivars/" + name + "-" + guid
	if h.Root == nil || !fs.ValidPath(path) {
		return nil, false
	}
	data, err := fs.ReadFile(h.Root, path)
	if err != nil || len(data) < 4 {
		return nil, false
	}
	return data[4:], true
}
