package pcr

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// maxReads bounds how often values are read again because a PCR changed meanwhile. IMA extends PCR 10 with every new
// file, so a busy system needs more than one try.
const maxReads = 10

// Banks returns the banks a TPM knows and the PCRs each of them has; a bank that is switched off has none
// (TPM_CAP_PCRS, part 3 section 30.2).
func Banks(t tpm.Sender) (Selection, error) {
	list, err := tpm.PCRBanks(t)
	if err != nil {
		return nil, err
	}
	return FromTPM(list)
}

// Active returns the part of banks that is switched on.
func (s Selection) Active() Selection { return s.Without(nil) }

// Read reads what sel selects, all active banks where it is empty, as one consistent picture: while the TPM's PCR
// update counter moves, everything is read again. PCRs that do not count (16, 21 to 23 as a rule) may move unseen.
// Banks that are switched off stand in the result without values where sel is empty, and are an error where sel names them.
func Read(t tpm.Sender, sel Selection) (*Values, error) {
	want := sel
	if len(sel) == 0 {
		banks, err := Banks(t)
		if err != nil {
			return nil, err
		}
		want = banks
	}
	for range maxReads {
		v, err := readOnce(t, want)
		if errors.Is(err, errMoved) {
			continue
		}
		if errors.Is(err, errAbsent) {
			return nil, absent(t, sel, err)
		}
		return v, err
	}
	return nil, fail.E(fail.Temporary, "the PCRs changed during each of %d attempts to read them", maxReads).
		Hint("select fewer PCRs: 10, which the kernel's integrity measurement extends, changes most")
}

var (
	errMoved  = errors.New("the PCRs changed while they were read")
	errAbsent = errors.New("the TPM has no such PCR")
)

// readOnce asks until everything wanted has come: a TPM answers with as many values as fit, 8 as a rule.
func readOnce(t tpm.Sender, want Selection) (*Values, error) {
	v := &Values{}
	for _, b := range want {
		v.Banks = append(v.Banks, BankValues{Bank: b.Bank})
	}
	left, counter, first := want.Active(), uint32(0), true
	for len(left) > 0 {
		rsp, err := tpm.ReadPCRs(t, left.TPM(Count))
		if errors.Is(err, tpm2.TPMRCHash) { // an algorithm the TPM does not know at all
			return nil, fmt.Errorf("%w: %w", errAbsent, err)
		}
		if err != nil {
			return nil, err
		}
		if !first && rsp.PCRUpdateCounter != counter {
			return nil, errMoved
		}
		first, counter = false, rsp.PCRUpdateCounter
		got, err := v.take(left, rsp)
		if err != nil {
			return nil, err
		}
		if got.Len() == 0 {
			return nil, fmt.Errorf("%w: %s", errAbsent, left)
		}
		left = left.Without(got)
	}
	return v, nil
}

// take puts the values of one answer in their places. The answer is foreign: it must hold what was asked and no more.
func (v *Values) take(asked Selection, rsp *tpm2.PCRReadResponse) (Selection, error) {
	got, err := FromTPM(rsp.PCRSelectionOut)
	if err != nil {
		return nil, err
	}
	if extra := got.Without(asked); len(extra) > 0 {
		return nil, fail.E(fail.BadInput, "the TPM answered with PCRs that were not asked for: %s", extra)
	}
	digests := rsp.PCRValues.Digests
	if len(digests) != got.Len() {
		return nil, fail.E(fail.BadInput, "the TPM answered with %d values for %d PCRs", len(digests), got.Len())
	}
	for _, b := range got {
		for n := range b.PCRs.Each() {
			v.Set(b.Bank, n, digests[0].Buffer)
			digests = digests[1:]
		}
	}
	if err := v.Check(); err != nil {
		return nil, fail.E(fail.BadInput, "the TPM's answer: %w", err)
	}
	return got, nil
}

// absent explains what the TPM lacks, by the banks it has.
func absent(t tpm.Sender, sel Selection, err error) error {
	banks, capErr := Banks(t)
	if capErr != nil {
		return capErr
	}
	active := banks.Active()
	for _, b := range sel {
		if active.In(b.Bank) == 0 {
			return noBank(b.Bank, banks)
		}
	}
	return fail.E(fail.Unsupported, "%w", err)
}

// noBank says whether a bank is off or unknown, and which ones there are.
func noBank(bank Bank, banks Selection) error {
	why := "this TPM has no bank %s"
	if banks.names(bank) {
		why = "bank %s is switched off in this TPM"
	}
	return fail.E(fail.Unsupported, why, bank).Hint("its active banks are %s", banks.Active().bankNames())
}
