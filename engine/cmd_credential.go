package engine

import (
	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// protector is how a key protects what is sent to its holder under a fresh seed: credentials and duplicates.
func protector(key *object, seed []byte) *wrapper {
	return newWrapper(key.Public.NameAlg, key.Public.Sym, seed)
}

type makeCredentialIn struct {
	Key        handle `tpm:"object"`
	Credential digest2B
	Name       name2B
}

type makeCredentialOut struct {
	Blob   idObject2B
	Secret rsa2B
}

// makeCredential is TPM2_MakeCredential.
func (t *TPM) makeCredential(in *makeCredentialIn) (*makeCredentialOut, error) {
	key := t.object(in.Key)
	if key.Seq != nil || !key.Public.isAsymmetric() || !key.isParent() {
		return nil, rcType.handle(1)
	}
	if len(in.Credential) > crypt.HashSize(key.Public.NameAlg) {
		return nil, rcSize.param(1)
	}
	seed, secret, err := t.encryptSecret(key, "IDENTITY")
	if err != nil {
		return nil, err
	}
	blob, err := protector(key, seed).seal(in.Name, nil, sized(in.Credential))
	return &makeCredentialOut{blob, secret}, err
}

type activateCredentialIn struct {
	Object handle `tpm:"object,admin"`
	Key    handle `tpm:"object,user"`
	Blob   idObject2B
	Secret rsa2B
}

type activateCredentialOut struct{ Credential digest2B }

// activateCredential is TPM2_ActivateCredential.
func (t *TPM) activateCredential(in *activateCredentialIn) (*activateCredentialOut, error) {
	key := t.object(in.Key)
	if key.Seq != nil || !key.Public.isAsymmetric() || !key.isParent() {
		return nil, rcType.handle(2)
	}
	seed, err := t.decryptSecret(key, nil, "IDENTITY", in.Secret)
	if err != nil {
		return nil, atParam(err, 2)
	}
	data, err := protector(key, seed).open(t.object(in.Object).Name, in.Blob, false)
	if err != nil {
		return nil, atParam(err, 1)
	}
	out := &activateCredentialOut{}
	if err := unmarshal(data, &out.Credential); err != nil || len(out.Credential) > crypt.HashSize(key.Public.NameAlg) {
		return nil, rcSize.param(1)
	}
	return out, nil
}
