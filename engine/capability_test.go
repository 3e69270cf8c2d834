package engine_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine"
)

// listed pages through a capability whose entries have a size, and gives the entries.
func listed(t testing.TB, to sender, capability, from uint32, size int) [][]byte {
	t.Helper()
	var all [][]byte
	for {
		r := ask(t, to, call{cc: 0x17a, params: be(capability, from, uint32(7))}).reader()
		more, _ := r.U8(), r.U32()
		for range r.U32() {
			all = append(all, r.Bytes(size))
		}
		if r.Err() != nil || r.Len() != 0 {
			t.Fatalf("capability %d: %v, %d bytes too many", capability, r.Err(), r.Len())
		}
		if more == 0 {
			return all
		}
		last := all[len(all)-1]
		switch {
		case size != 4: // TPMS_ALG_PROPERTY and TPM_ECC_CURVE begin with 16 bits
			from = uint32(binary.BigEndian.Uint16(last)) + 1
		case capability == 1: // a handle, whose type may not be that of the list
			from = from&0xff000000 | binary.BigEndian.Uint32(last)&0xffffff + 1
		default: // TPMA_CC
			from = binary.BigEndian.Uint32(last)&0xffff + 1
		}
	}
}

// Section 2.11: the answers of TPM2_GetCapability and what really runs come from one table.
func TestEachListedCommandRunsAndNoOtherDoes(t *testing.T) {
	f := newFixture(t)
	attributes := map[uint32]uint32{}
	for _, b := range listed(t, f, 2, 0, 4) {
		a := binary.BigEndian.Uint32(b)
		attributes[a&0xffff] = a
	}
	if len(attributes) != 113 {
		t.Errorf("%d commands: the 110 of libtpms 0.9, ECC_Encrypt, ECC_Decrypt and ACT_SetTimeout make 113", len(attributes))
	}
	for cc := uint32(0x110); cc < 0x1c0; cc++ {
		_, want := attributes[cc]
		if got := raw(t, f, be(uint16(0x8001), uint32(10), cc)) != 0x143; got != want {
			t.Errorf("command 0x%x runs: %v, listed: %v", cc, got, want)
		}
	}
	p := properties(t, f)
	if n := uint32(len(attributes)); p[0x129] != n || p[0x12a] != n || p[0x12b] != 0 {
		t.Errorf("TPM_PT_TOTAL_COMMANDS %d, of the library %d, of the vendor %d, listed %d", p[0x129], p[0x12a], p[0x12b], n)
	}
	// Handle counts, as kernel drivers and resource managers read them.
	for cc, want := range map[uint32]uint32{0x17a: 0, 0x131: 1, 0x149: 3, 0x184: 3, 0x14d: 3, 0x199: 1, 0x198: 1, 0x176: 2, 0x148: 2} {
		if got := attributes[cc] >> 25 & 7; got != want {
			t.Errorf("command 0x%x takes %d handles by its attributes, %d by the specification", cc, got, want)
		}
	}
	for cc, a := range attributes {
		returns := slices.Contains([]uint32{0x131, 0x157, 0x167, 0x161, 0x176, 0x15b, 0x186, 0x191}, cc)
		flushes := cc == 0x13e || cc == 0x185
		if a>>28&1 == 1 != returns || a>>24&1 == 1 != flushes || a>>23&1 == 1 != slices.Contains([]uint32{0x124, 0x125, 0x126, 0x121}, cc) {
			t.Errorf("command 0x%x: attributes 0x%x", cc, a)
		}
	}
}

func properties(t testing.TB, to sender) map[uint32]uint32 {
	t.Helper()
	p := map[uint32]uint32{}
	for _, from := range []uint32{0x100, 0x200} {
		for from != 0 {
			r := ask(t, to, call{cc: 0x17a, params: be(uint32(6), from, uint32(50))}).reader()
			more, _ := r.U8(), r.U32()
			for range r.U32() {
				id := r.U32()
				p[id], from = r.U32(), id+1
			}
			if more == 0 {
				break
			}
		}
	}
	return p
}

func testParms(t *testing.T, to sender, params ...any) uint32 {
	t.Helper()
	return try(t, to, call{cc: 0x18a, params: be(params...)}).rc
}

// Each algorithm is put where it can stand in a key; TPM2_TestParms says whether such a key could be made.
func TestEachListedAlgorithmIsAcceptedAndNoOtherIs(t *testing.T) {
	f := newFixture(t)
	have := map[uint16]bool{}
	for _, b := range listed(t, f, 0, 0, 6) {
		have[binary.BigEndian.Uint16(b)] = true
	}
	const (
		null, rsa, ecc, keyed, sym, aes, sha, cfb = uint16(0x10), uint16(1), uint16(0x23), uint16(8), uint16(0x25), uint16(6), uint16(0xb), uint16(0x43)
		p256                                      = uint16(3)
	)
	places := map[string]struct {
		ids  []uint16
		parm func(id uint16) []byte
	}{
		"a hash":          {[]uint16{4, 0xb, 0xc, 0xd, 0x12, 0x27, 0x28, 0x29}, func(id uint16) []byte { return be(keyed, uint16(5), id) }},
		"a cipher":        {[]uint16{6, 0x13, 0x26, 3}, func(id uint16) []byte { return be(sym, id, uint16(128), cfb) }},
		"a mode":          {[]uint16{0x40, 0x41, 0x42, 0x43, 0x44, 0x3f}, func(id uint16) []byte { return be(sym, aes, uint16(128), id) }},
		"an RSA scheme":   {[]uint16{0x14, 0x16, 0x17}, func(id uint16) []byte { return be(rsa, null, id, sha, uint16(2048), uint32(0)) }},
		"RSAES":           {[]uint16{0x15}, func(id uint16) []byte { return be(rsa, null, id, uint16(2048), uint32(0)) }},
		"an ECC scheme":   {[]uint16{0x18, 0x19, 0x1b, 0x1c, 0x1d}, func(id uint16) []byte { return be(ecc, null, id, sha, p256, null) }},
		"ECDAA":           {[]uint16{0x1a}, func(id uint16) []byte { return be(ecc, null, id, sha, uint16(0), p256, null) }},
		"a KDF":           {[]uint16{7, 0x20, 0x21, 0x22}, func(id uint16) []byte { return be(ecc, null, null, p256, id, sha) }},
		"a keyed scheme":  {[]uint16{5}, func(id uint16) []byte { return be(keyed, id, sha) }},
		"XOR":             {[]uint16{0xa}, func(id uint16) []byte { return be(keyed, id, sha, uint16(0x22)) }},
		"RSA":             {[]uint16{1}, func(id uint16) []byte { return be(id, null, null, uint16(2048), uint32(0)) }},
		"ECC":             {[]uint16{0x23}, func(id uint16) []byte { return be(id, null, null, p256, null) }},
		"a keyed hash":    {[]uint16{8}, func(id uint16) []byte { return be(id, null) }},
		"a cipher object": {[]uint16{0x25}, func(id uint16) []byte { return be(id, aes, uint16(256), cfb) }},
	}
	seen := map[uint16]bool{}
	for name, place := range places {
		for _, id := range place.ids {
			seen[id] = true
			if rc := testParms(t, f, place.parm(id)); (rc == 0) != have[id] {
				t.Errorf("0x%x as %s: response code 0x%x, listed %v", id, name, rc, have[id])
			}
		}
	}
	for id := range have {
		if !seen[id] {
			t.Errorf("algorithm 0x%x is listed but was not tried", id)
		}
	}
}

func TestEachListedCurveAndKeySizeIsAcceptedAndNoOtherIs(t *testing.T) {
	f := newFixture(t)
	curves := map[uint16]bool{}
	for _, b := range listed(t, f, 8, 0, 2) {
		curves[binary.BigEndian.Uint16(b)] = true
	}
	for id := range uint16(0x30) {
		if rc := testParms(t, f, uint16(0x23), uint16(0x10), uint16(0x10), id, uint16(0x10)); (rc == 0) != curves[id] {
			t.Errorf("curve 0x%x: response code 0x%x, listed %v", id, rc, curves[id])
		}
		if rc := try(t, f, call{cc: 0x178, params: be(id)}).rc; (rc == 0) != curves[id] {
			t.Errorf("TPM2_ECC_Parameters of curve 0x%x: response code 0x%x, listed %v", id, rc, curves[id])
		}
	}
	if n := properties(t, f)[0x20d]; int(n) != len(curves) || len(curves) != 6 {
		t.Errorf("TPM_PT_ALGORITHM curves %d, listed %d", n, len(curves))
	}
	for bits, want := range map[uint16]bool{512: false, 1024: true, 1536: false, 2048: true, 3072: true, 4096: true, 8192: false} {
		if rc := testParms(t, f, uint16(1), uint16(0x10), uint16(0x10), bits, uint32(0)); (rc == 0) != want {
			t.Errorf("RSA %d: response code 0x%x", bits, rc)
		}
	}
	small := newFixture(t, func(c *engine.Config) { c.Profile = engine.PC(); c.Profile.MaxRSA = 2048 })
	for bits, want := range map[uint16]uint32{1024: 0, 2048: 0, 3072: 0x1c4, 4096: 0x1c4} {
		if rc := testParms(t, small, uint16(1), uint16(0x10), uint16(0x10), bits, uint32(0)); rc != want {
			t.Errorf("RSA %d where the profile has 2048: response code 0x%x, want 0x%x", bits, rc, want)
		}
	}
	for _, c := range []struct {
		alg, bits uint16
		want      bool
	}{{6, 128, true}, {6, 192, true}, {6, 256, true}, {6, 64, false}, {0x13, 128, true}, {0x13, 256, false}} {
		if rc := testParms(t, f, uint16(0x25), c.alg, c.bits, uint16(0x43)); (rc == 0) != c.want {
			t.Errorf("cipher 0x%x with %d bits: response code 0x%x", c.alg, c.bits, rc)
		}
	}
}
