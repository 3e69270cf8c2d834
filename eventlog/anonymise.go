package eventlog

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// Blank says what Anonymise took out of one event.
type Blank struct {
	Event   int       `json:"event"`
	PCR     int       `json:"pcr"` // -1 where the register is no PCR
	Type    EventType `json:"type"`
	What    []string  `json:"what"`
	Binding Binding   `json:"binding"` // after: broken where the digest covers what was there
}

// Anonymise returns a copy of the log without what tells one machine from another of its kind: addresses of network cards,
// serial numbers, identifiers of disks, partitions and file systems, host names and network addresses, keys of Windows that
// are made per machine. Each becomes a pseudonym of the same length, the same one wherever it occurs in the log. Digests
// stay, so that the log replays to the same PCRs; an event whose digest covers what was taken out is broken from then on.
// Left tells what stays, such as the names of certificates, files and programs that a log is shared for.
func (l *Log) Anonymise() (*Log, []Blank) {
	copied := *l
	copied.Events = slices.Clone(l.Events)
	copied.Older = nil
	blanks := []Blank{}
	n := &nameless{seen: make(map[string]uint64)}
	for i := range copied.Events {
		e := &copied.Events[i]
		decoded, check, _ := e.Look()
		e.Data, n.what = bytes.Clone(e.Data), nil
		n.event(e, decoded)
		if len(n.what) == 0 {
			continue
		}
		b := Blank{Event: e.Number, PCR: e.pcr(), Type: e.Type, What: n.what, Binding: check.Binding}
		if check.Binding == Bound {
			b.Binding = Broken
		}
		blanks = append(blanks, b)
	}
	return &copied, blanks
}

// nameless gives pseudonyms. What it changes keeps its length, so that no structure around it moves.
type nameless struct {
	seen map[string]uint64 // kind and value to number
	what []string          // what the event at hand lost
}

// number is the pseudonym of a value, and notes that one was needed.
func (n *nameless) number(what, value string) uint64 {
	if !slices.Contains(n.what, what) {
		n.what = append(n.what, what)
	}
	key := what + "\x00" + value
	if n.seen[key] == 0 {
		n.seen[key] = uint64(len(n.seen) + 1)
	}
	return n.seen[key]
}

// bytes replaces b by zeroes and a number.
func (n *nameless) bytes(what string, b []byte) {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return
	}
	number := n.number(what, string(b))
	clear(b)
	for i := len(b) - 1; i >= 0 && number > 0; i-- {
		b[i], number = byte(number), number>>8
	}
}

const identifier = "identifier of a disk, partition or file system"

// guid replaces 16 bytes by a random-looking GUID of our own, the same as for the text of that GUID.
func (n *nameless) guid(b []byte) {
	if g := GUID(b); g != (GUID{}) && g.Name() == "" {
		clear(b)
		b[7], b[8] = 0x40, 0x80
		binary.BigEndian.PutUint64(b[8:], n.number(identifier, g.String())|0x80<<56)
	}
}

// event takes out what its kind of data may hold.
func (n *nameless) event(e *Event, decoded Decoded) {
	switch d := decoded.(type) {
	case *ImageLoad:
		if size := binary.LittleEndian.Uint64(e.Data[24:]); size <= uint64(len(e.Data)-32) {
			n.path(e.Data[32 : 32+size])
		}
	case *GPT:
		n.gpt(e.Data, len(d.Partitions))
	case *Variable:
		if d.Option != nil {
			start := 32 + 2*int(binary.LittleEndian.Uint64(e.Data[16:])) // behind the name, which was decoded
			n.option(e.Data[start : start+len(d.content)])
		}
	case *SPDM:
		n.device(e.Data, d)
	case *Informative:
		if d.Device != nil {
			n.device(e.Data[24:], d.Device)
		}
	case *Windows:
		n.windows(e.Data, 0)
	case *Loader, *Tagged, *Systemd, *COS, Text, Opaque, *Blob:
		n.texts(e.Data)
	}
}

// device replaces what is in the path of a device, and its certificates, which are of this one.
func (n *nameless) device(data []byte, d *SPDM) {
	n.path(data[d.path.from:d.path.to])
	for _, c := range d.certificates {
		n.bytes("certificate of a device", data[c.from:c.to])
	}
}

// genericNames of partitions are those that installers give.
var genericNames = []string{"", "EFI System", "EFI System Partition", "EFI system partition", "Microsoft reserved partition", "Basic data partition",
	"BIOS boot", "boot", "root", "primary", "ESP", "Linux filesystem", "Linux swap", "swap", "home"}

const volumeName = "name of a volume"

// gpt replaces the identifiers of the disk and of its partitions, not those of their types (UEFI, "GPT Header"), and the names that
// persons gave them.
func (n *nameless) gpt(data []byte, partitions int) {
	const disk, entrySize, entries = 56, 84, 100
	n.guid(data[disk : disk+16])
	each := int(binary.LittleEndian.Uint32(data[entrySize:]))
	for i := range partitions {
		at := entries + i*each
		n.guid(data[at+16 : at+32])
		if name := data[at+56 : at+128]; !slices.Contains(genericNames, decodeUTF16(name)) {
			n.replace(letters{name, 2}, 0, len(decodeUTF16(name)), volumeName)
		}
	}
}

// option replaces what is in the device path of a load option, and in the words behind it (UEFI, "Load Options").
func (n *nameless) option(content []byte) {
	if len(content) < 8 {
		return
	}
	size := int(binary.LittleEndian.Uint16(content[4:]))
	at := 6
	for at+2 <= len(content) && (content[at] != 0 || content[at+1] != 0) {
		at += 2
	}
	n.texts(content[6:min(at, len(content))])
	if at += 2; at+size <= len(content) {
		n.path(content[at : at+size])
		n.texts(content[at+size:])
	}
}

// secret is a part of a device path's node, to its end where size is 0.
type secret struct {
	at, size int
	what     string
}

// nodeSecrets are the nodes that name one device of many (UEFI, "Device Path Nodes"), by type and subtype.
var nodeSecrets = map[[2]byte][]secret{
	{3, 3}:  {{4, 8, "serial number"}},                                     // Fibre Channel: world wide name
	{3, 11}: {{0, 6, "network card"}},                                      // MAC
	{3, 12}: {{0, 4, "network address"}, {4, 4, "network address"}},        // IPv4
	{3, 13}: {{0, 16, "network address"}, {16, 16, "network address"}},     // IPv6
	{3, 16}: {{6, 0, "serial number"}},                                     // USB by serial number
	{3, 19}: {{14, 0, "host name"}},                                        // iSCSI target
	{3, 21}: {{4, 8, "serial number"}}, {3, 22}: {{0, 8, "serial number"}}, // Fibre Channel Ex, SAS Ex
	{3, 23}: {{4, 8, "serial number"}},                                         // NVMe: EUI-64
	{3, 24}: {{0, 0, "host name"}},                                             // URI
	{3, 27}: {{0, 6, "network card"}}, {3, 28}: {{0, 32, "name of a network"}}, // Bluetooth, Wi-Fi
	{3, 30}: {{0, 6, "network card"}},    // Bluetooth LE
	{3, 31}: {{1, 0, "network address"}}, // DNS
}

func (n *nameless) path(path []byte) {
	for len(path) >= 4 {
		kind := [2]byte{path[0], path[1]}
		size := int(binary.LittleEndian.Uint16(path[2:]))
		if size < 4 || size > len(path) {
			return
		}
		body := path[4:size]
		for _, s := range nodeSecrets[kind] {
			if s.at+s.size <= len(body) {
				end := s.at + s.size
				if s.size == 0 {
					end = len(body)
				}
				n.bytes(s.what, body[s.at:end])
			}
		}
		if kind == [2]byte{4, 1} && len(body) >= 38 { // a hard drive, by GUID or by the number in its boot record
			if body[37] == 2 {
				n.guid(body[20:36])
			} else {
				n.bytes(identifier, body[20:24])
			}
		}
		if kind == [2]byte{4, 4} {
			n.texts(body)
		}
		path = path[size:]
	}
}

// perMachine are Windows' records about keys and counters that each machine has of its own, by what they hold.
var perMachine = map[uint32]string{
	0x20007: "number of a TPM counter", 0x50020: "key of this machine", 0x50023: "key of this machine",
	0x50027: "key of this machine", 0x80080002: "signature", 0x80080003: "name of a key", 0x80080004: "key of this machine",
}

func (n *nameless) windows(data []byte, depth int) {
	for len(data) >= 8 && depth < maxSIPADepth {
		id, size := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
		if uint64(size) > uint64(len(data)-8) {
			return
		}
		value := data[8 : 8+size]
		switch what := perMachine[id]; {
		case id&sipaClassMask == sipaContainer:
			n.windows(value, depth+1)
		case what != "":
			n.bytes(what, value)
		default:
			n.texts(value)
		}
		data = data[8+size:]
	}
}

// volumeKeys are words of command lines whose values are names that a person gave to volumes.
var volumeKeys = []string{"rd.lvm.lv=", "rd.lvm.vg=", "LABEL=", "PARTLABEL=", "ZFS=", "zfs:", "/dev/mapper/", "/dev/disk/by-label/",
	"/dev/disk/by-partlabel/", "rd.luks.name=", "subvol="}

// hostKeys are words of kernel command lines whose values name hosts, networks or serial numbers.
var hostKeys = []string{
	"ip=", "hostname=", "nfsroot=", "nfsaddrs=", "netroot=", "root=nfs", "nameserver=", "host=", "serial=", "ds=", "url=", "domain=",
	"initiator=", "iscsi_initiator=", "iscsi_target_name=", "iscsi_target_ip=", "ifname=", "vlan=", "tang=", "cloud-config-url=",
}

var allKeys = slices.Concat(hostKeys, volumeKeys)

// texts looks for identifiers in text of one byte a letter, and of two.
func (n *nameless) texts(data []byte) {
	n.text(letters{data, 1})
	if len(data) >= 2 {
		n.text(letters{data, 2})
		n.text(letters{data[1:], 2}) // at an odd place
	}
}

// letters is text in which every letter takes a step of bytes; with a step of two the upper byte is zero.
type letters struct {
	data []byte
	step int
}

func (t letters) len() int { return len(t.data) / t.step }

func (t letters) at(i int) byte {
	if i < 0 || i >= t.len() || t.step == 2 && t.data[2*i+1] != 0 {
		return 0
	}
	return t.data[i*t.step]
}

func (t letters) string(from, to int) string {
	b := make([]byte, 0, to-from)
	for i := from; i < to; i++ {
		b = append(b, t.at(i))
	}
	return string(b)
}

func isHex(c byte) bool   { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }
func isAlnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// The shapes of identifiers: x stands for a hex digit, everything else for itself.
var shapes = []struct{ shape, what string }{
	{"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", identifier}, // GUID
	{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", identifier},     // the same without dashes, as systemd writes it
	{"xx:xx:xx:xx:xx:xx", "network card"}, {"xx-xx-xx-xx-xx-xx", "network card"}, {"01-xx-xx-xx-xx-xx-xx", "network card"},
	{"xxxxxxxxxxxx", "network card"}, // as firmware writes it into boot options
	{"xxxx-xxxx", identifier},        // a FAT file system
}

func (n *nameless) text(t letters) {
	for i := 0; i < t.len(); i++ {
		if isAlnum(t.at(i - 1)) {
			continue
		}
		if size := n.host(t, i); size > 0 {
			i += size - 1
			continue
		}
		for _, s := range shapes {
			if fits(t, i, s.shape) {
				n.digits(t, i, len(s.shape), s.what)
				i += len(s.shape) - 1
				break
			}
		}
	}
}

// fits tells whether a shape stands at i, and nothing goes on behind it.
func fits(t letters, i int, shape string) bool {
	for k := range len(shape) {
		if c := t.at(i + k); shape[k] == 'x' && !isHex(c) || shape[k] != 'x' && c != shape[k] {
			return false
		}
	}
	next := t.at(i + len(shape))
	return !isAlnum(next) && (next != shape[max(0, strings.IndexAny(shape, "-:"))] || !isHex(t.at(i+len(shape)+1)))
}

// digits replaces the hex digits of an identifier by zeroes and a number. The text of a GUID gets what guid gives it.
func (n *nameless) digits(t letters, from, size int, what string) {
	old := strings.ToLower(t.string(from, from+size))
	if guidNames[old] != "" {
		return
	}
	dashed := old
	if size == 32 {
		dashed = old[:8] + "-" + old[8:12] + "-" + old[12:16] + "-" + old[16:20] + "-" + old[20:]
	}
	if strings.Trim(old, "0-:") == "" {
		return
	}
	number := n.number(what, dashed)
	position := 0
	for i := from + size - 1; i >= from; i-- {
		if !isHex(t.at(i)) {
			continue
		}
		digit := byte(number & 15)
		number >>= 4
		if size >= 32 && position == 15 {
			digit = 8 // the variant of a GUID, which the number never reaches; its version is next
		} else if size >= 32 && position == 19 {
			digit = 4
		}
		t.data[i*t.step] = "0123456789abcdef"[digit]
		position++
	}
}

// host replaces the letters and digits of a value that names a host or a volume, and returns how far it went.
func (n *nameless) host(t letters, i int) int {
	for k, key := range allKeys {
		if t.at(i) != key[0] || t.string(i, i+len(key)) != key {
			continue
		}
		to := i + len(key)
		for c := t.at(to); c > ' ' && c != '"' && c != '\''; c = t.at(to) {
			to++
		}
		if to == i+len(key) {
			continue
		}
		what := "host name or network address"
		if k >= len(hostKeys) {
			what = volumeName
		}
		n.replace(t, i+len(key), to, what)
		return to - i
	}
	return 0
}

// replace makes a pseudonym of letters and digits.
func (n *nameless) replace(t letters, from, to int, what string) {
	number := n.number(what, t.string(from, to))
	for k := to - 1; k >= from; k-- {
		if isAlnum(t.at(k)) {
			t.data[k*t.step] = 'x'
			if number > 0 {
				t.data[k*t.step], number = byte('0'+number%10), number/10
			}
		}
	}
}
