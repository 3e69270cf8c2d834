//go:build guest

package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/pcr"
)

const nonce = "8a5c1f0e77d2431fb6a9c04d1e5f2b38"

// TestAMeasuredBoot boots one machine twice: the TPM and what it sealed stay, the initramfs changes.
func TestAMeasuredBoot(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p := boot{steps: []step{
		{"info", "vtpmctl info -o json --require-tpm"},
		{"pcr-read", "vtpmctl pcr read -o json"},
		{"replay", "vtpmctl eventlog replay -o json"},
		{"secret", "head -c 32 /dev/urandom >/out/secret"},
		{"seal", "vtpmctl seal /out/secret --pcrs sha256:0,7 --out-file /out/app.tpm"},
		{"seal-initrd", "vtpmctl seal /out/secret --pcrs sha256:9 --out-file /out/initrd.tpm"},
		{"unseal", "vtpmctl unseal /out/app.tpm --out-file /out/unsealed"},
		{"ak", "vtpmctl ak create --out-file /out/ak.json"},
		{"quote", "vtpmctl quote --ak /out/ak.json --nonce " + nonce + " --out-file /out/evidence.json"},
		{"extend", "vtpmctl pcr extend 7 /init"},
		{"unseal-extended", "vtpmctl unseal /out/app.tpm --out-file /out/never"},
		{"why", "vtpmctl sealed why /out/app.tpm"},
		{"extend-8", "vtpmctl pcr extend 8 /init"},
		{"verify", "vtpmctl eventlog verify --with ima -o json"},
		{"explain", "vtpmctl eventlog explain -o json"},
	}}.prepare(t)
	first := m.start(t, p).wait(t)
	now := judge(t, first, allBanks...)
	now.prepared = p
	now.golden(t, "direct")
	live := now.values

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
	t.Run("what was extended and not logged is named, and nothing else", func(t *testing.T) {
		first.stdout(t, "extend-8")
		unlogged(t, first)
	})
	t.Run("the story names the loader and the Secure Boot state", func(t *testing.T) {
		var story struct {
			Loader     string
			SecureBoot string `json:"secure_boot"`
		}
		decode(t, first.stdout(t, "explain"), &story)
		if story.Loader != "Linux EFI stub" || story.SecureBoot != "off" {
			t.Errorf("%+v", story)
		}
	})
	t.Run("the evidence is verified on the host", func(t *testing.T) { verify(t, first) })

	in := results{}
	for _, name := range []string{"app.tpm", "initrd.tpm", "ak.json"} {
		in[name] = first.file(t, name)
	}
	p = boot{device: "tpm-crb", in: in, steps: []step{
		{"unseal", "vtpmctl unseal /in/app.tpm --out-file /out/unsealed"},
		{"unseal-initrd", "vtpmctl unseal /in/initrd.tpm --out-file /out/never"},
		{"quote", "vtpmctl quote --ak /in/ak.json --nonce " + nonce + " --out-file /out/evidence.json"},
	}}.prepare(t)
	foretold := (&next{initrd: true}).predict(t, now, p)
	second := m.start(t, p).wait(t)
	t.Run("the PCRs of the second boot were foretold", func(t *testing.T) {
		after := judge(t, second, allBanks...)
		after.prepared = p
		compare(t, foretold, now, after)
	})
	t.Run("after a restart the secret opens, on the other device model too", func(t *testing.T) {
		second.stdout(t, "unseal")
		if !bytes.Equal(first.file(t, "secret"), second.file(t, "unsealed")) {
			t.Error("another secret came out")
		}
	})
	t.Run("what was sealed to the initramfs stays closed under another", func(t *testing.T) {
		second.refuses(t, "unseal-initrd", "6", "sha256 PCR 9")
	})
	t.Run("a verifier that knows the first boot names the event in which the second differs", func(t *testing.T) {
		quotesDiffer(t, first, second)
	})
}

// unlogged judges the guest's own verdict on its log, after it extended PCRs 7 and 8 behind the log's back.
func unlogged(t *testing.T, r results) {
	t.Helper()
	r.exits(t, "verify", "7")
	var d struct {
		PCRs []struct {
			Bank  string
			PCR   int
			State string
		}
	}
	decode(t, r.file(t, "verify.stdout"), &d)
	for _, p := range d.PCRs {
		want := map[int]string{7: "differs", 8: "unlogged"}[p.PCR]
		if want == "" {
			want = "match"
		}
		if p.State != want {
			t.Errorf("%s PCR %d: %s, want %s", p.Bank, p.PCR, p.State, want)
		}
	}
	if len(d.PCRs) != 24*len(allBanks) {
		t.Errorf("%d PCRs were judged", len(d.PCRs))
	}
}

// verify judges the guest's evidence with the guest's binary on the host, which has no TPM.
func verify(t *testing.T, r results) {
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
	decode(t, interop.Run(t, vtpmctl, append(args, nonce)...), &d)
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
	if _, err := interop.Try(t, vtpmctl, append(args, strings.Repeat("ee", 16))...); err == nil {
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

// pcrread writes the values as tpm2_pcrread does, which vtpmctl takes.
func (p pcrs) pcrread() []byte {
	var b []byte
	bank := ""
	for _, key := range slices.Sorted(maps.Keys(p)) {
		name, pcr, _ := strings.Cut(key, " ")
		if name != bank {
			bank = name
			b = fmt.Appendf(b, "  %s:\n", bank)
		}
		b = fmt.Appendf(b, "    %-2s: 0x%s\n", pcr, strings.ToUpper(p[key]))
	}
	return b
}

// forLog gives the values in the shape that eventlog compares with.
func (p pcrs) forLog(t *testing.T) eventlog.Values {
	t.Helper()
	values, err := pcr.Decode(p.pcrread(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return values.ForLog()
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
		Banks []bankDoc
	}
	decode(t, doc, &d)
	if d.TPM != from {
		t.Errorf("the values come from %+v", d.TPM)
	}
	return valuesOf(d.Banks)
}

// bankDoc is a bank's values in a JSON document.
type bankDoc struct {
	Name string
	PCRs []struct {
		PCR   int
		Value string
	}
}

func valuesOf(banks []bankDoc) pcrs {
	values := pcrs{}
	for _, b := range banks {
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
