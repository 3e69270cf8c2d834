package synth

import (
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// sipa is one record of Windows' measurements (wbcl.h): a type, a size, a value.
func sipa(id uint32, value []byte) []byte { return wire.NewLE().U32(id).Sized32(value).Out() }

func sipaU8(id uint32, v bool) []byte {
	if v {
		return sipa(id, []byte{1})
	}
	return sipa(id, []byte{0})
}

func sipaU32(id, v uint32) []byte { return sipa(id, wire.NewLE().U32(v).Out()) }

func sipaU64(id uint32, v uint64) []byte { return sipa(id, wire.NewLE().U64(v).Out()) }

// module is what Windows measures about one image it loads.
func module(path string) []byte {
	return sipa(0x40010003, slices.Concat(
		sipa(0x70001, utf16z(path)), sipaU64(0x70002, 0x16b000), sipaU32(0x70003, 0x800c),
		sipa(0x70004, eventlog.SHA256.Sum([]byte(path))), sipa(0x70005, utf16z("Synthetic Code Signing CA")),
		sipa(0x70008, utf16z("Synthetic Windows")), sipaU8(0x7000a, true), sipaU64(0x70007, 0xfffff80000000000)))
}

// Windows boots Windows 11 with its boot manager and OS loader, as the WBCL records it.
func Windows(m Machine) *Recording {
	b := m.firmware()
	manager := `\EFI\Microsoft\Boot\bootmgfw.efi`
	m.bootOption(b, "Windows Boot Manager", manager)
	m.vouched(b, imageSecurity, "db", windowsCA)
	m.load(b, m.BootManager, diskPath(manager))
	if m.Windows.WithoutSHA1 {
		b.Only(slices.DeleteFunc(slices.Clone(m.Banks), func(a eventlog.Alg) bool { return a == eventlog.SHA1 })...)
	}
	m.windowsManager(b)
	m.windowsLoader(b)
	m.exitBootServices(b)
	for _, pcr := range []uint32{12, 13, 14} {
		b.Data(pcr, eventlog.EVSeparator, []byte("WBCL"))
	}
	if m.Windows.TrustPoint {
		b.Event(0xffffffff, eventlog.EVNoAction, nil, trustPoint(b.Recording(), m.Banks[len(m.Banks)-1]))
	}
	return b.Recording()
}

func boundary(records ...[]byte) []byte { return sipa(0x40010001, slices.Concat(records...)) }

// windowsManager measures what the boot manager decides. Its compact hash in PCR 11 is what BitLocker caps.
func (m *Machine) windowsManager(b *Builder) {
	w := m.Windows
	b.Data(12, eventlog.EVEventTag, boundary(
		sipaU64(0x20002, w.BootCounter), sipaU64(0x20006, w.BootCounter+7), sipaU32(0x20005, w.BitLocker),
		sipaU8(0x40001, w.Debugging), sipaU64(0x20009, 0x7000000000000), sipaU32(0x2000a, 0)))
	b.Data(13, eventlog.EVEventTag, boundary(sipa(0x5000f, siPolicy())))
	b.Data(11, eventlog.EVCompactHash, wire.NewLE().U32(w.BitLocker).Out())
	b.Data(12, eventlog.EVEventTag, boundary(sipaU32(0x20003, 1), module(`\Windows\System32\winload.efi`)))
}

// windowsLoader measures the state of the kernel that is about to start, and its modules.
func (m *Machine) windowsLoader(b *Builder) {
	w := m.Windows
	hvci := uint64(0)
	if w.HVCI {
		hvci = 1
	}
	b.Data(12, eventlog.EVEventTag, boundary(
		sipaU8(0x50001, w.Debugging), sipaU8(0x50002, true), sipaU8(0x50003, w.TestSigning), sipaU64(0x50004, 1),
		sipaU8(0x50005, w.SafeMode), sipaU8(0x50006, false), sipaU64(0x5000a, hvci), sipaU8(0x5000d, false),
		sipaU64(0x50012, hvci), sipaU8(0xa0001, w.HVCI), sipaU64(0xa0007, hvci), sipa(0x50009, utf16z(`\Windows`)),
		sipaU8(0x50030, true)))
	for _, path := range w.SystemModules {
		b.Data(13, eventlog.EVEventTag, boundary(module(path)))
	}
	b.Data(14, eventlog.EVEventTag, boundary(sipa(0x60002, []byte(strings.Repeat("k", 32)))))
	b.Data(14, eventlog.EVEventTag, boundary(sipa(0x40010002,
		slices.Concat(sipa(0x90001, utf16z("Synthetic ELAM")), sipa(0x90003, []byte("policy"))))))
}

// siPolicy is a code integrity policy: version, sizes, hash algorithm, name, digest.
func siPolicy() []byte {
	name := utf16z("Synthetic driver policy")
	digest := eventlog.SHA256.Sum([]byte("policy"))
	w := wire.NewLE().U64(0x000a000000000001).U16(uint16(len(name))).U16(uint16(eventlog.SHA256)).U32(uint32(len(digest)))
	return w.Bytes(name).Bytes(digest).Out()
}

// trustPoint is the aggregation of quotes that Windows files outside all PCRs: here one quote over the PCRs of the boot,
// with a signature that is none.
func trustPoint(r *Recording, bank eventlog.Alg) []byte {
	bitmap := make([]byte, 3)
	var values []byte
	for pcr := range 24 {
		if value := r.PCRs(bank)[pcr]; value != nil {
			bitmap[pcr/8] |= 1 << (pcr % 8)
			values = append(values, value...)
		}
	}
	const made = 133_800_000_000_000_000 // 2024-12-30
	nonce := append(wire.NewLE().U64(made).Out(), make([]byte, 12)...)
	attest := wire.NewBE().U32(0xff544347).U16(0x8018).Sized16(nil).Sized16(nonce).Bytes(make([]byte, 17+8))
	attest.U32(1).U16(uint16(bank)).U8(3).Bytes(bitmap).Sized16(eventlog.SHA1.Sum(values))
	return sipa(0xc0010004, slices.Concat(sipa(0x80080003, utf16z("WindowsAIK")), sipa(0x80080004, make([]byte, 20)),
		sipa(0x80080001, attest.Out()), sipa(0x80080002, []byte("signature"))))
}
