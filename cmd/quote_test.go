package cmd_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/cmd"
)

// runJSON runs a verb on an engine of the test's own and decodes what it prints.
func runJSON(t *testing.T, dir string, args ...string) map[string]any {
	t.Helper()
	env := cmd.System()
	var stdout, stderr bytes.Buffer
	env.In, env.Out, env.Err = strings.NewReader(""), &stdout, &stderr
	env.Getenv = func(string) string { return "" }
	args = append(args, "--tpm", "engine:"+filepath.Join(dir, "tpm"), "-o", "json")
	if status := cmd.Run(t.Context(), env, args); status != 0 {
		t.Fatalf("%q: exit status %d: %s", args, status, &stderr)
	}
	var doc map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// The JSON only grows: a field that goes away here breaks somebody's script.
func TestFieldsOfQuoteAndKeyDocuments(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	nonce := "00112233445566778899aabbccddeeff"
	key := []string{"algorithm", "attributes", "file", "fingerprint", "name", "parent", "pem", "persistent_handle", "schema", "tpm"}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"ak", "create", "--out-file", at("ak.json"), "--persist", "0x81010010"}, key},
		{[]string{"ak", "show", at("ak.json")}, key[:9]},
		{[]string{"ak", "list"}, []string{"keys", "schema", "tpm"}},
		{[]string{"ak", "delete", "0x81010010"}, []string{"changed", "handle", "name", "schema", "tpm"}},
		{[]string{"ek", "list"}, []string{"certificates", "keys", "schema", "tpm"}},
		{[]string{"ek", "show", "L-2"}, []string{"pem", "schema", "tpm", "what"}},
		{[]string{"quote", "--ak", at("ak.json"), "--nonce", nonce, "--out-file", at("e.json")},
			[]string{"ak", "event_logs", "file", "nonce", "note", "schema", "selection", "tpm", "tpm2_files"}},
		{[]string{"verify", at("e.json"), "--nonce", nonce, "--ak", at("ak.json"), "--allow-emulated"},
			[]string{"ak", "banks", "changed_events", "checks", "differences", "event_log", "file", "ignored_pcrs", "quote", "schema", "verdict"}},
	} {
		doc := runJSON(t, dir, c.args...)
		if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(doc))); diff != "" {
			t.Errorf("%s: %s", c.args[:2], diff)
		}
	}
}
