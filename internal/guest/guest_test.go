//go:build guest

package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

const nonce = "8a5c1f0e77d2431fb6a9c04d1e5f2b38"

// TestAMeasuredBoot boots one machine twice: the TPM and what it sealed stay, the initramfs changes.
func TestAMeasuredBoot(t *testing.T) {
	m := newMachine(t)
	first := m.boot(t, "tpm-tis", nil,
		step{"info", "vtpmctl info -o json --require-tpm"},
		step{"pcr-read", "vtpmctl pcr read -o json"},
		step{"replay", "vtpmctl eventlog replay -o json"},
		step{"secret", "head -c 32 /dev/urandom >/out/secret"},
		step{"seal", "vtpmctl seal /out/secret --pcrs sha256:0,7 --out-file /out/app.tpm"},
		step{"seal-initrd", "vtpmctl seal /out/secret --pcrs sha256:9 --out-file /out/initrd.tpm"},
		step{"unseal", "vtpmctl unseal /out/app.tpm --out-file /out/unsealed"},
		step{"ak", "vtpmctl ak create --out-file /out/ak.json"},
		step{"quote", "vtpmctl quote --ak /out/ak.json --nonce " + nonce + " --out-file /out/evidence.json"},
		step{"extend", "vtpmctl pcr extend 7 /init"},
		step{"unseal-extended", "vtpmctl unseal /out/app.tpm --out-file /out/never"},
		step{"why", "vtpmctl sealed why /out/app.tpm"},
	)
	live := kernelPCRs(t, first, "sha1", "sha256", "sha384", "sha512")

	t.Run("info names the device and the software behind it", func(t *testing.T) {
		var d struct {
			TPM          origin
			Manufacturer struct{ ID string }
		}
		decode(t, first.stdout(t, "info"), &d)
		if d.TPM != foreignTPM || d.Manufacturer.ID != "IBM" {
			t.Errorf("%+v", d)
		}
	})
	t.Run("pcr read agrees with the kernel in every bank", func(t *testing.T) {
		differ(t, live, pcrsOf(t, first.stdout(t, "pcr-read"), foreignTPM))
	})
	t.Run("the log replays to the live PCRs in every bank", func(t *testing.T) {
		replays(t, first.stdout(t, "replay"), live)
	})
	t.Run("a secret is opened again", func(t *testing.T) {
		first.stdout(t, "seal")
		first.stdout(t, "unseal")
		same(t, first, "secret", "unsealed")
	})
	t.Run("a secret stays closed when its PCR was extended, and the PCR is named", func(t *testing.T) {
		first.stdout(t, "extend")
		first.refuses(t, "unseal-extended", "6", "sha256 PCR 7")
		first.exits(t, "why", "7")
		if _, ok := first["never"]; ok {
			t.Error("it left an output file")
		}
	})
	t.Run("the evidence is verified on the host", func(t *testing.T) { verify(t, m, first) })

	second := m.boot(t, "tpm-crb", results{"app.tpm": first.file(t, "app.tpm"), "initrd.tpm": first.file(t, "initrd.tpm")},
		step{"unseal", "vtpmctl unseal /in/app.tpm --out-file /out/unsealed"},
		step{"unseal-initrd", "vtpmctl unseal /in/initrd.tpm --out-file /out/never"},
	)
	t.Run("after a restart the secret opens, on the other device model too", func(t *testing.T) {
		second.stdout(t, "unseal")
		if !bytes.Equal(first.file(t, "secret"), second.file(t, "unsealed")) {
			t.Error("another secret came out")
		}
	})
	t.Run("what was sealed to the initramfs stays closed under another", func(t *testing.T) {
		second.refuses(t, "unseal-initrd", "6", "sha256 PCR 9")
	})
}

func TestABootWithOneBank(t *testing.T) {
	r := newMachine(t, "sha256").boot(t, "tpm-crb", nil,
		step{"pcr-read", "vtpmctl pcr read -o json"},
		step{"replay", "vtpmctl eventlog replay -o json"},
	)
	live := kernelPCRs(t, r, "sha256")
	differ(t, live, pcrsOf(t, r.stdout(t, "pcr-read"), foreignTPM))
	replays(t, r.stdout(t, "replay"), live)
}

// verify judges the guest's evidence with the guest's binary on the host, which has no TPM.
func verify(t *testing.T, m *machine, r results) {
	t.Helper()
	r.stdout(t, "ak")
	r.stdout(t, "quote")
	dir := t.TempDir()
	evidence, ak := filepath.Join(dir, "evidence.json"), filepath.Join(dir, "ak.json")
	write(t, evidence, r.file(t, "evidence.json"))
	write(t, ak, r.file(t, "ak.json"))
	args := []string{"verify", evidence, "--ak", ak, "--require-eventlog", "-o", "json", "--nonce"}

	var d struct {
		Verdict string
		Checks  []struct{ Check, Result string }
	}
	decode(t, interop.Run(t, m.binary, append(args, nonce)...), &d)
	passed := map[string]bool{}
	for _, c := range d.Checks {
		passed[c.Check] = c.Result == "pass"
	}
	for _, want := range []string{"magic", "type", "ak_attributes", "ak_identity", "signature", "nonce", "selection", "pcr_digest", "extra_pcrs"} {
		if !passed[want] {
			t.Errorf("%s did not pass", want)
		}
	}
	if d.Verdict != "pass" {
		t.Errorf("the verdict is %q: %+v", d.Verdict, d.Checks)
	}
	if _, err := interop.Try(t, m.binary, append(args, strings.Repeat("ee", 16))...); err == nil {
		t.Error("the evidence is verified with another nonce")
	}
}

// pcrs are values in lower-case hex by bank and index: "sha256 7".
type pcrs map[string]string

// kernelPCRs are the values that the guest's kernel read, all 24 of each bank.
func kernelPCRs(t *testing.T, r results, banks ...string) pcrs {
	t.Helper()
	values := pcrs{}
	for line := range strings.Lines(string(r.file(t, "kernel-pcrs"))) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("the kernel's PCR reads %q", line)
		}
		values[f[0]+" "+f[1]] = strings.ToLower(f[2])
	}
	for _, bank := range banks {
		for i := range 24 {
			if _, ok := values[fmt.Sprint(bank, " ", i)]; !ok {
				t.Fatalf("the kernel has no PCR %d of %s", i, bank)
			}
		}
	}
	if len(values) != 24*len(banks) {
		t.Fatalf("the kernel has %d PCRs, want those of %q", len(values), banks)
	}
	return values
}

// origin is where a result came from.
type origin struct {
	Target   string
	Emulated bool
}

// The TPM as a guest sees it: swtpm, which vtpmctl takes for any TPM, and vtpmctl's own engine, which it knows.
var (
	foreignTPM = origin{Target: "dev:/dev/tpmrm0"}
	engineTPM  = origin{Target: "dev:/dev/tpmrm0", Emulated: true}
)

func decode(t *testing.T, doc []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(doc, v); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
}

// pcrsOf takes the values out of `pcr read -o json`.
func pcrsOf(t *testing.T, doc []byte, from origin) pcrs {
	t.Helper()
	var d struct {
		TPM   origin
		Banks []struct {
			Name string
			PCRs []struct {
				PCR   int
				Value string
			}
		}
	}
	decode(t, doc, &d)
	if d.TPM != from {
		t.Errorf("the values come from %+v", d.TPM)
	}
	values := pcrs{}
	for _, b := range d.Banks {
		for _, p := range b.PCRs {
			values[fmt.Sprint(b.Name, " ", p.PCR)] = p.Value
		}
	}
	return values
}

func differ(t *testing.T, live, ours pcrs) {
	t.Helper()
	if diff := cmp.Diff(live, ours); diff != "" {
		t.Errorf("the kernel's values (-) and ours (+):\n%s", diff)
	}
}

// replays compares a replay of the guest's log with the live PCRs. The boot must have measured the firmware (0), the boot
// loader, here the kernel (4), the Secure Boot policy (7) and the initramfs (9).
func replays(t *testing.T, doc []byte, live pcrs) {
	t.Helper()
	var d struct {
		Banks []struct {
			Bank string
			PCRs []struct {
				PCR    int
				Digest string
				Events int
			}
		}
	}
	decode(t, doc, &d)
	compared := pcrs{}
	for _, b := range d.Banks {
		for _, p := range b.PCRs {
			key := fmt.Sprint(b.Bank, " ", p.PCR)
			compared[key] = p.Digest
			if live[key] != p.Digest {
				t.Errorf("%s is %s, the log replays to %s", key, live[key], p.Digest)
			}
		}
	}
	for key := range live {
		bank, pcr, _ := strings.Cut(key, " ")
		if slices.Contains([]string{"0", "4", "7", "9"}, pcr) && compared[key] == "" {
			t.Errorf("the log has nothing for PCR %s of %s", pcr, bank)
		}
	}
}

// same fails the test unless two files of the guest are equal and not empty.
func same(t *testing.T, r results, one, two string) {
	t.Helper()
	if a, b := r.file(t, one), r.file(t, two); !bytes.Equal(a, b) || len(a) == 0 {
		t.Errorf("%s has %d bytes, %s has %d others", one, len(a), two, len(b))
	}
}

// refuses fails the test unless a step ended with that status and named what was wrong.
func (r results) refuses(t *testing.T, step, status, names string) {
	t.Helper()
	r.exits(t, step, status)
	if complaint := string(r.file(t, step+".stderr")); !strings.Contains(complaint, names) {
		t.Errorf("%s does not name %s:\n%s", step, names, complaint)
	}
}
