package seal

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// template is a way to make the primary that TPM_RH_OWNER stands for in a key file. The public area is hashed into the
// key, so that the same template gives the same key as long as the hierarchy is not cleared, and another one does not.
type template struct {
	name   string
	rsa    bool
	public tpm2.TPMTPublic
}

// The first two are what the draft and the C tools mean, with an empty unique field; the others, with one of zeroes,
// are the TCG's provisioning guidance to the letter, which Go libraries took for the same thing.
var templates = []template{
	{"ecc-p256", false, withUnique(tpm2.ECCSRKTemplate, 0)},
	{"rsa-2048", true, withUnique(tpm2.RSASRKTemplate, 0)},
	{"ecc-p256-zero-unique", false, tpm2.ECCSRKTemplate},
	{"rsa-2048-zero-unique", true, tpm2.RSASRKTemplate},
}

// templatePersistent stands in a Block for a key that is not made from a template.
const templatePersistent = "persistent"

// withUnique sets the unique field to n zero bytes a part.
func withUnique(pub tpm2.TPMTPublic, n int) tpm2.TPMTPublic {
	if pub.Type == tpm2.TPMAlgECC {
		zero := tpm2.TPM2BECCParameter{Buffer: make([]byte, n)}
		pub.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: zero, Y: zero})
	} else {
		pub.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: make([]byte, n)})
	}
	return pub
}

// parent is a loaded storage key.
type parent struct {
	tpm.Key
	template  string // templatePersistent, or the name of one of templates
	transient bool
}

// close flushes a key that was made for us.
func (p parent) close(t tpm.Sender) {
	if p.transient {
		_, _ = tpm2.FlushContext{FlushHandle: p.Handle}.Execute(t) // the connection's Close tries again
	}
}

// authorized is p as the parent of a command, with the empty auth value that storage keys for all to use have.
func (p parent) authorized(s *tpm.Sessions, d tpm.Direction) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: p.Handle, Name: p.Name, Auth: s.HMAC(d, nil)}
}

// parentForSealing takes the storage root key if the TPM has it at its usual place, else the usual primary.
func parentForSealing(t tpm.Sender) (parent, error) {
	key, err := tpm.ReadKey(t, tpm.SRKHandle)
	a := key.Public.ObjectAttributes
	switch {
	case err == nil && a.Restricted && a.Decrypt && !a.SignEncrypt:
		return parent{key, templatePersistent, false}, nil
	case err != nil && !errors.Is(err, tpm2.TPMRCHandle):
		return parent{}, err
	}
	p, err := templates[0].make(t)
	if errors.Is(err, tpm2.TPMRCCurve) || errors.Is(err, tpm2.TPMRCType) || errors.Is(err, tpm2.TPMRCAsymmetric) {
		return templates[1].make(t)
	}
	return p, err
}

// make creates the primary in the owner hierarchy.
func (m template) make(t tpm.Sender) (parent, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(m.public),
	}.Execute(t)
	switch {
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail):
		return parent{}, fail.E(fail.AuthRefused, "the owner hierarchy of this TPM has a password, and there is no storage root key at 0x%08x",
			uint32(tpm.SRKHandle)).Because(err).
			Hint("provision the storage root key once: tpm2_createprimary -C o -P PASSWORD -G ecc256 -c srk.ctx, then tpm2_evictcontrol -C o -P PASSWORD -c srk.ctx 0x81000001")
	case err != nil:
		return parent{}, err
	}
	key, err := tpm.ReadKey(t, rsp.ObjectHandle)
	if err != nil {
		return parent{}, errors.Join(err, flush(t, rsp.ObjectHandle))
	}
	return parent{key, m.name, true}, nil
}

func flush(t tpm.Sender, h tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: h}.Execute(t)
	return err
}

// candidates yields the keys a file may have been sealed under, most likely first: one where our block says which, all
// templates that fit where it does not. The caller closes what it was given.
func (f *File) candidates(t tpm.Sender) ([]func() (parent, error), error) {
	if h := f.Key.Parent; h != tpm2.TPMRHOwner {
		if h>>24 != 0x81 {
			return nil, fail.E(fail.Unsupported, "the file names the parent 0x%08x; persistent keys and the owner hierarchy are supported", uint32(h))
		}
		return []func() (parent, error){func() (parent, error) { return f.persistent(t, h) }}, nil
	}
	var all []func() (parent, error)
	for _, m := range templates {
		if f.Block != nil && f.Block.Parent.Template == m.name || f.Block == nil && f.Key.RSAParent == m.rsa {
			all = append(all, func() (parent, error) { return m.make(t) })
		}
	}
	if len(all) == 0 {
		return nil, fail.E(fail.BadInput, "the file names a template for its parent that is not known: %q", f.Block.Parent.Template)
	}
	return all, nil
}

func (f *File) persistent(t tpm.Sender, h tpm2.TPMHandle) (parent, error) {
	key, err := tpm.ReadKey(t, h)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return parent{}, fail.E(fail.WrongTPM, "the secret was sealed under the key at 0x%08x, and this TPM has none there", uint32(h)).
			Because(err).Hint("use the TPM it was sealed on (--tpm); if this is it, the key was evicted or the TPM cleared")
	}
	return parent{key, templatePersistent, false}, err
}

// handleText is a handle as it stands in a Block.
func handleText(h tpm2.TPMHandle) string { return fmt.Sprintf("0x%08x", uint32(h)) }
