package out_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/out"
)

// skeleton is a page without its text: what is left must be the same whatever the text is.
func skeleton(page string) string {
	text := regexp.MustCompile(`>[^<]*<`).ReplaceAllString(page, "><")
	return strings.ReplaceAll(text, `<span class="esc"></span>`, "")
}

func pageOf(text string) string {
	h := out.NewHTML(text, "b{}")
	h.In("section.a.b", func() {
		h.El("p", text)
		h.In("p", func() { h.Text(text); h.El("code.x", text) })
	}, out.Count("id", "n-", 7), out.Set("lang", "en"))
	return string(h.Bytes())
}

func TestAPageOfHTMLHasElementsClassesAndAttributes(t *testing.T) {
	page := pageOf("a < b")
	for _, want := range []string{
		"<title>a &#60; b</title>", `<section class="a b" id="n-7" lang="en"><p>a &#60; b</p>`,
		`<p>a &#60; b<code class="x">a &#60; b</code></p>`, "default-src 'none'",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

var hostileText = []string{
	"<script>alert(1)</script>", "</title><script>", "]]>--><!--", `"><img src=x onerror=alert(1)>`, "&lt;b&gt;", "'\"`=",
	"\x1b[31m", "\u202egpj.exe", "a\x00b", "\xff\xfe\xc0\x80", "\ufffd", "\r\n\t", "\U000e0041", "</style>", "\u2028", "", "\\x1b",
}

// A text changes nothing but text, wherever it stands.
func TestNoTextBecomesMarkup(t *testing.T) {
	want := skeleton(pageOf("harmless"))
	for _, text := range hostileText {
		page := pageOf(text)
		if got := skeleton(page); got != want {
			t.Errorf("%q gives\n%s\nwant\n%s", text, got, want)
		}
		if strings.ContainsFunc(page, func(r rune) bool { return r < 0x20 && r != '\n' || r >= 0x202a && r <= 0x202e || r > 0xe0000 }) {
			t.Errorf("%q: a control character is in the page", text)
		}
	}
}

// An escape stands in a box; the same letters in the text do not.
func TestEscapesInAPageCannotBeFaked(t *testing.T) {
	h := out.NewHTML("", "")
	h.El("p", `\EFI\boot \x1b`+"\x1b\xff\ufffd")
	want := `<p>\EFI\boot \x1b<span class="esc">\x1b</span><span class="esc">\xff</span>` + "\ufffd</p>"
	if page := string(h.Bytes()); !strings.Contains(page, want) {
		t.Errorf("no %s in\n%s", want, page)
	}
}

func FuzzHTML(f *testing.F) {
	for _, text := range hostileText {
		f.Add(text)
	}
	want := skeleton(pageOf("harmless"))
	f.Fuzz(func(t *testing.T, text string) {
		if got := skeleton(pageOf(text)); got != want {
			t.Fatalf("%q gives\n%s", text, got)
		}
	})
}
