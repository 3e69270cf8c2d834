package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Variable is UEFI_VARIABLE_DATA: a variable's name and content, as far as its name says what the content is.
type Variable struct {
	GUID    GUID   `json:"guid"`
	Name    string `json:"name"`
	Size    int    `json:"size"`              // of the content
	Enabled *bool  `json:"enabled,omitempty"` // one-byte switches such as SecureBoot

	Signatures []SignatureList `json:"signature_lists,omitempty"` // PK, KEK, db, dbx, MokList, …
	Authority  *Signature      `json:"authority,omitempty"`       // the one signature an image was accepted for
	Order      []string        `json:"order,omitempty"`           // BootOrder
	Option     *LoadOption     `json:"option,omitempty"`          // Boot####
	Text       string          `json:"text,omitempty"`            // SbatLevel and other text
	Data       Hex             `json:"data,omitempty"`            // the start of anything else

	content []byte
}

// Kind of UEFI variables.
func (*Variable) Kind() string { return "efi_variable" }

func (v *Variable) String() string {
	var what string
	switch {
	case v.Size == 0:
		what = "empty"
	case v.Enabled != nil:
		what = map[bool]string{true: "on", false: "off"}[*v.Enabled]
	case v.Authority != nil:
		what = v.Authority.String()
	case v.Signatures != nil:
		what = summarise(v.Signatures)
	case v.Order != nil:
		what = strings.Join(v.Order, " ")
	case v.Option != nil:
		what = v.Option.String()
	case v.Text != "":
		what = strings.TrimSpace(v.Text)
	default:
		what = fmt.Sprintf("%d bytes", v.Size)
	}
	return v.Name + ": " + what
}

// parseVariable reads the frame of UEFI_VARIABLE_DATA (PFP, "UEFI_VARIABLE_DATA"). A name is bounded by the data, as is
// everything here.
func parseVariable(data []byte) (*Variable, error) {
	r := wire.LE(data)
	v := &Variable{GUID: readGUID(r)}
	nameLen, size := r.U64(), r.U64()
	if r.Err() != nil {
		return nil, r.Err()
	}
	if nameLen > uint64(r.Len())/2 {
		return nil, fmt.Errorf("variable name of %d characters, %d bytes left", nameLen, r.Len())
	}
	v.Name = decodeUTF16(r.Bytes(int(nameLen) * 2))
	if size > uint64(r.Len()) {
		v.content, v.Size = r.Rest(), int(min(size, 1<<31-1))
		return v, fmt.Errorf("variable content of %d bytes, %d left", size, len(v.content))
	}
	v.content, v.Size = r.Bytes(int(size)), int(size)
	if r.Len() > 0 {
		return v, fmt.Errorf("%d bytes after the variable", r.Len())
	}
	return v, nil
}

// Content is what the variable holds, as a view into the log.
func (v *Variable) Content() []byte { return v.content }

// isLoadOption matches the names of load options: a kind and four hex digits (UEFI 2.10, section 3.1.1).
func isLoadOption(name string) bool {
	for _, kind := range []string{"Boot", "Driver", "SysPrep", "PlatformRecovery", "OsRecovery"} {
		if digits, ok := strings.CutPrefix(name, kind); ok && len(digits) == 4 {
			return strings.Trim(digits, "0123456789abcdefABCDEF") == ""
		}
	}
	return false
}

func decodeVariable(e *Event) (Decoded, error) {
	v, err := parseVariable(e.Data)
	if v == nil {
		return opaque(e.Data), err
	}
	return v, errors.Join(err, v.decode(e.Type))
}

// decode reads the content by the variable's name.
func (v *Variable) decode(t EventType) (err error) {
	switch {
	case len(v.content) == 0:
	case v.Name == "SbatLevel" || v.Name == "SbatLevelRT":
		v.Text = strings.TrimRight(string(v.content), "\x00")
	case v.Name == "BootOrder" || v.Name == "DriverOrder" || v.Name == "SysPrepOrder":
		v.Order = bootOrder(v.content)
	case isLoadOption(v.Name):
		v.Option, err = parseLoadOption(v.content)
	case len(v.content) == 1:
		on := v.content[0] != 0
		v.Enabled = &on
	case t == EVEFIVariableAuthority:
		err = v.decodeAuthority()
	case isSignatureVariable(v.Name):
		v.Signatures, err = parseSignatureLists(v.content)
	default:
		if text, ok := anyText(v.content); ok {
			v.Text = text
		}
	}
	if v.Authority == nil && v.Signatures == nil && v.Order == nil && v.Option == nil && v.Text == "" && v.Enabled == nil {
		v.Data = Hex(v.content[:min(len(v.content), maxOpaque)])
	}
	return err
}

// decodeAuthority reads what let a program run: one EFI_SIGNATURE_DATA. shim also measures the whole of its lists as such.
func (v *Variable) decodeAuthority() (err error) {
	if strings.HasPrefix(v.Name, "MokList") {
		if v.Signatures, err = parseSignatureLists(v.content); err == nil {
			return nil
		}
		v.Signatures = nil
	}
	v.Authority, err = parseAuthority(v.content)
	return err
}

// isPolicyVariable knows the lists of Secure Boot, which firmware measures into PCR 7.
func isPolicyVariable(name string) bool {
	return slices.Contains([]string{"PK", "KEK", "db", "dbx", "dbt", "dbr"}, name)
}

func isSignatureVariable(name string) bool {
	switch name {
	case "PK", "KEK", "db", "dbx", "dbt", "dbr", "PKDefault", "KEKDefault", "dbDefault", "dbxDefault", "devdb",
		"MokList", "MokListX", "MokListRT", "MokListXRT", "vendor_db", "vendor_dbx":
		return true
	}
	return false
}

func bootOrder(content []byte) []string {
	order := make([]string, 0, len(content)/2)
	for ; len(content) >= 2; content = content[2:] {
		order = append(order, fmt.Sprintf("%04X", binary.LittleEndian.Uint16(content)))
	}
	return order
}

// LoadOption is EFI_LOAD_OPTION (UEFI, "Load Options").
type LoadOption struct {
	Active      bool        `json:"active"`
	Description string      `json:"description"`
	Path        *DevicePath `json:"path,omitempty"`
	Optional    int         `json:"optional_data_size"`
}

func (o *LoadOption) String() string {
	text := o.Description
	if o.Path != nil {
		text += " " + o.Path.Text
	}
	if !o.Active {
		text += " (inactive)"
	}
	return text
}

func parseLoadOption(content []byte) (*LoadOption, error) {
	r := wire.LE(content)
	o := &LoadOption{Active: r.U32()&1 != 0}
	pathLen := int(r.U16())
	o.Description = readUTF16(r)
	path := r.Bytes(pathLen)
	o.Optional = r.Len()
	if r.Err() != nil {
		return o, r.Err()
	}
	var err error
	o.Path, err = parseDevicePath(path)
	return o, err
}
