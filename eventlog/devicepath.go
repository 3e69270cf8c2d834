package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// DevicePath is a UEFI device path as text (UEFI, "Device Path Protocol", text representation).
type DevicePath struct {
	Text string `json:"text"`
	File string `json:"file,omitempty"` // the file it ends at
}

// maxNodes bounds the nodes of one device path.
const maxNodes = 256

// parseDevicePath reads up to the end node. Nodes that firmware got wrong end the path early, with the error; some
// append garbage after the end, which is ignored.
func parseDevicePath(data []byte) (*DevicePath, error) {
	p := &DevicePath{}
	var nodes []string
	join := func() { p.Text = strings.Join(nodes, "/") }
	defer join()
	r := wire.LE(data)
	for r.Len() > 0 {
		at := r.Offset()
		kind, sub, size := r.U8(), r.U8(), int(r.U16())
		if r.Err() == nil && size < 4 {
			return p, fmt.Errorf("device path node at offset %d has length %d", at, size)
		}
		body := r.Bytes(size - 4)
		if r.Err() != nil {
			return p, fmt.Errorf("device path: %w", r.Err())
		}
		if kind == 0x7f {
			if sub == 0xff {
				return p, nil
			}
			nodes = append(nodes, ",") // end of this instance
			continue
		}
		if len(nodes) >= maxNodes {
			return p, fmt.Errorf("device path of more than %d nodes", maxNodes)
		}
		if kind == 4 && sub == 4 {
			p.File += decodeUTF16(body)
		}
		nodes = append(nodes, nodeText(kind, sub, body))
	}
	return p, errors.New("device path without an end node")
}

// nodeText prints one node; nodes that are unknown or too short print as Path(type,subtype,bytes).
func nodeText(kind, sub byte, body []byte) string {
	r := wire.LE(body)
	var text string
	if node := nodePrinters[[2]byte{kind, sub}]; node != nil {
		text = node(r)
	}
	if text == "" || r.Err() != nil {
		return fmt.Sprintf("Path(%d,%d,%s)", kind, sub, Hex(body[:min(len(body), maxOpaque)]))
	}
	return text
}

// nodePrinters prints the nodes that boot paths are made of, by type and subtype.
var nodePrinters = map[[2]byte]func(*wire.Reader) string{
	{1, 1}: func(r *wire.Reader) string { f, d := r.U8(), r.U8(); return fmt.Sprintf("Pci(0x%x,0x%x)", d, f) },
	{1, 3}: func(r *wire.Reader) string {
		t, from, to := r.U32(), r.U64(), r.U64()
		return fmt.Sprintf("MemoryMapped(%d,0x%x,0x%x)", t, from, to)
	},
	{1, 4}: vendorNode("VenHw"),
	{1, 5}: func(r *wire.Reader) string { return fmt.Sprintf("Ctrl(0x%x)", r.U32()) },
	{2, 1}: acpiText,
	{2, 3}: func(r *wire.Reader) string { return fmt.Sprintf("AcpiAdr(0x%x)", r.U32()) },
	{3, 1}: func(r *wire.Reader) string {
		primary, slave, lun := r.U8(), r.U8(), r.U16()
		return fmt.Sprintf("Ata(%d,%d,%d)", primary, slave, lun)
	},
	{3, 2}:  func(r *wire.Reader) string { t, l := r.U16(), r.U16(); return fmt.Sprintf("Scsi(0x%x,0x%x)", t, l) },
	{3, 5}:  func(r *wire.Reader) string { p, i := r.U8(), r.U8(); return fmt.Sprintf("USB(0x%x,0x%x)", p, i) },
	{3, 10}: vendorNode("VenMsg"),
	{3, 11}: func(r *wire.Reader) string { mac := r.Bytes(32); return macText(mac, r.U8()) },
	{3, 12}: func(r *wire.Reader) string { r.Bytes(4); return ipText("IPv4", r.Bytes(4)) },
	{3, 13}: func(r *wire.Reader) string { r.Bytes(16); return ipText("IPv6", r.Bytes(16)) },
	{3, 14}: func(r *wire.Reader) string {
		r.U32()
		baud := r.U64()
		return fmt.Sprintf("Uart(%d,%d)", baud, r.U8())
	},
	{3, 17}: func(r *wire.Reader) string { return fmt.Sprintf("Unit(0x%x)", r.U8()) },
	{3, 18}: func(r *wire.Reader) string {
		port, mult, lun := r.U16(), r.U16(), r.U16()
		return fmt.Sprintf("Sata(0x%x,0x%x,0x%x)", port, mult, lun)
	},
	{3, 23}: func(r *wire.Reader) string {
		ns, eui := r.U32(), r.Bytes(8)
		if eui == nil {
			return ""
		}
		parts := make([]string, 8)
		for i := range parts {
			parts[i] = fmt.Sprintf("%02X", eui[7-i])
		}
		return fmt.Sprintf("NVMe(0x%x,%s)", ns, strings.Join(parts, "-"))
	},
	{3, 24}: func(r *wire.Reader) string { return fmt.Sprintf("Uri(%s)", r.Rest()) },
	{3, 25}: func(r *wire.Reader) string { t, l := r.U8(), r.U8(); return fmt.Sprintf("UFS(0x%x,0x%x)", t, l) },
	{3, 26}: func(r *wire.Reader) string { return fmt.Sprintf("SD(0x%x)", r.U8()) },
	{3, 29}: func(r *wire.Reader) string { return fmt.Sprintf("eMMC(0x%x)", r.U8()) },
	{3, 31}: func(r *wire.Reader) string {
		if r.U8() != 0 {
			return ipText("Dns", r.Bytes(16))
		}
		return ipText("Dns", r.Bytes(4))
	},
	{4, 1}: diskText,
	{4, 2}: func(r *wire.Reader) string { return fmt.Sprintf("CDROM(0x%x)", r.U32()) },
	{4, 3}: vendorNode("VenMedia"),
	{4, 4}: func(r *wire.Reader) string { return decodeUTF16(r.Rest()) },
	{4, 5}: func(r *wire.Reader) string { return fmt.Sprintf("Media(%s)", readGUID(r)) },
	{4, 6}: func(r *wire.Reader) string { return fmt.Sprintf("FvFile(%s)", readGUID(r)) },
	{4, 7}: func(r *wire.Reader) string { return fmt.Sprintf("Fv(%s)", readGUID(r)) },
	{4, 8}: func(r *wire.Reader) string {
		r.U32()
		from, to := r.U64(), r.U64()
		return fmt.Sprintf("Offset(0x%x,0x%x)", from, to)
	},
	{4, 9}: func(r *wire.Reader) string {
		from, to, kind, instance := r.U64(), r.U64(), readGUID(r), r.U16()
		return fmt.Sprintf("RamDisk(0x%x,0x%x,%d,%s)", from, to, instance, kind)
	},
	{5, 1}: func(r *wire.Reader) string {
		kind := r.U16()
		r.U16()
		return fmt.Sprintf("BBS(0x%x,%s)", kind, cString(r.Rest()))
	},
}

func vendorNode(name string) func(*wire.Reader) string {
	return func(r *wire.Reader) string {
		id := readGUID(r)
		if rest := r.Rest(); len(rest) > 0 {
			return fmt.Sprintf("%s(%s,%s)", name, id, Hex(rest[:min(len(rest), maxOpaque)]))
		}
		return fmt.Sprintf("%s(%s)", name, id)
	}
}

// acpiText prints an ACPI node; PNP identifiers are compressed EISA ids.
func acpiText(r *wire.Reader) string {
	hid, uid := r.U32(), r.U32()
	switch hid {
	case 0x0a0341d0:
		return fmt.Sprintf("PciRoot(0x%x)", uid)
	case 0x0a0841d0:
		return fmt.Sprintf("PcieRoot(0x%x)", uid)
	}
	if hid&0xffff == 0x41d0 {
		return fmt.Sprintf("Acpi(PNP%04X,0x%x)", hid>>16, uid)
	}
	return fmt.Sprintf("Acpi(0x%08x,0x%x)", hid, uid)
}

// diskText prints a hard-drive node.
func diskText(r *wire.Reader) string {
	number, start, size, signature, _, kind := r.U32(), r.U64(), r.U64(), r.Bytes(16), r.U8(), r.U8()
	if r.Err() != nil {
		return ""
	}
	switch kind {
	case 1:
		return fmt.Sprintf("HD(%d,MBR,0x%08x,0x%x,0x%x)", number, binary.LittleEndian.Uint32(signature), start, size)
	case 2:
		return fmt.Sprintf("HD(%d,GPT,%s,0x%x,0x%x)", number, GUID(signature), start, size)
	}
	return fmt.Sprintf("HD(%d,%d,0,0x%x,0x%x)", number, kind, start, size)
}

func macText(mac []byte, kind byte) string {
	if len(mac) < 6 {
		return ""
	}
	if kind == 0 || kind == 1 { // Ethernet has 6 of the 32 bytes
		mac = mac[:6]
	}
	return fmt.Sprintf("MAC(%s,0x%x)", Hex(mac), kind)
}

func ipText(name string, addr []byte) string {
	ip, ok := netip.AddrFromSlice(addr)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s(%s)", name, ip)
}
