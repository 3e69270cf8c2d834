//go:build guest

package guest

import "testing"

// Firmware, kernel and vtpmctl itself find in the engine what they find in any TPM, over both of its interfaces. What is
// in NV outlives the reboot; PCRs start over and come out the same.
func TestAMeasuredBootOnOurOwnEngine(t *testing.T) {
	m := newMachineOnEngine(t)
	for _, device := range []string{"tpm-tis", "tpm-crb"} {
		r := m.boot(t, device, nil,
			step{"pcr-read", "vtpmctl pcr read -o json"},
			step{"replay", "vtpmctl eventlog replay -o json"},
			step{"extend", "vtpmctl pcr extend 16 /bin/vtpmctl"},
		)
		live := kernelPCRs(t, r, "sha1", "sha256", "sha384", "sha512")
		differ(t, live, pcrsOf(t, r.stdout(t, "pcr-read"), engineTPM))
		replays(t, r.stdout(t, "replay"), live)
		r.stdout(t, "extend")
	}
}
