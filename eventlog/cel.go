package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// celRecord is one record of a CEL-JSON log (TCG Canonical Event Log Format, "JSON Encoding"). systemd writes its
// userspace log and `systemd-pcrlock cel` in the same shape.
type celRecord struct {
	Recnum      uint64          `json:"recnum"`
	PCR         *uint32         `json:"pcr,omitempty"`
	NVIndex     *uint32         `json:"nv_index,omitempty"`
	Digests     []celDigest     `json:"digests"`
	ContentType json.RawMessage `json:"content_type,omitempty"`
	Content     json.RawMessage `json:"content,omitempty"`
}

type celDigest struct {
	Alg    string `json:"hashAlg"`
	Digest Hex    `json:"digest"`
}

type celPCClient struct {
	Type json.RawMessage `json:"event_type"` // a name, or a number, also as a string
	Data Hex             `json:"event_data"`
}

type celIMA struct {
	Name string `json:"template_name"`
	Data Hex    `json:"template_data"`
}

// recordSeparator starts a record of a JSON text sequence (RFC 7464).
const recordSeparator = 0x1e

// parseJSON reads CEL-JSON and systemd's log: an array of records, or records one after the other, with or without
// record separators. nil where data is something else.
func parseJSON(data []byte) *Log {
	text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	trimmed := bytes.TrimLeft(text, " \t\r\n\x1e")
	if len(trimmed) == 0 || (trimmed[0] != '{' && trimmed[0] != '[') {
		return nil
	}
	l := &Log{Format: FormatCELJSON, Notes: []Note{}, Events: []Event{}}
	if bytes.IndexByte(text[:len(text)-len(trimmed)], recordSeparator) >= 0 {
		l.Format = FormatSystemd
	}
	clean := bytes.ReplaceAll(text, []byte{recordSeparator}, []byte{' '}) // no JSON text contains one
	decoder := json.NewDecoder(bytes.NewReader(clean))
	if trimmed[0] == '[' {
		if _, err := decoder.Token(); err != nil {
			return nil
		}
	}
	for decoder.More() {
		start := int(decoder.InputOffset())
		var record celRecord
		err := decoder.Decode(&record)
		if err == nil {
			err = l.addRecord(&record, start)
		}
		if err != nil {
			l.cut("truncated", start, len(text), err)
			break
		}
		l.Size = int(decoder.InputOffset())
	}
	if len(l.Events) == 0 {
		return nil
	}
	l.survey()
	return l
}

// addRecord makes an event of a record.
func (l *Log) addRecord(c *celRecord, offset int) error {
	e := Event{Number: len(l.Events), Offset: offset}
	switch {
	case c.PCR != nil:
		e.PCR = *c.PCR
	case c.NVIndex != nil:
		e.PCR, e.Content = *c.NVIndex, ContentNV
	default:
		return fmt.Errorf("a record with neither pcr nor nv_index")
	}
	if len(c.Digests) > maxDigests {
		return fmt.Errorf("a record with %d digests", len(c.Digests))
	}
	var digests []Digest
	for _, d := range c.Digests {
		if alg, ok := ParseAlg(strings.ReplaceAll(strings.ToLower(d.Alg), "-", "_")); ok && len(d.Digest) == alg.Size() {
			digests = append(digests, Digest{Alg: alg, Value: d.Digest})
		}
	}
	e.Digests = DigestsOf(digests...)
	kind := strings.Trim(string(c.ContentType), `"`)
	if err := e.setContent(kind, c.Content); err != nil {
		return err
	}
	l.Events = append(l.Events, e)
	return nil
}

// setContent reads a content by its type, a name or the number of CEL's table.
func (e *Event) setContent(kind string, content json.RawMessage) error {
	nv := e.Content == ContentNV
	switch kind {
	case "pcclient_std", "5":
		var c celPCClient
		if err := json.Unmarshal(content, &c); err != nil {
			return err
		}
		name := strings.Trim(string(c.Type), `"`)
		t, ok := ParseType(name)
		if !ok {
			return fmt.Errorf("unknown event type %q", name)
		}
		e.Type, e.Data = t, c.Data
	case "ima_template", "7":
		var c celIMA
		if err := json.Unmarshal(content, &c); err != nil {
			return err
		}
		e.Content, e.Data = ContentIMA, append(append([]byte(c.Name), 0), c.Data...)
	case "systemd", "9":
		e.Content, e.Data = ContentSystemd, content
	default:
		n, _ := strconv.ParseUint(kind, 10, 32)
		e.Content, e.Type, e.Data = ContentOther, EventType(n), content
		if kind == "cos" {
			e.Type = celCOS
		}
	}
	if nv {
		e.Content = ContentNV
	}
	return nil
}

// Systemd is a measurement of systemd's userspace tools (systemd, "TPM2 PCR measurements").
type Systemd struct {
	Event  string `json:"event"`  // "phase", "filesystem", "machine-id", …
	Text   string `json:"string"` // what was measured
	BootID string `json:"boot_id,omitempty"`
}

// Kind of systemd's measurements.
func (*Systemd) Kind() string { return "systemd" }

func (s *Systemd) String() string { return s.Event + ": " + s.Text }

func decodeSystemd(data []byte) (*Systemd, error) {
	var c struct {
		String    string `json:"string"`
		EventType string `json:"eventType"`
		BootID    string `json:"bootId"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	return &Systemd{Event: c.EventType, Text: c.String, BootID: c.BootID}, nil
}

// decodeContent decodes what is no PC Client event; nil for those.
func (e *Event) decodeContent() (Decoded, error) {
	switch e.Content {
	case ContentIMA:
		return decodeIMA(e)
	case ContentSystemd, ContentNV, ContentOther:
		if c := decodeCOS(e); c != nil {
			return c, nil
		}
		if s, err := decodeSystemd(e.Data); err == nil && s.Text != "" {
			return s, nil
		}
		return opaque(e.Data), nil
	}
	return nil, nil
}

// checkContent checks what is no PC Client event.
func (e *Event) checkContent() (Check, bool) {
	var data []byte
	var name string
	switch e.Content {
	case ContentPCClient:
		return Check{}, false
	case ContentIMA:
		if e.imaViolation() {
			return Check{Binding: Label, Note: "a violation extends all ones: the file is not known"}, true
		}
		name = "template"
		if _, data = e.imaTemplate(); data == nil {
			return Check{Binding: Unchecked, Note: "the template cannot be rebuilt from its text"}, true
		}
	case ContentSystemd:
		s, err := decodeSystemd(e.Data)
		if err != nil {
			return Check{Binding: Unchecked, Note: err.Error()}, true
		}
		name, data = "string", []byte(s.Text)
	default:
		if e.Type != celCOS || e.Content != ContentOther {
			return Check{Binding: Label}, true
		}
		name, data = "content", wire.NewBE().U8(celCOS).Sized32(e.Data).Out()
	}
	switch {
	case !e.checkable():
		return Check{Binding: Unchecked}, true
	case e.isOf(data):
		return Check{Binding: Bound, Rule: name}, true
	}
	return Check{Binding: Broken, Note: "the digest is not that of the " + name}, true
}

// celJSONRecords are those of a CEL-JSON log, one a line in one array, as systemd-pcrlock writes it.
func (l *Log) celJSONRecords() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		before := "["
		numbers := make(map[uint32]uint64)
		for i := range l.Events {
			record, err := l.Events[i].celRecord()
			if err != nil {
				yield(nil, err)
				return
			}
			record.Recnum = numbers[l.Events[i].PCR] // a record number counts within its register
			numbers[l.Events[i].PCR]++
			line, err := json.Marshal(record)
			if !yield(append([]byte(before+"\n"), line...), err) || err != nil {
				return
			}
			before = ","
		}
		if len(l.Events) == 0 {
			yield([]byte("[\n]\n"), nil)
			return
		}
		yield([]byte("\n]\n"), nil)
	}
}

func (e *Event) celRecord() (*celRecord, error) {
	c := &celRecord{Digests: []celDigest{}}
	if e.Content == ContentNV {
		c.NVIndex = &e.PCR
	} else {
		c.PCR = &e.PCR
	}
	for d := range e.Digests.All() {
		c.Digests = append(c.Digests, celDigest{Alg: d.Alg.String(), Digest: d.Value})
	}
	var kind string
	var content any
	switch e.Content {
	case ContentPCClient:
		name := e.Type.String()
		if !strings.HasPrefix(name, "EV_") {
			name = strconv.FormatUint(uint64(e.Type), 10)
		}
		kind, content = "pcclient_std", celPCClient{Type: json.RawMessage(strconv.Quote(name)), Data: e.Data}
	case ContentIMA:
		name, fields := e.imaTemplate()
		kind, content = "ima_template", celIMA{Name: name, Data: fields}
	case ContentOther:
		if kind = strconv.FormatUint(uint64(e.Type), 10); e.Type == 0 {
			kind = "systemd"
		}
		if content = json.RawMessage(e.Data); !json.Valid(e.Data) {
			content = Hex(e.Data)
		}
	default:
		kind, content = "systemd", json.RawMessage(e.Data)
	}
	var err error
	c.ContentType = json.RawMessage(strconv.Quote(kind))
	c.Content, err = json.Marshal(content)
	return c, err
}
