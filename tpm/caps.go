package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Capabilities is what a TPM says about itself. It guides defaults and proves nothing: whoever runs the TPM may let it
// say anything.
type Capabilities struct {
	Manufacturer   Manufacturer `json:"manufacturer"`
	VendorString   string       `json:"vendor_string"`
	Firmware       string       `json:"firmware_version"` // four numbers, as Windows prints them
	Spec           Spec         `json:"spec"`
	Algorithms     []Algorithm  `json:"algorithms"`
	Curves         []string     `json:"curves"`
	Commands       []string     `json:"commands"`
	VendorCommands []Hex        `json:"vendor_commands"`
	Banks          []Bank       `json:"banks"`
	Handles        Handles      `json:"handles"`
	State          State        `json:"state"`
	Lockout        Lockout      `json:"lockout"`
	Limits         Limits       `json:"limits"`
	Properties     []Property   `json:"properties"`
	Refused        []string     `json:"refused"` // what the TPM did not tell
}

// Hex is a number that is printed in hex: a handle, a command code, a property.
type Hex uint32

// String is h as all tools print it.
func (h Hex) String() string { return fmt.Sprintf("0x%08x", uint32(h)) }

// MarshalText makes h a string in JSON.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// ParseHandle reads a handle as String prints it, in digits of either case.
func ParseHandle(text string) (tpm2.TPMHandle, bool) {
	digits, ok := strings.CutPrefix(strings.ToLower(text), "0x")
	n, err := strconv.ParseUint(digits, 16, 32)
	return tpm2.TPMHandle(n), ok && err == nil && len(digits) == 8
}

// Manufacturer is who made the TPM.
type Manufacturer struct {
	ID   string `json:"id"`   // the registered letters: "IFX"
	Name string `json:"name"` // "Infineon"; "" for letters that nobody registered
}

// Spec is the edition of the library specification that the TPM follows.
type Spec struct {
	Family   string `json:"family"`   // "2.0"
	Revision string `json:"revision"` // "1.59"
	Year     uint32 `json:"year"`
	Day      uint32 `json:"day_of_year"`
}

// Algorithm is one that the TPM implements.
type Algorithm struct {
	ID         uint16   `json:"id"`
	Name       string   `json:"name"`
	Attributes []string `json:"attributes"` // TPMA_ALGORITHM in words
}

// Bank is a set of PCRs under one hash algorithm.
type Bank struct {
	Name   string `json:"name"`
	Active bool   `json:"active"` // some PCR is allocated
	PCRs   []int  `json:"pcrs"`
}

// Handles are those in use.
type Handles struct {
	Persistent     []Hex `json:"persistent"`
	Transient      []Hex `json:"transient"`
	LoadedSessions []Hex `json:"loaded_sessions"`
	SavedSessions  []Hex `json:"saved_sessions"`
	NV             []Hex `json:"nv"`
}

// State is TPMA_PERMANENT and TPMA_STARTUP_CLEAR (part 2, sections 8.6 and 8.7).
type State struct {
	OwnerAuthSet       bool `json:"owner_auth_set"`
	EndorsementAuthSet bool `json:"endorsement_auth_set"`
	LockoutAuthSet     bool `json:"lockout_auth_set"`
	ClearDisabled      bool `json:"clear_disabled"`
	EPSMadeByTPM       bool `json:"eps_made_by_tpm"`
	PlatformEnabled    bool `json:"platform_enabled"`
	OwnerEnabled       bool `json:"owner_enabled"`
	EndorsementEnabled bool `json:"endorsement_enabled"`
	PlatformNVEnabled  bool `json:"platform_nv_enabled"`
	Orderly            bool `json:"orderly"` // the last shutdown was an orderly one
}

// Lockout is the defence against guessing (part 1, section 19.8).
type Lockout struct {
	Locked          bool   `json:"locked"`
	FailedTries     uint32 `json:"failed_tries"`
	MaxTries        uint32 `json:"max_tries"`
	RecoverySeconds uint32 `json:"recovery_seconds"` // after so long one failed try is forgotten
	LockoutRecovery uint32 `json:"lockout_recovery_seconds"`
}

// Limits are sizes and numbers that a caller must keep to. 0 is "not told".
type Limits struct {
	NVBuffer         uint32 `json:"nv_buffer"`
	NVIndex          uint32 `json:"nv_index"`
	InputBuffer      uint32 `json:"input_buffer"`
	Digest           uint32 `json:"digest"`
	Command          uint32 `json:"command"`
	Response         uint32 `json:"response"`
	PCRs             uint32 `json:"pcrs"`
	PCRSelect        uint32 `json:"pcr_select"`
	TransientFree    uint32 `json:"transient_free"`
	PersistentFree   uint32 `json:"persistent_free"`
	SessionsFree     uint32 `json:"sessions_free"`
	ActiveSessions   uint32 `json:"active_sessions"`
	NVIndicesDefined uint32 `json:"nv_indices_defined"`
	ObjectContext    uint32 `json:"object_context"`
}

// Property is one of TPM_CAP_TPM_PROPERTIES as it came.
type Property struct {
	ID    Hex    `json:"id"`
	Name  string `json:"name"`
	Value Hex    `json:"value"`
}

// Probe asks the TPM for all it says about itself. A capability that the TPM refuses is noted in Refused; only a TPM
// that does not answer, or answers nonsense, is an error.
func Probe(ctx context.Context, s Sender) (*Capabilities, error) {
	p := &prober{ctx: ctx, s: s, c: &Capabilities{Properties: []Property{}, Refused: []string{}}}
	for _, group := range []tpm2.TPMPT{tpm2.TPMPTFamilyIndicator, tpm2.TPMPTPermanent} { // an answer stays within a group
		p.ask("properties", tpm2.TPMCapTPMProperties, uint32(group), into(&p.c.Properties, readProperty))
	}
	p.c.describe(propertyValues(p.c.Properties))
	p.ask("algorithms", tpm2.TPMCapAlgs, 1, into(&p.c.Algorithms, readAlgorithm))
	p.ask("curves", tpm2.TPMCapECCCurves, 1, into(&p.c.Curves, readCurve))
	p.commands()
	p.ask("PCR banks", tpm2.TPMCapPCRs, 0, into(&p.c.Banks, readBank))
	for _, h := range []struct {
		what string
		kind tpm2.TPMHT
		list *[]Hex
	}{
		{"persistent handles", tpm2.TPMHTPersistent, &p.c.Handles.Persistent},
		{"transient handles", tpm2.TPMHTTransient, &p.c.Handles.Transient},
		{"loaded sessions", tpm2.TPMHTHMACSession, &p.c.Handles.LoadedSessions},
		{"saved sessions", tpm2.TPMHTPolicySession, &p.c.Handles.SavedSessions},
		{"NV indices", tpm2.TPMHTNVIndex, &p.c.Handles.NV},
	} {
		p.ask(h.what, tpm2.TPMCapHandles, uint32(h.kind)<<24, into(h.list, readHandle))
	}
	return p.c, p.err
}

// prober asks one question after the other until the first error.
type prober struct {
	ctx context.Context
	s   Sender
	c   *Capabilities
	err error
}

// ask reads one capability; a refusal is noted.
func (p *prober) ask(what string, capability tpm2.TPMCap, first uint32, item itemReader) {
	if p.err == nil && p.ctx.Err() != nil {
		p.err = waitError(p.ctx)
	}
	if p.err != nil {
		return
	}
	err := readCapability(p.s, capability, first, item)
	if rc, ok := errors.AsType[tpm2.TPMRC](err); ok {
		p.c.Refused = append(p.c.Refused, what+": "+Explain(tpm2.TPMCCGetCapability, rc).Words())
	} else if err != nil {
		p.err = fmt.Errorf("reading the TPM's %s: %w", what, err)
	}
}

// itemReader reads one item of a capability's list and returns its number in the list's order; handles, algorithms and
// commands ascend.
type itemReader func(r *wire.Reader) (number uint32)

// into makes an itemReader that collects what decode reads. The list is never nil, however few there are.
func into[T any](list *[]T, decode func(*wire.Reader) (T, uint32)) itemReader {
	if *list == nil {
		*list = []T{}
	}
	return func(r *wire.Reader) uint32 {
		v, number := decode(r)
		if r.Err() == nil {
			*list = append(*list, v)
		}
		return number
	}
}

// capabilityLimit bounds a list: no TPM has as many of anything, a broken one may never stop saying "more".
const capabilityLimit = 4096

// readCapability reads a whole list of items, however many answers it takes (part 3, section 30.2).
func readCapability(s Sender, capability tpm2.TPMCap, first uint32, item itemReader) error {
	for total := uint32(0); ; {
		more, count, last, err := capabilityPage(s, capability, first, 1024, item)
		if err != nil {
			return err
		}
		if total += count; total > capabilityLimit {
			return fail.E(fail.Failed, "capability %d has no end after %d items", capability, capabilityLimit)
		}
		if !more || count == 0 || last < first || last == 1<<32-1 { // "more" without progress would never end
			return nil
		}
		first = last + 1
	}
}

// capabilityPage reads one answer, of at most most items.
func capabilityPage(s Sender, capability tpm2.TPMCap, first, most uint32, item itemReader) (more bool, count, last uint32, err error) {
	r, err := plain(s, tpm2.TPMCCGetCapability, wire.NewBE().U32(uint32(capability)).U32(first).U32(most))
	if err != nil {
		return false, 0, 0, err
	}
	more = r.U8() != 0
	if got := tpm2.TPMCap(r.U32()); r.Err() == nil && got != capability {
		return false, 0, 0, fail.E(fail.Failed, "the TPM was asked for capability %d and answers with %d", capability, got)
	}
	count, last = r.U32(), first
	for range count {
		if last = item(r); r.Err() != nil {
			return false, 0, 0, fail.E(fail.Failed, "capability %d ends in the middle of an item: %w", capability, r.Err())
		}
	}
	if err := r.Err(); err != nil {
		return false, 0, 0, fail.E(fail.Failed, "capability %d is cut off: %w", capability, err)
	}
	return more, count, last, nil
}

// ListHandles lists the handles of one type that are in use.
func ListHandles(s Sender, kind tpm2.TPMHT) ([]tpm2.TPMHandle, error) {
	var list []tpm2.TPMHandle
	err := readCapability(s, tpm2.TPMCapHandles, uint32(kind)<<24, func(r *wire.Reader) uint32 {
		h := r.U32()
		list = append(list, tpm2.TPMHandle(h))
		return h
	})
	return list, err
}

// PCRBanks is TPM_CAP_PCRS: the banks that the TPM knows, and the PCRs that each of them has.
func PCRBanks(s Sender) (tpm2.TPMLPCRSelection, error) {
	var list tpm2.TPMLPCRSelection
	err := readCapability(s, tpm2.TPMCapPCRs, 0, func(r *wire.Reader) uint32 {
		list.PCRSelections = append(list.PCRSelections, readSelection(r))
		return 0
	})
	return list, err
}

// readSelection reads a TPMS_PCR_SELECTION.
func readSelection(r *wire.Reader) tpm2.TPMSPCRSelection {
	return tpm2.TPMSPCRSelection{Hash: tpm2.TPMIAlgHash(r.U16()), PCRSelect: r.Bytes(int(r.U8()))}
}

func readProperty(r *wire.Reader) (Property, uint32) {
	id, value := r.U32(), r.U32()
	return Property{ID: Hex(id), Name: propertyNames[tpm2.TPMPT(id)], Value: Hex(value)}, id
}

func readHandle(r *wire.Reader) (Hex, uint32) {
	h := r.U32()
	return Hex(h), h
}

func readCurve(r *wire.Reader) (string, uint32) {
	c := r.U16()
	return CurveName(tpm2.TPMECCCurve(c)), uint32(c)
}

func readAlgorithm(r *wire.Reader) (Algorithm, uint32) {
	id, attributes := r.U16(), r.U32()
	return Algorithm{ID: id, Name: AlgorithmName(tpm2.TPMAlgID(id)), Attributes: bitNames(attributes, algorithmBits)}, uint32(id)
}

// readBank reads a bank. The list of banks is answered whole.
func readBank(r *wire.Reader) (Bank, uint32) {
	s := readSelection(r)
	b := Bank{Name: AlgorithmName(s.Hash), PCRs: []int{}}
	for i, octet := range s.PCRSelect {
		for bit := range 8 {
			if octet>>bit&1 != 0 {
				b.PCRs = append(b.PCRs, 8*i+bit)
			}
		}
	}
	b.Active = len(b.PCRs) > 0
	return b, 0
}

func propertyValues(properties []Property) map[tpm2.TPMPT]uint32 {
	values := map[tpm2.TPMPT]uint32{}
	for _, p := range properties {
		values[tpm2.TPMPT(p.ID)] = uint32(p.Value)
	}
	return values
}

// commands reads TPM_CAP_COMMANDS, whose items are TPMA_CC (part 2, section 8.9).
func (p *prober) commands() {
	const indexMask, vendor = 0xffff, 1 << 29
	p.c.Commands, p.c.VendorCommands = []string{}, []Hex{}
	p.ask("commands", tpm2.TPMCapCommands, uint32(tpm2.TPMCCNVUndefineSpaceSpecial), func(r *wire.Reader) uint32 {
		code := r.U32() & (indexMask | vendor)
		switch {
		case r.Err() != nil:
		case code&vendor != 0:
			p.c.VendorCommands = append(p.c.VendorCommands, Hex(code))
		default:
			p.c.Commands = append(p.c.Commands, strings.TrimPrefix(CommandName(tpm2.TPMCC(code)), "TPM2_"))
		}
		return code
	})
}

// describe decodes the properties.
func (c *Capabilities) describe(v map[tpm2.TPMPT]uint32) {
	c.Manufacturer = manufacturerOf(v[tpm2.TPMPTManufacturer])
	c.VendorString = letters(v[tpm2.TPMPTVendorString1], v[tpm2.TPMPTVendorString2], v[tpm2.TPMPTVendorString3], v[tpm2.TPMPTVendorString4])
	f1, f2 := v[tpm2.TPMPTFirmwareVersion1], v[tpm2.TPMPTFirmwareVersion2]
	c.Firmware = fmt.Sprintf("%d.%d.%d.%d", f1>>16, f1&0xffff, f2>>16, f2&0xffff)
	revision := v[tpm2.TPMPTRevision]
	c.Spec = Spec{
		Family:   letters(v[tpm2.TPMPTFamilyIndicator]),
		Revision: fmt.Sprintf("%d.%02d", revision/100, revision%100),
		Year:     v[tpm2.TPMPTYear], Day: v[tpm2.TPMPTDayofYear],
	}
	permanent, startup := v[tpm2.TPMPTPermanent], v[tpm2.TPMPTStartupClear]
	bit := func(word uint32, n int) bool { return word>>n&1 != 0 }
	c.State = State{
		OwnerAuthSet: bit(permanent, 0), EndorsementAuthSet: bit(permanent, 1), LockoutAuthSet: bit(permanent, 2),
		ClearDisabled: bit(permanent, 8), EPSMadeByTPM: bit(permanent, 10),
		PlatformEnabled: bit(startup, 0), OwnerEnabled: bit(startup, 1), EndorsementEnabled: bit(startup, 2),
		PlatformNVEnabled: bit(startup, 3), Orderly: bit(startup, 31),
	}
	c.Lockout = Lockout{
		Locked: bit(permanent, 9), FailedTries: v[tpm2.TPMPTLockoutCounter], MaxTries: v[tpm2.TPMPTMaxAuthFail],
		RecoverySeconds: v[tpm2.TPMPTLockoutInterval], LockoutRecovery: v[tpm2.TPMPTLockoutRecovery],
	}
	c.Limits = Limits{
		NVBuffer: v[tpm2.TPMPTNVBufferMax], NVIndex: v[tpm2.TPMPTNVIndexMax], InputBuffer: v[tpm2.TPMPTInputBuffer],
		Digest: v[tpm2.TPMPTMaxDigest], Command: v[tpm2.TPMPTMaxCommandSize], Response: v[tpm2.TPMPTMaxResponseSize],
		PCRs: v[tpm2.TPMPTPCRCount], PCRSelect: v[tpm2.TPMPTPCRSelectMin],
		TransientFree: v[tpm2.TPMPTHRTransientAvail], PersistentFree: v[tpm2.TPMPTHRPersistentAvail],
		SessionsFree: v[tpm2.TPMPTHRActiveAvail], ActiveSessions: v[tpm2.TPMPTActiveSessionsMax],
		NVIndicesDefined: v[tpm2.TPMPTHRNVIndex], ObjectContext: v[tpm2.TPMPTMaxObjectContext],
	}
}

// letters are the characters of words of four, without the zeros and spaces that fill them up.
func letters(words ...uint32) string {
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return string(bytes.Trim(b, "\x00 "))
}
