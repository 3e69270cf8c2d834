package engine

import (
	"encoding/binary"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

type nvDefineSpaceIn struct {
	Auth   handle `tpm:"provision,user"`
	Value  digest2B
	Public box[nvPublic]
}

// nvDefineSpace is TPM2_NV_DefineSpace.
func (t *TPM) nvDefineSpace(in *nvDefineSpaceIn) (*none, error) {
	p := &in.Public.V
	size := crypt.HashSize(p.NameAlg)
	if len(p.Policy) != 0 && len(p.Policy) != size {
		return nil, rcSize.param(2)
	}
	auth := trimAuth(in.Value)
	if len(auth) > size {
		return nil, rcSize.param(1)
	}
	platform := in.Auth == rhPlatform
	if platform && !t.nv.PlatformNVEnabled {
		return nil, rcHierarchy.handle(1)
	}
	if err := checkIndexKind(p, size); err != rcSuccess {
		return nil, err.param(2)
	}
	a := p.Attrs
	switch {
	case a&(nvWritten|nvWriteLocked|nvReadLocked) != 0, a&nvReaders == 0, a&nvWriters == 0, a.has(nvClearStClear | nvWriteDefine):
		return nil, rcAttributes.param(2)
	case a.has(nvPlatformOwned) != platform:
		return nil, rcAttributes.handle(1)
	case a.has(nvPolicyDelete) && !platform:
		return nil, rcAttributes.param(2)
	case a.has(nvWriteAll) && p.Size > maxBuffer:
		return nil, rcSize.param(2)
	}
	i, exists := t.findIndex(p.Index)
	if exists {
		return nil, rcNVDefined
	}
	if len(t.nv.Indices) >= t.profile.NVIndices || t.nvSpaceUsed()+int(p.Size) > t.profile.NVSpace {
		return nil, rcNVSpace
	}
	t.nv.Indices = slices.Insert(t.nv.Indices, i, nvIndex{Public: *p, Auth: auth, Data: newIndexData(p)})
	return nil, nil
}

// checkIndexKind checks size and attributes against the type of an index.
func checkIndexKind(p *nvPublic, digest int) rc {
	want := 8
	switch p.Attrs.kind() {
	case ntOrdinary:
		want = int(p.Size)
	case ntExtend:
		want = digest
	case ntCounter, ntBits, ntPinFail, ntPinPass:
	default:
		return rcAttributes
	}
	if int(p.Size) != want {
		return rcSize
	}
	a := p.Attrs
	switch p.Attrs.kind() {
	case ntCounter:
		if a.has(nvClearStClear) {
			return rcAttributes
		}
	case ntPinFail, ntPinPass:
		// Its auth value serves only once it is written, so writing must not need it.
		if a&(nvAuthWrite|nvGlobalLock|nvWriteDefine) != 0 || p.Attrs.kind() == ntPinFail && !a.has(nvNoDA) {
			return rcAttributes
		}
	}
	return rcSuccess
}

// mayUse tells whether an authorization by owner, platform or the index itself covers an access.
func mayUse(auth handle, x *nvIndex, owner, platform nvAttrs) bool {
	switch auth {
	case rhOwner:
		return x.is(owner)
	case rhPlatform:
		return x.is(platform)
	}
	return auth == x.Public.Index // the attributes were checked with the authorization
}

// mayRead checks the rights to read an index, then that there is something to read.
func (t *TPM) mayRead(auth handle, x *nvIndex) error {
	switch {
	case x.is(nvReadLocked):
		return rcNVLocked
	case !mayUse(auth, x, nvOwnerRead, nvPPRead):
		return rcNVAuthorization
	case !x.is(nvWritten):
		return rcNVUninitialized
	}
	return nil
}

// mayWrite checks the rights to write an index.
func (t *TPM) mayWrite(auth handle, x *nvIndex) error {
	switch {
	case !mayUse(auth, x, nvOwnerWrite, nvPPWrite):
		return rcNVAuthorization
	case x.is(nvWriteLocked):
		return rcNVLocked
	}
	return nil
}

type nvAuthIn struct {
	Auth  handle `tpm:"nvauth,user"`
	Index handle `tpm:"nvindex"`
}

type nvUndefineSpaceIn struct {
	Auth  handle `tpm:"provision,user"`
	Index handle `tpm:"nvindex"`
}

// nvUndefineSpace is TPM2_NV_UndefineSpace.
func (t *TPM) nvUndefineSpace(in *nvUndefineSpaceIn) (*none, error) {
	x := t.index(in.Index)
	if x.is(nvPolicyDelete) {
		return nil, rcAttributes.handle(2)
	}
	if in.Auth == rhOwner && x.is(nvPlatformOwned) {
		return nil, rcNVAuthorization
	}
	t.removeIndex(in.Index)
	return nil, nil
}

func (t *TPM) removeIndex(h handle) {
	t.dropIndices(func(x *nvIndex) bool { return x.Public.Index == h })
}

type nvUndefineSpaceSpecialIn struct {
	Index    handle `tpm:"nvindex,admin"`
	Platform handle `tpm:"platform,user"`
}

// nvUndefineSpaceSpecial is TPM2_NV_UndefineSpaceSpecial.
func (t *TPM) nvUndefineSpaceSpecial(in *nvUndefineSpaceSpecialIn) (*none, error) {
	if !t.index(in.Index).is(nvPolicyDelete) {
		return nil, rcAttributes.handle(1)
	}
	t.removeIndex(in.Index)
	return nil, nil
}

type nvReadPublicIn struct {
	Index handle `tpm:"nvindex"`
}

type nvReadPublicOut struct {
	Public box[nvPublic]
	Name   name2B
}

// nvReadPublic is TPM2_NV_ReadPublic.
func (t *TPM) nvReadPublic(in *nvReadPublicIn) (*nvReadPublicOut, error) {
	x := t.index(in.Index)
	return &nvReadPublicOut{box[nvPublic]{x.Public}, x.name()}, nil
}

type nvWriteIn struct {
	Auth   handle `tpm:"nvauth,user"`
	Index  handle `tpm:"nvindex"`
	Data   buffer2B
	Offset uint16
}

// nvWrite is TPM2_NV_Write.
func (t *TPM) nvWrite(in *nvWriteIn) (*none, error) {
	x := t.index(in.Index)
	if err := t.mayWrite(in.Auth, x); err != nil {
		return nil, err
	}
	switch x.Public.Attrs.kind() {
	case ntCounter, ntBits, ntExtend:
		return nil, rcAttributes
	}
	size := int(x.Public.Size)
	switch {
	case int(in.Offset) > size:
		return nil, rcValue.param(2)
	case len(in.Data) > size-int(in.Offset), x.is(nvWriteAll) && len(in.Data) < size:
		return nil, rcNVRange
	}
	if !x.is(nvWritten) {
		x.Data = newIndexData(&x.Public)
	}
	copy(x.Data[in.Offset:], in.Data)
	x.set(nvWritten)
	return nil, nil
}

// nvIncrement is TPM2_NV_Increment. A new counter starts above every count there ever was.
func (t *TPM) nvIncrement(in *nvAuthIn) (*none, error) {
	x := t.index(in.Index)
	if err := t.mayWrite(in.Auth, x); err != nil {
		return nil, err
	}
	if x.Public.Attrs.kind() != ntCounter {
		return nil, rcAttributes.handle(2)
	}
	n := t.maxCounter()
	if x.is(nvWritten) {
		n = x.counter()
	}
	x.Data = binary.BigEndian.AppendUint64(nil, n+1)
	x.set(nvWritten)
	return nil, nil
}

// maxCounter is the highest value any counter has or had.
func (t *TPM) maxCounter() uint64 {
	n := t.nv.MaxCounter
	for i := range t.nv.Indices {
		if x := &t.nv.Indices[i]; x.Public.Attrs.kind() == ntCounter && x.is(nvWritten) {
			n = max(n, x.counter())
		}
	}
	return n
}

type nvExtendIn struct {
	Auth  handle `tpm:"nvauth,user"`
	Index handle `tpm:"nvindex"`
	Data  buffer2B
}

// nvExtend is TPM2_NV_Extend.
func (t *TPM) nvExtend(in *nvExtendIn) (*none, error) {
	x := t.index(in.Index)
	if err := t.mayWrite(in.Auth, x); err != nil {
		return nil, err
	}
	if x.Public.Attrs.kind() != ntExtend {
		return nil, rcAttributes.handle(2)
	}
	x.Data = nvExtendDigest(x, in.Data)
	x.set(nvWritten)
	return nil, nil
}

type nvSetBitsIn struct {
	Auth  handle `tpm:"nvauth,user"`
	Index handle `tpm:"nvindex"`
	Bits  uint64
}

// nvSetBits is TPM2_NV_SetBits.
func (t *TPM) nvSetBits(in *nvSetBitsIn) (*none, error) {
	x := t.index(in.Index)
	if err := t.mayWrite(in.Auth, x); err != nil {
		return nil, err
	}
	if x.Public.Attrs.kind() != ntBits {
		return nil, rcAttributes.handle(2)
	}
	old := uint64(0)
	if x.is(nvWritten) {
		old = x.counter()
	}
	x.Data = binary.BigEndian.AppendUint64(nil, old|in.Bits)
	x.set(nvWritten)
	return nil, nil
}

// nvWriteLock is TPM2_NV_WriteLock.
func (t *TPM) nvWriteLock(in *nvAuthIn) (*none, error) {
	x := t.index(in.Index)
	if err := t.mayWrite(in.Auth, x); err != nil {
		if err == rcNVLocked {
			return nil, nil
		}
		return nil, err
	}
	if x.Public.Attrs&(nvWriteDefine|nvWriteStClear) == 0 {
		return nil, rcAttributes.handle(2)
	}
	x.set(nvWriteLocked)
	return nil, nil
}

type nvGlobalWriteLockIn struct {
	Auth handle `tpm:"provision,user"`
}

// nvGlobalWriteLock is TPM2_NV_GlobalWriteLock.
func (t *TPM) nvGlobalWriteLock(*nvGlobalWriteLockIn) (*none, error) {
	for i := range t.nv.Indices {
		if x := &t.nv.Indices[i]; x.is(nvGlobalLock) {
			x.set(nvWriteLocked)
		}
	}
	return nil, nil
}

type nvReadIn struct {
	Auth         handle `tpm:"nvauth,user"`
	Index        handle `tpm:"nvindex"`
	Size, Offset uint16
}

type nvReadOut struct{ Data buffer2B }

// nvRead is TPM2_NV_Read.
func (t *TPM) nvRead(in *nvReadIn) (*nvReadOut, error) {
	x := t.index(in.Index)
	if err := t.mayRead(in.Auth, x); err != nil {
		return nil, err
	}
	data, err := x.slice(in.Size, in.Offset, 1)
	return &nvReadOut{data}, err
}

// slice cuts from the data of an index; its size is the n-th parameter, the offset the next.
func (x *nvIndex) slice(size, offset uint16, n int) ([]byte, error) {
	switch {
	case size > maxBuffer:
		return nil, rcValue.param(n)
	case offset > x.Public.Size:
		return nil, rcValue.param(n + 1)
	case int(offset)+int(size) > int(x.Public.Size):
		return nil, rcNVRange
	}
	return x.Data[offset:][:size], nil
}

// nvReadLock is TPM2_NV_ReadLock.
func (t *TPM) nvReadLock(in *nvAuthIn) (*none, error) {
	x := t.index(in.Index)
	switch err := t.mayRead(in.Auth, x); err {
	case nil, rcNVUninitialized:
	case rcNVLocked:
		return nil, nil
	default:
		return nil, err
	}
	if !x.is(nvReadStClear) {
		return nil, rcAttributes.handle(2)
	}
	x.set(nvReadLocked)
	return nil, nil
}

type nvChangeAuthIn struct {
	Index   handle `tpm:"nvindex,admin"`
	NewAuth digest2B
}

// nvChangeAuth is TPM2_NV_ChangeAuth.
func (t *TPM) nvChangeAuth(in *nvChangeAuthIn) (*none, error) {
	x, auth := t.index(in.Index), trimAuth(in.NewAuth)
	if len(auth) > crypt.HashSize(x.Public.NameAlg) {
		return nil, rcSize.param(1)
	}
	x.Auth = auth
	return nil, nil
}

type nvCertifyIn struct {
	Key          handle `tpm:"object?,user"`
	Auth         handle `tpm:"nvauth,user"`
	Index        handle `tpm:"nvindex"`
	Qualifying   data2B
	Scheme       sigScheme
	Size, Offset uint16
}

// nvCertify is TPM2_NV_Certify: of data, or of a digest of all data when size and offset are zero.
func (t *TPM) nvCertify(in *nvCertifyIn) (*attestation, error) {
	key, err := t.signerOf(in.Key, &in.Scheme, 1, 2)
	if err != nil {
		return nil, err
	}
	x := t.index(in.Index)
	if err := t.mayRead(in.Auth, x); err != nil {
		return nil, err
	}
	data, err := x.slice(in.Size, in.Offset, 3)
	if err != nil {
		return nil, err
	}
	if in.Size == 0 && in.Offset == 0 && in.Scheme.Hash != 0 {
		digest := crypt.Digest(in.Scheme.Hash, x.Data)
		return t.attest(key, in.Scheme.scheme, stAttestNVDigest, in.Qualifying, cat(sized(x.name()), sized(digest)))
	}
	attested := cat(sized(x.name()), be16(in.Offset), sized(data))
	return t.attest(key, in.Scheme.scheme, stAttestNV, in.Qualifying, attested)
}

// isPIN tells whether the index holds a PIN's count of uses and their limit.
func (x *nvIndex) isPIN() bool {
	k := x.Public.Attrs.kind()
	return k == ntPinFail || k == ntPinPass
}

// pinExhausted tells whether the auth value of a PIN index must not be tried: it is not written, or used up.
func (x *nvIndex) pinExhausted() bool {
	n := x.counter() // pinCount, pinLimit
	return !x.is(nvWritten) || n>>32 >= n&0xffffffff
}

// countPin registers the use of a PIN index's auth value: a PIN-fail index counts failures and forgets them at success,
// a PIN-pass index counts successes.
func (t *TPM) countPin(h handle, good bool) {
	x := t.index(h)
	if h.kind() != htNV || x == nil || !x.is(nvWritten) {
		return
	}
	n, kind := x.counter(), x.Public.Attrs.kind()
	switch {
	case kind == ntPinFail && good:
		n &= 0xffffffff
	case kind == ntPinFail, kind == ntPinPass && good:
		n += 1 << 32
	default:
		return
	}
	x.Data = binary.BigEndian.AppendUint64(nil, n)
}
