package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/internal/term"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// app is one invocation: the world and the global flags.
type app struct {
	*Env
	globals
}

// verb is one command of the tree. A verb that has onTPM gets an open TPM that lets through the declared effects alone; a
// verb that has run opens none by itself. One that has both needs a TPM unless offline says that its words spare it.
type verb struct {
	use     string // "read [SELECTION]"
	short   string // one line, lower case
	long    string // what a reader of --help needs beyond the example
	example string // shown first; each line a command
	args    cobra.PositionalArgs
	flags   func(*pflag.FlagSet)
	formats []out.Format // offered beyond table, json and yaml
	exits   []fail.Kind  // kinds worth knowing for this verb; help lists their exit status

	effects tpm.Effects
	named   func(args []string) ([]tpm2.TPMHandle, error) // persistent objects and NV indices the user named
	endless bool                                          // serves until interrupted: --timeout does not apply

	onTPM   func(ctx context.Context, t tpm.Conn, args []string) (out.Doc, error)
	run     func(ctx context.Context, args []string) (out.Doc, error)
	offline func(args []string) bool
}

// command turns v into a command. The result and the error of a verb are both told: a negative verdict has a Doc to
// print and an error for the exit status.
func (a *app) command(v verb) *cobra.Command {
	c := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: v.example,
		Args: usageArgs(v.args),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.offers(c, v); err != nil {
				return err
			}
			ctx := c.Context()
			if !v.endless {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, a.timeout)
				defer cancel()
			}
			page, err := a.call(ctx, v, args)
			if page.Doc == nil {
				return err
			}
			return errors.Join(err, out.Write(a.Out, a.format, a.style(), page))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations:       annotate(v),
	}
	if v.args != nil {
		c.ValidArgsFunction = nil // arguments are files as a rule
	}
	if v.flags != nil {
		v.flags(c.Flags())
	}
	return c
}

// call runs v, on a TPM where it asked for one.
func (a *app) call(ctx context.Context, v verb, args []string) (out.Page, error) {
	if v.onTPM == nil || v.offline != nil && v.offline(args) {
		doc, err := v.run(ctx, args)
		return out.Page{Doc: doc}, err
	}
	var named []tpm2.TPMHandle
	if v.named != nil {
		var err error
		if named, err = v.named(args); err != nil {
			return out.Page{}, err
		}
	}
	return a.withTPM(ctx, v.effects, named, func(t tpm.Conn) (out.Doc, error) { return v.onTPM(ctx, t, args) })
}

// withTPM opens the TPM that --tpm names for the time of f, and marks the result with where it came from.
func (a *app) withTPM(ctx context.Context, allow tpm.Effects, named []tpm2.TPMHandle, f func(tpm.Conn) (out.Doc, error)) (page out.Page, err error) {
	key, err := a.engineKey()
	if err != nil {
		return out.Page{}, err
	}
	o := tpm.Options{Allow: allow, Named: named, EngineDir: a.engineDir(), EngineKey: key, EngineBoot: a.Host.Boot(), RequireTPM: a.requireTPM}
	if a.verbosity > 1 {
		o.Trace = a.Err
	}
	conn, err := a.OpenTPM(ctx, a.target, o)
	if err != nil {
		return out.Page{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }() // also after a panic: what was loaded is flushed
	a.step("the TPM is %s", conn.Origin().Target)
	page.Origin = conn.Origin()
	if conn.Origin().Emulated {
		page.Note = fmt.Sprintf("(answered by vtpmctl's own software TPM, %s)", conn.Origin().Target)
	}
	page.Doc, err = f(conn)
	err = tpm.Annotate(conn, err)
	if page.Doc == nil && conn.Origin().Emulated && a.Term.Err {
		a.warn("%s", strings.Trim(page.Note, "()"))
	}
	return page, err
}

// offers refuses a format the verb does not have.
func (a *app) offers(c *cobra.Command, v verb) error {
	formats := append(out.Common(), v.formats...)
	if slices.Contains(formats, a.format) {
		return nil
	}
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	return fail.E(fail.Usage, "%s has no -o %s", c.CommandPath(), a.format).Hint("it has %s", strings.Join(names, ", "))
}

func (a *app) style() out.Style {
	s := out.Style{Colour: a.Term.Colour}
	switch a.colour {
	case "always":
		s.Colour = true
	case "never":
		s.Colour = false
	}
	if a.Term.Out {
		s.Width = a.Term.Width
	}
	return s
}

// warn tells a person something that is not an error; scripts read the same in the Doc.
func (a *app) warn(format string, args ...any) {
	if !a.quiet && (a.Term.Err || a.verbosity > 0) {
		fmt.Fprintf(a.Err, "vtpmctl: note: %s\n", out.Escape(fmt.Sprintf(format, args...)))
	}
}

// step tells what is being done, under -v.
func (a *app) step(format string, args ...any) {
	if a.verbosity > 0 {
		fmt.Fprintf(a.Err, "vtpmctl: %s\n", out.Escape(fmt.Sprintf(format, args...)))
	}
}

// progress tells a person what takes so long, until Done.
func (a *app) progress(text string) *term.Progress {
	return term.StartProgress(a.Err, a.Term.Err && !a.quiet, text+" ...")
}

// usageArgs makes cobra's complaints about arguments usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		check = cobra.NoArgs
	}
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil { // cobra's own words tell a number, and not of what
			return usageError(c, fmt.Errorf("it is %q, and %d arguments were given", strings.TrimSuffix(c.UseLine(), " [flags]"), len(args)))
		}
		return nil
	}
}

func usageError(c *cobra.Command, err error) error {
	if _, ok := errors.AsType[fail.Classified](err); ok {
		return err
	}
	return fail.E(fail.Usage, "%w", err).Hint("%s --help shows how", c.CommandPath())
}

// globals are the flags of every verb.
type globals struct {
	target     string
	timeout    time.Duration
	format     out.Format
	quiet      bool
	verbosity  int
	colour     string
	noInput    bool
	requireTPM bool
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.SortFlags = false
	a.format = out.FormatTable
	f.VarP(&a.format, "output", "o", "format of the result: table, json or yaml")
	f.StringVar(&a.target, "tpm", a.defaultTarget(), "which TPM: auto, dev:PATH, tbs, swtpm:HOST:PORT, swtpm:PATH, mssim:HOST:PORT,\nengine:DIR, replay:FILE, or a TCTI string of tpm2-tools")
	f.BoolVar(&a.requireTPM, "require-tpm", a.flagVar(envRequireTPM), "never answer from the built-in software TPM")
	f.DurationVar(&a.timeout, "timeout", time.Minute, "give up after this long")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only")
	f.CountVarP(&a.verbosity, "verbose", "v", "tell each step on stderr; -vv traces the TPM's commands, never secrets")
	f.StringVar(&a.colour, "color", "auto", "auto, always or never")
	f.BoolVar(&a.noInput, "no-input", false, "never ask on the terminal")
	root.SetFlagErrorFunc(usageError)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if !slices.Contains([]string{"auto", "always", "never"}, a.colour) {
			return usageError(c, fmt.Errorf("--color is auto, always or never, not %q", a.colour))
		}
		if a.timeout <= 0 {
			return usageError(c, fmt.Errorf("--timeout %s leaves no time", a.timeout))
		}
		return nil
	}
	complete := func(values ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	}
	for name, values := range map[string][]string{
		"output": {"table", "json", "yaml"}, "color": {"auto", "always", "never"},
		"tpm": {"auto", "dev:/dev/tpmrm0", "tbs", "swtpm:", "mssim:", "engine:", "replay:"},
	} {
		if err := root.RegisterFlagCompletionFunc(name, complete(values...)); err != nil {
			panic(err) // the flag is defined a few lines above
		}
	}
}
