package out

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

// Encodable encodes itself as one value. Reflection would take most of the time of printing a log.
type Encodable interface {
	Encode(*Encoder) error
}

// Encoder writes a value piece by piece in the layout of a format: JSON on one line, indented JSON, or YAML in block
// style, of which all say the same. Field names are ours and go unescaped; text may be foreign.
type Encoder struct {
	format Format // FormatJSONL, FormatJSON or FormatYAML
	text   []byte
	depth  int  // of the fields of the innermost object
	empty  bool // it has none yet
	dash   bool // in YAML the value follows the dash of a list, on its line
}

// Open begins an object.
func (x *Encoder) Open() {
	if x.format != FormatYAML {
		x.text = append(x.text, '{')
	}
	x.depth++
	x.empty = true
}

// Close ends the innermost object.
func (x *Encoder) Close() {
	x.depth--
	switch {
	case x.format != FormatYAML:
		if x.format == FormatJSON && !x.empty {
			x.text = appendLine(x.text, x.depth)
		}
		x.text = append(x.text, '}')
	case x.empty:
		x.text = append(x.scalar(), '{', '}')
	}
	x.empty = false
}

// Field begins a field of the innermost object; its value is to follow.
func (x *Encoder) Field(name string) *Encoder {
	if x.format == FormatYAML {
		if !x.dash {
			x.text = appendLine(x.text, x.depth)
		}
		x.text = append(appendKey(x.text, name), ':')
	} else {
		if !x.empty {
			x.text = append(x.text, ',')
		}
		if x.format == FormatJSON {
			x.text = appendLine(x.text, x.depth)
		}
		x.text = append(append(append(x.text, '"'), name...), '"', ':')
		if x.format == FormatJSON {
			x.text = append(x.text, ' ')
		}
	}
	x.empty, x.dash = false, false
	return x
}

// scalar is the text, ready for a scalar.
func (x *Encoder) scalar() []byte {
	if x.format == FormatYAML && !x.dash {
		return append(x.text, ' ')
	}
	return x.text
}

// Text writes foreign text.
func (x *Encoder) Text(s string) { x.text = AppendQuoted(x.scalar(), s) }

// Int writes a number.
func (x *Encoder) Int(n int) { x.text = strconv.AppendInt(x.scalar(), int64(n), 10) }

// Null writes null.
func (x *Encoder) Null() { x.text = append(x.scalar(), "null"...) }

// Number writes a number as text in hex, in so many digits.
func (x *Encoder) Number(n uint64, digits int) {
	x.text = append(x.scalar(), `"0x`...)
	for digits--; digits >= 0; digits-- {
		x.text = append(x.text, hexDigits[n>>(4*digits)&15])
	}
	x.text = append(x.text, '"')
}

// Hex writes bytes as hex.
func (x *Encoder) Hex(b []byte) { x.text = append(hex.AppendEncode(append(x.scalar(), '"'), b), '"') }

// Base64 writes bytes as package json does.
func (x *Encoder) Base64(b []byte) {
	if b == nil {
		x.Null()
		return
	}
	x.text = append(base64.StdEncoding.AppendEncode(append(x.scalar(), '"'), b), '"')
}

// Any writes v, an Encodable by itself and everything else by reflection.
func (x *Encoder) Any(v any) error {
	if e, ok := v.(Encodable); ok {
		return e.Encode(x)
	}
	text, err := compact(v)
	switch {
	case err != nil:
		return err
	case x.format == FormatJSON:
		x.text = appendIndented(x.text, text, x.depth)
	case x.format == FormatYAML:
		y := yamlWriter{in: text, out: x.text}
		y.value(x.depth+1, x.dash)
		x.text = bytes.TrimSuffix(y.out, []byte("\n"))
	default:
		x.text = append(x.text, text...)
	}
	return nil
}

// AppendJSON encodes v as one line of JSON, by reflection.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	text, err := compact(v)
	return append(dst, text...), err
}
