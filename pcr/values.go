package pcr

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Hex is bytes that print as lower-case hex.
type Hex = eventlog.Hex

// Values are PCR values, bank by bank. Its JSON form is part of every schema of ours that carries PCRs.
type Values struct {
	Banks []BankValues `json:"banks"`
}

// BankValues are the values of one bank, PCRs ascending. A bank the TPM knows and has switched off has none.
type BankValues struct {
	Bank Bank
	PCRs []Value
}

// Value is the value of one PCR.
type Value struct {
	PCR    int `json:"pcr"`
	Digest Hex `json:"value"`
}

// bankJSON adds the number of the algorithm, for readers that know no names.
type bankJSON struct {
	Name string  `json:"name"`
	Alg  string  `json:"alg"`
	PCRs []Value `json:"pcrs"`
}

// MarshalJSON gives {"name":"sha256","alg":"0x000b","pcrs":[…]}.
func (b BankValues) MarshalJSON() ([]byte, error) {
	pcrs := b.PCRs
	if pcrs == nil {
		pcrs = []Value{}
	}
	return json.Marshal(bankJSON{b.Bank.String(), fmt.Sprintf("0x%04x", uint16(b.Bank)), pcrs})
}

// UnmarshalJSON accepts what MarshalJSON gives; the name alone says which bank it is. The numbers of PCRs are checked at
// once, because everything that looks at values counts with them.
func (b *BankValues) UnmarshalJSON(text []byte) error {
	var j bankJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	if err := b.Bank.UnmarshalText([]byte(j.Name)); err != nil {
		return err
	}
	b.PCRs = j.PCRs
	return b.inOrder()
}

// inOrder makes sure that the PCRs ascend and that a Set can hold them.
func (b *BankValues) inOrder() error {
	last := -1
	for _, p := range b.PCRs {
		if p.PCR <= last || p.PCR >= 32 {
			return fmt.Errorf("bank %s: PCR %d is out of order or out of range", b.Bank, p.PCR)
		}
		last = p.PCR
	}
	return nil
}

// bank returns the values of one bank, nil where there are none.
func (v *Values) bank(bank Bank) *BankValues {
	for i := range v.Banks {
		if v.Banks[i].Bank == bank {
			return &v.Banks[i]
		}
	}
	return nil
}

// Get returns one value, nil where v does not have it.
func (v *Values) Get(bank Bank, pcr int) Hex {
	if b := v.bank(bank); b != nil {
		if i, ok := b.find(pcr); ok {
			return b.PCRs[i].Digest
		}
	}
	return nil
}

// Set puts a value in its place.
func (v *Values) Set(bank Bank, pcr int, digest Hex) {
	b := v.bank(bank)
	if b == nil {
		v.Banks = append(v.Banks, BankValues{Bank: bank})
		b = &v.Banks[len(v.Banks)-1]
	}
	i, found := b.find(pcr)
	if !found {
		b.PCRs = slices.Insert(b.PCRs, i, Value{PCR: pcr})
	}
	b.PCRs[i].Digest = digest
}

func (b *BankValues) find(pcr int) (int, bool) {
	return slices.BinarySearchFunc(b.PCRs, pcr, func(v Value, n int) int { return cmp.Compare(v.PCR, n) })
}

// Replayed are the values a log leads to, those of PCRs it does not speak of at their reset value.
func Replayed(log *eventlog.Log) *Values {
	v := &Values{}
	for _, bank := range log.Replay().Banks {
		for n := range Count {
			value := eventlog.ResetValue(bank.Alg, n)
			if p := bank.PCR(n); p != nil {
				value = p.Value
			}
			v.Set(bank.Alg, n, value)
		}
	}
	return v
}

// ForLog gives the values in the shape that eventlog compares with; none give none.
func (v *Values) ForLog() eventlog.Values {
	if v == nil {
		return nil
	}
	values := make(eventlog.Values, len(v.Banks))
	for _, b := range v.Banks {
		values[b.Bank] = make(map[int]Hex, len(b.PCRs))
		for _, p := range b.PCRs {
			values[b.Bank][p.PCR] = p.Digest
		}
	}
	return values
}

// FromLog makes values of the shape that eventlog compares with, banks by number.
func FromLog(values eventlog.Values) *Values {
	v := &Values{Banks: []BankValues{}}
	for _, bank := range slices.Sorted(maps.Keys(values)) {
		for n, digest := range values[bank] {
			v.Set(bank, n, digest)
		}
	}
	return v
}

// Selection is what v has values of.
func (v *Values) Selection() Selection {
	var s Selection
	for _, b := range v.Banks {
		for _, p := range b.PCRs {
			s = s.With(b.Bank, SetOf(p.PCR))
		}
	}
	return s
}

// Only returns the values that s selects; an empty s selects all. A value that v does not have is an error.
func (v *Values) Only(s Selection) (*Values, error) {
	if len(s) == 0 {
		return v, nil
	}
	out := &Values{}
	for _, b := range s {
		for n := range b.PCRs.Each() {
			digest := v.Get(b.Bank, n)
			if digest == nil {
				return nil, fail.E(fail.BadInput, "there is no value of PCR %d in bank %s", n, b.Bank)
			}
			out.Set(b.Bank, n, digest)
		}
	}
	return out, nil
}

// Unmeasured lists the banks whose PCRs 0 to 7 all still have their reset value: firmware that does not know a bank
// leaves it so, and a secret bound to such a bank is bound to nothing.
func (v *Values) Unmeasured() []Bank {
	banks := []Bank{}
	for _, b := range v.Banks {
		firmware := 0
		for _, p := range b.PCRs {
			if p.PCR <= lastFirmware && bytes.Equal(p.Digest, eventlog.ResetValue(b.Bank, p.PCR)) {
				firmware++
			}
		}
		if firmware == lastFirmware+1 {
			banks = append(banks, b.Bank)
		}
	}
	return banks
}

// lastFirmware is the last of the PCRs that belong to the firmware (PFP section 3.3.4).
const lastFirmware = 7

// Check makes sure that foreign values are whole: each bank once, PCRs ascending and in range, digests of the bank's size.
func (v *Values) Check() error {
	var seen Selection
	for _, b := range v.Banks {
		if seen.names(b.Bank) {
			return fmt.Errorf("bank %s stands there twice", b.Bank)
		}
		seen = append(seen, BankSelection{Bank: b.Bank})
		if err := b.inOrder(); err != nil {
			return err
		}
		for _, p := range b.PCRs {
			if size := b.Bank.Size(); len(p.Digest) == 0 || size != 0 && len(p.Digest) != size {
				return fmt.Errorf("bank %s, PCR %d: the value has %d bytes, %d are right", b.Bank, p.PCR, len(p.Digest), size)
			}
		}
	}
	return nil
}
