package pcr

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WritePCRRead prints v exactly as tpm2_pcrread does, byte for byte.
func (v *Values) WritePCRRead(w io.Writer) error {
	var b strings.Builder
	for _, bank := range v.Banks {
		fmt.Fprintf(&b, "  %s:\n", bank.Bank)
		for _, p := range bank.PCRs {
			fmt.Fprintf(&b, "    %-2d: 0x%X\n", p.PCR, []byte(p.Digest))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// decodePCRRead reads what tpm2_pcrread prints. That is YAML, but of a shape that needs no YAML reader: a line with
// the bank, and a line for each PCR.
func decodePCRRead(text string) (*Values, error) {
	v := &Values{}
	bank := -1
	number := 0
	for line := range strings.Lines(text) {
		number++
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)
		switch {
		case key == "" && !ok, strings.HasPrefix(key, "#"), key == "---":
			continue
		case !ok:
			return nil, fmt.Errorf("line %d: neither a bank nor a PCR", number)
		case value == "":
			alg, known := parseBank(key)
			if !known {
				return nil, fmt.Errorf("line %d: %q is no PCR bank", number, key)
			}
			if v.bank(alg) != nil {
				return nil, fmt.Errorf("line %d: bank %s stands there twice", number, alg)
			}
			v.Banks = append(v.Banks, BankValues{Bank: alg})
			bank = len(v.Banks) - 1
			continue
		case bank < 0:
			return nil, fmt.Errorf("line %d: a PCR before any bank", number)
		}
		pcr, err := strconv.ParseUint(key, 10, 5)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is no PCR", number, key)
		}
		digest, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(value), "0x"))
		if err != nil {
			return nil, fmt.Errorf("line %d: PCR %d: %w", number, pcr, err)
		}
		if v.Get(v.Banks[bank].Bank, int(pcr)) != nil {
			return nil, fmt.Errorf("line %d: PCR %d stands there twice", number, pcr)
		}
		v.Set(v.Banks[bank].Bank, int(pcr), digest)
	}
	return v, nil
}
