package eventlog_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// le joins numbers of 1, 2, 4 and 8 bytes, text and bytes, little-endian.
func le(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		default:
			var err error
			if b, err = binary.Append(b, binary.LittleEndian, p); err != nil {
				panic(err)
			}
		}
	}
	return b
}

func tag(id uint32, data []byte) []byte { return le(id, uint32(len(data)), data) }

// What each kind of event says, whose layout is its maker's or of a young version of the specification.
func TestEventsOfManyMakersAreDecoded(t *testing.T) {
	digest := slices.Repeat([]byte{0xab}, 32)
	partition := func(id byte) []byte {
		return le(slices.Repeat([]byte{1}, 16), slices.Repeat([]byte{id}, 16), uint64(34), uint64(99), uint64(0), make([]byte, 72))
	}
	gpt := le("EFI PART", uint32(0x10000), uint32(92), uint64(0), make([]byte, 32), make([]byte, 16), uint64(2), uint32(1), uint32(128), uint32(0),
		uint64(1), partition(0))
	module := func(id uint32, value []byte) []byte { return tag(0x40010001, tag(0x40010003, tag(id, value))) }
	for _, c := range []struct {
		name string
		pcr  uint32
		kind eventlog.EventType
		data []byte
		want string
	}{
		{"an H-CRTM component", 0, eventlog.EVNoAction, le("H-CRTM CompMeas\x00", uint8(3), "ACM", uint8(0), uint16(34), uint16(0x0b), digest),
			"H-CRTM CompMeas: ACM abababababababababababababababababababababababababababababababab"},
		{"a GPT without identifiers", 5, eventlog.EVEFIGPTEvent2, gpt,
			"disk 00000000-0000-0000-0000-000000000000 with 1 partition: 01010101-0101-0101-0101-010101010101"},
		{"a boot variable of the new kind", 1, eventlog.EVEFIVariableBoot2,
			synth.Variable("8be4df61-93ca-11d2-aa0d-00e098032b8c", "BootOrder", []byte{1, 0}), "BootOrder: 0001"},
		{"systemd-stub's initrd addon", 12, eventlog.EVEventTag, tag(0x49dffe0f, le("a\x00b\x00\x00\x00")), "systemd-stub: initrd addon: ab"},
		{"systemd-stub's microcode addon", 12, eventlog.EVEventTag, tag(0xdac08e1a, le("a\x00\x00\x00")), "systemd-stub: microcode addon: a"},
		{"the profile of a unified kernel", 12, eventlog.EVEventTag, tag(0x13aed6db, le("1\x00\x00\x00")), "systemd-stub: profile: 1"},
		{"a confidential container's log", 8, eventlog.EVEventTag, tag(0x4141454c, le("domain op content")),
			"confidential containers: application log: domain op content"},
		{"microcode by address", 1, eventlog.EVCPUMicrocode, le(uint64(0x1000), uint64(2048)), "2048 bytes at 0x1000"},
		{"microcode by name", 1, eventlog.EVCPUMicrocode, le("CPU Microcode"), "CPU Microcode"},
		{"Intel's engine", 0, eventlog.EVNonhostInfo, le("IntelCSxEEvent01", uint32(0), uint32(2), uint8(0), uint8(3), uint16(0), uint32(1), "x",
			uint8(3), uint8(3), uint16(0), uint32(1), uint8(0)), "Intel CSME measurements: manifest of RBE, setting of operation mode"},
		{"Intel's engine about itself", 0, eventlog.EVNonhostInfo, le("IntelCSxEInfoEvent\x00\x00", uint32(1), uint16(0x8086), uint16(0x51e0), uint32(0b10001)),
			"Intel CSME state: device 8086:51e0, hardware root of trust, its log is not available"},
		{"Intel's remote management", 1, eventlog.EVNonhostConfig, le("IntelCSMEAmtConfig\x00\x00", uint32(2), uint16(0x105)),
			"Intel CSME remote management: enabled, provisioned, KVM"},
		{"an AMD loader", 0, 0x820b, le("ABL"), "ABL"},
		{"a TXT number", 17, 0x401, le(uint32(1)), "value 0x00000001"},
		{"Windows' module by its first name", 13, eventlog.EVEventTag, module(0x7000d, le("n\x00t\x00\x00\x00")), "MODULE_ORIGINAL_FILENAME=nt"},
		{"Windows' Secure Boot policy", 12, eventlog.EVEventTag,
			tag(0x40010001, tag(0x50029, le(uint32(1), uint32(20), uint16(0x0b), uint16(32), uint32(5), uint32(2), digest))), "SBCP_INFO=2 signers, options 0x5"},
		{"who signed Windows' policy", 13, eventlog.EVEventTag, tag(0x40010001, tag(0x50031,
			le(uint32(6), uint32(22), uint16(1), uint16(4), uint16(3), uint16(1), "P\x00\x00\x00", uint8(2), "eu",
				uint16(4), uint16(4), uint32(0x800c), uint16(2), "A\x00\x00\x00", "B\x00\x00\x00", "xy"))), "SI_POLICY_SIGNER=P by A"},
		{"Windows' threads", 12, eventlog.EVEventTag, tag(0x40010001, tag(0x50014, le(uint64(2)))), "SMT_STATUS=on in firmware, off in Windows"},
		{"Windows' disk", 12, eventlog.EVEventTag, tag(0x40010001, tag(0x50008, le(uint32(0x10004)))), "OSDEVICE=partition"},
		{"Windows' network", 12, eventlog.EVEventTag, tag(0x40010001, tag(0x50008, le(uint32(0x30000)))), "OSDEVICE=network"},
		{"Windows' secure launch", 20, eventlog.EVEventTag, tag(0xc0002, le(uint8(2))), "DRTM_SMM_LEVEL=2"},
		{"Windows' secure launch on AMD", 19, eventlog.EVEventTag, tag(0xc0003, le("h")), "DRTM_AMD_SMM_HASH=68"},
	} {
		e := eventlog.Event{PCR: c.pcr, Type: c.kind, Data: c.data}
		if d, err := e.Decode(); err != nil || d.String() != c.want {
			t.Errorf("%s says %q, %v; want %q", c.name, d, err, c.want)
		}
	}
	for number, name := range map[eventlog.EventType]string{0x8001: "AMD_SL_LOAD", 0x820a: "AMD_ABL_1", 0x8239: "AMD_ABL_48", 0x823a: "AMD_MID_SMU"} {
		if number.String() != name {
			t.Errorf("type 0x%x is called %s", uint32(number), number)
		}
	}
}

// Each template of the kernel, as text: the fields must be those the kernel hashed.
func TestEveryTemplateOfIMAIsPutBackTogether(t *testing.T) {
	sha := slices.Repeat([]byte{0x11}, 32)
	hex := "1111111111111111111111111111111111111111111111111111111111111111"
	field := func(parts ...any) []byte { b := le(parts...); return le(uint32(len(b)), b) }
	file, fileDigest := field("/bin/sh\x00"), field("sha256:\x00", sha)
	for _, c := range []struct {
		template, text string
		hashed         []byte
	}{
		{"ima-ng", "sha256:" + hex + " /bin/sh", le(fileDigest, file)},
		{"ima-sig", "sha256:" + hex + " /bin/sh 0302", le(fileDigest, file, field("\x03\x02"))},
		{"ima-sig", "sha256:" + hex + " /bin/sh ", le(fileDigest, file, field())},
		{"ima-buf", "sha256:" + hex + " kexec-cmdline 726f", le(fileDigest, field("kexec-cmdline\x00"), field("ro"))},
		{"ima-ngv2", "ima:sha256:" + hex + " /bin/sh", le(field("ima:sha256:\x00", sha), file)},
		{"ima-sigv2", "verity:sha256:" + hex + " /bin/sh 03", le(field("verity:sha256:\x00", sha), file, field("\x03"))},
		{"ima-modsig", "sha256:" + hex + " /bin/sh 03 sha256:" + hex + " 30", le(fileDigest, file, field("\x03"), fileDigest, field("\x30"))},
		{"evm-sig", "sha256:" + hex + " /bin/sh 05 security.ima 04 0401 0 100 33261",
			le(fileDigest, file, field("\x05"), field("security.ima\x00"), field("\x04"), field("\x04\x01"), field(uint32(0)), field(uint32(100)), field(uint16(33261)))},
	} {
		line := "10 " + eventlog.SHA1.Sum(c.hashed).String() + " " + c.template + " " + c.text + "\n"
		log := mustParse(t, []byte(line))
		e := &log.Events[0]
		if check := e.Check(); check.Binding != eventlog.Bound {
			t.Errorf("%s: %+v", line, check)
		}
		d, err := e.Decode()
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if i := d.(*eventlog.IMA); c.template == "ima-buf" && i.Buffer != "ro" {
			t.Errorf("%s: %+v", line, i)
		}
	}
}

// A record of the log about itself, and one of Confidential Space, among events of the firmware.
func TestRecordsOfOtherKindsInACEL(t *testing.T) {
	version := []byte("v1")
	content := wire.NewBE().U8(80).Sized32(wire.NewBE().U8(1).Sized32([]byte("sha256:feed")).Out()).Out()
	record := func(digests, content []byte) []byte {
		return wire.NewBE().U8(0).Sized32([]byte{0}).U8(1).Sized32([]byte{13}).U8(3).Sized32(digests).Bytes(content).Out()
	}
	std := wire.NewBE().U8(5).Sized32(wire.NewBE().U8(0).Sized32([]byte{0, 0, 0, 8}).U8(1).Sized32(version).Out()).Out()
	one := func(data []byte) []byte { return wire.NewBE().U8(0x0b).Sized32(eventlog.SHA256.Sum(data)).Out() }
	about := wire.NewBE().U8(4).Sized32([]byte{1, 2, 3}).Out()
	data := slices.Concat(record(nil, about), record(one(version), std), record(one(content), content))
	log := mustParse(t, data)
	if len(log.Events) != 3 || !log.Complete() {
		t.Fatalf("%d events, %v", len(log.Events), log.Notes)
	}
	r := log.Events[2].Record()
	if r.Summary != "image digest: sha256:feed" || r.Check.Binding != eventlog.Bound || r.Kind != "cos" {
		t.Errorf("%+v", r)
	}
	want := log.Replay().Bank(eventlog.SHA256).PCR(13)
	if want.Events != 2 || want.Missing != 0 {
		t.Errorf("%+v", want)
	}
	for _, name := range cel {
		back := mustParse(t, written(t, log, name))
		if len(back.Events) != 3 || !back.Complete() || !slices.Equal(back.Replay().Bank(eventlog.SHA256).PCR(13).Value, want.Value) {
			t.Errorf("%s: %d events, %v", name, len(back.Events), back.Notes)
		}
	}
}
