package cmd

import (
	"cmp"
	"slices"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

// logLine is an event as it is printed in JSON and YAML: what reflection makes of eventlog.Record, in a fraction of the
// time. A test compares the two.
type logLine struct{ *eventlog.Event }

// Encode writes the event.
func (e logLine) Encode(x *out.Encoder) error {
	decoded, check, note := e.Look()
	x.Open()
	x.Field("number").Int(e.Number)
	x.Field("offset").Int(e.Offset)
	if isPCR(e.Event) {
		x.Field("pcr").Int(int(e.PCR))
	} else {
		x.Field("pcr").Null()
		x.Field("register").Text(registerOf(e.Event))
	}
	x.Field("type").Text(e.Type.String())
	x.Field("type_id").Number(uint64(e.Type), 8)
	x.Field("digests")
	e.digests(x)
	x.Field("data").Base64(e.Data)
	x.Field("kind").Text(decoded.Kind())
	x.Field("summary").Text(decoded.String())
	x.Field("decoded")
	if err := encodeDecoded(x, decoded); err != nil {
		return err
	}
	x.Field("check")
	encodeCheck(x, check)
	if note != nil {
		x.Field("note").Text(note.Error())
	}
	x.Close()
	return nil
}

// digests writes the banks in the order of their names, as package json does. A bank that is listed twice counts once.
func (e logLine) digests(x *out.Encoder) {
	banks := make([]eventlog.Digest, 0, 8) // on the stack, where an event has no more
	for d := range e.Digests.All() {
		if !slices.ContainsFunc(banks, func(b eventlog.Digest) bool { return b.Alg == d.Alg }) {
			banks = append(banks, d)
		}
	}
	slices.SortFunc(banks, func(a, b eventlog.Digest) int { return cmp.Compare(a.Alg.String(), b.Alg.String()) })
	x.Open()
	for _, d := range banks {
		x.Field(d.Alg.String()).Hex(d.Value)
	}
	x.Close()
}

// encodeDecoded writes what an event says. Loaders' events and text are most of a long log; the others go by reflection.
func encodeDecoded(x *out.Encoder, d eventlog.Decoded) error {
	switch d := d.(type) {
	case *eventlog.Loader:
		x.Open()
		x.Field("producer").Text(d.Producer)
		x.Field("what").Text(d.What)
		x.Field("text").Text(d.Text)
		x.Close()
		return nil
	case eventlog.Text:
		x.Open()
		x.Field("text").Text(d.Text)
		x.Close()
		return nil
	}
	return x.Any(d)
}

func encodeCheck(x *out.Encoder, c eventlog.Check) {
	x.Open()
	x.Field("binding").Text(string(c.Binding))
	for _, f := range [][2]string{{"rule", c.Rule}, {"quirk", c.Quirk}, {"note", c.Note}} {
		if f[1] != "" {
			x.Field(f[0]).Text(f[1])
		}
	}
	x.Close()
}
