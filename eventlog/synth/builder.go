// Package synth writes event logs of our own: realistic boots for `vtpmctl tour` and for tests, and a catalogue of
// hostile ones. It writes bytes itself, on purpose without the parser's help, so that the two check each other.
package synth

import (
	"iter"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Extend is one extend operation that a log speaks of, ready to be played into a TPM.
type Extend struct {
	PCR     int
	Digests []eventlog.Digest
}

// Recording is a boot: the log firmware and loaders left, and the extends they made, in order.
type Recording struct {
	Log     []byte
	Extends []Extend
}

// Builder writes a log record by record.
type Builder struct {
	banks   []eventlog.Alg
	sha1    bool // the SHA-1 layout instead of the crypto-agile one
	w       *wire.Writer
	extends []Extend
}

// Agile starts a crypto-agile log with its header event, as EDK II writes it.
func Agile(banks ...eventlog.Alg) *Builder {
	b := &Builder{banks: banks, w: wire.NewLE()}
	b.record(0, eventlog.EVNoAction, make([]byte, 20), SpecID(banks...))
	return b
}

// SHA1 starts a log in the layout of TPM 1.2. Its header, if any, is an event like the others: see SpecID12.
func SHA1() *Builder {
	return &Builder{banks: []eventlog.Alg{eventlog.SHA1}, sha1: true, w: wire.NewLE()}
}

// SpecID is the data of the header event of a crypto-agile log.
func SpecID(banks ...eventlog.Alg) []byte {
	w := wire.NewLE().Bytes([]byte("Spec ID Event03\x00")).U32(0)
	w.U8(0).U8(2).U8(0).U8(2) // minor, major, errata, uintn size
	w.U32(uint32(len(banks)))
	for _, bank := range banks {
		w.U16(uint16(bank)).U16(uint16(bank.Size()))
	}
	return w.U8(0).Out()
}

// SpecID12 is the data of the header event of a TPM 1.2 log: generation 0 for BIOS, 2 for UEFI.
func SpecID12(generation byte) []byte {
	w := wire.NewLE().Bytes([]byte("Spec ID Event0")).U8('0' + generation).U8(0).U32(0)
	return w.U8(2).U8(1).U8(0).U8(generation).U8(0).Out()
}

// record writes one record in the SHA-1 layout.
func (b *Builder) record(pcr uint32, t eventlog.EventType, digest, data []byte) {
	b.w.U32(pcr).U32(uint32(t)).Bytes(digest).Sized32(data)
}

// Event measures hashed into a PCR and logs data. EV_NO_ACTION events get zero digests and extend nothing.
func (b *Builder) Event(pcr uint32, t eventlog.EventType, hashed, data []byte) *Builder {
	digests := make([]eventlog.Digest, 0, len(b.banks))
	for _, bank := range b.banks {
		value := make(eventlog.Hex, bank.Size())
		if t != eventlog.EVNoAction {
			value = bank.Sum(hashed)
		}
		digests = append(digests, eventlog.Digest{Alg: bank, Value: value})
	}
	return b.Raw(pcr, t, digests, data)
}

// Data measures the logged data itself.
func (b *Builder) Data(pcr uint32, t eventlog.EventType, data []byte) *Builder {
	return b.Event(pcr, t, data, data)
}

// Raw logs an event with given digests.
func (b *Builder) Raw(pcr uint32, t eventlog.EventType, digests []eventlog.Digest, data []byte) *Builder {
	if b.sha1 {
		b.record(pcr, t, digests[0].Value, data)
	} else {
		b.w.U32(pcr).U32(uint32(t)).U32(uint32(len(digests)))
		for _, d := range digests {
			b.w.U16(uint16(d.Alg)).Bytes(d.Value)
		}
		b.w.Sized32(data)
	}
	if t != eventlog.EVNoAction && pcr < 24 {
		b.extends = append(b.extends, Extend{PCR: int(pcr), Digests: digests})
	}
	return b
}

// Only makes the events that follow carry these banks only, as Windows does beside an unused SHA-1 bank.
func (b *Builder) Only(banks ...eventlog.Alg) *Builder {
	b.banks = banks
	return b
}

// Recording returns what was written so far.
func (b *Builder) Recording() *Recording {
	return &Recording{Log: slices.Clone(b.w.Out()), Extends: slices.Clone(b.extends)}
}

// PCRs plays the extends into PCRs that start at zero (17 to 22 included: a launch has happened), with the plain
// definition of TPM2_PCR_Extend.
func (r *Recording) PCRs(bank eventlog.Alg) map[int]eventlog.Hex {
	pcrs := make(map[int]eventlog.Hex)
	for _, e := range r.Extends {
		for _, d := range e.Digests {
			if d.Alg != bank {
				continue
			}
			if pcrs[e.PCR] == nil {
				pcrs[e.PCR] = make(eventlog.Hex, bank.Size())
			}
			pcrs[e.PCR] = bank.Sum(pcrs[e.PCR], d.Value)
		}
	}
	return pcrs
}

// lines yields the lines of text.
func lines(text string) iter.Seq[string] { return strings.SplitSeq(text, "\n") }
