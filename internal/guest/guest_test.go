//go:build guest

package guest

import (
	"bytes"
	"testing"
)

func TestAGuestMeasuresSealsAndProves(t *testing.T) {
	m := newMachine(t)
	r := m.boot(t, "tpm-tis", nil,
		step{"version", "vtpmctl version"},
	)
	if !bytes.HasPrefix(r.stdout(t, "version"), []byte("vtpmctl ")) {
		t.Errorf("version says %q", r.stdout(t, "version"))
	}
	t.Logf("%s", r.file(t, "kernel-pcrs"))
	t.Logf("%d", len(r.file(t, "eventlog")))
}
