package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
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

// bug is a connection to a TPM on which the program breaks at its n-th command.
type bug struct {
	tpm.Conn
	left int
}

func (b *bug) Send(cmd []byte) ([]byte, error) {
	if b.left--; b.left < 0 {
		panic("a bug")
	}
	return b.Conn.Send(cmd)
}

// What a verb loaded before it broke is flushed: the slots of a TPM are few, and nobody else knows what is in them.
func TestABugLeavesNothingLoadedInTheTPM(t *testing.T) {
	target := "engine:" + filepath.Join(t.TempDir(), "tpm")
	run := func(left int, args ...string) (status int, stderr string) {
		env := cmd.System()
		var out, err bytes.Buffer
		env.In, env.Out, env.Err = strings.NewReader(""), &out, &err
		env.Getenv = func(string) string { return "" }
		open := env.OpenTPM
		env.OpenTPM = func(ctx context.Context, target string, o tpm.Options) (tpm.Conn, error) {
			conn, err := open(ctx, target, o)
			return &bug{conn, left}, err
		}
		status = cmd.Run(t.Context(), env, append(args, "--tpm", target))
		return status, err.String()
	}
	const whole = 1000
	loaded := func() (n int) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		conn, err := tpm.Open(ctx, target, tpm.Options{})
		if err != nil {
			t.Fatalf("the TPM was not let go: %v", err)
		}
		defer conn.Close()
		res, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x80000000, PropertyCount: 8}.Execute(conn)
		if err != nil {
			t.Fatal(err)
		}
		handles, err := res.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		return len(handles.Handle)
	}
	key := filepath.Join(t.TempDir(), "ak.json")
	broken := 0
	for left := range whole {
		status, stderr := run(left, "ak", "create", "--under", "srk", "--out-file", key)
		if status == 0 {
			break
		}
		broken++
		if status != 70 || !strings.Contains(stderr, "a bug") {
			t.Fatalf("broken at command %d: exit status %d: %s", left+1, status, stderr)
		}
		if n := loaded(); n != 0 {
			t.Fatalf("broken at command %d: %d objects stay loaded", left+1, n)
		}
	}
	if broken < 4 {
		t.Errorf("the verb sends %d commands, too few to load anything", broken)
	}
}
