package eventlog

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/bits"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// SPDM is DEVICE_SECURITY_EVENT_DATA: measurements that a device gave about itself, or the certificates it has (PFP 1.06,
// "Device Security Event").
type SPDM struct {
	Version      uint16         `json:"version"`
	AuthState    *uint8         `json:"auth_state,omitempty"` // version 2: 0 is a device that proved its identity
	Content      string         `json:"content"`              // "measurement", "certificate chain" or "content of kind n"
	Path         *DevicePath    `json:"path,omitempty"`
	Device       string         `json:"device"` // bus and identifiers
	Alg          Alg            `json:"hash_algorithm,omitempty"`
	Measurements []SPDMBlock    `json:"measurements,omitempty"`
	Certificates []*Certificate `json:"certificates,omitempty"` // the root's first; its digest stands before them

	path         span
	certificates []span
}

// span is where something stands in the data that was decoded.
type span struct{ from, to int }

// SPDMBlock is a measurement block in the DMTF's form (DSP0274, "Measurement block").
type SPDMBlock struct {
	Index uint8  `json:"index"`
	What  string `json:"what"`
	Raw   bool   `json:"raw"` // the value itself; else its digest
	Value Hex    `json:"value"`
}

// Kind of SPDM measurements.
func (*SPDM) Kind() string { return "spdm" }

func (s *SPDM) String() string {
	text := s.Content + " of " + s.Device
	if s.Path != nil && s.Path.Text != "" {
		text += " at " + s.Path.Text
	}
	for _, m := range s.Measurements {
		text += fmt.Sprintf("; %d, %s: %s", m.Index, m.What, m.Value[:min(len(m.Value), maxOpaque)])
	}
	for _, c := range s.Certificates {
		text += "; " + c.String()
	}
	if s.AuthState != nil && *s.AuthState != 0 {
		text += "; " + s.authentication()
	}
	return text
}

// authentication says how far the device proved its identity. It failed where the state is 3 or 4.
func (s *SPDM) authentication() string {
	if *s.AuthState == 0xff {
		return "the device does not know SPDM"
	}
	return nth(uint64(*s.AuthState), "authenticated", "not authenticated", "its certificate names no device", "it gave no signature",
		"its signature or certificate is not valid")
}

func (s *SPDM) failed() bool { return s.AuthState != nil && (*s.AuthState == 3 || *s.AuthState == 4) }

func decodeSPDM(e *Event) (Decoded, error) {
	s, err := parseSPDM(wire.LE(e.Data))
	if s == nil {
		return opaque(e.Data), err
	}
	return s, err
}

// parseSPDM reads either version. Both name the device by its path and by what its bus tells about it; version 1 has
// the measurement before them, version 2 between them.
func parseSPDM(r *wire.Reader) (s *SPDM, err error) {
	signature := string(r.Bytes(16))
	s = &SPDM{Version: r.U16(), Content: "measurement"}
	var bus, kind uint32
	var size int
	switch signature {
	case "SPDM Device Sec\x00":
		r.U16() // length of the whole
		s.Alg = spdmAlg(r.U32(), 1)
		bus = r.U32()
		err = s.blocks(r, 1)
	case "SPDM Device Sec2":
		state := r.U8()
		s.AuthState = &state
		r.U8()
		r.U32() // length of what follows
		bus, kind = r.U32(), r.U32()
		size = int(min(r.U32(), 1<<30))
		r.U64() // binds two events together
	default:
		return nil, errors.New("no device security event of a known version")
	}
	pathLen := r.U64()
	if pathLen > uint64(r.Len()) {
		return s, fmt.Errorf("device path of %d bytes, %d left", pathLen, r.Len())
	}
	if pathLen > 0 {
		var pathErr error
		s.path = span{r.Offset(), r.Offset() + int(pathLen)}
		s.Path, pathErr = parseDevicePath(r.Bytes(int(pathLen)))
		err = errors.Join(err, pathErr)
	}
	if size > 0 {
		at := r.Offset()
		err = errors.Join(err, s.part(kind, wire.LE(r.Bytes(size)), at))
	}
	s.Device = deviceName(bus, r)
	return s, errors.Join(err, r.Err())
}

// part reads DEVICE_SECURITY_EVENT_DATA_SUB_HEADER of version 2, which stands at an offset. Makers have kinds of their own, which are named and left.
func (s *SPDM) part(kind uint32, r *wire.Reader, at int) error {
	if kind > 1 {
		s.Content = fmt.Sprintf("content of kind %d", kind)
		return nil
	}
	r.U16()         // version of SPDM
	count := r.U8() // of blocks, or the slot of the chain
	r.U8()
	if kind == 1 {
		s.Content = "certificate chain"
		s.Alg = spdmAlg(r.U32(), 0)
		return s.chain(r, at)
	}
	s.Alg = spdmAlg(r.U32(), 1)
	return errors.Join(s.blocks(r, int(count)), r.Err())
}

// spdmAlg is the hash of a bit of SPDM's ALGORITHMS response; first is the bit of SHA-256, for measurements may be raw.
func spdmAlg(bit uint32, first int) Alg {
	algs := []Alg{SHA256, SHA384, SHA512, SHA3256, SHA3384, SHA3512, SM3}
	if i := bits.TrailingZeros32(bit) - first; i >= 0 && i < len(algs) {
		return algs[i]
	}
	return 0
}

func (s *SPDM) blocks(r *wire.Reader, count int) error {
	for range count {
		index, specification, body := r.U8(), r.U8(), wire.LE(r.Sized16())
		if r.Err() != nil {
			return r.Err()
		}
		if specification&1 == 0 {
			s.Measurements = append(s.Measurements, SPDMBlock{index, fmt.Sprintf("specification 0x%x", specification), true, Hex(body.Rest())})
			continue
		}
		kind := body.U8()
		m := SPDMBlock{Index: index, Raw: kind&0x80 != 0, Value: Hex(body.Sized16())}
		m.What = nth(uint64(kind&0x7f), "immutable ROM", "firmware", "hardware configuration", "firmware configuration", "manifest",
			"debug and device mode", "firmware version", "security version of the firmware", "extended measurement", "information",
			"structured manifest")
		if body.Err() != nil {
			return body.Err()
		}
		s.Measurements = append(s.Measurements, m)
	}
	return nil
}

// chain reads a certificate chain (DSP0274, "Certificate chain format"): the digest of the root, then certificates.
func (s *SPDM) chain(r *wire.Reader, at int) error {
	r.Bytes(2 + 2 + s.Alg.Size()) // length, reserved, digest of the root
	const most = 16
	at += r.Offset()
	for rest := r.Rest(); len(rest) > 0 && len(s.Certificates) < most; {
		var one asn1.RawValue
		after, err := asn1.Unmarshal(rest, &one)
		if err != nil {
			return fmt.Errorf("certificate %d of the chain: %w", len(s.Certificates)+1, err)
		}
		c, _ := parseCertificate(one.FullBytes) // one without names has a fingerprint
		end := at + len(one.FullBytes)
		s.Certificates, s.certificates = append(s.Certificates, c), append(s.certificates, span{at, end})
		at, rest = end, after
	}
	return r.Err()
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
