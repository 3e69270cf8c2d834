package engine

import (
	"io"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// newObject makes the key of a checked template with randomness from r: the template's unique field is replaced. stir
// runs between the key and its seed.
func (t *TPM) newObject(template *public, auth, data []byte, r io.Reader, stir func()) (*object, error) {
	o := &object{Public: template.clone()}
	p := &o.Public
	s := &sensitive{Type: p.Type, Auth: trimAuth(auth)}
	o.Sensitive = s
	var err error
	switch p.Type {
	case crypt.AlgRSA:
		err = t.newRSA(o, r)
	case crypt.AlgECC:
		err = newECC(o, r)
	case crypt.AlgSymCipher:
		err = newSymmetric(o, data, r)
	default:
		err = newKeyedHash(o, data, r)
	}
	if err != nil {
		return nil, err
	}
	if stir != nil {
		stir()
	}
	if !p.isAsymmetric() || o.isParent() {
		if s.Seed, err = readRandom(r, crypt.HashSize(p.NameAlg)); err != nil {
			return nil, err
		}
	}
	if !p.isAsymmetric() {
		p.Unique = symmetricUnique(p.NameAlg, s)
	}
	o.Name = p.name()
	return o, nil
}

// newRSA takes long, and Cancel ends it.
func (t *TPM) newRSA(o *object, r io.Reader) error {
	p := &o.Public
	var k *crypt.RSAKey
	d, primary := r.(*crypt.Derivation)
	var err error
	if primary {
		k, err = t.primaryRSA(d, p.KeyBits, p.Exponent)
	} else if d, err = crypt.DerivationFrom(r); err == nil {
		k, err = crypt.GenerateRSA(d, int(p.KeyBits), p.Exponent, t.canceled.Load)
	}
	if err != nil {
		return cryptCode(err)
	}
	p.Unique, o.Sensitive.Data, o.rsa = k.Modulus(), k.Prime(), k
	return nil
}

func newECC(o *object, r io.Reader) error {
	k, err := o.Public.curve().Generate(r)
	if err != nil {
		return cryptCode(err)
	}
	o.Public.Point, o.Sensitive.Data = eccPoint(k.Public), k.Private
	return nil
}

func newSymmetric(o *object, data []byte, r io.Reader) (err error) {
	n := o.Public.Sym.keyBytes()
	if !o.Public.Attrs.has(attrSensitiveDataOrigin) {
		if len(data) != n {
			return rcKeySize
		}
		o.Sensitive.Data = data
		return nil
	}
	o.Sensitive.Data, err = readRandom(r, n)
	return err
}

func newKeyedHash(o *object, data []byte, r io.Reader) (err error) {
	p := &o.Public
	if !p.Attrs.has(attrSensitiveDataOrigin) {
		if len(data) > p.maxKeyedHash() {
			return rcSize
		}
		o.Sensitive.Data = data
		return nil
	}
	alg := p.Scheme.Hash
	if p.Scheme.Alg == crypt.AlgNull {
		alg = p.NameAlg
	}
	o.Sensitive.Data, err = readRandom(r, crypt.HashSize(alg))
	return err
}

// adopt makes an object the child of a parent, or of a hierarchy when there is none.
func (o *object) adopt(parent *object, root handle) {
	above := handleName(root)
	if parent != nil {
		above, root = parent.QName, parent.Hierarchy
		o.StClear = parent.StClear
	}
	o.Hierarchy = root
	o.StClear = o.StClear || o.Public.Attrs.has(attrStClear)
	o.QName = nameOf(o.Public.NameAlg, above, o.Name)
}

// creation is what a create command tells about how an object was made (part 3, 12.1).
type creation struct {
	Data   box[creationData]
	Hash   digest2B
	Ticket creationTicket
}

func (t *TPM) creationOf(o, parent *object, root handle, outside []byte, pcrs pcrSelection) *creation {
	alg := o.Public.NameAlg
	d := creationData{Locality: t.localityBits(), OutsideInfo: outside, ParentNameAlg: crypt.AlgNull,
		ParentName: handleName(root), ParentQName: handleName(root)}
	if parent != nil {
		d.ParentNameAlg, d.ParentName, d.ParentQName = parent.Public.NameAlg, parent.Name, parent.QName
	}
	d.PCRDigest, d.PCRs = t.pcrDigest(alg, pcrs)
	c := &creation{Data: box[creationData]{d}}
	c.Hash = crypt.Digest(alg, marshal(&c.Data.V))
	c.Ticket.ticket = t.ticket(stCreation, o.Hierarchy, o.Name, c.Hash)
	return c
}

// localityBits is the current locality as a TPMA_LOCALITY.
func (t *TPM) localityBits() uint8 {
	if t.locality < 5 {
		return 1 << t.locality
	}
	return t.locality
}

type createPrimaryIn struct {
	Hierarchy   handle `tpm:"hierarchy?,user"`
	Sensitive   box[sensitiveCreate]
	Public      box[public]
	OutsideInfo data2B
	PCRs        pcrSelection
}

type createPrimaryOut struct {
	Handle   handle
	Public   box[public]
	Creation creation
	Name     name2B
}

// The parts of a creation are parameters one after the other.
func (c *creation) code(k *coder) {
	c.Data.code(k)
	c.Hash.code(k)
	c.Ticket.code(k)
}

// createPrimary is TPM2_CreatePrimary: the same seed and template give the same key for ever.
func (t *TPM) createPrimary(in *createPrimaryIn) (*createPrimaryOut, error) {
	if err := t.roomForObject(); err != nil {
		return nil, err
	}
	o, err := t.newPrimary(in.Hierarchy, &in.Public.V, in.Sensitive.V, 1, 2)
	if err != nil {
		return nil, err
	}
	c := t.creationOf(o, nil, in.Hierarchy, in.OutsideInfo, in.PCRs)
	h, err := t.load(o)
	return &createPrimaryOut{h, box[public]{o.Public}, *c, o.Name}, err
}

// newPrimary makes a primary object; the parameters to blame are numbered.
func (t *TPM) newPrimary(root handle, template *public, s sensitiveCreate, blameSensitive, blamePublic int) (*object, error) {
	if err := checkCreate(nil, template, len(s.Data)); err != nil {
		return nil, atParam(err, blamePublic)
	}
	if len(trimAuth(s.Auth)) > crypt.HashSize(template.NameAlg) {
		return nil, rcSize.param(blameSensitive)
	}
	seed := t.hierarchyOf(root).Seed
	d := crypt.NewDerivation(seed, crypt.PrimaryLabel, template.name(), s.Data)
	stir := func() {}
	if root == rhEndorsement {
		stir = func() {
			d.Stir(t.nv.Owner.Proof)
			d.Stir(t.nv.Endorsement.Proof)
		}
	}
	o, err := t.newObject(template, s.Auth, s.Data, d, stir)
	if err != nil {
		return nil, atParam(err, blamePublic)
	}
	o.Primary = true
	o.adopt(nil, root)
	return o, nil
}

type createIn struct {
	Parent      handle `tpm:"object,user"`
	Sensitive   box[sensitiveCreate]
	Public      box[public]
	OutsideInfo data2B
	PCRs        pcrSelection
}

type createOut struct {
	Private  private2B
	Public   box[public]
	Creation creation
}

// create is TPM2_Create.
func (t *TPM) create(in *createIn) (*createOut, error) {
	parent := t.object(in.Parent)
	if !parent.isStorageParent() {
		return nil, rcType.handle(1)
	}
	template, s := &in.Public.V, in.Sensitive.V
	if err := checkCreate(parent, template, len(s.Data)); err != nil {
		return nil, atParam(err, 2)
	}
	if len(trimAuth(s.Auth)) > crypt.HashSize(template.NameAlg) {
		return nil, rcSize.param(1)
	}
	o, err := t.newObject(template, s.Auth, s.Data, t.rand, nil)
	if err != nil {
		return nil, atParam(err, 2)
	}
	o.adopt(parent, 0)
	private, err := t.sensitiveToPrivate(o.Sensitive, o.Name, o.Public.NameAlg, parent)
	if err != nil {
		return nil, err
	}
	c := t.creationOf(o, parent, o.Hierarchy, in.OutsideInfo, in.PCRs)
	return &createOut{private, box[public]{o.Public}, *c}, nil
}

type createLoadedIn struct {
	Parent    handle `tpm:"parent,user"`
	Sensitive box[sensitiveCreate]
	Template  template2B
}

type createLoadedOut struct {
	Handle  handle
	Private private2B
	Public  box[public]
	Name    name2B
}

// createLoaded is TPM2_CreateLoaded: a primary, ordinary or derived object, by the kind of parent.
func (t *TPM) createLoaded(in *createLoadedIn) (*createLoadedOut, error) {
	if err := t.roomForObject(); err != nil {
		return nil, err
	}
	s := in.Sensitive.V
	parent := t.object(in.Parent)
	if parent != nil && !parent.isStorageParent() && !parent.isDerivationParent() {
		return nil, rcType.handle(1)
	}
	derive := parent != nil && parent.isDerivationParent()
	template, labels, err := decodeTemplate(in.Template, derive)
	if err != nil {
		return nil, atParam(err, 2)
	}
	out := &createLoadedOut{}
	var o *object
	switch {
	case parent == nil:
		o, err = t.newPrimary(in.Parent, template, s, 1, 2)
	case derive:
		o, err = t.newDerived(parent, template, labels, s)
	default:
		if err = checkCreate(parent, template, len(s.Data)); err == nil {
			o, err = t.newObject(template, s.Auth, s.Data, t.rand, nil)
		}
	}
	if err != nil {
		return nil, atParam(err, 2)
	}
	if len(o.Sensitive.Auth) > crypt.HashSize(template.NameAlg) {
		return nil, rcSize.param(1)
	}
	if parent != nil {
		o.adopt(parent, 0)
	}
	if parent != nil && !derive {
		if out.Private, err = t.sensitiveToPrivate(o.Sensitive, o.Name, o.Public.NameAlg, parent); err != nil {
			return nil, err
		}
	}
	out.Public, out.Name = box[public]{o.Public}, o.Name
	out.Handle, err = t.load(o)
	return out, err
}

// derivation is a TPMS_DERIVE: which of a derivation parent's children is meant.
type derivation struct{ Label, Context []byte }

func (d *derivation) code(c *coder) {
	c.sized(&d.Label, maxLabel)
	c.sized(&d.Context, maxLabel)
}

// decodeTemplate reads a TPM2B_TEMPLATE. In that of a derived object, label and context stand for the unique field.
func decodeTemplate(b []byte, derive bool) (*public, *derivation, error) {
	p := &templateOf{derive: derive}
	if err := unmarshal(b, p); err != nil {
		return nil, nil, err
	}
	return &p.public, &p.labels, nil
}

type templateOf struct {
	public
	labels derivation
	derive bool
}

func (p *templateOf) code(c *coder) {
	p.codeHead(c, false)
	if p.derive {
		p.labels.code(c)
	} else {
		p.codeUnique(c)
	}
}

// newDerived makes the child of a derivation parent. Label and context come from the sensitive parameter when it has
// them, else from the template.
func (t *TPM) newDerived(parent *object, template *public, labels *derivation, s sensitiveCreate) (*object, error) {
	if len(s.Data) > 0 {
		var given derivation
		if err := unmarshal(s.Data, &given); err != nil {
			return nil, atParam(err, 1)
		}
		if len(given.Label) > 0 {
			labels.Label = given.Label
		}
		if len(given.Context) > 0 {
			labels.Context = given.Context
		}
	}
	if template.Attrs.has(attrSensitiveDataOrigin) || template.Type == crypt.AlgRSA {
		if template.Type == crypt.AlgRSA {
			return nil, rcType
		}
		return nil, rcAttributes
	}
	if err := checkAttributes(parent, template); err != nil {
		return nil, err
	}
	stream := crypt.NewKDFStream(parent.Public.Scheme.Hash, parent.Sensitive.Data, labels.Label, labels.Context)
	// The object's key comes from the stream, as if the TPM were its origin.
	originated := template.clone()
	originated.Attrs |= attrSensitiveDataOrigin
	o, err := t.newObject(&originated, s.Auth, nil, stream, nil)
	if err != nil {
		return nil, err
	}
	o.Public.Attrs = template.Attrs
	o.Name = o.Public.name()
	return o, nil
}
