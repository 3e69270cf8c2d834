package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
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

func TestEveryHelpStartsWithAnExample(t *testing.T) {
	help := func(words ...string) string {
		var stdout bytes.Buffer
		env := &cmd.Env{Out: &stdout, Err: &stdout, Getenv: func(string) string { return "" }}
		if status := cmd.Run(context.Background(), env, append(words, "--help")); status != 0 || !strings.HasPrefix(stdout.String(), "Example:\n  vtpmctl ") {
			t.Errorf("%q: exit status %d\n%s", words, status, stdout.String())
		}
		return stdout.String()
	}
	verbs := regexp.MustCompile(`(?m)^  ([a-z][a-z0-9-]*) +[a-z]`)
	seen := 0
	for _, m := range verbs.FindAllStringSubmatch(help(), -1) {
		_, list, isNoun := strings.Cut(help(m[1]), "\nVerbs:\n")
		if seen++; !isNoun {
			continue
		}
		for _, v := range verbs.FindAllStringSubmatch(list, -1) {
			help(m[1], v[1])
			seen++
		}
	}
	if seen < 40 {
		t.Errorf("%d pages of help were found", seen)
	}
}
