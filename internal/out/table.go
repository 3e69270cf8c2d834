package out

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
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
	paint map[State]lipgloss.Style
	lines []line
}

type line struct {
	kind  lineKind
	cells []Cell
}

type lineKind int

const (
	textLine lineKind = iota
	fieldLine
	rowLine
)

// rendered is text that has been escaped already.
type rendered string

func newTable(s Style) *Table {
	// An own renderer with a profile set: left to itself it would ask the environment and the terminal.
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	if s.Colour {
		r.SetColorProfile(termenv.ANSI)
	}
	colour := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return &Table{style: s, paint: map[State]lipgloss.Style{
		Plain: r.NewStyle(), Good: colour("2"), Bad: colour("1").Bold(true), Unsure: colour("3"),
		Faint: r.NewStyle().Faint(true), Strong: r.NewStyle().Bold(true),
	}}
}

// Text adds a line of text; string arguments are escaped, the format is not. An empty format adds an empty line.
func (t *Table) Text(format string, args ...any) {
	safe := make([]any, len(args))
	for i, a := range args {
		if s, ok := a.(string); ok {
			a = Escape(s)
		}
		safe[i] = a
	}
	t.add(textLine, Cell{Value: rendered(fmt.Sprintf(format, safe...))})
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

// Row adds one row; a value may be a Cell.
func (t *Table) Row(values ...any) { t.add(rowLine, cells(values)...) }

func (t *Table) add(kind lineKind, c ...Cell) { t.lines = append(t.lines, line{kind, c}) }

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
	if r, ok := c.Value.(rendered); ok {
		return string(r)
	}
	return Escape(fmt.Sprint(c.Value))
}

// render lays the lines out; a run of lines of one kind shares its column widths.
func (t *Table) render() []byte {
	var b bytes.Buffer
	for start := 0; start < len(t.lines); {
		end := start + 1
		for end < len(t.lines) && t.lines[end].kind == t.lines[start].kind {
			end++
		}
		t.renderRun(&b, t.lines[start:end])
		start = end
	}
	return b.Bytes()
}

func (t *Table) renderRun(b *bytes.Buffer, run []line) {
	var widths []int
	for _, l := range run {
		for i, c := range l.cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], ansi.StringWidth(c.text()))
		}
	}
	for _, l := range run {
		var text strings.Builder
		for i, c := range l.cells {
			s := c.text()
			text.WriteString(t.paint[c.State].Render(s))
			if i < len(l.cells)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-ansi.StringWidth(s)+2))
			}
		}
		s := strings.TrimRight(text.String(), " ")
		if t.style.Width > 0 {
			s = ansi.Truncate(s, t.style.Width, "…")
		}
		b.WriteString(s)
		b.WriteByte('\n')
	}
}
