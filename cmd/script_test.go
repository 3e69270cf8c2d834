package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vtpmctl/vtpmctl/cmd"
)

func TestMain(m *testing.M) {
	run := func() { os.Exit(cmd.Main()) }
	testscript.Main(m, map[string]func(){"vtpmctl": run, "swtpm": run, "tpm_server": run})
}

// TestScripts runs every script of testdata/script on an engine of its own. UPDATE=1 rewrites what cmp compares with.
// VTPMCTL_TEST_TPM runs the scripts whose names start with tpm_ on that target instead.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("VTPMCTL_STATE", filepath.Join(e.WorkDir, "tpm"))
			e.Setenv("VTPMCTL_TPM", "engine:"+filepath.Join(e.WorkDir, "tpm"))
			if target := os.Getenv("VTPMCTL_TEST_TPM"); target != "" && strings.HasPrefix(filepath.Base(e.WorkDir), "script-tpm_") {
				e.Setenv("VTPMCTL_TPM", target)
			}
			for _, v := range os.Environ() {
				if strings.HasPrefix(v, "VTPMCTL_TEST_") {
					e.Vars = append(e.Vars, v)
				}
			}
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     scriptExits,
			"appears":   scriptAppears,
			"jsonpath":  scriptJSONPath,
			"jsonset":   scriptJSONSet,
			"fveimage":  scriptFVEImage,
			"winlog":    scriptWinLog,
			"fveseal":   scriptFVESeal,
			"bootlog":   scriptBootLog,
			"playboot":  scriptPlayBoot,
			"bootfiles": scriptBootFiles,
		},
	})
}

// scriptExits runs a command and checks its exit status: exits 7 vtpmctl verify …
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%s did not run: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d\nstderr:\n%s", got, want, ts.ReadFile("stderr"))
	}
}

// scriptAppears waits until a program in the background has made a file.
func scriptAppears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appears FILE")
	}
	for range 1000 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s does not appear", args[0])
}

// scriptJSONPath looks a value up in a JSON file (or stdout, stderr) and compares it: jsonpath stdout banks.0.name sha256.
// A number in the path is an index of a list; "length" is the length of a list.
func scriptJSONPath(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: jsonpath FILE PATH VALUE")
	}
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	got, err := lookUp(doc, strings.Split(args[1], "."))
	if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if (got == args[2]) == neg {
		ts.Fatalf("%s is %q, compared with %q", args[1], got, args[2])
	}
}

func lookUp(v any, path []string) (string, error) {
	for _, step := range path {
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[step]
			if !ok {
				return "", fmt.Errorf("there is no %q", step)
			}
			v = next
		case []any:
			if step == "length" {
				v = float64(len(node))
				continue
			}
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node) {
				return "", fmt.Errorf("%q is no index of a list of %d", step, len(node))
			}
			v = node[i]
		default:
			return "", fmt.Errorf("%q is below a plain value", step)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

// scriptJSONSet changes a value in a JSON file, as somebody who tampers would: jsonset FILE PATH VALUE. VALUE is JSON, or
// a string where it is none.
func scriptJSONSet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: jsonset FILE PATH VALUE")
	}
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	var value any
	if json.Unmarshal([]byte(args[2]), &value) != nil {
		value = args[2]
	}
	path := strings.Split(args[1], ".")
	at := doc
	for i, step := range path {
		last := i == len(path)-1
		switch node := at.(type) {
		case map[string]any:
			if last {
				node[step] = value
			}
			at = node[step]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(node) {
				ts.Fatalf("%q is no index of a list of %d", step, len(node))
			}
			if last {
				node[n] = value
			}
			at = node[n]
		default:
			ts.Fatalf("%q is below a plain value", step)
		}
	}
	text, err := json.Marshal(doc)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}
