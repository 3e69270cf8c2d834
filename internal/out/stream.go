package out

import (
	"bufio"
	"bytes"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Long is a Doc that ends in a list too long to be kept. Its JSON has everything but the list, which Write puts behind
// the other fields, under the name List gives, and makes from Lines while it is printed.
type Long interface {
	Lines
	List() string
}

// AppendQuoted writes foreign text as a string of JSON, which is also one of YAML in double quotes (YAML 1.2.2, section
// 1.3). It differs from encoding/json in escaping all that could change how the text around it is shown.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for {
		n := verbatim(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; s == "" {
			return append(dst, '"')
		}
		r, size := utf8.DecodeRuneInString(s)
		switch broken := r == utf8.RuneError && size == 1; {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case broken || unsafe(r):
			dst = appendEscape(dst, r)
		default:
			dst = append(dst, s[:size]...)
		}
		s = s[size:]
	}
}

// verbatim is how many bytes at the start of s are ASCII that a string of JSON holds as it is.
func verbatim(s string) int {
	for i := range len(s) {
		if c := s[i]; c-' ' > '~'-' ' || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

const hexDigits = "0123456789abcdef"

// appendEscape writes a rune as JSON escapes it; those of more than 16 bits are tag characters, which carry no meaning.
func appendEscape(dst []byte, r rune) []byte {
	switch i := strings.IndexRune("\b\f\n\r\t", r); {
	case i >= 0:
		return append(dst, '\\', "bfnrt"[i])
	case r > 0xffff:
		r = utf8.RuneError
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// stringEnd is the index behind the string of JSON that starts at src[i]: behind the next quote with an even number of
// backslashes before it.
func stringEnd(src []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(src[i:], '"')
		escapes := 0
		for src[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// appendIndented lays out JSON of one line as json.Indent does; src is of our own making and valid.
func appendIndented(dst, src []byte, depth int) []byte {
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '"':
			end := stringEnd(src, i)
			dst = append(dst, src[i:end]...)
			i = end - 1
		case '{', '[':
			dst = append(dst, c)
			if src[i+1] == c+2 { // the closing bracket of each stands two behind it in ASCII
				dst = append(dst, c+2)
				i++
				continue
			}
			depth++
			dst = appendLine(dst, depth)
		case '}', ']':
			depth--
			dst = append(appendLine(dst, depth), c)
		case ',':
			dst = appendLine(append(dst, c), depth)
		case ':':
			dst = append(dst, ':', ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendLine starts a line of a given depth.
func appendLine(dst []byte, depth int) []byte {
	dst = append(dst, '\n')
	for range depth {
		dst = append(dst, ' ', ' ')
	}
	return dst
}

// writeJSON prints a Doc, and the list of a Long one piece by piece.
func writeJSON(w *bufio.Writer, p Page) error {
	object, err := object(p)
	if err != nil {
		return err
	}
	long, ok := p.Doc.(Long)
	text := appendIndented(nil, object, 0)
	if !ok {
		_, err = w.Write(append(text, '\n'))
		return err
	}
	text = append(text[:len(text)-len("\n}")], ",\n  "...)
	text = append(AppendQuoted(text, long.List()), ": ["...)
	_, _ = w.Write(text) // the writer remembers an error
	list := listing{format: FormatJSON, depth: 2, comma: ",", indent: "\n    ", end: "\n  ]\n}\n", none: "]\n}\n"}
	return list.write(w, long.Lines())
}

// writeYAML prints the same as block-style YAML.
func writeYAML(w *bufio.Writer, p Page) error {
	object, err := object(p)
	if err != nil {
		return err
	}
	text := appendYAML(nil, object)
	long, ok := p.Doc.(Long)
	if !ok {
		_, err = w.Write(text)
		return err
	}
	_, _ = w.Write(append(appendKey(text, long.List()), ':'))
	list := listing{format: FormatYAML, depth: 1, indent: "\n  - ", end: "\n", none: " []\n"}
	return list.write(w, long.Lines())
}

// writeLines prints one value a line.
func writeLines(w *bufio.Writer, values iter.Seq[any]) error {
	list := listing{format: FormatJSONL, comma: "\n", end: "\n"}
	return list.write(w, values)
}

// Row is one row of a table that is printed while it is made. Its cells are added in the order of the columns.
type Row struct {
	table  *Table
	widths []int
	cells  []Cell // where the row must fit a terminal
	text   []byte
	column int
	behind int // of the last column: blanks that are needed only if another one follows
}

// Text adds a cell of foreign text.
func (r *Row) Text(s string) { r.add(Plain, s) }

// Int adds a cell with a number.
func (r *Row) Int(n int) {
	if r.table.style.Width > 0 {
		r.cells = append(r.cells, Cell{Value: n})
		return
	}
	start := r.begin()
	r.text = strconv.AppendInt(r.text, int64(n), 10)
	r.end(len(r.text) - start)
}

// Cell adds a cell.
func (r *Row) Cell(c Cell) { r.add(c.State, c.text()) }

func (r *Row) add(state State, s string) {
	if r.table.style.Width > 0 {
		r.cells = append(r.cells, Cell{s, state})
		return
	}
	if s == "" {
		r.skip()
		return
	}
	r.begin()
	s = Escape(s)
	r.text = append(r.text, r.table.paint(state, s)...)
	if r.column < len(r.widths) {
		r.end(width(s))
	}
}

// skip leaves a column empty.
func (r *Row) skip() {
	if r.column < len(r.widths) {
		r.behind += 2 + r.widths[r.column]
		r.column++
	}
}

func (r *Row) begin() (start int) {
	for range r.behind {
		r.text = append(r.text, ' ')
	}
	return len(r.text)
}

func (r *Row) end(columns int) {
	r.behind = 2
	if r.column < len(r.widths) {
		r.behind += max(0, r.widths[r.column]-columns)
	}
	r.column++
}

// finish ends the row as a line.
func (r *Row) finish(w *bufio.Writer) {
	if len(r.cells) > 0 {
		r.text = append(r.text, strings.TrimRight(r.table.layOut(r.cells, r.widths), " ")...)
	}
	if len(r.text) > 0 {
		_, _ = w.Write(append(r.text, '\n')) // the writer remembers an error, and Flush tells it
	}
	*r = Row{table: r.table, widths: r.widths, cells: r.cells[:0], text: r.text[:0]}
}
