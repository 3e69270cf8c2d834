package eventlog

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Loader is an EV_IPL event of a boot loader. Which one wrote it shows in the data, not in the PCR: vendors and
// distributions disagree about those.
type Loader struct {
	Producer string `json:"producer"` // "grub", "shim", "systemd-stub", "systemd-boot", "seabios"
	What     string `json:"what"`     // "command", "kernel_cmdline", "file", "variable", "section", "cmdline", "mbr"
	Text     string `json:"text"`     // the command, path, name or command line

	line string // for String, where it was made with Text: a long log has tens of thousands
}

// loader makes an event's line, and its text as a part of that.
func loader(producer, what string, text []byte) *Loader {
	line := producer + " " + strings.ReplaceAll(what, "_", " ") + ": " + string(text)
	return &Loader{Producer: producer, What: what, Text: line[len(line)-len(text):], line: line}
}

// Kind of boot loader events.
func (*Loader) Kind() string { return "loader" }

func (l *Loader) String() string {
	if l.line == "" {
		return loader(l.Producer, l.What, []byte(l.Text)).line
	}
	return l.line
}

// grubPrefixes mark what GRUB measures besides files; older builds separate with a blank.
var grubPrefixes = []struct{ prefix, what string }{
	{"grub_cmd: ", "command"}, {"grub_cmd ", "command"},
	{"kernel_cmdline: ", "kernel_cmdline"}, {"grub_kernel_cmdline ", "kernel_cmdline"}, {"kernel_cmdline ", "kernel_cmdline"},
	{"module_cmdline: ", "module_cmdline"},
}

// shimVariables are the names under which shim measures its state (shim, mok.c).
var shimVariables = map[string]bool{"MokList": true, "MokListX": true, "MokSBState": true, "MokDBState": true,
	"MokListTrusted": true, "SbatLevel": true, "MokPolicy": true, "HSIStatus": true, "Shim": true}

// grubText splits what GRUB logs besides files into what it is and its text, which may hold any byte and is what GRUB
// hashes; nil where it is something else.
func grubText(data []byte) (what string, text []byte) {
	for _, p := range grubPrefixes {
		if text, found := bytes.CutPrefix(data, []byte(p.prefix)); found {
			return p.what, text
		}
	}
	return "", nil
}

func decodeIPL(e *Event) (Decoded, error) {
	if what, text := grubText(e.Data); text != nil {
		return loader("grub", what, bytes.TrimRight(text, "\x00")), nil
	}
	text, ok := printable(e.Data)
	if !ok {
		if wide, isWide := utf16Text(e.Data); isWide {
			return decodeWideIPL(wide), nil
		}
		return opaque(e.Data), nil
	}
	switch {
	case shimVariables[text]:
		return loader("shim", "variable", []byte(text)), nil
	case text == "MBR" || strings.HasPrefix(text, "MBR "):
		return loader("seabios", "mbr", []byte(text)), nil
	case strings.HasPrefix(text, "(") || strings.HasPrefix(text, "/"):
		return loader("grub", "file", []byte(text)), nil
	}
	return Text{Text: text}, nil
}

// decodeWideIPL reads what systemd's components measure: they log UTF-16.
func decodeWideIPL(text string) Decoded {
	if strings.HasPrefix(text, ".") && !strings.ContainsAny(text, " /") {
		return loader("systemd-stub", "section", []byte(text))
	}
	return loader("systemd-boot", "cmdline", []byte(text))
}

// Tagged is the data of EV_EVENT_TAG: numbered records.
type Tagged struct {
	Records []Tag `json:"records"`
}

// Tag is PCClientTaggedEvent.
type Tag struct {
	ID   uint32 `json:"-"`
	Hex  string `json:"id"`
	Name string `json:"name,omitempty"` // who uses this number
	Text string `json:"text,omitempty"`
	Size int    `json:"size"`
	Data Hex    `json:"data,omitempty"`
}

// Kind of tagged events.
func (*Tagged) Kind() string { return "tagged" }

func (t *Tagged) String() string {
	parts := make([]string, 0, len(t.Records))
	for _, r := range t.Records {
		name, what := r.Name, r.Text
		if name == "" {
			name = r.Hex
		}
		if what == "" {
			what = fmt.Sprintf("%d bytes", r.Size)
		}
		parts = append(parts, name+": "+what)
	}
	return strings.Join(parts, "; ")
}

// tagNames are the numbers in use; those of BIOSes are small, and other vendors give them other meanings.
var tagNames = map[uint32]string{
	0x8f3b22ec: "Linux EFI stub: initrd", 0x8f3b22ed: "Linux EFI stub: command line",
	0xf5bc582a: "systemd-boot: loader.conf", 0x6c46f751: "systemd-stub: device tree addon",
	0x49dffe0f: "systemd-stub: initrd addon", 0xdac08e1a: "systemd-stub: microcode addon", 0x13aed6db: "systemd-stub: profile",
	0xd5cb7cbc: "systemd-stub: SMBIOS system", 0xe0d47bc8: "systemd-stub: SMBIOS board", 0xc0b3bd23: "systemd-stub: SMBIOS OEM strings",
	0x4141454c: "confidential containers: application log",
}

// biosTags are the numbers of BIOSes that the PC Client specification for conventional BIOS gives to a register.
var biosTags = map[[2]uint32]string{{1, 1}: "SMBIOS tables", {2, 7}: "option ROM"}

// maxTags bounds the records of one event; each has at least eight bytes.
const maxTags = 4096

func decodeTagged(e *Event) (Decoded, error) {
	if isSIPA(e) {
		return decodeSIPA(e.Data)
	}
	t := &Tagged{Records: []Tag{}}
	r := wire.LE(e.Data)
	for r.Len() > 0 {
		id := r.U32()
		data := r.Sized32()
		if r.Err() != nil || len(t.Records) == maxTags {
			break
		}
		tag := Tag{ID: id, Hex: fmt.Sprintf("0x%08x", id), Name: cmp.Or(tagNames[id], biosTags[[2]uint32{e.PCR, id}]), Size: len(data)}
		if text, ok := anyText(data); ok {
			tag.Text = text
		} else {
			tag.Data = Hex(data[:min(len(data), maxOpaque)])
		}
		t.Records = append(t.Records, tag)
	}
	if len(t.Records) == 0 {
		return opaque(e.Data), r.Err()
	}
	return t, r.Err()
}
