package cmd

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/host"
)

// Without systemd's log the firmware's would not lead to all PCRs: where there is one it is read, or the reason is told.
func TestTheLogsOfThisBootAreAllOfThem(t *testing.T) {
	const firmware, systemd = "sys/kernel/security/tpm0/binary_bios_measurements", "run/log/systemd/tpm2-measure.log"
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int
		kind  fail.Kind
	}{
		"both":                         {fstest.MapFS{firmware: {Data: []byte("1")}, systemd: {Data: []byte("2")}}, 2, ""},
		"no systemd":                   {fstest.MapFS{firmware: {Data: []byte("1")}}, 1, ""},
		"systemd's cannot be read":     {fstest.MapFS{firmware: {Data: []byte("1")}, systemd: {Mode: fs.ModeDir}}, 0, fail.Failed},
		"systemd's without firmware's": {fstest.MapFS{systemd: {Data: []byte("2")}}, 0, fail.MissingInput},
	} {
		a := &app{Env: &Env{Host: host.Host{OS: "linux", Root: c.files}}}
		logs, err := a.bootLogs()
		if len(logs) != c.want || fail.KindOf(err) != c.kind {
			t.Errorf("%s: %d logs, %v", name, len(logs), err)
		}
	}
}
