package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// engine serve on ports of its own choice: what one client extends, the next one on another port reads, and after the end
// of the server it is in the state.
func TestEngineServeAnswersOnAllItsPorts(t *testing.T) {
	dir := t.TempDir()
	state := "engine:" + filepath.Join(dir, "state")
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	env := cmd.System()
	env.Getenv = func(string) string { return "" }
	env.OpenFD = func(fd int) (io.WriteCloser, error) { return w, nil }
	env.PID = 4711
	var stderr strings.Builder
	env.Err = &stderr
	status := make(chan int, 1)
	pid, socket := filepath.Join(dir, "pid"), filepath.Join(dir, "socket")
	go func() {
		status <- cmd.Run(ctx, env, []string{"engine", "serve", "--tpm", state, "--swtpm", "127.0.0.1:0", "--swtpm-unix", socket,
			"--mssim", "localhost:0", "--ready-fd", "3", "--pid-file", pid})
		w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("exit status %d: %s", <-status, &stderr)
	}
	var at map[string]string
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		t.Fatal(err)
	}
	if at["swtpm_ctrl"] != socket {
		t.Errorf("control channel at %q", at["swtpm_ctrl"])
	}
	runs(t, "pcr", "extend", "16", "--digest", "sha256:"+strings.Repeat("ab", 32), "--tpm", "swtpm:"+at["swtpm"])
	extended := runs(t, "pcr", "read", "sha256:16", "--tpm", "mssim:"+at["mssim"]) // finds the platform port one above
	if strings.Contains(extended, strings.Repeat("00", 32)) {
		t.Error("the PCR was not extended")
	}
	stop()
	if got := <-status; got != 0 {
		t.Errorf("exit status %d: %s", got, &stderr)
	}
	if n := strings.Count(stderr.String(), ": connection from 127.0.0.1:"); n < 2 {
		t.Errorf("%d connections are in the log: %s", n, &stderr)
	}
	after := runs(t, "pcr", "read", "sha256:16", "--tpm", state)
	values := func(table string) string { v, _, _ := strings.Cut(table, "\n("); return v }
	if values(after) != values(extended) {
		t.Errorf("after the server: %s\nthrough it: %s", after, extended)
	}
	if text, err := os.ReadFile(pid); string(text) != "4711\n" {
		t.Errorf("pid file %q, %v", text, err)
	}
	if _, err := tpm.Open(t.Context(), "swtpm:"+at["swtpm"], tpm.Options{}); err == nil {
		t.Error("the port is still open")
	}
}

// runs runs a command that must succeed and returns its stdout.
func runs(t *testing.T, args ...string) string {
	t.Helper()
	env := cmd.System()
	env.Getenv = func(string) string { return "" }
	var stdout, stderr bytes.Buffer
	env.Out, env.Err = &stdout, &stderr
	if status := cmd.Run(t.Context(), env, args); status != 0 {
		t.Fatalf("%v: exit status %d\n%s", args, status, &stderr)
	}
	return stdout.String()
}
