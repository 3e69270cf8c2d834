package out

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/rivo/uniseg"
)

// Style says how a table may look. The zero Style is for pipes and files: full values, no colour, no truncation.
type Style struct {
	Colour bool
	Width  int // of the terminal in columns; 0 never truncates
}

// State colours a cell. It only repeats what the words of the cell say.
type State int

// The states.
const (
	Plain State = iota
	Good
	Bad
	Unsure
	Faint
	Strong
)

// Cell is a value with a state.
type Cell struct {
	Value any
	State State
}

// OK marks v as a good state, such as "pass".
func OK(v any) Cell { return Cell{v, Good} }

// No marks v as a bad state, such as "FAIL".
func No(v any) Cell { return Cell{v, Bad} }

// Maybe marks v as unknown or not proven.
func Maybe(v any) Cell { return Cell{v, Unsure} }

// Dim marks v as a detail.
func Dim(v any) Cell { return Cell{v, Faint} }

// Table collects lines: fields (name and value), rows under a head, titles and free text. Runs of fields and of rows are
// aligned. Every value is escaped.
type Table struct {
	style Style
	lines []line
}

type line struct {
	kind   lineKind
	cells  []Cell
	stream func(w *bufio.Writer)
}

type lineKind int

const (
	textLine lineKind = iota
	fieldLine
	rowLine
	streamLine
)

func newTable(s Style) *Table { return &Table{style: s} }

// Text adds a line of text. An empty format adds an empty line. It stays a call, as Field does.
//
//go:noinline
func (t *Table) Text(format string, args ...any) {
	t.add(textLine, Cell{Value: fmt.Sprintf(format, args...)})
}

// Title adds a heading, with an empty line before it where something stands above.
func (t *Table) Title(format string, args ...any) {
	if len(t.lines) > 0 {
		t.Text("")
	}
	t.Text(format, args...)
	t.lines[len(t.lines)-1].cells[0].State = Strong
}

// Field adds a name and its value; a value may be a Cell. Further values follow on the same line.
// It stays a call: put into more than a hundred callers, Field, Row and fail.Hint took 120 kB of the binary.
//
//go:noinline
func (t *Table) Field(name string, values ...any) {
	t.add(fieldLine, append([]Cell{{name + ":", Faint}}, cells(values)...)...)
}

// Head adds the names of the columns of the rows that follow.
func (t *Table) Head(names ...string) {
	c := make([]Cell, len(names))
	for i, n := range names {
		c[i] = Cell{n, Faint}
	}
	t.add(rowLine, c...)
}

// Row adds one row; a value may be a Cell. It stays a call, as Field does.
//
//go:noinline
func (t *Table) Row(values ...any) { t.add(rowLine, cells(values)...) }

// Stream adds rows that are printed while they are made: a table of tens of thousands is never kept. fill calls next for
// each row, and adds its cells. The widths are those of all columns but the last, for nobody has seen the rows yet.
func (t *Table) Stream(widths []int, fill func(next func() *Row)) {
	t.lines = append(t.lines, line{kind: streamLine, stream: func(w *bufio.Writer) {
		row := &Row{table: t, widths: widths}
		fill(func() *Row {
			row.finish(w)
			return row
		})
		row.finish(w)
	}})
}

//go:noinline
func (t *Table) add(kind lineKind, c ...Cell) { t.lines = append(t.lines, line{kind: kind, cells: c}) }

func cells(values []any) []Cell {
	c := make([]Cell, len(values))
	for i, v := range values {
		cell, ok := v.(Cell)
		if !ok {
			cell.Value = v
		}
		c[i] = cell
	}
	return c
}

func (c Cell) text() string {
	if s, ok := c.Value.(string); ok {
		return Escape(s)
	}
	return Escape(fmt.Sprint(c.Value))
}

// render lays the lines out; a run of lines of one kind shares its column widths.
func (t *Table) render(w *bufio.Writer) {
	for start := 0; start < len(t.lines); {
		end := start + 1
		for end < len(t.lines) && t.lines[end].kind == t.lines[start].kind {
			end++
		}
		if t.lines[start].kind == streamLine {
			t.lines[start].stream(w)
			end = start + 1
		} else {
			t.renderRun(w, t.lines[start:end])
		}
		start = end
	}
}

// width is the number of columns text takes on a terminal.
func width(text string) int {
	if plain(text, ' ') {
		return len(text)
	}
	return uniseg.StringWidth(text)
}

func (t *Table) renderRun(b *bufio.Writer, run []line) {
	var widths []int
	for _, l := range run {
		for i, c := range l.cells {
			if l.kind == fieldLine && i > 0 {
				break // of fields only the names are a column
			}
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(c.text()))
		}
	}
	for _, l := range run {
		_, _ = b.WriteString(strings.TrimRight(t.layOut(l.cells, widths), " ") + "\n") // Flush tells an error
	}
}

// layOut pads each cell but the last to its column, and cuts what does not fit the terminal.
func (t *Table) layOut(cells []Cell, widths []int) string {
	var b strings.Builder
	left := t.style.Width
	for i, c := range cells {
		text := c.text()
		if t.style.Width > 0 && width(text) > left {
			text = cut(text, left)
			b.WriteString(t.paint(c.State, text))
			break
		}
		b.WriteString(t.paint(c.State, text))
		columns := width(text)
		if i < len(widths) {
			b.WriteString(strings.Repeat(" ", widths[i]-columns))
			columns = widths[i]
		}
		b.WriteString("  ")
		left = max(0, left-columns-2)
	}
	return b.String()
}

// cut shortens text to width columns, the last of which shows that something is missing.
func cut(text string, width int) string {
	var b strings.Builder
	for state := -1; text != ""; {
		var cluster string
		var w int
		cluster, text, w, state = uniseg.FirstGraphemeClusterInString(text, state)
		if w > width-1 {
			break
		}
		width -= w
		b.WriteString(cluster)
	}
	if width > 0 {
		b.WriteString("…")
	}
	return b.String()
}

// paints are the escape sequences of the states (ECMA-48 SGR), in the 16 colours that every terminal's owner has chosen.
var paints = map[State]string{Good: "\x1b[32m", Bad: "\x1b[1;31m", Unsure: "\x1b[33m", Faint: "\x1b[2m", Strong: "\x1b[1m"}

func (t *Table) paint(state State, text string) string {
	if !t.style.Colour || paints[state] == "" || text == "" {
		return text
	}
	return paints[state] + text + "\x1b[0m"
}
