//go:build interop

package bitlocker_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

const (
	testPassword = "correct horse battery staple"
	testLabel    = "VM-01 OSDisk 17/05/2024"
)

var (
	testRecovery = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	testKey      = [32]byte{0x42}
	testPlain    = []byte("the quick brown fox, in sector 32")
)

// openable is a volume with every way to open it that the tools know.
func openable(layout synth.Layout, method uint16, sector int) synth.Volume {
	return synth.Volume{
		Layout: layout, Method: method, SectorSize: sector, Description: testLabel, Plain: testPlain,
		Protectors: []synth.Protector{
			synth.Password(testPassword), synth.RecoveryPassword(testRecovery), synth.ExternalKey(testKey),
			synth.TPM{PCRs: []int{7, 11}}.Protector(), synth.TPM{PCRs: []int{0, 2, 4, 11}, PIN: true}.Protector(),
		},
	}
}

// made are the volumes the tools are asked about. cryptsetup knows no Vista volumes; libbde and dislocker of their time
// know no used-space-only ones.
var made = map[string]struct {
	volume     synth.Volume
	cryptsetup bool
	others     bool
}{
	"windows 7, xts 128":   {openable(synth.Windows7, 0x8004, 0), true, true},
	"windows 7, xts 256":   {openable(synth.Windows7, 0x8005, 0), true, true},
	"sectors of 4096":      {openable(synth.Windows7, 0x8004, 4096), true, true},
	"to go":                {openable(synth.ToGo, 0x8004, 0), true, true},
	"used space only":      {openable(synth.UsedSpaceOnly, 0x8004, 0), true, false},
	"vista":                {openable(synth.Vista, 0x8000, 0), false, true},
	"cbc 128":              {openable(synth.Windows7, 0x8002, 0), true, true},
	"cbc, with a key open": {withClearKey(openable(synth.Windows7, 0x8002, 0)), true, true},
}

func withClearKey(v synth.Volume) synth.Volume {
	v.Protectors = append(v.Protectors, synth.ClearKey())
	return v
}

// write puts an image on disk, because the tools want a file.
func write(t *testing.T, v synth.Volume) (path string, ours *bitlocker.Volume) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "volume.img")
	img := v.Image()
	if err := os.WriteFile(path, img, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, inspect(t, img)
}

// field finds the values of a field in a tool's report.
func field(text []byte, pattern string) []string {
	var values []string
	for _, m := range regexp.MustCompile(`(?m)`+pattern).FindAllSubmatch(text, -1) {
		values = append(values, strings.TrimSpace(string(m[1])))
	}
	return values
}

func check(t *testing.T, what string, theirs []string, ours ...string) {
	t.Helper()
	if diff := cmp.Diff(ours, theirs); diff != "" {
		t.Errorf("%s differs (- ours, + theirs):\n%s", what, diff)
	}
}

func protectors(v *bitlocker.Volume, f func(bitlocker.Protector) string) []string {
	var list []string
	for _, p := range v.Protectors {
		list = append(list, f(p))
	}
	return list
}

func TestCryptsetupReadsTheSame(t *testing.T) {
	words := map[bitlocker.ProtectorKind]string{
		"clear_key": "clear key", "tpm": "TPM", "tpm_pin": "TPM and PIN", "external_key": "startup key",
		"recovery_password": "recovery passphrase", "password": "passphrase",
	}
	modes := map[string][]string{
		"aes-xts-128": {"xts-plain64", "256"}, "aes-xts-256": {"xts-plain64", "512"}, "aes-cbc-128": {"cbc-eboiv", "128"},
	}
	for name, c := range made {
		if !c.cryptsetup {
			continue
		}
		t.Run(name, func(t *testing.T) {
			path, v := write(t, c.volume)
			text := interop.Run(t, "cryptsetup", "bitlkDump", path)
			check(t, "volume id", field(text, `^GUID:\s+(\S+)`), v.VolumeID)
			check(t, "sector size", field(text, `^Sector size:\s+(\d+)`), fmt.Sprint(v.SectorSize))
			check(t, "size", field(text, `^Volume size:\s+(\d+)`), fmt.Sprint(v.EncryptedBytes))
			check(t, "label", field(text, `^Description:\s+(.+)`), v.Description.Text)
			check(t, "cipher", slices.Concat(field(text, `^Cipher mode:\s+(\S+)`), field(text, `^Cipher key:\s+(\d+)`)),
				modes[v.Method.String()]...)
			check(t, "protector ids", field(text, `^\tGUID:\s+(\S+)`),
				protectors(v, func(p bitlocker.Protector) string { return p.ID })...)
			check(t, "protectors", field(text, `^\tProtection:\s+VMK protected with (.+)`),
				protectors(v, func(p bitlocker.Protector) string { return words[p.Kind] })...)
			var offsets []string
			for _, copy := range v.Copies {
				offsets = append(offsets, fmt.Sprint(copy.Offset))
			}
			check(t, "offsets", field(text, `^\tOffset:\s+(\d+)`), append(offsets, fmt.Sprint(v.HeaderBackup.Offset))...)
		})
	}
}

func TestBdeinfoReadsTheSame(t *testing.T) {
	words := map[bitlocker.ProtectorKind]string{
		"clear_key": "Clear key", "tpm": "TPM", "tpm_pin": "Unknown (0x0500)", "external_key": "Startup key",
		"recovery_password": "Recovery password", "password": "Password",
	}
	methods := map[string]string{
		"aes-xts-128": "AES-XTS 128-bit", "aes-xts-256": "AES-XTS 256-bit", "aes-cbc-128": "AES-CBC 128-bit",
		"aes-cbc-128-diffuser": "AES-CBC 128-bit with Diffuser",
	}
	for name, c := range made {
		if !c.others {
			continue
		}
		t.Run(name, func(t *testing.T) {
			path, v := write(t, c.volume)
			text, _ := interop.Try(t, "bdeinfo", path) // it reports, and fails because the volume stays locked
			check(t, "volume id", field(text, `Volume identifier\s+: (\S+)`), v.VolumeID)
			check(t, "creation", field(text, `Creation time\s+: (.+)`), v.Created.Format("Jan 02, 2006 15:04:05.000000000 UTC"))
			check(t, "label", field(text, `Description\s+: (.+)`), v.Description.Text)
			check(t, "method", field(text, `Encryption method\s+: (.+)`), methods[v.Method.String()])
			check(t, "protector ids", field(text, `^\tIdentifier\s+: (\S+)`),
				protectors(v, func(p bitlocker.Protector) string { return p.ID })...)
			check(t, "protectors", field(text, `^\tType\s+: (.+)`),
				protectors(v, func(p bitlocker.Protector) string { return words[p.Kind] })...)
		})
	}
}

func TestDislockerReadsTheSame(t *testing.T) {
	methods := map[string]string{
		"aes-xts-128": "AES-XTS-128", "aes-xts-256": "AES-XTS-256", "aes-cbc-128": "AES-128-NODIFFUSER",
		"aes-cbc-128-diffuser": "AES-128-DIFFUSER",
	}
	for name, c := range made {
		if !c.others {
			continue
		}
		t.Run(name, func(t *testing.T) {
			path, v := write(t, c.volume)
			text := interop.Run(t, "dislocker-metadata", "-V", path)
			check(t, "volume id", field(text, `Dataset GUID: '(\S+)'`), strings.ToUpper(v.VolumeID))
			check(t, "states", field(text, `(?:Current|Next) state: (\S+)`),
				strings.ToUpper(v.State.String()), strings.ToUpper(v.NextState.String()))
			check(t, "method", field(text, `Encryption Type: (\S+)`), methods[v.Method.String()])
			check(t, "size of the metadata", field(text, `Total Size: 0x\w+ \((\d+)\)`), fmt.Sprint(v.Copies[0].Size))
			var ids, bitmaps []string
			for _, p := range v.Protectors {
				ids = append(ids, strings.ToUpper(p.ID))
				if p.TPM != nil {
					bitmaps = append(bitmaps, fmt.Sprintf("0x%x", uint32(p.TPM.PCRBits)))
				}
			}
			check(t, "protector ids", slices.Compact(field(text, `Recovery Key GUID: '(\S+)'`)), ids...)
			check(t, "PCR bitmaps", field(text, `\] Unknown: (0x[0-9a-f]+)`), bitmaps...)
		})
	}
}

// TestTheVolumesOpen proves the generator's keys, tags and ciphertexts, and with them that the layout is the real one.
func TestTheVolumesOpen(t *testing.T) {
	secret := func(t *testing.T, text []byte) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"windows 7, xts 128", "windows 7, xts 256", "sectors of 4096", "to go", "cbc 128"} {
		t.Run(name, func(t *testing.T) {
			path, _ := write(t, made[name].volume)
			for _, key := range [][]byte{[]byte(testPassword), []byte(synth.RecoveryDigits(testRecovery)), synth.BEK(2, testKey)} {
				interop.Run(t, "cryptsetup", "open", "--test-passphrase", "--type", "bitlk", "--key-file", secret(t, key), path)
			}
			if _, err := interop.Try(t, "cryptsetup", "open", "--test-passphrase", "--type", "bitlk",
				"--key-file", secret(t, []byte("wrong")), path); err == nil {
				t.Error("cryptsetup opens the volume with a wrong password")
			}
			plain := filepath.Join(t.TempDir(), "plain.img")
			interop.Run(t, "dislocker-file", "-V", path, "-f", secret(t, synth.BEK(2, testKey)), "--", plain)
			img, err := os.ReadFile(plain)
			if err != nil {
				t.Fatal(err)
			}
			if got := img[synth.PlainAt:][:len(testPlain)]; !bytes.Equal(got, testPlain) || string(img[3:7]) != "NTFS" {
				t.Errorf("dislocker decrypts sector 0 to %q and sector 32 to %q", img[3:7], got)
			}
		})
	}
}
