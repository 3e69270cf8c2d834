package synth

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	logs "github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// Firmware is what UEFI firmware measures into PCR 7; each field is one thing that can be wrong with it.
type Firmware struct {
	SecureBoot  []byte   // content of the variable
	LeaveOut    string   // a variable that is not measured
	DB          []string // subjects of the certificates
	Separators  int
	Authorities []Authority
	Cut         bool // the log ends within an event
	Forged      bool // the authorities are not those that were measured
}

// Authority is the certificate that vouched for an image: a variable, the owner of its entry, the subject.
type Authority struct{ Variable, Owner, Subject string }

// OwnerMicrosoft is the owner Microsoft gives to its entries.
const OwnerMicrosoft = "77fa9abd-0359-4d32-bd60-28f4e78f784b"

// WindowsFirmware is a boot of Windows to whose PCR 7 BitLocker can be bound.
func WindowsFirmware() Firmware {
	const windows = "Microsoft Windows Production PCA 2011"
	return Firmware{
		SecureBoot: []byte{1}, DB: []string{windows, "Microsoft Corporation UEFI CA 2011"}, Separators: 1,
		Authorities: []Authority{{"db", OwnerMicrosoft, windows}},
	}
}

// Log is the event log of the boot, PCR 7 alone. The certificates have the subjects of real ones and keys of our own.
func (f Firmware) Log() []byte {
	const globalVariable, imageSecurity = "8be4df61-93ca-11d2-aa0d-00e098032b8c", "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	b := logs.Agile(eventlog.SHA256)
	variable := func(vendor, name string, data []byte) {
		if name != f.LeaveOut {
			b.Data(7, eventlog.EVEFIVariableDriverConfig, logs.Variable(vendor, name, data))
		}
	}
	variable(globalVariable, "SecureBoot", f.SecureBoot)
	variable(globalVariable, "PK", nil)
	variable(globalVariable, "KEK", nil)
	variable(imageSecurity, "db", f.db())
	variable(imageSecurity, "dbx", nil)
	for range f.Separators {
		b.Data(7, eventlog.EVSeparator, make([]byte, 4))
	}
	for _, a := range f.Authorities {
		data := logs.Variable(imageSecurity, a.Variable, slices.Concat(guid(a.Owner), logs.Certificate(a.Subject)))
		measured := data
		if f.Forged {
			measured = []byte("something else")
		}
		b.Event(7, eventlog.EVEFIVariableAuthority, measured, data)
	}
	log := b.Recording().Log
	if f.Cut {
		log = append(log, 7, 0, 0, 0, 5)
	}
	return log
}

// db is one EFI_SIGNATURE_LIST for each certificate, because they differ in size.
func (f Firmware) db() []byte {
	b := new(buffer)
	for _, subject := range f.DB {
		c := logs.Certificate(subject)
		size := uint32(16 + len(c))
		b.raw(guid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")).u32(28 + size).u32(0).u32(size).raw(guid(OwnerMicrosoft)).raw(c)
	}
	return b.out
}

// guid encodes a GUID, its first three fields little-endian.
func guid(text string) []byte {
	b := must(hex.DecodeString(strings.ReplaceAll(text, "-", "")))
	slices.Reverse(b[:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}
