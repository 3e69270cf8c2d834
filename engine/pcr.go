package engine

import (
	"bytes"
	"math/bits"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// pcrRules are the attributes of one PCR (PC Client platform TPM profile, table of PCR attributes). The masks hold one
// bit for each locality.
type pcrRules struct {
	saved        bool // survives TPM Resume
	resettable   uint8
	extendable   uint8
	drtm         bool // starts at all ones, and at zero when a DRTM sequence starts
	uncounted    bool // does not move the PCR update counter
	policy, auth int  // index of the group of PCRs that share an authorization, counted from 1; 0 for none
}

const (
	anyLocality = 0x1f
	pcrGroups   = 1
)

// rulesOf gives the attributes of a PCR.
func rulesOf(pcr int) pcrRules {
	switch {
	case pcr < 16:
		return pcrRules{saved: true, extendable: anyLocality}
	case pcr == 16 || pcr == 23:
		return pcrRules{resettable: 0x0f, extendable: anyLocality, uncounted: true}
	case pcr == 17:
		return pcrRules{resettable: 0x10, extendable: 0x1c, drtm: true}
	case pcr == 18:
		return pcrRules{resettable: 0x10, extendable: 0x1c, drtm: true}
	case pcr == 19:
		return pcrRules{resettable: 0x10, extendable: 0x0c, drtm: true}
	case pcr == 20:
		return pcrRules{resettable: 0x14, extendable: 0x0e, drtm: true, policy: 1, auth: 1}
	default:
		return pcrRules{resettable: 0x14, extendable: 0x04, drtm: true, uncounted: true, policy: 1, auth: 1}
	}
}

// pcrValues is one bank of PCRs. A PCR that the bank does not have is nil.
type pcrValues struct {
	Alg    uint16
	Values [maxPCRs][]byte
}

func (b *pcrValues) code(c *coder) {
	c.hash(&b.Alg)
	size := crypt.HashSize(b.Alg)
	for i := range b.Values {
		v := &b.Values[i]
		c.sized(v, maxDigest)
		if len(*v) == 0 {
			*v = nil
		}
		c.require(*v == nil || len(*v) == size, rcSize)
	}
}

// bank finds the PCRs of a hash algorithm, nil when it has none.
func (t *TPM) bank(alg uint16) *pcrValues {
	for i := range t.ram.PCRs {
		if t.ram.PCRs[i].Alg == alg {
			return &t.ram.PCRs[i]
		}
	}
	return nil
}

// pcrStartup sets the PCRs to their initial values; a TPM Resume keeps those that are saved.
func (t *TPM) pcrStartup(resume bool) {
	old := t.ram.PCRs
	t.ram.PCRs = nil
	for _, alloc := range t.nv.PCRAlloc {
		bank := pcrValues{Alg: alloc.Alg}
		before := slices.IndexFunc(old, func(b pcrValues) bool { return b.Alg == alloc.Alg })
		for i := range maxPCRs {
			if !alloc.has(i) {
				continue
			}
			switch {
			case resume && before >= 0 && rulesOf(i).saved:
				bank.Values[i] = old[before].Values[i]
			case i == 0 && t.hcrtm != nil:
				bank.Values[i] = t.hcrtm[alloc.Alg]
			default:
				bank.Values[i] = t.initialPCR(i, alloc.Alg)
			}
		}
		t.ram.PCRs = append(t.ram.PCRs, bank)
	}
	if resume {
		return
	}
	t.ram.PCRCounter = 0
	for i := range maxPCRs {
		t.pcrMoved(i)
	}
}

// initialPCR is what a PCR holds after TPM2_Startup. The locality of startup shows in PCR 0.
func (t *TPM) initialPCR(pcr int, alg uint16) []byte {
	size := crypt.HashSize(alg)
	if rulesOf(pcr).drtm {
		return bytes.Repeat([]byte{0xff}, size)
	}
	v := make([]byte, size)
	if pcr == 0 {
		v[size-1] = t.locality
	}
	return v
}

// extend folds a digest into a PCR of one bank; where there is none it does nothing.
func (t *TPM) extend(pcr int, alg uint16, digest []byte) {
	if b := t.bank(alg); b != nil && b.Values[pcr] != nil {
		b.Values[pcr] = crypt.Digest(alg, b.Values[pcr], digest)
		t.pcrMoved(pcr)
	}
}

// pcrMoved counts a change of a PCR, for the policies that must notice it.
func (t *TPM) pcrMoved(pcr int) {
	if !rulesOf(pcr).uncounted {
		t.ram.PCRCounter++
	}
}

// localityIn checks the locality of a command against a mask of the PCR's.
func (t *TPM) localityIn(mask uint8) bool { return t.locality < 8 && mask>>t.locality&1 == 1 }

// availablePCRs drops from a selection what no bank has, as TPM2_PCR_Read and TPM2_Quote answer.
func (t *TPM) availablePCRs(sel pcrSelection) pcrSelection {
	out := slices.Clone(sel)
	for i := range out {
		out[i].Mask &= t.bank(out[i].Alg).mask()
	}
	return out
}

// mask has a bit for each PCR that the bank has; no bank has none.
func (b *pcrValues) mask() (mask uint32) {
	if b == nil {
		return 0
	}
	for i, v := range b.Values {
		if v != nil {
			mask |= 1 << i
		}
	}
	return mask
}

// pcrDigest is the digest of the selected PCRs in the order of the selection, and the selection that was found.
func (t *TPM) pcrDigest(alg uint16, sel pcrSelection) ([]byte, pcrSelection) {
	newHash, _, _ := crypt.Hash(alg)
	h := newHash()
	found := t.availablePCRs(sel)
	for _, s := range found {
		for p := range s.pcrs() {
			h.Write(t.bank(s.Alg).Values[p])
		}
	}
	return h.Sum(nil), found
}

type pcrExtendIn struct {
	PCR     handle `tpm:"pcr?,user"`
	Digests digestValues
}

// pcrExtend is TPM2_PCR_Extend.
func (t *TPM) pcrExtend(in *pcrExtendIn) (*none, error) {
	if in.PCR == rhNull {
		return nil, nil
	}
	pcr := int(in.PCR)
	if !t.localityIn(rulesOf(pcr).extendable) {
		return nil, rcLocality
	}
	for _, d := range in.Digests {
		t.extend(pcr, d.Alg, d.Digest)
	}
	return nil, nil
}

type pcrEventIn struct {
	PCR  handle `tpm:"pcr?,user"`
	Data buffer2B
}

type pcrEventOut struct{ Digests digestValues }

// pcrEvent is TPM2_PCR_Event: the TPM hashes what it extends.
func (t *TPM) pcrEvent(in *pcrEventIn) (*pcrEventOut, error) {
	if in.PCR != rhNull && !t.localityIn(rulesOf(int(in.PCR)).extendable) {
		return nil, rcLocality
	}
	out := &pcrEventOut{}
	for _, b := range t.ram.PCRs {
		d := crypt.Digest(b.Alg, in.Data)
		out.Digests = append(out.Digests, taggedDigest{b.Alg, d})
		if in.PCR != rhNull {
			t.extend(int(in.PCR), b.Alg, d)
		}
	}
	return out, nil
}

type pcrReadIn struct{ Selection pcrSelection }

type pcrReadOut struct {
	Counter   uint32
	Selection pcrSelection
	Digests   digestList
}

// pcrRead is TPM2_PCR_Read: the first eight of the selected PCRs, and which those are.
func (t *TPM) pcrRead(in *pcrReadIn) (*pcrReadOut, error) {
	var answer struct { // in one piece of memory
		pcrReadOut
		digests [8]digest2B
	}
	out := &answer.pcrReadOut
	*out = pcrReadOut{t.ram.PCRCounter, t.availablePCRs(in.Selection), answer.digests[:0]}
	for i := range out.Selection {
		s := &out.Selection[i]
		bank := t.bank(s.Alg)
		for p := range s.pcrs() {
			if len(out.Digests) == cap(out.Digests) {
				s.Mask &^= 1 << p
				continue
			}
			out.Digests = append(out.Digests, bank.Values[p])
		}
	}
	return out, nil
}

type pcrResetIn struct {
	PCR handle `tpm:"pcr,user"`
}

// pcrReset is TPM2_PCR_Reset.
func (t *TPM) pcrReset(in *pcrResetIn) (*none, error) {
	if !t.localityIn(rulesOf(int(in.PCR)).resettable) {
		return nil, rcLocality
	}
	t.zeroPCR(int(in.PCR))
	t.pcrMoved(int(in.PCR))
	return nil, nil
}

func (t *TPM) zeroPCR(pcr int) {
	for i := range t.ram.PCRs {
		if b := &t.ram.PCRs[i]; b.Values[pcr] != nil {
			b.Values[pcr] = make([]byte, crypt.HashSize(b.Alg))
		}
	}
}

type pcrAllocateIn struct {
	Auth      handle `tpm:"platform,user"`
	Selection pcrSelection
}

type pcrAllocateOut struct {
	Success                       yesNo
	MaxPCR, SizeNeeded, Available uint32
}

// pcrAllocate is TPM2_PCR_Allocate: which PCRs each bank has from the next TPM Reset on. Banks not named stay.
func (t *TPM) pcrAllocate(in *pcrAllocateIn) (*pcrAllocateOut, error) {
	alloc := slices.Clone(t.nv.PCRAlloc)
	for _, want := range in.Selection {
		i := slices.IndexFunc(alloc, func(b pcrBank) bool { return b.Alg == want.Alg })
		if i < 0 {
			alloc = append(alloc, want)
		} else {
			alloc[i] = want
		}
	}
	size := uint32(0)
	for _, b := range alloc {
		size += uint32(bits.OnesCount32(b.Mask) * crypt.HashSize(b.Alg))
	}
	// PCR 0 (H-CRTM) and PCR 17 (DRTM) must exist in some bank.
	has := func(p int) bool { return slices.ContainsFunc(alloc, func(b pcrBank) bool { return b.has(p) }) }
	if !has(0) || !has(17) {
		return nil, rcPCR
	}
	t.nv.PCRAlloc, t.ram.Reallocating = alloc, true
	return &pcrAllocateOut{Success: true, MaxPCR: maxPCRs, SizeNeeded: size, Available: 5 * maxPCRs * maxDigest}, nil
}

type pcrSetAuthPolicyIn struct {
	Auth   handle `tpm:"platform,user"`
	Policy digest2B
	Alg    hashAlgOrNull
	PCR    pcrHandle
}

// pcrHandle is a TPMI_DH_PCR that is no handle of the command.
type pcrHandle handle

func (v *pcrHandle) code(c *coder) {
	c.u32((*uint32)(v))
	c.require(*v < maxPCRs, rcValue)
}

// pcrSetAuthPolicy is TPM2_PCR_SetAuthPolicy.
func (t *TPM) pcrSetAuthPolicy(in *pcrSetAuthPolicyIn) (*none, error) {
	if len(in.Policy) != crypt.HashSize(uint16(in.Alg)) {
		return nil, rcSize.param(1)
	}
	if rulesOf(int(in.PCR)).policy == 0 {
		return nil, rcValue.param(3)
	}
	g := &t.nv.PCRGroups[rulesOf(int(in.PCR)).policy-1]
	g.Policy, g.PolicyAlg = in.Policy, uint16(in.Alg)
	return nil, nil
}

type pcrSetAuthValueIn struct {
	PCR  handle `tpm:"pcr,user"`
	Auth digest2B
}

// pcrSetAuthValue is TPM2_PCR_SetAuthValue.
func (t *TPM) pcrSetAuthValue(in *pcrSetAuthValueIn) (*none, error) {
	group := rulesOf(int(in.PCR)).auth
	if group == 0 {
		return nil, rcValue
	}
	t.ram.PCRAuths[group-1] = trimAuth(in.Auth)
	return nil, nil
}

// hashEvent is a sequence of _TPM_Hash_Start, _Data and _End in progress: of an H-CRTM before TPM2_Startup, else of a DRTM.
type hashEvent struct {
	hcrtm  bool
	hashes []digester // of each bank
}

// HashStart begins a measurement by the platform: of the H-CRTM into PCR 0 before TPM2_Startup, else of a DRTM into
// PCR 17 at locality 4.
func (t *TPM) HashStart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.measuring = &hashEvent{hcrtm: !t.started}
	if !t.started {
		for _, alloc := range t.nv.PCRAlloc {
			t.measuring.hashes = append(t.measuring.hashes, newDigester(alloc.Alg))
		}
		return
	}
	for _, b := range t.ram.PCRs {
		t.measuring.hashes = append(t.measuring.hashes, newDigester(b.Alg))
	}
	for p := range maxPCRs {
		if rulesOf(p).drtm && rulesOf(p).resettable&0x10 != 0 {
			t.zeroPCR(p)
		}
	}
}

// HashData measures more bytes; without HashStart it does nothing.
func (t *TPM) HashData(data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.measuring != nil {
		for _, h := range t.measuring.hashes {
			h.Write(data)
		}
	}
}

// HashEnd ends the measurement and extends the PCR. An H-CRTM starts PCR 0 from 4, the locality it stands for; one that
// TPM2_Startup overtook is void.
func (t *TPM) HashEnd() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.measuring
	if m == nil || m.hcrtm && t.started {
		t.measuring = nil
		return nil
	}
	t.measuring = nil
	if m.hcrtm {
		t.hcrtm = map[uint16][]byte{}
		for _, h := range m.hashes {
			start := make([]byte, h.Size())
			start[len(start)-1] = hcrtmLocality
			t.hcrtm[h.Alg] = crypt.Digest(h.Alg, start, h.Sum(nil))
		}
		return nil
	}
	for _, h := range m.hashes {
		t.extend(17, h.Alg, h.Sum(nil))
	}
	return t.commit()
}
