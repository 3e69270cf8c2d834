package eventlog

import (
	"fmt"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Engine is what Intel's converged security engine (CSME) reports of itself in EV_NONHOST events.
type Engine struct {
	Report  string         `json:"report"` // "measurements", "state" or "remote management"
	Facts   []string       `json:"facts"`  // of a state: what is the case
	Records []EngineRecord `json:"records"`
}

// EngineRecord is one of the engine's measurements.
type EngineRecord struct {
	What string `json:"what"`
	Part string `json:"part"`
	Data Hex    `json:"data"`
}

// Kind of the engine's reports.
func (*Engine) Kind() string { return "intel_csme" }

func (e *Engine) String() string {
	text := "Intel CSME " + e.Report
	if len(e.Facts) > 0 {
		text += ": " + strings.Join(e.Facts, ", ")
	}
	for i, r := range e.Records {
		if i == 8 {
			return fmt.Sprintf("%s, and %d more", text, len(e.Records)-i)
		}
		text += map[bool]string{true: ": ", false: ", "}[i == 0] + r.What + " of " + r.Part
	}
	return text
}

// engineParts are the parts whose manifests are measured, by number.
var engineParts = map[uint8]string{
	2: "PMC", 3: "RBE", 5: "root of trust key", 6: "TCSS IOM", 7: "TCSS PHY", 8: "TCSS TBT", 13: "Synopsys PHY", 14: "PCHC", 15: "IDLM",
	16: "ISI", 17: "SAM firmware", 18: "SAM PHY", 33: "IUNIT boot loader", 35: "audio DSP", 41: "OEM ISH", 45: "OEM key", 58: "OEM ISI",
	192: "ESE", 193: "DMU", 194: "PUNIT", 195: "ESE++", 196: "SOC PMC", 197: "SOC firmware", 198: "SOC Synopsys PHY",
}

// engineSettings are the parts of its configuration, by number.
var engineSettings = map[uint8]string{0: "security parameters", 2: "OEM capabilities", 3: "operation mode", 4: "SKU"}

var engineWhat = []string{"manifest", "further manifest", "version", "setting"}

// maxEngineRecords bounds the records of one event; each has at least eight bytes.
const maxEngineRecords = 256

// decodeEngine reads one of three forms by its signature of 20 bytes.
func decodeEngine(data []byte) (Decoded, error) {
	r := wire.LE(data)
	e := &Engine{Facts: []string{}, Records: []EngineRecord{}}
	switch cString(r.Bytes(20)) {
	case "IntelCSxEEvent01":
		e.Report = "measurements"
		r.U32() // algorithm of the engine's own register
		for r.Len() > 0 && len(e.Records) < maxEngineRecords {
			e.record(r)
		}
	case "IntelCSxEInfoEvent":
		e.Report = "state"
		r.U32() // version
		vendor, device := r.U16(), r.U16()
		e.Facts = append(e.Facts, fmt.Sprintf("device %04x:%04x", vendor, device))
		e.flags(r.U32(), "hardware root of trust", "invalid state", "measurement not trusted", "measurement invalid", "its log is not available")
	case "IntelCSMEAmtConfig":
		e.Report = "remote management"
		r.U32() // length
		e.flags(uint32(r.U16()), "enabled", "password set", "provisioned", "enterprise mode", "zero touch", "", "", "", "KVM", "serial over LAN", "USB redirection")
	default:
		return opaque(data), nil
	}
	return e, r.Err()
}

// flags names the bits that are set.
func (e *Engine) flags(bits uint32, names ...string) {
	for i, name := range names {
		if name != "" && bits&(1<<i) != 0 {
			e.Facts = append(e.Facts, name)
		}
	}
}

func (e *Engine) record(r *wire.Reader) {
	what, part := r.U8(), r.U8()
	r.U16()
	data := r.Sized32()
	if r.Err() != nil {
		return
	}
	names := engineParts
	if int(what) == len(engineWhat)-1 {
		names = engineSettings
	}
	record := EngineRecord{What: fmt.Sprintf("record %d", what), Part: names[part], Data: Hex(data[:min(len(data), maxOpaque)])}
	if int(what) < len(engineWhat) {
		record.What = engineWhat[what]
	}
	if record.Part == "" {
		record.Part = fmt.Sprintf("part %d", part)
	}
	e.Records = append(e.Records, record)
}
