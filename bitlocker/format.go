package bitlocker

import (
	"fmt"
	"time"
	"unicode/utf16"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Code16 is a number that means something only in hexadecimal; it is printed and marshalled that way.
type Code16 uint16

// Code32 is a Code16 of twice the size.
type Code32 uint32

func (c Code16) String() string { return fmt.Sprintf("0x%04x", uint16(c)) }
func (c Code32) String() string { return fmt.Sprintf("0x%08x", uint32(c)) }

// MarshalText renders c as String does.
func (c Code16) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// MarshalText renders c as String does.
func (c Code32) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// guid renders the 16 bytes of a GUID.
func guid(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	return eventlog.GUID(b).String()
}

// fileTime converts 100 ns units since 1601. It returns nil for zero and for years that RFC 3339 cannot write.
func fileTime(t uint64) *time.Time {
	const unitsPerSecond, epoch, lastYear = 10_000_000, 11_644_473_600, 9999
	if t == 0 {
		return nil
	}
	utc := time.Unix(int64(t/unitsPerSecond)-epoch, int64(t%unitsPerSecond)*100).UTC()
	if utc.Year() > lastYear {
		return nil
	}
	return &utc
}

// utf16Text decodes little-endian UTF-16 up to its terminator. Broken surrogates become U+FFFD; the text is foreign and
// whoever prints it must escape it.
func utf16Text(b []byte) string {
	var units []uint16
	for r := wire.LE(b); r.Len() >= 2; {
		u := r.U16()
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
