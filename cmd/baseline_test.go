package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// The JSON only grows: a field that goes away here breaks somebody's script.
func TestFieldsOfBaselineDocuments(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	machine := synth.Default()
	save := func(name string) {
		log := synth.ShimGRUB(machine).Log
		parsed, err := eventlog.Parse(log)
		if err != nil {
			t.Fatal(err)
		}
		values, err := json.Marshal(pcr.Replayed(parsed))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name+".bin"), log, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name+".json"), values, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("good")
	machine.Cmdline += " init=/bin/sh"
	save("other")
	entry := []string{"action", "events", "pcrs", "reason", "time", "user"}
	head := slices.Concat([]string{"anchor", "file", "history", "last_change", "made", "pcrs_covered", "schema", "signed"},
		below("made", entry[:3]...), below("made", "time", "user"), below("history", entry[:3]...), below("history", "time", "user"),
		below("last_change", entry[:3]...), below("last_change", "time", "user"))
	reasons := []string{"history.reason", "last_change.reason"}
	for _, c := range []struct {
		verb   []string
		boot   string
		status int
		want   []string
	}{
		{[]string{"create"}, "good", 0, slices.Concat(head, []string{"banks", "changed", "events"}, below("banks", "alg", "name", "pcrs", "pcrs.pcr", "pcrs.value"))},
		{[]string{"check"}, "other", 7, slices.Concat(head, []string{"checks", "pcrs", "state"}, below("checks", "name", "outcome", "text"),
			below("pcrs", "changes", "measures", "note", "pcr", "pcr_name", "state", "values"), below("pcrs.values", "actual", "bank", "expected"),
			below("pcrs.changes", "after", "before", "fields", "id", "kind", "type"),
			below("pcrs.changes.before", "digest", "number", "summary"), below("pcrs.changes.after", "digest", "number", "summary"))},
		{[]string{"accept", "8", "9", "--reason", "test"}, "other", 0, slices.Concat(head, reasons, []string{"accepted", "changed", "dry_run", "state"}, below("accepted", entry...))},
	} {
		env := cmd.System()
		var stdout, stderr bytes.Buffer
		env.In, env.Out, env.Err = strings.NewReader(""), &stdout, &stderr
		env.Getenv = func(string) string { return "" }
		env.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
		args := append([]string{"baseline"}, c.verb...)
		args = append(args, "--file", at("b.json"), "--log", at(c.boot+".bin"), "--pcrs-from", at(c.boot+".json"), "-o", "json")
		if status := cmd.Run(t.Context(), env, args); status != c.status {
			t.Fatalf("%q: exit status %d: %s", args, status, &stderr)
		}
		got := slices.DeleteFunc(fieldsOf(t, stdout.String()), func(name string) bool { return name == "pcrs.note" })
		want := slices.DeleteFunc(c.want, func(name string) bool { return name == "pcrs.note" }) // where there is something to note
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", c.verb[0], diff)
		}
	}
}

// below names fields of an object.
func below(name string, fields ...string) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = name + "." + f
	}
	return names
}

// The anchor of a TPM whose owner has a password is written with it: from a file, or from stdin.
func TestABaselineIsAnchoredWithTheOwnersPassword(t *testing.T) {
	dir := t.TempDir()
	target, log, password := "engine:"+filepath.Join(dir, "tpm"), filepath.Join(dir, "boot.bin"), filepath.Join(dir, "owner.txt")
	conn, err := tpm.Open(t.Context(), target, tpm.Options{Allow: tpm.Clears | tpm.Extends})
	if err != nil {
		t.Fatal(err)
	}
	rec := synth.Agile(eventlog.SHA256).Data(0, eventlog.EVSCRTMVersion, []byte("v")).Recording()
	extend := tpm2.PCRExtend{PCRHandle: tpm2.AuthHandle{Handle: 0, Auth: tpm2.PasswordAuth(nil)},
		Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: rec.Extends[0].Digests[0].Value}}}}
	if _, err := extend.Execute(conn); err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHOwner, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("secret")}}.Execute(conn)
	if err := errors.Join(err, conn.Close(), os.WriteFile(log, rec.Log, 0o600), os.WriteFile(password, []byte("secret\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words, stdin string
		status       int
	}{
		{"create --anchor 0x01800200 --no-input", "", 64},
		{"create --anchor 0x01800200 --owner-auth-file -", "wrong", 3},
		{"check", "", 66},
		{"create --anchor 0x01800200 --owner-auth-file -", "secret", 0},
		{"check --anchor 0x01800200", "", 0},
		{"create --anchor 0x01800201 --force --owner-auth-file " + password, "", 0},
		{"check --anchor 0x01800201", "", 0},
	} {
		var stdout, stderr bytes.Buffer
		env := &cmd.Env{In: strings.NewReader(c.stdin), Out: &stdout, Err: &stderr, Getenv: func(string) string { return "" },
			Now: time.Now, User: func() string { return "test" }, OpenTPM: tpm.Open}
		args := append([]string{"baseline"}, strings.Fields(c.words)...)
		args = append(args, "--tpm", target, "--log", log, "--file", filepath.Join(dir, "b.json"))
		if status := cmd.Run(t.Context(), env, args); status != c.status {
			t.Errorf("%s: exit status %d, want %d\n%s%s", c.words, status, c.status, &stdout, &stderr)
		}
		if strings.Contains(stdout.String()+stderr.String(), "secret\n") {
			t.Errorf("%s: the password is told", c.words)
		}
	}
}
