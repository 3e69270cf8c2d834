package eventlog

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// Digest is one bank's digest of an event.
type Digest struct {
	Alg   Alg `json:"alg"`
	Value Hex `json:"digest"`
}

// Digests are those of an event, one for each bank as a rule. They view the log. How they lie there is what most events of a log
// have in common: an event of four banks takes no more memory than an event of one.
type Digests struct {
	layout *layout
	bytes  []byte
}

// layout is how the digests of an event lie in its bytes.
type layout struct {
	places []place
	size   int // of all
}

// place is where the value of a digest lies.
type place struct {
	alg      Alg
	at, size int
}

// DigestsOf copies digests behind one another.
func DigestsOf(list ...Digest) Digests {
	d := Digests{layout: &layout{places: make([]place, 0, len(list))}}
	for _, one := range list {
		d.layout.add(one.Alg, d.layout.size, len(one.Value))
		d.bytes = append(d.bytes, one.Value...)
	}
	return d
}

// alone is the layout of one digest and nothing else.
func alone(bank Alg) *layout {
	l := &layout{}
	l.add(bank, 0, bank.Size())
	return l
}

// aloneSHA1 is that of a record in the SHA-1 layout.
var aloneSHA1 = alone(SHA1)

func (l *layout) add(alg Alg, at, size int) {
	l.places = append(l.places, place{alg, at, size})
	l.size = at + size
}

// fits tells whether count digests of a crypto-agile record, each behind the number of its algorithm, lie like this.
func (l *layout) fits(record []byte, count int) bool {
	if l == nil || len(l.places) != count || len(record) < l.size {
		return false
	}
	for i := range l.places {
		if p := &l.places[i]; Alg(binary.LittleEndian.Uint16(record[p.at-2:])) != p.alg {
			return false
		}
	}
	return true
}

// Len is how many digests there are.
func (d Digests) Len() int {
	if d.layout == nil {
		return 0
	}
	return len(d.layout.places)
}

// At is the digest at an index. It stays a call: put into all its callers it took 8 kB of the binary.
//
//go:noinline
func (d Digests) At(i int) Digest {
	p := &d.layout.places[i]
	return Digest{Alg: p.alg, Value: Hex(d.bytes[p.at : p.at+p.size : p.at+p.size])}
}

// All yields the digests in the order of the log.
func (d Digests) All() iter.Seq[Digest] {
	return func(yield func(Digest) bool) {
		for i := range d.Len() {
			if !yield(d.At(i)) {
				return
			}
		}
	}
}

// Of is the digest of one bank, nil where there is none.
func (d Digests) Of(bank Alg) Hex {
	for i := range d.Len() {
		if d.layout.places[i].alg == bank {
			return d.At(i).Value
		}
	}
	return nil
}

// Equal tells whether both are the same digests in the same order.
func (d Digests) Equal(other Digests) bool {
	if d.Len() != other.Len() {
		return false
	}
	for i := range d.Len() {
		if a, b := d.At(i), other.At(i); a.Alg != b.Alg || !bytes.Equal(a.Value, b.Value) {
			return false
		}
	}
	return true
}
