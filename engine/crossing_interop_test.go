//go:build interop

package engine_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// What one TPM wraps for another is undone there: the engine and swtpm, both ways.

type pair struct {
	name     string
	from, to sender
}

func bothDirections(t *testing.T) []pair {
	t.Helper()
	ours, theirs := newFixture(t), interop.StartSWTPM(t).Raw(t)
	return []pair{{"engine to swtpm", ours, theirs}, {"swtpm to engine", theirs, ours}}
}

// parents are storage keys that both TPMs can make.
func parents() map[string][]byte {
	return map[string][]byte{
		"P-256":    eccStorage(),
		"P-384":    publicArea(0x23, storage, nil, uint16(6), uint16(256), uint16(0x43), nullScheme, uint16(4), nullScheme, b2(), b2()),
		"RSA-2048": publicArea(1, storage, nil, aesCFB, nullScheme, uint16(2048), uint32(0), b2()),
	}
}

// elsewhere loads the public part of a key that is another TPM's.
func (p *player) elsewhere(t *testing.T, key reply) uint32 {
	t.Helper()
	r := p.plain(0x167, b2(), b2(nthSized(key, 0)), hOwner)
	if r.rc != 0 {
		t.Fatalf("TPM2_LoadExternal: 0x%x", r.rc)
	}
	return r.handle
}

func TestCredentialsCrossBetweenTheEngineAndSwtpm(t *testing.T) {
	for _, way := range bothDirections(t) {
		for name, parent := range parents() {
			t.Run(way.name+" "+name, func(t *testing.T) {
				from, to := player{t, way.from}, player{t, way.to}
				ek := to.primary(parent)
				handle := from.elsewhere(t, ek)
				made := from.on(0x168, []uint32{handle}, b2([]byte("credential")), b2(nthName(ek)))
				r := to.do(0x147, 2, []uint32{ek.handle, ek.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
				if r.rc != 0 || string(nthSized(r, 0)) != "credential" {
					t.Errorf("0x%x, %q", r.rc, r.params)
				}
				from.flush(handle)
				to.flush(ek.handle)
			})
		}
	}
}

func TestDuplicatesCrossBetweenTheEngineAndSwtpm(t *testing.T) {
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x14b)))
	for _, way := range bothDirections(t) {
		for name, parent := range parents() {
			for _, inner := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s, inner wrapper %v", way.name, name, inner), func(t *testing.T) {
					from, to := player{t, way.from}, player{t, way.to}
					home := from.primary(eccStorage())
					made := from.do(0x153, 1, []uint32{home.handle}, secret("pin", "travelling"), keyedHash(userAuth|noDA, policy, nullScheme), nothingMore)
					public := nthSized(made, 1)
					item := from.do(0x157, 1, []uint32{home.handle}, b2(nthSized(made, 0)), b2(public))
					from.flush(home.handle)
					abroad := to.primary(parent)
					handle := from.elsewhere(t, abroad)
					s := start(t, way.from, 1, 0xb, noSym).with("", 0)
					s.noHMAC = true
					from.on(0x16c, []uint32{s.handle}, uint32(0x14b))
					sym := be(nullScheme)
					if inner {
						sym = aesCFB
					}
					d := ask(t, way.from, call{cc: 0x14b, handles: []uint32{item.handle, handle}, sessions: []*rawSession{s}, params: be(b2(), sym)})
					in := to.do(0x156, 1, []uint32{abroad.handle}, b2(nthSized(d, 0)), b2(public), b2(nthSized(d, 1)), b2(nthSized(d, 2)), sym)
					expect(t, "TPM2_Import", in.rc, 0)
					loaded := to.do(0x157, 1, []uint32{abroad.handle}, b2(nthSized(in, 0)), b2(public))
					u := ask(t, way.to, call{cc: 0x15e, handles: []uint32{loaded.handle}, sessions: []*rawSession{pw("pin")}})
					if got := nthSized(u, 0); string(got) != "travelling" {
						t.Errorf("unsealed %q", got)
					}
					from.flush(item.handle, handle)
					to.flush(abroad.handle, loaded.handle)
				})
			}
		}
	}
}

// A salt that one TPM encrypts starts a session on the other.
func TestSaltedSessionsCrossBetweenTheEngineAndSwtpm(t *testing.T) {
	for _, way := range bothDirections(t) {
		t.Run(way.name, func(t *testing.T) {
			from, to := player{t, way.from}, player{t, way.to}
			key := to.primary(parents()["RSA-2048"])
			handle := from.elsewhere(t, key)
			salt := bytes.Repeat([]byte{0x77}, 32)
			sent := from.on(0x174, []uint32{handle}, b2(salt), uint16(0x17), uint16(0xb), b2([]byte("SECRET\x00")))
			expect(t, "TPM2_RSA_Encrypt", sent.rc, 0)
			s := start(t, way.to, 0, 0xb, aesCFB, saltedBy(key.handle, salt, nthSized(sent, 0))).with("", sContinue|sEncrypt)
			got := ask(t, way.to, call{cc: 0x17b, sessions: []*rawSession{s}, params: be(uint16(16))})
			if len(nthSized(got, 0)) != 16 {
				t.Errorf("random bytes %x", got.params)
			}
			from.flush(handle)
			to.flush(key.handle, s.handle)
		})
	}
}

// The raw client's own salts open on swtpm as on the engine: the tests of sessions say the same of both.
func TestSessionKeysOfSwtpmFollowTheSameFormula(t *testing.T) {
	theirs := interop.StartSWTPM(t).Raw(t)
	p := player{t, theirs}
	rsaKey, eccKey := p.primary(parents()["RSA-2048"]), p.primary(eccStorage())
	for name, salt := range saltings(t, rsaKey, eccKey) {
		for _, sym := range [][]byte{noSym, aesCFB, {0, 0xa, 0, 0xb}} {
			s := start(t, theirs, 0, 0xb, sym, append(salt(), boundTo(hEndorsement, ""))...).with("", sContinue)
			s.bound = true
			if !bytes.Equal(sym, noSym) {
				s.attrs |= sDecrypt
			}
			r := try(t, theirs, call{cc: 0x129, handles: []uint32{hEndorsement}, sessions: []*rawSession{s}, params: b2()})
			expect(t, name, r.rc, 0)
			p.flush(s.handle)
		}
	}
}
