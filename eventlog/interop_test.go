//go:build interop

package eventlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// tpm2EventlogPCRs replays a log with tpm2_eventlog: "sha256:7" to hex.
func tpm2EventlogPCRs(t *testing.T, log []byte) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	text := interop.Run(t, "tpm2_eventlog", path)
	pcrs := make(map[string]string)
	bank := ""
	for _, m := range regexp.MustCompile(`(?m)^  (sha\d+|sm3_256):$|^    (\d+) *: 0x([0-9a-f]+)$`).FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			bank = m[1]
			continue
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		pcrs[fmt.Sprintf("%s:%d", bank, n)] = m[3]
	}
	return pcrs
}

func TestTPM2EventlogAgreesWithTheReplay(t *testing.T) {
	for name, boot := range boots {
		t.Run(name, func(t *testing.T) {
			machine := synth.Default()
			machine.Banks = fourBanks
			machine.Windows.TrustPoint = false // tpm2_eventlog fails on registers beyond the PCRs
			data := boot(machine).Log
			theirs := tpm2EventlogPCRs(t, data)
			count := 0
			log, err := eventlog.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range log.Replay().Banks {
				for _, p := range b.PCRs {
					count++
					if got := theirs[fmt.Sprintf("%s:%d", b.Alg, p.Index)]; got != p.Value.String() {
						t.Errorf("%s:%d: tpm2_eventlog says %s, we %s", b.Alg, p.Index, got, p.Value)
					}
				}
			}
			if count == 0 || count != len(theirs) {
				t.Errorf("%d PCRs, tpm2_eventlog has %d", count, len(theirs))
			}
		})
	}
}
