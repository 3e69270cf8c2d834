package eventlog_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// namesMachine are identifiers that the boots of synth have, as text and as EFI stores them.
var namesMachine = []string{"6f2c1d0e-8b7a-4c59-a1e3-90d4b5c6a7f8", "1b7f3c52-94d6-4f0e-8a55-0c9d2e6f7a81", "e4a0c6f8-31b2-4d9c-b7f0-5a6b7c8d9e0f",
	"7c4d2a10-5e6f-4b3c-8d9e-1f2a3b4c5d6e", "3c:ec:ef:01:02:03", "web01.example.net", "10.1.2.3"}

func efiGUID(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil {
		return nil
	}
	slices.Reverse(b[:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}

func wide(text string) []byte {
	var b []byte
	for _, c := range []byte(text) {
		b = append(b, c, 0)
	}
	return b
}

func anonymous(t *testing.T, log *eventlog.Log) ([]byte, []eventlog.Blank) {
	t.Helper()
	copied, blanks := log.Anonymise()
	return written(t, copied, eventlog.FormatAgile), blanks
}

func TestAnAnonymisedLogNamesNoMachineAndReplaysTheSame(t *testing.T) {
	for name, boot := range boots {
		machine := synth.Default()
		machine.Cmdline += " ip=10.1.2.3::10.1.2.1:255.255.255.0:web01.example.net:eth0:off BOOTIF=01-3c-ec-ef-01-02-03 ifname=lan0:3c:ec:ef:01:02:03"
		log := mustParse(t, boot(machine).Log)
		before := log.Replay()
		text, blanks := anonymous(t, log)
		for _, id := range namesMachine {
			for _, form := range [][]byte{[]byte(id), wide(id), efiGUID(t, id)} {
				if len(form) > 0 && bytes.Contains(bytes.ToLower(text), form) {
					t.Errorf("%s: %s is still there as %x", name, id, form)
				}
			}
		}
		again := mustParse(t, text)
		if d := cmp.Diff(before.Banks, again.Replay().Banks); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if len(again.Events) < len(log.Events) || len(blanks) == 0 && name != "SeaBIOS" {
			t.Errorf("%s: %d events of %d, %d blanked", name, len(again.Events), len(log.Events), len(blanks))
		}
	}
}

// Each event that is said to be broken reads as broken or as a label; every other one is bound as before.
func TestAnonymisingSaysWhichBindingsItBreaks(t *testing.T) {
	log := mustParse(t, synth.ShimGRUB(synth.Default()).Log)
	copied, blanks := log.Anonymise()
	said := make(map[int]eventlog.Binding)
	for _, b := range blanks {
		said[b.Event] = b.Binding
		if len(b.What) == 0 {
			t.Errorf("event %d lost nothing", b.Event)
		}
	}
	for i := range log.Events {
		before, after := log.Events[i].Check().Binding, copied.Events[i].Check().Binding
		switch binding, blanked := said[i]; {
		case !blanked && (before != after || !bytes.Equal(log.Events[i].Data, copied.Events[i].Data)):
			t.Errorf("event %d changed in silence", i)
		case blanked && binding == eventlog.Broken && (before != eventlog.Bound || after == eventlog.Bound):
			t.Errorf("event %d was %s, is %s", i, before, after)
		case blanked && binding != eventlog.Broken && before != after:
			t.Errorf("event %d was %s, is %s, and said to be %s", i, before, after, binding)
		}
	}
	if said[25] != eventlog.Label || said[23] != eventlog.Broken {
		t.Errorf("the image load is %q and the partition table %q", said[25], said[23])
	}
}

// A partition has one pseudonym, whether it is text or binary.
func TestPseudonymsAreTheSameThroughoutALog(t *testing.T) {
	machine := synth.Default()
	machine.Cmdline = "root=PARTUUID=7C4D2A10-5E6F-4B3C-8D9E-1F2A3B4C5D6E"
	log := mustParse(t, synth.ShimGRUB(machine).Log)
	copied, _ := log.Anonymise()
	var inTable, inWords string
	for i := range copied.Events {
		d, _ := copied.Events[i].Decode()
		switch d := d.(type) {
		case *eventlog.GPT:
			inTable = d.Partitions[1].ID.String()
		case *eventlog.Loader:
			if _, id, found := strings.Cut(d.Text, "PARTUUID="); found {
				inWords = id
			}
		}
	}
	if inTable == "" || inTable != inWords || !strings.HasPrefix(inTable, "00000000-0000-4000-8000-") {
		t.Errorf("%q and %q", inTable, inWords)
	}
}

func TestWhatIsTakenOutOfText(t *testing.T) {
	for in, want := range map[string]string{
		"a=1 quiet": "a=1 quiet",
		"set root=6f2c1d0e-8b7a-4c59-a1e3-90d4b5c6a7f8 x": "set root=00000000-0000-4000-8000-000000000001 x",
		"--set=root 1A2B-3C4D":                            "--set=root 0000-0001",
		"machine-id:0123456789abcdef0123456789abcdef":     "machine-id:00000000000040008000000000000001",
		"BOOTIF=01-3c-ec-ef-01-02-03":                     "BOOTIF=00-00-00-00-00-00-01",
		"ip=10.1.2.3:web01:eth0":                          "ip=xx.x.x.x:xxxxx:xxx1",
		"hash 0123456789abcdef0123456789abcdef01234567":   "hash 0123456789abcdef0123456789abcdef01234567",
		"type c12a7328-f81f-11d2-ba4b-00a0c93ec93b":       "type c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
		"skip=10.1.2.3":                                   "skip=10.1.2.3",
		"root=/dev/mapper/acme-root ro":                   "root=/dev/mapper/xxxx-xxx1 ro",
		"rd.lvm.lv=acme/root":                             "rd.lvm.lv=xxxx/xxx1",
		"UEFI PXEv4 (MAC:525400123456)":                   "UEFI PXEv4 (MAC:000000000001)",
		"root=LABEL=acme":                                 "root=LABEL=xxx1",
	} {
		log := mustParse(t, synth.Agile(eventlog.SHA256).Data(8, eventlog.EVIPL, []byte("grub_cmd: "+in+"\x00")).Recording().Log)
		copied, _ := log.Anonymise()
		d, _ := copied.Events[1].Decode()
		if got := d.(*eventlog.Loader).Text; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestAnonymisingAHostileLogEnds(t *testing.T) {
	for _, c := range synth.Hostile() {
		log, err := eventlog.Parse(c.Data)
		if err != nil {
			continue
		}
		copied, _ := log.Anonymise()
		for i := range log.Events {
			if len(copied.Events[i].Data) != len(log.Events[i].Data) {
				t.Fatalf("%s: event %d changed its length", c.Name, i)
			}
		}
	}
}

// What a TCG log holds, each encoding of the Canonical Event Log holds too: the way back gives the same bytes.
func TestTheWayThroughAnyEncodingGivesTheSameLog(t *testing.T) {
	for name, boot := range boots {
		want := boot(synth.Default()).Log
		log := mustParse(t, want)
		if log.Format != eventlog.FormatAgile {
			continue // a SHA-1 log becomes an agile one
		}
		for _, form := range cel {
			if got := written(t, mustParse(t, written(t, log, form)), eventlog.FormatAgile); !bytes.Equal(got, want) {
				t.Errorf("%s through %s: %d bytes of %d", name, form, len(got), len(want))
			}
		}
	}
}

// A device's certificate and the serial number in its path are of one machine; the rest of what it says is not.
func TestAnAnonymisedDeviceIsOneOfMany(t *testing.T) {
	serial := []byte("SERIAL12")
	path := wire.NewLE().U8(3).U8(23).U16(16).U32(1).Bytes(serial).U8(0x7f).U8(0xff).U16(4).Out()
	chain := wire.NewLE().U16(0x120).U8(0).U8(0).U32(1).U16(0).U16(0).Bytes(make([]byte, 32)).
		Bytes(synth.Certificate("Maker")).Bytes(synth.Certificate("Device 4711")).Out()
	device := wire.NewLE().Bytes([]byte("SPDM Device Sec2")).U16(2).U16(0).U32(0).U32(1).U32(1).U32(uint32(len(chain))).U64(9).
		U64(uint64(len(path))).Bytes(path).Bytes(chain).U16(0).U16(16).U16(0x10de).U16(0x2330).Out()
	nv := slices.Concat([]byte("NvIndexInstance\x00"), []byte{1, 0, 0, 0, 0, 0, 0, 0}, device)
	log := mustParse(t, synth.Agile(eventlog.SHA256).Data(2, eventlog.EVEFISPDMFirmwareBlob, device).Data(0, eventlog.EVNoAction, nv).Recording().Log)
	text, blanks := anonymous(t, log)
	if bytes.Contains(text, serial) || bytes.Contains(text, []byte("Device 4711")) || len(blanks) != 2 {
		t.Errorf("%+v", blanks)
	}
	d, _ := mustParse(t, text).Events[1].Decode()
	if s, ok := d.(*eventlog.SPDM); !ok || s.Device != "PCI device 10de:2330" {
		t.Errorf("%+v", d)
	}
}

// Firmware writes the address of a network card into the name of its boot option.
func TestTheNameOfABootOptionNamesNoCard(t *testing.T) {
	for _, text := range []string{"UEFI PXEv4 (MAC:525400123456)", "IPv4 Intel(R) I210 (52:54:00:12:34:56)"} {
		option := wire.NewLE().U32(1).U16(4).Bytes(wide(text + "\x00")).Bytes([]byte{0x7f, 0xff, 4, 0}).Out()
		data := synth.Variable("8be4df61-93ca-11d2-aa0d-00e098032b8c", "Boot0001", option)
		copied, blanks := mustParse(t, synth.Agile(eventlog.SHA256).Data(1, eventlog.EVEFIVariableBoot, data).Recording().Log).Anonymise()
		d, _ := copied.Events[1].Decode()
		if len(blanks) != 1 || strings.Contains(d.String(), "12") {
			t.Errorf("%s: %+v", d, blanks)
		}
	}
}

// What stays is told by what it is, for whoever shares the log.
func TestWhatAnonymisingLeavesIsTold(t *testing.T) {
	ima := []byte("10 1111111111111111111111111111111111111111 ima-ng sha256:1111111111111111111111111111111111111111111111111111111111111111 /home/alice/x\n")
	for name, c := range map[string]struct {
		log  []byte
		want []string
	}{
		"Windows": {synth.Windows(synth.Default()).Log, []string{"names of certificates", "words of commands, programs and files",
			"descriptions of boot options", "paths of programs", "paths and publishers of Windows' modules"}},
		"IMA":     {ima, []string{"names of files that the kernel measured"}},
		"nothing": {synth.Agile(eventlog.SHA256).Data(0, eventlog.EVSeparator, make([]byte, 4)).Recording().Log, nil},
	} {
		copied, _ := mustParse(t, c.log).Anonymise()
		var got []string
		for _, l := range copied.Left() {
			got = append(got, l.What)
			if l.Events == 0 || l.Why == "" {
				t.Errorf("%s: %+v", name, l)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
