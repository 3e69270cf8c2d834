package eventlog_test

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// find returns the record of the first event whose summary contains text.
func find(t *testing.T, log *eventlog.Log, text string) eventlog.Record {
	t.Helper()
	for i := range log.Events {
		if r := log.Events[i].Record(); strings.Contains(r.Summary, text) {
			return r
		}
	}
	t.Fatalf("no event says %q", text)
	return eventlog.Record{}
}

func TestEventsOfABootSayWhatWasMeasured(t *testing.T) {
	logs := make(map[string]*eventlog.Log)
	for name, boot := range boots {
		logs[name] = mustParse(t, boot(synth.Default()).Log)
	}
	for _, c := range []struct {
		boot, summary, kind string
		binding             eventlog.Binding
		rule                string
	}{
		{"UKI", "firmware version 2026.05-1", "crtm_version", eventlog.Bound, "whole data"},
		{"UKI", "PEIFV, 917504 bytes at 0x820000", "firmware_blob", eventlog.Label, ""},
		{"UKI", "SecureBoot: on", "efi_variable", eventlog.Bound, "whole data"},
		{"UKI", "db: Synthetic Windows Production CA 2023, Synthetic Third Party UEFI CA 2023", "efi_variable", eventlog.Bound, "whole data"},
		{"UKI", "dbx: 3 hashes", "efi_variable", eventlog.Bound, "whole data"},
		{"UKI", "BootOrder: 0003 0000", "efi_variable", eventlog.Bound, "variable content only"},
		{"UKI", `Boot0003: Linux HD(1,GPT,1b7f3c52-94d6-4f0e-8a55-0c9d2e6f7a81,0x800,0x100000)/\EFI\Linux\linux-6.12.41-cloud-amd64.efi`,
			"efi_variable", eventlog.Bound, "variable content only"},
		{"UKI", "tables: SMBIOS 3 at 0x7f77a000", "handoff_tables", eventlog.Label, ""},
		{"UKI", "disk e4a0c6f8-31b2-4d9c-b7f0-5a6b7c8d9e0f with 2 partitions: EFI System, root", "gpt", eventlog.Bound, "whole data"},
		{"UKI", "systemd-stub section: .linux", "loader", eventlog.Bound, "section name"},
		{"UKI", "Linux EFI stub: initrd", "tagged", eventlog.Label, ""},
		{"shim and GRUB", `PciRoot(0x0)/Pci(0x2,0x0)/HD(1,GPT,1b7f3c52-94d6-4f0e-8a55-0c9d2e6f7a81,0x800,0x100000)/\EFI\debian\shimx64.efi`,
			"image_load", eventlog.Label, ""},
		{"shim and GRUB", "SbatLevel: sbat,1,2025051000", "efi_variable", eventlog.Bound, "whole data"},
		{"shim and GRUB", "Shim: Synthetic Distribution Secure Boot CA", "efi_variable", eventlog.Bound, "whole data"},
		{"shim and GRUB", "shim variable: MokList", "loader", eventlog.Label, ""},
		{"shim and GRUB", "grub file: /boot/vmlinuz-6.12.41-cloud-amd64", "loader", eventlog.Label, ""},
		{"shim and GRUB", "grub command: set default=0", "loader", eventlog.Bound, "text after the prefix"},
		{"shim and GRUB", "grub kernel cmdline: /boot/vmlinuz", "loader", eventlog.Bound, "text after the prefix"},
		{"SeaBIOS", "separator 0xffffffff", "separator", eventlog.Bound, "whole data"},
		{"SeaBIOS", "seabios mbr: MBR", "loader", eventlog.Label, ""},
		{"Windows", "BITLOCKER_UNLOCK=TPM", "windows", eventlog.Bound, "whole data"},
		{"Windows", "SI_POLICY=Synthetic driver policy 10.0.0.1", "windows", eventlog.Bound, "whole data"},
		{"Windows", `FILEPATH=\Windows\System32\ntoskrnl.exe`, "windows", eventlog.Bound, "whole data"},
		{"Windows", "separator WBCL", "separator", eventlog.Bound, "whole data"},
		{"Windows", "AIKID=WindowsAIK", "windows", eventlog.Unbound, ""},
	} {
		r := find(t, logs[c.boot], c.summary)
		if r.Kind != c.kind || r.Check.Binding != c.binding || r.Check.Rule != c.rule || r.Note != "" {
			t.Errorf("%s: %s: kind %s, %s by %q, note %q; want %s, %s by %q",
				c.boot, c.summary, r.Kind, r.Check.Binding, r.Check.Rule, r.Note, c.kind, c.binding, c.rule)
		}
	}
}

func TestEveryEventOfOurBootsDecodesWithoutANote(t *testing.T) {
	for name, boot := range boots {
		log := mustParse(t, boot(synth.Default()).Log)
		for i := range log.Events {
			if r := log.Events[i].Record(); r.Note != "" || r.Kind == "opaque" || r.Check.Binding == eventlog.Broken {
				t.Errorf("%s, event %d: %s %q, %+v, note %q", name, i, r.Kind, r.Summary, r.Check, r.Note)
			}
		}
	}
}

// one builds a log of one event after the header and returns its record.
func one(t *testing.T, pcr uint32, kind eventlog.EventType, hashed, data []byte) eventlog.Record {
	t.Helper()
	log := mustParse(t, synth.Agile(eventlog.SHA1, eventlog.SHA256).Event(pcr, kind, hashed, data).Recording().Log)
	return log.Events[1].Record()
}

func TestKnownVariantsOfWhatADigestCoversAreNamed(t *testing.T) {
	wide := func(s string) []byte {
		var b []byte
		for _, c := range s {
			b = binary.LittleEndian.AppendUint16(b, uint16(c))
		}
		return b
	}
	variable := synth.Variable("8be4df61-93ca-11d2-aa0d-00e098032b8c", "BootOrder", []byte{1, 0})
	grub := []byte("grub_cmd: boot\x00")
	for name, c := range map[string]struct {
		pcr          uint32
		kind         eventlog.EventType
		hashed, data []byte
		binding      eventlog.Binding
		rule, quirk  string
	}{
		"boot variable, all of it":          {1, eventlog.EVEFIVariableBoot, variable, variable, eventlog.Bound, "whole data", ""},
		"boot variable, content":            {1, eventlog.EVEFIVariableBoot, []byte{1, 0}, variable, eventlog.Bound, "variable content only", ""},
		"boot variable, something else":     {1, eventlog.EVEFIVariableBoot, []byte{2, 0}, variable, eventlog.Broken, "", ""},
		"shim's authority, a byte too long": {7, eventlog.EVEFIVariableAuthority, variable[:len(variable)-1], variable, eventlog.Bound, "data without its last byte", "Q7"},
		"GRUB command":                      {8, eventlog.EVIPL, []byte("boot"), grub, eventlog.Bound, "text after the prefix", ""},
		"GRUB command, older":               {8, eventlog.EVIPL, []byte("boot\x00"), grub, eventlog.Bound, "text after the prefix, with its NUL", ""},
		"GRUB command, forged":              {8, eventlog.EVIPL, []byte("halt"), grub, eventlog.Broken, "", ""},
		"systemd command line":              {12, eventlog.EVIPL, wide("quiet\x00"), wide("quiet\x00"), eventlog.Bound, "whole data", ""},
		"systemd command line, older":       {8, eventlog.EVIPL, append(wide("quiet\x00"), 0), wide("quiet\x00"), eventlog.Bound, "data and one zero byte", ""},
		"shim's switch":                     {14, eventlog.EVIPL, []byte{1}, []byte("MokSBState\x00"), eventlog.Label, "the byte 01", ""},
		"shim's list":                       {14, eventlog.EVIPL, []byte("a list"), []byte("MokList\x00"), eventlog.Label, "", ""},
		"separator":                         {0, eventlog.EVSeparator, []byte{0, 0, 0, 0}, []byte{0, 0, 0, 0}, eventlog.Bound, "whole data", ""},
		"separator after an error":          {0, eventlog.EVSeparator, []byte{1, 0, 0, 0}, []byte("no memory"), eventlog.Label, "the number 1, for an error", ""},
		"separator, forged":                 {0, eventlog.EVSeparator, []byte{1, 2, 3, 4}, []byte{0, 0, 0, 0}, eventlog.Broken, "", ""},
		"version of a PowerEdge":            {0, eventlog.EVSCRTMVersion, []byte("?"), wide("2.1\x00"), eventlog.Label, "", "Q9"},
		"flash, by address":                 {0, eventlog.EVEFIFirmwareBlob, []byte("flash"), make([]byte, 16), eventlog.Label, "", ""},
		"action of EVE":                     {14, eventlog.EVEFIAction, []byte("content"), []byte("file:/etc/x"), eventlog.Label, "", ""},
		"action, forged":                    {4, eventlog.EVEFIAction, []byte("a"), []byte("b"), eventlog.Broken, "", ""},
		"informative":                       {0, eventlog.EVNoAction, nil, []byte("H-CRTM CompMeas\x00...."), eventlog.Unbound, "", ""},
	} {
		got := one(t, c.pcr, c.kind, c.hashed, c.data).Check
		if got.Binding != c.binding || got.Rule != c.rule || got.Quirk != c.quirk {
			t.Errorf("%s: %+v, want %s by %q", name, got, c.binding, c.rule)
		}
	}
}

func TestBanksThatDisagreeAboutTheDataAreBroken(t *testing.T) {
	digests := []eventlog.Digest{
		{Alg: eventlog.SHA1, Value: eventlog.SHA1.Sum([]byte("true"))},
		{Alg: eventlog.SHA256, Value: eventlog.SHA256.Sum([]byte("false"))},
	}
	log := mustParse(t, synth.Agile(eventlog.SHA1, eventlog.SHA256).Raw(4, eventlog.EVEFIAction, digests, []byte("true")).Recording().Log)
	check := log.Events[1].Check()
	if check.Binding != eventlog.Broken || !strings.Contains(check.Note, "[sha1] fit, [sha256] do not") {
		t.Errorf("%+v", check)
	}
}

func TestDataThatDoesNotDecodeIsKeptWithANote(t *testing.T) {
	u := wire.NewLE
	for name, c := range map[string]struct {
		kind eventlog.EventType
		data []byte
		note string
	}{
		"variable with a name of 2^63 characters": {eventlog.EVEFIVariableBoot,
			u().Bytes(make([]byte, 16)).U64(1 << 63).U64(0).Out(), "variable name of 9223372036854775808 characters"},
		"variable longer than its event": {eventlog.EVEFIVariableBoot,
			u().Bytes(make([]byte, 16)).U64(1).U64(0xffffffffffffffff).Bytes([]byte{'x', 0}).Out(), "variable content of 18446744073709551615 bytes"},
		"signature list of size 0": {eventlog.EVEFIVariableDriverConfig,
			synth.Variable("d719b2cb-3d3a-4596-a3bc-dad00e67656f", "db", make([]byte, 28)), "signature list at offset 0: size 0"},
		"signature entries of size 0": {eventlog.EVEFIVariableDriverConfig, synth.Variable("d719b2cb-3d3a-4596-a3bc-dad00e67656f",
			"db", u().Bytes(make([]byte, 16)).U32(40).U32(0).U32(0).Bytes(make([]byte, 12)).Out()), "entries of 0 bytes"},
		"device path node of length 0": {eventlog.EVEFIBootServicesApp,
			u().U64(1).U64(2).U64(3).U64(8).U32(0x00000104).U32(0).Out(), "device path node at offset 0 has length 0"},
		"device path of 2^64 bytes": {eventlog.EVEFIBootServicesApp,
			u().U64(1).U64(2).U64(3).U64(0xffffffffffffffff).Out(), "device path of 18446744073709551615 bytes"},
		"device path without an end": {eventlog.EVEFIBootServicesApp,
			u().U64(1).U64(2).U64(3).U64(6).U8(1).U8(1).U16(6).U8(0).U8(1).Out(), "device path without an end node"},
		"partition entries of size 0": {eventlog.EVEFIGPTEvent,
			u().Bytes([]byte("EFI PART")).Bytes(make([]byte, 84)).U64(1).Bytes(make([]byte, 128)).Out(), "partition entries of 0 bytes"},
		"more tables than bytes": {eventlog.EVEFIHandoffTables,
			u().U64(1 << 60).Bytes(make([]byte, 24)).Out(), "1152921504606846976 tables announced, 1 there"},
		"tag longer than its event": {eventlog.EVEventTag, u().U32(1).U32(0xffffffff).U8(1).Out(), "2147483647 bytes wanted, 1 left"},
		"separator of five bytes":   {eventlog.EVSeparator, make([]byte, 5), "a separator has 4 bytes, not 5"},
	} {
		r := one(t, 5, c.kind, c.data, c.data)
		if !strings.Contains(r.Note, c.note) || r.Summary == "" {
			t.Errorf("%s: note %q, summary %q; want %q", name, r.Note, r.Summary, c.note)
		}
	}
}

func TestNestedWindowsRecordsAreBounded(t *testing.T) {
	const depth = 20000
	w := wire.NewLE()
	for i := range uint32(depth) {
		w.U32(0x40010001).U32((depth - 1 - i) * 8)
	}
	data := w.Out()
	r := one(t, 12, eventlog.EVEventTag, data, data)
	if !strings.Contains(r.Note, "nested more than 8 deep") {
		t.Errorf("note %q", r.Note)
	}
}

func TestRecordsAreValidJSONWithTheFieldsScriptsReadBy(t *testing.T) {
	log := mustParse(t, synth.Windows(synth.Default()).Log)
	for i := range log.Events {
		text, err := json.Marshal(log.Events[i].Record())
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"number", "offset", "pcr", "type", "type_id", "digests", "data", "kind", "summary", "decoded", "check"} {
			if _, ok := fields[name]; !ok {
				t.Errorf("event %d has no %q", i, name)
			}
		}
	}
}

func TestTypesAreFoundByNameAndNumber(t *testing.T) {
	for text, want := range map[string]eventlog.EventType{
		"EV_SEPARATOR": 4, "separator": 4, "efi-action": 0x80000007, "action": 5, "0x80000001": 0x80000001, "13": 13,
	} {
		if got, ok := eventlog.ParseType(text); !ok || got != want {
			t.Errorf("%q: %v, %t", text, got, ok)
		}
	}
	if _, ok := eventlog.ParseType("nonsense"); ok {
		t.Error("nonsense is a type")
	}
}

func TestSPDMAndReferenceEventsDecode(t *testing.T) {
	path := wire.NewLE().U8(1).U8(1).U16(6).U8(0).U8(3).U8(0x7f).U8(0xff).U16(4).Out()
	v1 := wire.NewLE().Bytes([]byte("SPDM Device Sec\x00")).U16(1).U16(0).U32(2).U32(1).
		U8(1).U8(1).U16(5).U8(1).U16(2).U16(0xadde).U64(uint64(len(path))).Bytes(path).U16(0).U16(16).U16(0x8086).U16(0x1234).U64(0).Out()
	v2 := func(state uint8, kind uint32, part []byte) []byte {
		w := wire.NewLE().Bytes([]byte("SPDM Device Sec2")).U16(2).U8(state).U8(0).U32(0).U32(1).U32(kind).U32(uint32(len(part))).U64(9)
		return w.U64(uint64(len(path))).Bytes(path).Bytes(part).U16(0).U16(16).U16(0x10de).U16(0x2330).Out()
	}
	chain := v2(0, 1, wire.NewLE().U16(0x120).U8(0).U8(0).U32(1).U16(0).U16(0).Bytes(make([]byte, 32)).
		Bytes(synth.Certificate("Root")).Bytes(synth.Certificate("Device")).Out())
	blocks := v2(4, 0, wire.NewLE().U16(0x120).U8(3).U8(0).U32(4).
		U8(1).U8(1).U16(5).U8(3).U16(2).U16(0xadde).    // a digest of the firmware's configuration
		U8(2).U8(1).U16(5).U8(0x86).U16(2).U16(0x0201). // the firmware's version itself
		U8(9).U8(2).U16(1).U8(0xff).Out())              // not of the DMTF
	nonce := wire.NewLE().Bytes([]byte("NvIndexDynamic \x00")).U16(1).Bytes(make([]byte, 6)).U64(9).Sized16([]byte("SPDM GET_MEASUREMENTS\x00")).
		Sized16([]byte{0xaa, 0xbb}).Out()
	rim := slices.Concat([]byte("SP800-155 Event3"), wire.NewLE().U32(343).Bytes(make([]byte, 16)).
		U8(5).Bytes([]byte("Acme\x00")).U8(3).Bytes([]byte("VM\x00")).U8(2).Bytes([]byte("1\x00")).U8(3).Bytes([]byte("FW\x00")).
		U32(343).U8(4).Bytes([]byte("2.0\x00")).U32(0).U32(0).Out())
	for _, c := range []struct {
		kind    eventlog.EventType
		data    []byte
		summary string
	}{
		{eventlog.EVEFISPDMFirmwareBlob, v1, "measurement of PCI device 8086:1234 at Pci(0x3,0x0); 1, firmware: dead"},
		{eventlog.EVEFISPDMFirmwareBlob, chain, "certificate chain of PCI device 10de:2330 at Pci(0x3,0x0); Root; Device"},
		{eventlog.EVEFISPDMFirmwareConfig, blocks, "measurement of PCI device 10de:2330 at Pci(0x3,0x0); 1, firmware configuration: dead; " +
			"2, firmware version: 0102; 9, specification 0x2: ff; its signature or certificate is not valid"},
		{eventlog.EVEFISPDMFirmwareBlob, v2(0xff, 7, []byte("x")), "content of kind 7 of PCI device 10de:2330 at Pci(0x3,0x0); the device does not know SPDM"},
		{eventlog.EVNoAction, nonce, "NvIndexDynamic : SPDM GET_MEASUREMENTS aabb"},
		{eventlog.EVNoAction, slices.Concat([]byte("NvIndexInstance\x00\x01\x00\x00\x00\x00\x00\x00\x00"), chain), "NvIndexInstance: certificate chain of PCI device 10de:2330"},
		{eventlog.EVNoAction, rim, "SP800-155 Event3: reference manifest 00000000-0000-0000-0000-000000000000 for Acme VM 1"},
		{eventlog.EVNonhostInfo, append([]byte("GCE NonHostInfo\x00\x04"), make([]byte, 15)...), "Google confidential computing: AMD SEV-SNP"},
		{eventlog.EVNoAction, []byte("StartupLocality\x00\x03"), "TPM2_Startup from locality 3"},
	} {
		r := one(t, 0, c.kind, c.data, c.data)
		if !strings.HasPrefix(r.Summary, c.summary) || r.Note != "" {
			t.Errorf("%q (note %q), want %q", r.Summary, r.Note, c.summary)
		}
	}
}
