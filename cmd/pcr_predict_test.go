package cmd_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// bootedMachine lays out a machine and the log of its boot, and returns its folder and the log.
func bootedMachine(t *testing.T) (root, log string) {
	t.Helper()
	root = t.TempDir()
	m := synth.OnDisk()
	files := m.Files()
	files["boot.bin"], files["mok"], files["garbage"] = synth.ShimGRUB(m).Log, synth.SignatureList("Our own key"), []byte("garbage")
	for name, data := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root, filepath.Join(root, "boot.bin")
}

// TestPredictKeepsItsFields holds the contract of the JSON: fields are added, never renamed or dropped.
func TestPredictKeepsItsFields(t *testing.T) {
	root, log := bootedMachine(t)
	got := fields(t, "pcr", "predict", log, "--root", root, "--mok", filepath.Join(root, "mok"), "-o", "json")
	want := []string{
		"against",
		"banks", "banks.alg", "banks.name", "banks.pcrs", "banks.pcrs.pcr", "banks.pcrs.value",
		"current", "current.changed", "current.confidence", "current.event", "current.pcr", "current.why",
		"futures", "futures.banks", "futures.banks.alg", "futures.banks.name", "futures.banks.pcrs",
		"futures.banks.pcrs.pcr", "futures.banks.pcrs.value",
		"futures.changes",
		"futures.events", "futures.events.after", "futures.events.after.sha1", "futures.events.after.sha256",
		"futures.events.before", "futures.events.before.sha1", "futures.events.before.sha256",
		"futures.events.event", "futures.events.pcr", "futures.events.what",
		"futures.name", "futures.notes",
		"futures.pcrs", "futures.pcrs.changed", "futures.pcrs.confidence", "futures.pcrs.event", "futures.pcrs.pcr",
		"futures.pcrs.why",
		"futures.sealed",
		"phases", "schema", "source",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCheckFilesKeepsItsFields does the same for eventlog check-files.
func TestCheckFilesKeepsItsFields(t *testing.T) {
	root, log := bootedMachine(t)
	got := fields(t, "eventlog", "check-files", log, "--root", root, "-o", "json")
	want := []string{
		"counts", "counts.derived", "counts.firmware", "counts.found", "counts.unexplained",
		"events", "events.as", "events.event", "events.file", "events.pcr", "events.state", "events.type", "events.what",
		"schema", "source",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
