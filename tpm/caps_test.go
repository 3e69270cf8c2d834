package tpm

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// openEngineInMemory is a Conn to a new engine.
func openEngineInMemory(t *testing.T, o Options) Conn {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := FromEngine(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// capabilityFake answers GetCapability from lists of encoded items, a few at a time.
type capabilityFake struct {
	items map[tpm2.TPMCap][]capabilityItem
	most  int // items in one answer
}

type capabilityItem struct {
	id      uint32
	encoded []byte
}

func (f capabilityFake) Send(cmd []byte) ([]byte, error) {
	r := wire.BE(cmd[headerSize:])
	capability, first := tpm2.TPMCap(r.U32()), r.U32()
	items, ok := f.items[capability]
	if !ok {
		return response(0x1c4, nil), nil
	}
	items = slices.DeleteFunc(slices.Clone(items), func(i capabilityItem) bool { return i.id < first })
	if capability == tpm2.TPMCapHandles {
		items = slices.DeleteFunc(items, func(i capabilityItem) bool { return i.id>>24 != first>>24 })
	}
	if capability == tpm2.TPMCapTPMProperties { // no TPM goes from the fixed properties on to the variable ones
		items = slices.DeleteFunc(items, func(i capabilityItem) bool { return i.id>>8 != first>>8 })
	}
	n := min(f.most, len(items))
	w := wire.NewBE()
	if n < len(items) {
		w.U8(1)
	} else {
		w.U8(0)
	}
	w.U32(uint32(capability)).U32(uint32(n))
	for _, i := range items[:n] {
		w.Bytes(i.encoded)
	}
	return response(tpm2.TPMRCSuccess, w.Out()), nil
}

func property(id tpm2.TPMPT, value uint32) capabilityItem {
	return capabilityItem{uint32(id), wire.NewBE().U32(uint32(id)).U32(value).Out()}
}

func fourLetters(s string) uint32 { return wire.BE([]byte(s)).U32() }

func handles(all ...uint32) (items []capabilityItem) {
	for _, h := range all {
		items = append(items, capabilityItem{h, u32(h)})
	}
	return items
}

func TestProbeDecodes(t *testing.T) {
	fake := capabilityFake{most: 2, items: map[tpm2.TPMCap][]capabilityItem{
		tpm2.TPMCapTPMProperties: {
			property(tpm2.TPMPTFamilyIndicator, fourLetters("2.0\x00")), property(tpm2.TPMPTRevision, 138),
			property(tpm2.TPMPTYear, 2016), property(tpm2.TPMPTManufacturer, fourLetters("AMZN")),
			property(tpm2.TPMPTVendorString1, fourLetters("Nitr")), property(tpm2.TPMPTVendorString2, fourLetters("oTPM")),
			property(tpm2.TPMPTVendorString3, 0), property(tpm2.TPMPTFirmwareVersion1, 0x20191023),
			property(tpm2.TPMPTFirmwareVersion2, 0x00163636), property(tpm2.TPMPTInputBuffer, 1024),
			property(tpm2.TPMPTPermanent, 1<<9|1<<2), property(tpm2.TPMPTStartupClear, 1<<31|2),
			property(tpm2.TPMPTLockoutCounter, 31), property(tpm2.TPMPTMaxAuthFail, 32),
			property(tpm2.TPMPTLockoutInterval, 600), property(tpm2.TPMPTLockoutRecovery, 86400),
		},
		tpm2.TPMCapAlgs: {
			{1, wire.NewBE().U16(1).U32(1 | 8).Out()}, {0xb, wire.NewBE().U16(0xb).U32(4).Out()}, {0x7777, wire.NewBE().U16(0x7777).U32(0).Out()},
		},
		tpm2.TPMCapCommands: {
			{0x144, u32(0x144)}, {0x17e, u32(0x17e)}, {0x199, u32(0x199 | 1<<25)}, {0x20000001, u32(0x20000001)},
		},
		tpm2.TPMCapPCRs: {
			{0, []byte{0, 0x04, 3, 0, 0, 0}}, {0, []byte{0, 0x0b, 3, 0x81, 0, 0x80}},
		},
		tpm2.TPMCapHandles: handles(0x01c00002, 0x02000000, 0x03000001, 0x81000001, 0x81000002, 0x81010001),
	}}
	fake.items[tpm2.TPMCapPCRs][0].id = 0
	got, err := Probe(t.Context(), fake)
	if err != nil {
		t.Fatal(err)
	}
	got.Properties = nil
	want := &Capabilities{
		Manufacturer: Manufacturer{"AMZN", "Amazon Web Services"}, VendorString: "NitroTPM", Firmware: "8217.4131.22.13878",
		Spec: Spec{Family: "2.0", Revision: "1.38", Year: 2016},
		Algorithms: []Algorithm{
			{1, "rsa", []string{"asymmetric", "object"}}, {0xb, "sha256", []string{"hash"}}, {0x7777, "0x7777", []string{}},
		},
		Curves:         []string{},
		Commands:       []string{"Startup", "PCR_Read", "ECC_Encrypt"},
		VendorCommands: []Hex{0x20000001},
		Banks:          []Bank{{"sha1", false, []int{}}, {"sha256", true, []int{0, 7, 23}}},
		Handles: Handles{
			Persistent: []Hex{0x81000001, 0x81000002, 0x81010001}, Transient: []Hex{}, LoadedSessions: []Hex{0x02000000},
			SavedSessions: []Hex{0x03000001}, NV: []Hex{0x01c00002},
		},
		State:   State{LockoutAuthSet: true, OwnerEnabled: true, Orderly: true},
		Lockout: Lockout{Locked: true, FailedTries: 31, MaxTries: 32, RecoverySeconds: 600, LockoutRecovery: 86400},
		Limits:  Limits{InputBuffer: 1024},
		Refused: []string{"curves: TPM_RC_VALUE (0x1c4, parameter 1)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(got.Handles)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"nv":["0x01c00002"]`) {
		t.Errorf("handles in JSON: %s", text)
	}
}

func TestProbeOfTheEngine(t *testing.T) {
	c, err := Probe(t.Context(), openEngineInMemory(t, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Manufacturer.ID != "VTPC" || c.Spec.Family != "2.0" || len(c.Banks) == 0 || len(c.Refused) != 0 {
		t.Errorf("%+v", c)
	}
	for _, property := range c.Properties {
		if property.Name == "" {
			t.Errorf("property %s has no name", property.ID)
		}
	}
	for _, name := range c.Commands {
		if strings.Contains(name, "CC(") {
			t.Errorf("command %s has no name", name)
		}
	}
}

// compareShapes reads TPMA_CC of every command and compares the handles (part 2, section 8.9).
func compareShapes(t *testing.T, s Sender) {
	t.Helper()
	var attributes []uint32
	err := readCapability(s, tpm2.TPMCapCommands, 0, into(&attributes, func(r *wire.Reader) (uint32, uint32) { a := r.U32(); return a, a & 0xffff }))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, a := range attributes {
		if a>>29&1 != 0 {
			continue
		}
		compared++
		shape, ok := commandShapes[tpm2.TPMCC(a&0xffff)]
		if !ok || shape.handles != int(a>>25&7) || shape.answers != (a>>28&1 != 0) {
			t.Errorf("%s: %d handles and an answer with a handle (%v) in our table; the TPM says %d and %v",
				CommandName(tpm2.TPMCC(a&0xffff)), shape.handles, shape.answers, a>>25&7, a>>28&1 != 0)
		}
	}
	if compared == 0 {
		t.Error("the TPM names no command")
	}
}

func TestProbeGivesUpOnNonsense(t *testing.T) {
	body := func(w *wire.Writer) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return response(tpm2.TPMRCSuccess, w.Out()), nil }
	}
	for what, send := range map[string]func([]byte) ([]byte, error){
		"an empty answer":          body(wire.NewBE()),
		"another capability":       body(wire.NewBE().U8(0).U32(99).U32(0)),
		"a count beyond its items": body(wire.NewBE().U8(0).U32(uint32(tpm2.TPMCapTPMProperties)).U32(1 << 31).U32(1)),
		"a list without an end": func(cmd []byte) ([]byte, error) {
			first := wire.BE(cmd[headerSize+4:]).U32()
			return response(tpm2.TPMRCSuccess, wire.NewBE().U8(1).U32(uint32(tpm2.TPMCapTPMProperties)).U32(1).U32(first).U32(0).Out()), nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			if _, err := Probe(t.Context(), senderFunc(send)); fail.KindOf(err) != fail.Failed {
				t.Errorf("error %v of kind %q, want %q", err, fail.KindOf(err), fail.Failed)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Probe(ctx, newFakeTPM()); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: error %v", err)
	}
}

// FuzzCapability feeds arbitrary answers to the reader of lists: it ends, and what it returns is bounded.
func FuzzCapability(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 1, 5, 'I', 'B', 'M', 0})
	f.Add([]byte{1, 0, 0, 0, 5, 0, 0, 0, 1, 0, 11, 3, 1, 2, 3})
	f.Fuzz(func(t *testing.T, body []byte) {
		sent := 0
		c, err := Probe(t.Context(), senderFunc(func([]byte) ([]byte, error) {
			if sent++; sent > 20*capabilityLimit {
				t.Fatal("there is no end")
			}
			return response(tpm2.TPMRCSuccess, body), nil
		}))
		if err == nil && c == nil {
			t.Error("neither a result nor an error")
		}
	})
}

func TestHandleNames(t *testing.T) {
	for h, want := range map[tpm2.TPMHandle]string{
		0x81000001: "storage root key", 0x40000001: "owner", 0x00000007: "PCR 7", 0x01c00105: "endorsement certificate chain",
		0x01500000: "", 0x80000000: "",
	} {
		if got := HandleName(h); got != want {
			t.Errorf("0x%08x is %q, want %q", uint32(h), got, want)
		}
	}
}
