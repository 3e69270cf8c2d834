package out_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/vtpmctl/vtpmctl/internal/out"
)

type doc struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	List  []string `json:"list"`
}

func (doc) Schema() string { return "vtpmctl.test/v1" }

func (d doc) Table(t *out.Table) {
	t.Title("Things")
	t.Field("name", d.Name)
	t.Field("the count", out.OK(d.Count), "of 9")
	t.Head("N", "ITEM")
	for i, s := range d.List {
		t.Row(i, s)
	}
}

func (d doc) Lines() iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, s := range d.List {
			if !yield(map[string]string{"item": s}) {
				return
			}
		}
	}
}

func (d doc) Render(w io.Writer, f out.Format) error {
	_, err := io.WriteString(w, string(f)+" of "+d.Name)
	return err
}

func write(t *testing.T, f out.Format, style out.Style, p out.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := out.Write(&b, f, style, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var origin = map[string]any{"target": "engine:x", "emulated": true}

func TestTableAlignsAndStaysPlainOffATerminal(t *testing.T) {
	got := write(t, out.FormatTable, out.Style{}, out.Page{Doc: doc{"x", 7, []string{"long item", "b"}}, Note: "note"})
	want := "Things\nname:       x\nthe count:  7  of 9\nN  ITEM\n0  long item\n1  b\nnote\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTableColoursAndTruncatesOnATerminal(t *testing.T) {
	got := write(t, out.FormatTable, out.Style{Colour: true, Width: 16}, out.Page{Doc: doc{"a very long name", 7, nil}})
	if !strings.Contains(got, "\x1b[32m7\x1b[0m") {
		t.Errorf("no green count in %q", got)
	}
	if strings.Contains(got, "very") || !strings.Contains(got, "…") {
		t.Errorf("not truncated: %q", got)
	}
}

func TestJSONHasSchemaFirstThenOrigin(t *testing.T) {
	got := write(t, out.FormatJSON, out.Style{}, out.Page{Doc: doc{"<&>", 1, []string{}}, Origin: origin})
	want := `{
  "schema": "vtpmctl.test/v1",
  "tpm": {
    "emulated": true,
    "target": "engine:x"
  },
  "name": "<&>",
  "count": 1,
  "list": []
}
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestYAMLSaysWhatJSONSays(t *testing.T) {
	page := out.Page{Doc: doc{"yes", 1, []string{"0x10", "a: b", "\x1b[31m\u202e"}}, Origin: origin}
	var fromJSON, fromYAML any
	if err := json.Unmarshal([]byte(write(t, out.FormatJSON, out.Style{}, page)), &fromJSON); err != nil {
		t.Fatal(err)
	}
	text := write(t, out.FormatYAML, out.Style{}, page)
	var node map[string]any
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	again, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fromJSON, fromYAML); d != "" {
		t.Errorf("YAML differs from JSON:\n%s\n%s", d, text)
	}
	if !strings.Contains(text, `name: "yes"`) {
		t.Errorf("a string lost its quotes:\n%s", text)
	}
}

// anything is a Doc of any shape.
type anything map[string]any

func (anything) Schema() string   { return "vtpmctl.anything/v1" }
func (anything) Table(*out.Table) {}

func TestYAMLKeepsEveryShape(t *testing.T) {
	page := out.Page{Doc: anything{
		"empty_map": map[string]any{}, "empty_list": []any{}, "null": nil, "yes": true, "no": false,
		"number": 12345678901, "text": "a: b # c", "odd key: x": 1, "Upper": "~", "n": 1, "0x10": "0x10", "long": strings.Repeat("x y ", 99),
		"lists": []any{[]any{1, []any{}, []any{2, map[string]any{"deep": []any{3}}}}, map[string]any{}, map[string]any{"aa": nil, "bb": []any{1, 2}}, "s"},
		"lines": "one\ntwo\n", "maps": map[string]any{"inner": map[string]any{"leaf": "\ttab \"quoted\" \\ \u2028 é 𝛼"}},
	}}
	var fromJSON, fromYAML map[string]any
	if err := json.Unmarshal([]byte(write(t, out.FormatJSON, out.Style{}, page)), &fromJSON); err != nil {
		t.Fatal(err)
	}
	text := write(t, out.FormatYAML, out.Style{}, page)
	if err := yaml.Unmarshal([]byte(text), &fromYAML); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	again, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	fromYAML = nil
	if err := json.Unmarshal(again, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fromJSON, fromYAML); d != "" {
		t.Errorf("YAML differs from JSON:\n%s\n%s", d, text)
	}
}

func TestLinesAndForeignFormats(t *testing.T) {
	d := doc{"x", 0, []string{"a", "b\x7f"}}
	got, want := write(t, out.FormatJSONL, out.Style{}, out.Page{Doc: d}), "{\"item\":\"a\"}\n{\"item\":\"b\\u007f\"}\n"
	if got != want {
		t.Errorf("got %q", got)
	}
	if got := write(t, out.FormatTPM2, out.Style{}, out.Page{Doc: d}); got != "tpm2 of x" {
		t.Errorf("got %q", got)
	}
}

func TestNoFormatLetsForeignTextOut(t *testing.T) {
	evil := "a\x1b]0;title\x07\nb\u202ec\u0085d\x9be\\n\xff\u200b\U000e0041"
	page := out.Page{Doc: doc{evil, 0, []string{evil}}, Origin: origin, Note: "n"}
	for _, f := range []out.Format{out.FormatTable, out.FormatJSON, out.FormatYAML, out.FormatJSONL} {
		text := write(t, f, out.Style{}, page)
		for _, bad := range []string{"\x1b", "\x07", "\u202e", "\u0085", "\x9b", "\xff", "\u200b", "\U000e0041", "title\nb"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s lets %q through:\n%q", f, bad, text)
			}
		}
	}
	for text, want := range map[string]string{
		"a\\b\n\x1b\xff\u202e\U000e0041é": `a\\b\n\x1b\xff\u202e\U000e0041é`,
		`C:\EFI\debian\shimx64.efi`:       `C:\EFI\debian\shimx64.efi`,
	} {
		if got := out.Escape(text); got != want {
			t.Errorf("Escape = %s, want %s", got, want)
		}
	}
}

// talk is a Doc that prints foreign text as a type of its own and as an error.
type talk string

func (talk) Schema() string { return "vtpmctl.talk/v1" }

func (d talk) Table(t *out.Table) {
	t.Title("of %s", d)
	t.Text("%v", errors.New(string(d)))
}

func TestTextIsEscapedWhateverItsType(t *testing.T) {
	if got := write(t, out.FormatTable, out.Style{}, out.Page{Doc: talk("\x1b[2J")}); got != "of \\x1b[2J\n\\x1b[2J\n" {
		t.Errorf("got %q", got)
	}
}
