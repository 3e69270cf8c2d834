package eventlog

import (
	"errors"
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// SPDM is DEVICE_SECURITY_EVENT_DATA: a measurement that a device gave about itself, or the certificate it has (PFP 1.06,
// "Device Security Event").
type SPDM struct {
	Version   uint16      `json:"version"`
	AuthState *uint8      `json:"auth_state,omitempty"` // version 2: 0 is a device that proved its identity
	Content   string      `json:"content"`              // "measurement" or "certificate chain"
	Path      *DevicePath `json:"path,omitempty"`
	Device    string      `json:"device"` // bus and identifiers
}

// Kind of SPDM measurements.
func (*SPDM) Kind() string { return "spdm" }

func (s *SPDM) String() string {
	text := s.Content + " of " + s.Device
	if s.Path != nil && s.Path.Text != "" {
		text += " at " + s.Path.Text
	}
	return text
}

func decodeSPDM(e *Event) (Decoded, error) {
	s, err := parseSPDM(wire.LE(e.Data))
	if s == nil {
		return opaque(e.Data), err
	}
	return s, err
}

// parseSPDM reads either version. Both name the device by its path and by what its bus tells about it; version 1 has
// the measurement before them, version 2 between them.
func parseSPDM(r *wire.Reader) (*SPDM, error) {
	signature := string(r.Bytes(16))
	s := &SPDM{Version: r.U16(), Content: "measurement"}
	var bus, sub uint32
	var subSize int
	switch signature {
	case "SPDM Device Sec\x00":
		r.U16() // length of the whole
		r.U32() // hash algorithm
		bus = r.U32()
		r.U16() // index and specification of the measurement block
		r.Bytes(int(r.U16()))
	case "SPDM Device Sec2":
		state := r.U8()
		s.AuthState = &state
		r.U8()
		r.U32() // length of what follows
		bus, sub = r.U32(), r.U32()
		subSize = int(min(r.U32(), 1<<30))
		r.U64() // binds two events together
	default:
		return nil, errors.New("no device security event of a known version")
	}
	if sub == 1 {
		s.Content = "certificate chain"
	}
	pathLen := r.U64()
	if pathLen > uint64(r.Len()) {
		return s, fmt.Errorf("device path of %d bytes, %d left", pathLen, r.Len())
	}
	var err error
	if pathLen > 0 {
		s.Path, err = parseDevicePath(r.Bytes(int(pathLen)))
	}
	r.Bytes(subSize)
	s.Device = deviceName(bus, r)
	return s, errors.Join(err, r.Err())
}

// deviceName reads DEVICE_SECURITY_EVENT_DATA_DEVICE_CONTEXT.
func deviceName(bus uint32, r *wire.Reader) string {
	switch bus {
	case 1:
		r.U32() // version, length
		vendor, device := r.U16(), r.U16()
		return fmt.Sprintf("PCI device %04x:%04x", vendor, device)
	case 2:
		return "USB device"
	}
	return fmt.Sprintf("device of kind %d", bus)
}
