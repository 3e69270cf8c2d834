package eventlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Decoded is what an event's data says. Its fields are the JSON form; String is one line for a person. Text in it is as
// raw as the log.
type Decoded interface {
	Kind() string // stable, such as "efi_variable"
	String() string
}

// Decode reads the event's data. It never returns nil: what does not decode comes back as Opaque, what decodes in part
// comes back as far as it went, and the error says why.
func (e *Event) Decode() (Decoded, error) {
	if d, err := e.decodeContent(); d != nil {
		return d, err
	}
	if e.Type == EVNoAction {
		return decodeNoAction(e)
	}
	decode := decoders[e.Type]
	switch {
	case decode != nil:
		return decode(e)
	case e.Type.Known() && len(e.Data) == 4: // TXT's and AMD's are numbers as a rule
		return decodeCompactHash(e)
	}
	return decodeText(e)
}

// decoders has one decoder per event type; EV_NO_ACTION goes by signature, and CEL contents by their own type.
var decoders = map[EventType]func(*Event) (Decoded, error){
	EVSeparator:               decodeSeparator,
	EVAction:                  decodeText,
	EVEFIAction:               decodeText,
	EVOmitBootDeviceEvents:    decodeText,
	EVSCRTMVersion:            decodeCRTMVersion,
	EVSCRTMContents:           decodeBlob,
	EVPostCode:                decodeBlob,
	EVPostCode2:               decodeBlob,
	EVEFIFirmwareBlob:         decodeBlob,
	EVEFIFirmwareBlob2:        decodeBlob,
	EVEFIHCRTMEvent:           decodeText,
	EVCPUMicrocode:            decodeBlob,
	EVPlatformConfigFlags:     decodeText,
	EVTableOfDevices:          decodeText,
	EVNonhostCode:             decodeNonhost,
	EVNonhostConfig:           decodeNonhost,
	EVNonhostInfo:             decodeNonhost,
	EVCompactHash:             decodeCompactHash,
	EVEventTag:                decodeTagged,
	EVIPL:                     decodeIPL,
	EVIPLPartitionData:        decodeText,
	EVEFIVariableDriverConfig: decodeVariable,
	EVEFIVariableBoot:         decodeVariable,
	EVEFIVariableBoot2:        decodeVariable,
	EVEFIVariableAuthority:    decodeVariable,
	EVEFIBootServicesApp:      decodeImageLoad,
	EVEFIBootServicesDriver:   decodeImageLoad,
	EVEFIRuntimeDriver:        decodeImageLoad,
	EVEFIGPTEvent:             decodeGPT,
	EVEFIGPTEvent2:            decodeGPT,
	EVEFIHandoffTables:        decodeHandoff,
	EVEFIHandoffTables2:       decodeHandoff,
	EVEFISPDMFirmwareBlob:     decodeSPDM,
	EVEFISPDMFirmwareConfig:   decodeSPDM,
	EVEFISPDMDevicePolicy:     decodeVariable,
	EVEFISPDMDeviceAuthority:  decodeVariable,
}

// Opaque is data without a decoder, or data its decoder rejected.
type Opaque struct {
	Text string `json:"text,omitempty"` // where all of it is printable
	Size int    `json:"size"`
	Data Hex    `json:"data,omitempty"` // at most maxOpaque bytes
}

// maxOpaque bounds the bytes of an Opaque: enough to recognise, not to copy.
const maxOpaque = 64

// Kind of data nobody here understands.
func (Opaque) Kind() string { return "opaque" }

func (o Opaque) String() string {
	switch {
	case o.Text != "":
		return o.Text
	case o.Size == 0:
		return "(no data)"
	case o.Size > len(o.Data):
		return fmt.Sprintf("%s… (%d bytes)", o.Data, o.Size)
	}
	return o.Data.String()
}

func opaque(data []byte) Opaque {
	if text, ok := printable(data); ok && len(data) > 0 {
		return Opaque{Text: text, Size: len(data)}
	}
	return Opaque{Size: len(data), Data: Hex(data[:min(len(data), maxOpaque)])}
}

// Text is data that is a string.
type Text struct {
	Text string `json:"text"`
}

// Kind of plain text.
func (Text) Kind() string { return "text" }

func (t Text) String() string { return t.Text }

func decodeText(e *Event) (Decoded, error) {
	if text, ok := anyText(e.Data); ok {
		return Text{Text: text}, nil
	}
	return opaque(e.Data), nil
}

// Separator ends the firmware's measurements into a PCR.
type Separator struct {
	Value uint32 `json:"value"`
	Text  string `json:"text,omitempty"` // the error behind a separator of value 1, or Windows' "WBCL"
	Error bool   `json:"error"`          // the firmware reported an error: the digest is that of the number 1
}

// Kind of separators.
func (Separator) Kind() string { return "separator" }

func (s Separator) String() string {
	switch {
	case s.Error:
		return "separator after a firmware error: " + s.Text
	case s.Text != "":
		return "separator " + s.Text
	}
	return fmt.Sprintf("separator 0x%08x", s.Value)
}

func decodeSeparator(e *Event) (Decoded, error) {
	text, _ := anyText(e.Data)
	if e.measuresError() {
		return Separator{Value: 1, Error: true, Text: text}, nil
	}
	if len(e.Data) != 4 {
		return Separator{Text: text}, fmt.Errorf("a separator has 4 bytes, not %d", len(e.Data))
	}
	return Separator{Value: binary.LittleEndian.Uint32(e.Data), Text: text}, nil
}

// measuresError tells whether the digest is that of the number 1, whatever text stands beside it (PFP, "EV_SEPARATOR").
func (e *Event) measuresError() bool {
	one := []byte{1, 0, 0, 0}
	for d := range e.Digests.All() {
		if d.Alg.Known() {
			return d.Alg.fits(one, d.Value)
		}
	}
	return false
}

// Version is the version of the S-CRTM: text, or a GUID.
type Version struct {
	Version string `json:"version"`
}

// Kind of firmware versions.
func (Version) Kind() string { return "crtm_version" }

func (v Version) String() string {
	if v.Version == "" {
		return "firmware version (empty)"
	}
	return "firmware version " + v.Version
}

func decodeCRTMVersion(e *Event) (Decoded, error) {
	if text, ok := anyText(e.Data); ok {
		return Version{Version: text}, nil
	}
	if len(e.Data) == 16 {
		return Version{Version: GUID(e.Data).String()}, nil
	}
	return opaque(e.Data), errors.New("neither text nor a GUID")
}

// Number is a 32-bit value measured by itself.
type Number struct {
	Value uint32 `json:"value"`
}

// Kind of bare numbers.
func (Number) Kind() string { return "number" }

func (n Number) String() string { return fmt.Sprintf("value 0x%08x", n.Value) }

func decodeCompactHash(e *Event) (Decoded, error) {
	if len(e.Data) == 4 {
		if _, ok := printable(e.Data); !ok {
			return Number{Value: binary.LittleEndian.Uint32(e.Data)}, nil
		}
	}
	return decodeText(e)
}

// printable returns data as text where it is UTF-8 without control characters, but for white space and NULs at the end.
func printable(data []byte) (string, bool) {
	text := string(bytes.TrimRight(data, "\x00"))
	if text == "" || !utf8.ValidString(text) {
		return "", false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r' {
			return "", false
		}
	}
	return text, true
}

// anyText returns data as text in either encoding firmware uses.
func anyText(data []byte) (string, bool) {
	if text, ok := printable(data); ok {
		return text, true
	}
	return utf16Text(data)
}

// utf16Text returns data as text where it is UTF-16LE with a character of Latin script in front, which tells it from
// random bytes, and no control characters.
func utf16Text(data []byte) (string, bool) {
	if len(data) < 2 || len(data)%2 != 0 || data[1] != 0 {
		return "", false
	}
	return printable([]byte(decodeUTF16(data)))
}

// encodeUTF16 is the other way round.
func encodeUTF16(text string) []byte {
	var data []byte
	for _, u := range utf16.Encode([]rune(text)) {
		data = binary.LittleEndian.AppendUint16(data, u)
	}
	return data
}

// decodeUTF16 decodes UTF-16LE up to the first NUL; an odd last byte is dropped, surrogates without a partner become
// U+FFFD.
func decodeUTF16(data []byte) string {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) >= 2; data = data[2:] {
		u := binary.LittleEndian.Uint16(data)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// readUTF16 reads UTF-16LE up to and including its NUL.
func readUTF16(r *wire.Reader) string {
	var units []uint16
	for r.Err() == nil {
		u := r.U16()
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// Address is a number that is printed in hex.
type Address uint64

func (a Address) String() string { return fmt.Sprintf("0x%x", uint64(a)) }

// MarshalText gives String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
