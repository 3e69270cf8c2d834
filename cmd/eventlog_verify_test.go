package cmd_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/host"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

// verifyHere runs eventlog verify on a Linux machine that is files and an engine.
func verifyHere(t *testing.T, conn tpm.Conn, root fstest.MapFS) (status int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	env := &cmd.Env{
		In: strings.NewReader(""), Out: &out, Err: &complaint, Getenv: func(string) string { return "" },
		Host:    host.Host{OS: "linux", Root: root},
		OpenTPM: func(context.Context, string, tpm.Options) (tpm.Conn, error) { return conn, nil },
	}
	status = cmd.Run(t.Context(), env, []string{"eventlog", "verify"})
	return status, out.String(), complaint.String()
}

func TestABootThatLeftNoLogIsDiagnosed(t *testing.T) {
	root := fstest.MapFS{"sys/class/tpm/tpm0/dev": {}, "sys/kernel/security/lsm": {}}
	conn := lasting{tpmtest.Engine(t, tpm.Options{Allow: tpmtest.Everything})}
	status, stdout, stderr := verifyHere(t, conn, root)
	if status != 66 || !strings.Contains(stdout, "hold their reset values: the firmware measured nothing") || !strings.Contains(stderr, "no event log") {
		t.Errorf("nothing measured: %d\n%s%s", status, stdout, stderr)
	}
	for _, n := range []string{"0", "4", "7", "8", "9"} {
		d := newDesk(t)
		d.conn = conn
		if status, _, stderr := d.run("pcr", "extend", n, "--digest", "sha256:"+strings.Repeat("ab", 32)); status != 0 {
			t.Fatal(stderr)
		}
	}
	status, stdout, _ = verifyHere(t, conn, root)
	if status != 66 || !strings.Contains(stdout, "Q1: PCR 0,4,7-9 are extended, by GRUB among others") {
		t.Errorf("GRUB without Secure Boot: %d\n%s", status, stdout)
	}
}

func TestTheRunningSystemIsAskedAboutItsOwnLog(t *testing.T) {
	machine := synth.Default()
	root := fstest.MapFS{
		"sys/kernel/security/tpm0/binary_bios_measurements": {Data: synth.ShimGRUB(machine).Log},
		"proc/cmdline": {Data: []byte("BOOT_IMAGE=/boot/vmlinuz " + machine.Cmdline + " systemd.unit=kexec\n")},
		"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": {Data: []byte{6, 0, 0, 0, 0}},
	}
	_, stdout, _ := verifyHere(t, lasting{tpmtest.Engine(t, tpm.Options{})}, root)
	for _, want := range []string{"not proven  cmdline", "Q24", "(Q22): SecureBoot; PCR 7 may differ at the next boot"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
}

// The JSON only grows: a field that goes away here breaks somebody's script.
func TestFieldsOfVerdictsAndDifferencesOfLogs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	save := func(name string, data []byte) {
		if err := os.WriteFile(at(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	machine := synth.Default()
	save("before", synth.Windows(machine).Log)
	values, _, _ := runOn(synth.Windows(machine).Log, "eventlog", "replay", "-", "-o", "pcrread")
	save("values", []byte(values))
	machine.Windows.Debugging = true
	after := synth.Windows(machine).Log
	verdict := []string{"bank", "pcr", "state", "replayed", "actual", "events"}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"verify", "-", "--against", at("values")}, slices.Concat(
			[]string{"against", "broken", "checks", "data", "grammar", "notes", "outcome", "pcrs", "quotes", "schema", "source"},
			below("checks", "name", "outcome", "text"), below("data", "bound", "label", "unbound"), below("pcrs", verdict...),
			below("quotes", "aik", "bank", "event", "made", "match", "pcrs"))},
		{[]string{"diff", at("before"), "-"}, slices.Concat(
			[]string{"after", "after_kind", "before", "before_kind", "differences", "equal", "pcrs", "schema", "unexplained", "volatile_pcrs"},
			below("pcrs", "changes", "pcr", "same", "volatile"), below("pcrs.changes", "after", "before", "fields", "kind", "type"),
			below("pcrs.changes.before", "digest", "number", "summary"), below("pcrs.changes.after", "digest", "number", "summary"))},
		{[]string{"diff", at("values"), "-"}, slices.Concat(
			[]string{"after", "after_kind", "before", "before_kind", "differences", "equal", "pcrs", "schema", "unexplained", "volatile_pcrs"},
			below("unexplained", append(verdict, "in")...))},
	} {
		stdout, stderr, status := runOn(after, append(append([]string{"eventlog"}, c.args...), "-o", "json")...)
		if status != 7 {
			t.Fatalf("%q: exit status %d: %s", c.args, status, stderr)
		}
		slices.Sort(c.want)
		if diff := cmp.Diff(c.want, fieldsOf(t, stdout)); diff != "" {
			t.Errorf("%s: %s", c.args[0], diff)
		}
	}
}
