package seal

import (
	"bytes"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Summary is what can be said of a sealed file without a TPM.
type Summary struct {
	Description string        `json:"description"`
	Block       *Block        `json:"block"` // null where another tool made the file
	Policy      []StepSummary `json:"policy"`
	PolicyFits  string        `json:"policy_fits"` // "yes": the steps lead to the policy of the object
	PIN         bool          `json:"pin"`
	Parent      string        `json:"parent"`
	Public      PublicSummary `json:"object"`
	Signed      []string      `json:"signed_policies"`
}

// StepSummary is one policy step.
type StepSummary struct {
	Command string        `json:"command"`
	PCRs    pcr.Selection `json:"pcrs,omitempty"`
	Digest  pcr.Hex       `json:"digest,omitempty"`
}

// PublicSummary is the public area of the object.
type PublicSummary struct {
	NameAlg      string  `json:"name_alg"`
	Policy       pcr.Hex `json:"auth_policy"`
	UserWithAuth bool    `json:"user_with_auth"` // the auth value alone opens it, whatever the PCRs hold
	NoDA         bool    `json:"no_da"`          // wrong auth values are not counted
	FixedTPM     bool    `json:"fixed_tpm"`
}

// The answers of Summary.PolicyFits.
const (
	fitsYes     = "yes"
	fitsNo      = "no"
	fitsUnknown = "unknown" // the file does not say its policy, or not all of it is known here
)

// Summary tells what f is, without a TPM.
func (f *File) Summary() (*Summary, error) {
	pub, err := f.Key.object()
	if err != nil {
		return nil, damaged(err)
	}
	a := pub.ObjectAttributes
	s := &Summary{
		Description: f.Key.Description, Block: f.Block, Policy: []StepSummary{}, PIN: f.NeedsPIN(), PolicyFits: f.fits(pub),
		Parent: handleText(f.Key.Parent), Signed: append([]string{}, f.Key.Signed...),
		Public: PublicSummary{bankOf(pub.NameAlg).String(), pub.AuthPolicy.Buffer, a.UserWithAuth, a.NoDA, a.FixedTPM},
	}
	for _, step := range f.Key.Policy {
		line := StepSummary{Command: tpm.CommandName(step.Command)}
		if step.Command == tpm2.TPMCCPolicyPCR {
			list, digest, err := step.pcrs(bankOf(pub.NameAlg).Size())
			if err == nil {
				line.PCRs, err = pcr.FromTPM(list)
			}
			if err != nil {
				return nil, damaged(err)
			}
			line.Digest = digest
		}
		s.Policy = append(s.Policy, line)
	}
	return s, nil
}

// fits tells whether the steps of the file lead to the policy digest that the TPM enforces, and whether the PCR values
// of our block lead there too.
func (f *File) fits(pub *tpm2.TPMTPublic) string {
	now := &pcr.Values{}
	if f.Block != nil {
		now = f.Block.Expected
	}
	p := f.policy(Opening{})
	d, err := p.digest(now)
	if err != nil || len(p.steps) == 0 && len(pub.AuthPolicy.Buffer) > 0 {
		return fitsUnknown
	}
	if len(p.steps) > 0 && !bytes.Equal(d, pub.AuthPolicy.Buffer) {
		return fitsNo
	}
	return fitsYes
}
