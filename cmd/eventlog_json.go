package cmd

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

// logLine is an event as one line of JSON: what reflection makes of eventlog.Record, in a fraction of the time. A test
// compares the two.
type logLine struct {
	event *eventlog.Event
	banks []int // scratch: indices of digests
}

// AppendJSON writes the line.
func (l *logLine) AppendJSON(dst []byte) ([]byte, error) {
	e := l.event
	decoded, check, note := e.Look()
	dst = append(dst, `{"number":`...)
	dst = strconv.AppendInt(dst, int64(e.Number), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, int64(e.Offset), 10)
	dst = append(dst, `,"pcr":`...)
	if isPCR(e) {
		dst = strconv.AppendUint(dst, uint64(e.PCR), 10)
	} else {
		dst = append(dst, `null,"register":`...)
		dst = out.AppendQuoted(dst, registerOf(e))
	}
	dst = append(dst, `,"type":`...)
	dst = out.AppendQuoted(dst, e.Type.String())
	dst = append(dst, `,"type_id":"0x`...)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[e.Type>>shift&15])
	}
	dst = append(dst, `","digests":{`...)
	dst = l.digests(dst)
	dst = append(dst, `},"data":`...)
	if e.Data == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(base64.StdEncoding.AppendEncode(append(dst, '"'), e.Data), '"')
	}
	dst = append(dst, `,"kind":`...)
	dst = out.AppendQuoted(dst, decoded.Kind())
	dst = append(dst, `,"summary":`...)
	dst = out.AppendQuoted(dst, decoded.String())
	dst = append(dst, `,"decoded":`...)
	dst, err := appendDecoded(dst, decoded)
	if err != nil {
		return dst, err
	}
	dst = appendCheck(append(dst, `,"check":`...), check)
	if note != nil {
		dst = append(dst, `,"note":`...)
		dst = out.AppendQuoted(dst, note.Error())
	}
	return append(dst, '}'), nil
}

// digests writes the banks in the order of their names, as package json does. A bank that is listed twice counts once.
func (l *logLine) digests(dst []byte) []byte {
	all := l.event.Digests
	l.banks = l.banks[:0]
	for i := range all {
		if !slices.ContainsFunc(l.banks, func(j int) bool { return all[j].Alg == all[i].Alg }) {
			l.banks = append(l.banks, i)
		}
	}
	slices.SortFunc(l.banks, func(i, j int) int { return compareNames(all[i].Alg, all[j].Alg) })
	for n, i := range l.banks {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(out.AppendQuoted(dst, all[i].Alg.String()), ':', '"')
		dst = append(hex.AppendEncode(dst, all[i].Value), '"')
	}
	return dst
}

func compareNames(a, b eventlog.Alg) int {
	if a == b || a.String() < b.String() {
		return -1
	}
	return 1
}

// appendDecoded writes what an event says. Loaders' events are most of a long log; the others go by reflection.
func appendDecoded(dst []byte, d eventlog.Decoded) ([]byte, error) {
	switch d := d.(type) {
	case *eventlog.Loader:
		dst = out.AppendQuoted(append(dst, `{"producer":`...), d.Producer)
		dst = out.AppendQuoted(append(dst, `,"what":`...), d.What)
		dst = out.AppendQuoted(append(dst, `,"text":`...), d.Text)
		return append(dst, '}'), nil
	case eventlog.Text:
		return append(out.AppendQuoted(append(dst, `{"text":`...), d.Text), '}'), nil
	}
	return out.AppendJSON(dst, d)
}

func appendCheck(dst []byte, c eventlog.Check) []byte {
	dst = out.AppendQuoted(append(dst, `{"binding":`...), string(c.Binding))
	for _, f := range [][2]string{{`,"rule":`, c.Rule}, {`,"quirk":`, c.Quirk}, {`,"note":`, c.Note}} {
		if f[1] != "" {
			dst = out.AppendQuoted(append(dst, f[0]...), f[1])
		}
	}
	return append(dst, '}')
}
