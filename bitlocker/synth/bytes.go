package synth

import (
	"encoding/binary"
	"time"
	"unicode/utf16"
)

// buffer appends little-endian values.
type buffer struct{ out []byte }

func (b *buffer) u16(v uint16) *buffer { b.out = binary.LittleEndian.AppendUint16(b.out, v); return b }
func (b *buffer) u32(v uint32) *buffer { b.out = binary.LittleEndian.AppendUint32(b.out, v); return b }
func (b *buffer) u64(v uint64) *buffer { b.out = binary.LittleEndian.AppendUint64(b.out, v); return b }
func (b *buffer) raw(v []byte) *buffer { b.out = append(b.out, v...); return b }

// datum makes a metadata entry or property.
func datum(role, value uint16, body []byte) []byte {
	return new(buffer).u16(uint16(8 + len(body))).u16(role).u16(value).u16(1).raw(body).out
}

// withRole gives a datum another role.
func withRole(role uint16, d []byte) []byte {
	binary.LittleEndian.PutUint16(d[2:], role)
	return d
}

// keyDatum wraps key bytes with their kind.
func keyDatum(kind uint16, key []byte) []byte {
	return datum(0, 1, new(buffer).u16(kind).u16(0).raw(key).out)
}

func utf16z(s string) []byte {
	b := new(buffer)
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b.u16(u)
	}
	return b.out
}

func fileTime(t time.Time) uint64 {
	return uint64(t.Unix()+11_644_473_600)*10_000_000 + uint64(t.Nanosecond()/100)
}
