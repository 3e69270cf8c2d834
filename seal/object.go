package seal

import (
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/tpm"
)

// object is a sealed object in the TPM.
type object struct {
	t      tpm.Sender
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
}

// load loads the object of a key file under its parent.
func (k *KeyFile) load(t tpm.Sender, p parent, sessions *tpm.Sessions) (*object, error) {
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.Public)
	if err != nil {
		return nil, err
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](k.Private)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Load{
		ParentHandle: p.authorized(sessions, 0), InPrivate: *private, InPublic: *public,
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	return &object{t, rsp.ObjectHandle, rsp.Name}, nil
}

// unseal opens the object. auth must encrypt what comes back.
func (o *object) unseal(auth tpm2.Session) ([]byte, error) {
	rsp, err := tpm2.Unseal{
		ItemHandle: tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: auth},
	}.Execute(o.t)
	if err != nil {
		return nil, err
	}
	return rsp.OutData.Buffer, nil
}

func (o *object) close() { _ = flush(o.t, o.handle) } // the connection's Close tries again
