// Package seal binds secrets to the state of a TPM's PCRs and opens them again. Sealed files are ASN.1 key files that
// other tools read too, with a block of ours beside. The package talks to the TPM it is given and reads and writes
// the streams it is given; it opens nothing and prints nothing.
package seal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Plan says how a secret is to be sealed.
type Plan struct {
	PCRs        pcr.Selection // the secret opens while these have the values they have now
	Values      *pcr.Values   // or these, foretold for a later boot; nil for those of now
	PIN         []byte        // and this PIN is given; nil for none
	Description string        // free text for whoever finds the file
	Now         time.Time
	Rand        io.Reader
}

// DefaultPCRs is what a secret is sealed to if nobody says otherwise: the Secure Boot policy, which updates of kernel
// and boot loader leave alone.
func DefaultPCRs() pcr.Selection { return pcr.Of(pcr.DefaultBank, 7) }

// Receipt says what was sealed, and what was tried right after.
type Receipt struct {
	Selection   pcr.Selection `json:"pcrs"`
	Expected    *pcr.Values   `json:"expected"`
	PIN         bool          `json:"pin"`
	Bytes       int64         `json:"bytes"`
	Enveloped   bool          `json:"enveloped"` // the content is encrypted beside the object
	Parent      Parent        `json:"parent"`
	Description string        `json:"description"`
	Emulated    bool          `json:"emulated"`
	Checks      []Check       `json:"checks"`
}

// Check is one thing that was tried with the fresh object.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"` // always "pass": a failure is an error, and nothing is written
}

// Limits of what goes into a TPM object.
const (
	maxInTPM = 128 // MAX_SYM_DATA (part 2, section 11.1.9)
	maxPIN   = 32  // an auth value is no longer than the digest of the name algorithm (part 1, section 19.6.4.2)
)

// nameAlg is the hash of our objects' names and policies.
const nameAlg = tpm2.TPMAlgSHA256

// Seal reads a secret from src, seals it, tries the result, and writes a sealed file to dst.
func Seal(ctx context.Context, t tpm.Conn, plan Plan, src io.Reader, dst io.Writer) (*Receipt, error) {
	pin, err := plan.check()
	if err != nil {
		return nil, err
	}
	src = until{ctx, src}
	head, err := readHead(src)
	if err != nil {
		return nil, err
	}
	defer clear(head)
	payload := head
	enveloped := len(head) > maxInTPM
	if enveloped {
		payload = make([]byte, envelopeKeySize)
		defer clear(payload)
		if _, err := io.ReadFull(plan.Rand, payload); err != nil {
			return nil, err
		}
	}
	s := sealer{ctx: ctx, t: t, plan: plan, pin: pin}
	key, block, err := s.object(payload)
	if err != nil {
		return nil, err
	}
	if enveloped {
		block.Content = envelopeCipher
	}
	bound, err := writeHead(dst, key, block)
	if err != nil {
		return nil, err
	}
	r := &Receipt{
		Selection: plan.PCRs, Expected: block.Expected, PIN: len(pin) > 0, Bytes: int64(len(head)), Enveloped: enveloped,
		Parent: block.Parent, Description: plan.Description, Emulated: block.Emulated, Checks: s.checks,
	}
	if enveloped {
		counted := &counter{r: io.MultiReader(bytes.NewReader(head), src)}
		armor := newArmorWriter(dst)
		if err := encryptStream(armor, counted, payload, bound); err != nil {
			return nil, err
		}
		r.Bytes = counted.n
		err = armor.Close()
	}
	return r, err
}

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// readHead reads as much as fits a TPM object, and a byte more if there is one.
func readHead(src io.Reader) ([]byte, error) {
	head := make([]byte, maxInTPM+1)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if n == 0 {
		return nil, fail.E(fail.BadInput, "the secret is empty").Hint("name a file that is not, or pipe something in")
	}
	return head[:n], nil
}

// check looks at what the user chose.
func (p Plan) check() (pin []byte, err error) {
	if p.PCRs.Len() == 0 {
		return nil, fail.E(fail.Usage, "sealing to all PCRs of all banks would never open again").
			Hint("choose, for example --pcrs sha256:7 or --pcrs sha256:4,7,9")
	}
	if p.PIN == nil {
		return nil, nil
	}
	pin, err = tpm.AuthValue(p.PIN)
	switch {
	case err != nil:
		return nil, err
	case len(pin) == 0:
		return nil, fail.E(fail.Usage, "the PIN is empty").Hint("leave out the PIN options to seal without one")
	case len(pin) > maxPIN:
		return nil, fail.E(fail.BadInput, "the PIN has %d bytes, and a TPM takes %d at most", len(pin), maxPIN)
	}
	return pin, nil
}

// sealer makes one sealed object.
type sealer struct {
	ctx    context.Context
	t      tpm.Conn
	plan   Plan
	pin    []byte
	later  bool // the PCRs do not have the values yet that the object demands
	checks []Check
}

// object seals payload into a new object and tries it.
func (s *sealer) object(payload []byte) (*KeyFile, *Block, error) {
	p, err := parentForSealing(s.t)
	if err != nil {
		return nil, nil, err
	}
	defer p.close(s.t)
	sessions, err := tpm.NewSessions(s.t, tpm.SessionOptions{Handle: p.Handle, PinnedName: p.Name.Buffer})
	if err != nil {
		return nil, nil, err
	}
	defer sessions.Close()
	values, err := pcr.Read(s.t, s.plan.PCRs)
	if err != nil {
		return nil, nil, err
	}
	if s.plan.Values != nil {
		foretold, err := s.plan.Values.Only(s.plan.PCRs)
		if err != nil {
			return nil, nil, err
		}
		s.later = len(pcr.Compare(foretold, values)) > 0
		values = foretold
	}
	k := &KeyFile{EmptyAuth: len(s.pin) == 0, Description: s.plan.Description, Parent: p.Handle}
	if p.transient {
		k.Parent, k.RSAParent = tpm2.TPMRHOwner, p.Public.Type == tpm2.TPMAlgRSA
	}
	if err := s.create(k, p, sessions, values, payload); err != nil {
		return nil, nil, err
	}
	if err := s.try(k, p, sessions, payload); err != nil {
		return nil, nil, err
	}
	return k, &Block{
		Schema: Schema, Created: s.plan.Now.UTC().Truncate(time.Second), Emulated: s.t.Origin().Emulated, Expected: values,
		Parent: Parent{handleText(k.Parent), p.Name.Buffer, p.template}, Content: contentInTPM,
	}, nil
}

// create has the TPM make the object and puts its parts in k.
func (s *sealer) create(k *KeyFile, p parent, sessions *tpm.Sessions, values *pcr.Values, payload []byte) error {
	digest, err := values.Digest(bankOf(nameAlg), s.plan.PCRs)
	if err != nil {
		return err
	}
	k.Policy = []Step{stepPCR(s.plan.PCRs, digest)}
	if len(s.pin) > 0 {
		k.Policy = append(k.Policy, stepAuthValue())
	}
	authPolicy, err := policy{bankOf(nameAlg), k.Policy}.digest(nil)
	if err != nil {
		return err
	}
	rsp, err := tpm2.Create{
		ParentHandle: p.authorized(sessions, tpm.In),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: s.pin},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: payload}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type:    tpm2.TPMAlgKeyedHash,
			NameAlg: nameAlg,
			// userWithAuth stays clear: with it, the auth value alone would open the object, whatever the PCRs hold. An
			// object without a PIN has nothing to guess, and must not lock the TPM when something else is guessed at.
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: len(s.pin) == 0},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: authPolicy},
		}),
	}.Execute(s.t)
	if err != nil {
		return err
	}
	k.Public, k.Private = tpm2.Marshal(rsp.OutPublic), tpm2.Marshal(rsp.OutPrivate)
	return nil
}

// try loads the new object and makes sure of three things: that it cannot be opened by its auth value alone, nor in a
// policy session in which nothing was proved, and that it opens now; or not yet, if it was sealed to values to come.
func (s *sealer) try(k *KeyFile, p parent, sessions *tpm.Sessions, payload []byte) error {
	o, err := k.load(s.t, p, sessions)
	if err != nil {
		return err
	}
	defer o.close()
	empty := policy{alg: bankOf(nameAlg)}
	for _, c := range []struct {
		name string
		auth tpm2.Session
	}{
		{"refused without the policy", sessions.HMAC(tpm.Out, nil)},
		{"refused with an empty policy", sessions.Policy(tpm.Out, nil, empty.send)},
	} {
		secret, err := o.unseal(c.auth)
		clear(secret)
		if err == nil {
			return fail.E(fail.Unsupported, "this TPM opens a sealed object although its policy is not met; nothing was sealed").
				Hint("do not trust this TPM with secrets")
		}
		if !refusal(err) {
			return err
		}
		s.checks = append(s.checks, Check{c.name, "pass"})
	}
	var secret []byte
	err = tpm.Fresh(s.ctx, func() error {
		secret, err = o.unseal(sessions.Policy(tpm.Out, s.pin, policy{bankOf(nameAlg), k.Policy}.send))
		return err
	})
	defer clear(secret)
	switch {
	case s.later && (refusal(err) || errors.Is(err, tpm2.TPMRCValue)): // PolicyPCR compares at once (part 3, section 23.7)
		s.checks = append(s.checks, Check{"refused until the PCRs have these values", "pass"})
		return nil
	case s.later && err == nil:
		return fail.E(fail.Temporary, "the PCRs of %s got the foretold values while the secret was being sealed", s.plan.PCRs)
	case errors.Is(err, tpm2.TPMRCPolicyFail):
		return fail.E(fail.Temporary, "a PCR of %s changed while the secret was being sealed", s.plan.PCRs).Because(err).
			Hint("run the command again, or leave out the PCR that keeps changing")
	case err != nil:
		return err
	case !slices.Equal(secret, payload):
		return fail.E(fail.Failed, "the TPM gave back something else than was sealed")
	}
	s.checks = append(s.checks, Check{"opens now", "pass"})
	return nil
}

// refusal tells a TPM that says no from one that could not answer.
func refusal(err error) bool {
	for _, rc := range []tpm2.TPMRC{tpm2.TPMRCAuthUnavailable, tpm2.TPMRCPolicyFail, tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthType} {
		if errors.Is(err, rc) {
			return true
		}
	}
	return false
}
