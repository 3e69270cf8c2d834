package pcr

import (
	"bytes"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Digests are the digests of one event, by bank.
type Digests map[Bank]Hex

// ParseDigests reads digests that a user gave, each as "sha256:HEX".
func ParseDigests(words []string) (Digests, error) {
	d := Digests{}
	for _, word := range words {
		name, text, _ := strings.Cut(word, ":")
		bank, err := ParseBank(name)
		if err != nil {
			return nil, err
		}
		digest, err := hex.DecodeString(text)
		if err != nil || len(digest) != bank.Size() {
			return nil, fail.E(fail.Usage, "%q is no %s digest: that is %d hex digits", text, bank, 2*bank.Size())
		}
		if _, twice := d[bank]; twice {
			return nil, fail.E(fail.Usage, "there are two digests for bank %s", bank)
		}
		d[bank] = digest
	}
	return d, nil
}

// EventDigests hashes the data of an event for each bank of banks, as TPM2_PCR_Event does, but of any length.
func EventDigests(banks Selection, data io.Reader) (Digests, error) {
	hashes, writers := map[Bank]hash.Hash{}, []io.Writer{}
	for _, b := range banks {
		if !b.Bank.Known() {
			return nil, fail.E(fail.Unsupported, "bank %s: its hash is not known here", b.Bank).
				Hint("give the digest for each bank that you want to extend")
		}
		hashes[b.Bank] = b.Bank.New()
		writers = append(writers, hashes[b.Bank])
	}
	if _, err := io.Copy(io.MultiWriter(writers...), data); err != nil {
		return nil, err
	}
	d := Digests{}
	for bank, h := range hashes {
		d[bank] = h.Sum(nil)
	}
	return d, nil
}

// selection is one PCR in the banks of d.
func (d Digests) selection(pcr int) Selection {
	var s Selection
	for _, bank := range slices.Sorted(maps.Keys(d)) {
		s = s.With(bank, SetOf(pcr))
	}
	return s
}

// After is what a PCR of this value holds once digest was extended into it: H(value || digest).
func After(bank Bank, value, digest Hex) Hex { return bank.Sum(value, digest) }

// Extend extends one PCR in the banks of d, in one step. Banks that d does not name stay as they are.
func Extend(t tpm.Sender, pcr int, d Digests) error {
	var list tpm2.TPMLDigestValues
	for _, bank := range slices.Sorted(maps.Keys(d)) {
		list.Digests = append(list.Digests, tpm2.TPMTHA{HashAlg: tpm2.TPMIAlgHash(bank), Digest: d[bank]})
	}
	_, err := tpm2.PCRExtend{PCRHandle: handle(pcr), Digests: list}.Execute(t)
	return localityError(err, pcr, "extended")
}

// handle is a PCR with its auth value, which is empty as long as nobody gave it one.
func handle(pcr int) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)}
}

// localityError says what TPM_RC_LOCALITY means for a PCR (PTP, "PCR Attributes").
func localityError(err error, pcr int, verb string) error {
	if !errors.Is(err, tpm2.TPMRCLocality) {
		return err
	}
	return fail.E(fail.Unsupported, "PCR %d cannot be %s by the operating system", pcr, verb).Because(err)
}

// Change is what an extend or a reset does to one PCR.
type Change struct {
	PCR     int          `json:"pcr"`
	Name    string       `json:"pcr_name"`
	Changed bool         `json:"changed"`
	Banks   []BankChange `json:"banks"`
	digests Digests
}

// BankChange is a Change in one bank.
type BankChange struct {
	Bank   Bank `json:"bank"`
	Digest Hex  `json:"digest"` // that it is extended by; empty for a reset
	Before Hex  `json:"before"`
	After  Hex  `json:"after"`
}

// Foresee says what extending one PCR will do, and does nothing.
func Foresee(t tpm.Sender, pcr int, d Digests) (*Change, error) {
	sel := d.selection(pcr)
	if len(sel) == 0 { // which stands for everything to Read
		return nil, noBankHas(pcr)
	}
	before, err := Read(t, sel)
	if err != nil {
		return nil, err
	}
	c := &Change{PCR: pcr, Name: UsageOf(pcr).Name, digests: d}
	for _, b := range before.Banks {
		value, digest := b.PCRs[0].Digest, d[b.Bank]
		c.Banks = append(c.Banks, BankChange{b.Bank, digest, value, After(b.Bank, value, digest)})
	}
	return c, nil
}

// Extend does what was foreseen. After becomes what the TPM says: another program may have extended as well.
func (c *Change) Extend(t tpm.Sender) error {
	if err := Extend(t, c.PCR, c.digests); err != nil {
		return err
	}
	return c.settle(t, c.digests.selection(c.PCR))
}

// Reset sets one PCR back to zero in all banks. The operating system may do that to 16 and 23 alone.
func Reset(t tpm.Sender, pcr int) (*Change, error) {
	banks, err := Banks(t)
	if err != nil {
		return nil, err
	}
	c := &Change{PCR: pcr, Name: UsageOf(pcr).Name, Banks: []BankChange{}}
	sel := banks.having(pcr)
	if len(sel) == 0 {
		return nil, noBankHas(pcr)
	}
	before, err := Read(t, sel)
	if err != nil {
		return nil, err
	}
	for _, b := range before.Banks {
		c.Banks = append(c.Banks, BankChange{Bank: b.Bank, Before: b.PCRs[0].Digest})
	}
	if _, err := (tpm2.PCRReset{PCRHandle: handle(pcr)}).Execute(t); err != nil {
		return nil, localityError(err, pcr, "reset")
	}
	return c, c.settle(t, sel)
}

func noBankHas(pcr int) error {
	return fail.E(fail.Unsupported, "no bank of this TPM that is switched on has PCR %d", pcr).Hint("vtpmctl info lists the banks")
}

// settle reads what the PCR holds now.
func (c *Change) settle(t tpm.Sender, sel Selection) error {
	after, err := Read(t, sel)
	if err != nil {
		return err
	}
	for i := range c.Banks {
		b := &c.Banks[i]
		b.After = after.Get(b.Bank, c.PCR)
		c.Changed = c.Changed || !bytes.Equal(b.Before, b.After)
	}
	return nil
}
