//go:build interop

package crypt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

var update = flag.Bool("update", false, "write testdata/primaries.json anew from the swtpm that is installed")

// TestPrimariesEqualSwtpms makes primary keys on a fresh swtpm, reads the seeds out of its state and derives the same keys.
func TestPrimariesEqualSwtpms(t *testing.T) {
	tpm, seeds := startSwtpm(t)
	var golden []primaryVector
	for _, h := range []struct {
		name   string
		handle tpm2.TPMHandle
		seed   []byte
	}{
		{"endorsement", tpm2.TPMRHEndorsement, seeds[0]},
		{"owner", tpm2.TPMRHOwner, seeds[1]},
		{"platform", tpm2.TPMRHPlatform, seeds[2]},
	} {
		for _, kind := range []struct {
			name     string
			template tpm2.TPMTPublic
		}{
			{"rsa1024", rsaTemplate(1024)},
			{"rsa2048", rsaTemplate(2048)},
			{"rsa2048 with unique", rsaTemplate(2048)},
			{"rsa3072", rsaTemplate(3072)},
			{"p256", eccTemplate(tpm2.TPMECCNistP256)},
			{"p384", eccTemplate(tpm2.TPMECCNistP384)},
			{"p521", eccTemplate(tpm2.TPMECCNistP521)},
		} {
			template := kind.template
			if kind.name == "rsa2048 with unique" { // another template, so another key
				template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: bytes.Repeat([]byte{7}, 256)})
			}
			rsp, err := tpm2.CreatePrimary{
				PrimaryHandle: tpm2.AuthHandle{Handle: h.handle, Auth: tpm2.PasswordAuth(nil)},
				InPublic:      tpm2.New2B(template),
			}.Execute(tpm)
			if err != nil {
				t.Fatalf("%s %s: %v", h.name, kind.name, err)
			}
			if _, err := (tpm2.FlushContext{FlushHandle: rsp.ObjectHandle}).Execute(tpm); err != nil {
				t.Fatal(err)
			}
			public, err := rsp.OutPublic.Contents()
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256(tpm2.Marshal(template))
			v := primaryVector{
				Name:     h.name + " " + kind.name,
				Seed:     h.seed,
				Template: append([]byte{0, 0x0b}, digest[:]...),
			}
			if public.Type == tpm2.TPMAlgRSA {
				modulus, _ := public.Unique.RSA()
				detail, _ := public.Parameters.RSADetail()
				v.Bits, v.Public = int(detail.KeyBits), modulus.Buffer
			} else {
				point, _ := public.Unique.ECC()
				detail, _ := public.Parameters.ECCDetail()
				v.Curve, v.Public = uint16(detail.CurveID), append(point.X.Buffer, point.Y.Buffer...)
			}
			golden = append(golden, v)
			t.Run(v.Name, v.check)
		}
	}
	if *update && !t.Failed() {
		out, err := json.MarshalIndent(golden, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(out, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func rsaTemplate(bits tpm2.TPMKeyBits) tpm2.TPMTPublic {
	p := tpm2.RSASRKTemplate
	p.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
		Symmetric: tpm2.TPMTSymDefObject{
			Algorithm: tpm2.TPMAlgAES,
			KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
			Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
		KeyBits: bits,
	})
	p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	return p
}

func eccTemplate(curve tpm2.TPMECCCurve) tpm2.TPMTPublic {
	p := tpm2.ECCSRKTemplate
	p.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Symmetric: tpm2.TPMTSymDefObject{
			Algorithm: tpm2.TPMAlgAES,
			KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
			Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
		CurveID: curve,
	})
	p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return p
}

// startSwtpm returns a started TPM and its endorsement, owner and platform seeds.
func startSwtpm(t *testing.T) (interop.Raw, [3][]byte) {
	s := interop.StartSWTPM(t)
	raw := s.Raw(t)
	state, err := os.ReadFile(filepath.Join(s.State, "tpm2-00.permall"))
	if err != nil {
		t.Fatal(err)
	}
	seeds, ok := interop.Seeds(state)
	if !ok {
		t.Fatal("no seeds in the state of this swtpm")
	}
	return raw, seeds
}
