package cmd

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// signingKey is the key of --sign-with.
type signingKey struct {
	ak      *quote.KeyFile // of the TPM; nil for a key that is in the file itself
	private crypto.Signer
	public  *quote.Pin
}

// signingKey reads the key, once: the file may be stdin.
func (o *protectFlags) signingKey(a *app) (*signingKey, error) {
	if o.signer != nil {
		return o.signer, nil
	}
	data, err := a.readInput(o.key, maxKeyText)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	k := &signingKey{}
	if k.ak, err = quote.DecodeKeyFile(data); err == nil {
		k.public, err = quote.ParsePin(data)
	} else if k.private, err = quote.ParsePrivateKey(data); err == nil {
		k.public = quote.PinKey(k.private.Public())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.key, err)
	}
	o.signer = k
	return k, nil
}

// sign signs b with --sign-with: in the TPM where that is a file of ak create.
func (o *protectFlags) sign(a *app, t tpm.Conn, b *baseline.Baseline) error {
	if o.key == "" {
		return nil
	}
	k, err := o.signingKey(a)
	if err != nil {
		return err
	}
	text, err := b.Statement()
	if err != nil {
		return err
	}
	fingerprint, err := k.public.Fingerprint()
	if err != nil {
		return err
	}
	b.Signature = &baseline.Signature{Key: fingerprint.String()}
	if k.ak != nil {
		b.Signature.Value, err = signInTPM(t, k.ak, text)
	} else {
		b.Signature.Value, err = quote.SignStatement(k.private, a.Rand, text)
	}
	return err
}

func signInTPM(t tpm.Conn, f *quote.KeyFile, text []byte) (signature []byte, err error) {
	key, err := f.Load(t)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, key.Flush(t)) }()
	return key.SignStatement(t, text)
}

// signed tells why the signature of b is none of --sign-with, nil where it is one.
func (o *protectFlags) signed(a *app, b *baseline.Baseline) error {
	k, err := o.signingKey(a)
	if err != nil {
		return err
	}
	if b.Signature == nil {
		return fail.E(fail.AnswerNo, "the baseline is not signed")
	}
	text, err := b.Statement()
	if err == nil {
		err = k.public.VerifyStatement(text, b.Signature.Value)
	}
	if err != nil {
		return fail.E(fail.AnswerNo, "the baseline's signature is not of this key over this baseline: %w", err)
	}
	return nil
}

// proofs checks what vouches for the baseline. What is there and was not asked for is told, and is no proof: a file that was
// changed could have lost it.
func (o *baselineCheckFlags) proofs(a *app, t tpm.Conn, b *baseline.Baseline) ([]eventlog.NamedCheck, error) {
	signature, err := o.signature(a, b)
	if err != nil {
		return nil, err
	}
	anchor, err := o.anchored(t, b)
	if err != nil {
		return nil, err
	}
	return append(signature, anchor...), nil
}

func (o *baselineCheckFlags) signature(a *app, b *baseline.Baseline) ([]eventlog.NamedCheck, error) {
	one := func(outcome eventlog.Outcome, format string, args ...any) ([]eventlog.NamedCheck, error) {
		return []eventlog.NamedCheck{{Name: "signature", Outcome: outcome, Text: fmt.Sprintf(format, args...)}}, nil
	}
	if o.key == "" {
		if b.Signature == nil {
			return nil, nil
		}
		return one(eventlog.NotProven, "there is one of key %s; --key says whose it must be", b.Signature.Key)
	}
	pin, err := a.readPin(o.key)
	if err != nil {
		return nil, err
	}
	if b.Signature == nil {
		return one(eventlog.Fail, "the baseline is not signed")
	}
	text, err := b.Statement()
	if err != nil {
		return nil, err
	}
	if err := pin.VerifyStatement(text, b.Signature.Value); err != nil {
		return one(eventlog.Fail, "not of this key over this baseline: %s", err)
	}
	return one(eventlog.Pass, "made by this key")
}

func (o *baselineCheckFlags) anchored(t tpm.Conn, b *baseline.Baseline) ([]eventlog.NamedCheck, error) {
	named := o.anchor
	if named == "" {
		named = b.Anchor
	}
	switch {
	case named == "":
		return nil, nil
	case t == nil:
		return []eventlog.NamedCheck{{Name: "anchor", Outcome: eventlog.NotProven, Text: "NV index " + named + " of the TPM, which is not open"}}, nil
	}
	index, err := baseline.ParseAnchor(named)
	if err != nil {
		return nil, err
	}
	digest, err := b.Digest()
	if err != nil {
		return nil, err
	}
	return []eventlog.NamedCheck{baseline.CheckAnchor(t, index, digest)}, nil
}
