package cmd

import (
	"context"
	"io"

	"github.com/google/go-tpm/tpm2"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// protectFlags say how a baseline that is written is protected against change.
type protectFlags struct {
	key    string
	anchor string

	ownerFile string

	signer *signingKey // of key, once it was read
}

func (o *protectFlags) define(f *pflag.FlagSet) {
	f.StringVar(&o.key, "sign-with", "", "sign it with this key `FILE`: a private key in PEM, or the file of ak create")
	f.StringVar(&o.anchor, "anchor", "", "keep its digest in the TPM at this NV `INDEX`, such as 0x01800200")
	f.StringVar(&o.ownerFile, "owner-auth-file", "", "for --anchor: `FILE` with the owner password; - is stdin")
}

// named lets the index of --anchor be written, and spells it as baselines do, which are compared with it.
func (o *protectFlags) named([]string) ([]tpm2.TPMHandle, error) {
	if o.anchor == "" {
		return nil, nil
	}
	index, err := baseline.ParseAnchor(o.anchor)
	if err == nil {
		o.anchor = tpm.Hex(index).String()
	}
	return []tpm2.TPMHandle{index}, err
}

// needsTPM tells whether the TPM has to be there to sign or to anchor.
func (o *protectFlags) needsTPM(a *app) bool {
	if o.key == "" {
		return o.anchor != ""
	}
	k, err := o.signingKey(a)
	return o.anchor != "" || err == nil && k.ak != nil
}

// write signs, anchors and writes a baseline. The anchor comes last but one: a crash in between leaves a baseline that does
// not fit its anchor, and says so.
func (o *protectFlags) write(ctx context.Context, a *app, t tpm.Conn, b *baseline.Baseline, path string) error {
	b.Anchor = o.anchor
	if err := o.sign(a, t, b); err != nil {
		return err
	}
	text, err := b.Encode()
	if err != nil {
		return err
	}
	return file.Fill(path, file.Shared, true, func(w io.Writer) error {
		if _, err := w.Write(text); err != nil {
			return err
		}
		return o.writeAnchor(ctx, a, t, b)
	})
}

func (o *protectFlags) writeAnchor(ctx context.Context, a *app, t tpm.Conn, b *baseline.Baseline) error {
	if o.anchor == "" {
		return nil
	}
	index, err := baseline.ParseAnchor(o.anchor)
	if err != nil {
		return err
	}
	digest, err := b.Digest()
	if err != nil {
		return err
	}
	password, err := a.hierarchyAuth(ctx, t, o.ownerFile, "Owner password: ", func(s *tpm.State) bool { return s.OwnerAuthSet })
	if err != nil {
		return err
	}
	return baseline.WriteAnchor(t, index, digest, password)
}

// keepsProof makes sure that what vouched for the old baseline will vouch for the new one, and that the old one was genuine:
// accepting one event must not launder a file that somebody changed.
func (o *protectFlags) keepsProof(a *app, old *baseline.Baseline, t tpm.Conn) error {
	switch {
	case old.Signature != nil && o.key == "":
		return fail.E(fail.Usage, "the baseline is signed, and what changes it has to sign it anew").
			Hint("--sign-with names the key")
	case old.Anchor == "" && o.anchor != "":
		return fail.E(fail.Usage, "the baseline is not anchored, and accepting a change would vouch for all that is in it").
			Hint("vtpmctl baseline create --force --anchor %s makes one that is, once the machine is known to be good", o.anchor)
	case old.Anchor != o.anchor:
		return fail.E(fail.Usage, "the baseline is anchored at %s, and what changes it has to write that anchor", old.Anchor).
			Hint("--anchor %s", old.Anchor)
	}
	if o.key != "" {
		if err := o.signed(a, old); err != nil {
			return fail.E(fail.KindOf(err), "%w", err).
				Hint("vtpmctl baseline create --force --sign-with %s starts anew, once the machine is known to be good", o.key)
		}
	}
	if old.Anchor == "" {
		return nil
	}
	digest, err := old.Digest()
	if err != nil {
		return err
	}
	index, err := baseline.ParseAnchor(o.anchor)
	if err != nil {
		return err
	}
	if c := baseline.CheckAnchor(t, index, digest); c.Outcome != eventlog.Pass {
		return fail.E(fail.AnswerNo, "%s", c.Text).
			Hint("vtpmctl baseline create --force --anchor %s starts anew, once the machine is known to be good", o.anchor)
	}
	return nil
}
