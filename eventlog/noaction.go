package eventlog

import (
	"fmt"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Locality is the StartupLocality event.
type Locality struct {
	Locality uint8 `json:"locality"`
}

// Kind of locality events.
func (Locality) Kind() string { return "startup_locality" }

func (l Locality) String() string { return fmt.Sprintf("TPM2_Startup from locality %d", l.Locality) }

// Kind of header events.
func (*SpecID) Kind() string { return "spec_id" }

// Informative is any other EV_NO_ACTION event: a 16-byte signature and a payload that no PCR covers.
type Informative struct {
	Signature string        `json:"signature"`
	Reference *ReferenceRIM `json:"reference,omitempty"`
	Device    *SPDM         `json:"device,omitempty"` // of a digest that went into an NV index, not a PCR
	Nonce     *Nonce        `json:"nonce,omitempty"`
	Component *Component    `json:"component,omitempty"`
	Size      int           `json:"size"`
	Data      Hex           `json:"data,omitempty"`
}

// Kind of informative events.
func (*Informative) Kind() string { return "informative" }

func (i *Informative) String() string {
	switch {
	case i.Reference != nil:
		return i.Signature + ": reference manifest " + i.Reference.GUID.String() + " for " + i.Reference.Platform()
	case i.Component != nil:
		return i.Signature + ": " + i.Component.Description + " " + i.Component.Measurement.String()
	case i.Device != nil:
		return i.Signature + ": " + i.Device.String()
	case i.Nonce != nil:
		return i.Signature + ": " + i.Nonce.Description + " " + i.Nonce.Data.String()
	}
	return fmt.Sprintf("%s (%d bytes)", i.Signature, i.Size)
}

// Component is a part of the H-CRTM that was measured by itself (PFP, "H-CRTM component events").
type Component struct {
	Description string `json:"description"`
	Alg         Alg    `json:"alg,omitempty"` // where the measurement is a digest
	Measurement Hex    `json:"measurement"`
}

func parseComponent(body []byte) (*Component, error) {
	r := wire.LE(body)
	c := &Component{Description: cString(r.Bytes(int(r.U8())))}
	format := r.U8()
	measurement := r.Sized16()
	if format == 0 && len(measurement) > 2 { // TPMT_HA
		inner := wire.LE(measurement)
		c.Alg, measurement = Alg(inner.U16()), inner.Rest()
	}
	c.Measurement = Hex(measurement[:min(len(measurement), maxOpaque)])
	return c, r.Err()
}

// ReferenceRIM points to a reference integrity manifest (SP800-155 events of the PFP).
type ReferenceRIM struct {
	VendorID     uint32 `json:"vendor_id"`
	GUID         GUID   `json:"guid"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Version      string `json:"version"`
	Firmware     string `json:"firmware_manufacturer,omitempty"`
	FirmwareVer  string `json:"firmware_version,omitempty"`
	Locator      string `json:"locator,omitempty"`
}

// Platform is maker and model in one.
func (r *ReferenceRIM) Platform() string {
	return strings.TrimSpace(r.Manufacturer + " " + r.Model + " " + r.Version)
}

// decodeNoAction goes by signature: the register and the place in the log say little.
func decodeNoAction(e *Event) (Decoded, error) {
	if isSpecID(e.Data) {
		return parseSpecID(e.Data)
	}
	if locality, ok := startupLocality(e); ok {
		return Locality{Locality: locality}, nil
	}
	if e.PCR == trustPointPCR && isSIPA(e) {
		return decodeSIPA(e.Data)
	}
	if len(e.Data) < 16 {
		return decodeText(e)
	}
	signature, ok := printable(e.Data[:16])
	if !ok {
		return opaque(e.Data), nil
	}
	body := e.Data[16:]
	i := &Informative{Signature: signature, Size: len(body), Data: Hex(body[:min(len(body), maxOpaque)])}
	switch {
	case strings.HasPrefix(signature, "SP800-155 Event"):
		var err error
		i.Reference, err = parseReference(body, signature != "SP800-155 Event")
		return i, err
	case signature == "H-CRTM CompMeas":
		var err error
		i.Component, err = parseComponent(body)
		return i, err
	case signature == "NvIndexInstance":
		r := wire.LE(body)
		r.Bytes(2 + 6) // version, reserved
		var err error
		i.Device, err = parseSPDM(wire.LE(r.Rest()))
		return i, err
	case strings.HasPrefix(signature, "NvIndexDynamic"):
		var err error
		i.Nonce, err = parseDynamic(body)
		return i, err
	}
	return i, nil
}

// Nonce is what one side gave in an exchange with a device, so that its answers are fresh.
type Nonce struct {
	Description string `json:"description"`
	Data        Hex    `json:"data"`
}

// parseDynamic reads NV_INDEX_DYNAMIC_EVENT_LOG_DATA (PFP 1.06). What it says is in an NV index, where no replay of PCRs sees it.
func parseDynamic(body []byte) (*Nonce, error) {
	r := wire.LE(body)
	r.Bytes(2 + 6 + 8) // version, reserved, the number that binds it to an event of the device
	n := &Nonce{Description: cString(r.Sized16())}
	n.Data = Hex(r.Sized16())
	return n, r.Err()
}

// parseReference reads TCG_Sp800_155_PlatformId_Event, which ends after the GUID, and its later versions.
func parseReference(body []byte, later bool) (*ReferenceRIM, error) {
	r := wire.LE(body)
	text := func() string { return cString(r.Bytes(int(r.U8()))) }
	ref := &ReferenceRIM{VendorID: r.U32(), GUID: readGUID(r)}
	if later {
		ref.Manufacturer, ref.Model, ref.Version, ref.Firmware = text(), text(), text(), text()
		r.U32() // number of the firmware's manufacturer
		ref.FirmwareVer = text()
		r.U32() // kind of the locator
		if n := r.U32(); uint64(n) <= uint64(r.Len()) {
			ref.Locator = cString(r.Bytes(int(n)))
		}
	}
	return ref, r.Err()
}
