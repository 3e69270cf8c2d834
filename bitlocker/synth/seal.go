package synth

import (
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// StorageKey is where Windows keeps the key that it seals under.
const StorageKey tpm2.TPMHandle = 0x81000001

// Provision makes the storage key, as Windows does when it first meets a TPM.
func Provision(t tpm.Sender) error {
	primary, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.RSASRKTemplate),
	}.Execute(t)
	if err != nil {
		return err
	}
	_, err = tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		ObjectHandle:     &tpm2.NamedHandle{Handle: primary.ObjectHandle, Name: primary.Name},
		PersistentHandle: StorageKey,
	}.Execute(t)
	if err != nil {
		return err
	}
	_, err = tpm2.FlushContext{FlushHandle: primary.ObjectHandle}.Execute(t)
	return err
}

// SealNow provisions a TPM and seals key as Windows does: to PCR 7 as it is and PCR 11 at zero.
func SealNow(t tpm.Sender, key []byte) (TPM, error) {
	live, err := pcr.Read(t, pcr.Of(eventlog.SHA256, 7))
	if err != nil {
		return TPM{}, err
	}
	if err := Provision(t); err != nil {
		return TPM{}, err
	}
	return TPM{PCRs: []int{7, 11}, Values: map[int][]byte{7: live.Get(eventlog.SHA256, 7)}}.Seal(t, key)
}

// Seal seals key on a TPM that was provisioned, under the policy of t, and returns t with the object the TPM made.
func (t TPM) Seal(conn tpm.Sender, key []byte) (TPM, error) {
	parent, err := storageKey(conn)
	if err != nil {
		return t, err
	}
	rsp, err := tpm2.Create{
		ParentHandle: parent,
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: t.WindowsPolicy()},
		}),
	}.Execute(conn)
	if err != nil {
		return t, err
	}
	t.Private, t.Public = rsp.OutPrivate.Buffer, rsp.OutPublic.Bytes()
	return t, nil
}

// Unseal does what Windows' boot manager does with the protector.
func (t TPM) Unseal(conn tpm.Sender) ([]byte, error) {
	parent, err := storageKey(conn)
	if err != nil {
		return nil, err
	}
	object, err := tpm2.Load{
		ParentHandle: parent, InPrivate: tpm2.TPM2BPrivate{Buffer: t.Private}, InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](t.Public),
	}.Execute(conn)
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: object.ObjectHandle}.Execute(conn) }()
	session, end, err := tpm2.PolicySession(conn, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		return nil, err
	}
	defer func() { _ = end() }()
	if _, err := (tpm2.PolicyAuthValue{PolicySession: session.Handle()}).Execute(conn); err != nil {
		return nil, err
	}
	selection := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMIAlgHash(t.bank()), PCRSelect: t.selection()},
	}}
	if _, err := (tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: selection}).Execute(conn); err != nil {
		return nil, err
	}
	rsp, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: object.ObjectHandle, Name: object.Name, Auth: session}}.Execute(conn)
	if err != nil {
		return nil, err
	}
	return rsp.OutData.Buffer, nil
}

func storageKey(t tpm.Sender) (tpm2.AuthHandle, error) {
	rsp, err := tpm2.ReadPublic{ObjectHandle: StorageKey}.Execute(t)
	if err != nil {
		return tpm2.AuthHandle{}, err
	}
	return tpm2.AuthHandle{Handle: StorageKey, Name: rsp.Name, Auth: tpm2.PasswordAuth(nil)}, nil
}
