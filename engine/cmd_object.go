package engine

import (
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

type loadIn struct {
	Parent  handle `tpm:"object,user"`
	Private private2B
	Public  box[public]
}

type loadOut struct {
	Handle handle
	Name   name2B
}

// loadChild is TPM2_Load.
func (t *TPM) loadChild(in *loadIn) (*loadOut, error) {
	if err := t.roomForObject(); err != nil {
		return nil, err
	}
	parent := t.object(in.Parent)
	if !parent.isStorageParent() {
		return nil, rcType.handle(1)
	}
	if len(in.Private) == 0 {
		return nil, rcSize.param(1)
	}
	o := &object{Public: in.Public.V, Name: in.Public.V.name()}
	var err error
	if o.Sensitive, err = privateToSensitive(in.Private, o.Name, parent); err != nil {
		return nil, atParam(err, 1)
	}
	if err := checkAttributes(parent, &o.Public); err != nil {
		return nil, atParam(err, 2)
	}
	if !parent.Public.Attrs.has(attrFixedTPM) { // what this TPM wrapped for itself is whole
		if err := checkKeys(&o.Public, o.Sensitive, 2, 1); err != nil {
			return nil, err
		}
	}
	o.adopt(parent, 0)
	h, err := t.load(o)
	return &loadOut{h, o.Name}, err
}

type loadExternalIn struct {
	Private   optionalSensitive
	Public    box[publicOrNull]
	Hierarchy hierarchyParam
}

// loadExternal is TPM2_LoadExternal.
func (t *TPM) loadExternal(in *loadExternalIn) (*loadOut, error) {
	root := handle(in.Hierarchy)
	if err := t.roomForObject(); err != nil {
		return nil, err
	}
	if !t.hierarchyOf(root).Enabled {
		return nil, rcHierarchy.param(3)
	}
	o := &object{Public: in.Public.V.public, Sensitive: in.Private.V, External: true}
	o.Name = o.Public.name()
	check := func() error { return checkSchemes(nil, &o.Public) }
	if o.Sensitive != nil {
		if root != rhNull {
			return nil, rcHierarchy.param(3)
		}
		if o.Public.Attrs&(attrFixedTPM|attrFixedParent|attrRestricted) != 0 {
			return nil, rcAttributes.param(2)
		}
		if o.Public.NameAlg != crypt.AlgNull {
			check = func() error { return checkAttributes(nil, &o.Public) }
		}
	}
	if err := check(); err != nil {
		return nil, atParam(err, 2)
	}
	if err := checkKeys(&o.Public, o.Sensitive, 2, 1); err != nil {
		return nil, err
	}
	if o.Sensitive != nil {
		o.Sensitive.Auth = trimAuth(o.Sensitive.Auth)
	}
	o.adopt(nil, root)
	h, err := t.load(o)
	return &loadOut{h, o.Name}, err
}

type readPublicIn struct {
	Object handle `tpm:"object"`
}

type readPublicOut struct {
	Public box[publicOrNull]
	Name   name2B
	QName  name2B
}

// readPublic is TPM2_ReadPublic.
func (t *TPM) readPublic(in *readPublicIn) (*readPublicOut, error) {
	o := t.object(in.Object)
	if o.Seq != nil {
		return nil, rcSequence
	}
	return &readPublicOut{box[publicOrNull]{publicOrNull{o.Public}}, o.Name, o.QName}, nil
}

type unsealIn struct {
	Item handle `tpm:"object,user"`
}

type unsealOut struct{ Data sensitive2B }

// unseal is TPM2_Unseal.
func (t *TPM) unseal(in *unsealIn) (*unsealOut, error) {
	o := t.object(in.Item)
	if o.Seq != nil || o.Public.Type != crypt.AlgKeyedHash {
		return nil, rcType.handle(1)
	}
	if o.Public.Attrs&(attrDecrypt|attrSign|attrRestricted) != 0 {
		return nil, rcAttributes.handle(1)
	}
	return &unsealOut{o.Sensitive.Data}, nil
}

type objectChangeAuthIn struct {
	Object  handle `tpm:"object,admin"`
	Parent  handle `tpm:"object"`
	NewAuth digest2B
}

type objectChangeAuthOut struct{ Private private2B }

// objectChangeAuth is TPM2_ObjectChangeAuth: a new private blob; what is loaded keeps its auth value.
func (t *TPM) objectChangeAuth(in *objectChangeAuthIn) (*objectChangeAuthOut, error) {
	o, parent := t.object(in.Object), t.object(in.Parent)
	if o.Seq != nil {
		return nil, rcType.handle(1)
	}
	auth := trimAuth(in.NewAuth)
	if len(auth) > crypt.HashSize(o.Public.NameAlg) {
		return nil, rcSize.param(1)
	}
	// The parent is not authorized: it must be shown to be the parent, which qualified names do. They do not show that its
	// private half is there, and what was derived from a parent is not wrapped by it.
	if !parent.isStorageParent() || o.External || !slices.Equal(o.QName, nameOf(o.Public.NameAlg, parent.QName, o.Name)) {
		return nil, rcType.handle(2)
	}
	s := *o.Sensitive
	s.Auth = auth
	private, err := t.sensitiveToPrivate(&s, o.Name, o.Public.NameAlg, parent)
	return &objectChangeAuthOut{private}, err
}

type evictControlIn struct {
	Auth       handle `tpm:"provision,user"`
	Object     handle `tpm:"object"`
	Persistent persistentParam
}

// evictControl is TPM2_EvictControl: it makes a loaded object persistent, or removes a persistent one.
func (t *TPM) evictControl(in *evictControlIn) (*none, error) {
	target := handle(in.Persistent)
	o := t.object(in.Object)
	if o.Seq != nil || o.Hierarchy == rhNull || o.StClear || o.Sensitive == nil || o.External {
		return nil, rcAttributes.handle(2)
	}
	evict := in.Object.kind() == htPersistent
	if evict && in.Object != target {
		return nil, rcHandle.handle(2)
	}
	platform := o.Hierarchy == rhPlatform
	if in.Auth == rhOwner && platform || in.Auth == rhPlatform && !platform && !evict {
		return nil, rcHierarchy.handle(2)
	}
	if !evict && (target >= platformPersistent) != (in.Auth == rhPlatform) {
		return nil, rcRange.param(1)
	}
	i, exists := t.findPersistent(target)
	if evict {
		t.nv.Persistent = slices.Delete(t.nv.Persistent, i, i+1)
		return nil, nil
	}
	if exists {
		return nil, rcNVDefined
	}
	if len(t.nv.Persistent) >= t.profile.Persistent {
		return nil, rcNVSpace
	}
	p := *o
	p.Handle = target
	t.nv.Persistent = slices.Insert(t.nv.Persistent, i, &p)
	return nil, nil
}
