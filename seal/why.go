package seal

import (
	"bytes"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Verdict says whether a sealed file would open now, and if not, why.
type Verdict struct {
	Opens       bool             `json:"opens"` // as far as TPM and PCRs go: a PIN is not tried
	PIN         bool             `json:"pin"`
	Compared    pcr.Selection    `json:"compared"`
	Differences []pcr.Difference `json:"differences"`
	Parent      ParentVerdict    `json:"parent"`
}

// ParentVerdict says whether this TPM has the key the object was sealed under.
type ParentVerdict struct {
	Same     bool    `json:"same"`
	Handle   string  `json:"handle"`
	Expected pcr.Hex `json:"expected"`
	Actual   pcr.Hex `json:"actual"` // empty where the TPM has no such key
}

// Why compares what f was sealed to with what t holds. It tries no PIN and opens nothing.
func (f *File) Why(t tpm.Conn) (*Verdict, error) {
	if f.Block == nil {
		return nil, fail.E(fail.Unsupported, "another tool made this file, and it does not say what the PCRs held then").
			Hint("vtpmctl unseal tells whether the TPM still accepts it")
	}
	diffs, err := f.compare(t)
	if err != nil {
		return nil, err
	}
	v := &Verdict{
		PIN: f.NeedsPIN(), Compared: f.Block.Expected.Selection(), Differences: diffs,
		Parent: ParentVerdict{Handle: f.Block.Parent.Handle, Expected: f.Block.Parent.Name},
	}
	candidates, err := f.candidates(t)
	if err != nil {
		return nil, err
	}
	p, err := candidates[0]()
	switch {
	case err == nil:
		p.close(t)
		v.Parent.Actual = p.Name.Buffer
		v.Parent.Same = bytes.Equal(p.Name.Buffer, f.Block.Parent.Name)
	case fail.KindOf(err) != fail.WrongTPM:
		return nil, err
	}
	v.Opens = v.Parent.Same && len(diffs) == 0
	return v, nil
}

// compare lists the PCRs that do not hold what our block expects.
func (f *File) compare(t tpm.Sender) ([]pcr.Difference, error) {
	banks, err := pcr.Banks(t)
	if err != nil {
		return nil, err
	}
	actual, err := pcr.Read(t, f.Block.Expected.Selection().Within(banks))
	if err != nil {
		return nil, err
	}
	return pcr.Compare(f.Block.Expected, actual), nil
}
