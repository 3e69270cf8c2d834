package bitlocker

import (
	"fmt"
	"strings"
	"time"
)

// Protector is one way to open the volume: a copy of the volume master key (VMK) wrapped under some other secret.
type Protector struct {
	ID         string        `json:"id"` // as manage-bde prints it, without braces
	Kind       ProtectorKind `json:"kind"`
	Protection Code16        `json:"protection"`
	WMIType    int           `json:"wmi_type,omitempty"` // of Win32_EncryptableVolume.GetKeyProtectorType
	Name       string        `json:"name,omitempty"`
	Modified   *time.Time    `json:"modified,omitempty"`
	KeyFile    string        `json:"key_file,omitempty"` // the name Windows gives the file with the startup key
	// BackupTimes is set when the entry of value type 0x0015 is there, which Windows writes with recovery passwords and
	// which appears to record their backup to a directory. Its meaning is not documented.
	BackupTimes bool     `json:"backup_times"`
	Holds       []string `json:"holds"` // value types of the properties, in order
	TPM         *TPM     `json:"tpm,omitempty"`
}

// ProtectorKind says what opens the volume.
type ProtectorKind string

// The kinds of protector.
const (
	ProtectorClearKey         ProtectorKind = "clear_key"
	ProtectorTPM              ProtectorKind = "tpm"
	ProtectorExternalKey      ProtectorKind = "external_key"
	ProtectorTPMStartupKey    ProtectorKind = "tpm_startup_key"
	ProtectorTPMPIN           ProtectorKind = "tpm_pin"
	ProtectorTPMPINStartupKey ProtectorKind = "tpm_pin_startup_key"
	ProtectorRecoveryPassword ProtectorKind = "recovery_password"
	ProtectorPublicKey        ProtectorKind = "public_key"
	ProtectorPassword         ProtectorKind = "password"
	ProtectorUnknown          ProtectorKind = "unknown"
)

// protectorKinds maps the protection field, which is a set of flags (0x0100 TPM, 0x0200 key file, 0x0400 PIN). The
// combinations 0x0300 and 0x0700 follow from the flags; no volume with them has been seen.
var protectorKinds = map[Code16]struct {
	kind    ProtectorKind
	wmiType int
}{
	0x0000: {ProtectorClearKey, 0},
	0x0100: {ProtectorTPM, 1},
	0x0200: {ProtectorExternalKey, 2},
	0x0300: {ProtectorTPMStartupKey, 5},
	0x0500: {ProtectorTPMPIN, 4},
	0x0700: {ProtectorTPMPINStartupKey, 6},
	0x0800: {ProtectorRecoveryPassword, 3},
	0x1000: {ProtectorPublicKey, 7},
	0x2000: {ProtectorPassword, 8},
}

// HasTPM reports whether the TPM takes part in opening the volume through p.
func (p *Protector) HasTPM() bool { return p.Protection&0x0100 != 0 || p.TPM != nil }

// vmkHeaderSize is GUID, FILETIME, u16, u16 protection.
const vmkHeaderSize = 28

// decodeProtector decodes a VMK entry. Of its properties only names, times and the TPM's public half are looked at.
func decodeProtector(d datum) (p Protector, warnings []string) {
	p = Protector{Kind: ProtectorUnknown, Holds: []string{}}
	if len(d.body) < vmkHeaderSize {
		return p, []string{fmt.Sprintf("a protector of %d bytes is too short", len(d.body))}
	}
	r := d.reader()
	p.ID = guid(r.Bytes(16))
	p.Modified = fileTime(r.U64())
	r.U16()
	p.Protection = Code16(r.U16())
	if k, ok := protectorKinds[p.Protection]; ok {
		p.Kind, p.WMIType = k.kind, k.wmiType
	}
	if p.Protection&0x0200 != 0 {
		p.KeyFile = strings.ToUpper(p.ID) + ".BEK"
	}
	properties, err := datums(r.Rest())
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("protector %s: %v", p.ID, err))
	}
	for _, property := range properties {
		warnings = append(warnings, p.addProperty(property)...)
	}
	if p.Protection&0x0100 != 0 && p.TPM == nil {
		warnings = append(warnings, fmt.Sprintf("protector %s: it wants a TPM, and has no TPM datum", p.ID))
	}
	return p, warnings
}

func (p *Protector) addProperty(d datum) (warnings []string) {
	p.Holds = append(p.Holds, d.entry().ValueName)
	switch d.value {
	case valueString:
		if p.Name == "" {
			p.Name = utf16Text(d.body)
		}
	case valueBackupTimes:
		p.BackupTimes = true
	case valueTPM:
		t, _, err := decodeTPM(d.body)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("protector %s: TPM datum: %v", p.ID, err))
		}
		if p.TPM == nil {
			p.TPM = t
		} else {
			warnings = append(warnings, fmt.Sprintf("protector %s: a second TPM datum is left aside", p.ID))
		}
	}
	return warnings
}
