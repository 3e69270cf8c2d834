package eventlog

import (
	"bytes"
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// SpecID is the header event of a TCG log (PFP, "Specification ID Version Event").
type SpecID struct {
	Signature     string    `json:"signature"` // "Spec ID Event03", "…02" or "…00"
	PlatformClass uint32    `json:"platform_class"`
	Major         uint8     `json:"spec_version_major"`
	Minor         uint8     `json:"spec_version_minor"`
	Errata        uint8     `json:"spec_errata"`
	UintnSize     uint8     `json:"uintn_size"` // 1 or 2: units of 32 bits
	Algorithms    []AlgSize `json:"algorithms"`
	VendorInfo    Hex       `json:"vendor_info"`
}

// AlgSize is one entry of the header's table of algorithms.
type AlgSize struct {
	Alg  Alg    `json:"alg"`
	Size uint16 `json:"size"`
}

// maxHeaderAlgs bounds the table of algorithms; the registry does not have that many hashes.
const maxHeaderAlgs = 32

var specIDPrefix = []byte("Spec ID Event0")

// isSpecID tells whether an event's data is a header of any generation. The signature decides, not the place: some logs
// open with another EV_NO_ACTION event.
func isSpecID(data []byte) bool {
	return len(data) >= 16 && bytes.HasPrefix(data, specIDPrefix) && data[14] >= '0' && data[14] <= '9' && data[15] == 0
}

// parseSpecID decodes a header event's data; what it could read is returned with the error.
func parseSpecID(data []byte) (*SpecID, error) {
	r := wire.LE(data)
	id := &SpecID{Signature: cString(r.Bytes(16)), PlatformClass: r.U32()}
	id.Minor, id.Major, id.Errata, id.UintnSize = r.U8(), r.U8(), r.U8(), r.U8()
	if id.Signature == "Spec ID Event03" {
		n := r.U32()
		if n > maxHeaderAlgs {
			return id, fmt.Errorf("header declares %d algorithms", n)
		}
		for range n {
			a := AlgSize{Alg: Alg(r.U16()), Size: r.U16()}
			if r.Err() != nil {
				break
			}
			id.Algorithms = append(id.Algorithms, a)
		}
	}
	id.VendorInfo = Hex(r.Bytes(int(r.U8())))
	return id, r.Err()
}

func (id *SpecID) String() string {
	return fmt.Sprintf("%s, specification %d.%d errata %d", id.Signature, id.Major, id.Minor, id.Errata)
}

// cString is the text up to the first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
