package cmd

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

// Render gives the YAML of tpm2_eventlog. The keys are that tool's, so that what reads its output reads ours; event data
// of types it knows are split as it does, and everything else is hex, where nothing needs an escape. Text is quoted and
// escaped: tpm2_eventlog prints it raw, and a log can forge events with it.
func (d eventlogDoc) Render(w io.Writer, _ out.Format) error {
	y := &tpm2YAML{w: bufio.NewWriterSize(w, 64<<10)}
	y.line("---\nversion: 1\nevents:")
	for i := range d.Log.Events {
		if e := &d.Log.Events[i]; d.filter.match(e) {
			y.event(e, i == 0 && d.Log.Spec != nil)
		}
	}
	y.line("pcrs:")
	for _, b := range d.Log.Replay().Banks {
		y.line("  %s:", b.Alg)
		for _, p := range b.PCRs {
			y.line("    %-2d : 0x%x", p.Index, []byte(p.Value))
		}
	}
	return y.w.Flush()
}

type tpm2YAML struct{ w *bufio.Writer }

func (y *tpm2YAML) line(format string, args ...any) { fmt.Fprintf(y.w, format+"\n", args...) }

// quoted is a YAML string in double quotes.
func quoted(text string) string {
	return `"` + strings.ReplaceAll(out.Escape(text), `"`, `\"`) + `"`
}

func (y *tpm2YAML) event(e *eventlog.Event, header bool) {
	y.line("- EventNum: %d\n  PCRIndex: %d\n  EventType: %s", e.Number, e.PCR, e.Type)
	if header {
		y.line("  Digest: \"%x\"", []byte(e.Digests[0].Value))
	} else {
		y.line("  DigestCount: %d\n  Digests:", len(e.Digests))
		for _, d := range e.Digests {
			y.line("  - AlgorithmId: %s\n    Digest: \"%x\"", d.Alg, []byte(d.Value))
		}
	}
	y.line("  EventSize: %d", len(e.Data))
	y.data(e)
}

// data prints an event's data in the shape tpm2_eventlog gives its type.
func (y *tpm2YAML) data(e *eventlog.Event) {
	decoded, _ := e.Decode()
	switch d := decoded.(type) {
	case *eventlog.SpecID:
		y.specID(d)
	case eventlog.Locality:
		y.line("  Event:\n    StartupLocality: %d", d.Locality)
	case *eventlog.Variable:
		y.variable(e, d)
	case *eventlog.ImageLoad:
		y.line("  Event:\n    ImageLocationInMemory: %s\n    ImageLengthInMemory: %d\n    ImageLinkTimeAddress: %s", d.Location, d.Size, d.LinkTime)
		y.line("    LengthOfDevicePath: %d", binary.LittleEndian.Uint64(e.Data[24:]))
		if d.Path != nil {
			y.line("    DevicePath: %s", quoted(d.Path.Text))
		}
	case *eventlog.Blob:
		if d.Base == 0 {
			y.hex(e)
			return
		}
		y.line("  Event:")
		if d.Description != "" {
			y.line("    BlobDescriptionSize: %d\n    BlobDescription: \"%x\"", len(d.Description), d.Description)
		}
		y.line("    BlobBase: %s\n    BlobLength: 0x%x", d.Base, d.Size)
	default:
		y.plain(e)
	}
}

// plain prints text types as text and the rest as hex.
func (y *tpm2YAML) plain(e *eventlog.Event) {
	text := strings.TrimRight(string(e.Data), "\x00")
	switch e.Type {
	case eventlog.EVIPL:
		y.line("  Event:\n    String: %s", quoted(text))
	case eventlog.EVEFIAction:
		y.line("  Event: %s", quoted(text))
	default:
		y.hex(e)
	}
}

func (y *tpm2YAML) hex(e *eventlog.Event) {
	if len(e.Data) > 0 {
		y.line("  Event: \"%x\"", e.Data)
	}
}

func (y *tpm2YAML) specID(d *eventlog.SpecID) {
	y.line("  SpecID:\n  - Signature: %s\n    platformClass: %d\n    specVersionMinor: %d\n    specVersionMajor: %d\n    specErrata: %d",
		d.Signature, d.PlatformClass, d.Minor, d.Major, d.Errata)
	y.line("    uintnSize: %d\n    numberOfAlgorithms: %d\n    Algorithms:", d.UintnSize, len(d.Algorithms))
	for i, a := range d.Algorithms {
		y.line("    - Algorithm[%d]:\n      algorithmId: %s\n      digestSize: %d", i, a.Alg, a.Size)
	}
	y.line("    vendorInfoSize: %d", len(d.VendorInfo))
}

func (y *tpm2YAML) variable(e *eventlog.Event, d *eventlog.Variable) {
	name := binary.LittleEndian.Uint64(e.Data[16:]) // in UTF-16 units; bounded by the decoder
	content := e.Data[min(uint64(len(e.Data)), 32+2*name):]
	y.line("  Event:\n    VariableName: %s\n    UnicodeNameLength: %d\n    VariableDataLength: %d\n    UnicodeName: %s",
		d.GUID, name, binary.LittleEndian.Uint64(e.Data[24:]), quoted(d.Name))
	if len(content) > 0 {
		y.line("    VariableData: \"%x\"", content)
	}
}
