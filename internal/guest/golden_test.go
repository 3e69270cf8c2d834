//go:build guest

package guest

import (
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

var update = flag.Bool("update", false, "write the logs of these boots to eventlog/testdata/boots")

// boots is where `go test ./eventlog` finds logs of real boots, each with the PCRs that the kernel read.
const boots = "../../eventlog/testdata/boots"

// volatile are the events whose digests follow the files of the distribution, and the initramfs, which is made of them:
// the firmware's own volumes, and what is started and read from there on.
var volatile = []string{"EV_EFI_PLATFORM_FIRMWARE_BLOB", "EV_EFI_BOOT_SERVICES_APPLICATION", "systemd-stub section: .linux",
	"systemd-stub section: .initrd", "Linux EFI stub: initrd", "seabios mbr"}

// golden compares the boot's log with the one that is kept: both must say the same, event by event, but for the digests
// of files that the distribution may have updated.
func (m *measured) golden(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join(boots, name)
	if *update {
		write(t, file+".log", m.raw)
		write(t, file+".pcrs", m.values.text())
		return
	}
	kept, err := eventlog.Parse(read(t, file+".log"))
	if err != nil {
		t.Fatal(err)
	}
	today, err := eventlog.Parse(m.raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range eventlog.DiffLogs(kept, today).PCRs {
		for _, c := range p.Changes {
			if !mayChange(c) {
				t.Errorf("PCR %d: %s %s: %s, was %s", p.PCR, c.Kind, c.Type, side(c.After), side(c.Before))
			}
		}
	}
}

// mayChange tells whether an event that both logs have is of a file that may have been updated.
func mayChange(c eventlog.Change) bool {
	return c.Kind == "changed" && c.Before.Summary == c.After.Summary &&
		slices.ContainsFunc(volatile, func(what string) bool { return c.Type == what || strings.HasPrefix(c.After.Summary, what) })
}

func side(s *eventlog.Side) string {
	if s == nil {
		return "nothing"
	}
	return s.Summary
}

// text is one line for each PCR: bank, number, value.
func (p pcrs) text() []byte {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(p)) {
		b = fmt.Appendln(b, key, p[key])
	}
	return b
}
