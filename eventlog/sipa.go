package eventlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Windows is what Windows measures about itself (wbcl.h): a tree of records.
type Windows struct {
	Records []SIPA `json:"records"`
}

// SIPA is one record of a Windows measurement, "system integrity platform attestation".
type SIPA struct {
	ID      uint32 `json:"-"`
	Hex     string `json:"id"`
	Name    string `json:"name"` // as in wbcl.h, without SIPAEVENT_
	Value   any    `json:"value,omitempty"`
	Text    string `json:"text"` // the value in words
	Records []SIPA `json:"records,omitempty"`

	raw []byte
}

// Kind of Windows measurements.
func (*Windows) Kind() string { return "windows" }

// String names the leaves of the tree.
func (w *Windows) String() string {
	var parts []string
	for r := range w.All() {
		if len(parts) == 16 {
			parts = append(parts, "…")
			break
		}
		if r.Records == nil {
			parts = append(parts, r.Name+"="+r.Text)
		}
	}
	return strings.Join(parts, ", ")
}

// All yields every record, outer before inner.
func (w *Windows) All() func(yield func(*SIPA) bool) {
	return func(yield func(*SIPA) bool) { walkSIPA(w.Records, yield) }
}

func walkSIPA(records []SIPA, yield func(*SIPA) bool) bool {
	for i := range records {
		if !yield(&records[i]) || !walkSIPA(records[i].Records, yield) {
			return false
		}
	}
	return true
}

const (
	sipaContainer  = 0x00010000 // class of records that hold records
	sipaClassMask  = 0x000f0000
	maxSIPADepth   = 8
	maxSIPARecords = 8192 // in one event; real ones have a few hundred
)

// isSIPA tells Windows' tagged events from firmware's: by register and by the number of the first record.
func isSIPA(e *Event) bool {
	if len(e.Data) < 8 || (e.PCR < 11 || e.PCR > 14) && (e.PCR < firstDynamic || e.PCR > lastDynamic) && e.PCR < pcrCount {
		return false
	}
	id := binary.LittleEndian.Uint32(e.Data)
	_, known := sipaTable[id]
	return known || id&0x3fff0000 == sipaContainer
}

// decodeSIPA reads the tree; the records before a broken one are kept.
func decodeSIPA(data []byte) (Decoded, error) {
	budget := maxSIPARecords
	records, err := parseSIPA(data, 0, &budget)
	if len(records) == 0 {
		return opaque(data), err
	}
	return &Windows{Records: records}, err
}

func parseSIPA(data []byte, depth int, budget *int) (records []SIPA, err error) {
	if depth == maxSIPADepth {
		return nil, fmt.Errorf("records nested more than %d deep", maxSIPADepth)
	}
	for r := wire.LE(data); r.Len() > 0; {
		id := r.U32()
		value := r.Sized32()
		if r.Err() != nil {
			return records, errors.Join(err, r.Err())
		}
		if *budget--; *budget < 0 {
			return records, fmt.Errorf("more than %d records", maxSIPARecords)
		}
		record := SIPA{ID: id, Hex: fmt.Sprintf("0x%08x", id), Name: sipaTable[id].name}
		if record.Name == "" {
			record.Name = record.Hex
		}
		if id&sipaClassMask == sipaContainer {
			var inner error
			record.Records, inner = parseSIPA(value, depth+1, budget)
			record.Text = fmt.Sprintf("%d records", len(record.Records))
			if record.Records == nil {
				record.Records = []SIPA{}
			}
			if err == nil {
				err = inner
			}
		} else {
			record.raw = value
			record.Value, record.Text = sipaValue(sipaTable[id].form, value)
		}
		records = append(records, record)
		if *budget < 0 {
			return records, err
		}
	}
	return records, err
}

// sipaForm is how a record's value is encoded.
type sipaForm int

const (
	formAuto     sipaForm = iota // a number where it has the size of one, text where it is text, else hex
	formBool                     // one byte
	formNumber                   // 1, 2, 4 or 8 bytes
	formStatus                   // an NTSTATUS
	formText                     // UTF-16
	formHex                      // bytes
	formCALG                     // a CryptoAPI hash algorithm
	formUnlock                   // BitLocker unlock flags
	formTransfer                 // where control went
	formPolicy                   // SIPAEVENT_SI_POLICY_PAYLOAD
	formRevoked                  // SIPAEVENT_REVOCATION_LIST_PAYLOAD
	formKey                      // SIPAEVENT_VSM_IDK_INFO_PAYLOAD
	formCustom                   // SIPAEVENT_SBCP_INFO_PAYLOAD_V1
	formSigner                   // SIPAEVENT_SI_POLICY_SIGNER_PAYLOAD
	formThreads                  // whether processors run two threads
	formDevice                   // what Windows boots from
)

// sipaTable names the records (wbcl.h of the Windows SDK).
var sipaTable = map[uint32]struct {
	name string
	form sipaForm
}{
	0x40010001: {"TRUSTBOUNDARY", 0}, 0x40010002: {"ELAM_AGGREGATION", 0}, 0x40010003: {"LOADEDMODULE_AGGREGATION", 0},
	0xc0010004: {"TRUSTPOINT_AGGREGATION", 0}, 0x40010005: {"KSR_AGGREGATION", 0},
	0x40010006: {"KSR_SIGNED_MEASUREMENT_AGGREGATION", 0},

	0x00020001: {"INFORMATION", formHex}, 0x00020002: {"BOOTCOUNTER", formNumber},
	0x00020003: {"TRANSFER_CONTROL", formTransfer}, 0x00020004: {"APPLICATION_RETURN", formHex},
	0x00020005: {"BITLOCKER_UNLOCK", formUnlock}, 0x00020006: {"EVENTCOUNTER", formNumber},
	0x00020007: {"COUNTERID", formNumber}, 0x00020008: {"MORBIT_NOT_CANCELABLE", formNumber},
	0x00020009: {"APPLICATION_SVN", formNumber}, 0x0002000a: {"SVN_CHAIN_STATUS", formStatus},
	0x0002000b: {"MORBIT_API_STATUS", formStatus}, 0x0002000c: {"IDK_GENERATION_STATUS", formStatus},

	0x00030001: {"FIRMWAREFAILURE", formHex}, 0x00030003: {"INTERNALFAILURE", formHex},

	0x00040001: {"BOOTDEBUGGING", formBool}, 0x00040002: {"BOOT_REVOCATION_LIST", formRevoked},

	0x00050001: {"OSKERNELDEBUG", formBool}, 0x00050002: {"CODEINTEGRITY", formBool},
	0x00050003: {"TESTSIGNING", formBool}, 0x00050004: {"DATAEXECUTIONPREVENTION", formNumber},
	0x00050005: {"SAFEMODE", formBool}, 0x00050006: {"WINPE", formBool},
	0x00050007: {"PHYSICALADDRESSEXTENSION", formNumber}, 0x00050008: {"OSDEVICE", formDevice},
	0x00050009: {"SYSTEMROOT", formText}, 0x0005000a: {"HYPERVISOR_LAUNCH_TYPE", formNumber},
	0x0005000b: {"HYPERVISOR_PATH", formText}, 0x0005000c: {"HYPERVISOR_IOMMU_POLICY", formNumber},
	0x0005000d: {"HYPERVISOR_DEBUG", formBool}, 0x0005000e: {"DRIVER_LOAD_POLICY", formNumber},
	0x0005000f: {"SI_POLICY", formPolicy}, 0x00050010: {"HYPERVISOR_MMIO_NX_POLICY", formNumber},
	0x00050011: {"HYPERVISOR_MSR_FILTER_POLICY", formNumber}, 0x00050012: {"VSM_LAUNCH_TYPE", formNumber},
	0x00050013: {"OS_REVOCATION_LIST", formRevoked}, 0x00050014: {"SMT_STATUS", formThreads},
	0x00050020: {"VSM_IDK_INFO", formKey}, 0x00050021: {"FLIGHTSIGNING", formBool},
	0x00050022: {"PAGEFILE_ENCRYPTION_ENABLED", formBool}, 0x00050023: {"VSM_IDKS_INFO", formKey},
	0x00050024: {"HIBERNATION_DISABLED", formBool}, 0x00050025: {"DUMPS_DISABLED", formBool},
	0x00050026: {"DUMP_ENCRYPTION_ENABLED", formBool}, 0x00050027: {"DUMP_ENCRYPTION_KEY_DIGEST", formHex},
	0x00050028: {"LSAISO_CONFIG", formNumber}, 0x00050029: {"SBCP_INFO", formCustom},
	0x00050030: {"HYPERVISOR_BOOT_DMA_PROTECTION", formBool}, 0x00050031: {"SI_POLICY_SIGNER", formSigner},
	0x00050032: {"SI_POLICY_UPDATE_SIGNER", formSigner}, 0x00050033: {"REFS_VOLUME_CHECKPOINT_RECORD_CHECKSUM", formHex},
	0x00050034: {"REFS_ROLLBACK_PROTECTION_FROZEN_VOLUME_CHECKSUM", formHex},
	0x00050035: {"REFS_ROLLBACK_PROTECTION_USER_PAYLOAD_HASH", formHex},
	0x00050036: {"REFS_ROLLBACK_PROTECTION_VERIFICATION_SUCCEEDED", formBool},
	0x00050037: {"REFS_ROLLBACK_PROTECTION_VOLUME_FIRST_EVER_MOUNT", formBool},
	0x0005003a: {"VSM_SEALED_SI_POLICY", formAuto}, 0x0005003b: {"VSM_DRTM_KEYROLL_DETECTED", formAuto},
	0x0005003c: {"VSM_SRTM_UNSEAL_POLICY", formAuto}, 0x0005003d: {"VSM_SRTM_ANTI_ROLLBACK_COUNTER", formAuto},
	0x00050040: {"VTL1_DUMP_CONFIG", formAuto},

	0x00060001: {"NOAUTHORITY", formHex}, 0x00060002: {"AUTHORITYPUBKEY", formHex},

	0x00070001: {"FILEPATH", formText}, 0x00070002: {"IMAGESIZE", formNumber}, 0x00070003: {"HASHALGORITHMID", formCALG},
	0x00070004: {"AUTHENTICODEHASH", formHex}, 0x00070005: {"AUTHORITYISSUER", formText},
	0x00070006: {"AUTHORITYSERIAL", formHex}, 0x00070007: {"IMAGEBASE", formNumber},
	0x00070008: {"AUTHORITYPUBLISHER", formText}, 0x00070009: {"AUTHORITYSHA1THUMBPRINT", formHex},
	0x0007000a: {"IMAGEVALIDATED", formBool}, 0x0007000b: {"MODULE_SVN", formNumber},
	0x0007000c: {"MODULE_PLUTON", formAuto}, 0x0007000d: {"MODULE_ORIGINAL_FILENAME", formText},
	0x0007000e: {"MODULE_VERSION", formAuto}, 0x0007000f: {"PUBLISHER_OEMNAME", formText},

	0x80080001: {"QUOTE", formHex}, 0x80080002: {"QUOTESIGNATURE", formHex}, 0x80080003: {"AIKID", formText},
	0x80080004: {"AIKPUBDIGEST", formHex},

	0x00090001: {"ELAM_KEYNAME", formText}, 0x00090002: {"ELAM_CONFIGURATION", formHex},
	0x00090003: {"ELAM_POLICY", formHex}, 0x00090004: {"ELAM_MEASURED", formHex},

	0x000a0001: {"VBS_VSM_REQUIRED", formBool}, 0x000a0002: {"VBS_SECUREBOOT_REQUIRED", formBool},
	0x000a0003: {"VBS_IOMMU_REQUIRED", formBool}, 0x000a0004: {"VBS_MMIO_NX_REQUIRED", formBool},
	0x000a0005: {"VBS_MSR_FILTERING_REQUIRED", formBool}, 0x000a0006: {"VBS_MANDATORY_ENFORCEMENT", formAuto},
	0x000a0007: {"VBS_HVCI_POLICY", formNumber}, 0x000a0008: {"VBS_MICROSOFT_BOOT_CHAIN_REQUIRED", formBool},
	0x000a0009: {"VBS_DUMP_USES_AMEROOT", formBool}, 0x000a000a: {"VBS_VSM_NOSECRETS_ENFORCED", formBool},

	0x000b0001: {"KSR_SIGNATURE", formHex},

	0x000c0001: {"DRTM_STATE_AUTH", formHex}, 0x000c0002: {"DRTM_SMM_LEVEL", formNumber},
	0x000c0003: {"DRTM_AMD_SMM_HASH", formHex}, 0x000c0004: {"DRTM_AMD_SMM_SIGNER_KEY", formHex},
}

// sipaValue reads a value; one that does not have its form's shape is read as formAuto.
func sipaValue(form sipaForm, data []byte) (value any, text string) {
	switch n, isNumber := littleEndian(data); {
	case form == formBool && len(data) >= 1:
		return data[0] != 0, map[bool]string{true: "yes", false: "no"}[data[0] != 0]
	case form == formText:
		t := decodeUTF16(data)
		return t, t
	case form == formHex:
	case form == formPolicy && len(data) >= 16:
		return siPolicy(data)
	case form == formRevoked && len(data) >= 14:
		return revocationList(data)
	case form == formKey && len(data) >= 16:
		return identityKey(data)
	case form == formCustom && len(data) >= 20:
		return customPolicy(data)
	case form == formSigner && len(data) >= 16:
		return policySigner(data)
	case !isNumber:
		if t, ok := utf16Text(data); ok {
			return t, t
		}
	case form == formCALG:
		return calg(uint32(n)), calg(uint32(n))
	case form == formUnlock:
		flags := unlockFlags(uint32(n))
		return map[string]any{"flags": fmt.Sprintf("0x%x", n), "methods": flags}, strings.Join(flags, "+")
	case form == formStatus:
		t := fmt.Sprintf("0x%x", n)
		return t, t
	case form == formTransfer:
		t := nth(n, "none", "OS loader", "resume", "utility", "no signature check", "hypervisor")
		return t, t
	case form == formThreads:
		t := nth(n, "off in firmware, or not there", "on", "on in firmware, off in Windows")
		return t, t
	case form == formDevice:
		t := deviceKind(n)
		return t, t
	case len(data) == 8:
		return strconv.FormatUint(n, 10), strconv.FormatUint(n, 10) // a number in JSON holds 53 bits
	default:
		return n, strconv.FormatUint(n, 10)
	}
	short := hex.EncodeToString(data[:min(len(data), maxOpaque)])
	if len(data) > maxOpaque {
		return short + "…", fmt.Sprintf("%s… (%d bytes)", short, len(data))
	}
	return short, short
}

// littleEndian reads data as a number where it has the size of one.
func littleEndian(data []byte) (uint64, bool) {
	if n := len(data); n != 1 && n != 2 && n != 4 && n != 8 {
		return 0, false
	}
	var n uint64
	for _, b := range slices.Backward(data) {
		n = n<<8 | uint64(b)
	}
	return n, true
}

// The BitLocker unlock flags (wbcl.h, FVEB_UNLOCK_FLAG_…).
const unlockRecovery = 0x40

var unlockNames = []struct {
	flag uint32
	name string
}{
	{0x1, "cached"}, {0x2, "media"}, {0x4, "TPM"}, {0x10, "PIN"}, {0x20, "external key"},
	{unlockRecovery, "recovery"}, {0x80, "passphrase"}, {0x100, "network"}, {0x200, "auto-unlock"},
}

func unlockFlags(flags uint32) []string {
	names := []string{}
	for _, u := range unlockNames {
		if flags&u.flag != 0 {
			names = append(names, u.name)
			flags &^= u.flag
		}
	}
	switch {
	case flags != 0:
		names = append(names, fmt.Sprintf("0x%x", flags))
	case len(names) == 0:
		names = append(names, "none")
	}
	return names
}

// nth is the n-th of names, counted from 0, and the number where there is none.
func nth(n uint64, names ...string) string {
	if n < uint64(len(names)) {
		return names[n]
	}
	return fmt.Sprintf("0x%x", n)
}

// deviceKind names an OSDEVICE_TYPE.
func deviceKind(n uint64) string {
	const disks = 0x00010001
	if n >= disks && n < disks+7 {
		return nth(n-disks, "hard disk", "removable disk", "CD-ROM", "partition", "file", "RAM disk", "virtual hard disk")
	}
	if n&0xffff == 0 {
		return nth(n>>16, "unknown", "0x10000", "serial line", "network", "VMBus", "composite", "CimFS")
	}
	return fmt.Sprintf("0x%x", n)
}

// calg names a CryptoAPI algorithm.
func calg(id uint32) string {
	switch id {
	case 0x8003:
		return "md5"
	case 0x8004:
		return "sha1"
	case 0x800c:
		return "sha256"
	case 0x800d:
		return "sha384"
	case 0x800e:
		return "sha512"
	}
	return fmt.Sprintf("0x%x", id)
}

// SIPolicy is a code integrity policy that is in force.
type SIPolicy struct {
	Version string `json:"version"`
	Name    string `json:"name"`
	Alg     string `json:"hash_algorithm"`
	Digest  Hex    `json:"digest"`
}

func siPolicy(data []byte) (any, string) {
	r := wire.LE(data)
	revision, build, minor, major := r.U16(), r.U16(), r.U16(), r.U16()
	nameLen, alg, digestLen := r.U16(), Alg(r.U16()), r.U32()
	p := SIPolicy{Version: fmt.Sprintf("%d.%d.%d.%d", major, minor, build, revision), Alg: alg.String()}
	p.Name = decodeUTF16(r.Bytes(int(nameLen)))
	if uint64(digestLen) <= uint64(r.Len()) {
		p.Digest = Hex(r.Bytes(int(digestLen)))
	}
	return p, p.Name + " " + p.Version
}

// PolicySigner says who signed a code integrity policy, or who may sign its updates.
type PolicySigner struct {
	Root         uint32              `json:"root_id"` // MINCRYPT_KNOWN_ROOT_ID
	Policy       string              `json:"policy"`
	EKUs         []Hex               `json:"ekus"`
	Certificates []PolicyCertificate `json:"certificates"`
}

// PolicyCertificate is a certificate of the chain, by its names and the digest of what was signed in it.
type PolicyCertificate struct {
	Publisher string `json:"publisher"`
	Issuer    string `json:"issuer"`
	Alg       string `json:"hash_algorithm"`
	Digest    Hex    `json:"digest"`
}

func policySigner(data []byte) (any, string) {
	r := wire.LE(data)
	p := PolicySigner{Root: r.U32(), EKUs: []Hex{}, Certificates: []PolicyCertificate{}}
	r.U32() // length of the certificates, which end the record
	count, nameLen, ekuLen := r.U16(), r.U16(), r.U16()
	r.U16() // number of EKUs
	p.Policy = decodeUTF16(r.Bytes(int(nameLen)))
	for ekus := wire.LE(r.Bytes(int(ekuLen))); ekus.Len() > 0; {
		p.EKUs = append(p.EKUs, Hex(ekus.Bytes(int(ekus.U8()))))
		if ekus.Err() != nil {
			break
		}
	}
	var names []string
	for range count {
		publisher, issuer, alg, size := r.U16(), r.U16(), r.U32(), r.U16()
		c := PolicyCertificate{decodeUTF16(r.Bytes(int(publisher))), decodeUTF16(r.Bytes(int(issuer))), calg(alg), Hex(r.Bytes(int(size)))}
		if r.Err() != nil {
			break
		}
		p.Certificates, names = append(p.Certificates, c), append(names, c.Publisher)
	}
	return p, p.Policy + " by " + orNothing(strings.Join(names, ", "))
}

// RevocationList is the digest of a list of revoked boot components.
type RevocationList struct {
	Created string `json:"created"` // FILETIME, 100 ns since 1601
	Alg     string `json:"hash_algorithm"`
	Digest  Hex    `json:"digest"`
}

func revocationList(data []byte) (any, string) {
	r := wire.LE(data)
	l := RevocationList{Created: strconv.FormatUint(r.U64(), 10)}
	size := r.U32()
	l.Alg = Alg(r.U16()).String()
	if uint64(size) <= uint64(r.Len()) {
		l.Digest = Hex(r.Bytes(int(size)))
	}
	return l, l.Alg + " " + l.Digest.String()
}

// CustomPolicy is a Secure Boot policy of the machine's owner: a list of signers beside db.
type CustomPolicy struct {
	Options string `json:"options"`
	Signers uint32 `json:"signers"`
	Alg     string `json:"hash_algorithm"`
	Digest  Hex    `json:"digest"`
}

func customPolicy(data []byte) (any, string) {
	r := wire.LE(data)
	r.U32() // version
	at := uint64(r.U32())
	p := CustomPolicy{Alg: Alg(r.U16()).String()}
	size := uint64(r.U16())
	p.Options, p.Signers = fmt.Sprintf("0x%x", r.U32()), r.U32()
	if at+size <= uint64(len(data)) {
		p.Digest = Hex(data[at : at+size])
	}
	return p, fmt.Sprintf("%d signers, options %s", p.Signers, p.Options)
}

// IdentityKey is a public key of virtual secure mode.
type IdentityKey struct {
	Alg      uint32 `json:"algorithm"`
	Bits     uint32 `json:"bits"`
	Exponent Hex    `json:"exponent"`
	Modulus  Hex    `json:"modulus"`
}

func identityKey(data []byte) (any, string) {
	r := wire.LE(data)
	k := IdentityKey{Alg: r.U32(), Bits: r.U32()}
	exponent, modulus := uint64(r.U32()), uint64(r.U32())
	if exponent+modulus <= uint64(r.Len()) {
		k.Exponent, k.Modulus = Hex(r.Bytes(int(exponent))), Hex(r.Bytes(int(modulus)))
	}
	return k, fmt.Sprintf("public key of %d bits", k.Bits)
}
