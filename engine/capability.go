package engine

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Capability groups (TPM_CAP).
const (
	capAlgs          uint32 = 0
	capHandles       uint32 = 1
	capCommands      uint32 = 2
	capPPCommands    uint32 = 3
	capAuditCommands uint32 = 4
	capPCRs          uint32 = 5
	capProperties    uint32 = 6
	capPCRProperties uint32 = 7
	capCurves        uint32 = 8
	capAuthPolicies  uint32 = 9
	capACT           uint32 = 10
)

// maxCapData is the room for a list in the answer of TPM2_GetCapability.
const maxCapData = maxBuffer - 8

type getCapabilityIn struct {
	Capability      capability
	Property, Count uint32
}

// capability is a TPM_CAP.
type capability uint32

func (v *capability) code(c *coder) {
	c.u32((*uint32)(v))
	c.require(uint32(*v) <= capACT, rcValue)
}

type getCapabilityOut struct {
	More       yesNo
	Capability uint32
	Data       raw
}

// raw is bytes that are coded already.
type raw struct{ b []byte }

func (r *raw) code(c *coder) { c.fixed(&r.b, len(r.b)) }

// getCapability is TPM2_GetCapability.
func (t *TPM) getCapability(in *getCapabilityIn) (*getCapabilityOut, error) {
	out := &getCapabilityOut{Capability: uint32(in.Capability)}
	var more bool
	switch uint32(in.Capability) {
	case capAlgs:
		out.Data.b, more = page(in, 6, algorithmIDs(), func(w *wire.Writer, id uint32) {
			w.U16(uint16(id)).U32(algorithms[uint16(id)])
		})
	case capHandles:
		ids, err := t.handlesOf(in.Property)
		if err != nil {
			return nil, err
		}
		from := *in
		if k := in.Property >> 24; k == htHMACSession || k == htPolicySession {
			from.Property = 0 // handlesOf began at the number that was asked for
		}
		out.Data.b, more = page(&from, 4, ids, writeU32)
	case capCommands:
		var ids []uint32
		for _, c := range commands() {
			ids = append(ids, c.cc)
		}
		out.Data.b, more = page(in, 4, ids, func(w *wire.Writer, cc uint32) { w.U32(findCommand(cc).attributes()) })
	case capPPCommands:
		out.Data.b, more = page(in, 4, t.nv.PPCommands, writeU32)
	case capAuditCommands:
		out.Data.b, more = page(in, 4, t.nv.AuditCommands, writeU32)
	case capPCRs:
		if in.Property != 0 {
			return nil, rcValue.param(2)
		}
		sel := t.allocatedPCRs()
		if more = in.Count == 0; more { // any other count gets all: the list has room for every bank
			sel = nil
		}
		out.Data.b = marshal(&sel)
	case capProperties:
		all := t.properties()
		out.Data.b, more = page(in, 8, sortedKeys(all), func(w *wire.Writer, id uint32) { w.U32(id).U32(all[id]) })
	case capPCRProperties:
		all := pcrProperties()
		out.Data.b, more = page(in, 8, sortedKeys(all), func(w *wire.Writer, id uint32) {
			mask := all[id]
			w.U32(id).U8(3).U8(uint8(mask)).U8(uint8(mask >> 8)).U8(uint8(mask >> 16))
		})
	case capCurves:
		var ids []uint32
		for _, c := range eccCurves {
			ids = append(ids, uint32(c))
		}
		out.Data.b, more = page(in, 2, ids, func(w *wire.Writer, id uint32) { w.U16(uint16(id)) })
	case capAuthPolicies:
		if in.Property>>24 != htPermanent {
			return nil, rcValue.param(2)
		}
		out.Data.b, more = t.authPolicies(in)
	case capACT:
		if in.Property < 0x40000110 || in.Property > 0x4000011f {
			return nil, rcValue.param(2)
		}
		out.Data.b, more = t.actData(in)
	}
	out.More = yesNo(more)
	return out, nil
}

func writeU32(w *wire.Writer, v uint32) { w.U32(v) }

// page writes the list of those ids that are not below the property asked for, as many as were asked for and fit at
// size bytes each, and tells whether there are more.
func page(in *getCapabilityIn, size int, ids []uint32, write func(*wire.Writer, uint32)) ([]byte, bool) {
	start, _ := slices.BinarySearch(ids, in.Property)
	ids = ids[start:]
	limit := int(min(uint64(in.Count), uint64(maxCapData/size)))
	more := len(ids) > limit
	if more {
		ids = ids[:limit]
	}
	w := wire.NewBE().U32(uint32(len(ids)))
	for _, id := range ids {
		write(w, id)
	}
	return w.Out(), more
}

func sortedKeys(m map[uint32]uint32) []uint32 {
	return slices.Sorted(maps.Keys(m))
}

// Attributes of algorithms (TPMA_ALGORITHM).
const (
	algAsymmetric uint32 = 1 << 0
	algSymmetric  uint32 = 1 << 1
	algHash       uint32 = 1 << 2
	algObject     uint32 = 1 << 3
	algSigning    uint32 = 1 << 8
	algEncrypting uint32 = 1 << 9
	algMethod     uint32 = 1 << 10
)

// algorithms are all that the engine implements.
var algorithms = map[uint16]uint32{
	crypt.AlgRSA:          algAsymmetric | algObject,
	crypt.AlgSHA1:         algHash,
	crypt.AlgHMAC:         algHash | algSigning,
	crypt.AlgAES:          algSymmetric,
	crypt.AlgMGF1:         algHash | algMethod,
	crypt.AlgKeyedHash:    algHash | algObject | algSigning | algEncrypting,
	crypt.AlgXOR:          algHash | algSymmetric,
	crypt.AlgSHA256:       algHash,
	crypt.AlgSHA384:       algHash,
	crypt.AlgSHA512:       algHash,
	crypt.AlgSM3:          algHash,
	crypt.AlgSM4:          algSymmetric,
	crypt.AlgRSASSA:       algAsymmetric | algSigning,
	crypt.AlgRSAES:        algAsymmetric | algEncrypting,
	crypt.AlgRSAPSS:       algAsymmetric | algSigning,
	crypt.AlgOAEP:         algAsymmetric | algEncrypting, // not a hash: tpm2-tools would make names with it
	crypt.AlgECDSA:        algAsymmetric | algSigning,
	crypt.AlgECDH:         algAsymmetric | algMethod,
	crypt.AlgECDAA:        algAsymmetric | algSigning,
	crypt.AlgSM2:          algAsymmetric | algSigning | algMethod,
	crypt.AlgECSchnorr:    algAsymmetric | algSigning,
	crypt.AlgECMQV:        algAsymmetric | algMethod,
	crypt.AlgKDF1SP80056A: algHash | algMethod,
	crypt.AlgKDF2:         algHash | algMethod,
	crypt.AlgKDF1SP800108: algHash | algMethod,
	crypt.AlgECC:          algAsymmetric | algObject,
	crypt.AlgSymCipher:    algSymmetric | algObject,
	crypt.AlgCTR:          algSymmetric | algEncrypting,
	crypt.AlgOFB:          algSymmetric | algEncrypting,
	crypt.AlgCBC:          algSymmetric | algEncrypting,
	crypt.AlgCFB:          algSymmetric | algEncrypting,
	crypt.AlgECB:          algSymmetric | algEncrypting,
}

func algorithmIDs() []uint32 {
	ids := make([]uint32, 0, len(algorithms))
	for id := range algorithms {
		ids = append(ids, uint32(id))
	}
	slices.Sort(ids)
	return ids
}

// handlesOf lists the handles of the type in the top byte of a property.
func (t *TPM) handlesOf(property uint32) ([]uint32, error) {
	var ids []uint32
	add := func(h handle) { ids = append(ids, uint32(h)) }
	switch property >> 24 {
	case htPCR:
		for p := range maxPCRs {
			add(handle(p))
		}
	case htNV:
		for i := range t.nv.Indices {
			add(t.nv.Indices[i].Public.Index)
		}
	case htHMACSession: // TPM_HT_LOADED_SESSION
		for _, h := range sortedHandles(t.sessions) {
			add(h)
		}
		slices.SortFunc(ids, bySessionNumber)
		return sessionsFrom(ids, property), nil
	case htPolicySession: // TPM_HT_SAVED_SESSION
		for _, s := range t.ram.SavedSessions {
			add(s.Handle)
		}
		slices.SortFunc(ids, bySessionNumber)
		return sessionsFrom(ids, property), nil
	case htPermanent:
		return []uint32{uint32(rhOwner), uint32(rhNull), uint32(rsPW), uint32(rhLockout), uint32(rhEndorsement),
			uint32(rhPlatform), uint32(rhPlatformNV), uint32(rhACT0)}, nil
	case htTransient:
		for i, o := range t.objects {
			if o != nil {
				add(handle(htTransient)<<24 | handle(i))
			}
		}
	case htPersistent:
		for _, o := range t.nv.Persistent {
			add(o.Handle)
		}
	default:
		return nil, rcHandle.param(2)
	}
	return ids, nil
}

// Session handles are listed by number: their top byte tells the kind of session, not that of the list.
func bySessionNumber(a, b uint32) int { return int(a&0xffffff) - int(b&0xffffff) }

// sessionsFrom drops the sessions whose number is below the property's.
func sessionsFrom(ids []uint32, property uint32) []uint32 {
	i := slices.IndexFunc(ids, func(id uint32) bool { return id&0xffffff >= property&0xffffff })
	if i < 0 {
		return nil
	}
	return ids[i:]
}

// allocatedPCRs is the answer of TPM_CAP_PCRS: the banks in the order of their allocation, then the other hashes without
// PCRs. An SM3 bank shows only when it is there: common clients give up at an algorithm that they do not know.
func (t *TPM) allocatedPCRs() pcrSelection {
	var sel pcrSelection
	algs := []uint16{crypt.AlgSHA1, crypt.AlgSHA256, crypt.AlgSHA384, crypt.AlgSHA512}
	for _, b := range slices.Backward(t.ram.PCRs) {
		algs = append([]uint16{b.Alg}, slices.DeleteFunc(algs, func(alg uint16) bool { return alg == b.Alg })...)
	}
	for _, alg := range algs {
		s := pcrBank{Alg: alg, Size: pcrSelectBytes}
		if b := t.bank(alg); b != nil {
			for p, v := range b.Values {
				if v != nil {
					s.Mask |= 1 << p
				}
			}
		}
		if s.Mask != 0 || alg != crypt.AlgSM3 {
			sel = append(sel, s)
		}
	}
	return sel
}

// authPolicies is the answer of TPM_CAP_AUTH_POLICIES: the permanent handles that have a policy.
func (t *TPM) authPolicies(in *getCapabilityIn) ([]byte, bool) {
	var ids []uint32
	for _, h := range []handle{rhOwner, rhLockout, rhEndorsement, rhPlatform, rhACT0} {
		if a := t.authorityOf(h); a.PolicyAlg != crypt.AlgNull {
			ids = append(ids, uint32(h))
		}
	}
	return page(in, 6+maxDigest, ids, func(w *wire.Writer, id uint32) {
		a := t.authorityOf(handle(id))
		w.U32(id).U16(a.PolicyAlg).Bytes(a.Policy)
	})
}

// pcrProperties are the answers of TPM_CAP_PCR_PROPERTIES: for each attribute, the PCRs that have it.
func pcrProperties() map[uint32]uint32 {
	m := map[uint32]uint32{}
	put := func(id uint32, pcr int, has bool) {
		if has {
			m[id] |= 1 << pcr
		} else {
			m[id] |= 0
		}
	}
	for pcr := range maxPCRs {
		r := rulesOf(pcr)
		put(0x00, pcr, r.saved) // TPM_PT_PCR_SAVE
		for locality := range uint32(5) {
			put(1+2*locality, pcr, r.extendable>>locality&1 == 1) // TPM_PT_PCR_EXTEND_L0 and on
			put(2+2*locality, pcr, r.resettable>>locality&1 == 1) // TPM_PT_PCR_RESET_L0 and on
		}
		put(0x11, pcr, r.uncounted) // TPM_PT_PCR_NO_INCREMENT
		put(0x12, pcr, r.drtm)      // TPM_PT_PCR_DRTM_RESET
		put(0x13, pcr, r.policy > 0)
		put(0x14, pcr, r.auth > 0)
	}
	return m
}

// fourChars packs text into a property.
func fourChars(s string) uint32 {
	var b [4]byte
	copy(b[:], s)
	return binary.BigEndian.Uint32(b[:])
}

// properties are the answers of TPM_CAP_TPM_PROPERTIES (part 2, 6.13).
func (t *TPM) properties() map[uint32]uint32 {
	const fixed, variable = 0x100, 0x200
	p := map[uint32]uint32{
		fixed + 0:    fourChars("2.0"),
		fixed + 1:    0,    // level
		fixed + 2:    159,  // revision 1.59
		fixed + 3:    312,  // day 312
		fixed + 4:    2019, // of the year 2019
		fixed + 5:    fourChars(t.profile.Manufacturer),
		fixed + 6:    fourChars("SW  "),
		fixed + 7:    fourChars("vtpm"),
		fixed + 8:    fourChars("ctl"),
		fixed + 9:    0,
		fixed + 10:   1, // vendor-specific type
		fixed + 11:   uint32(firmwareVersion >> 32),
		fixed + 12:   uint32(firmwareVersion & 0xffffffff),
		fixed + 13:   maxBuffer,
		fixed + 14:   uint32(t.profile.Transient),
		fixed + 15:   uint32(t.profile.Persistent),
		fixed + 16:   uint32(t.profile.Loaded),
		fixed + 17:   uint32(t.profile.Sessions),
		fixed + 18:   maxPCRs,
		fixed + 19:   pcrSelectBytes,
		fixed + 20:   contextGap,
		fixed + 22:   0, // counters: as many as there is room for
		fixed + 23:   maxNVSize,
		fixed + 24:   0, // memory: nothing takes the room of another kind
		fixed + 25:   clockUpdate,
		fixed + 26:   uint32(contextHash),
		fixed + 27:   uint32(crypt.AlgAES),
		fixed + 28:   256,
		fixed + 29:   orderlyCount,
		fixed + 30:   maxCommandSize,
		fixed + 31:   maxCommandSize,
		fixed + 32:   maxDigest,
		fixed + 33:   maxContextBlob,
		fixed + 34:   maxContextBlob,
		fixed + 35:   fourChars("2.0"), // platform-specific family, level, revision, day, year
		fixed + 36:   0,
		fixed + 37:   159,
		fixed + 38:   312,
		fixed + 39:   2019,
		fixed + 40:   commitWindow,
		fixed + 41:   uint32(len(commands())),
		fixed + 42:   uint32(len(commands())),
		fixed + 43:   0,
		fixed + 44:   maxBuffer,
		fixed + 45:   0,
		fixed + 46:   maxBuffer,
		variable:     t.permanentBits(),
		variable + 1: t.startupBits(),
	}
	counters := uint32(0)
	for i := range t.nv.Indices {
		if t.nv.Indices[i].Public.Attrs.kind() == ntCounter {
			counters++
		}
	}
	loaded, active := len(t.sessions), len(t.sessions)+len(t.ram.SavedSessions)
	free := 0
	for _, o := range t.objects {
		if o == nil {
			free++
		}
	}
	da, _ := t.healed()
	for i, v := range []uint32{
		2:  uint32(len(t.nv.Indices)),
		3:  uint32(loaded),
		4:  uint32(t.profile.Loaded - loaded),
		5:  uint32(active),
		6:  uint32(t.profile.Sessions - active),
		7:  uint32(free),
		8:  uint32(len(t.nv.Persistent)),
		9:  uint32(t.profile.Persistent - len(t.nv.Persistent)),
		10: counters,
		11: uint32(max(0, t.profile.NVIndices-len(t.nv.Indices))),
		12: t.nv.AlgorithmSet,
		13: uint32(len(eccCurves)),
		14: da.Failed,
		15: da.MaxTries,
		16: da.Recovery,
		17: da.LockoutRecovery,
		18: 0,
		19: uint32(t.nv.AuditCounter >> 32),
		20: uint32(t.nv.AuditCounter),
	} {
		if i >= 2 {
			p[variable+uint32(i)] = v
		}
	}
	return p
}

// permanentBits is the TPMA_PERMANENT.
func (t *TPM) permanentBits() uint32 {
	return bitmap(len(t.nv.Owner.Auth) > 0, len(t.nv.Endorsement.Auth) > 0, len(t.nv.Lockout.Auth) > 0, false, false, false,
		false, false, t.nv.DisableClear, t.inLockout(), true)
}

// startupBits is the TPMA_STARTUP_CLEAR.
func (t *TPM) startupBits() uint32 {
	b := bitmap(t.nv.Platform.Enabled, t.nv.Owner.Enabled, t.nv.Endorsement.Enabled, t.nv.PlatformNVEnabled)
	if !t.ram.Disorderly {
		b |= 1 << 31 // TPM2_Shutdown came before the last TPM2_Startup
	}
	return b
}

func bitmap(set ...bool) uint32 {
	v := uint32(0)
	for i, b := range set {
		if b {
			v |= 1 << i
		}
	}
	return v
}

// The version of the engine, as TPM_PT_FIRMWARE_VERSION_1 and _2 tell it.
const firmwareVersion uint64 = 1 << 32

// contextHash is the hash of context blobs.
const contextHash = crypt.AlgSHA512

type testParmsIn struct{ Parms typedParms }

// testParms is TPM2_TestParms: whether such a key could be made. Decoding has found out already.
func (t *TPM) testParms(*testParmsIn) (*none, error) { return nil, nil }
