package engine_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/engine"
)

// holds shows that a property tells the truth about a TPM of its own.
type holds func(p *player, f *fixture, v uint32)

// fixedProperties is how each fixed property (TPM_PT, part 2, 6.13) is held to what the TPM does: what is within a limit is
// accepted, and the next above it refused.
var fixedProperties = map[uint32]holds{
	0x100: is(0x322e3000), // family "2.0"
	0x101: is(0),          // level
	0x102: is(159),        // revision 1.59
	0x103: is(312),        // of November 8
	0x104: is(2019),
	0x105: is(0x56545043), // VTPC
	0x106: is(0x53572020), // "SW  vtpmctl"
	0x107: is(0x7674706d),
	0x108: is(0x63746c00),
	0x109: is(0),
	0x10a: is(1),
	0x10b: func(p *player, f *fixture, v uint32) {
		p.same("the firmware that is attested", uint32(firmware(p)>>32), v)
	},
	0x10c: func(p *player, f *fixture, v uint32) { p.same("the firmware that is attested", uint32(firmware(p)), v) },
	0x10d: func(p *player, f *fixture, v uint32) { // INPUT_BUFFER
		p.want(0, p.plain(0x17d, b2(make([]byte, v)), uint16(0xb), hNull))
		p.want(0x1d5, p.plain(0x17d, b2(make([]byte, v+1)), uint16(0xb), hNull))
	},
	0x10e: func(p *player, f *fixture, v uint32) { // HR_TRANSIENT_MIN
		p.room(v, 0x902, func(uint32) reply { return p.plain(0x186, b2(), uint16(0xb)) })
	},
	0x10f: func(p *player, f *fixture, v uint32) { // HR_PERSISTENT_MIN
		key := p.primary(eccStorage()).handle
		p.room(v, 0x14b, func(i uint32) reply { return p.do(0x120, 1, []uint32{hOwner, key}, 0x81000000+i) })
	},
	0x110: func(p *player, f *fixture, v uint32) { // HR_LOADED_MIN
		p.room(v, 0x903, func(uint32) reply { return p.session() })
	},
	0x111: func(p *player, f *fixture, v uint32) { // ACTIVE_SESSIONS_MAX
		p.room(v, 0x905, func(uint32) reply {
			s := p.session()
			if s.rc == 0 {
				p.want(0, p.on(0x162, []uint32{s.handle}))
			}
			return s
		})
	},
	0x112: func(p *player, f *fixture, v uint32) { // PCR_COUNT
		p.same("PCR handles", uint32(len(listed(p.t, f, 1, 0, 4))), v)
		p.want(0, p.do(0x182, 1, []uint32{v - 1}, uint32(0)))
		p.want(0x184, p.do(0x182, 1, []uint32{v}, uint32(0)))
	},
	0x113: func(p *player, f *fixture, v uint32) { // PCR_SELECT_MIN
		p.want(0, p.plain(0x17e, uint32(1), uint16(0xb), byte(v), make([]byte, v)))
		p.want(0x1c4, p.plain(0x17e, uint32(1), uint16(0xb), byte(v-1), make([]byte, v-1)))
	},
	0x114: is(0xffff), // CONTEXT_GAP_MAX: TestTheOldestSavedSessionHoldsTheOthersBack
	0x116: func(p *player, f *fixture, v uint32) { // NV_COUNTERS_MAX: none, where zero says that only room limits them
		p.same("NV_COUNTERS_MAX", v, 0)
		p.room(properties(p.t, f)[0x20b], 0x14b, func(i uint32) reply {
			return nv{p, hOwner, 0x01800000 + i}.allot(nvOwnerRW|1<<nvKinds, 8)
		})
	},
	0x117: func(p *player, f *fixture, v uint32) { // NV_INDEX_MAX
		p.want(0, nv{p, hOwner, 0x01800001}.allot(nvOwnerRW, uint16(v)))
		p.want(0x2d5, nv{p, hOwner, 0x01800002}.allot(nvOwnerRW, uint16(v+1)))
	},
	0x118: memoryIsNotShared,
	0x119: func(p *player, f *fixture, v uint32) { // CLOCK_UPDATE
		f.cfg.Power = engine.OffBetween
		f.wait(9 * time.Second) // the next update is the third
		f.killed(p.t)
		_, clock, _, _, _ := clockNow(p.t, f)
		p.same("the clock's place between updates after a loss of power", uint32(clock%uint64(v)), 0)
	},
	0x11a: func(p *player, f *fixture, v uint32) { // CONTEXT_HASH
		saved := p.on(0x162, []uint32{p.primary(eccStorage()).handle}).reader()
		saved.Bytes(8 + 4 + 4 + 2)
		p.same("the size of a context's HMAC", uint32(len(saved.Sized16())), uint32(len(digestOf(uint16(v)))))
	},
	0x11b: func(p *player, f *fixture, v uint32) { // CONTEXT_SYM
		p.want(0, p.plain(0x18a, uint16(0x25), uint16(v), uint16(properties(p.t, f)[0x11c]), uint16(0x43)))
	},
	0x11c: is(256), // CONTEXT_SYM_SIZE
	0x11d: func(p *player, f *fixture, v uint32) { // ORDERLY_COUNT
		f.cfg.Power = engine.OffBetween
		f.killed(p.t)
		x := nv{p, hOwner, 0x01800001}
		p.want(0, x.allot(nvOwnerRW|1<<nvKinds|nvOrderly, 8))
		x.increment()
		f.killed(p.t)
		x.increment()
		p.same("an orderly counter after a loss of power", uint32(reply{params: x.read(8), t: p.t}.reader().U64()), v+1)
	},
	0x11e: func(p *player, f *fixture, v uint32) { // MAX_COMMAND_SIZE
		p.same("the longest command", raw(p.t, f, append(be(uint16(0x8001), v, uint32(0x17b)), make([]byte, v-10)...)), 0x095)
		p.same("a longer one", raw(p.t, f, append(be(uint16(0x8001), v+1, uint32(0x17b)), make([]byte, v-9)...)), 0x142)
	},
	0x11f: func(p *player, f *fixture, v uint32) { // MAX_RESPONSE_SIZE
		most, x := uint16(properties(p.t, f)[0x12c]), nv{p, hOwner, 0x01800001}
		p.want(0, x.allot(nvOwnerRW, most))
		p.want(0, x.run(0x137, b2(make([]byte, most)), uint16(0)))
		if r := x.run(0x14e, most, uint16(0)); len(r.params) < int(most) || len(r.params)+64 > int(v) {
			p.t.Errorf("an answer with %d bytes of parameters, where %d bytes are told", len(r.params), v)
		}
	},
	0x120: func(p *player, f *fixture, v uint32) { // MAX_DIGEST
		p.same("random bytes at once", uint32(len(nthSized(p.plain(0x17b, uint16(0xffff)), 0))), v)
		longest := 0
		for _, b := range listed(p.t, f, 0, 0, 6) {
			if h := hashes[binary.BigEndian.Uint16(b)]; h != nil {
				longest = max(longest, h().Size())
			}
		}
		p.same("the longest digest", uint32(longest), v)
	},
	0x121: func(p *player, f *fixture, v uint32) { // MAX_OBJECT_CONTEXT
		p.atMost(v, p.plain(0x186, b2(make([]byte, 64)), nullScheme), p.primary(eccStorage()))
	},
	0x122: func(p *player, f *fixture, v uint32) { // MAX_SESSION_CONTEXT
		p.atMost(v, p.session())
	},
	0x123: is(0x322e3000), // PS_FAMILY_INDICATOR and on
	0x124: is(0),
	0x125: is(159),
	0x126: is(312),
	0x127: is(2019),
	0x128: theOldestEphemeralKeyEnds, // SPLIT_MAX
	0x129: func(p *player, f *fixture, v uint32) { p.same("commands", uint32(len(listed(p.t, f, 2, 0, 4))), v) },
	0x12a: func(p *player, f *fixture, v uint32) { p.same("commands", uint32(len(listed(p.t, f, 2, 0, 4))), v) },
	0x12b: is(0), // vendor's commands
	0x12c: func(p *player, f *fixture, v uint32) { // NV_BUFFER_MAX
		x := nv{p, hOwner, 0x01800001}
		p.want(0, x.allot(nvOwnerRW, uint16(v+1)))
		p.want(0, x.run(0x137, b2(make([]byte, v)), uint16(0)))
		p.want(0x1d5, x.run(0x137, b2(make([]byte, v+1)), uint16(0)))
		p.want(0, x.run(0x137, b2([]byte{1}), uint16(v)))
		p.want(0, x.run(0x14e, uint16(v), uint16(0)))
		p.want(0x1c4, x.run(0x14e, uint16(v+1), uint16(0)))
	},
	0x12d: is(0),                                                       // MODES: not validated to FIPS 140-2
	0x12e: func(p *player, f *fixture, v uint32) { longestList(p, v) }, // MAX_CAP_BUFFER
}

func TestEachFixedPropertyIsTrue(t *testing.T) {
	for _, profile := range []engine.Profile{engine.PC(), engine.TCM(), engine.Tiny()} {
		t.Run(profile.Name, func(t *testing.T) {
			told := properties(t, newFixture(t, func(c *engine.Config) { c.Profile = profile }))
			for id := range told {
				if id < 0x200 && fixedProperties[id] == nil {
					t.Errorf("property 0x%x is told and not tried", id)
				}
			}
			for id, hold := range fixedProperties {
				t.Run(fmt.Sprintf("0x%x", id), func(t *testing.T) {
					v, ok := told[id]
					if !ok {
						t.Fatal("the property is not told")
					}
					f := newFixture(t, func(c *engine.Config) { c.Profile = profile })
					hold(play(t, f), f, v)
				})
			}
		})
	}
}

// Each thing that is made moves what the TPM tells of it, and of the room that is left, by one.
func TestVariablePropertiesFollowWhatIsMade(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Profile = engine.Tiny() })
	p := play(t, f)
	key := p.primary(eccStorage()).handle
	var session uint32
	for _, c := range []struct {
		what          string
		make          func() reply
		grows, shrink []uint32
	}{
		{"an index", func() reply { return nv{p, hOwner, 0x01800001}.allot(nvOwnerRW, 8) }, []uint32{0x202}, []uint32{0x20b}},
		{"a counter", func() reply { return nv{p, hOwner, 0x01800002}.allot(nvOwnerRW|1<<nvKinds, 8) }, []uint32{0x202, 0x20a}, []uint32{0x20b}},
		{"a session", func() reply { r := p.session(); session = r.handle; return r }, []uint32{0x203, 0x205}, []uint32{0x204, 0x206}},
		{"a saved session", func() reply { return p.on(0x162, []uint32{session}) }, []uint32{0x204}, []uint32{0x203}},
		{"the end of a session", func() reply { return p.plain(0x165, session) }, []uint32{0x206}, []uint32{0x205}},
		{"an object", func() reply { return p.plain(0x186, b2(), uint16(0xb)) }, nil, []uint32{0x207}},
		{"a persistent object", func() reply { return p.do(0x120, 1, []uint32{hOwner, key}, uint32(0x81000001)) }, []uint32{0x208}, []uint32{0x209}},
		{"no less", func() reply { return p.plain(0x17b, uint16(1)) }, nil, nil},
	} {
		before := properties(t, f)
		p.want(0, c.make())
		after := properties(t, f)
		for _, id := range c.grows {
			before[id]++
		}
		for _, id := range c.shrink {
			before[id]--
		}
		for id, v := range after {
			if v != before[id] {
				t.Errorf("%s: property 0x%x is %d, want %d", c.what, id, v, before[id])
			}
		}
	}
}

func is(want uint32) holds {
	return func(p *player, _ *fixture, v uint32) { p.same("the property", v, want) }
}

func (p *player) same(what string, got, want uint32) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: 0x%x, want 0x%x", what, got, want)
	}
}

func (p *player) want(code uint32, r reply) {
	p.t.Helper()
	p.same("response code", r.rc, code)
}

// room fills the TPM: there must be room for n, and a refusal for the next.
func (p *player) room(n, refusal uint32, more func(i uint32) reply) {
	p.t.Helper()
	for i := range n {
		if r := more(i); r.rc != 0 {
			p.t.Fatalf("number %d of %d: 0x%x", i+1, n, r.rc)
		}
	}
	p.want(refusal, more(n))
}

func (p *player) session() reply {
	return p.plain(0x176, hNull, hNull, b2(make([]byte, 16)), b2(), byte(0), noSym, uint16(0xb))
}

// allot defines the index, as define does.
func (x nv) allot(attrs uint32, size uint16) reply { return reply{rc: x.define(attrs, size)} }

// atMost saves the contexts of what was made.
func (p *player) atMost(size uint32, made ...reply) {
	p.t.Helper()
	for _, m := range made {
		saved := p.on(0x162, []uint32{m.handle})
		p.want(0, saved)
		if len(saved.params) > int(size) {
			p.t.Errorf("a context of %d bytes, of at most %d", len(saved.params), size)
		}
	}
}

// firmware is the version that a key of the endorsement hierarchy attests.
func firmware(p *player) uint64 {
	key := p.do(0x131, 1, []uint32{hEndorsement}, secret("", ""), eccKey(fixedTPM|fixedParent|origin|userAuth|noDA|sign, nil, nullScheme), nothingMore)
	told := p.do(0x14c, 2, []uint32{hEndorsement, key.handle}, b2(), uint16(0x18), uint16(0xb))
	attest := reply{params: nthSized(told, 0), t: p.t}.reader()
	attest.Bytes(4 + 2)
	attest.Sized16()
	attest.Sized16()
	attest.Bytes(8 + 4 + 4 + 1)
	return attest.U64()
}

// memoryIsNotShared compares TPMA_MEMORY with what takes whose room: bit 0 is for NV indices and persistent objects, bit 1 for
// sessions and transient objects, bit 2 for persistent objects that are used and transient ones.
func memoryIsNotShared(p *player, f *fixture, v uint32) {
	told := properties(p.t, f)
	persistent, sessions, transient, indices := told[0x10f], told[0x110], told[0x10e], told[0x20b]
	key := p.primary(eccStorage()).handle
	for i := range persistent {
		p.want(0, p.do(0x120, 1, []uint32{hOwner, key}, 0x81000000+i))
	}
	p.flush(key)
	for range sessions {
		p.want(0, p.session())
	}
	p.same("room for objects beside all sessions", v>>1&1, 0)
	p.room(transient, 0x902, func(uint32) reply { return p.plain(0x186, b2(), uint16(0xb)) })
	p.same("use of a persistent object beside all transient ones", v>>2, 0)
	p.want(0, p.do(0x153, 1, []uint32{0x81000000}, secret("", "sealed"), keyedHash(fixedTPM|fixedParent|userAuth|noDA, nil, nullScheme), nothingMore))
	p.same("room for indices beside all persistent objects", v&1, 0)
	p.room(indices, 0x14b, func(i uint32) reply { return nv{p, hOwner, 0x01800000 + i}.allot(nvOwnerRW, 8) })
}

// theOldestEphemeralKeyEnds when as many as TPM_PT_SPLIT_MAX came after it.
func theOldestEphemeralKeyEnds(p *player, _ *fixture, v uint32) {
	key := p.primary(eccKey(origin|userAuth|noDA|decrypt|fixedTPM|fixedParent, nil, nullScheme)).handle
	point := b2(nthSized(p.on(0x163, []uint32{key}), 1))
	begin := func() []byte {
		e := p.plain(0x18e, uint16(3))
		return e.params[len(e.params)-2:]
	}
	use := func(count []byte) reply { return p.do(0x18d, 1, []uint32{key}, point, point, uint16(0x19), count) }
	first, second := begin(), begin()
	for range v - 2 {
		begin()
	}
	p.want(0, use(first))
	begin()
	begin()
	p.want(0x4c4, use(second))
}

// longestList asks for more handles than an answer has room for.
func longestList(p *player, v uint32) {
	n := uint32(0)
	for ; (nv{p, hOwner, 0x01800000 + n}).define(nvOwnerRW, 8) == 0; n++ {
	}
	r := p.plain(0x17a, uint32(1), uint32(0x01000000), uint32(0xffffffff))
	data := r.params[1:]
	fits := min(n, (v-8)/4)
	p.same("the handles in a list", binary.BigEndian.Uint32(data[4:]), fits)
	p.same("the size of a list", uint32(len(data)), 8+4*fits)
	p.same("whether there are more", uint32(r.params[0]), map[bool]uint32{true: 1}[n > fits])
}
