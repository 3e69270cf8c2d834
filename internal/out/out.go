// Package out is the one place where results become text. A verb returns a Doc; Write renders it as a table for people,
// or as JSON or YAML for programs. Text from foreign bytes (event logs, volume labels, TPM strings) is escaped here, for
// every format, so that nothing a guest or a disk contains can move a cursor or forge a line.
package out

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
)

// Doc is a result. Its JSON encoding must be one object with snake_case keys, no key named "schema" or "tpm", and lists
// that are empty rather than null.
type Doc interface {
	Schema() string // name and major version, such as "vtpmctl.pcr/v1"
	Table(*Table)   // the same facts for a person
}

// Lines is a Doc that can also be printed as JSON lines: one value a line. Values are encoded several at a time, so one must
// not change when the next is made.
type Lines interface {
	Doc
	Lines() iter.Seq[any]
}

// Foreign is a Doc that also knows formats of other tools, such as FormatTPM2. Render must Escape what it prints.
type Foreign interface {
	Doc
	Render(w io.Writer, f Format) error
}

// Format names a rendering. It is a pflag.Value.
type Format string

// The formats. Every verb has the first three; the others are offered where they make sense.
const (
	FormatTable   Format = "table"
	FormatJSON    Format = "json"
	FormatYAML    Format = "yaml"
	FormatJSONL   Format = "jsonl"   // one JSON object a line
	FormatTPM2    Format = "tpm2"    // the YAML shape of the tpm2-tools command of the same purpose
	FormatPCRRead Format = "pcrread" // the YAML shape of tpm2_pcrread
)

// Common are the formats of every verb.
func Common() []Format { return []Format{FormatTable, FormatJSON, FormatYAML} }

func (f *Format) String() string { return string(*f) }

// Type names the value in help texts.
func (f *Format) Type() string { return "format" }

// Set accepts any known format; whether a verb offers it is the command layer's question.
func (f *Format) Set(s string) error {
	if !slices.Contains(append(Common(), FormatJSONL, FormatTPM2, FormatPCRRead), Format(s)) {
		return fmt.Errorf("unknown format %q", s)
	}
	*f = Format(s)
	return nil
}

// Page is what Write renders: a result and where it came from.
type Page struct {
	Doc    Doc
	Origin any    // printed as "tpm" after the schema; nil where no TPM was asked
	Note   string // one line below a table, such as a warning about the origin
}

// Write renders p to w. What is long, such as the events of a log, is printed while it is made.
func Write(w io.Writer, f Format, style Style, p Page) error {
	b := bufio.NewWriterSize(w, 64<<10)
	if err := write(b, f, style, p); err != nil {
		return err
	}
	return b.Flush()
}

func write(w *bufio.Writer, f Format, style Style, p Page) error {
	switch f {
	case FormatTable:
		t := newTable(style)
		p.Doc.Table(t)
		if p.Note != "" {
			t.Text("%s", p.Note)
		}
		t.render(w)
		return nil
	case FormatJSON:
		return writeJSON(w, p)
	case FormatYAML:
		return writeYAML(w, p)
	case FormatJSONL:
		if d, ok := p.Doc.(Lines); ok {
			return writeLines(w, d.Lines())
		}
	default:
		if d, ok := p.Doc.(Foreign); ok {
			return d.Render(w, f)
		}
	}
	return fmt.Errorf("%s cannot be printed as %s", p.Doc.Schema(), f)
}

// object is the JSON of a page on one line: the schema and the origin before the fields of the Doc.
func object(p Page) ([]byte, error) {
	head, err := compact(struct {
		Schema string `json:"schema"`
		TPM    any    `json:"tpm,omitempty"`
	}{p.Doc.Schema(), p.Origin})
	if err != nil {
		return nil, err
	}
	body, err := compact(p.Doc)
	if err != nil {
		return nil, err
	}
	switch {
	case len(body) < 2 || body[0] != '{':
		return nil, fmt.Errorf("%s does not encode as a JSON object", p.Doc.Schema())
	case len(body) > 2:
		head = slices.Concat(head[:len(head)-1], []byte(","), body[1:])
	}
	return head, nil
}

// compact encodes v on one line, without HTML escaping, and with every rune that could disturb a terminal escaped.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escapeQuoted(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
