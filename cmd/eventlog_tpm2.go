package cmd

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

// Render gives the YAML of tpm2_eventlog. The keys are that tool's, so that what reads its output reads ours; event data
// of types it knows are split as it does, and everything else is hex, where nothing needs an escape. Text is quoted and
// escaped: tpm2_eventlog prints it raw, and a log can forge events with it.
func (d eventlogDoc) Render(w io.Writer, _ out.Format) error {
	replay := make(chan *eventlog.Replay, 1)
	go func() { replay <- d.Log.Replay() }() // beside the printing of the events
	var y tpm2YAML
	y.line("---\nversion: 1\nevents:")
	for e := range d.events() {
		y.event(e, e.Number == 0 && d.Log.Spec != nil)
		if len(y) > 32<<10 {
			if _, err := w.Write(y); err != nil {
				return err
			}
			y = y[:0]
		}
	}
	y.line("pcrs:")
	for _, b := range (<-replay).Banks {
		y.line("  ", b.Alg.String(), ":")
		for _, p := range b.PCRs {
			index := strconv.Itoa(p.Index)
			y.line("    ", index, strings.Repeat(" ", 3-len(index)), ": 0x", p.Value.String())
		}
	}
	_, err := w.Write(y)
	return err
}

// tpm2YAML is lines of that YAML. They are put together without package fmt, which would take most of the time.
type tpm2YAML []byte

// line adds a line of our own words, numbers and names of types.
func (y *tpm2YAML) line(parts ...string) {
	for _, p := range parts {
		*y = append(*y, p...)
	}
	*y = append(*y, '\n')
}

func (y *tpm2YAML) number(key string, n uint64) {
	*y = append(strconv.AppendUint(append(*y, key...), n, 10), '\n')
}

// text adds foreign text in quotes.
func (y *tpm2YAML) text(key, text string) {
	*y = append(out.AppendQuoted(append(*y, key...), text), '\n')
}

// bytes adds bytes as hex in quotes.
func (y *tpm2YAML) bytes(key string, b []byte) {
	*y = append(hex.AppendEncode(append(append(*y, key...), '"'), b), '"', '\n')
}

func (y *tpm2YAML) event(e *eventlog.Event, header bool) {
	y.number("- EventNum: ", uint64(e.Number))
	y.number("  PCRIndex: ", uint64(e.PCR))
	y.line("  EventType: ", e.Type.String())
	if header {
		y.bytes("  Digest: ", e.Digests.At(0).Value)
	} else {
		y.number("  DigestCount: ", uint64(e.Digests.Len()))
		y.line("  Digests:")
		for d := range e.Digests.All() {
			y.line("  - AlgorithmId: ", d.Alg.String())
			y.bytes("    Digest: ", d.Value)
		}
	}
	y.number("  EventSize: ", uint64(len(e.Data)))
	y.data(e)
}

// data prints an event's data in the shape tpm2_eventlog gives its type; text needs no decoding.
func (y *tpm2YAML) data(e *eventlog.Event) {
	switch e.Type {
	case eventlog.EVIPL:
		y.line("  Event:")
		y.text("    String: ", strings.TrimRight(string(e.Data), "\x00"))
		return
	case eventlog.EVEFIAction:
		y.text("  Event: ", strings.TrimRight(string(e.Data), "\x00"))
		return
	}
	decoded, _ := e.Decode()
	switch d := decoded.(type) {
	case *eventlog.SpecID:
		y.specID(d)
	case eventlog.Locality:
		y.line("  Event:")
		y.number("    StartupLocality: ", uint64(d.Locality))
	case *eventlog.Variable:
		y.variable(e, d)
	case *eventlog.ImageLoad:
		y.image(e, d)
	case *eventlog.Blob:
		y.blob(e, d)
	default:
		y.hex(e)
	}
}

func (y *tpm2YAML) hex(e *eventlog.Event) {
	if len(e.Data) > 0 {
		y.bytes("  Event: ", e.Data)
	}
}

func (y *tpm2YAML) image(e *eventlog.Event, d *eventlog.ImageLoad) {
	y.line("  Event:")
	y.line("    ImageLocationInMemory: ", d.Location.String())
	y.number("    ImageLengthInMemory: ", d.Size)
	y.line("    ImageLinkTimeAddress: ", d.LinkTime.String())
	y.number("    LengthOfDevicePath: ", binary.LittleEndian.Uint64(e.Data[24:]))
	if d.Path != nil {
		y.text("    DevicePath: ", d.Path.Text)
	}
}

func (y *tpm2YAML) blob(e *eventlog.Event, d *eventlog.Blob) {
	if d.Base == 0 {
		y.hex(e)
		return
	}
	y.line("  Event:")
	if d.Description != "" {
		y.number("    BlobDescriptionSize: ", uint64(len(d.Description)))
		y.bytes("    BlobDescription: ", []byte(d.Description))
	}
	y.line("    BlobBase: ", d.Base.String())
	y.line("    BlobLength: ", eventlog.Address(d.Size).String())
}

func (y *tpm2YAML) specID(d *eventlog.SpecID) {
	y.line("  SpecID:\n  - Signature: ", d.Signature)
	y.number("    platformClass: ", uint64(d.PlatformClass))
	y.number("    specVersionMinor: ", uint64(d.Minor))
	y.number("    specVersionMajor: ", uint64(d.Major))
	y.number("    specErrata: ", uint64(d.Errata))
	y.number("    uintnSize: ", uint64(d.UintnSize))
	y.number("    numberOfAlgorithms: ", uint64(len(d.Algorithms)))
	y.line("    Algorithms:")
	for i, a := range d.Algorithms {
		y.line("    - Algorithm[", strconv.Itoa(i), "]:")
		y.line("      algorithmId: ", a.Alg.String())
		y.number("      digestSize: ", uint64(a.Size))
	}
	y.number("    vendorInfoSize: ", uint64(len(d.VendorInfo)))
}

func (y *tpm2YAML) variable(e *eventlog.Event, d *eventlog.Variable) {
	name := binary.LittleEndian.Uint64(e.Data[16:]) // in UTF-16 units; bounded by the decoder
	content := e.Data[min(uint64(len(e.Data)), 32+2*name):]
	y.line("  Event:")
	y.line("    VariableName: ", d.GUID.String())
	y.number("    UnicodeNameLength: ", name)
	y.number("    VariableDataLength: ", binary.LittleEndian.Uint64(e.Data[24:]))
	y.text("    UnicodeName: ", d.Name)
	if len(content) > 0 {
		y.bytes("    VariableData: ", content)
	}
}
