package quote

import (
	"bytes"
	"errors"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Parent says below what an attestation key hangs.
type Parent string

// The parents.
const (
	UnderEK     Parent = "ek"   // the endorsement key: outlives a clear of the owner, and a certificate may vouch for it
	UnderSRK    Parent = "srk"  // the storage root key
	Temporary   Parent = "null" // a primary key of the null hierarchy: gone with the next reset of the TPM
	UnknownRoot Parent = ""     // a persistent key that somebody else made
)

// Algorithm is the kind of an attestation key.
type Algorithm string

// The algorithms.
const (
	ECC Algorithm = "ecc" // ECDSA with SHA-256 on NIST P-256
	RSA Algorithm = "rsa" // RSASSA with SHA-256 and 2048 bits
)

// attributes of the keys made here. They have no auth value; noDA lets them quote while the TPM is locked out, which is
// when an administrator wants to know most.
var attributes = tpm2.TPMAObject{
	FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
	Restricted: true, SignEncrypt: true,
}

// template is the public area of a restricted signing key.
func (a Algorithm) template() (tpm2.TPMTPublic, error) {
	p := tpm2.TPMTPublic{NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes}
	sha256 := &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256}
	switch a {
	case ECC:
		p.Type = tpm2.TPMAlgECC
		p.Parameters = tpm2.NewTPMUPublicParms(p.Type, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256,
			Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, (*tpm2.TPMSSigSchemeECDSA)(sha256))},
		})
	case RSA:
		p.Type = tpm2.TPMAlgRSA
		p.Parameters = tpm2.NewTPMUPublicParms(p.Type, &tpm2.TPMSRSAParms{
			KeyBits: 2048,
			Scheme: tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgRSASSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, (*tpm2.TPMSSigSchemeRSASSA)(sha256))},
		})
	default:
		return p, fail.E(fail.Usage, "%q is no kind of attestation key", string(a)).Hint("kinds are ecc and rsa")
	}
	return p, nil
}

// Key is an attestation key in a TPM.
type Key struct {
	Public *Public
	Parent Parent
	Handle tpm2.TPMHandle
}

func (k *Key) name() tpm2.TPM2BName { return tpm2.TPM2BName{Buffer: k.Public.Name()} }

// auth lets the key be used: the auth values of our keys are empty, and so are those of the clouds' keys. Where a
// persistent key of others has one after all, the TPM refuses, and may count the try.
func (k *Key) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.Handle, Name: k.name(), Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, 16)}
}

// Flush removes a transient key from the TPM.
func (k *Key) Flush(t tpm.Sender) error {
	_, err := tpm2.FlushContext{FlushHandle: k.Handle}.Execute(t)
	return err
}

// CreateTemporary makes a key that lives until the TPM is reset. It proves that some TPM signed, not which.
func CreateTemporary(t tpm.Sender, alg Algorithm) (*Key, error) {
	template, err := alg.template()
	if err != nil {
		return nil, err
	}
	return createPrimary(t, tpm2.TPMRHNull, template, Temporary)
}

// CreateIn makes a key in the TPM and returns it wrapped for its parent: a file that is of use to this TPM alone.
func CreateIn(t tpm.Sender, alg Algorithm, parent Parent) (f *KeyFile, err error) {
	template, err := alg.template()
	if err != nil {
		return nil, err
	}
	root, err := newRoot(t, parent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Flush(t)) }()
	rsp, err := tpm2.Create{ParentHandle: root.parentAuth(), InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return nil, err
	}
	public, err := DecodePublic(rsp.OutPublic.Bytes())
	if err != nil {
		return nil, err
	}
	return newKeyFile(public, rsp.OutPrivate.Buffer, parent, root.Public.Name()), nil
}

// Load puts the key of a file into the TPM it was made in.
func (f *KeyFile) Load(t tpm.Sender) (k *Key, err error) {
	root, err := newRoot(t, f.Parent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Flush(t)) }()
	if !bytes.Equal(root.Public.Name(), f.ParentName) {
		return nil, fail.E(fail.WrongTPM, "the key %s was made in another TPM, or in this one before it was cleared", f.Name).
			Hint("vtpmctl ak create --out-file NEW.json makes a key in this TPM; tell the verifier about it")
	}
	rsp, err := tpm2.Load{
		ParentHandle: root.parentAuth(),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: f.Private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](f.public.Bytes()),
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	return &Key{Public: f.public, Parent: f.Parent, Handle: rsp.ObjectHandle}, nil
}

// newRoot makes the parent anew: a primary key of a template is the same whenever it is made (part 1, section 14.4).
// Elliptic curves come first because an RSA key takes a TPM seconds to find.
func newRoot(t tpm.Sender, parent Parent) (*Key, error) {
	templates := []tpm2.TPMTPublic{tpm2.ECCSRKTemplate, tpm2.RSASRKTemplate}
	hierarchy := tpm2.TPMRHOwner
	switch parent {
	case UnderEK:
		templates = []tpm2.TPMTPublic{tpm2.ECCEKTemplate, tpm2.RSAEKTemplate}
		hierarchy = tpm2.TPMRHEndorsement
	case UnderSRK:
	default:
		return nil, fail.E(fail.Usage, "%q is no parent of an attestation key", string(parent)).Hint("parents are ek and srk")
	}
	k, err := createPrimary(t, hierarchy, templates[0], parent)
	if unknownToTPM(err) {
		return createPrimary(t, hierarchy, templates[1], parent)
	}
	return k, err
}

func createPrimary(t tpm.Sender, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic, parent Parent) (*Key, error) {
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return nil, err
	}
	public, err := DecodePublic(rsp.OutPublic.Bytes())
	if err != nil {
		return nil, err
	}
	return &Key{Public: public, Parent: parent, Handle: rsp.ObjectHandle}, nil
}

// parentAuth lets k be used as a parent. An EK demands the policy of its template, PolicySecret of the endorsement
// hierarchy (EK Credential Profile, section B.6.2); each use takes a session of its own.
func (k *Key) parentAuth() tpm2.AuthHandle {
	if k.Parent != UnderEK {
		return k.auth()
	}
	policy := func(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session, NonceTPM: nonce}.Execute(t)
		return err
	}
	return tpm2.AuthHandle{Handle: k.Handle, Name: k.name(), Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, policy)}
}

// Persistent finds the key at a persistent handle. Whether it is fit to attest is for the verifier to judge; that it
// can sign at all is checked here.
func Persistent(t tpm.Sender, handle tpm2.TPMHandle) (*Key, error) {
	area, _, err := tpm.ReadPublic(t, handle)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, fail.E(fail.MissingInput, "there is no key at handle 0x%08x", uint32(handle)).Because(err).
			Hint("vtpmctl ak list shows the attestation keys of this TPM")
	}
	if err != nil {
		return nil, err
	}
	public, err := DecodePublic(area.Bytes())
	if err != nil {
		return nil, err
	}
	if public.Attributes&(Sign|Restricted) != Sign|Restricted {
		return nil, fail.E(fail.BadInput, "the key at 0x%08x is no attestation key: it is %s",
			uint32(handle), strings.Join(public.Attributes.Names(), ", ")).Hint("vtpmctl ak list shows those of this TPM")
	}
	return &Key{Public: public, Parent: UnknownRoot, Handle: handle}, nil
}

// List finds the attestation keys at persistent handles: restricted keys that sign.
func List(t tpm.Sender) ([]*Key, error) {
	handles, err := tpm.ListHandles(t, tpm2.TPMHTPersistent)
	if err != nil {
		return nil, err
	}
	keys := []*Key{}
	for _, h := range handles {
		k, err := Persistent(t, h)
		switch {
		case fail.KindOf(err) == fail.BadInput: // a key of another kind
		case err != nil:
			return nil, err
		default:
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// Persist keeps k in the TPM's memory at a free handle.
func (k *Key) Persist(t tpm.Sender, handle tpm2.TPMHandle) error {
	_, err := tpm2.EvictControl{
		Auth:             tpm2.TPMRHOwner,
		ObjectHandle:     &tpm2.NamedHandle{Handle: k.Handle, Name: k.name()},
		PersistentHandle: handle,
	}.Execute(t)
	if errors.Is(err, tpm2.TPMRCNVDefined) {
		return fail.E(fail.OutputExists, "the handle 0x%08x is taken", uint32(handle)).Because(err).
			Hint("choose another one between 0x81000000 and 0x817fffff; vtpmctl ak list shows the attestation keys")
	}
	return err
}

// Delete removes a persistent key from the TPM's memory.
func (k *Key) Delete(t tpm.Sender) error {
	_, err := tpm2.EvictControl{
		Auth:             tpm2.TPMRHOwner,
		ObjectHandle:     &tpm2.NamedHandle{Handle: k.Handle, Name: k.name()},
		PersistentHandle: k.Handle,
	}.Execute(t)
	return err
}

// ParseHandle reads a persistent handle that a user may give: those of the owner (part 2, section 7.4 and registry of
// reserved handles: 0x81000000 to 0x817fffff).
func ParseHandle(text string) (tpm2.TPMHandle, error) {
	h, ok := tpm.ParseHandle(text)
	if !ok || h>>23 != 0x81000000>>23 {
		return 0, fail.E(fail.Usage, "%q is no persistent handle of the owner", text).
			Hint("such handles are 0x81000000 to 0x817fffff")
	}
	return h, nil
}
