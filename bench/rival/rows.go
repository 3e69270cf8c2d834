package rival

import (
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// row is an operation to time. go-tpm plays it once on each TPM; what it sent is then sent again and again as it is, so
// that go-tpm's own work is not in the figures. Flushing what was loaded is not timed, unless it is part of the operation.
type row struct {
	what     string
	times    int  // in a round; for what takes microseconds
	variants int  // that differ, and are played one after the other
	whole    bool // flushing counts
	ecc      bool // is of ECC keys, and has its goal against the reference simulator too
	setup    func(transport.TPM) (play func(t transport.TPM, variant int) error, err error)
}

var rows = []row{
	{what: "GetRandom, 32 bytes", times: 5000, setup: plain(func(t transport.TPM, _ int) error {
		return do(t, tpm2.GetRandom{BytesRequested: 32})
	})},
	{what: "PCR_Read, 8 PCRs", times: 5000, setup: plain(func(t transport.TPM, _ int) error {
		return do(t, tpm2.PCRRead{PCRSelectionIn: pcrs(0, 1, 2, 3, 4, 5, 6, 7)})
	})},
	{what: "PCR_Extend", times: 5000, setup: plain(func(t transport.TPM, _ int) error {
		return do(t, tpm2.PCRExtend{PCRHandle: password(tpm2.NamedHandle{Handle: 16}), Digests: tpm2.TPMLDigestValues{
			Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}}})
	})},
	{what: "NV_Write, 32 bytes", times: 2000, variants: 2 /* so that something changes and has to be stored */, setup: writeNV},
	{what: "CreatePrimary ECC P-256", times: 4, ecc: true, setup: plain(func(t transport.TPM, _ int) error {
		_, err := primary(t, tpm2.ECCSRKTemplate)
		return err
	})},
	{what: "CreatePrimary RSA-2048, all different", variants: 31, setup: plain(func(t transport.TPM, variant int) error {
		template := tpm2.RSASRKTemplate
		unique := binary.BigEndian.AppendUint32(make([]byte, 252), uint32(variant))
		template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: unique})
		_, err := primary(t, template)
		return err
	})},
	{what: "CreatePrimary RSA-2048, the same again", setup: plain(func(t transport.TPM, _ int) error {
		_, err := primary(t, tpm2.RSASRKTemplate)
		return err
	})},
	{what: "Create ECC P-256", times: 4, ecc: true, setup: create(signing(tpm2.TPMAlgECC))},
	{what: "Create RSA-2048", setup: create(signing(tpm2.TPMAlgRSA))},
	{what: "Load ECC P-256", times: 10, ecc: true, setup: load(signing(tpm2.TPMAlgECC))},
	{what: "Load RSA-2048", times: 10, setup: load(signing(tpm2.TPMAlgRSA))},
	{what: "Quote ECC P-256", times: 10, ecc: true, setup: quote(signing(tpm2.TPMAlgECC))},
	{what: "Quote RSA-2048", times: 10, setup: quote(signing(tpm2.TPMAlgRSA))},
	{what: "Unseal under PolicyPCR: load, session, policy, unseal, flush", times: 500, whole: true, ecc: true, setup: unseal},
}

func plain(play func(transport.TPM, int) error) func(transport.TPM) (func(transport.TPM, int) error, error) {
	return func(transport.TPM) (func(transport.TPM, int) error, error) { return play, nil }
}

// do is a command with an answer nobody needs.
func do[R any](t transport.TPM, c interface {
	Execute(transport.TPM, ...tpm2.Session) (*R, error)
}) error {
	_, err := c.Execute(t)
	return err
}

func getRandom(n byte) []byte { return []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, n} }

func pcrs(numbers ...uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(numbers...)},
	}}
}

func password(h tpm2.NamedHandle) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: tpm2.PasswordAuth(nil)}
}

func primary(t transport.TPM, template tpm2.TPMTPublic) (tpm2.NamedHandle, error) {
	p, err := tpm2.CreatePrimary{PrimaryHandle: password(tpm2.NamedHandle{Handle: tpm2.TPMRHOwner}), InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return tpm2.NamedHandle{}, err
	}
	return tpm2.NamedHandle{Handle: p.ObjectHandle, Name: p.Name}, flush(t, p.ObjectHandle)
}

// kept is a primary that stays.
func kept(t transport.TPM) (tpm2.NamedHandle, error) {
	p, err := tpm2.CreatePrimary{PrimaryHandle: password(tpm2.NamedHandle{Handle: tpm2.TPMRHOwner}), InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return tpm2.NamedHandle{}, err
	}
	return tpm2.NamedHandle{Handle: p.ObjectHandle, Name: p.Name}, nil
}

func flush(t transport.TPM, h tpm2.TPMHandle) error {
	return do(t, tpm2.FlushContext{FlushHandle: h})
}

func writeNV(t transport.TPM) (func(transport.TPM, int) error, error) {
	owner := password(tpm2.NamedHandle{Handle: tpm2.TPMRHOwner})
	public := tpm2.TPMSNVPublic{NVIndex: 0x01800001, NameAlg: tpm2.TPMAlgSHA256, DataSize: 32,
		Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, NoDA: true}}
	if err := do(t, tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(public)}); err != nil {
		return nil, err
	}
	data := make([]byte, 32)
	return func(t transport.TPM, variant int) error {
		data[0] = byte(variant)
		p, err := tpm2.NVReadPublic{NVIndex: public.NVIndex}.Execute(quiet(t))
		if err != nil {
			return err
		}
		index := tpm2.NamedHandle{Handle: public.NVIndex, Name: p.NVName}
		return do(t, tpm2.NVWrite{AuthHandle: owner, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: data}})
	}, nil
}

// signing is the template of a restricted signing key.
func signing(alg tpm2.TPMAlgID) tpm2.TPMTPublic {
	p := tpm2.TPMTPublic{
		Type: alg, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true, Restricted: true},
	}
	if alg == tpm2.TPMAlgRSA {
		p.Parameters = tpm2.NewTPMUPublicParms(alg, &tpm2.TPMSRSAParms{
			KeyBits: 2048,
			Scheme:  tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgRSASSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256})},
		})
		return p
	}
	p.Parameters = tpm2.NewTPMUPublicParms(alg, &tpm2.TPMSECCParms{
		CurveID: tpm2.TPMECCNistP256,
		Scheme:  tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
	})
	return p
}

func create(template tpm2.TPMTPublic) func(transport.TPM) (func(transport.TPM, int) error, error) {
	return func(t transport.TPM) (func(transport.TPM, int) error, error) {
		parent, err := kept(t)
		return func(t transport.TPM, _ int) error {
			return do(t, tpm2.Create{ParentHandle: password(parent), InPublic: tpm2.New2B(template)})
		}, err
	}
}

// child makes a key under a primary.
func child(t transport.TPM, template tpm2.TPMTPublic) (tpm2.Load, error) {
	parent, err := kept(t)
	if err != nil {
		return tpm2.Load{}, err
	}
	c, err := tpm2.Create{ParentHandle: password(parent), InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return tpm2.Load{}, err
	}
	return tpm2.Load{ParentHandle: password(parent), InPrivate: c.OutPrivate, InPublic: c.OutPublic}, nil
}

func load(template tpm2.TPMTPublic) func(transport.TPM) (func(transport.TPM, int) error, error) {
	return func(t transport.TPM) (func(transport.TPM, int) error, error) {
		c, err := child(t, template)
		return func(t transport.TPM, _ int) error {
			o, err := c.Execute(t)
			if err != nil {
				return err
			}
			return flush(t, o.ObjectHandle)
		}, err
	}
}

func quote(template tpm2.TPMTPublic) func(transport.TPM) (func(transport.TPM, int) error, error) {
	return func(t transport.TPM) (func(transport.TPM, int) error, error) {
		c, err := child(t, template)
		if err != nil {
			return nil, err
		}
		o, err := c.Execute(t)
		if err != nil {
			return nil, err
		}
		key := password(tpm2.NamedHandle{Handle: o.ObjectHandle, Name: o.Name})
		return func(t transport.TPM, _ int) error {
			return do(t, tpm2.Quote{SignHandle: key, QualifyingData: tpm2.TPM2BData{Buffer: []byte("nonce")},
				InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}, PCRSelect: pcrs(0, 1, 2, 3, 4, 5, 6, 7)})
		}, nil
	}
}

func unseal(t transport.TPM) (func(transport.TPM, int) error, error) {
	policy := func(t transport.TPM, kind tpm2.TPMSE) (tpm2.TPMHandle, error) {
		s, err := tpm2.StartAuthSession{
			TPMKey: tpm2.TPMRHNull, Bind: tpm2.TPMRHNull, NonceCaller: tpm2.TPM2BNonce{Buffer: make([]byte, 16)},
			SessionType: kind, Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull}, AuthHash: tpm2.TPMAlgSHA256,
		}.Execute(t)
		if err != nil {
			return 0, err
		}
		return s.SessionHandle, do(t, tpm2.PolicyPCR{PolicySession: s.SessionHandle, Pcrs: pcrs(0, 7)})
	}
	trial, err := policy(t, tpm2.TPMSETrial)
	if err != nil {
		return nil, err
	}
	digest, err := tpm2.PolicyGetDigest{PolicySession: trial}.Execute(t)
	if err != nil {
		return nil, err
	}
	if err := flush(t, trial); err != nil {
		return nil, err
	}
	parent, err := kept(t)
	if err != nil {
		return nil, err
	}
	sealed, err := tpm2.Create{ParentHandle: password(parent),
		InPublic: tpm2.New2B(tpm2.TPMTPublic{Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: digest.PolicyDigest,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true}}),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: make([]byte, 32)})}}}.Execute(t)
	if err != nil {
		return nil, err
	}
	return func(t transport.TPM, _ int) error {
		o, err := tpm2.Load{ParentHandle: password(parent), InPrivate: sealed.OutPrivate, InPublic: sealed.OutPublic}.Execute(t)
		if err != nil {
			return err
		}
		session, err := policy(t, tpm2.TPMSEPolicy)
		if err != nil {
			return err
		}
		// By hand, without an HMAC, which would be of the nonces of this one session.
		cmd := []byte{0x80, 2, 0, 0, 0, 27, 0, 0, 1, 0x5e}
		cmd = binary.BigEndian.AppendUint32(cmd, uint32(o.ObjectHandle))
		cmd = append(cmd, 0, 0, 0, 9)
		cmd = append(binary.BigEndian.AppendUint32(cmd, uint32(session)), 0, 0, 0, 0, 0) // the session ends here
		rsp, err := t.Send(cmd)
		if err != nil {
			return err
		}
		if rc := code(rsp); rc != 0 {
			return fmt.Errorf("TPM2_Unseal: %#x", rc)
		}
		return flush(t, o.ObjectHandle)
	}, nil
}
