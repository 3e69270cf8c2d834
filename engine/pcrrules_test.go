package engine_test

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// Section 2.10 of the engine's check list: PCRs, localities and measurements by the platform.

// The PC Client platform profile's table: who may extend and reset a PCR, and whether that moves the update counter.
func TestEachPCRObeysItsLocalitiesAndCounts(t *testing.T) {
	for pcr := range uint32(24) {
		f := newFixture(t)
		p := play(t, f)
		extend, reset, counted := uint32(0x1f), uint32(0), true // masks of localities
		switch {
		case pcr == 16 || pcr == 23:
			reset, counted = 0x0f, false
		case pcr == 17 || pcr == 18:
			extend, reset = 0x1c, 0x10
		case pcr == 19:
			extend, reset = 0x0c, 0x10
		case pcr == 20:
			extend, reset = 0x0e, 0x14
		case pcr > 20:
			extend, reset, counted = 0x04, 0x14, false
		}
		counter := func() uint32 { return p.plain(0x17e, uint32(0)).reader().U32() }
		for locality := range uint8(5) {
			f.SetLocality(locality)
			code := func(mask uint32) uint32 {
				if mask>>locality&1 == 1 {
					return 0
				}
				return 0x907
			}
			before := counter()
			expect(t, "extend", p.do(0x182, 1, []uint32{pcr}, uint32(1), uint16(0xb), make([]byte, 32)).rc, code(extend))
			moved := counter() != before
			if want := counted && code(extend) == 0; moved != want {
				t.Errorf("PCR %d at locality %d: the counter moved %v", pcr, locality, moved)
			}
			expect(t, "event", p.do(0x13c, 1, []uint32{pcr}, b2([]byte("event"))).rc, code(extend))
			expect(t, "reset", p.do(0x13d, 1, []uint32{pcr}).rc, code(reset))
			if code(reset) == 0 && !bytes.Equal(readPCR(t, f, tpm2.TPMAlgSHA256, uint(pcr)), make([]byte, 32)) {
				t.Errorf("PCR %d is not zero after its reset", pcr)
			}
		}
	}
}

func TestEachBankIsExtendedAndReadEightAtATime(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	event := ask(t, f, call{cc: 0x13c, handles: []uint32{9}, sessions: []*rawSession{pw("")}, params: b2([]byte("event"))}).reader()
	if n := event.U32(); n != 4 {
		t.Errorf("%d digests of an event", n)
	}
	for _, alg := range []uint16{4, 0xb, 0xc, 0xd} {
		if id, d := event.U16(), event.Bytes(len(digestOf(alg))); id != alg || !bytes.Equal(d, digestOf(alg, []byte("event"))) {
			t.Errorf("digest 0x%x of an event: %x", id, d)
		}
		want := digestOf(alg, make([]byte, len(digestOf(alg))), digestOf(alg, []byte("event")))
		if got := readPCR(t, f, tpm2.TPMIAlgHash(alg), 9); !bytes.Equal(got, want) {
			t.Errorf("bank 0x%x: PCR 9 = %x, want %x", alg, got, want)
		}
	}
	all := be(uint32(2), uint16(4), byte(3), []byte{0xff, 0x3f, 0}, uint16(0xb), byte(3), []byte{3, 0, 0})
	r := p.plain(0x17e, all).reader()
	r.U32()
	if got := r.Bytes(16); !bytes.Equal(got, be(uint32(2), uint16(4), byte(3), []byte{0xff, 0, 0}, uint16(0xb), byte(3), []byte{0, 0, 0})) {
		t.Errorf("the first read is of %x", got)
	}
	if n := r.U32(); n != 8 {
		t.Errorf("%d digests", n)
	}
}

// What TPM2_PCR_Allocate asks for comes with the next TPM Reset; until then nothing may be saved.
func TestBanksChangeAtTheNextReset(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	banks := func() []byte { return p.plain(0x17a, uint32(5), uint32(0), uint32(9)).params }
	before := banks()
	off := be(uint32(2), uint16(4), byte(3), []byte{0, 0, 0}, uint16(0x12), byte(3), []byte{0xff, 0xff, 0xff})
	r := ask(t, f, call{cc: 0x12b, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}, params: off}).reader()
	if r.U8() != 1 || r.U32() != 24 {
		t.Error("TPM2_PCR_Allocate did not succeed")
	}
	if !bytes.Equal(banks(), before) {
		t.Error("the banks changed at once")
	}
	expect(t, "TPM2_Shutdown(STATE)", p.plain(0x145, uint16(1)).rc, 0x1ca)
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	after := banks()
	if bytes.Equal(after, before) || !bytes.Contains(after, be(uint16(0x12), byte(3), []byte{0xff, 0xff, 0xff})) ||
		!bytes.Contains(after, be(uint16(4), byte(3), []byte{0, 0, 0})) {
		t.Errorf("after a reset the banks are %x", after)
	}
	if got := readPCR(t, f, 0x12, 0); len(got) != 32 {
		t.Errorf("PCR 0 in the SM3 bank is %x", got)
	}
	expect(t, "without PCR 0", p.do(0x12b, 1, []uint32{hPlatform}, be(uint32(4), uint16(0xb), byte(3), []byte{0, 0, 0}, uint16(0xc), byte(3), []byte{0, 0, 0},
		uint16(0xd), byte(3), []byte{0, 0, 0}, uint16(0x12), byte(3), []byte{0, 0, 0})).rc, 0x127)
}

// PCRs 20 to 22 are a group with an auth value and a policy.
func TestTheGroupOfPCRsIsProtectedTogether(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	f.SetLocality(2)
	extend := func(pcr uint32, s *rawSession) uint32 {
		return try(t, f, call{cc: 0x182, handles: []uint32{pcr}, sessions: []*rawSession{s}, params: be(uint32(1), uint16(0xb), make([]byte, 32))}).rc
	}
	expect(t, "a PCR of no group", p.do(0x183, 1, []uint32{5}, b2([]byte("auth"))).rc, 0x84)
	ask(t, f, call{cc: 0x183, handles: []uint32{20}, sessions: []*rawSession{pw("")}, params: b2([]byte("auth"))})
	for pcr := uint32(20); pcr < 23; pcr++ {
		expect(t, "without the value", extend(pcr, pw("")), 0x9a2)
		expect(t, "with the value", extend(pcr, pw("auth")), 0)
	}
	expect(t, "another PCR", extend(17, pw("")), 0)
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x182)))
	ask(t, f, call{cc: 0x12c, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}, params: be(b2(policy), uint16(0xb), uint32(21))})
	expect(t, "the value where there is a policy", extend(22, pw("auth")), 0x124)
	s := policySession(t, f)
	p.on(0x16c, []uint32{s.handle}, uint32(0x182))
	expect(t, "the policy", extend(22, s), 0)
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	f.SetLocality(2)
	ask(t, f, call{cc: 0x12c, handles: []uint32{hPlatform}, sessions: []*rawSession{pw("")}, params: be(b2(), uint16(0x10), uint32(21))})
	expect(t, "the value does not outlive the reset", extend(20, pw("")), 0)
}

// A locality that does not exist would be taken for several in creation data, which shows 0 to 4 as bits.
func TestLocalitiesThatDoNotExistCountAsZero(t *testing.T) {
	f := newFixture(t)
	p := play(t, f)
	for locality, want := range map[uint8]byte{0: 1, 3: 8, 4: 16, 5: 1, 7: 1, 31: 1, 32: 32, 255: 255} {
		f.SetLocality(locality)
		r := p.primary(eccStorage())
		data := nthSized(r, 1) // an empty selection, its digest, the locality
		if got := data[4+2+32]; got != want {
			t.Errorf("locality %d shows as 0x%x, want 0x%x", locality, got, want)
		}
		p.flush(r.handle)
	}
}

// An H-CRTM has to end before TPM2_Startup, which starts PCR 0.
func TestAnHCRTMThatStartupOvertakesIsVoid(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	f.HashStart()
	f.HashData([]byte("H-CRTM"))
	expect(t, "TPM2_Startup", play(t, f).plain(0x144, uint16(0)).rc, 0)
	if err := f.HashEnd(); err != nil {
		t.Fatal(err)
	}
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(got, make([]byte, 32)) {
		t.Errorf("PCR 0 = %x", got)
	}
}

// A DRTM sets PCRs 17 to 22 to zero and extends 17; an H-CRTM before startup makes PCR 0, which TPM Resume keeps.
func TestMeasurementsByThePlatform(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	p := play(t, f)
	measure := func(data string) {
		f.HashStart()
		f.HashData([]byte(data[:1]))
		f.HashData([]byte(data[1:]))
		if err := f.HashEnd(); err != nil {
			t.Fatal(err)
		}
	}
	hcrtm := func() { measure("H-CRTM") }
	hcrtm()
	p.plain(0x144, uint16(0))
	want0 := digestOf(0xb, append(make([]byte, 31), 4), digestOf(0xb, []byte("H-CRTM")))
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(got, want0) {
		t.Errorf("PCR 0 = %x, want %x", got, want0)
	}
	for pcr := uint(17); pcr < 23; pcr++ {
		if got := readPCR(t, f, tpm2.TPMAlgSHA256, pcr); !bytes.Equal(got, bytes.Repeat([]byte{0xff}, 32)) {
			t.Errorf("PCR %d starts as %x", pcr, got)
		}
	}
	measure("DRTM")
	for pcr := uint(17); pcr < 23; pcr++ {
		want := make([]byte, 32)
		if pcr == 17 {
			want = digestOf(0xb, want, digestOf(0xb, []byte("DRTM")))
		}
		if got := readPCR(t, f, tpm2.TPMAlgSHA256, pcr); !bytes.Equal(got, want) {
			t.Errorf("after a DRTM PCR %d = %x, want %x", pcr, got, want)
		}
	}
	f.HashStart() // a measurement of no end takes no memory
	for range 3 {
		f.HashData(make([]byte, 1<<20))
	}
	if err := f.HashEnd(); err != nil {
		t.Fatal(err)
	}
	if got, want := readPCR(t, f, tpm2.TPMAlgSHA256, 17), digestOf(0xb, make([]byte, 32), digestOf(0xb, make([]byte, 3<<20))); !bytes.Equal(got, want) {
		t.Errorf("after another DRTM PCR 17 = %x, want %x", got, want)
	}
	extendPCR(t, f, 4, "loader")
	loader := readPCR(t, f, tpm2.TPMAlgSHA256, 4)
	p.plain(0x145, uint16(1))
	f.reopen(t)
	expect(t, "TPM Resume without the H-CRTM", p.plain(0x144, uint16(1)).rc, 0x1c4)
	hcrtm()
	expect(t, "TPM Resume", p.plain(0x144, uint16(1)).rc, 0)
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(got, want0) {
		t.Errorf("after TPM Resume PCR 0 = %x", got)
	}
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 4); !bytes.Equal(got, loader) {
		t.Errorf("after TPM Resume PCR 4 = %x, was %x", got, loader)
	}
}
