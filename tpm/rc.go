package tpm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Explanation is what a response code says.
type Explanation struct {
	Code  string    `json:"code"`            // "0x99d"
	Name  string    `json:"name"`            // "TPM_RC_POLICY_FAIL"; "" when nobody gave it one
	Layer string    `json:"layer"`           // who says so: "tpm", a layer of tpm2-tss such as "esapi", "tbs", "linux"
	Where string    `json:"where,omitempty"` // "parameter 2", "handle 1", "session 1"
	Means string    `json:"means"`           // one sentence
	Kind  fail.Kind `json:"kind"`
	Hints []string  `json:"hints"`
}

// Words is the short form: name, code and position.
func (x Explanation) Words() string {
	words := x.Code
	if x.Where != "" {
		words += ", " + x.Where
	}
	if x.Name == "" || x.Name == x.Code { // no name, or an errno
		return words
	}
	return x.Name + " (" + words + ")"
}

// The bits of a TPM 2.0 response code (part 2, section 6.6.2).
const (
	rcFormat1   = 1 << 7
	rcParameter = 1 << 6  // format 1
	rcTPM20     = 1 << 8  // format 0: not a code of TPM 1.2
	rcVendor    = 1 << 10 // format 0
	rcWarning   = 1 << 11 // format 0
	rcSession   = 1 << 11 // format 1, without rcParameter
)

// Explain says what a code means that came back for command cc; a cc of zero is "any". It looks the pair up, then the
// code alone, then decodes the format; what has no name is said to have none. Codes of Windows' TPM Base Services and
// of the layers of tpm2-tss are understood too.
func Explain(cc tpm2.TPMCC, rc tpm2.TPMRC) Explanation {
	code := uint32(rc)
	switch _, windows := tbsCodes()[code]; {
	case windows, code>>16 == tbsFacility, code>>16 == tbsAPIFacility:
		return explainTBS(code)
	case code > 0xffff:
		return explainLayer(cc, code)
	}
	return explainTPM(cc, code)
}

func explainTPM(cc tpm2.TPMCC, code uint32) Explanation {
	base, where := splitPosition(code)
	x := Explanation{Code: fmt.Sprintf("0x%03x", code), Layer: "tpm", Where: where}
	entry, ok := tpmCodes()[base]
	if !ok {
		x.Kind, x.Means, x.Hints = fail.Failed, unnamed(code), []string{}
		return x
	}
	x.Name = "TPM_RC_" + entry.name
	if special, ok := commandCodes()[commandCode{cc, base}]; ok {
		entry = special
	}
	x.Means, x.Kind, x.Hints = entry.means, entry.kind, entry.hints()
	return x
}

// splitPosition takes the position of the fault out of a format-1 code. Position 0 is "not told".
func splitPosition(code uint32) (base uint32, where string) {
	if code&rcFormat1 == 0 {
		return code, ""
	}
	base = code &^ (rcParameter | 0xf00)
	n, subject := code>>8&0xf, "handle"
	switch {
	case code&rcParameter != 0:
		subject = "parameter"
	case code&rcSession != 0:
		n, subject = n&7, "session"
	}
	if n == 0 {
		return base, ""
	}
	return base, fmt.Sprintf("%s %d", subject, n)
}

// unnamed says what can be said of a code that no table has.
func unnamed(code uint32) string {
	switch {
	case code&rcFormat1 != 0:
		return fmt.Sprintf("format-1 code %#x, which the specification leaves unnamed", code&0x3f)
	case code&rcTPM20 == 0:
		return fmt.Sprintf("code %#x of TPM 1.2", code)
	case code&rcVendor != 0:
		return fmt.Sprintf("code %#x of the TPM's vendor", code&0x7f)
	case code&rcWarning != 0:
		return fmt.Sprintf("warning %#x, which the specification leaves unnamed", code&0x7f)
	}
	return fmt.Sprintf("error %#x, which the specification leaves unnamed", code&0x7f)
}

// tssLayers are the names that tpm2-tools prints before a code; the layer is in bits 16 to 23.
var tssLayers = map[uint32]string{
	6: "fapi", 7: "esapi", 8: "sys", 9: "mu", 10: "tcti", 11: "rmt", 12: "rm", 13: "policy",
}

func explainLayer(cc tpm2.TPMCC, code uint32) Explanation {
	layer, low := tssLayers[code>>16&0xff], code&0xffff
	entry, named := tssCodes()[low]
	switch {
	case code>>24 != 0 || layer == "":
		return Explanation{
			Code: fmt.Sprintf("0x%08x", code), Layer: "unknown", Kind: fail.Failed, Hints: []string{},
			Means: "no TPM, no layer of tpm2-tss and no part of Windows known here gives this code",
		}
	case !named || low >= rcFormat1: // the layers pass on the TPM's codes
		x := explainTPM(cc, low)
		x.Code, x.Layer = fmt.Sprintf("0x%08x", code), layer
		return x
	}
	return Explanation{
		Code: fmt.Sprintf("0x%08x", code), Name: "TSS2_" + strings.ToUpper(layer) + "_RC_" + entry.name, Layer: layer,
		Means: entry.means, Kind: entry.kind, Hints: entry.hints(),
	}
}

// Windows' facilities: the TPM and its services (0x28), and the TPM API of the platform crypto provider (0x29).
const (
	tbsFacility    = 0x8028
	tbsAPIFacility = 0x8029
)

func explainTBS(code uint32) Explanation {
	hex := fmt.Sprintf("0x%08x", code)
	if entry, ok := tbsCodes()[code]; ok {
		return Explanation{
			Code: hex, Name: entry.name, Layer: "tbs", Means: entry.means, Kind: entry.kind, Hints: entry.hints(),
		}
	}
	if low := code & 0xffff; code>>16 == tbsFacility && low >= rcFormat1 && low <= 0xfff { // TPM_20_E_…
		x := explainTPM(0, low)
		x.Code, x.Layer = hex, "tbs"
		return x
	}
	return Explanation{
		Code: hex, Layer: "tbs", Kind: fail.Failed, Hints: []string{},
		Means: "a code of Windows' TPM services that has no entry here",
	}
}

// LookUp explains what a user has in hand: a number in hex ("0x99d", "99d") or decimal ("2461"), a name with or without
// its prefix ("TPM_RC_POLICY_FAIL", "policy_fail", "TBS_E_TPM_NOT_FOUND") or an errno ("EBUSY").
func LookUp(s string) (Explanation, bool) {
	name := strings.ToUpper(strings.TrimSpace(s))
	if entry, ok := linuxErrors[name]; ok {
		return Explanation{
			Code: name, Name: entry.name, Layer: "linux", Means: entry.means, Kind: entry.kind, Hints: entry.hints(),
		}, true
	}
	for base, entry := range tpmCodes() {
		if short, _ := strings.CutPrefix(name, "TPM_RC_"); short == entry.name {
			return Explain(0, tpm2.TPMRC(base)), true
		}
	}
	for code, entry := range tbsCodes() {
		if entry.name == name {
			return explainTBS(code), true
		}
	}
	if code, ok := parseCode(name); ok {
		return Explain(0, tpm2.TPMRC(code)), true
	}
	return Explanation{}, false
}

// parseCode reads a number as tools print it: hex with or without 0x, decimal where only decimal digits occur and the
// number is the larger one (0x is how every tool prints a code of three digits), and Windows' negative decimals.
func parseCode(s string) (uint32, bool) {
	if digits, ok := strings.CutPrefix(s, "0X"); ok {
		n, err := strconv.ParseUint(digits, 16, 32)
		return uint32(n), err == nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= -1<<31 && n < 1<<32 {
		return uint32(n), true
	}
	n, err := strconv.ParseUint(s, 16, 32)
	return uint32(n), err == nil
}
