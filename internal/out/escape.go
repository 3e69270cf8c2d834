package out

import (
	"bytes"
	"fmt"
	"strings"
)

// Escape makes foreign text safe to print in a line: unsafe runes become \x, \u or \U escapes, and bytes that are not
// UTF-8 become \x escapes. In a text that has any, a backslash is doubled, so that it tells which are real; elsewhere it
// stays, for the paths of Windows and of UEFI are full of them.
func Escape(s string) string {
	if plain(s, ' ') || !strings.ContainsFunc(s, func(r rune) bool { return unsafe(r) || r == '\ufffd' }) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\ufffd' && !strings.HasPrefix(s[i:], "\ufffd"): // a byte that is no UTF-8
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\\':
			b.WriteString(`\\`)
		case !unsafe(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// escapeQuoted replaces unsafe runes by \u escapes. In JSON, and in YAML with quoted strings, they stand in string
// literals only; the line feeds between the lines stay.
func escapeQuoted(text []byte) []byte {
	risky := func(r rune) bool { return r != '\n' && unsafe(r) }
	if plain(text, '\n') || !bytes.ContainsFunc(text, risky) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !risky(r):
			b.WriteRune(r)
		case r > 0xffff: // a \u escape holds 16 bits; these are tag characters, which carry no meaning alone
			b.WriteString(`\ufffd`)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// plain reports whether text is printable ASCII, but for one more byte that may occur: the common case, decided without
// looking at runes, for a log fills megabytes.
func plain[T string | []byte](text T, also byte) bool {
	for i := range len(text) {
		if c := text[i]; (c < 0x20 || c > 0x7e) && c != also {
			return false
		}
	}
	return true
}

// unsafe reports whether r could change how the text around it is shown: C0 and C1 controls, bidirectional overrides,
// zero-width characters, tag characters, the byte-order mark and the two non-characters that YAML refuses.
func unsafe(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0x061c, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	}
	return r >= 0xe0000 && r <= 0xe0fff
}
