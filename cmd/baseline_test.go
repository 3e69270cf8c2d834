package cmd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/pcr"
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
