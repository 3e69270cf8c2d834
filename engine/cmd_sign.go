package engine

import (
	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

type signIn struct {
	Key        handle `tpm:"object,user"`
	Digest     digest2B
	Scheme     sigScheme
	Validation hashTicket
}

type signOut struct{ Signature signature }

// signDigest is TPM2_Sign. A restricted key signs only what a ticket shows to be no structure of the TPM's own.
func (t *TPM) signDigest(in *signIn) (*signOut, error) {
	key := t.object(in.Key)
	if !key.canSign() {
		return nil, rcKey.handle(1)
	}
	if key.Public.Attrs.has(attrX509Sign) {
		return nil, rcAttributes.handle(1)
	}
	if !selectSignScheme(key, &in.Scheme.scheme) {
		return nil, rcScheme.param(2)
	}
	hash := in.Scheme.Hash
	if len(in.Validation.Digest) > 0 || key.Public.Attrs.has(attrRestricted) {
		if !t.genuine(&in.Validation.ticket, be16(hash), in.Digest) {
			return nil, rcTicket.param(3)
		}
	}
	if len(in.Digest) != crypt.HashSize(hash) {
		return nil, rcSize.param(1)
	}
	sig, err := t.sign(key, in.Scheme.scheme, in.Digest)
	if err != nil {
		return nil, err
	}
	return &signOut{*sig}, nil
}

type verifySignatureIn struct {
	Key       handle `tpm:"object"`
	Digest    digest2B
	Signature signature
}

type verifySignatureOut struct{ Validation verifiedTicket }

// verifySignature is TPM2_VerifySignature.
func (t *TPM) verifySignature(in *verifySignatureIn) (*verifySignatureOut, error) {
	key := t.object(in.Key)
	if key.Seq != nil || !key.Public.Attrs.has(attrSign) {
		return nil, rcAttributes.handle(1)
	}
	if err := t.verify(key, in.Digest, &in.Signature); err != nil {
		return nil, atParam(err, 2)
	}
	root := key.Hierarchy
	if key.Public.NameAlg == crypt.AlgNull {
		root = rhNull
	}
	return &verifySignatureOut{verifiedTicket{t.ticket(stVerified, root, in.Digest, key.Name)}}, nil
}
