package cmd_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/internal/host"
)

// inBoot runs a command on a machine whose boot has a name.
func inBoot(t *testing.T, boot string, args ...string) (stdout string, status int) {
	t.Helper()
	env := cmd.System()
	env.Getenv = func(string) string { return "" }
	env.Host = host.Host{OS: "linux", Root: fstest.MapFS{"proc/sys/kernel/random/boot_id": {Data: []byte(boot)}}}
	var out, complaint bytes.Buffer
	env.Out, env.Err = &out, &complaint
	status = cmd.Run(t.Context(), env, args)
	return out.String() + complaint.String(), status
}

func TestTheEngineIsResetByAnotherBootOfTheHost(t *testing.T) {
	target := "engine:" + t.TempDir()
	resets := func(boot string) float64 {
		text, status := inBoot(t, boot, "engine", "info", "-o", "json", "--tpm", target)
		var doc map[string]any
		if err := json.Unmarshal([]byte(text), &doc); err != nil || status != 0 {
			t.Fatalf("exit status %d: %s", status, text)
		}
		return doc["resets"].(float64)
	}
	if text, status := inBoot(t, "one", "engine", "init", "--reset", "with-host", "--tpm", target); status != 0 {
		t.Fatal(text)
	}
	for _, c := range []struct {
		boot string
		want float64
	}{{"one", 1}, {"one", 1}, {"two", 2}, {"two", 2}, {"", 2}, {"three", 3}} {
		if got := resets(c.boot); got != c.want {
			t.Errorf("in boot %q: %v resets, want %v", c.boot, got, c.want)
		}
	}
}

func TestAHostWhoseBootsLookAlikeCannotResetTheEngine(t *testing.T) {
	text, status := inBoot(t, "", "engine", "init", "--reset", "with-host", "--tpm", "engine:"+t.TempDir())
	if status != 5 || !strings.Contains(text, "hint: run vtpmctl engine reset at boot") {
		t.Errorf("exit status %d: %s", status, text)
	}
}
