package pcr

import "bytes"

// Difference is a PCR that does not hold what was expected.
type Difference struct {
	Bank     Bank   `json:"bank"`
	PCR      int    `json:"pcr"`
	Name     string `json:"pcr_name"` // of the UAPI registry
	Measures string `json:"measures"` // what is measured into this PCR
	Expected Hex    `json:"expected"`
	Actual   Hex    `json:"actual"` // empty where there is no value: the bank is off, or was not read
}

// Compare lists where actual does not hold what is expected, in the order of expected. What expected does not mention
// is not compared. The list is never nil.
func Compare(expected, actual *Values) []Difference {
	diffs := []Difference{}
	for _, b := range expected.Banks {
		for _, p := range b.PCRs {
			if got := actual.Get(b.Bank, p.PCR); !bytes.Equal(got, p.Digest) {
				u := UsageOf(p.PCR)
				diffs = append(diffs, Difference{b.Bank, p.PCR, u.Name, u.Measures, p.Digest, got})
			}
		}
	}
	return diffs
}
