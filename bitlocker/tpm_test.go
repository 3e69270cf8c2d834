package bitlocker_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

func inspectTPM(t *testing.T, s synth.TPM) (*bitlocker.TPM, []string) {
	t.Helper()
	v := inspect(t, synth.Volume{Protectors: []synth.Protector{s.Protector()}}.Image())
	if len(v.Protectors) != 1 || v.Protectors[0].TPM == nil {
		t.Fatalf("protectors %+v, warnings %q", v.Protectors, v.Warnings)
	}
	return v.Protectors[0].TPM, v.Warnings
}

func TestTPMProtectorIsDecoded(t *testing.T) {
	pcr7 := bytes.Repeat([]byte{7}, 32)
	got, warnings := inspectTPM(t, synth.TPM{PCRs: []int{7, 11}, Values: map[int][]byte{7: pcr7}})
	digest := sha256.Sum256(append(pcr7, make([]byte, 32)...)) // PCR 11 is sealed at its reset value
	policy := goTPMPolicy(t, tpm2.TPMAlgSHA256, tpm2.TPMAlgSHA256, []uint{7, 11}, digest[:])
	want := &bitlocker.TPM{
		Version: "2.0", PCRs: []int{7, 11}, Profile: "secure_boot", Bank: eventlog.SHA256, NameAlg: eventlog.SHA256, PCRBits: 0x880,
		Expected: digest[:], Attributes: 0x412, AttributeNames: []string{"fixedTPM", "fixedParent", "noDA"},
		Policy: "auth_value_and_pcr", PolicyDigest: policy, Recomputed: policy,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings %q", warnings)
	}
}

// goTPMPolicy computes the policy with go-tpm, which shares no code with us or the generator.
func goTPMPolicy(t *testing.T, nameAlg, bank tpm2.TPMIAlgHash, pcrs []uint, digest []byte) []byte {
	t.Helper()
	calculator, err := tpm2.NewPolicyCalculator(nameAlg)
	if err != nil {
		t.Fatal(err)
	}
	if err := (tpm2.PolicyAuthValue{}).Update(calculator); err != nil {
		t.Fatal(err)
	}
	if err := (tpm2.PolicyPCR{
		PcrDigest: tpm2.TPM2BDigest{Buffer: digest},
		Pcrs: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
			{Hash: bank, PCRSelect: tpm2.PCClientCompatible.PCRs(pcrs...)},
		}},
	}).Update(calculator); err != nil {
		t.Fatal(err)
	}
	return calculator.Hash().Digest
}

func TestTheBankIsTheOneThatGivesThePolicy(t *testing.T) {
	for name, c := range map[string]struct {
		tpm       synth.TPM
		bank, alg pcr.Bank
		goBank    tpm2.TPMIAlgHash
		goAlg     tpm2.TPMIAlgHash
	}{
		"SHA-256":                    {synth.TPM{}, eventlog.SHA256, eventlog.SHA256, tpm2.TPMAlgSHA256, tpm2.TPMAlgSHA256},
		"SHA-1 PCRs, SHA-256 object": {synth.TPM{Bank: 4}, eventlog.SHA1, eventlog.SHA256, tpm2.TPMAlgSHA1, tpm2.TPMAlgSHA256},
		"SHA-1 throughout":           {synth.TPM{Bank: 4, NameAlg: 4}, eventlog.SHA1, eventlog.SHA1, tpm2.TPMAlgSHA1, tpm2.TPMAlgSHA1},
		"SHA-384":                    {synth.TPM{Bank: 0xc, NameAlg: 0xc}, eventlog.SHA384, eventlog.SHA384, tpm2.TPMAlgSHA384, tpm2.TPMAlgSHA384},
	} {
		t.Run(name, func(t *testing.T) {
			c.tpm.PCRs = []int{0, 2, 4, 11}
			got, warnings := inspectTPM(t, c.tpm)
			if got.Bank != c.bank || got.NameAlg != c.alg || got.Profile != bitlocker.ProfileUEFI || len(warnings) != 0 {
				t.Errorf("bank %v, name algorithm %v, profile %q, warnings %q", got.Bank, got.NameAlg, got.Profile, warnings)
			}
			if want := goTPMPolicy(t, c.goAlg, c.goBank, []uint{0, 2, 4, 11}, got.Expected); !bytes.Equal(got.PolicyDigest, want) {
				t.Errorf("policy %v, go-tpm gives %x", got.PolicyDigest, want)
			}
		})
	}
}

func TestAnUnknownPolicyIsNeverTakenForTheKnownOne(t *testing.T) {
	other := sha256.Sum256([]byte("PolicyOR of two branches"))
	got, warnings := inspectTPM(t, synth.TPM{PCRs: []int{7, 11}, Policy: other[:]})
	if got.Policy != bitlocker.PolicyUnknown || got.Bank != 0 || bytes.Equal(got.Recomputed, got.PolicyDigest) {
		t.Errorf("policy %q, bank %v, recomputed %v", got.Policy, got.Bank, got.Recomputed)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "cannot be predicted") {
		t.Errorf("warnings %q", warnings)
	}
}

func TestTPMProfiles(t *testing.T) {
	for want, sets := range map[bitlocker.Profile][][]int{
		bitlocker.ProfileSecureBoot: {{7, 11}},
		bitlocker.ProfileUEFI:       {{0, 2, 4, 11}},
		bitlocker.ProfileBIOS:       {{0, 2, 4, 8, 9, 10, 11}, {0, 2, 4, 5, 8, 9, 10, 11}},
		bitlocker.ProfileCustom:     {{}, {11}, {0, 2, 4, 7, 11}, {23}},
	} {
		for _, pcrs := range sets {
			got, _ := inspectTPM(t, synth.TPM{PCRs: pcrs})
			if got.Profile != want || len(got.PCRs) != len(pcrs) {
				t.Errorf("PCRs %v: profile %q of %v, want %q", pcrs, got.Profile, got.PCRs, want)
			}
		}
	}
}

func TestDamagedTPMBlobsAreKeptAndNamed(t *testing.T) {
	public := func(alg, scheme byte) []byte {
		return append([]byte{0, alg, 0, 0xb, 0, 0, 4, 0x12, 0, 0, 0, scheme}, make([]byte, 34)...)
	}
	for name, c := range map[string]struct {
		tpm     synth.TPM
		version bitlocker.TPMVersion
		warning string
	}{
		"a TPM 1.2 blob":          {synth.TPM{Private: make([]byte, 0x0101)}, "1.2", "sealed by a TPM 1.2"},
		"a public area cut short": {synth.TPM{Public: []byte{0, 8}}, "2.0", "public area"},
		"another object type":     {synth.TPM{Public: public(1, 0x10)}, "2.0", "not those of sealed data"},
		"a signing scheme":        {synth.TPM{Public: public(8, 5)}, "2.0", "not those of sealed data"},
		"an empty policy":         {synth.TPM{Public: public(8, 0x10)}, "2.0", "cannot be predicted"},
	} {
		t.Run(name, func(t *testing.T) {
			c.tpm.PCRs = []int{7, 11}
			got, warnings := inspectTPM(t, c.tpm)
			if got.Version != c.version || got.Policy != bitlocker.PolicyUnknown {
				t.Errorf("version %q, policy %q", got.Version, got.Policy)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], c.warning) {
				t.Errorf("warnings %q, want %q", warnings, c.warning)
			}
		})
	}
}
