//go:build guest

package guest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Firmware, kernel and vtpmctl itself find in the engine what they find in any TPM, over both of its interfaces. What is
// in NV outlives the reboot; PCRs start over and come out the same.
func TestAMeasuredBootOnOurOwnEngine(t *testing.T) {
	m := newMachineOnEngine(t)
	for i, device := range []string{"tpm-tis", "tpm-crb"} {
		r := m.boot(t, device, nil,
			step{"pcr-read", "vtpmctl pcr read -o json"},
			step{"extend", "vtpmctl pcr extend 16 /bin/vtpmctl"},
		)
		live := kernelPCRs(t, r, "sha1", "sha256", "sha384", "sha512")
		replays(t, r, live)
		if diff := cmp.Diff(live, pcrsOf(t, r.stdout(t, "pcr-read"), true)); diff != "" {
			t.Errorf("boot %d, %s: the kernel's values (-) and ours (+):\n%s", i, device, diff)
		}
		r.stdout(t, "extend")
	}
}
