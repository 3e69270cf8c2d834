//go:build interop

package authenticode_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// messageDigest is what osslsigncode prints of a file.
var messageDigest = regexp.MustCompile(`Calculated message digest : ([0-9A-F]{64})`)

// TestOsslsigncodeComputesTheSameDigest signs images with sbsign, ours and those of systemd, and has osslsigncode hash
// them; what distributions sign is hashed as it comes.
func TestOsslsigncodeComputesTheSameDigest(t *testing.T) {
	dir := t.TempDir()
	key, cert := signer(t, dir)
	odd := append(synth.Image([]synth.Section{{Name: ".text", Content: []byte("code")}}), 1, 2, 3)
	ours, theirs := filepath.Join(dir, "ours.efi"), filepath.Join(dir, "odd.efi")
	write(t, ours, synth.Image([]synth.Section{{Name: ".text", Content: bytes.Repeat([]byte("code"), 999)}}))
	write(t, theirs, odd)
	signed := []string{"/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"}
	for _, path := range []string{ours, theirs, "/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"} {
		out := filepath.Join(dir, filepath.Base(path)+".signed")
		interop.Run(t, "sbsign", "--key", key, "--cert", cert, "--output", out, path)
		signed = append(signed, out)
		if before, after := padded(t, path), padded(t, out); before != after {
			t.Errorf("%s: the signed image has another digest", path)
		}
	}
	for _, path := range signed {
		text, _ := interop.Try(t, "osslsigncode", "verify", path) // it fails: nobody knows our signer
		m := messageDigest.FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s: osslsigncode says no digest:\n%s", path, text)
		}
		if got, want := padded(t, path), strings.ToLower(string(m[1])); got != want {
			t.Errorf("%s: %s, osslsigncode says %s", path, got, want)
		}
	}
}

// TestSbverifyListsTheSameCertificates compares the subjects in the signatures of Debian's shim.
func TestSbverifyListsTheSameCertificates(t *testing.T) {
	const path = "/usr/lib/shim/shimx64.efi.signed"
	i, err := authenticode.Parse(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := i.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	text := string(interop.Run(t, "sbverify", "--list", path))
	if n := strings.Count(text, "subject: "); n != len(certs) || n == 0 {
		t.Errorf("%d certificates, sbverify lists %d", len(certs), n)
	}
	for _, c := range certs {
		if !strings.Contains(text, "/CN="+c.Subject.CommonName) {
			t.Errorf("sbverify does not list %s", c.Subject.CommonName)
		}
	}
}

func padded(t *testing.T, path string) string {
	t.Helper()
	i, err := authenticode.Parse(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := i.Padded()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run .ci/install", err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// signer makes a key and a certificate of its own.
func signer(t *testing.T, dir string) (key, cert string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vtpmctl test signer"},
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, cert = filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return key, cert
}
