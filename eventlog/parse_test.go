package eventlog_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-attestation/attest"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

var allBanks = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384, eventlog.SHA512, eventlog.SM3}

// twoEvents is a small agile log.
func twoEvents(banks ...eventlog.Alg) *synth.Builder {
	return synth.Agile(banks...).
		Data(0, eventlog.EVSCRTMVersion, []byte("1\x00.\x000\x00\x00\x00")).
		Data(7, eventlog.EVSeparator, make([]byte, 4))
}

func mustParse(t *testing.T, data []byte) *eventlog.Log {
	t.Helper()
	log, err := eventlog.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func codes(log *eventlog.Log) []string {
	var out []string
	for _, n := range log.Notes {
		out = append(out, n.Code)
	}
	return out
}

// checkReplay compares the replay of log with PCRs that were extended one by one.
func checkReplay(t *testing.T, log *eventlog.Log, rec *synth.Recording, bank eventlog.Alg) {
	t.Helper()
	got := log.Replay().Bank(bank)
	if got == nil {
		t.Fatalf("no replay of bank %s", bank)
	}
	want := rec.PCRs(bank)
	for pcr, value := range want {
		p := got.PCR(pcr)
		if p == nil || !bytes.Equal(p.Value, value) {
			t.Errorf("%s:%d = %v, want %s", bank, pcr, p, value)
		}
	}
	if len(got.PCRs) != len(want) {
		t.Errorf("%s: %d PCRs replayed, want %d", bank, len(got.PCRs), len(want))
	}
}

func TestEveryBankIsReplayed(t *testing.T) {
	rec := twoEvents(allBanks...).Recording()
	log := mustParse(t, rec.Log)
	if !slices.Equal(log.Banks, allBanks) || len(log.Events) != 3 || !log.Complete() || len(log.Notes) != 0 {
		t.Fatalf("banks %v, %d events, notes %v", log.Banks, len(log.Events), log.Notes)
	}
	for _, bank := range allBanks {
		checkReplay(t, log, rec, bank)
	}
}

func TestSHA1OpeningsAreRecognised(t *testing.T) {
	version := []byte("v1")
	for name, b := range map[string]*synth.Builder{
		"BIOS header":      synth.SHA1().Data(0, eventlog.EVNoAction, synth.SpecID12(0)),
		"UEFI header":      synth.SHA1().Data(0, eventlog.EVNoAction, synth.SpecID12(2)),
		"no header":        synth.SHA1(),
		"locality at once": synth.SHA1().Data(0, eventlog.EVNoAction, []byte("StartupLocality\x00\x00")),
	} {
		t.Run(name, func(t *testing.T) {
			rec := b.Data(0, eventlog.EVSCRTMVersion, version).Data(0, eventlog.EVSeparator, make([]byte, 4)).Recording()
			log := mustParse(t, rec.Log)
			if log.Format != eventlog.FormatSHA1 || !log.Complete() {
				t.Fatalf("format %s, notes %v", log.Format, log.Notes)
			}
			checkReplay(t, log, rec, eventlog.SHA1)
		})
	}
}

func TestStartupLocalityAndHCRTMSetTheStartOfPCR0(t *testing.T) {
	locality := func(n byte) []byte { return append([]byte("StartupLocality\x00"), n) }
	digest := eventlog.SHA256.Sum([]byte("crtm"))
	for name, c := range map[string]struct {
		build func(*synth.Builder)
		start byte
		note  string
	}{
		"locality 3": {func(b *synth.Builder) {
			b.Data(0, eventlog.EVNoAction, locality(3)).Data(0, eventlog.EVSCRTMVersion, []byte("crtm"))
		}, 3, ""},
		"H-CRTM wins over locality": {func(b *synth.Builder) {
			b.Data(0, eventlog.EVNoAction, locality(3)).Event(0, eventlog.EVEFIHCRTMEvent, []byte("crtm"), []byte("HCRTM"))
		}, 4, ""},
		"late locality is ignored": {func(b *synth.Builder) {
			b.Data(0, eventlog.EVSCRTMVersion, []byte("crtm")).Data(0, eventlog.EVNoAction, locality(3))
		}, 0, "late_locality"},
		"second locality is ignored": {func(b *synth.Builder) {
			b.Data(0, eventlog.EVNoAction, locality(3)).Data(0, eventlog.EVNoAction, locality(0)).
				Data(0, eventlog.EVSCRTMVersion, []byte("crtm"))
		}, 3, "second_locality"},
		"late H-CRTM is an extend like any other": {func(b *synth.Builder) {
			b.Data(0, eventlog.EVSCRTMVersion, []byte("crtm")).Event(0, eventlog.EVEFIHCRTMEvent, []byte("x"), []byte("HCRTM"))
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth.Agile(eventlog.SHA256)
			c.build(b)
			replay := mustParse(t, b.Recording().Log).Replay()
			p := replay.Bank(eventlog.SHA256).PCR(0)
			start := make([]byte, 32)
			start[31] = c.start
			want := eventlog.SHA256.Sum(start, digest)
			if name == "late H-CRTM is an extend like any other" {
				want = eventlog.SHA256.Sum(want, eventlog.SHA256.Sum([]byte("x")))
			}
			if !bytes.Equal(p.Value, want) {
				t.Errorf("PCR 0 = %s from %s (%s), want %s", p.Value, p.Start, p.StartReason, want)
			}
			noted := c.note == "" && len(replay.Notes) == 0
			for _, n := range replay.Notes {
				noted = noted || n.Code == c.note
			}
			if !noted {
				t.Errorf("notes %v, want %q", replay.Notes, c.note)
			}
		})
	}
}

func TestDynamicLaunchRestartsPCR17To22(t *testing.T) {
	rec := twoEvents(eventlog.SHA256).Event(17, 0x402, []byte("sinit"), nil).Event(18, 0x404, []byte("mle"), nil).Recording()
	replay := mustParse(t, rec.Log).Replay()
	checkReplay(t, mustParse(t, rec.Log), rec, eventlog.SHA256)
	if why := replay.Bank(eventlog.SHA256).PCR(17).StartReason; !strings.Contains(why, "dynamic launch at event 3") {
		t.Errorf("reason %q", why)
	}
	if ones := eventlog.ResetValue(eventlog.SHA256, 17); ones[0] != 0xff {
		t.Errorf("PCR 17 resets to %s", ones)
	}
}

func TestRegistersATPMLacksAreKeptAndNotExtended(t *testing.T) {
	for _, register := range []uint32{24, 31, 0xff, 0xffffffff} {
		b := twoEvents(eventlog.SHA256)
		rec := b.Data(register, eventlog.EVAction, []byte("x")).Data(4, eventlog.EVAction, []byte("after")).Recording()
		log := mustParse(t, rec.Log)
		if len(log.Events) != 5 || log.Events[3].PCR != register || log.Events[3].Extends() {
			t.Fatalf("register %#x: %d events", register, len(log.Events))
		}
		checkReplay(t, log, rec, eventlog.SHA256)
	}
}

func TestEventsMayCarryFewerBanksThanTheHeader(t *testing.T) {
	b := twoEvents(eventlog.SHA1, eventlog.SHA256)
	rec := b.Only(eventlog.SHA256).Data(12, eventlog.EVEventTag, []byte("tag")).Recording()
	log := mustParse(t, rec.Log)
	checkReplay(t, log, rec, eventlog.SHA256)
	if p := log.Replay().Bank(eventlog.SHA1).PCR(12); p == nil || p.Missing != 1 || p.Events != 0 {
		t.Errorf("sha1:12 = %+v, want one missing digest", p)
	}
	if !slices.Contains(codes(log), "bank_subset") {
		t.Errorf("notes %v", log.Notes)
	}
}

func TestALongLogIsReplayedInEveryBank(t *testing.T) {
	b := synth.Agile(allBanks...)
	for i := range 2000 { // enough to share the banks out among the cores
		b.Data(uint32(i%10), eventlog.EVAction, []byte{byte(i), byte(i >> 8)})
	}
	rec := b.Recording()
	log := mustParse(t, rec.Log)
	for _, bank := range allBanks {
		checkReplay(t, log, rec, bank)
	}
}

func TestABankThatTheHeaderDoesNotDeclareIsNamedAndReplayed(t *testing.T) {
	b := twoEvents(eventlog.SHA1, eventlog.SHA256)
	b.Raw(4, eventlog.EVAction, []eventlog.Digest{ // in the places of the declared ones
		{Alg: eventlog.SHA384, Value: eventlog.SHA384.Sum([]byte("a"))}, {Alg: eventlog.SHA1, Value: eventlog.SHA1.Sum([]byte("a"))},
	}, []byte("a"))
	log := mustParse(t, b.Recording().Log)
	if want := []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384}; !slices.Equal(log.Banks, want) {
		t.Errorf("banks %v, want %v", log.Banks, want)
	}
	if !slices.Contains(codes(log), "undeclared_bank") {
		t.Errorf("notes %v", log.Notes)
	}
	if p := log.Replay().Bank(eventlog.SHA384).PCR(4); p == nil || p.Events != 1 {
		t.Errorf("sha384:4 = %+v, want one event", p)
	}
}

func TestAVendorAlgorithmIsWalkedByTheHeadersSize(t *testing.T) {
	const vendor = eventlog.Alg(0x7001)
	header := wire.NewLE().Bytes([]byte("Spec ID Event03\x00")).U32(0).U8(0).U8(2).U8(0).U8(2).U32(2)
	header.U16(uint16(vendor)).U16(24).U16(uint16(eventlog.SHA256)).U16(32).U8(0)
	w := wire.NewLE().U32(0).U32(3).Bytes(make([]byte, 20)).Sized32(header.Out())
	value := eventlog.SHA256.Sum([]byte("a"))
	w.U32(4).U32(5).U32(2).U16(uint16(vendor)).Bytes(make([]byte, 24)).U16(uint16(eventlog.SHA256)).Bytes(value).Sized32([]byte("a"))
	log := mustParse(t, w.Out())
	want := eventlog.SHA256.Sum(make([]byte, 32), value)
	if p := log.Replay().Bank(eventlog.SHA256).PCR(4); p == nil || !bytes.Equal(p.Value, want) {
		t.Errorf("sha256:4 = %+v", p)
	}
}

func TestTheEndOfALogIsNamed(t *testing.T) {
	whole := twoEvents(eventlog.SHA256).Recording().Log
	for name, c := range map[string]struct {
		data   []byte
		events int
		code   string
		offset int
	}{
		"zero padding":      {slices.Concat(whole, make([]byte, 1<<20)), 3, "padding", len(whole)},
		"0xff padding":      {slices.Concat(whole, bytes.Repeat([]byte{0xff}, 4096)), 3, "padding", len(whole)},
		"three stray bytes": {slices.Concat(whole, []byte("abc")), 3, "truncated", len(whole)},
		"cut in the last event": {whole[:len(whole)-2], 2, "truncated",
			len(whole) - (4 + 4 + 4 + 2 + 32 + 4 + 4)},
		"zeroes, then something": {slices.Concat(whole, make([]byte, 64), []byte("x")), 3, "trailing", len(whole)},
		"unknown algorithm": {slices.Concat(whole, wire.NewLE().U32(1).U32(5).U32(1).U16(0x99).Bytes(make([]byte, 40)).U8(1).Out()),
			3, "trailing", len(whole)},
		"digest count of 4 billion": {slices.Concat(whole, wire.NewLE().U32(1).U32(5).U32(0xffffffff).U8(1).Out()),
			3, "trailing", len(whole)},
		"data size of 4 billion": {slices.Concat(whole, wire.NewLE().U32(1).U32(5).U32(0).U32(0xffffffff).U8(1).Out()),
			3, "truncated", len(whole)},
	} {
		t.Run(name, func(t *testing.T) {
			log := mustParse(t, c.data)
			i := slices.IndexFunc(log.Notes, func(n eventlog.Note) bool { return n.Code == c.code })
			if len(log.Events) != c.events || i < 0 || log.Notes[i].Offset != c.offset {
				t.Errorf("%d events, notes %+v; want %d events and %q at %d", len(log.Events), log.Notes, c.events, c.code, c.offset)
			}
			if log.Complete() != (c.code == "padding") {
				t.Errorf("Complete() = %t", log.Complete())
			}
		})
	}
}

func TestWrappedLogsAreUnwrapped(t *testing.T) {
	rec := twoEvents(eventlog.SHA256).Recording()
	log := rec.Log
	older := synth.Agile(eventlog.SHA256).Data(0, eventlog.EVAction, []byte("older boot")).Recording().Log
	u32 := func(b []byte) []byte { return wire.NewLE().Sized32(b).Out() }
	txt := wire.NewLE().Bytes([]byte("TXT Event Container\x00")).Bytes(make([]byte, 16)).
		U32(4096).U32(48).U32(uint32(48 + len(log))).Bytes(log).Bytes(make([]byte, 4096-48-len(log))).Out()
	for name, data := range map[string][]byte{
		"hex with line breaks":        []byte(strings.ReplaceAll(hex.EncodeToString(log), "00", "00\r\n")),
		"base64":                      []byte(base64.StdEncoding.EncodeToString(log) + "\n"),
		"base64 of hex":               []byte(base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(log)))),
		"bundle, the newest last":     slices.Concat(u32(older), u32(log)),
		"TXT container":               txt,
		"something before the header": slices.Concat([]byte("coreboot was here"), log),
	} {
		t.Run(name, func(t *testing.T) {
			checkReplay(t, mustParse(t, data), rec, eventlog.SHA256)
		})
	}
	if got := mustParse(t, slices.Concat(u32(older), u32(log))); len(got.Older) != 1 || len(got.Older[0].Events) != 2 {
		t.Errorf("older logs of the bundle: %d", len(got.Older))
	}
}

func TestWhatIsNoLogIsRefusedWithAHint(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing": {}, "text": []byte("hello, this is no event log at all, just text!"), "zeroes": make([]byte, 4096),
		"0xff": bytes.Repeat([]byte{0xff}, 4096), "one byte": {3},
	} {
		_, err := eventlog.Parse(data)
		if fail.KindOf(err) != fail.BadInput || len(fail.HintsOf(err)) == 0 {
			t.Errorf("%s: error %v of kind %s", name, err, fail.KindOf(err))
		}
	}
}

// goAttestationReplay replays a log with a parser that is not ours.
func goAttestationReplay(t *testing.T, log []byte, bank eventlog.Alg, pcrs map[int]eventlog.Hex) error {
	t.Helper()
	parsed, err := attest.ParseEventLog(log)
	if err != nil {
		t.Fatalf("go-attestation: %v", err)
	}
	hash := map[eventlog.Alg]crypto.Hash{eventlog.SHA1: crypto.SHA1, eventlog.SHA256: crypto.SHA256, eventlog.SHA384: crypto.SHA384}[bank]
	var given []attest.PCR
	for i := range 24 {
		value := pcrs[i]
		if value == nil {
			value = eventlog.ResetValue(bank, i)
		}
		given = append(given, attest.PCR{Index: i, Digest: value, DigestAlg: hash})
	}
	_, err = parsed.Verify(given)
	return err
}

func TestGoAttestationAgreesWithTheReplay(t *testing.T) {
	rec := twoEvents(eventlog.SHA1, eventlog.SHA256, eventlog.SHA384).Recording()
	for _, bank := range []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384} {
		pcrs := make(map[int]eventlog.Hex)
		for _, p := range mustParse(t, rec.Log).Replay().Bank(bank).PCRs {
			pcrs[p.Index] = p.Value
		}
		if err := goAttestationReplay(t, rec.Log, bank, pcrs); err != nil {
			t.Errorf("%s: %v", bank, err)
		}
		pcrs[7] = bank.Sum([]byte("another value"))
		if err := goAttestationReplay(t, rec.Log, bank, pcrs); err == nil {
			t.Errorf("%s: go-attestation accepts a wrong PCR: the test proves nothing", bank)
		}
	}
}
