package seal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Opening says how to open a sealed file.
type Opening struct {
	PIN  []byte        // nil where none is needed
	PCRs pcr.Selection // for files of tools that write no policy into them: the PCRs of the policy
}

// Payload is what the TPM gave out: the secret, or the key of its envelope. Clear it after use.
type Payload struct{ secret []byte }

// Clear overwrites the payload.
func (p *Payload) Clear() { clear(p.secret) }

// NeedsPIN tells whether opening takes a PIN.
func (f *File) NeedsPIN() bool {
	pub, err := f.Key.object()
	if err != nil {
		return false
	}
	return f.policy(Opening{}).needsPIN() || pub.ObjectAttributes.UserWithAuth && !f.Key.EmptyAuth
}

// NeedsPCRs tells whether the file does not say its own policy, so that Opening.PCRs has to.
func (f *File) NeedsPCRs() bool {
	pub, err := f.Key.object()
	return err == nil && len(f.Key.Policy) == 0 && !pub.ObjectAttributes.UserWithAuth
}

// policy is the policy of the object as far as the file or o tells it.
func (f *File) policy(o Opening) policy {
	alg := bankOf(nameAlg)
	if pub, err := f.Key.object(); err == nil {
		alg = bankOf(pub.NameAlg)
	}
	steps := f.Key.Policy
	if len(steps) == 0 && len(o.PCRs) > 0 {
		steps = []Step{stepPCRNow(o.PCRs)}
		if len(o.PIN) > 0 {
			steps = append(steps, stepAuthValue())
		}
	}
	return policy{alg, steps}
}

// Unseal has the TPM open the object of f.
func (f *File) Unseal(ctx context.Context, t tpm.Conn, o Opening) (*Payload, error) {
	if err := f.openable(o); err != nil {
		return nil, err
	}
	candidates, err := f.candidates(t)
	if err != nil {
		return nil, err
	}
	var secret []byte
	for _, make := range candidates {
		p, err2 := make()
		if err2 != nil {
			return nil, err2
		}
		secret, err = f.unsealUnder(ctx, t, p, o)
		p.close(t)
		if !errors.Is(err, errOtherParent) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return &Payload{secret}, nil
}

// openable refuses what cannot work before a TPM is troubled with it.
func (f *File) openable(o Opening) error {
	pub, err := f.Key.object()
	switch {
	case err != nil:
		return damaged(err)
	case pub.NameAlg != nameAlg:
		return fail.E(fail.Unsupported, "the object's name algorithm is %s, and only sha256 is supported", bankOf(pub.NameAlg))
	case f.NeedsPCRs() && len(o.PCRs) == 0:
		return fail.E(fail.Usage, "the file does not say which policy its object has").
			Hint("name the PCRs it was sealed to, for example --pcrs sha256:7")
	}
	if f.fits(pub) == fitsNo {
		return damaged(errors.New("policy: these steps do not lead to the policy of the object"))
	}
	for _, s := range f.Key.Policy {
		if _, err := (policy{bankOf(nameAlg), []Step{s}}).digest(&pcr.Values{}); fail.KindOf(err) == fail.Unsupported {
			return err
		}
	}
	return nil
}

// errOtherParent says that the object was made under another key than the one that was tried.
var errOtherParent = errors.New("the secret was sealed by another TPM, or by this one before it was cleared")

func (f *File) unsealUnder(ctx context.Context, t tpm.Conn, p parent, o Opening) ([]byte, error) {
	if f.Block != nil && string(p.Name.Buffer) != string(f.Block.Parent.Name) {
		return nil, f.wrongTPM(p, nil)
	}
	sessions, err := tpm.NewSessions(t, tpm.SessionOptions{Handle: p.Handle, PinnedName: p.Name.Buffer})
	if err != nil {
		return nil, err
	}
	defer sessions.Close()
	loaded, err := f.Key.load(t, p, sessions)
	switch {
	case tpm.MadeElsewhere(err):
		return nil, f.wrongTPM(p, err)
	case err != nil:
		return nil, err
	}
	defer loaded.close()
	pin, err := tpm.AuthValue(o.PIN)
	if err != nil {
		return nil, err
	}
	pol := f.policy(o)
	if len(pol.steps) > 0 && !pol.needsPIN() {
		pin = nil // or the session would be keyed with it, and the TPM's would not
	}
	var secret []byte
	err = tpm.Fresh(ctx, func() error {
		auth := sessions.HMAC(tpm.Out, pin)
		if len(pol.steps) > 0 {
			auth = sessions.Policy(tpm.Out, pin, pol.send)
		}
		secret, err = loaded.unseal(auth)
		return err
	})
	if err != nil {
		return nil, f.explain(ctx, t, pol, err)
	}
	return secret, nil
}

// wrongTPM says why the TPM cannot load the object.
func (f *File) wrongTPM(p parent, cause error) error {
	if f.Block != nil && cause != nil {
		return fail.E(fail.BadInput, "the TPM does not accept the object although it is the right TPM: the key file was altered").
			Because(cause).Hint("copy the sealed file again from where it came from")
	}
	e := fail.E(fail.WrongTPM, "%w", errOtherParent)
	if f.Block != nil {
		e = fail.E(fail.WrongTPM, "%w: its key is %s, and this TPM has %s", errOtherParent, f.Block.Parent.Name, pcr.Hex(p.Name.Buffer))
	}
	return e.Because(cause).Hint("use the TPM the secret was sealed on (--tpm), or a copy of the secret from elsewhere")
}

// explain says what a refusal to unseal means.
func (f *File) explain(ctx context.Context, t tpm.Conn, pol policy, err error) error {
	switch {
	case errors.Is(err, tpm2.TPMRCPolicyFail), errors.Is(err, tpm2.TPMRCValue):
		return f.mismatch(t, pol, err)
	case errors.Is(err, tpm2.TPMRCAuthFail), errors.Is(err, tpm2.TPMRCBadAuth):
		e := fail.E(fail.AuthRefused, "the PIN is wrong").Because(err)
		if c, probeErr := tpm.Probe(ctx, t); probeErr == nil && errors.Is(err, tpm2.TPMRCAuthFail) {
			e.Hint("%s", triesLeft(c.Lockout))
		}
		return e
	case errors.Is(err, tpm2.TPMRCLockout):
		e := fail.E(fail.Lockout, "the TPM takes no PIN now: too many wrong ones were tried").Because(err)
		if c, probeErr := tpm.Probe(ctx, t); probeErr == nil {
			e.Hint("%s", waitForTry(c.Lockout))
		}
		return e
	}
	return err
}

// mismatch names the PCRs that differ.
func (f *File) mismatch(t tpm.Conn, pol policy, cause error) error {
	e := fail.E(fail.PolicyMismatch, "the PCRs differ from those this secret was sealed to").Because(cause)
	if f.Block == nil {
		sel, _ := pol.selection() // the TPM has just taken it
		return e.Hint("the file does not say what %s held when it was made; vtpmctl pcr read %s shows what they hold now", sel, sel)
	}
	diffs, err := f.compare(t)
	switch {
	case err != nil:
		return e.Hint("they could not be read: %v", err)
	case len(diffs) == 0:
		return fail.E(fail.PolicyMismatch, "the TPM refuses the policy of this secret although its PCRs are those it was sealed to").Because(cause).
			Hint("the key file's policy was altered, or another program resets this TPM's sessions")
	}
	return fail.E(fail.PolicyMismatch, "the PCRs differ from those this secret was sealed to: %s", describe(diffs)).Because(cause).
		Hint("where the change is welcome, seal the secret again")
}

// describe puts differences into a sentence. More than three make no sentence.
func describe(diffs []pcr.Difference) string {
	const most = 3
	var parts []string
	for i, d := range diffs {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(diffs)-most))
			break
		}
		actual := d.Actual.String()
		if actual == "" {
			actual = "nothing, the bank is off"
		}
		parts = append(parts, fmt.Sprintf("%s PCR %d (%s: %s) expected %s, actual %s", d.Bank, d.PCR, d.Name, d.Measures, d.Expected, actual))
	}
	return strings.Join(parts, "; ")
}

// Content writes the secret to w: the payload itself, or what is decrypted with it. Every byte that reaches w is
// genuine; only when Content returns without an error are they all there. It reads the file to its end, or until ctx ends.
func (f *File) Content(ctx context.Context, p *Payload, w io.Writer) (int64, error) {
	if !f.enveloped() {
		n, err := w.Write(p.secret)
		return int64(n), err
	}
	n, err := decryptStream(w, until{ctx, newArmorReader(f.rest)}, p.secret, f.bound)
	if errors.Is(err, errEnvelope) {
		err = fail.E(fail.BadInput, "%w", err).Hint("copy the sealed file again from where it came from")
	}
	return n, err
}
