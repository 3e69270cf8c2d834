package synth

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Case is one hostile input.
type Case struct {
	Name string
	Data []byte
}

// max32 and max64 are the counts and sizes that overflow what is added to them.
const (
	max32 = 0xffffffff
	max64 = 0xffffffffffffffff
)

// Hostile is a catalogue of inputs that broke parsers or are made to: lengths that lie, structures that nest or end
// early, text that forges output, events that were moved, changed or retyped.
func Hostile() []Case {
	var c catalogue
	c.truncations()
	c.framing()
	c.registers()
	c.tails()
	c.variables()
	c.devicePaths()
	c.tables()
	c.windows()
	c.starts()
	c.text()
	c.tampering()
	c.containers()
	c.lists()
	c.size()
	return c
}

type catalogue []Case

func (c *catalogue) add(name string, data []byte) { *c = append(*c, Case{name, data}) }

// event adds a log of one event.
func (c *catalogue) event(name string, pcr uint32, t eventlog.EventType, data []byte) {
	c.add(name, Agile(eventlog.SHA256).Data(pcr, t, data).Recording().Log)
}

func hostileMachine() Machine {
	m := Default()
	m.Banks = []eventlog.Alg{eventlog.SHA256}
	return m
}

func (c *catalogue) truncations() {
	agile := Agile(eventlog.SHA256).Data(4, eventlog.EVEFIAction, []byte("Calling EFI Application from Boot Option")).Recording().Log
	header := len(Agile(eventlog.SHA256).Recording().Log)
	for name, at := range map[string]int{
		"the header's register": 3, "the header's digest": 20, "the header's size": 30, "the header's signature": 40,
		"the header's algorithms": header - 4, "a register": header + 2, "a type": header + 6, "a count": header + 10,
		"an algorithm": header + 13, "a digest": header + 20, "a size": header + 48, "data": len(agile) - 1,
	} {
		c.add("cut in "+name, agile[:at])
	}
	old := TPM12(Default()).Log
	c.add("SHA-1 log cut in a digest", old[:len(old)-120])
	slices.SortFunc(*c, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
}

// header is the header event of an agile log with a given table of algorithms.
func header(count uint32, algs []byte, vendor byte) []byte {
	id := wire.NewLE().Bytes([]byte("Spec ID Event03\x00")).U32(0).U8(0).U8(2).U8(0).U8(2).U32(count).Bytes(algs).U8(vendor).Out()
	return wire.NewLE().U32(0).U32(3).Bytes(make([]byte, 20)).Sized32(id).Out()
}

func algSize(pairs ...uint16) []byte {
	w := wire.NewLE()
	for _, n := range pairs {
		w.U16(n)
	}
	return w.Out()
}

func (c *catalogue) framing() {
	sha256 := header(1, algSize(0x0b, 32), 0)
	value := make([]byte, 32)
	event := func(count uint32, digests []byte, size uint32, data []byte) []byte {
		return wire.NewLE().U32(4).U32(5).U32(count).Bytes(digests).U32(size).Bytes(data).Out()
	}
	one := append(algSize(0x0b), value...)
	c.add("data of 4 GiB", slices.Concat(sha256, event(1, one, max32, []byte("x"))))
	c.add("data of 2 GiB", slices.Concat(sha256, event(1, one, 0x7fffffff, []byte("x"))))
	c.add("4 billion digests", slices.Concat(sha256, event(max32, one, 1, []byte("x"))))
	c.add("65 digests", slices.Concat(sha256, event(65, bytes.Repeat(one, 65), 1, []byte("x"))))
	c.add("no digest", slices.Concat(sha256, event(0, nil, 1, []byte("x"))))
	c.add("one bank twice", slices.Concat(sha256, event(2, slices.Concat(one, one), 1, []byte("x"))))
	c.add("an algorithm nobody knows", slices.Concat(sha256, event(1, append(algSize(0x99), value...), 1, []byte("x"))))
	c.add("SHA-1 data of 4 GiB", wire.NewLE().U32(0).U32(8).Bytes(make([]byte, 20)).U32(max32).Bytes(make([]byte, 100)).Out())
	c.add("a header of 4 billion algorithms", slices.Concat(header(max32, algSize(0x0b, 32), 0), event(1, one, 1, []byte("x"))))
	c.add("a header of 33 algorithms", slices.Concat(header(33, bytes.Repeat(algSize(0x0b, 32), 33), 0), event(1, one, 1, []byte("x"))))
	c.add("a header of no algorithm", slices.Concat(header(0, nil, 0), event(1, one, 1, []byte("x"))))
	c.add("a header with one algorithm twice", slices.Concat(header(2, algSize(0x0b, 32, 0x0b, 20), 0), event(1, one, 1, []byte("x"))))
	c.add("vendor information past the end", slices.Concat(header(1, algSize(0x0b, 32), 255), event(1, one, 1, []byte("x"))))
	for _, size := range []uint16{0, 20, 24, 48, 65535} {
		c.add(fmt.Sprintf("a header that says %d bytes for SHA-256", size), slices.Concat(header(1, algSize(0x0b, size), 0), event(1, one, 1, []byte("x"))))
	}
	for _, size := range []uint16{0, 24, 65535} {
		c.add(fmt.Sprintf("a vendor's algorithm of %d bytes", size), slices.Concat(header(1, algSize(0x7000, size), 0),
			event(1, append(algSize(0x7000), make([]byte, size)...), 1, []byte("x"))))
	}
}

func (c *catalogue) registers() {
	for _, r := range []uint32{24, 31, 32, 127, 255, 0x7fffffff, 0x80000000, max32} {
		c.event(fmt.Sprintf("register 0x%x", r), r, eventlog.EVEFIAction, []byte("x"))
	}
	c.add("register -1 in a SHA-1 log", SHA1().Data(0, eventlog.EVSCRTMVersion, []byte("v")).Data(max32, eventlog.EVNoAction, []byte("trust")).Recording().Log)
	c.event("a type nobody knows", 5, 0xdeadbeef, []byte("x"))
}

func (c *catalogue) tails() {
	log := UKI(hostileMachine()).Log
	c.add("1 MiB of zeroes", slices.Concat(log, make([]byte, 1<<20)))
	c.add("1 MiB of ones", slices.Concat(log, bytes.Repeat([]byte{0xff}, 1<<20)))
	c.add("zeroes and a byte", slices.Concat(log, make([]byte, 1<<20), []byte{1}))
	c.add("alternating padding", slices.Concat(log, bytes.Repeat([]byte{0, 0xff}, 1<<19)))
	c.add("nothing but zeroes", make([]byte, 1<<20))
	c.add("nothing but ones", bytes.Repeat([]byte{0xff}, 1<<20))
	c.add("nothing", nil)
}

func (c *catalogue) variables() {
	frame := func(name, size uint64, rest []byte) []byte {
		return wire.NewLE().Bytes(guid(imageSecurity)).U64(name).U64(size).Bytes(rest).Out()
	}
	for _, n := range []uint64{max64, 1 << 63, 1<<63 + 1, 1 << 62, max32, 1 << 31} {
		c.event(fmt.Sprintf("a variable name of %d characters", n), 7, eventlog.EVEFIVariableDriverConfig, frame(n, 1, []byte("db")))
		c.event(fmt.Sprintf("a variable of %d bytes", n), 1, eventlog.EVEFIVariableBoot, frame(2, n, []byte("d\x00b\x00x")))
	}
	list := func(size, head, each uint32, rest []byte) []byte {
		return Variable(imageSecurity, "db", wire.NewLE().Bytes(guid(certX509)).U32(size).U32(head).U32(each).Bytes(rest).Out())
	}
	for name, data := range map[string][]byte{
		"size 0": list(0, 0, 48, make([]byte, 48)), "size 27": list(27, 0, 48, make([]byte, 48)), "4 GiB": list(max32, 0, 48, make([]byte, 48)),
		"entries of 0 bytes": list(76, 0, 0, make([]byte, 48)), "entries of 15 bytes": list(76, 0, 15, make([]byte, 48)),
		"entries of 4 GiB": list(76, 0, max32, make([]byte, 48)), "a header of 4 GiB": list(76, max32, 48, make([]byte, 48)),
		"20000 empty entries":   list(28+16*20000, 0, 16, make([]byte, 16*20000)),
		"a garbage certificate": list(76, 0, 48, append(make([]byte, 16), bytes.Repeat([]byte{0x30, 0x82}, 16)...)),
	} {
		c.event("a signature list of "+name, 7, eventlog.EVEFIVariableDriverConfig, data)
	}
	c.event("an authority of one byte", 7, eventlog.EVEFIVariableAuthority, Variable(imageSecurity, "db", []byte{0x30}))
	c.event("an authority of 60 KiB", 7, eventlog.EVEFIVariableAuthority,
		Variable(imageSecurity, "db", append([]byte{0x30, 0x82, 0xea, 0x60}, make([]byte, 60000)...)))
}

func (c *catalogue) devicePaths() {
	path := func(p []byte) []byte { return imageLoad([]byte("image"), p) }
	app := func(name string, data []byte) { c.event(name, 4, eventlog.EVEFIBootServicesApp, data) }
	for _, n := range []uint16{0, 1, 3, 65535} {
		app(fmt.Sprintf("a device path node of length %d", n), path(wire.NewLE().U8(4).U8(4).U16(n).Bytes(make([]byte, 8)).Out()))
	}
	app("a device path of 2^64 bytes", wire.NewLE().U64(0).U64(0).U64(0).U64(max64).Out())
	app("a device path without an end", path(pciNode(1, 2)))
	app("a device path of 20000 nodes", path(bytes.Repeat(pciNode(1, 2), 20000)))
	app("a device path with garbage after its end", path(append(bytes.Clone(endOfPath), 0xde, 0xad)))
	app("a file name of 60000 bytes", path(append(node(4, 4, bytes.Repeat([]byte{'a', 0}, 30000)), endOfPath...)))
	app("a file name in pieces", path(append(bytes.Repeat(node(4, 4, bytes.Repeat([]byte{'a', 0}, 100)), 250), endOfPath...)))
	for kind := range byte(6) {
		app(fmt.Sprintf("device path nodes of type %d without content", kind), path(func() (p []byte) {
			for sub := range byte(40) {
				p = append(p, node(kind, sub, nil)...)
			}
			return append(p, endOfPath...)
		}()))
	}
	option := wire.NewLE().U32(1).U16(65535).Bytes(utf16z("x")).Out()
	c.event("a load option with a path past its end", 1, eventlog.EVEFIVariableBoot, Variable(globalVariable, "Boot0000", option))
	option = wire.NewLE().U32(1).U16(0).Bytes(utf16le(strings.Repeat("x", 1000))).Out()
	c.event("a load option whose name has no end", 1, eventlog.EVEFIVariableBoot, Variable(globalVariable, "Boot0000", option))
}

func (c *catalogue) tables() {
	gpt := gptData(rootGUID)
	change := func(at int, v uint64, size int) []byte {
		out := bytes.Clone(gpt)
		copy(out[at:at+size], wire.NewLE().U64(v).Out())
		return out
	}
	for name, data := range map[string][]byte{
		"entries of 0 bytes": change(84, 0, 4), "entries of 127 bytes": change(84, 127, 4), "entries of 4 GiB": change(84, max32, 4),
		"2^64 entries": change(92, max64, 8), "a header only": gpt[:92],
	} {
		c.event("a partition table of "+name, 5, eventlog.EVEFIGPTEvent, data)
	}
	c.event("2^60 handoff tables", 1, eventlog.EVEFIHandoffTables, wire.NewLE().U64(1<<60).Bytes(make([]byte, 24)).Out())
	c.event("a blob whose name is longer than it", 0, eventlog.EVEFIFirmwareBlob2, []byte{255, 'x'})
	c.event("a tag of 4 GiB", 9, eventlog.EVEventTag, wire.NewLE().U32(1).U32(max32).U8(1).Out())
	c.event("20000 empty tags", 9, eventlog.EVEventTag, bytes.Repeat(wire.NewLE().U32(1).U32(0).Out(), 20000))
	c.event("a reference event cut short", 0, eventlog.EVNoAction, append([]byte("SP800-155 Event3"), bytes.Repeat([]byte{255}, 21)...))
	c.event("a device event with a path of 2^64 bytes", 2, eventlog.EVEFISPDMFirmwareBlob,
		wire.NewLE().Bytes([]byte("SPDM Device Sec2")).U16(2).U16(0).U32(0).U32(1).U32(0).U32(max32).U64(0).U64(max64).Out())
	device := func(kind uint32, part []byte) []byte {
		w := wire.NewLE().Bytes([]byte("SPDM Device Sec2")).U16(2).U16(0).U32(0).U32(1).U32(kind).U32(uint32(len(part))).U64(0).U64(0)
		return w.Bytes(part).Out()
	}
	c.event("a device with 255 measurements that are not there", 2, eventlog.EVEFISPDMFirmwareBlob, device(0, []byte{0, 1, 255, 0, 2, 0, 0, 0}))
	c.event("a device's measurement longer than its block", 2, eventlog.EVEFISPDMFirmwareBlob,
		device(0, []byte{0, 1, 1, 0, 2, 0, 0, 0, 1, 1, 3, 0, 1, 255, 255}))
	c.event("a device's chain of 20000 empty certificates", 2, eventlog.EVEFISPDMFirmwareBlob,
		device(1, append(make([]byte, 44), bytes.Repeat([]byte{0x30, 0}, 20000)...)))
	c.event("an H-CRTM component longer than its event", 0, eventlog.EVNoAction, []byte("H-CRTM CompMeas\x00\xffACM"))
	c.event("an H-CRTM measurement of 64 KiB", 0, eventlog.EVNoAction, []byte("H-CRTM CompMeas\x00\x01a\x00\xff\xff\x0b\x00"))
	engine := wire.NewLE().Bytes([]byte("IntelCSxEEvent01\x00\x00\x00\x00")).U32(2).Out()
	c.event("a record of 4 GiB of Intel's engine", 0, eventlog.EVNonhostInfo, append(engine, 0, 3, 0, 0, 255, 255, 255, 255))
	c.event("20000 empty records of Intel's engine", 0, eventlog.EVNonhostInfo, slices.Concat(engine, make([]byte, 8*20000), []byte{1}))
	c.event("a Secure Boot policy whose digest is past its end", 12, eventlog.EVEventTag,
		boundary(sipa(0x50029, wire.NewLE().U32(1).U32(max32).U16(0x0b).U16(0xffff).U32(0).U32(max32).Out())))
	c.event("an NV event cut short", 0, eventlog.EVNoAction, []byte("NvIndexDynamic \x00\x01\x00"))
}

func (c *catalogue) windows() {
	const depth = 20000
	w := wire.NewLE()
	for i := range uint32(depth) {
		w.U32(0x40010001).U32((depth - 1 - i) * 8)
	}
	c.event("20000 nested containers", 12, eventlog.EVEventTag, w.Out())
	c.event("100000 records side by side", 12, eventlog.EVEventTag, bytes.Repeat(sipa(0x50002, nil), 100000))
	c.event("a record of 4 GiB", 12, eventlog.EVEventTag, wire.NewLE().U32(0x40010001).U32(max32).U8(1).Out())
	signer := wire.NewLE().U32(1).U32(max32).U16(0xffff).U16(0xffff).U16(0xffff).U16(0xffff).Bytes(make([]byte, 40)).Out()
	c.event("a policy's signer with names longer than it", 12, eventlog.EVEventTag, boundary(sipa(0x50031, signer)))
	for _, id := range []uint32{0x20005, 0x50031, 0x5000f, 0x50020, 0x40002, 0x70001, 0x80080001} {
		for _, n := range []int{0, 1, 15, 16} {
			c.event(fmt.Sprintf("record 0x%x of %d bytes", id, n), 12, eventlog.EVEventTag, boundary(sipa(id, bytes.Repeat([]byte{0xff}, n))))
		}
	}
	c.event("a trust point of ones", max32, eventlog.EVNoAction, sipa(0xc0010004, sipa(0x80080001, bytes.Repeat([]byte{0xff}, 200))))
}

func (c *catalogue) starts() {
	locality := func(n byte) []byte { return append([]byte("StartupLocality\x00"), n) }
	version := []byte("v")
	b := func() *Builder { return Agile(eventlog.SHA256) }
	c.add("locality after an extend", b().Data(0, eventlog.EVSCRTMVersion, version).Data(0, eventlog.EVNoAction, locality(3)).Recording().Log)
	c.add("two localities", b().Data(0, eventlog.EVNoAction, locality(3)).Data(0, eventlog.EVNoAction, locality(0)).Data(0, eventlog.EVSCRTMVersion, version).Recording().Log)
	c.add("locality 255", b().Data(0, eventlog.EVNoAction, locality(255)).Data(0, eventlog.EVSCRTMVersion, version).Recording().Log)
	c.add("locality without a number", b().Data(0, eventlog.EVNoAction, locality(0)[:16]).Recording().Log)
	c.add("H-CRTM after an extend", b().Data(0, eventlog.EVSCRTMVersion, version).Data(0, eventlog.EVEFIHCRTMEvent, []byte("HCRTM")).Recording().Log)
	c.add("two H-CRTMs", b().Data(0, eventlog.EVEFIHCRTMEvent, []byte("HCRTM")).Data(0, eventlog.EVEFIHCRTMEvent, []byte("HCRTM")).Recording().Log)
	c.add("a dynamic launch in the middle", b().Data(17, 0x402, nil).Data(4, eventlog.EVEFIAction, version).Data(17, 0x404, nil).Recording().Log)
}

// text holds what a terminal or a reader of YAML, JSON or HTML would act on.
func (c *catalogue) text() {
	for name, text := range map[string]string{
		"an escape sequence": "\x1b[2J\x1b[31mred", "a terminal title": "\x1b]0;owned\a", "a YAML event": "x\n- EventNum: 99\n  PCRIndex: 0",
		"YAML PCRs": "x\npcrs:\n  sha256:\n    0  : 0x00", "a carriage return": "good\rbad", "text from right to left": "\u202egpj.exe",
		"zero-width characters": "a\u200bb\ufeffc", "bytes that are no UTF-8": "a\xff\xfe\xc0\x80b", "a NUL": "a\x00b",
		"HTML": "<script>alert(1)</script>", "C1 controls": "a\xc2\x9b31mb", "a tag character": "a\U000e0041b", "a table row": "x\n40 5 EV_EFI_ACTION bound ok",
	} {
		c.event("an action with "+name, 4, eventlog.EVEFIAction, []byte(text))
		c.event("a GRUB command with "+name, 8, eventlog.EVIPL, []byte("grub_cmd: "+text+"\x00"))
		c.event("a variable with "+name, 7, eventlog.EVEFIVariableDriverConfig, Variable(globalVariable, text, []byte(text)))
	}
}

func (c *catalogue) tampering() {
	log := UKI(hostileMachine()).Log
	parsed := func() *eventlog.Log {
		l, err := eventlog.Parse(log)
		if err != nil {
			panic("synth: own log does not parse: " + err.Error())
		}
		return l
	}()
	at := func(i int) int {
		if i == len(parsed.Events) {
			return len(log)
		}
		return parsed.Events[i].Offset
	}
	event := func(i int) []byte { return log[at(i):at(i+1)] }
	flip := func(i int) []byte { out := bytes.Clone(log); out[i] ^= 1; return out }
	c.add("a bit of data flipped", flip(at(16)-1))
	c.add("a bit of a digest flipped", flip(at(15)+20))
	c.add("two events swapped", slices.Concat(log[:at(10)], event(11), event(10), log[at(12):]))
	c.add("an event dropped", slices.Concat(log[:at(10)], log[at(11):]))
	c.add("an event doubled", slices.Concat(log[:at(11)], log[at(10):]))
	c.add("a tail doubled", slices.Concat(log, log[at(30):]))
	c.add("a separator retyped", slices.Concat(log[:at(17)+4], wire.NewLE().U32(uint32(eventlog.EVEFIAction)).Out(), log[at(17)+8:]))
	c.add("an event made informative", slices.Concat(log[:at(17)+4], wire.NewLE().U32(uint32(eventlog.EVNoAction)).Out(), log[at(17)+8:]))
	c.add("an event moved to another register", slices.Concat(log[:at(17)], wire.NewLE().U32(9).Out(), log[at(17)+4:]))
	c.add("the header twice", slices.Concat(log[:at(1)], log))
	c.add("the header in the middle", slices.Concat(log[at(1):], log[:at(1)]))
}

func (c *catalogue) containers() {
	log := Agile(eventlog.SHA256).Data(4, eventlog.EVEFIAction, []byte("x")).Recording().Log
	u32 := func(b []byte) []byte { return wire.NewLE().Sized32(b).Out() }
	c.add("a bundle whose last length lies", slices.Concat(u32(log), wire.NewLE().U32(max32).Out(), log))
	c.add("a bundle of a bundle of a bundle", u32(u32(u32(log))))
	c.add("a bundle of 3000 logs", bytes.Repeat(u32(log), 3000))
	text := log
	for range 8 {
		text = []byte(base64.StdEncoding.EncodeToString(text))
	}
	c.add("base64 eight times over", text)
	c.add("hex of zeroes", []byte(strings.Repeat("0", 100000)))
	c.add("hex of a cut log", []byte(hex.EncodeToString(log[:len(log)-1])))
	txt := func(size, first, next uint32) []byte {
		return wire.NewLE().Bytes([]byte("TXT Event Container\x00")).Bytes(make([]byte, 16)).U32(size).U32(first).U32(next).Bytes(log).Out()
	}
	c.add("a TXT container that starts past its end", txt(4096, max32, max32))
	c.add("a TXT container that starts in its header", txt(4096, 0, max32))
	c.add("a TXT container of 4 GiB", txt(max32, 48, max32))
}

// lists are hostile lists of other formats.
func (c *catalogue) lists() {
	c.add("JSON nested 100000 deep", []byte(strings.Repeat("[", 100000)))
	c.add("JSON objects nested 100000 deep", []byte(strings.Repeat(`{"content":`, 100000)))
	c.add("a JSON register of 2^64", []byte(`{"pcr":18446744073709551615,"digests":[]}`))
	c.add("a negative JSON register", []byte(`{"pcr":-1,"digests":[]}`))
	c.add("a JSON digest of the wrong size", []byte(`{"pcr":1,"digests":[{"hashAlg":"sha256","digest":"00"}],"content_type":"systemd","content":{"string":"x"}}`))
	c.add("1000 JSON digests", []byte(`{"pcr":1,"digests":[`+strings.TrimSuffix(strings.Repeat(`{"hashAlg":"sha1","digest":"0000000000000000000000000000000000000000"},`, 1000), ",")+`]}`))
	c.add("a CBOR array of 2^64", []byte{0x9b, 255, 255, 255, 255, 255, 255, 255, 255, 0xa5, 0, 0, 1, 0})
	c.add("a CBOR digest of 2^63 bytes", []byte{0x81, 0xa5, 0, 0, 1, 0, 3, 0x81, 0xa2, 0, 0x0b, 1, 0x5b, 0x7f, 255, 255, 255, 255, 255, 255, 255})
	c.add("CBOR arrays nested 10000 deep", bytes.Repeat([]byte{0x81}, 10000))
	c.add("a CBOR content nested 10000 deep", slices.Concat([]byte{0x81, 0xa5, 0, 0, 1, 0, 3, 0x80, 9, 0x18, 77, 10}, bytes.Repeat([]byte{0x81}, 10000)))
	c.add("a CBOR content of 2^64 entries", []byte{0x81, 0xa5, 0, 0, 1, 0, 3, 0x80, 9, 0x18, 77, 10, 0xbb, 255, 255, 255, 255, 255, 255, 255, 255, 0})
	c.add("a launcher's record of 4 GiB", []byte{0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 13, 3, 0, 0, 0, 0, 80, 0, 0, 0, 5, 1, 255, 255, 255, 255})
	c.add("a TLV of 4 GiB", []byte{0, 0, 0, 0, 4, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 3, 255, 255, 255, 255, 4})
	c.add("an IMA name of 4 GiB", wire.NewLE().U32(10).Bytes(make([]byte, 20)).U32(max32).Bytes([]byte("ima-ng")).Out())
	c.add("IMA fields of 4 GiB", wire.NewLE().U32(10).Bytes(make([]byte, 20)).Sized32([]byte("ima-ng")).U32(max32).Out())
	c.add("IMA fields that do not decode", wire.NewLE().U32(10).Bytes(make([]byte, 20)).Sized32([]byte("ima-ng")).Sized32([]byte{255, 255, 255, 255}).Out())
	c.add("an IMA line without fields", []byte("10 0000000000000000000000000000000000000000 ima-ng x"))
	c.add("an IMA line of 1 MiB", []byte("10 0000000000000000000000000000000000000000 ima-ng sha256:00 "+strings.Repeat("x", 1<<20)))
	c.add("an IMA file name with escapes", []byte("10 0000000000000000000000000000000000000000 ima-ng sha256:00 /tmp/\x1b[31m"))
}

func (c *catalogue) size() {
	b := Agile(eventlog.SHA256)
	value := []eventlog.Digest{{Alg: eventlog.SHA256, Value: make(eventlog.Hex, 32)}}
	for range 60000 {
		b.Raw(8, eventlog.EVIPL, value, []byte("grub_cmd: set x=y\x00"))
	}
	c.add("60000 events", b.Recording().Log)
	c.add("200000 events without digests", slices.Concat(Agile(eventlog.SHA256).Recording().Log,
		bytes.Repeat(wire.NewLE().U32(1).U32(5).U32(0).U32(0).Out(), 200000)))
}
