package pcr

import (
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Digest is the hash, under alg, of the values sel selects, in the order of the selection: what a quote calls pcrDigest
// and a policy digestTPM (part 3, section 23.7).
func (v *Values) Digest(alg Bank, sel Selection) (Hex, error) {
	chosen, err := v.Only(sel)
	if err != nil {
		return nil, err
	}
	var parts [][]byte
	for _, b := range chosen.Banks {
		for _, p := range b.PCRs {
			parts = append(parts, p.Digest)
		}
	}
	return alg.Sum(parts...), nil
}

// PolicyPCR extends a policy digest, as TPM2_PolicyPCR does (part 3, section 23.7):
// H(old || TPM_CC_PolicyPCR || pcrs || digestTPM). Where old is empty the policy starts here.
func PolicyPCR(alg Bank, old Hex, pcrs tpm2.TPMLPCRSelection, digestTPM Hex) Hex {
	if len(old) == 0 {
		old = make(Hex, alg.Size())
	}
	command := wire.NewBE().U32(uint32(tpm2.TPMCCPolicyPCR)).Out()
	return alg.Sum(old, command, tpm2.Marshal(pcrs), digestTPM)
}
