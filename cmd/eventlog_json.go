package cmd

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

// logLine is an event as it is printed in JSON and YAML: what reflection makes of eventlog.Record, in a fraction of the
// time. A test compares the two.
type logLine struct {
	event  *eventlog.Event
	banks  []int              // scratch: indices of digests
	typeID string             // in hex, of the last event,
	of     eventlog.EventType // which had this type
}

// Encode writes the event.
func (l *logLine) Encode(x *out.Encoder) error {
	e := l.event
	decoded, check, note := e.Look()
	x.Open()
	x.Field("number").Int(e.Number)
	x.Field("offset").Int(e.Offset)
	if isPCR(e) {
		x.Field("pcr").Int(int(e.PCR))
	} else {
		x.Field("pcr").Null()
		x.Field("register").Text(registerOf(e))
	}
	if l.typeID == "" || l.of != e.Type {
		l.typeID, l.of = fmt.Sprintf("0x%08x", uint32(e.Type)), e.Type
	}
	x.Field("type").Text(e.Type.String())
	x.Field("type_id").Text(l.typeID)
	x.Field("digests")
	l.digests(x)
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
func (l *logLine) digests(x *out.Encoder) {
	all := l.event.Digests
	l.banks = l.banks[:0]
	for i := range all {
		if !slices.ContainsFunc(l.banks, func(j int) bool { return all[j].Alg == all[i].Alg }) {
			l.banks = append(l.banks, i)
		}
	}
	slices.SortFunc(l.banks, func(i, j int) int { return cmp.Compare(all[i].Alg.String(), all[j].Alg.String()) })
	x.Open()
	for _, i := range l.banks {
		x.Field(all[i].Alg.String()).Hex(all[i].Value)
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
