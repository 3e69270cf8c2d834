package seal

import (
	"bytes"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Step is one policy command and its parameters, in the encoding of draft-bottomley-tpm2-keys: what the command hashes
// into the policy, without the command code.
type Step struct {
	Command    tpm2.TPMCC
	Parameters []byte
}

// bankOf is the hash of an object's name and policy as a PCR bank, which is how package pcr calls hashes.
func bankOf(alg tpm2.TPMIAlgHash) pcr.Bank { return pcr.Bank(alg) }

// stepPCR demands that the PCRs of sel have the values digest is over.
func stepPCR(sel pcr.Selection, digest pcr.Hex) Step {
	return Step{tpm2.TPMCCPolicyPCR, append(tpm2.Marshal(sel.TPM(pcr.Count)), digest...)}
}

// stepPCRNow demands that the PCRs of sel have values that only the object's own policy knows.
func stepPCRNow(sel pcr.Selection) Step {
	return Step{tpm2.TPMCCPolicyPCR, append(tpm2.Marshal(tpm2.TPM2BDigest{}), tpm2.Marshal(sel.TPM(pcr.Count))...)}
}

// stepAuthValue demands the object's auth value, the PIN.
func stepAuthValue() Step { return Step{Command: tpm2.TPMCCPolicyAuthValue} }

// pcrs decodes a PolicyPCR step. The draft puts the digest behind the selection, without a size; pcr-oracle and GRUB
// have it before, as a TPM2B that may be empty. A selection starts with a count, so the two cannot be confused.
func (s Step) pcrs(digestSize int) (tpm2.TPMLPCRSelection, pcr.Hex, error) {
	r := wire.BE(s.Parameters)
	var list []byte
	var digest pcr.Hex
	if count := wire.BE(s.Parameters).U32(); count > 0 && count <= 16 {
		list = r.Bytes(r.Len() - digestSize)
		digest = r.Rest()
	} else {
		digest = r.Sized16()
		list = r.Rest()
	}
	if r.Err() != nil {
		return tpm2.TPMLPCRSelection{}, nil, fmt.Errorf("PolicyPCR: %w", r.Err())
	}
	sel, err := tpm2.Unmarshal[tpm2.TPMLPCRSelection](list)
	if err != nil {
		return tpm2.TPMLPCRSelection{}, nil, fmt.Errorf("PolicyPCR: %w", err)
	}
	return *sel, digest, nil
}

// policy is what opens an object.
type policy struct {
	alg   pcr.Bank // of the object's name
	steps []Step
}

// send runs the steps in a policy session: a tpm2.PolicyCallback.
func (p policy) send(t transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
	for _, s := range p.steps {
		if err := p.sendStep(t, session, s); err != nil {
			return err
		}
	}
	return nil
}

func (p policy) sendStep(t transport.TPM, session tpm2.TPMISHPolicy, s Step) (err error) {
	switch s.Command {
	case tpm2.TPMCCPolicyPCR:
		sel, _, decodeErr := s.pcrs(p.alg.Size())
		if decodeErr != nil {
			return decodeErr
		}
		// Without the digest the TPM takes the PCRs as they are and refuses the object later, which is one refusal to
		// explain instead of two.
		_, err = tpm2.PolicyPCR{PolicySession: session, Pcrs: sel}.Execute(t)
	case tpm2.TPMCCPolicyAuthValue, tpm2.TPMCCPolicyPassword:
		_, err = tpm2.PolicyAuthValue{PolicySession: session}.Execute(t)
	case tpm2.TPMCCPolicyCommandCode:
		_, err = tpm2.PolicyCommandCode{PolicySession: session, Code: tpm2.TPMCC(wire.BE(s.Parameters).U32())}.Execute(t)
	case tpm2.TPMCCPolicyOR:
		list, decodeErr := tpm2.Unmarshal[tpm2.TPMLDigest](s.Parameters)
		if decodeErr != nil {
			return fmt.Errorf("PolicyOR: %w", decodeErr)
		}
		_, err = tpm2.PolicyOr{PolicySession: session, PHashList: *list}.Execute(t)
	default:
		return unsupportedStep(s)
	}
	return err
}

func unsupportedStep(s Step) error {
	return fail.E(fail.Unsupported, "the policy of this file has a step that is not supported here: %s",
		tpm.CommandName(s.Command)).Hint("open the file with the tool that made it")
}

// digest is the policy digest the steps lead to when every condition is met, as the TPM computes it (part 3, section
// 23). A PolicyPCR step without a digest takes the values from now.
func (p policy) digest(now *pcr.Values) (pcr.Hex, error) {
	d := make(pcr.Hex, p.alg.Size())
	for _, s := range p.steps {
		command := wire.NewBE().U32(uint32(s.Command)).Out()
		switch s.Command {
		case tpm2.TPMCCPolicyPCR:
			list, digest, err := s.pcrs(p.alg.Size())
			if err != nil {
				return nil, err
			}
			if len(digest) == 0 {
				sel, err := pcr.FromTPM(list)
				if err != nil {
					return nil, err
				}
				if digest, err = now.Digest(p.alg, sel); err != nil {
					return nil, err
				}
			}
			d = pcr.PolicyPCR(p.alg, d, list, digest)
		case tpm2.TPMCCPolicyPassword: // counts as PolicyAuthValue (part 3, section 23.18)
			d = p.alg.Sum(d, wire.NewBE().U32(uint32(tpm2.TPMCCPolicyAuthValue)).Out())
		case tpm2.TPMCCPolicyAuthValue:
			d = p.alg.Sum(d, command)
		case tpm2.TPMCCPolicyCommandCode:
			d = p.alg.Sum(d, command, s.Parameters)
		case tpm2.TPMCCPolicyOR:
			list, err := tpm2.Unmarshal[tpm2.TPMLDigest](s.Parameters)
			if err != nil {
				return nil, fmt.Errorf("PolicyOR: %w", err)
			}
			var branches [][]byte
			for _, b := range list.Digests {
				branches = append(branches, b.Buffer)
			}
			d = p.alg.Sum(make([]byte, p.alg.Size()), command, bytes.Join(branches, nil))
		default:
			return nil, unsupportedStep(s)
		}
	}
	return d, nil
}

// selection is all PCRs that the steps look at.
func (p policy) selection() (pcr.Selection, error) {
	var all pcr.Selection
	for _, s := range p.steps {
		if s.Command != tpm2.TPMCCPolicyPCR {
			continue
		}
		list, _, err := s.pcrs(p.alg.Size())
		if err != nil {
			return nil, err
		}
		sel, err := pcr.FromTPM(list)
		if err != nil {
			return nil, err
		}
		for _, b := range sel {
			all = all.With(b.Bank, b.PCRs)
		}
	}
	return all, nil
}

// needsPIN tells whether a step demands the auth value.
func (p policy) needsPIN() bool {
	for _, s := range p.steps {
		if s.Command == tpm2.TPMCCPolicyAuthValue || s.Command == tpm2.TPMCCPolicyPassword {
			return true
		}
	}
	return false
}
