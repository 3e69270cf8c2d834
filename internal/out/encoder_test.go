package out_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
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
	x.Field("number").Number(0x12f, 4)
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
	const line = `{"none":{},"some":{"text":"yes\n","null":null},"int":-1,"hex":"ab","number":"0x012f","no_bytes":null,"bytes":"/w==","any":{"list":[1]}}` + "\n"
	const indented = `    {
      "none": {},
      "some": {
        "text": "yes\n",
        "null": null
      },
      "int": -1,
      "hex": "ab",
      "number": "0x012f",
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
    number: "0x012f"
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

// counts is a Doc with a list of numbers, of which one may be trouble.
type counts struct {
	long
	trouble func(int) error
}

type count struct {
	n       int
	trouble func(int) error
}

func (c count) Encode(x *out.Encoder) error {
	x.Open()
	x.Field("n").Int(c.n)
	x.Close()
	return c.trouble(c.n)
}

func (c counts) Lines() iter.Seq[any] {
	return func(yield func(any) bool) {
		for n := range int(c.long) {
			if !yield(count{n, c.trouble}) {
				return
			}
		}
	}
}

func TestALongListIsPrintedInItsOrder(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 256, 257, 1000, 5000} {
		doc := counts{long(n), func(int) error { return nil }}
		var want strings.Builder
		for i := range n {
			fmt.Fprintf(&want, "{\"n\":%d}\n", i)
		}
		if got := write(t, out.FormatJSONL, out.Style{}, out.Page{Doc: doc}); got != want.String() {
			t.Errorf("%d values: %.200s", n, got)
		}
		var list struct{ Items []struct{ N int } }
		if err := json.Unmarshal([]byte(write(t, out.FormatJSON, out.Style{}, out.Page{Doc: doc})), &list); err != nil || len(list.Items) != n {
			t.Fatalf("%d values became %d: %v", n, len(list.Items), err)
		}
		for i, item := range list.Items {
			if item.N != i {
				t.Fatalf("of %d values number %d is %d", n, i, item.N)
			}
		}
	}
}

func TestTroubleWithOneValueOfALongListEndsIt(t *testing.T) {
	for _, bad := range []int{0, 200, 4999} {
		broken := errors.New("broken")
		doc := counts{5000, func(n int) error {
			if n == bad {
				return broken
			}
			return nil
		}}
		if err := out.Write(io.Discard, out.FormatJSONL, out.Style{}, out.Page{Doc: doc}); !errors.Is(err, broken) {
			t.Errorf("value %d fails, Write returns %v", bad, err)
		}
		doc.trouble = func(n int) error {
			if n == bad {
				panic(broken)
			}
			return nil
		}
		func() {
			defer func() {
				if p := recover(); p != broken {
					t.Errorf("value %d panics, the caller recovers %v", bad, p)
				}
			}()
			_ = out.Write(io.Discard, out.FormatJSONL, out.Style{}, out.Page{Doc: doc})
		}()
	}
}
