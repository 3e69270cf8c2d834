package engine

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// object is a loaded key, sealed datum or sequence.
type object struct {
	Handle    handle // of a persistent object
	Public    public
	Sensitive *sensitive // nil when only the public part is loaded
	Hierarchy handle
	Name      []byte
	QName     []byte
	Primary   bool
	External  bool // loaded by TPM2_LoadExternal: no parent
	StClear   bool // it, or an ancestor, has the attribute stClear
	Seq       *sequence

	rsa     *crypt.RSAKey // computed by rsaKey
	wrapper *wrapper      // computed by wrapperOf
}

func (o *object) code(c *coder) {
	c.u32((*uint32)(&o.Handle))
	isSeq := o.Seq != nil
	c.yesNo(&isSeq)
	c.u32((*uint32)(&o.Hierarchy))
	if isSeq {
		if o.Seq == nil {
			o.Seq = new(sequence)
		}
		o.Seq.code(c)
		return
	}
	o.Public.codeHead(c, true)
	o.Public.codeUnique(c)
	private := o.Sensitive != nil
	c.yesNo(&private)
	if private {
		if o.Sensitive == nil {
			o.Sensitive = new(sensitive)
		}
		o.Sensitive.code(c)
	}
	c.sized(&o.Name, maxDigest+4)
	c.sized(&o.QName, maxDigest+4)
	c.yesNo(&o.Primary)
	c.yesNo(&o.External)
	c.yesNo(&o.StClear)
}

// name is the Name of a public area: nameAlg and its digest, empty when there is no nameAlg (part 1, 16).
func (p *public) name() []byte { return nameOf(p.NameAlg, marshal(p)) }

func nameOf(alg uint16, data ...[]byte) []byte {
	if alg == crypt.AlgNull || crypt.HashSize(alg) == 0 {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, alg), crypt.Digest(alg, data...)...)
}

// handleName is the Name of what has no other: the handle itself.
func handleName(h handle) []byte { return binary.BigEndian.AppendUint32(nil, uint32(h)) }

// isParent tells whether the object is a storage or derivation parent.
func (o *object) isParent() bool {
	return o.Seq == nil && o.Public.Attrs.has(attrRestricted|attrDecrypt) && !o.Public.Attrs.has(attrSign)
}

// isStorageParent tells whether the object can wrap children with its seed.
func (o *object) isStorageParent() bool {
	return o.isParent() && o.Public.Type != crypt.AlgKeyedHash && o.Public.NameAlg != crypt.AlgNull && o.Sensitive != nil
}

// isDerivationParent tells whether children are derived from the object instead of wrapped.
func (o *object) isDerivationParent() bool {
	return o.isParent() && o.Public.Type == crypt.AlgKeyedHash && o.Sensitive != nil
}

// object finds a loaded or persistent object, nil when there is none.
func (t *TPM) object(h handle) *object {
	switch h.kind() {
	case htTransient:
		if i := int(h & 0xffffff); i < len(t.objects) {
			return t.objects[i]
		}
	case htPersistent:
		if i, ok := t.findPersistent(h); ok {
			return t.nv.Persistent[i]
		}
	}
	return nil
}

// findPersistent searches the persistent objects, which are kept in order of their handles.
func (t *TPM) findPersistent(h handle) (int, bool) {
	return slices.BinarySearchFunc(t.nv.Persistent, h, func(o *object, h handle) int { return int(o.Handle) - int(h) })
}

// load puts an object into a free slot and returns its handle.
func (t *TPM) load(o *object) (handle, error) {
	i := slices.Index(t.objects, nil)
	if i < 0 {
		return 0, rcObjectMemory
	}
	t.objects[i] = o
	return handle(htTransient)<<24 | handle(i), nil
}

// roomForObject fails when load would.
func (t *TPM) roomForObject() error {
	if !slices.Contains(t.objects, nil) {
		return rcObjectMemory
	}
	return nil
}

// flushHierarchy removes the transient objects of a hierarchy.
func (t *TPM) flushHierarchy(h handle) {
	for i, o := range t.objects {
		if o != nil && o.Hierarchy == h {
			t.objects[i] = nil
		}
	}
}

// hierarchyOf gives the hierarchy of a handle; nil for other handles.
func (t *TPM) hierarchyOf(h handle) *hierarchy {
	switch h {
	case rhOwner:
		return &t.nv.Owner
	case rhEndorsement:
		return &t.nv.Endorsement
	case rhPlatform:
		return &t.nv.Platform
	case rhNull:
		return &t.ram.Null
	}
	return nil
}

// authorityOf gives the auth value and policy of a permanent handle; nil for TPM_RH_NULL and all else.
func (t *TPM) authorityOf(h handle) *authority {
	switch h {
	case rhOwner, rhEndorsement, rhPlatform:
		return &t.hierarchyOf(h).authority
	case rhLockout:
		return &t.nv.Lockout
	}
	if h.isACT() {
		return &t.countdown(h).authority
	}
	return nil
}

// nameOfEntity is the Name that stands for a handle in cpHash.
func (t *TPM) nameOfEntity(h handle) []byte {
	switch h.kind() {
	case htTransient, htPersistent:
		if o := t.object(h); o != nil {
			return o.Name
		}
		return nil
	case htNV:
		if x := t.index(h); x != nil {
			return x.name()
		}
	}
	return handleName(h)
}

// trimAuth drops trailing zeros from an auth value: the TPM compares values as if padded (part 1, 19.6.5).
func trimAuth(auth []byte) []byte { return bytes.TrimRight(auth, "\x00") }

func sortedHandles[V any](m map[handle]V) []handle { return slices.Sorted(maps.Keys(m)) }
