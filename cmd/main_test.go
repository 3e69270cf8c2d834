package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// full is a stream that takes nothing, as a full disk does.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAResultThatCannotBeWrittenHasItsOwnStatus(t *testing.T) {
	for _, args := range []string{"version", "version -o json", "version -o yaml", "help", "seal --help", "help exit-codes", "completion bash"} {
		var complaint bytes.Buffer
		env := &cmd.Env{Out: full{}, Err: &complaint, Getenv: func(string) string { return "" }}
		status := cmd.Run(context.Background(), env, strings.Fields(args))
		if status != fail.OutputFailed.Exit() || !strings.Contains(complaint.String(), "the result cannot be written: no space left") {
			t.Errorf("%s: exit status %d, %q", args, status, complaint.String())
		}
	}
}

func TestForeignTextIsEscapedInErrorsToo(t *testing.T) {
	for _, format := range []string{"table", "json"} {
		var complaint bytes.Buffer
		env := &cmd.Env{Err: &complaint, Getenv: func(string) string { return "" }}
		status := cmd.Run(context.Background(), env, []string{"explain", "x\x1b[2J\u202ey\x9b", "-o", format})
		if status != fail.Usage.Exit() || strings.ContainsAny(complaint.String(), "\x1b\u202e\u009b") {
			t.Errorf("-o %s: exit status %d, %q", format, status, complaint.String())
		}
	}
}
