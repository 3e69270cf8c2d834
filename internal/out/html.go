package out

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// HTML writes a page. What is markup is decided by type: the names of elements and attributes and whatever else is written
// as it stands are of a type that has no name outside this package, so that only a constant of the program becomes one.
// Every string that was read somewhere can only be Text, which is escaped. The zero HTML is not a page; see NewHTML.
type HTML struct {
	b    bytes.Buffer
	open []markup
}

// markup is text of the program itself.
type markup string

// Attr is an attribute. Its value is a constant, or a number: no foreign text gets there, escaped or not.
type Attr struct{ text markup }

// Set is an attribute of a constant value.
func Set(name, value markup) Attr { return Attr{" " + name + `="` + value + `"`} }

// Count is an attribute whose value ends in a number.
func Count(name, prefix markup, n int) Attr {
	return Set(name, prefix+markup(strconv.Itoa(n)))
}

// NewHTML starts a page that needs nothing but itself: its policy forbids scripts, frames, forms and every request.
func NewHTML(title string, style markup) *HTML {
	h := &HTML{}
	h.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">` +
		"\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n" +
		"<meta name=\"color-scheme\" content=\"light dark\">\n<title>")
	h.entities(Escape(title))
	h.raw("</title>\n<style>\n" + style + "</style>\n</head>\n<body>\n")
	return h
}

// Bytes ends the page and returns it.
func (h *HTML) Bytes() []byte {
	if len(h.open) > 0 {
		panic("out: an HTML element is open at the end of the page")
	}
	h.raw("</body>\n</html>\n")
	return h.b.Bytes()
}

func (h *HTML) raw(m markup) { h.b.WriteString(string(m)) }

// In writes an element around what inside writes. An element is named as in a style sheet: "section.pcr".
func (h *HTML) In(element markup, inside func(), attrs ...Attr) {
	h.begin(element, attrs)
	inside()
	h.end()
}

// El writes an element with text in it.
func (h *HTML) El(element markup, text string, attrs ...Attr) {
	h.begin(element, attrs)
	h.Text(text)
	h.end()
}

func (h *HTML) begin(element markup, attrs []Attr) {
	name, classes, _ := strings.Cut(string(element), ".")
	h.open = append(h.open, markup(name))
	h.raw("<" + markup(name))
	if classes != "" {
		h.raw(` class="` + markup(strings.ReplaceAll(classes, ".", " ")) + `"`)
	}
	for _, a := range attrs {
		h.raw(a.text)
	}
	h.raw(">")
}

func (h *HTML) end() {
	last := len(h.open) - 1
	h.raw("</" + h.open[last] + ">")
	switch h.open[last] {
	case "b", "i", "a", "code", "span", "rect": // within a line
	default:
		h.raw("\n")
	}
	h.open = h.open[:last]
}

// Text writes foreign text. What could change how the text around it is shown stands in a box as its number, which no
// text can fake: a backslash stays what it is.
func (h *HTML) Text(s string) {
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		switch broken := r == utf8.RuneError && size == 1; {
		case broken || unsafe(r):
			h.raw(`<span class="esc">`)
			if broken {
				h.entities(Escape(s[:1]))
			} else {
				h.entities(Escape(string(r)))
			}
			h.raw("</span>")
			s = s[size:]
		default:
			n := safePrefix(s)
			h.entities(s[:n])
			s = s[n:]
		}
	}
}

// safePrefix is the length of the text before the next rune that is shown as a number; s starts with none.
func safePrefix(s string) int {
	for i, r := range s {
		if unsafe(r) || r == utf8.RuneError {
			if i == 0 { // U+FFFD itself
				return utf8.RuneLen(r)
			}
			return i
		}
	}
	return len(s)
}

// entities replaces what HTML gives a meaning, in text as in quoted attributes.
func (h *HTML) entities(s string) {
	for {
		i := strings.IndexAny(s, `&<>"'`)
		if i < 0 {
			h.b.WriteString(s)
			return
		}
		h.b.WriteString(s[:i])
		h.raw("&#" + markup(strconv.Itoa(int(s[i]))) + ";")
		s = s[i+1:]
	}
}
