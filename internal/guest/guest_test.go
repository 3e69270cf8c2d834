//go:build guest

package guest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

func TestAMeasuredBoot(t *testing.T) {
	m := newMachine(t)
	first := m.boot(t, "tpm-tis", nil,
		step{"version", "vtpmctl version"},
		step{"pcr-read", "vtpmctl pcr read -o json"},
	)
	live := kernelPCRs(t, first, "sha1", "sha256", "sha384", "sha512")

	t.Run("the log replays to the live PCRs in every bank", func(t *testing.T) { replays(t, first, live) })
	t.Run("pcr read agrees with the kernel in every bank", func(t *testing.T) {
		if diff := cmp.Diff(live, pcrsOf(t, first.stdout(t, "pcr-read"), false)); diff != "" {
			t.Errorf("the kernel's values (-) and ours (+):\n%s", diff)
		}
	})
}

func TestABootWithOneBank(t *testing.T) {
	r := newMachine(t, "sha256").boot(t, "tpm-crb", nil,
		step{"pcr-read", "vtpmctl pcr read -o json"},
	)
	live := kernelPCRs(t, r, "sha256")
	replays(t, r, live)
	if diff := cmp.Diff(live, pcrsOf(t, r.stdout(t, "pcr-read"), false)); diff != "" {
		t.Errorf("the kernel's values (-) and ours (+):\n%s", diff)
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

// pcrsOf takes the values out of `pcr read -o json`. A TPM that says it is our engine is told from others.
func pcrsOf(t *testing.T, doc []byte, engine bool) pcrs {
	t.Helper()
	var d struct {
		TPM struct {
			Target   string
			Emulated bool
		}
		Banks []struct {
			Name string
			PCRs []struct {
				PCR   int
				Value string
			}
		}
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		t.Fatal(err)
	}
	if d.TPM.Target != "dev:/dev/tpmrm0" || d.TPM.Emulated != engine {
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

// replays compares the replay of the guest's log with the live PCRs that the log has events of. The boot must have
// measured the firmware (0), the boot loader, here the kernel (4), and the Secure Boot policy (7).
func replays(t *testing.T, r results, live pcrs) {
	t.Helper()
	log, err := eventlog.Parse(r.file(t, "eventlog"))
	if err != nil {
		t.Fatal(err)
	}
	compared := pcrs{}
	for _, bank := range log.Replay().Banks {
		for _, p := range bank.PCRs {
			if p.Events == 0 {
				continue
			}
			key := fmt.Sprint(bank.Alg, " ", p.Index)
			compared[key] = p.Value.String()
			if live[key] != compared[key] {
				t.Errorf("%s is %s, the log replays to %s", key, live[key], compared[key])
			}
		}
	}
	for key := range live {
		bank, pcr, _ := strings.Cut(key, " ")
		if (pcr == "0" || pcr == "4" || pcr == "7") && compared[key] == "" {
			t.Errorf("the log has nothing for PCR %s of %s", pcr, bank)
		}
	}
}
