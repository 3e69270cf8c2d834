// Package cmd is the command line: flags, wording and exit status, and nothing else. Each noun has a file; each verb is
// a value of type verb, and verb.go runs them all in the same way. What a verb does to a TPM or a file is in the domain
// packages.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Main runs the program in the real world and returns its exit status. The first interrupt cancels the command, which
// then cleans up after itself in the TPM; the second ends the process at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, System(), commandLine(os.Args))
}

// Run runs one command in env and returns its exit status.
func Run(ctx context.Context, env *Env, args []string) (status int) {
	world, stdout := *env, &result{w: env.Out}
	world.Out = stdout
	a := &app{Env: &world}
	root := a.root(args)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	defer func() {
		if p := recover(); p != nil {
			err := fail.E(fail.Internal, "vtpmctl has a bug: %v", p).
				Hint("please report it with the command and this: %s", version())
			if a.verbosity > 0 {
				fmt.Fprintf(a.Err, "%s", debug.Stack())
			}
			status = a.report("", err)
		}
	}()
	c, err := root.ExecuteContextC(ctx)
	if err == nil && stdout.err != nil { // help and completions do not tell it
		err = stdout.err
	}
	if err == nil {
		return 0
	}
	return a.report(strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), root.Name()), " "), a.interrupted(ctx, err))
}

// result is stdout. That it cannot be written, to a full disk for example, is a failure of a kind of its own.
type result struct {
	w   io.Writer
	err error
}

func (r *result) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	if err != nil {
		r.err = fail.E(fail.OutputFailed, "the result cannot be written: %w", err)
		return n, r.err
	}
	return n, nil
}

// interrupted makes the end of ctx the failure, whatever form it took below.
func (a *app) interrupted(ctx context.Context, err error) error {
	if _, ok := errors.AsType[fail.Classified](err); ok && !errors.Is(err, context.Canceled) {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return fail.E(fail.Interrupted, "interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		return fail.E(fail.Timeout, "no answer within %s", a.timeout).Hint("--timeout 5m waits longer")
	}
	return err
}

// report prints err and returns its exit status: three lines at most for a person, the most useful last; one JSON object
// for a program.
func (a *app) report(op string, err error) int {
	kind := fail.KindOf(err)
	message := strings.ReplaceAll(err.Error(), "\n", "; ") // of errors that were joined
	if op != "" && kind != fail.Usage {
		message = op + ": " + message
	}
	words := ""
	if e, ok := errors.AsType[*tpm.CommandError](err); ok && !strings.Contains(message, e.Error()) {
		words = e.Error()
	}
	hints := fail.HintsOf(err)
	if a.format == out.FormatJSON || a.format == out.FormatYAML || a.format == out.FormatJSONL {
		a.reportJSON(op, kind, err.Error(), words, hints)
		return kind.Exit()
	}
	fmt.Fprintf(a.Err, "vtpmctl: error: %s\n", out.Escape(message))
	if words != "" {
		fmt.Fprintf(a.Err, "vtpmctl: tpm: %s\n", out.Escape(words))
	}
	for _, h := range hints {
		fmt.Fprintf(a.Err, "vtpmctl: hint: %s\n", out.Escape(h))
	}
	return kind.Exit()
}

func (a *app) reportJSON(op string, kind fail.Kind, message, words string, hints []string) {
	type body struct {
		Kind    fail.Kind `json:"kind"`
		Op      string    `json:"op"`
		Message string    `json:"message"`
		Exit    int       `json:"exit_code"`
		Hints   []string  `json:"hints"`
		TPM     string    `json:"tpm,omitempty"`
	}
	if hints == nil {
		hints = []string{}
	}
	line, err := out.AppendJSON(nil, map[string]body{"error": {kind, op, message, kind.Exit(), hints, words}})
	if err == nil {
		_, _ = a.Err.Write(append(line, '\n')) // there is nowhere else to tell it
	}
}

// root builds the command tree: whole, or with the one branch that the first argument names. Making the others would take a
// tenth of the time of a start.
func (a *app) root(args []string) *cobra.Command {
	cobra.MousetrapHelpText = "" // or every start on Windows lists all processes
	root := &cobra.Command{
		Use:           "vtpmctl",
		Short:         "measure, seal, prove and predict the state of a virtual machine with its virtual TPM",
		Example:       "vtpmctl tour\nvtpmctl info\nvtpmctl seal --pcrs sha256:7 --out-file app.tpm key.pem",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noVerb,

		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // ours is a noun as others are
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddGroup(
		&cobra.Group{ID: groupMain, Title: "Measure, bind and prove:"},
		&cobra.Group{ID: groupTPM, Title: "The TPM itself:"},
		&cobra.Group{ID: groupSelf, Title: "About vtpmctl:"},
	)
	a.globalFlags(root)
	a.setHelp(root)
	wanted := a.branches()
	if i := slices.IndexFunc(wanted, func(b branch) bool { return len(args) > 0 && b.name == args[0] }); i >= 0 {
		wanted = wanted[i : i+1]
	} else {
		root.AddCommand(helpTopics()...)
	}
	for _, b := range wanted {
		c := b.make()
		c.GroupID = b.group
		root.AddCommand(c)
	}
	return root
}

const (
	groupMain = "main"
	groupTPM  = "tpm"
	groupSelf = "self"
)

// branch is a command below the root: a verb, or a noun with several, which is made by noun.
type branch struct {
	name, group string
	make        func() *cobra.Command
}

func (a *app) branches() []branch {
	return []branch{
		{"tour", groupMain, a.tourCommand},
		{"pcr", groupMain, a.pcrCommand},
		{"baseline", groupMain, a.baselineCommand},
		{"seal", groupMain, a.sealCommand},
		{"unseal", groupMain, a.unsealCommand},
		{"sealed", groupMain, a.sealedCommand},
		{"quote", groupMain, a.quoteCommand},
		{"verify", groupMain, a.verifyCommand},
		{"ak", groupMain, a.akCommand},
		{"ek", groupMain, a.ekCommand},
		{"eventlog", groupMain, a.eventlogCommand},
		{"bitlocker", groupMain, a.bitlockerCommand},
		{"info", groupTPM, a.infoCommand},
		{"random", groupTPM, a.randomCommand},
		{"hash", groupTPM, a.hashCommand},
		{"flush", groupTPM, a.flushCommand},
		{"lockout", groupTPM, a.lockoutCommand},
		{"engine", groupTPM, a.engineCommand},
		{"explain", groupSelf, a.explainCommand},
		{"completion", groupSelf, a.completionCommand},
		{"version", groupSelf, a.versionCommand},
	}
}

// noun groups verbs under a word of its own. Its examples are the first ones of its first verbs.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	var examples []string
	for _, v := range verbs[:min(3, len(verbs))] {
		first, _, _ := strings.Cut(v.Example, "\n")
		examples = append(examples, first)
	}
	c := &cobra.Command{
		Use: use, Short: short, Args: noVerb, Example: strings.Join(examples, "\n"),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(verbs...)
	return c
}

// noVerb refuses a word that is no verb of c, and suggests the nearest.
func noVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fail.E(fail.Usage, "%s has no verb %q", c.CommandPath(), args[0])
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2
	}
	for _, s := range c.SuggestionsFor(args[0]) {
		err.Hint("did you mean %s %s?", c.CommandPath(), s)
	}
	return err.Hint("%s --help lists the verbs", c.CommandPath())
}
