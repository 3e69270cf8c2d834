package bitlocker

import (
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// datum is one entry of the metadata, or one property inside a protector. Its body may be a wrapped key: a datum never
// becomes part of a result.
type datum struct {
	role, value uint16
	body        []byte
}

const (
	datumHeaderSize = 8
	maxDatums       = 1024 // a real volume has a few dozen
)

// Roles of entries.
const (
	roleVMK          = 0x0002
	roleDescription  = 0x0007
	roleHeaderBackup = 0x000f
)

// Types of values.
const (
	valueString      = 0x0002
	valueTPM         = 0x0006
	valueBCDList     = 0x0007
	valueVMK         = 0x0008
	valueExtent      = 0x000f
	valueBackupTimes = 0x0015
)

// datums splits a list of entries: u16 size, role, value type and version, then the body. A size of zero ends the list.
// What stood before an entry that does not fit is returned with the error.
func datums(data []byte) ([]datum, error) {
	var list []datum
	r := wire.LE(data)
	for r.Len() >= datumHeaderSize {
		at := r.Offset()
		size := int(r.U16())
		d := datum{role: r.U16(), value: r.U16()}
		r.U16() // version
		if size == 0 {
			return list, nil
		}
		if size < datumHeaderSize || size-datumHeaderSize > r.Len() {
			return list, fmt.Errorf("offset %d: an entry of %d bytes, %d are left", at, size, r.Len()+datumHeaderSize)
		}
		if len(list) == maxDatums {
			return list, fmt.Errorf("offset %d: more than %d entries", at, maxDatums)
		}
		d.body = r.Bytes(size - datumHeaderSize)
		list = append(list, d)
	}
	return list, nil
}

func (d datum) reader() *wire.Reader { return wire.LE(d.body) }

func (d datum) entry() Entry {
	return Entry{
		Role: Code16(d.role), RoleName: nameOf(roleNames, d.role),
		Value: Code16(d.value), ValueName: nameOf(valueNames, d.value),
		Size: len(d.body) + datumHeaderSize,
	}
}
