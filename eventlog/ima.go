package eventlog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// imaTemplates are the templates the kernel has built in (Linux, security/integrity/ima/ima_template.c).
var imaTemplates = map[string]string{
	"ima": "d|n", "ima-ng": "d-ng|n-ng", "ima-sig": "d-ng|n-ng|sig", "ima-buf": "d-ng|n-ng|buf",
	"ima-ngv2": "d-ngv2|n-ng", "ima-sigv2": "d-ngv2|n-ng|sig", "ima-modsig": "d-ng|n-ng|sig|d-modsig|modsig",
	"evm-sig": "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode",
}

// imaNameSize is what the "ima" template pads a file name to before it is hashed.
const imaNameSize = 256

// isIMATemplate tells a template's name; custom ones are named by their fields.
func isIMATemplate(name []byte) bool {
	_, known := imaTemplates[string(name)]
	return known || (len(name) <= 256 && bytes.Contains(name, []byte("d-ng|n")))
}

// imaBank is the bank a list's digests belong to, by their size.
func imaBank(size int) Alg {
	switch size {
	case SHA1.Size():
		return SHA1
	case SHA256.Size():
		return SHA256
	case SHA384.Size():
		return SHA384
	case SHA512.Size():
		return SHA512
	}
	return 0
}

// newIMALog is an IMA list before its events. A kernel extends every bank of the TPM, and the list tells what it extended
// them with: SHA-256 is computed even where the list has SHA-1 digests only.
func newIMALog(bank Alg) *Log {
	l := &Log{Format: FormatIMA, Banks: []Alg{bank}, Notes: []Note{}, Events: []Event{}}
	if bank != SHA256 {
		l.Banks = append(l.Banks, SHA256)
	}
	return l
}

// parseIMABinary reads binary_runtime_measurements; nil where data is something else. The size of the digests is nowhere
// in the list, so the first record decides it.
func parseIMABinary(data []byte) *Log {
	var size int
	for _, n := range []int{20, 32, 48, 64} {
		r := wire.LE(data)
		pcr, digest, name := r.U32(), r.Bytes(n), r.Sized32()
		if r.Err() == nil && pcr < pcrCount && digest != nil && isIMATemplate(name) {
			size = n
			break
		}
	}
	if size == 0 {
		return nil
	}
	l := newIMALog(imaBank(size))
	listed := alone(l.Banks[0])
	r := wire.LE(data)
	for r.Len() > 0 {
		start := r.Offset()
		e := Event{Number: len(l.Events), Offset: start, Content: ContentIMA, PCR: r.U32()}
		e.Digests = Digests{listed, r.Bytes(size)}
		name := r.Sized32()
		var fields []byte
		if string(name) == "ima" {
			digest := r.Bytes(20)
			path := r.Sized32()
			fields = imaFields([]byte("ima"), digest, path)
		} else {
			fields = r.Sized32()
		}
		if r.Err() != nil || !isIMATemplate(name) {
			l.cut("truncated", start, len(data), "no IMA record")
			l.Size = start
			return l
		}
		e.Data = slices.Concat(name, []byte{0}, fields)
		l.Events = append(l.Events, e)
	}
	l.Size = len(data)
	return l
}

// imaFields joins a template's fields the way they are hashed: with a length each, except in the oldest template.
func imaFields(name []byte, fields ...[]byte) []byte {
	if string(name) == "ima" {
		padded := make([]byte, 20+imaNameSize)
		copy(padded, fields[0])
		copy(padded[20:], fields[1][:min(len(fields[1]), imaNameSize-1)])
		return padded
	}
	w := wire.NewLE()
	for _, f := range fields {
		w.Sized32(f)
	}
	return w.Out()
}

// parseIMAText reads ascii_runtime_measurements; nil where data is something else.
func parseIMAText(data []byte) *Log {
	first, ok := imaLine(firstLine(data), 0)
	if !ok {
		return nil
	}
	l := newIMALog(first.Digests.At(0).Alg)
	for offset := 0; offset < len(data); {
		line := firstLine(data[offset:])
		e, ok := imaLine(line, offset)
		if !ok && len(bytes.TrimSpace(line)) > 0 {
			l.cut("truncated", offset, len(data), "no IMA line")
			break
		}
		if ok {
			e.Number = len(l.Events)
			l.Events = append(l.Events, e)
		}
		offset += len(line) + 1
		l.Size = min(offset, len(data))
	}
	return l
}

func firstLine(data []byte) []byte {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return data[:i]
	}
	return data
}

// imaLine reads one line: register, template hash, template name, then the fields as text. Where they can be put back
// into bytes, Data has them; else it has the name only, and just the listed bank can be replayed.
func imaLine(line []byte, offset int) (Event, bool) {
	parts := strings.SplitN(strings.TrimLeft(string(line[:min(len(line), 64<<10)]), " "), " ", 4)
	if len(parts) < 4 || len(parts[0]) > 2 || !isIMATemplate([]byte(parts[2])) {
		return Event{}, false
	}
	pcr, err := strconv.ParseUint(parts[0], 10, 8)
	digest, hexErr := hex.DecodeString(parts[1])
	bank := imaBank(len(digest))
	if err != nil || hexErr != nil || bank == 0 || pcr >= pcrCount {
		return Event{}, false
	}
	e := Event{Offset: offset, PCR: uint32(pcr), Content: ContentIMA, Digests: Digests{alone(bank), digest}}
	e.Data = slices.Concat([]byte(parts[2]), []byte{0}, imaTextFields(parts[2], parts[3]))
	return e, true
}

// imaTextFields turns the printed fields back into what was hashed; a name at the end may hold blanks.
func imaTextFields(template, text string) []byte {
	format := imaTemplates[template]
	if format == "" {
		format = template // a custom template is named by its fields
	}
	kinds := strings.Split(format, "|")
	var fields [][]byte
	for i, kind := range kinds {
		field, rest, _ := strings.Cut(text, " ")
		if i == len(kinds)-1 {
			field = text
		}
		b, ok := imaTextField(kind, field)
		if !ok {
			return nil
		}
		fields, text = append(fields, b), rest
	}
	return imaFields([]byte(template), fields...)
}

func imaTextField(kind, text string) ([]byte, bool) {
	switch kind {
	case "n":
		return []byte(text), true
	case "n-ng":
		return append([]byte(text), 0), true
	case "d":
		b, err := hex.DecodeString(text)
		return b, err == nil
	case "d-ng", "d-ngv2", "d-modsig":
		colon := strings.LastIndexByte(text, ':')
		if text == "" {
			return nil, kind == "d-modsig"
		}
		b, err := hex.DecodeString(text[colon+1:])
		return slices.Concat([]byte(text[:colon+1]), []byte{0}, b), err == nil && colon > 0
	case "xattrnames":
		return append([]byte(text), 0), true
	case "sig", "buf", "modsig", "evmsig", "xattrlengths", "xattrvalues":
		b, err := hex.DecodeString(text)
		return b, err == nil
	}
	size, ok := imaNumbers[kind]
	if !ok {
		return nil, false
	}
	n, err := strconv.ParseUint(text, 10, 8*size)
	return binary.LittleEndian.AppendUint64(nil, n)[:size], err == nil
}

// imaNumbers are the fields that are numbers, and their sizes.
var imaNumbers = map[string]int{"iuid": 4, "igid": 4, "imode": 2}

// imaTemplate splits an event's data into the template's name and what was hashed; fields is nil where it is unknown.
func (e *Event) imaTemplate() (name string, fields []byte) {
	i := bytes.IndexByte(e.Data, 0)
	if i < 0 {
		return string(e.Data), nil
	}
	if fields = e.Data[i+1:]; len(fields) == 0 {
		fields = nil
	}
	return string(e.Data[:i]), fields
}

// extendDigest is what an event extends a bank with. For IMA the kernel hashes the template anew for each bank, and a
// violation (a file that changed while it was measured) is listed as zeroes but extends all ones.
func (e *Event) extendDigest(bank Alg) Hex {
	listed := e.Digest(bank)
	if e.Content != ContentIMA {
		return listed
	}
	if e.imaViolation() {
		return bytes.Repeat([]byte{0xff}, bank.Size())
	}
	if listed != nil {
		return listed
	}
	if _, fields := e.imaTemplate(); fields != nil {
		return bank.Sum(fields)
	}
	return nil
}

func (e *Event) imaViolation() bool {
	return e.Digests.Len() > 0 && len(bytes.Trim(e.Digests.At(0).Value, "\x00")) == 0
}

// IMA is an entry of the kernel's measurement list.
type IMA struct {
	Template  string `json:"template"`
	File      string `json:"file"`
	Digest    string `json:"file_digest"` // algorithm and hex
	Signed    bool   `json:"signed"`
	Buffer    string `json:"buffer,omitempty"` // what was measured instead of a file, such as kexec's command line
	Violation bool   `json:"violation"`        // the file was open for writing: its digest means nothing
}

// Kind of IMA entries.
func (*IMA) Kind() string { return "ima" }

func (i *IMA) String() string {
	if i.Violation {
		return i.File + " (changed while it was measured)"
	}
	if i.Buffer != "" {
		return i.File + " " + i.Digest + ": " + i.Buffer
	}
	return i.File + " " + i.Digest
}

func decodeIMA(e *Event) (Decoded, error) {
	name, fields := e.imaTemplate()
	i := &IMA{Template: name, Violation: e.imaViolation()}
	if fields == nil {
		return i, fmt.Errorf("the fields of template %q are not known", name)
	}
	if name == "ima" {
		i.Digest = "sha1:" + hex.EncodeToString(fields[:min(20, len(fields))])
		i.File = cString(fields[min(20, len(fields)):])
		return i, nil
	}
	r := wire.LE(fields)
	digest, file := r.Sized32(), r.Sized32()
	if at := bytes.IndexByte(digest, 0); at >= 0 {
		i.Digest = string(digest[:at]) + hex.EncodeToString(digest[at+1:])
	}
	i.File = cString(file)
	i.Signed = strings.Contains(name, "sig") && r.Len() > 4
	if name == "ima-buf" {
		i.Buffer, _ = printable(r.Sized32())
	}
	return i, r.Err()
}
