package cmd

import (
	"errors"
	"fmt"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// sign signs b with --sign-with: in the TPM where that is a file of ak create.
func (o *protectFlags) sign(a *app, t tpm.Conn, b *baseline.Baseline) (err error) {
	if o.key == "" {
		return nil
	}
	text, err := b.Statement()
	if err != nil {
		return err
	}
	b.Signature = &baseline.Signature{}
	if f, akErr := a.readKeyFile(o.key); akErr == nil {
		b.Signature, err = signWithAK(t, f, text)
	} else {
		b.Signature, err = o.signWithFile(a, text)
	}
	return err
}

func signWithAK(t tpm.Conn, f *quote.KeyFile, text []byte) (s *baseline.Signature, err error) {
	key, err := f.Load(t)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, key.Flush(t)) }()
	fingerprint, err := f.Public().Fingerprint()
	if err != nil {
		return nil, err
	}
	signature, err := key.SignStatement(t, text)
	return &baseline.Signature{Key: fingerprint.String(), Value: signature}, err
}

func (o *protectFlags) signWithFile(a *app, text []byte) (*baseline.Signature, error) {
	data, err := a.readInput(o.key, maxKeyText)
	if err != nil {
		return nil, err
	}
	key, err := quote.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.key, err)
	}
	fingerprint, err := quote.Fingerprint(key.Public())
	if err != nil {
		return nil, err
	}
	signature, err := quote.SignStatement(key, a.Rand, text)
	return &baseline.Signature{Key: fingerprint.String(), Value: signature}, err
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
