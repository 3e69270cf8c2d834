package out

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// asYAML rewrites the JSON as block-style YAML, so that both say the same: the JSON grammar of strings and numbers is
// also YAML's (YAML 1.2.2, section 1.3), only maps and lists are laid out anew. Strings keep their quotes: a bare yes or
// 0x10 would be read as something else by YAML 1.1 readers. A YAML library would be 7 % of the binary.
func asYAML(p Page) ([]byte, error) {
	text, err := asJSON(p)
	if err != nil {
		return nil, err
	}
	y := yamlWriter{in: json.NewDecoder(bytes.NewReader(text))}
	y.in.UseNumber()
	err = y.value(0, false)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return escapeQuoted(y.out.Bytes()), nil
}

// yamlWriter turns JSON tokens into lines.
type yamlWriter struct {
	in  *json.Decoder
	out bytes.Buffer
}

// value writes the next JSON value. What comes before it on its line is there already, without a space behind a colon;
// inList says that a dash is, behind which a nested value may start on the same line.
func (y *yamlWriter) value(depth int, inList bool) error {
	token, err := y.in.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'), json.Delim('['):
		return y.nested(token == json.Delim('{'), depth, inList)
	}
	if depth > 0 && !inList {
		y.out.WriteByte(' ')
	}
	return y.scalar(token)
}

// nested writes the entries of a map or list, each on lines of its own.
func (y *yamlWriter) nested(isMap bool, depth int, inList bool) error {
	if !y.in.More() {
		if depth > 0 && !inList {
			y.out.WriteByte(' ')
		}
		y.out.WriteString(map[bool]string{true: "{}\n", false: "[]\n"}[isMap])
	}
	if y.in.More() && depth > 0 && !inList {
		y.out.WriteByte('\n')
	}
	for first := true; y.in.More(); first = false {
		if !first || !inList {
			y.out.WriteString(strings.Repeat("  ", depth))
		}
		if isMap {
			key, err := y.in.Token()
			if err != nil {
				return err
			}
			y.key(key.(string))
		} else {
			y.out.WriteString("- ")
		}
		if err := y.value(depth+1, !isMap); err != nil {
			return err
		}
	}
	_, err := y.in.Token() // the closing bracket
	return err
}

// key writes a key bare where no YAML reader takes it for anything but text: our keys are snake_case words.
func (y *yamlWriter) key(k string) {
	bare := len(k) > 1 && k[0] >= 'a' && k[0] <= 'z' && strings.Trim(k, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
	switch k {
	case "yes", "no", "on", "off", "true", "false", "null":
		bare = false
	}
	if bare {
		y.out.WriteString(k)
	} else {
		y.quoted(k)
	}
	y.out.WriteByte(':')
}

func (y *yamlWriter) scalar(token json.Token) error {
	switch v := token.(type) {
	case string:
		y.quoted(v)
	case json.Number:
		y.out.WriteString(v.String())
	case bool:
		y.out.WriteString(map[bool]string{true: "true", false: "false"}[v])
	default:
		y.out.WriteString("null")
	}
	y.out.WriteByte('\n')
	return nil
}

// quoted writes a string as JSON does, which YAML reads as a double-quoted scalar.
func (y *yamlWriter) quoted(s string) {
	enc := json.NewEncoder(&y.out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	y.out.Truncate(y.out.Len() - 1)
}
