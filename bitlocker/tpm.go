package bitlocker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// TPM is the public half of a TPM protector: under which conditions the TPM releases the key.
type TPM struct {
	Version  TPMVersion `json:"version"`
	PCRs     []int      `json:"pcrs"`
	Profile  Profile    `json:"profile"`
	Bank     pcr.Bank   `json:"bank,omitempty"` // left out when the policy is not one we can recompute
	NameAlg  pcr.Bank   `json:"name_alg,omitempty"`
	PCRBits  Code32     `json:"pcr_bitmap"`
	Expected pcr.Hex    `json:"expected_pcr_digest,omitempty"`
	// Attributes are those of the sealed object (TPMA_OBJECT).
	Attributes     Code32   `json:"attributes"`
	AttributeNames []string `json:"attribute_names"`
	Policy         Policy   `json:"policy"`
	PolicyDigest   pcr.Hex  `json:"policy_digest,omitempty"`
	// Recomputed is what PolicyAuthValue and PolicyPCR give for Expected and PCRs. It equals PolicyDigest, or the policy
	// is one we do not know.
	Recomputed pcr.Hex `json:"recomputed_policy_digest,omitempty"`
}

// TPMVersion is the family of TPM that sealed the key.
type TPMVersion string

// The TPM families.
const (
	TPM20      TPMVersion = "2.0"
	TPM12      TPMVersion = "1.2" // recognised, not decoded
	TPMUnknown TPMVersion = "unknown"
)

// Policy says whether the stored policy digest is that of the policy Windows is known to write.
type Policy string

// The policies. Nothing can be said about when the TPM releases a key under PolicyUnknown.
const (
	PolicyAuthValuePCR Policy = "auth_value_and_pcr"
	PolicyUnknown      Policy = "unknown"
)

// Profile is a set of PCRs Windows is known to choose.
type Profile string

// The profiles.
const (
	ProfileSecureBoot Profile = "secure_boot" // UEFI, Secure Boot used for integrity validation
	ProfileUEFI       Profile = "uefi"        // UEFI otherwise
	ProfileBIOS       Profile = "bios"
	ProfileCustom     Profile = "custom"
)

func profileOf(pcrs []int) Profile {
	switch {
	case slices.Equal(pcrs, []int{7, 11}):
		return ProfileSecureBoot
	case slices.Equal(pcrs, []int{0, 2, 4, 11}):
		return ProfileUEFI
	case slices.Equal(pcrs, []int{0, 2, 4, 8, 9, 10, 11}), slices.Equal(pcrs, []int{0, 2, 4, 5, 8, 9, 10, 11}):
		return ProfileBIOS
	}
	return ProfileCustom
}

// attributeNames are the bits of TPMA_OBJECT, part 2 section 8.3.
var attributeNames = map[int]string{
	1: "fixedTPM", 2: "stClear", 4: "fixedParent", 5: "sensitiveDataOrigin", 6: "userWithAuth", 7: "adminWithPolicy",
	10: "noDA", 11: "encryptedDuplication", 16: "restricted", 17: "decrypt", 18: "sign",
}

// sealedBlob is the object the TPM would load: TPM2B_PRIVATE and TPM2B_PUBLIC without their sizes. The private half is
// encrypted by that TPM; it is kept out of TPM, which goes to output.
type sealedBlob struct{ private, public []byte }

// decodeTPM decodes a TPM datum: u32 PCR bitmap (little-endian, Windows' own), then the TPM's structures (big-endian):
// TPM2B_PRIVATE, TPM2B_PUBLIC, TPM2B_DIGEST of the expected PCRs, and the selection as u8 size and bit field. The
// result is never nil; what stands after an error is left empty.
func decodeTPM(body []byte) (*TPM, sealedBlob, error) {
	t := &TPM{Version: TPMUnknown, PCRs: []int{}, Profile: ProfileCustom, Policy: PolicyUnknown, AttributeNames: []string{}}
	le := wire.LE(body)
	t.PCRBits = Code32(le.U32())
	t.PCRs = bitsOf(uint32(t.PCRBits), t.PCRs)
	t.Profile = profileOf(t.PCRs)
	rest := le.Rest()
	if le.Err() != nil {
		return t, sealedBlob{}, le.Err()
	}
	if isTPM12(rest) {
		t.Version = TPM12
		return t, sealedBlob{}, errors.New("sealed by a TPM 1.2, whose blob is not decoded")
	}
	r := wire.BE(rest)
	blob := sealedBlob{private: r.Sized16(), public: r.Sized16()}
	expected := r.Sized16()
	selection := r.Bytes(int(r.U8()))
	if r.Err() != nil {
		return t, sealedBlob{}, r.Err()
	}
	t.Version = TPM20
	t.Expected = slices.Clone(expected)
	if err := t.decodePublic(blob.public); err != nil {
		return t, sealedBlob{}, fmt.Errorf("public area: %w", err)
	}
	if !slices.Equal(bitsOf(selectionBits(selection), nil), t.PCRs) {
		return t, blob, fmt.Errorf("the bitmap selects PCRs %v and the TPM's own selection %v", t.PCRs,
			bitsOf(selectionBits(selection), nil))
	}
	return t, blob, t.recompute(selection)
}

// isTPM12 recognises TPM_STORED_DATA, by its version 1.1 or its tag of version 1.2 (TPM 1.2 structures, section 9).
func isTPM12(blob []byte) bool {
	if len(blob) < 4 {
		return false
	}
	v := binary.BigEndian.Uint32(blob)
	return v == 0x01010000 || v == 0x00160000
}

// decodePublic reads TPMT_PUBLIC of a sealed data object, part 2 section 12.2.4.
func (t *TPM) decodePublic(public []byte) error {
	r := wire.BE(public)
	typ, nameAlg, attributes := r.U16(), r.U16(), r.U32()
	policy := r.Sized16()
	if r.Err() != nil {
		return r.Err()
	}
	t.NameAlg = pcr.Bank(nameAlg)
	t.Attributes = Code32(attributes)
	for _, bit := range bitsOf(attributes, nil) {
		name := attributeNames[bit]
		if name == "" {
			name = fmt.Sprintf("bit_%d", bit)
		}
		t.AttributeNames = append(t.AttributeNames, name)
	}
	t.PolicyDigest = slices.Clone(policy)
	if scheme := r.U16(); typ != uint16(tpm2.TPMAlgKeyedHash) || scheme != uint16(tpm2.TPMAlgNull) {
		return fmt.Errorf("type 0x%04x, scheme 0x%04x are not those of sealed data", typ, scheme)
	}
	return r.Err()
}

// banks are those Windows may seal to, the likeliest first.
var banks = []pcr.Bank{eventlog.SHA256, eventlog.SHA1, eventlog.SHA384, eventlog.SHA512, eventlog.SM3}

// recompute finds the bank with which the known policy gives the stored digest. The datum does not name the bank, and
// Windows takes SHA-1 where there is no SHA-256.
func (t *TPM) recompute(selection []byte) error {
	switch {
	case !t.NameAlg.Known():
		return fmt.Errorf("name algorithm %v is not known here", t.NameAlg)
	case len(t.Expected) != t.NameAlg.Size():
		return fmt.Errorf("an expected PCR digest of %d bytes under %v", len(t.Expected), t.NameAlg)
	}
	for _, bank := range banks {
		digest := t.policy(bank, selection)
		if t.Recomputed == nil {
			t.Recomputed = digest // of the likeliest bank, should none fit
		}
		if slices.Equal(digest, t.PolicyDigest) {
			t.Policy, t.Bank, t.Recomputed = PolicyAuthValuePCR, bank, digest
			return nil
		}
	}
	return errors.New("the policy is not PolicyAuthValue and PolicyPCR over these PCRs: it cannot be predicted")
}

// policy is the digest of a session that ran PolicyAuthValue and then PolicyPCR (part 3, sections 23.17 and 23.7).
func (t *TPM) policy(bank pcr.Bank, selection []byte) pcr.Hex {
	start := make([]byte, t.NameAlg.Size())
	authValue := t.NameAlg.Sum(start, wire.NewBE().U32(uint32(tpm2.TPMCCPolicyAuthValue)).Out())
	selected := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMIAlgHash(bank), PCRSelect: selection},
	}}
	return pcr.PolicyPCR(t.NameAlg, authValue, selected, t.Expected)
}

// selectionBits turns a TPMS_PCR_SELECTION bit field into a bitmap; PCRs from 32 on do not exist.
func selectionBits(selection []byte) (bits uint32) {
	for i, b := range selection[:min(len(selection), 4)] {
		bits |= uint32(b) << (8 * i)
	}
	return bits
}

func bitsOf(bitmap uint32, list []int) []int {
	for i := range 32 {
		if bitmap>>i&1 == 1 {
			list = append(list, i)
		}
	}
	return list
}
