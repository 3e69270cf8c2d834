//go:build interop

package engine_test

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"
)

// The scenarios of this file speak in raw bytes: they try what go-tpm has no types for, and every right and wrong way to
// authorize it.

// rawScenario makes a scenario of calls. What a call answers is compared, not checked: a refusal is as good as a success.
func rawScenario(t testing.TB, name string, play func(p *player)) scenario {
	return scenario{name, func(to transport.TPM) error {
		play(&player{t, to})
		return nil
	}}
}

func rawScenarios(t testing.TB) []scenario {
	return []scenario{
		rawScenario(t, "policies that only sessions of their own can hold", playPolicySessions),
		rawScenario(t, "assertions and tickets", playAssertions),
		rawScenario(t, "NV comparisons and locks", playNVRights),
		rawScenario(t, "NV attributes", playNVAttributes),
		rawScenario(t, "hierarchies, clock and dictionary attacks", playControl),
		rawScenario(t, "authorization roles", playRoles),
		rawScenario(t, "attributes of objects", playAttributes),
		rawScenario(t, "ciphers and keyed hashes", playCiphers),
		rawScenario(t, "curves and two phases", playCurves),
		rawScenario(t, "RSA", playRSA),
		rawScenario(t, "duplication in every wrapping", playDuplicates),
		rawScenario(t, "sessions and audit", playSessions),
		rawScenario(t, "contexts", playContexts),
		rawScenario(t, "blobs of nobody's making", playBlobs),
		rawScenario(t, "PCR rights", playPCRRights),
		rawScenario(t, "external keys", playExternal),
		rawScenario(t, "startup and self-test", playStartup),
	}
}

func playPolicySessions(p *player) {
	for _, kind := range []byte{1, 3} {
		s := p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), kind, noSym, uint16(0xb)).handle
		h := []uint32{s}
		digest := bytes.Repeat([]byte{7}, 32)
		get := func() { p.on(0x189, h) }
		restart := func() { get(); p.on(0x180, h); get() }
		p.on(0x16b, h) // AuthValue
		p.on(0x18c, h) // Password
		p.on(0x187, h) // PhysicalPresence
		restart()
		p.on(0x16f, h, byte(3)) // Locality
		p.on(0x16f, h, byte(2))
		p.on(0x16f, h, byte(4))
		p.on(0x16f, h, byte(0))
		p.on(0x16f, h, byte(40))
		restart()
		p.on(0x16f, h, byte(40))
		p.on(0x16f, h, byte(40))
		p.on(0x16f, h, byte(41))
		restart()
		for _, first := range []uint32{0x16e, 0x170, 0x190} { // CpHash, NameHash, Template
			for _, second := range []uint32{0x16e, 0x170, 0x190} {
				p.on(first, h, b2(digest))
				p.on(second, h, b2(digest))
				p.on(second, h, b2(digest[:20]))
				p.on(0x188, h, b2(), b2(be(uint16(0xb), digest)), byte(1)) // DuplicationSelect
				restart()
			}
		}
		p.on(0x188, h, b2(be(uint16(0xb), digest)), b2(be(uint16(0xb), digest)), byte(1))
		p.on(0x188, h, b2(be(uint16(0xb), digest)), b2(be(uint16(0xb), digest)), byte(0))
		p.on(0x16e, h, b2(digest))
		p.on(0x16c, h, uint32(0x15e)) // CommandCode
		restart()
		p.on(0x16c, h, uint32(0x15e))
		p.on(0x188, h, b2(be(uint16(0xb), digest)), b2(be(uint16(0xb), digest)), byte(0))
		p.on(0x16c, h, uint32(0x15e))
		p.on(0x16c, h, uint32(0x15d))
		p.on(0x16c, h, uint32(0x19f))
		restart()
		p.on(0x18f, h, byte(1)) // NvWritten
		p.on(0x18f, h, byte(1))
		p.on(0x18f, h, byte(0))
		restart()
		for _, n := range []int{0, 1, 2, 8, 9} { // OR
			list := be(uint32(n))
			for i := range n {
				list = be(list, b2(bytes.Repeat([]byte{byte(i)}, 32)))
			}
			p.on(0x171, h, list)
			restart()
		}
		sel := be(uint32(1), uint16(0xb), byte(3), byte(1), byte(0), byte(1))
		p.on(0x17f, h, b2(), sel) // PCR
		p.on(0x17f, h, b2(digest), sel)
		p.on(0x17f, h, b2(digest[:5]), sel)
		p.do(0x182, 1, []uint32{3}, uint32(1), uint16(0xb), digest)
		p.on(0x17f, h, b2(), sel)
		restart()
		p.on(0x17f, h, b2(), be(uint32(1), uint16(0xb), byte(3), byte(0), byte(0), byte(0)))
		p.on(0x17f, h, b2(), be(uint32(0)))
		p.on(0x17f, h, b2(), be(uint32(2), uint16(4), byte(3), byte(1), byte(0), byte(0), uint16(4), byte(3), byte(1), byte(0), byte(0)))
		restart()
		for op := range uint16(13) { // CounterTimer, on a clock that says the same only in its high bytes
			p.on(0x16d, h, b2([]byte{0, 0}), uint16(0), op)
			p.on(0x16d, h, b2([]byte{0x80, 0}), uint16(0), op)
		}
		p.on(0x16d, h, b2([]byte{0}), uint16(25), uint16(1))
		p.on(0x16d, h, b2([]byte{0}), uint16(24), uint16(7))
		p.on(0x16d, h, b2(), uint16(26), uint16(0))
		p.on(0x16d, h, b2(make([]byte, 26)), uint16(0), uint16(0))
		restart()
		p.on(0x172, h, b2(make([]byte, 8)), b2(), b2(), b2(be(hOwner)), uint16(0x8023), hOwner, b2(make([]byte, 64))) // Ticket
		p.on(0x172, h, b2(make([]byte, 7)), b2(), b2(), b2(be(hOwner)), uint16(0x8023), hOwner, b2(make([]byte, 64)))
		p.on(0x172, h, b2(make([]byte, 8)), b2(), b2(), b2(be(hOwner)), uint16(0x8022), hOwner, b2(make([]byte, 64)))
		p.on(0x172, h, b2([]byte{0, 0, 1, 0, 0, 0, 0, 0}), b2(digest[:3]), b2(), b2(be(hOwner)), uint16(0x8025), hOwner, b2(make([]byte, 64)))
		for _, name := range [][]byte{nil, {0}, {0, 0xb}, be(uint16(0xb), digest), be(uint16(4), digest), be(uint16(0x99), digest)} { // Authorize
			p.on(0x16a, h, b2(make([]byte, 32)), b2(), b2(name), uint16(0x8022), hOwner, b2(make([]byte, 64)))
			p.on(0x16a, h, b2(digest), b2(), b2(name), uint16(0x8022), hNull, b2())
			restart()
		}
		p.flush(s)
	}
}

func playAssertions(p *player) {
	x, y := basePoint(p)
	key := p.plain(0x167, b2(be(uint16(0x23), b2(), b2(), b2(privateOne))),
		publicArea(0x23, userAuth|noDA|sign, nil, nullScheme, uint16(0x18), uint16(0xb), uint16(3), nullScheme, b2(x), b2(y)), hNull)
	for _, kind := range []byte{1, 3} {
		started := p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), kind, noSym, uint16(0xb))
		s, nonce := started.handle, bytes.Clone(started.reader().Sized16())
		digest := bytes.Repeat([]byte{7}, 32)
		for _, exp := range []uint32{0, 3600, 0xfffff1f0, 0x80000000} {
			for _, n := range [][]byte{nil, nonce, digest} {
				for _, cp := range [][]byte{nil, digest, digest[:4]} {
					p.do(0x151, 1, []uint32{hOwner, s}, b2(n), b2(cp), b2([]byte("ref")), exp)
					p.on(0x189, []uint32{s})
					p.on(0x180, []uint32{s})
				}
			}
		}
		p.on(0x16e, []uint32{s}, b2(digest))
		p.do(0x151, 1, []uint32{hOwner, s}, b2(), b2(bytes.Repeat([]byte{8}, 32)), b2(), uint32(0))
		p.on(0x180, []uint32{s})
		p.on(0x170, []uint32{s}, b2(digest))
		p.do(0x151, 1, []uint32{hOwner, s}, b2(), b2(digest), b2(), uint32(0))
		p.on(0x180, []uint32{s})
		p.do(0x151, 1, []uint32{hNull, s}, b2(), b2(), b2(), uint32(0xfffffff0))
		p.do(0x151, 1, []uint32{0, s}, b2(), b2(), b2(), uint32(0))
		p.do(0x151, 1, []uint32{key.handle, s}, b2(), b2(), b2(), uint32(0))
		p.do(0x151, 1, []uint32{hLockout, s}, b2(), b2(), b2(), uint32(0))
		p.on(0x189, []uint32{s})
		// PolicySigned, with signatures that are right, wrong and of another kind
		signed := digestOf(0xb, be(uint32(0)))
		sig := p.do(0x15d, 1, []uint32{key.handle}, b2(signed), nullScheme, uint16(0x8024), hNull, b2())
		good := bytes.Clone(sig.params)
		ps := func(sig []byte) {
			p.on(0x160, []uint32{key.handle, s}, b2(), b2(), b2(), uint32(0), sig)
			p.on(0x189, []uint32{s})
		}
		if len(good) > 4 {
			ps(good)
			bad := bytes.Clone(good)
			bad[len(bad)-1] ^= 1
			ps(bad)
		}
		ps(be(uint16(0x18), uint16(0xb), b2(digest), b2(digest)))
		ps(be(uint16(0x10)))
		ps(be(uint16(5), uint16(0xb), digest))
		ps(be(uint16(0x14), uint16(0xb), b2(digest)))
		p.flush(s)
	}
	p.flush(key.handle)
}

func playNVRights(p *player) {
	const i uint32 = 0x01800500
	p.do(0x12a, 1, []uint32{hOwner}, b2(), nvPublic(i, 0x02060006|1<<14|1<<31, 16))
	s := p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), byte(1), noSym, uint16(0xb)).handle
	nv := func(op uint16, operand []byte, offset uint16) {
		p.do(0x149, 1, []uint32{hOwner, i, s}, b2(operand), offset, op)
		p.on(0x180, []uint32{s})
	}
	nv(0, []byte{1}, 0)
	p.do(0x137, 1, []uint32{i, i}, b2([]byte{0x80, 1, 0x7f, 0xff, 0, 0, 0, 0}), uint16(4))
	p.do(0x137, 1, []uint32{hOwner, i}, b2([]byte{0x80, 1, 0x7f, 0xff, 0, 0, 0, 0}), uint16(4))
	p.do(0x137, 1, []uint32{hPlatform, i}, b2([]byte{1}), uint16(4))
	for op := range uint16(13) {
		for _, operand := range [][]byte{{0x80, 1}, {0x80, 0}, {0x80, 2}, {0x7f, 0xff}, {0, 1}, {0xff, 0xff}, {}} {
			nv(op, operand, 4)
			nv(op, operand, 6)
		}
	}
	nv(0, []byte{1}, 15)
	nv(0, []byte{1}, 16)
	nv(0, []byte{}, 16)
	nv(0, []byte{}, 17)
	nv(0, make([]byte, 17), 0)
	p.do(0x192, 1, []uint32{hOwner, i, s}) // AuthorizeNV
	p.do(0x137, 1, []uint32{hOwner, i}, b2(be(uint16(0xb), make([]byte, 14))), uint16(0))
	p.do(0x192, 1, []uint32{hOwner, i, s})
	for _, cc := range []uint32{0x14f, 0x138} { // ReadLock, WriteLock
		p.do(cc, 1, []uint32{hPlatform, i})
		p.do(cc, 1, []uint32{hOwner, i})
		p.do(cc, 1, []uint32{hOwner, i})
		p.do(cc, 1, []uint32{i, i})
	}
	p.do(0x14e, 1, []uint32{hOwner, i}, uint16(4), uint16(0))
	p.do(0x137, 1, []uint32{hOwner, i}, b2([]byte{1}), uint16(4))
	nv(0, []byte{1}, 0)
	p.do(0x134, 1, []uint32{hOwner, i})
	p.do(0x135, 1, []uint32{hOwner, i}, uint64(1))
	p.do(0x136, 1, []uint32{hOwner, i}, b2([]byte{1}))
	p.do(0x132, 1, []uint32{hOwner})
	p.do(0x13b, 1, []uint32{i}, b2([]byte("new")))
	p.do(0x11f, 2, []uint32{i, hPlatform})
	p.do(0x184, 2, []uint32{hNull, hOwner, i}, b2(), nullScheme, uint16(4), uint16(0))
	p.flush(s)
	p.do(0x122, 1, []uint32{hPlatform, i})
	p.do(0x122, 1, []uint32{hOwner, i})
}

func playNVAttributes(p *player) {
	for bit := range 32 {
		for _, kind := range []uint32{0, 0x10, 0x20, 0x40, 0x80, 0x90, 0x30, 0xf0} {
			for _, from := range []uint32{hOwner, hPlatform} {
				i, size := uint32(0x01800600), uint16(8)
				if kind == 0x40 {
					size = 32
				}
				base := uint32(0x00020002)
				if from == hPlatform {
					base = 0x40010001
				}
				if r := p.do(0x12a, 1, []uint32{from}, b2(), nvPublic(i, base|kind|1<<bit, size)); r.rc == 0 {
					p.on(0x169, []uint32{i})
					p.do(0x11f, 2, []uint32{i, hPlatform})
					p.do(0x122, 1, []uint32{from, i})
				}
			}
		}
	}
	p.do(0x12a, 1, []uint32{hOwner}, b2(make([]byte, 33)), nvPublic(0x01800600, 0x20002, 8))
	p.do(0x12a, 1, []uint32{hOwner}, b2(), b2(be(uint32(0x01800600), uint16(0xb), uint32(0x20002), b2(make([]byte, 20)), uint16(8))))
	p.do(0x12a, 1, []uint32{hOwner}, b2(), nvPublic(0x01800600, 0x20002, 2049))
	p.do(0x12a, 1, []uint32{hOwner}, b2(), nvPublic(0x01800600, 0x21002, 1025))
	p.do(0x12a, 1, []uint32{hOwner}, b2(), nvPublic(0x01800600, 0x20002, 0))
	p.do(0x12a, 1, []uint32{hOwner}, b2(), nvPublic(0x01800600, 0x20002, 0))
	p.do(0x122, 1, []uint32{hOwner, 0x01800600})
}

func playControl(p *player) {
	for _, who := range []uint32{hOwner, hEndorsement, hPlatform, hLockout} {
		for _, what := range []uint32{hOwner, hEndorsement, hPlatformNV, hNull} {
			p.do(0x121, 1, []uint32{who}, what, byte(0)) // HierarchyControl
			p.do(0x131, 1, []uint32{what}, secret("", ""), eccStorage(), nothingMore)
			p.flush(0x80000000)
			p.do(0x121, 1, []uint32{who}, what, byte(1))
			p.do(0x121, 1, []uint32{hPlatform}, what, byte(1))
		}
		p.do(0x12e, 1, []uint32{who}, b2(make([]byte, 32)), uint16(0xb)) // SetPrimaryPolicy
		p.do(0x12e, 1, []uint32{who}, b2(make([]byte, 31)), uint16(0xb))
		p.do(0x12e, 1, []uint32{who}, b2(), nullScheme)
		p.do(0x129, 1, []uint32{who}, b2(make([]byte, 64))) // HierarchyChangeAuth: zeros are none
		p.do(0x127, 1, []uint32{who}, byte(1))              // ClearControl
		p.do(0x127, 1, []uint32{who}, byte(0))
		p.do(0x130, 1, []uint32{who}, byte(0xfd)) // ClockRateAdjust
		p.do(0x130, 1, []uint32{who}, byte(4))
		p.do(0x128, 1, []uint32{who}, uint64(1)<<40) // ClockSet
		p.do(0x128, 1, []uint32{who}, uint64(0xffff)<<48|1)
		p.do(0x139, 1, []uint32{who}) // DictionaryAttackLockReset
		p.do(0x13a, 1, []uint32{who}, uint32(5), uint32(1000), uint32(1000))
		p.do(0x13f, 1, []uint32{who}, uint32(0)) // SetAlgorithmSet
		p.do(0x12d, 1, []uint32{who}, uint32(1), uint32(0x121), uint32(0))
		p.do(0x12d, 1, []uint32{who}, uint32(0), uint32(1), uint32(0x121))
		p.do(0x140, 1, []uint32{who}, nullScheme, uint32(2), uint32(0x17b), uint32(0x145), uint32(0)) // SetCommandCodeAuditStatus
		p.plain(0x17a, uint32(4), uint32(0), uint32(20))
		p.do(0x140, 1, []uint32{who}, uint16(0xc), uint32(1), uint32(0x17b), uint32(0))
		p.do(0x140, 1, []uint32{who}, uint16(0xc), uint32(0), uint32(0))
		p.plain(0x17b, uint16(4))
		p.do(0x133, 2, []uint32{who, hNull}, b2(), nullScheme)
		p.do(0x140, 1, []uint32{who}, uint16(0xb), uint32(0), uint32(0))
		p.do(0x140, 1, []uint32{who}, nullScheme, uint32(0), uint32(1), uint32(0x17b))
		p.do(0x14c, 2, []uint32{who, hNull}, b2(), nullScheme)
	}
	p.plain(0x17a, uint32(9), hOwner, uint32(9))
	p.plain(0x17a, uint32(9), uint32(0x80000000), uint32(9))
	p.plain(0x17a, uint32(3), uint32(0), uint32(50))
}

func playRoles(p *player) {
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x148))) // PolicyCommandCode(Certify)
	srk := p.primary(eccStorage())
	for _, attrs := range []uint32{0, userAuth, adminPolicy, userAuth | adminPolicy} {
		for _, policy := range [][]byte{nil, policy} {
			made := p.do(0x153, 1, []uint32{srk.handle}, secret("", ""), eccKey(origin|noDA|sign|attrs, policy, nullScheme), nothingMore)
			if made.rc != 0 {
				continue
			}
			key := p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
			ticket := be(uint16(0x8024), hNull, b2())
			p.do(0x15d, 1, []uint32{key.handle}, b2(make([]byte, 32)), uint16(0x18), uint16(0xb), ticket) // user
			p.do(0x148, 2, []uint32{key.handle, hNull}, b2(), nullScheme)                                 // admin
			p.do(0x150, 1, []uint32{key.handle, srk.handle}, b2())                                        // admin
			p.do(0x14b, 1, []uint32{key.handle, hNull}, b2(), nullScheme)                                 // dup
			for _, ccs := range [][]uint32{nil, {0x148}, {0x15d}} {
				s := p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), byte(1), noSym, uint16(0xb))
				for _, cc := range ccs {
					p.on(0x16c, []uint32{s.handle}, cc)
				}
				as := func() *rawSession {
					return &rawSession{handle: s.handle, alg: 0xb, attrs: sContinue, noHMAC: true, nonceCaller: make([]byte, 16), nonceTPM: nthSized(s, 0)}
				}
				try(p.t, p.to, call{cc: 0x148, handles: []uint32{key.handle, hNull}, sessions: []*rawSession{as(), pw("")}, params: be(b2(), nullScheme)})
				try(p.t, p.to, call{cc: 0x15d, handles: []uint32{key.handle}, sessions: []*rawSession{as()},
					params: be(b2(make([]byte, 32)), uint16(0x18), uint16(0xb), ticket)})
				try(p.t, p.to, call{cc: 0x14b, handles: []uint32{key.handle, hNull}, sessions: []*rawSession{as()}, params: be(b2(), nullScheme)})
				p.flush(s.handle)
			}
			p.flush(key.handle)
		}
	}
	p.flush(srk.handle)
}

func playAttributes(p *player) {
	srk := p.primary(eccStorage())
	fixed, free := storage, origin|userAuth|noDA|restricted|decrypt
	for _, parent := range []uint32{fixed, free} {
		made := p.do(0x153, 1, []uint32{srk.handle}, secret("", ""), publicArea(0x23, parent, nil, uint16(6), uint16(128), uint16(0x43), nullScheme, uint16(3), nullScheme, b2(), b2()), nothingMore)
		if made.rc != 0 {
			continue
		}
		under := p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(made, 0)), b2(nthSized(made, 1)))
		for bits := range uint32(1 << 9) {
			attrs := uint32(0)
			for i, a := range []uint32{fixedTPM, fixedParent, origin, encDup, restricted, decrypt, sign, stClear, adminPolicy} {
				if bits>>i&1 == 1 {
					attrs |= a
				}
			}
			data := ""
			if bits%3 == 0 {
				data = "0123456789abcdef"
			}
			create := func(public []byte) {
				p.do(0x153, 1, []uint32{under.handle}, secret("", data), public, nothingMore)
			}
			create(keyedHash(attrs|noDA, nil, nullScheme))
			create(publicArea(0x25, attrs|noDA, nil, uint16(6), uint16(128), uint16(0x43), b2()))
			if bits%5 == 0 {
				create(keyedHash(attrs|noDA, nil, uint16(5), uint16(0xb)))
				create(keyedHash(attrs|noDA, nil, uint16(0xa), uint16(0xb), uint16(0x22)))
				create(eccKey(attrs|noDA, nil, nullScheme))
				create(eccKey(attrs|noDA, nil, uint16(0x18), uint16(0xb)))
				create(eccKey(attrs|noDA, nil, uint16(0x19), uint16(0xb)))
				create(publicArea(0x23, attrs|noDA, nil, uint16(6), uint16(128), uint16(0x43), nullScheme, uint16(3), nullScheme, b2(), b2()))
			}
		}
		p.flush(under.handle)
	}
	p.flush(srk.handle)
}

// playBlobs shows what is asked of a wrapped blob before its HMAC: the TPMs' own have sizes of their own, and what happens to
// those cannot be compared.
func playBlobs(p *player) {
	srk := p.primary(eccStorage())
	public := keyedHash(userAuth|noDA, nil, nullScheme)
	object := keyedHash(userAuth|noDA|encDup, nil, nullScheme)
	for _, size := range []uint16{0, 1, 20, 32, 48, 64, 65, 96, 0x820} {
		for _, n := range []int{-2, -1, 0, 1, 16, 32, 60, 64, 100} {
			blob := b2(append(be(size), make([]byte, 100)...)[:2+n])
			p.do(0x157, 1, []uint32{srk.handle}, blob, public)                                                            // Load
			p.do(0x156, 1, []uint32{srk.handle}, b2(), public, blob, b2(), nullScheme)                                    // Import
			p.do(0x156, 1, []uint32{srk.handle}, b2(make([]byte, 16)), object, blob, b2(), []byte{0, 6, 0, 128, 0, 0x43}) // with an inner wrapping
			for _, saved := range []uint32{0x80000000, 0x80000001, 0x80000002, 0x02000000, 0x03000001} {
				p.plain(0x161, uint64(9), saved, hOwner, blob) // ContextLoad
			}
		}
	}
	p.flush(srk.handle)
}

func playCiphers(p *player) {
	for _, mode := range []uint16{0x40, 0x41, 0x42, 0x43, 0x44, 0x10} {
		for _, bits := range []uint16{128, 256} {
			key := b2(bytes.Repeat([]byte{3}, int(bits/8)))
			unique := digestOf(0xb, bytes.Repeat([]byte{9}, 32), bytes.Repeat([]byte{3}, int(bits/8)))
			r := p.plain(0x167, b2(be(uint16(0x25), b2(), b2(bytes.Repeat([]byte{9}, 32)), key)),
				publicArea(0x25, userAuth|noDA|decrypt|sign, nil, uint16(6), bits, mode, b2(unique)), hNull)
			if r.rc != 0 {
				continue
			}
			for _, how := range []uint16{0x10, 0x43, 0x42, 0x44} {
				for _, iv := range [][]byte{nil, bytes.Repeat([]byte{5}, 16), {1}} {
					for _, n := range []int{0, 16, 31, 64} {
						p.do(0x164, 1, []uint32{r.handle}, byte(0), how, b2(iv), b2(make([]byte, n)))
						p.do(0x193, 1, []uint32{r.handle}, b2(make([]byte, n)), byte(1), how, b2(iv))
					}
				}
			}
			p.flush(r.handle)
		}
	}
	for _, alg := range []uint16{4, 0xb, 0xc, 0xd} {
		unique := digestOf(0xb, bytes.Repeat([]byte{9}, 32), []byte("a key for keyed hashes"))
		r := p.plain(0x167, b2(be(uint16(8), b2(), b2(bytes.Repeat([]byte{9}, 32)), b2([]byte("a key for keyed hashes")))),
			keyedHash2(userAuth|noDA|sign, unique, uint16(5), alg), hNull)
		p.do(0x155, 1, []uint32{r.handle}, b2([]byte("data")), nullScheme)
		p.do(0x155, 1, []uint32{r.handle}, b2([]byte("data")), alg)
		p.do(0x155, 1, []uint32{r.handle}, b2([]byte("data")), uint16(0xb))
		seq := p.do(0x15b, 1, []uint32{r.handle}, b2(), nullScheme)
		p.do(0x15c, 1, []uint32{seq.handle}, b2([]byte("data")))
		p.do(0x13e, 1, []uint32{seq.handle}, b2([]byte("more")), hNull)
		p.do(0x15d, 1, []uint32{r.handle}, b2(digestOf(alg)), nullScheme, uint16(0x8024), hNull, b2())
		p.do(0x15d, 1, []uint32{r.handle}, b2(digestOf(alg)), uint16(5), alg, uint16(0x8024), hNull, b2())
		p.do(0x15e, 1, []uint32{r.handle})
		p.flush(r.handle)
		event := p.plain(0x186, b2(), nullScheme)
		p.do(0x15c, 1, []uint32{event.handle}, b2([]byte("data")))
		p.do(0x13e, 1, []uint32{event.handle}, b2(), hNull)
		p.do(0x185, 2, []uint32{16, event.handle}, b2([]byte("event")))
		p.plain(0x17e, be(uint32(1), uint16(0xb), byte(3), byte(0), byte(0), byte(1)))
		hash := p.plain(0x186, b2(), alg)
		p.do(0x185, 2, []uint32{16, hash.handle}, b2([]byte("event")))
		p.do(0x13e, 1, []uint32{hash.handle}, b2(), hOwner)
		p.plain(0x17d, b2([]byte("data")), alg, hOwner)
		p.plain(0x17d, b2([]byte("\xff\x54\x43\x47 data")), alg, hNull)
	}
}

func playCurves(p *player) {
	for id := range uint16(0x22) {
		p.plain(0x178, id)
		p.plain(0x18e, id) // EC_Ephemeral
	}
	zero := b2(b2(), b2())
	for _, scheme := range [][]byte{be(nullScheme), be(uint16(0x19), uint16(0xb)), be(uint16(0x1b), uint16(0xb))} {
		k := p.primary(eccKey(origin|userAuth|noDA|decrypt|fixedTPM|fixedParent, nil, scheme))
		if k.rc != 0 {
			continue
		}
		gen := p.on(0x163, []uint32{k.handle})
		if gen.rc == 0 {
			point := b2(nthSized(gen, 1))
			p.do(0x154, 1, []uint32{k.handle}, point)
			e := p.plain(0x18e, uint16(3))
			if e.rc == 0 {
				counter := e.params[len(e.params)-2:]
				for _, how := range []uint16{0x19, 0x1b, 0x10, 0x18} { // ECMQV breaks swtpm
					p.do(0x18d, 1, []uint32{k.handle}, point, point, how, []byte{0xff, 0xff})
					p.do(0x18d, 1, []uint32{k.handle}, point, zero, how, counter)
					p.do(0x18d, 1, []uint32{k.handle}, point, point, how, counter)
				}
			}
		}
		p.do(0x154, 1, []uint32{k.handle}, zero)
		p.do(0x154, 1, []uint32{k.handle}, b2(b2([]byte{1}), b2([]byte{2})))
		p.do(0x18b, 1, []uint32{k.handle}, zero, b2(), b2())
		p.flush(k.handle)
	}
	for _, scheme := range [][]byte{be(uint16(0x1a), uint16(0xb), uint16(0)), be(uint16(0x18), uint16(0xb)), be(uint16(0x1c), uint16(0xb)), be(nullScheme)} {
		k := p.primary(eccKey(origin|userAuth|noDA|sign|fixedTPM|fixedParent, nil, scheme))
		if k.rc != 0 {
			continue
		}
		p.do(0x18b, 1, []uint32{k.handle}, zero, b2(), b2())
		p.do(0x18b, 1, []uint32{k.handle}, zero, b2([]byte("s")), b2())
		p.do(0x18b, 1, []uint32{k.handle}, zero, b2([]byte("s")), b2([]byte{1}))
		for _, how := range [][]byte{be(nullScheme), be(uint16(0x18), uint16(0xb)), be(uint16(0x1c), uint16(0xb)), be(uint16(0x1a), uint16(0xb), uint16(0)),
			be(uint16(0x1a), uint16(0xb), uint16(77)), be(uint16(0x14), uint16(0xb)), be(uint16(5), uint16(0xb))} {
			r := p.do(0x15d, 1, []uint32{k.handle}, b2(make([]byte, 32)), how, uint16(0x8024), hNull, b2())
			p.do(0x15d, 1, []uint32{k.handle}, b2(make([]byte, 20)), how, uint16(0x8024), hNull, b2())
			if r.rc == 0 {
				p.on(0x177, []uint32{k.handle}, b2(make([]byte, 32)), bytes.Clone(r.params))
				p.on(0x177, []uint32{k.handle}, b2(make([]byte, 31)), bytes.Clone(r.params))
			}
		}
		p.do(0x154, 1, []uint32{k.handle}, zero)
		p.on(0x174, []uint32{k.handle}, b2(), nullScheme, b2())
		p.flush(k.handle)
	}
}

func playRSA(p *player) {
	rsa := func(attrs uint32, scheme ...any) reply {
		return p.primary(publicArea(1, fixedTPM|fixedParent|origin|userAuth|noDA|attrs, nil, nullScheme, be(scheme...), uint16(2048), uint32(0), b2()))
	}
	for _, k := range []reply{rsa(decrypt, nullScheme), rsa(sign|decrypt, nullScheme)} {
		for _, how := range [][]byte{be(nullScheme), be(uint16(0x15)), be(uint16(0x17), uint16(0xb)), be(uint16(0x17), uint16(4)), be(uint16(0x14), uint16(0xb))} {
			for _, text := range [][]byte{nil, []byte("text"), bytes.Repeat([]byte{1}, 190), bytes.Repeat([]byte{1}, 191), bytes.Repeat([]byte{1}, 245),
				bytes.Repeat([]byte{1}, 256), bytes.Repeat([]byte{1}, 257)} {
				for _, label := range [][]byte{nil, []byte("label\x00"), []byte("label")} {
					r := p.on(0x174, []uint32{k.handle}, b2(text), how, b2(label))
					if r.rc == 0 && len(label) == 6 {
						p.do(0x159, 1, []uint32{k.handle}, bytes.Clone(r.params), how, b2(label))
						p.do(0x159, 1, []uint32{k.handle}, bytes.Clone(r.params), how, b2())
					}
				}
				p.do(0x159, 1, []uint32{k.handle}, b2(text), how, b2())
			}
			p.do(0x15d, 1, []uint32{k.handle}, b2(make([]byte, 32)), how, uint16(0x8024), hNull, b2())
		}
		p.do(0x15d, 1, []uint32{k.handle}, b2(make([]byte, 32)), uint16(0x16), uint16(0xb), uint16(0x8024), hNull, b2())
		p.do(0x163, 0, []uint32{k.handle})
	}
	p.flush(0x80000000, 0x80000001)
	for _, scheme := range [][]byte{be(uint16(0x14), uint16(0xb)), be(uint16(0x15)), be(uint16(0x17), uint16(0xb))} {
		rsa(restricted|decrypt, scheme)
		rsa(restricted|sign, scheme)
		rsa(sign, scheme)
		p.flush(0x80000000, 0x80000001)
	}
}

func playDuplicates(p *player) {
	srk := p.primary(eccStorage())
	policy := digestOf(0xb, make([]byte, 32), be(uint32(0x16c), uint32(0x14b)))
	for _, attrs := range []uint32{0, encDup, fixedParent} {
		made := p.do(0x153, 1, []uint32{srk.handle}, secret("", "sealed"), keyedHash(attrs|userAuth|noDA, policy, nullScheme), nothingMore)
		if made.rc != 0 {
			continue
		}
		public := b2(nthSized(made, 1))
		item := p.do(0x157, 1, []uint32{srk.handle}, b2(nthSized(made, 0)), public)
		for _, to := range []uint32{hNull, srk.handle, item.handle} {
			for _, inner := range [][]byte{be(b2(), nullScheme), be(b2(), aesCFB), be(b2(bytes.Repeat([]byte{4}, 16)), aesCFB), be(b2([]byte{1}), aesCFB),
				be(b2([]byte{1}), nullScheme), be(b2(), uint16(6), uint16(128), uint16(0x42))} {
				s := p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), byte(1), noSym, uint16(0xb))
				p.on(0x16c, []uint32{s.handle}, uint32(0x14b))
				as := &rawSession{handle: s.handle, alg: 0xb, noHMAC: true, nonceCaller: make([]byte, 16), nonceTPM: nthSized(s, 0)}
				d := try(p.t, p.to, call{cc: 0x14b, handles: []uint32{item.handle, to}, sessions: []*rawSession{as}, params: inner})
				if d.rc != 0 {
					p.flush(s.handle)
					continue
				}
				keyOut, blob, seed := b2(nthSized(d, 0)), b2(nthSized(d, 1)), b2(nthSized(d, 2))
				for _, sym := range [][]byte{be(nullScheme), aesCFB} {
					p.do(0x156, 1, []uint32{srk.handle}, b2(), public, blob, seed, sym)
					p.do(0x156, 1, []uint32{srk.handle}, keyOut, public, blob, seed, sym)
					p.do(0x156, 1, []uint32{srk.handle}, b2(bytes.Repeat([]byte{4}, 16)), public, blob, seed, sym)
					p.do(0x156, 1, []uint32{srk.handle}, keyOut, public, blob, b2(), sym)
				}
				p.do(0x152, 1, []uint32{srk.handle, hNull}, blob, b2(nthSized(item, 0)), seed)
				p.do(0x152, 1, []uint32{srk.handle, srk.handle}, blob, b2(nthSized(item, 0)), seed)
				p.do(0x152, 1, []uint32{hNull, srk.handle}, blob, b2(nthSized(item, 0)), b2())
				p.do(0x152, 1, []uint32{hNull, srk.handle}, blob, b2(nthSized(item, 0)), seed)
			}
		}
		p.flush(item.handle)
	}
	p.flush(srk.handle)
}

func playSessions(p *player) {
	for _, kind := range []byte{0, 1, 3, 2, 4} {
		for _, nonce := range []int{0, 8, 15, 16, 32, 33} {
			for _, sym := range [][]byte{noSym, aesCFB, {0, 0xa, 0, 0xb}, {0, 6, 0, 128, 0, 0x42}, {0, 6, 0, 64, 0, 0x43}} {
				r := p.plain(0x176, hNull, hNull, b2(make([]byte, nonce)), b2(), kind, sym, uint16(0xb))
				p.flush(r.handle)
			}
		}
	}
	p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2([]byte{1}), byte(0), noSym, uint16(0xb))
	p.plain(0x176, hNull, hOwner, b2(make([]byte, 16)), b2(), byte(0), noSym, uint16(0xb))
	p.plain(0x176, hOwner, hNull, b2(make([]byte, 16)), b2(), byte(0), noSym, uint16(0xb))
	p.flush(0x02000000, 0x02000001)
	session := func(sym []byte) *rawSession {
		r := p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), byte(0), sym, uint16(0xb))
		return &rawSession{handle: r.handle, alg: 0xb, sym: sym, nonceCaller: make([]byte, 16), nonceTPM: nthSized(r, 0)}
	}
	a, b := session(aesCFB), session(noSym)
	for attrs := range 256 {
		a.attrs, b.attrs = byte(attrs)|sContinue, sContinue
		try(p.t, p.to, call{cc: 0x17b, sessions: []*rawSession{a}, params: be(uint16(4))})
		try(p.t, p.to, call{cc: 0x146, sessions: []*rawSession{a}, params: b2([]byte("stir"))})
		b.attrs = byte(attrs) | sContinue
		try(p.t, p.to, call{cc: 0x17b, sessions: []*rawSession{b}, params: be(uint16(4))})
		b.attrs = sContinue | sAudit
		try(p.t, p.to, call{cc: 0x17b, sessions: []*rawSession{a, b}, params: be(uint16(4))})
		try(p.t, p.to, call{cc: 0x17b, sessions: []*rawSession{b, b}, params: be(uint16(4))})
	}
	p.do(0x14d, 2, []uint32{hEndorsement, hNull, b.handle}, b2(), nullScheme)
	p.do(0x14d, 2, []uint32{hEndorsement, hNull, a.handle}, b2(), nullScheme)
	a.attrs, b.attrs = sAudit, sContinue
	try(p.t, p.to, call{cc: 0x144, sessions: []*rawSession{a}, params: be(uint16(0))})
	try(p.t, p.to, call{cc: 0x165, sessions: []*rawSession{a}, params: be(uint32(0))})
	a.attrs = sContinue
	try(p.t, p.to, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{a}, params: b2([]byte("auth"))})
	for _, auth := range []string{"auth", "auth\x00", "", "no"} {
		a.auth, a.attrs = []byte(auth), sContinue
		try(p.t, p.to, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{a}, params: b2([]byte("auth"))})
		a.attrs = sContinue | sDecrypt
		try(p.t, p.to, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{a}, params: b2([]byte("auth"))})
		try(p.t, p.to, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{pw(auth)}, params: b2([]byte("auth"))})
	}
	try(p.t, p.to, call{cc: 0x129, handles: []uint32{hOwner}, sessions: []*rawSession{pw("auth")}, params: b2()})
	p.flush(a.handle, b.handle)
}

func playContexts(p *player) {
	k := p.primary(eccStorage())
	ctx := p.on(0x162, []uint32{k.handle})
	p.plain(0x161, ctx.params)
	p.plain(0x161, ctx.params)
	p.plain(0x161, ctx.params)
	p.flush(0x80000000, 0x80000001, 0x80000002)
	for _, at := range []int{0, 8, 11, 12, 15, 20, 100} {
		if bad := bytes.Clone(ctx.params); len(bad) > at {
			bad[at] ^= 1
			p.plain(0x161, bad)
			p.flush(0x80000000)
		}
	}
	s := p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), byte(1), noSym, uint16(0xb))
	saved := p.on(0x162, []uint32{s.handle})
	p.on(0x162, []uint32{s.handle})
	p.plain(0x17a, uint32(1), uint32(0x03000000), uint32(8))
	p.plain(0x17a, uint32(1), uint32(0x02000000), uint32(8))
	p.plain(0x161, saved.params)
	p.plain(0x161, saved.params)
	again := p.on(0x162, []uint32{s.handle})
	p.plain(0x161, saved.params)
	p.plain(0x161, again.params)
	p.flush(s.handle, s.handle)
	p.plain(0x161, again.params)
	p.on(0x162, []uint32{0x81000000})
	seq := p.plain(0x186, b2(), uint16(0xb))
	q := p.on(0x162, []uint32{seq.handle})
	p.plain(0x161, q.params)
	p.flush(0x80000000, 0x80000001)
}

func playPCRRights(p *player) {
	for pcr := range uint32(26) {
		p.do(0x182, 1, []uint32{pcr}, uint32(1), uint16(0xb), make([]byte, 32))
		p.do(0x13c, 1, []uint32{pcr}, b2([]byte("event")))
		p.do(0x13d, 1, []uint32{pcr})
		p.do(0x183, 1, []uint32{pcr}, b2())
		p.do(0x12c, 1, []uint32{hPlatform}, b2(make([]byte, 32)), uint16(0xb), pcr)
		p.do(0x182, 1, []uint32{pcr}, uint32(1), uint16(0xb), make([]byte, 32))
		p.do(0x12c, 1, []uint32{hPlatform}, b2(), nullScheme, pcr)
		p.do(0x12c, 1, []uint32{hPlatform}, b2(make([]byte, 3)), uint16(0xb), pcr)
	}
	p.plain(0x17e, be(uint32(4), uint16(4), byte(3), []byte{0xff, 0xff, 0xff}, uint16(0xb), byte(3), []byte{0xff, 0xff, 0xff},
		uint16(0xc), byte(3), []byte{0xff, 0xff, 0xff}, uint16(0xd), byte(3), []byte{0xff, 0xff, 0xff}))
	p.plain(0x17e, be(uint32(1), uint16(0xb), byte(2), []byte{0xff, 0xff}))
	p.plain(0x17e, be(uint32(1), uint16(0xb), byte(4), []byte{0xff, 0xff, 0, 0}))
	p.do(0x182, 1, []uint32{hNull}, uint32(0))
	p.do(0x182, 1, []uint32{3}, uint32(2), uint16(4), make([]byte, 20), uint16(4), make([]byte, 20))
	p.plain(0x17e, be(uint32(1), uint16(4), byte(3), []byte{8, 0, 0}))
	p.do(0x12b, 1, []uint32{hPlatform}, uint32(1), uint16(4), byte(3), []byte{0xff, 0xff, 0xff})
	p.plain(0x145, uint16(1))
	p.do(0x12b, 1, []uint32{hPlatform}, uint32(1), uint16(4), byte(3), []byte{0, 0, 0})
	p.plain(0x145, uint16(1))
	p.do(0x12b, 1, []uint32{hPlatform}, uint32(1), uint16(4), byte(3), []byte{0xff, 0xff, 0xff})
	p.do(0x158, 1, []uint32{hNull}, b2(), nullScheme, be(uint32(1), uint16(0xb), byte(3), []byte{1, 0, 0}))
	p.do(0x158, 1, []uint32{hNull}, b2(), uint16(0x18), uint16(0xb), be(uint32(1), uint16(0xb), byte(3), []byte{1, 0, 0}))
}

func playExternal(p *player) {
	x, y := basePoint(p)
	one := privateOne
	for _, hierarchy := range []uint32{hNull, hOwner, hEndorsement, hPlatform, hLockout} {
		for _, attrs := range []uint32{sign, decrypt, sign | decrypt, sign | restricted, decrypt | restricted, sign | fixedTPM, sign | fixedParent, 0} {
			for _, private := range [][]byte{b2(), b2(be(uint16(0x23), b2(), b2(), b2(one))), b2(be(uint16(0x23), b2(), b2(), b2([]byte{2}))),
				b2(be(uint16(8), b2(), b2(), b2(one))), b2(be(uint16(0x23), b2(make([]byte, 33)), b2(), b2(one)))} {
				for _, point := range [][]byte{be(b2(x), b2(y)), be(b2(x), b2(x)), be(b2(), b2())} {
					r := p.plain(0x167, private, publicArea(0x23, attrs|userAuth|noDA, nil, nullScheme, nullScheme, uint16(3), nullScheme, point), hierarchy)
					if r.rc == 0 {
						p.on(0x173, []uint32{r.handle})
						p.do(0x15d, 1, []uint32{r.handle}, b2(make([]byte, 32)), uint16(0x18), uint16(0xb), uint16(0x8024), hNull, b2())
						p.do(0x154, 1, []uint32{r.handle}, b2(b2(x), b2(y)))
						p.do(0x120, 1, []uint32{hOwner, r.handle}, uint32(0x81000055))
						p.flush(r.handle)
					}
				}
			}
		}
	}
	for _, alg := range []uint16{0x10, 4, 0xc} { // other name algorithms
		r := p.plain(0x167, b2(), b2(be(uint16(0x23), alg, sign|userAuth, b2(), nullScheme, nullScheme, uint16(3), nullScheme, b2(x), b2(y))), hOwner)
		p.on(0x173, []uint32{r.handle})
		p.on(0x162, []uint32{r.handle})
		p.on(0x168, []uint32{r.handle}, b2([]byte("credential")), b2(be(uint16(0xb), make([]byte, 32))))
		p.flush(r.handle)
	}
}

func playStartup(p *player) {
	p.plain(0x144, uint16(0))
	p.plain(0x144, uint16(1))
	p.plain(0x144, uint16(2))
	p.plain(0x145, uint16(2))
	p.plain(0x143, byte(1))
	p.plain(0x143, byte(0))
	p.plain(0x143, byte(2))
	p.plain(0x142, uint32(2), uint16(0xb), uint16(1))
	p.plain(0x142, uint32(1), uint16(0x99))
	p.plain(0x142, uint32(0))
	p.plain(0x17c)
	p.plain(0x146, b2(make([]byte, 128)))
	p.plain(0x146, b2(make([]byte, 129)))
	for _, n := range []uint16{0, 1, 64, 65, 0xffff} {
		p.plain(0x17b, n)
	}
	for capability := range uint32(12) {
		for _, from := range []uint32{0, 1, 0x100, 0x200, 0x01000000, 0x80000000, 0x81000000, 0x40000000, 0x40000110, 0xffffffff} {
			for _, count := range []uint32{0, 1, 0xffffffff} {
				p.plain(0x17a, capability, from, count)
			}
		}
	}
	p.plain(0x181)
	for _, kind := range [][]byte{be(uint16(1), nullScheme, nullScheme), be(uint16(0x23), nullScheme, nullScheme)} {
		for v := range uint16(0x46) {
			p.plain(0x18a, kind, v)
			p.plain(0x18a, kind[:2], v, nullScheme, uint16(3), nullScheme)
		}
	}
}

// privateOne is a private key whose public point is the base point of its curve: the same key on every TPM.
var privateOne = append(make([]byte, 31), 1)

func basePoint(p *player) (x, y []byte) {
	r := p.plain(0x178, uint16(3)).reader()
	r.Bytes(4) // curve, key size
	for range 2 {
		if r.U16() != nullScheme {
			r.U16()
		}
	}
	for range 3 { // p, a, b
		r.Sized16()
	}
	return bytes.Clone(r.Sized16()), bytes.Clone(r.Sized16())
}
