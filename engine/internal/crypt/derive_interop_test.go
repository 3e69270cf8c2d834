//go:build interop

package crypt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
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

// pipe is a TPM behind a byte stream: commands in, responses out, each with its length in the header.
type pipe struct{ net.Conn }

func (s pipe) Send(command []byte) ([]byte, error) {
	if _, err := s.Write(command); err != nil {
		return nil, err
	}
	head := make([]byte, 10)
	if _, err := io.ReadFull(s, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[2:])
	if size < 10 || size > 4096 {
		return nil, fmt.Errorf("a response of %d bytes", size)
	}
	rsp := append(head, make([]byte, size-10)...)
	_, err := io.ReadFull(s, rsp[10:])
	return rsp, err
}

// startSwtpm returns a started TPM and its endorsement, owner and platform seeds.
func startSwtpm(t *testing.T) (_ pipe, seeds [3][]byte) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--flags", "not-need-init,startup-clear",
		"--server", "type=unixio,path="+socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("this tier needs swtpm: %v", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return pipe{conn}, readSeeds(t, filepath.Join(dir, "tpm2-00.permall"))
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("swtpm did not answer")
	return pipe{}, seeds
}

// readSeeds finds six sized buffers of 64 bytes in a row: three seeds, three proofs.
func readSeeds(t *testing.T, path string) (seeds [3][]byte) {
	state, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
next:
	for off := 0; off+6*66 <= len(state); off++ {
		for i := range 6 {
			if binary.BigEndian.Uint16(state[off+i*66:]) != 64 {
				continue next
			}
		}
		for i := range seeds {
			seeds[i] = state[off+i*66+2:][:64]
		}
		return seeds
	}
	t.Fatal("no seeds in the state of this swtpm")
	return
}
