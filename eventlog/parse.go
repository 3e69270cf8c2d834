package eventlog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// MaxSize is the largest input Parse accepts. Real logs stay below one MiB; the rest is room for IMA lists.
const MaxSize = 64 << 20

// maxLayers bounds what may be wrapped around a log: text in text in text is somebody's joke.
const maxLayers = 4

// Parse reads a measured-boot event log of any known form. It fails only where it finds no event at all; whatever stops
// it later is a Note of the log, beside the events before it.
func Parse(data []byte) (*Log, error) {
	switch {
	case len(data) == 0:
		return nil, fail.E(fail.BadInput, "the event log is empty").
			Hint("a kernel without a log still has extended PCRs: vtpmctl pcr read shows them")
	case len(data) > MaxSize:
		return nil, fail.E(fail.BadInput, "the event log has %d bytes, more than %d", len(data), MaxSize)
	}
	log, err := parse(data, nil)
	if err != nil {
		return nil, err
	}
	return log, nil
}

// parse recognises one layer and reads on inside it. The forms with a signature come first; a headerless SHA-1 log, which
// has none, comes last.
func parse(data []byte, layers []string) (*Log, error) {
	if len(layers) > maxLayers {
		return nil, fail.E(fail.BadInput, "the event log is wrapped more than %d times: %v", maxLayers, layers)
	}
	if spec, _ := headerOf(data); spec != nil {
		log := parseTCG(data)
		if log.CC {
			layers = append(layers, "ccel")
		}
		return log.wrapped(layers), nil
	}
	for _, read := range []func([]byte) *Log{parseIMABinary, parseIMAText, parseJSON, parseCELTLV, parseCELCBOR} {
		if log := read(data); log != nil {
			return log.wrapped(layers), nil
		}
	}
	if inner, ok := txtContainer(data); ok {
		return parse(inner, append(layers, "txt container"))
	}
	if inner, name, ok := textEncoded(data); ok {
		return parse(inner, append(layers, name))
	}
	if parts := bundle(data); parts != nil {
		return parseBundle(parts, layers)
	}
	if plausibleSHA1(data) {
		return parseTCG(data).wrapped(layers), nil
	}
	if at := laterHeader(data); at > 0 {
		log := parseTCG(data[at:])
		log.shift(at)
		log.note("skipped", 0, -1, fmt.Sprintf("%d bytes before the header event were skipped", at))
		return log.wrapped(layers), nil
	}
	return nil, fail.E(fail.BadInput, "not an event log of a known form (%d bytes, starting %x)",
		len(data), data[:min(len(data), 16)]).
		Hint("vtpmctl help formats lists the forms that are read")
}

// wrapped records the layers a log was found in.
func (l *Log) wrapped(layers []string) *Log {
	l.Layers = slices.Concat([]string{}, layers)
	return l
}

// shift moves all offsets by the bytes that were skipped before the log.
func (l *Log) shift(by int) {
	for i := range l.Events {
		l.Events[i].Offset += by
	}
	for i := range l.Notes {
		l.Notes[i].Offset += by
	}
}

// parseBundle reads every log of a bundle and returns the last that has events: the newest.
func parseBundle(parts [][]byte, layers []string) (*Log, error) {
	var logs []*Log
	for i, part := range parts {
		name := fmt.Sprintf("log %d of a bundle of %d", i+1, len(parts))
		if log, err := parse(part, append(layers[:len(layers):len(layers)], name)); err == nil {
			logs = append(logs, log)
		}
	}
	if len(logs) == 0 {
		return nil, fail.E(fail.BadInput, "a bundle of %d logs, none of which can be read", len(parts))
	}
	slices.Reverse(logs)
	newest := logs[0]
	newest.Older = logs[1:]
	if len(newest.Older) > 0 {
		newest.note("bundle", 0, -1, fmt.Sprintf("%d older logs of earlier boots or resumes come before this one", len(newest.Older)))
	}
	return newest, nil
}

// bundle splits a sequence of 32-bit lengths and logs; nil where data is none. Windows agents join the logs of one boot
// and its resumes like that.
func bundle(data []byte) [][]byte {
	var parts [][]byte
	for r := wire.LE(data); r.Len() > 0; {
		part := r.Sized32()
		if r.Err() != nil || len(part) < 32 || len(parts) == 4096 || !plausible(part) {
			return nil
		}
		parts = append(parts, part)
	}
	return parts
}

func plausible(data []byte) bool {
	spec, _ := headerOf(data)
	return spec != nil || plausibleSHA1(data)
}

// plausibleSHA1 tells whether data may be a SHA-1 log without a header: its first record fits and has a type and a
// register that exist.
func plausibleSHA1(data []byte) bool {
	f := framing{data: data, end: paddingStart(data)}
	var e Event
	if ok, _ := f.next(&e); !ok {
		return false
	}
	return (e.PCR < pcrCount || e.PCR == trustPointPCR) && e.Type.Known() && e.Type != EVPrebootCert
}

// laterHeader finds a header event behind something else, as coreboot logs have it.
func laterHeader(data []byte) int {
	const dataOffset = 4 + 4 + 20 + 4 // pcr, type, SHA-1 digest, size
	window := data[:min(len(data), 1<<20)]
	for from := 0; ; {
		at := bytes.Index(window[from:], specIDPrefix)
		if at < 0 {
			return -1
		}
		start := from + at - dataOffset
		if start > 0 && binary.LittleEndian.Uint32(window[start+4:]) == uint32(EVNoAction) {
			return start
		}
		from += at + 1
	}
}

// txtContainer unwraps the event log area of the Intel TXT heap (TXT Software Development Guide, appendix C).
func txtContainer(data []byte) ([]byte, bool) {
	r := wire.LE(data)
	if !bytes.HasPrefix(r.Bytes(20), []byte("TXT Event Container")) {
		return nil, false
	}
	r.Bytes(12 + 4) // reserved, versions
	size, first, next := r.U32(), r.U32(), r.U32()
	limit := uint32(min(len(data), MaxSize))
	if size >= first && size < limit {
		limit = size
	}
	if next > first && next < limit {
		limit = next
	}
	if r.Err() != nil || first >= limit || int(first) < r.Offset() {
		return nil, false
	}
	return data[first:limit], true
}

// textEncoded decodes a log that somebody copied through a terminal: hex or base64, with any line breaks.
func textEncoded(data []byte) (decoded []byte, name string, ok bool) {
	text := make([]byte, 0, len(data))
	for _, c := range bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) {
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c < 0x21 || c > 0x7e:
			return nil, "", false
		default:
			text = append(text, c)
		}
	}
	if len(text) < 32 {
		return nil, "", false
	}
	if n, err := hex.Decode(make([]byte, len(text)/2), bytes.TrimPrefix(text, []byte("0x"))); err == nil && n > 0 {
		decoded, _ = hex.DecodeString(string(bytes.TrimPrefix(text, []byte("0x"))))
		return decoded, "hex", true
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if decoded, err := enc.DecodeString(string(text)); err == nil {
			return decoded, "base64", true
		}
	}
	return nil, "", false
}
