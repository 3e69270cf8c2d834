package pcr

import (
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// minSelect is the size of the smallest bit map a PC Client TPM takes (TPM_PT_PCR_SELECT_MIN).
const minSelect = Count / 8

// TPM is s as a TPML_PCR_SELECTION for a TPM whose banks have count PCRs. Policies and quotes hash this very encoding:
// use Count, as all known software does.
func (s Selection) TPM(count int) tpm2.TPMLPCRSelection {
	var l tpm2.TPMLPCRSelection
	for _, b := range s {
		bits := make([]byte, max(minSelect, min((count+7)/8, 4)))
		for i := range bits {
			bits[i] = byte(b.PCRs >> (8 * i))
		}
		l.PCRSelections = append(l.PCRSelections, tpm2.TPMSPCRSelection{Hash: tpm2.TPMIAlgHash(b.Bank), PCRSelect: bits})
	}
	return l
}

// FromTPM reads a TPML_PCR_SELECTION that is foreign, such as a TPM's answer. Banks without a PCR stay in it, because
// they say which banks are switched off.
func FromTPM(l tpm2.TPMLPCRSelection) (Selection, error) {
	var s Selection
	for i, b := range l.PCRSelections {
		if s.names(Bank(b.Hash)) {
			return nil, fail.E(fail.BadInput, "PCR selection, entry %d: bank %s is named twice", i, Bank(b.Hash))
		}
		var set Set
		for j, bits := range b.PCRSelect {
			if j >= 4 && bits != 0 {
				return nil, fail.E(fail.BadInput, "PCR selection, entry %d: PCR numbers above 31", i)
			}
			set |= Set(bits) << (8 * j)
		}
		s = append(s, BankSelection{Bank(b.Hash), set})
	}
	return s, nil
}

func (s Selection) names(bank Bank) bool {
	for _, b := range s {
		if b.Bank == bank {
			return true
		}
	}
	return false
}
