package out_test

import (
	"iter"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/out"
)

// shapes encodes itself, with an object in each state and values of each kind.
type shapes struct{}

func (shapes) Encode(x *out.Encoder) error {
	x.Open()
	x.Field("none")
	x.Open()
	x.Close()
	x.Field("some")
	x.Open()
	x.Field("text").Text("yes\n")
	x.Field("null").Null()
	x.Close()
	x.Field("int").Int(-1)
	x.Field("hex").Hex([]byte{0xab})
	x.Field("no_bytes").Base64(nil)
	x.Field("bytes").Base64([]byte{0xff})
	x.Field("any")
	err := x.Any(map[string]any{"list": []int{1}})
	x.Close()
	return err
}

// long is a Doc with a list of them.
type long int

func (long) Schema() string               { return "vtpmctl.long/v1" }
func (long) Table(*out.Table)             {}
func (long) List() string                 { return "items" }
func (long) MarshalJSON() ([]byte, error) { return []byte(`{"a":1}`), nil }

func (n long) Lines() iter.Seq[any] {
	return func(yield func(any) bool) {
		for range n {
			if !yield(shapes{}) {
				return
			}
		}
	}
}

func TestAnEncoderSaysTheSameInEachLayout(t *testing.T) {
	const line = `{"none":{},"some":{"text":"yes\n","null":null},"int":-1,"hex":"ab","no_bytes":null,"bytes":"/w==","any":{"list":[1]}}` + "\n"
	const indented = `    {
      "none": {},
      "some": {
        "text": "yes\n",
        "null": null
      },
      "int": -1,
      "hex": "ab",
      "no_bytes": null,
      "bytes": "/w==",
      "any": {
        "list": [
          1
        ]
      }
    }`
	const block = `  - none: {}
    some:
      text: "yes\n"
      "null": null
    int: -1
    hex: "ab"
    no_bytes: null
    bytes: "/w=="
    any:
      list:
        - 1
`
	const jsonHead = "{\n  \"schema\": \"vtpmctl.long/v1\",\n  \"a\": 1,\n  \"items\": ["
	const yamlHead = "schema: \"vtpmctl.long/v1\"\n\"a\": 1\nitems:"
	for _, c := range []struct {
		format out.Format
		items  long
		want   string
	}{
		{out.FormatJSONL, 2, line + line},
		{out.FormatJSON, 2, jsonHead + "\n" + indented + ",\n" + indented + "\n  ]\n}\n"},
		{out.FormatJSON, 0, jsonHead + "]\n}\n"},
		{out.FormatYAML, 2, yamlHead + "\n" + block + block},
		{out.FormatYAML, 0, yamlHead + " []\n"},
	} {
		if got := write(t, c.format, out.Style{}, out.Page{Doc: c.items}); got != c.want {
			t.Errorf("%d items as %s:\n%s\nwant\n%s", c.items, c.format, got, c.want)
		}
	}
}
