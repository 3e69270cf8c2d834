package pcr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Bank is a PCR bank, named by its hash algorithm.
type Bank = eventlog.Alg

// DefaultBank is the bank of a selection that names none.
const DefaultBank = eventlog.SHA256

// Selection says which PCRs of which banks are meant, in the order of a TPM's own lists: bank by bank as they were
// named, each bank once, PCRs ascending. The empty selection stands for every PCR of every active bank.
type Selection []BankSelection

// BankSelection is the part of a Selection in one bank.
type BankSelection struct {
	Bank Bank
	PCRs Set
}

// Of selects PCRs of one bank.
func Of(bank Bank, pcrs ...int) Selection { return Selection{{bank, SetOf(pcrs...)}} }

// maxSelection bounds the text of a selection, in bytes; the longest sensible one has a tenth of it.
const maxSelection = 4096

// ParseSelection reads the grammar of tpm2-tools, "sha256:0,7+sha384:all", and more: ranges "0-7", names of the UAPI
// registry ("secure-boot-policy"), a list without a bank (sha256), and "all" for all PCRs of all active banks. Case does
// not matter, nor do spaces around words. A bank named twice means the union.
func ParseSelection(text string) (Selection, error) {
	if len(text) > maxSelection {
		return nil, fail.E(fail.Usage, "a PCR selection of %d bytes is longer than %d", len(text), maxSelection)
	}
	if word := strings.TrimSpace(text); word == "" || strings.EqualFold(word, "all") {
		return nil, nil
	}
	p := selectionParser{text: text}
	at := 0
	for part := range strings.SplitSeq(text, "+") {
		if err := p.bank(part, at); err != nil {
			return nil, err
		}
		at += len(part) + len("+")
	}
	return p.out, nil
}

type selectionParser struct {
	text string
	out  Selection
}

// fault names the offending word and where it stands, counted from 1.
func (p *selectionParser) fault(word string, at int, what string) error {
	at += len(word) - len(strings.TrimLeft(word, " \t"))
	word = strings.TrimSpace(word)
	if word == "" {
		word, what = "", "is empty: a bank, a PCR or a name is missing"
	}
	return fail.E(fail.Usage, "PCR selection %q: %q at position %d %s", p.text, word, at+1, what).
		Hint("write it as sha256:0,7 or sha256:0-7+sha384:all; vtpmctl help pcrs lists the names")
}

// bank reads one part: "sha256:0,7", or a list alone.
func (p *selectionParser) bank(part string, at int) error {
	bank, list := DefaultBank, part
	if name, rest, ok := strings.Cut(part, ":"); ok {
		if bank, ok = parseBank(name); !ok {
			return p.fault(name, at, "is no bank: they are sha1, sha256, sha384, sha512, sm3_256")
		}
		list, at = rest, at+len(name)+len(":")
	} else if named, ok := parseBank(part); ok {
		return p.fault(part, at, fmt.Sprintf("names a bank and no PCRs: %s:all selects all of them", named))
	}
	var set Set
	for word := range strings.SplitSeq(list, ",") {
		pcrs, err := p.pcrs(word, at)
		if err != nil {
			return err
		}
		set |= pcrs
		at += len(word) + len(",")
	}
	p.out = p.out.With(bank, set)
	return nil
}

// pcrs reads "7", "0-7", a name, or "all".
func (p *selectionParser) pcrs(word string, at int) (Set, error) {
	if strings.EqualFold(strings.TrimSpace(word), "all") {
		return All, nil
	}
	if n, ok := ParsePCR(word); ok {
		return SetOf(n), nil
	}
	from, to, isRange := strings.Cut(word, "-")
	first, ok1 := ParsePCR(from)
	last, ok2 := ParsePCR(to)
	switch {
	case !isRange || !ok1 || !ok2:
		return 0, p.fault(word, at, fmt.Sprintf("is no PCR: they are 0 to %d and their names", Count-1))
	case first > last:
		return 0, p.fault(word, at, "is a range that runs backwards")
	}
	return SetOf(last)<<1 - SetOf(first), nil
}

// ParsePCR reads the number of a PCR or its name in the UAPI registry.
func ParsePCR(word string) (int, bool) {
	word = strings.TrimSpace(word)
	if n, err := strconv.ParseUint(word, 10, 8); err == nil {
		return int(n), n < Count
	}
	for _, u := range Usages() {
		if u.Name != "" && strings.EqualFold(u.Name, word) {
			return u.PCR, true
		}
	}
	return 0, false
}

func parseBank(name string) (Bank, bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "sm3" {
		return eventlog.SM3, true
	}
	return eventlog.ParseAlg(name)
}

// ParseBank reads the name of a bank.
func ParseBank(name string) (Bank, error) {
	if b, ok := parseBank(name); ok {
		return b, nil
	}
	return 0, fail.E(fail.Usage, "%q is no PCR bank", name).Hint("banks are sha1, sha256, sha384, sha512 and sm3_256")
}

// String is the canonical form, which tpm2-tools reads too: "sha256:0,7+sha384:all"; "all" for the empty selection.
func (s Selection) String() string {
	if len(s) == 0 {
		return "all"
	}
	parts := make([]string, len(s))
	for i, b := range s {
		parts[i] = b.Bank.String() + ":" + b.PCRs.String()
	}
	return strings.Join(parts, "+")
}

// MarshalText gives String.
func (s Selection) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSelection.
func (s *Selection) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSelection(string(text))
	return err
}

// In is the set of PCRs selected in bank.
func (s Selection) In(bank Bank) Set {
	for _, b := range s {
		if b.Bank == bank {
			return b.PCRs
		}
	}
	return 0
}

// Len is the number of PCR values selected.
func (s Selection) Len() (n int) {
	for _, b := range s {
		n += b.PCRs.Len()
	}
	return n
}

// With returns s and the PCRs of bank; s is unchanged.
func (s Selection) With(bank Bank, pcrs Set) Selection {
	out := slices.Clone(s)
	for i := range out {
		if out[i].Bank == bank {
			out[i].PCRs |= pcrs
			return out
		}
	}
	return append(out, BankSelection{bank, pcrs})
}

// Without returns what s selects and other does not, without the banks of which nothing is left.
func (s Selection) Without(other Selection) Selection {
	var out Selection
	for _, b := range s {
		if left := b.PCRs &^ other.In(b.Bank); left != 0 {
			out = append(out, BankSelection{b.Bank, left})
		}
	}
	return out
}

// bankNames lists the banks: "sha1, sha256".
func (s Selection) bankNames() string {
	names := make([]string, len(s))
	for i, b := range s {
		names[i] = b.Bank.String()
	}
	return strings.Join(names, ", ")
}

// Within returns what both s and other select.
func (s Selection) Within(other Selection) Selection {
	return s.Without(s.Without(other))
}

// having is one PCR in every bank of s that has it.
func (s Selection) having(pcr int) Selection {
	var all Selection
	for _, b := range s {
		all = append(all, BankSelection{b.Bank, SetOf(pcr)})
	}
	return all.Within(s)
}
