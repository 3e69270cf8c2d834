package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/seal"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) sealedCommand() *cobra.Command {
	return noun("sealed", "look at sealed files", a.sealedShowCommand(), a.sealedWhyCommand(), a.sealedRehearseCommand(), a.sealedExportCommand())
}

// sealDoc is the result of seal.
type sealDoc struct {
	*seal.Receipt
	File    string `json:"file"`
	Default bool   `json:"default_pcrs"` // nobody chose the PCRs
}

func (sealDoc) Schema() string { return "vtpmctl.seal/v1" }

func (d sealDoc) Table(t *out.Table) {
	t.Field("sealed", fmt.Sprintf("%d bytes into %s", d.Bytes, d.File))
	pcrs := d.Selection.String()
	if d.Default {
		pcrs += " (the default: the Secure Boot policy; --pcrs chooses others)"
	}
	t.Field("opens while", pcrs+" keep their values")
	if d.PIN {
		t.Field("and with", "the PIN")
	}
	t.Field("parent", d.Parent.Handle, out.Dim(d.Parent.Template))
	for _, c := range d.Checks {
		t.Field(c.Name, out.OK(c.Result))
	}
	if banks := d.Expected.Unmeasured(); len(banks) > 0 {
		t.Text("note: the firmware measured nothing into %s: these PCRs hold back nobody", fmt.Sprint(banks))
	}
}

// pinFlags are the ways to give a PIN.
type pinFlags struct {
	ask  bool
	file string
}

func (a *app) sealCommand() *cobra.Command {
	var pcrs pcr.Selection
	var pin pinFlags
	var outFile, description, values string
	var force bool
	var given *pflag.FlagSet
	return a.command(verb{
		use:   "seal FILE",
		short: "bind a secret to the PCRs of this TPM",
		long: `The secret is read from FILE ("-" is stdin). It opens on this TPM alone, and only while the PCRs have the values they
have now, or those of --pcr-values: what pcr predict wrote for the boot after an update. Secrets of any size are taken:
above 128 bytes a random key is sealed and the content encrypted with it. Right after sealing the new object is tried:
it must open now, unless it is for later, and must not open without the policy.`,
		example: "vtpmctl seal --pcrs sha256:7 --out-file app.tpm key.pem\npwgen 32 1 | vtpmctl seal --pcrs sha256:4,7 --pin --out-file app.tpm -",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.AuthRefused, fail.BadInput, fail.MissingInput, fail.OutputExists, fail.Unsupported},
		effects: tpm.UsesDA,
		flags: func(f *pflag.FlagSet) {
			given = f
			f.TextVar(&pcrs, "pcrs", seal.DefaultPCRs(), "`PCRs` to seal to, of any banks")
			f.StringVar(&values, "pcr-values", "", "seal to the values in this `FILE`, not to those of now")
			f.BoolVar(&pin.ask, "pin", false, "ask for a PIN that opening will need")
			f.StringVar(&pin.file, "pin-file", "", "read that PIN from `FILE` (\"-\" is stdin)")
			f.StringVar(&outFile, "out-file", "", "write the sealed `FILE` here instead of to stdout")
			f.StringVar(&description, "description", "", "free `TEXT` that the sealed file carries, for all to read")
			f.BoolVar(&force, "force", false, "replace the output file")
		},
		onTPM: func(ctx context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			plan := seal.Plan{PCRs: pcrs, Description: description, Now: a.Now(), Rand: a.Rand}
			doc := sealDoc{File: outFile, Default: !given.Changed("pcrs")}
			var err error
			if values != "" {
				if plan.Values, err = a.valuesFile(values, nil); err != nil {
					return nil, err
				}
			}
			src, err := a.openInput(args[0]) // before anybody types a PIN for nothing
			if err != nil {
				return nil, err
			}
			defer src.Close()
			if plan.PIN, err = a.newPIN(ctx, pin, args[0]); err != nil {
				return nil, err
			}
			defer clear(plan.PIN)
			defer a.progress("sealing").Done()
			if outFile == "" || outFile == "-" {
				_, err := seal.Seal(ctx, t, plan, src, a.Out)
				return nil, err
			}
			err = writeFile(args[0], outFile, force, func(w io.Writer) error {
				doc.Receipt, err = seal.Seal(ctx, t, plan, src, w)
				return err
			})
			if err != nil {
				return nil, err
			}
			return doc, nil
		},
	})
}

// newPIN gets a PIN to be set, asked for twice; nil where none is wanted, and never where one is.
func (a *app) newPIN(ctx context.Context, p pinFlags, input string) ([]byte, error) {
	if p.file == "" && !p.ask {
		return nil, nil
	}
	pin, err := a.knownPIN(ctx, p, input, "New PIN: ")
	if err != nil {
		return nil, err
	}
	if pin == nil { // an empty line at the terminal, which must not come to mean "no PIN is wanted"
		pin = []byte{}
	}
	if p.file != "" {
		return pin, nil
	}
	again, err := a.secret(ctx, "", "The same PIN again: ")
	defer clear(again)
	if err == nil && !bytes.Equal(pin, again) {
		err = fail.E(fail.Usage, "the two PINs differ")
	}
	if err != nil {
		clear(pin)
		return nil, err
	}
	return pin, nil
}

// knownPIN gets a PIN from a file, or asks for one that was set earlier.
func (a *app) knownPIN(ctx context.Context, p pinFlags, input, prompt string) ([]byte, error) {
	if p.file == "-" && input == "-" {
		return nil, fail.E(fail.Usage, "stdin cannot be the input and the PIN at once").Hint("put one of them in a file")
	}
	return a.secret(ctx, p.file, prompt)
}

// unsealDoc is the result of unseal into a file.
type unsealDoc struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

func (unsealDoc) Schema() string { return "vtpmctl.unseal/v1" }

func (d unsealDoc) Table(t *out.Table) { t.Text("%d bytes unsealed into %s", d.Bytes, d.File) }

// unsealExits are the kinds of failure that opening a sealed file may come to.
var unsealExits = []fail.Kind{
	fail.AuthRefused, fail.PolicyMismatch, fail.WrongTPM, fail.Lockout, fail.BadInput, fail.MissingInput, fail.Unsupported,
}

func (a *app) unsealCommand() *cobra.Command {
	var o seal.Opening
	var pin pinFlags
	var outFile string
	var force bool
	return a.command(verb{
		use:   "unseal FILE",
		short: "open a sealed secret",
		long: `FILE ("-" is stdin) is a file that seal wrote, or an ASN.1 key file (TSS2 PRIVATE KEY) of another tool. The secret
goes to stdout, or to a file that only the user may read. A terminal gets it only with --out-file -.
If the file needs a PIN it is asked for on the terminal, or read from --pin-file.`,
		example: "vtpmctl unseal --out-file key.pem app.tpm\nvtpmctl unseal app.tpm | cryptsetup open --key-file=- /dev/vdb data",
		args:    cobra.ExactArgs(1),
		exits:   slices.Concat(unsealExits, []fail.Kind{fail.OutputExists}),
		effects: tpm.UsesDA,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&pin.file, "pin-file", "", "read the PIN from `FILE` (\"-\" is stdin)")
			f.StringVar(&outFile, "out-file", "", "write the secret to `FILE`; - is stdout, even if that is a terminal")
			f.BoolVar(&force, "force", false, "replace the output file")
			f.TextVar(&o.PCRs, "pcrs", pcr.Selection(nil), "`PCRs` a file was sealed to that does not say so itself (tpm2_encodeobject)")
		},
		onTPM: func(ctx context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			if outFile == "" && a.Term.Out {
				return nil, fail.E(fail.Usage, "a secret is not shown on a terminal unless you say so").
					Hint("--out-file FILE writes a file").Hint("--out-file - shows it")
			}
			src, err := a.openInput(args[0])
			if err != nil {
				return nil, err
			}
			defer src.Close()
			f, payload, err := a.unsealFile(ctx, t, src, args[0], o, pin)
			if err != nil {
				return nil, err
			}
			defer payload.Clear()
			defer a.progress("unsealing").Done()
			if outFile == "" || outFile == "-" {
				return nil, a.toStdout(ctx, f, payload, src)
			}
			doc := unsealDoc{File: outFile}
			err = writeFile(args[0], outFile, force, func(w io.Writer) error {
				doc.Bytes, err = f.Content(ctx, payload, w)
				return err
			})
			if err != nil {
				return nil, err
			}
			return doc, nil
		},
	})
}

// unsealFile reads the head of a sealed file from src and has the TPM open it; path is its name.
func (a *app) unsealFile(ctx context.Context, t tpm.Conn, src io.Reader, path string, o seal.Opening, pin pinFlags) (*seal.File, *seal.Payload, error) {
	f, err := seal.Read(src)
	if err != nil {
		return nil, nil, err
	}
	if f.NeedsPIN() || pin.file != "" {
		if o.PIN, err = a.knownPIN(ctx, pin, path, "PIN: "); err != nil {
			return nil, nil, err
		}
		defer clear(o.PIN)
	}
	payload, err := f.Unseal(ctx, t, o)
	return f, payload, err
}

// toStdout prints the content. What was printed cannot be taken back, so a sealed file that can be read twice is read
// to its end first.
func (a *app) toStdout(ctx context.Context, f *seal.File, payload *seal.Payload, src io.Reader) error {
	if again, ok := src.(io.ReadSeeker); ok {
		if _, err := f.Content(ctx, payload, io.Discard); err != nil {
			return err
		}
		if _, err := again.Seek(0, io.SeekStart); err == nil {
			if f, err = seal.Read(again); err != nil {
				return err
			}
		}
	}
	_, err := f.Content(ctx, payload, a.Out)
	return err
}

// sealedDoc is the result of sealed show.
type sealedDoc struct{ *seal.Summary }

func (sealedDoc) Schema() string { return "vtpmctl.sealed-show/v1" }

func (d sealedDoc) Table(t *out.Table) {
	if d.Description != "" {
		t.Field("description", d.Description)
	}
	for _, s := range d.Policy {
		t.Field("policy step", s.Command, s.PCRs)
	}
	fits := out.Maybe("not told by the file")
	switch d.PolicyFits {
	case "yes":
		fits = out.OK("these steps are what the TPM demands")
	case "no":
		fits = out.No("these steps are NOT what the TPM demands: the file was altered")
	}
	t.Field("policy", fits)
	t.Field("PIN needed", yesNo(d.PIN))
	t.Field("parent", d.Parent)
	if d.Public.UserWithAuth {
		t.Field("caution", out.No("its auth value alone opens it, whatever the PCRs hold"))
	}
	if d.Block == nil {
		t.Text("another tool made this file: it does not say what the PCRs held")
		return
	}
	t.Field("parent name", d.Block.Parent.Name)
	t.Field("sealed", d.Block.Created.UTC().Format("2006-01-02 15:04:05 UTC"))
	if d.Block.Emulated {
		t.Field("sealed on", out.Maybe("vtpmctl's own software TPM"))
	}
	content := "in the TPM object"
	if d.Block.Content != "tpm" {
		content = "in an envelope beside it, " + d.Block.Content
	}
	t.Field("content", content)
	t.Title("opens while")
	pcrDoc{Values: d.Block.Expected}.Table(t)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) sealedShowCommand() *cobra.Command {
	return a.command(verb{
		use:     "show FILE",
		short:   "tell what a sealed file needs to open",
		example: "vtpmctl sealed show app.tpm",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.BadInput, fail.MissingInput},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			f, err := a.readSealed(args[0])
			if err != nil {
				return nil, err
			}
			s, err := f.Summary()
			if err != nil {
				return nil, err
			}
			return sealedDoc{s}, nil
		},
	})
}

// readSealed reads the head of a sealed file.
func (a *app) readSealed(path string) (*seal.File, error) {
	r, err := a.openInput(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return seal.Read(r)
}

// whyDoc is the result of sealed why.
type whyDoc struct{ *seal.Verdict }

func (whyDoc) Schema() string { return "vtpmctl.sealed-why/v1" }

func (d whyDoc) Table(t *out.Table) {
	if d.Parent.Same {
		t.Field("TPM", out.OK("the one it was sealed on"))
	} else {
		actual := d.Parent.Actual.String()
		if actual == "" {
			actual = "no key there"
		}
		t.Field("TPM", out.No("another one, or cleared since"))
		t.Field("  expected", d.Parent.Handle, d.Parent.Expected)
		t.Field("  actual", d.Parent.Handle, actual)
	}
	if len(d.Differences) == 0 {
		t.Field("PCRs", out.OK("as expected"), d.Compared)
	}
	differenceTable(t, d.Differences)
	switch {
	case !d.Opens:
		t.Text("it does not open now")
	case d.PIN:
		t.Text("it opens now, with its PIN")
	default:
		t.Text("it opens now")
	}
}

func (a *app) sealedWhyCommand() *cobra.Command {
	return a.command(verb{
		use:     "why FILE",
		short:   "tell why a sealed file does not open, or that it would",
		long:    "The PCRs and the parent key are compared with what the file says. Nothing is opened, and no PIN is tried.",
		example: "vtpmctl sealed why app.tpm",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.Unsupported},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			f, err := a.readSealed(args[0])
			if err != nil {
				return nil, err
			}
			v, err := f.Why(t)
			if err != nil {
				return nil, err
			}
			if !v.Opens {
				return whyDoc{v}, fail.E(fail.AnswerNo, "it does not open now")
			}
			return whyDoc{v}, nil
		},
	})
}

// rehearseDoc is the result of sealed rehearse.
type rehearseDoc struct {
	Opens bool  `json:"opens"` // always true: what does not open is an error
	PIN   bool  `json:"pin"`
	Bytes int64 `json:"bytes"`
}

func (rehearseDoc) Schema() string { return "vtpmctl.sealed-rehearse/v1" }

func (d rehearseDoc) Table(t *out.Table) { t.Text("it opens: %d bytes, all genuine", d.Bytes) }

func (a *app) sealedRehearseCommand() *cobra.Command {
	var pin pinFlags
	return a.command(verb{
		use:   "rehearse FILE",
		short: "open a sealed file without giving out the secret",
		long: `The secret is unsealed as unseal does, all of its content is checked, and it is thrown away. The exit status is that
of unseal. A wrong PIN counts as everywhere.`,
		example: "vtpmctl sealed rehearse app.tpm",
		args:    cobra.ExactArgs(1),
		exits:   unsealExits,
		effects: tpm.UsesDA,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&pin.file, "pin-file", "", "read the PIN from `FILE` (\"-\" is stdin)")
		},
		onTPM: func(ctx context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			src, err := a.openInput(args[0])
			if err != nil {
				return nil, err
			}
			defer src.Close()
			f, payload, err := a.unsealFile(ctx, t, src, args[0], seal.Opening{}, pin)
			if err != nil {
				return nil, err
			}
			defer payload.Clear()
			n, err := f.Content(ctx, payload, io.Discard)
			if err != nil {
				return nil, err
			}
			return rehearseDoc{true, f.NeedsPIN(), n}, nil
		},
	})
}

// exportDoc is the result of sealed export.
type exportDoc struct {
	Public   string   `json:"public"`
	Private  string   `json:"private"`
	Parent   string   `json:"parent"`
	Commands []string `json:"commands"` // of tpm2-tools, that open the object
}

func (exportDoc) Schema() string { return "vtpmctl.sealed-export/v1" }

func (d exportDoc) Table(t *out.Table) {
	for _, c := range d.Commands {
		t.Text("%s", c)
	}
}

func (a *app) sealedExportCommand() *cobra.Command {
	var public, private string
	var force bool
	return a.command(verb{
		use:   "export FILE",
		short: "write the object of a sealed file as tpm2-tools want it",
		long: `tpm2-tools read ASN.1 key files only where they have no policy. This writes the object as TPM2B_PUBLIC and TPM2B_PRIVATE,
for tpm2_load -u and -r. Neither file is secret. The envelope of a large secret stays in FILE.`,
		example: "vtpmctl sealed export app.tpm --public app.pub --private app.priv",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.BadInput, fail.MissingInput, fail.OutputExists},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&public, "public", "", "`FILE` for the public part")
			f.StringVar(&private, "private", "", "`FILE` for the private part, which is encrypted")
			f.BoolVar(&force, "force", false, "replace these files")
		},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			if public == "" || private == "" {
				return nil, fail.E(fail.Usage, "two files are to be written").Hint("give --public FILE and --private FILE")
			}
			f, err := a.readSealed(args[0])
			if err != nil {
				return nil, err
			}
			if err := file.Write(public, f.Key.Public, file.Shared, force); err != nil {
				return nil, err
			}
			if err := file.Write(private, f.Key.Private, file.Secret, force); err != nil {
				return nil, err
			}
			commands, err := f.ToolCommands(public, private)
			return exportDoc{public, private, fmt.Sprintf("0x%08x", uint32(f.Key.Parent)), commands}, err
		},
	})
}
