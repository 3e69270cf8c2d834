package cmd

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Annotations carry what a verb declared to its help text.
const (
	noteEffects = "effects"
	noteExits   = "exits"
	noteFormats = "formats"
)

// annotate writes down what help tells beyond cobra's fields.
func annotate(v verb) map[string]string {
	notes := map[string]string{noteEffects: "Opens no TPM."}
	if v.onTPM != nil {
		notes[noteEffects] = "On the TPM: " + v.effects.String() + "."
	}
	kinds := append([]fail.Kind{fail.Failed, fail.Usage}, v.exits...)
	if v.onTPM != nil {
		kinds = append(kinds, fail.NoTPM, fail.Temporary, fail.Permission)
	}
	var codes []int
	for _, k := range kinds {
		codes = append(codes, k.Exit())
	}
	slices.Sort(codes)
	words := []string{"0"}
	for _, c := range slices.Compact(codes) {
		words = append(words, strconv.Itoa(c))
	}
	notes[noteExits] = strings.Join(words, ", ")
	for _, f := range v.formats {
		notes[noteFormats] += ", " + string(f)
	}
	return notes
}

// setHelp replaces cobra's templates, which would double the size of the binary (text/template keeps every method alive).
func (a *app) setHelp(root *cobra.Command) {
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { writeHelp(a.Out, c) })
	root.SetUsageFunc(func(c *cobra.Command) error { writeHelp(a.Err, c); return nil })
	root.SetVersionTemplate("")
	root.SetHelpCommand(helpCommand())
	root.Flags().BoolP("version", "", false, "print version, commit and platform")
	root.Flags().BoolP("help", "h", false, "help for any command")
}

// helpCommand is "vtpmctl help WORDS". Cobra's own succeeds for words that nobody knows.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|TOPIC]", Short: "help for any command or topic",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return fail.E(fail.Usage, "there is no help for %q", strings.Join(args, " ")).
					Hint("vtpmctl --help lists commands and topics")
			}
			return found.Help()
		},
	}
}

func writeHelp(w io.Writer, c *cobra.Command) {
	if c.IsAdditionalHelpTopicCommand() {
		fmt.Fprintln(w, c.Long)
		return
	}
	if c.Example != "" {
		fmt.Fprintf(w, "Example:\n%s\n\n", indent(c.Example))
	}
	if c.Runnable() || c.HasParent() {
		fmt.Fprintf(w, "%s: %s\n\n", c.CommandPath(), c.Short)
	} else {
		fmt.Fprintf(w, "%s\n\n", c.Short)
	}
	if c.Long != "" {
		fmt.Fprintf(w, "%s\n\n", c.Long)
	}
	if !c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "Usage:\n  %s\n", c.UseLine())
	}
	writeSubcommands(w, c)
	if own := c.LocalFlags(); own.HasAvailableFlags() && c.HasParent() {
		fmt.Fprintf(w, "\nFlags:\n%s", flagText(own))
	}
	if !c.HasParent() {
		fmt.Fprintf(w, "Flags of every command:\n%s", flagText(c.PersistentFlags()))
		fmt.Fprint(w, "\nMore: vtpmctl help exit-codes | environment | formats | pcrs\n")
		return
	}
	if effects := c.Annotations[noteEffects]; effects != "" {
		fmt.Fprintf(w, "\n%s\n", effects)
		fmt.Fprintf(w, "Formats: table, json, yaml%s. Exit status: %s.\n", c.Annotations[noteFormats], c.Annotations[noteExits])
	}
	fmt.Fprint(w, "Flags of every command: vtpmctl --help\n")
}

func writeSubcommands(w io.Writer, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	list := func(title, group string) {
		first := true
		for _, s := range c.Commands() {
			if !s.IsAvailableCommand() || s.GroupID != group {
				continue
			}
			if first {
				fmt.Fprintf(w, "%s\n", title)
				first = false
			}
			fmt.Fprintf(w, "  %-12s %s\n", s.Name(), s.Short)
		}
		if !first && group != "" {
			fmt.Fprintln(w)
		}
	}
	for _, g := range c.Groups() {
		list(g.Title, g.ID)
	}
	list("Verbs:", "")
}

// flagText lists flags in the order they were defined, without those of the root.
func flagText(f *pflag.FlagSet) string {
	f.SortFlags = false
	return f.FlagUsagesWrapped(110)
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// helpTopics are pages that belong to no verb: vtpmctl help exit-codes.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "what each exit status means", Long: exitCodesText()},
		{Use: "environment", Short: "environment variables that are read", Long: environmentText()},
		{Use: "formats", Short: "formats of results and files", Long: formatsText},
		{Use: "pcrs", Short: "how PCRs are selected and what they measure", Long: pcrsText()},
	}
}

func exitCodesText() string {
	var b strings.Builder
	b.WriteString("Exit status; in JSON errors \"kind\" tells apart what shares a status. Unknown values mean failure.\n\n  0    done; verified\n")
	for _, row := range fail.Table() {
		fmt.Fprintf(&b, "  %-4d %-16s %s\n", row.Exit, row.Kind, row.Meaning)
	}
	b.WriteString("\n7 is \"checked, and the answer is no\"; 1 and 65 are \"could not tell\". 2 is a crash of the program.")
	return b.String()
}

func environmentText() string {
	var b strings.Builder
	b.WriteString("Environment variables. A flag always wins; there is no configuration file. No secret is read from here.\n\n")
	for _, v := range envVars() {
		fmt.Fprintf(&b, "  %-22s %s\n", v.name, v.meaning)
	}
	return strings.TrimRight(b.String(), "\n")
}

const formatsText = `Formats of results (-o):

  table    for people; may change. On a terminal it is cut to the width, elsewhere every value is whole.
  json     one object, "schema" first; keys are snake_case and only ever added. Where a TPM answered, "tpm" names it.
           Digests are lower-case hex, blobs base64, handles and codes "0x…", times RFC 3339 in UTC.
  yaml     the same as json
  jsonl    one object a line (event logs)
  tpm2     the YAML of the tpm2-tools command of the same purpose, where a verb offers it

Errors go to stderr: with -o json and -o yaml as one line {"error":{"kind","op","message","exit_code","hints","tpm"}}.

Files:

  sealed secret   TSS2 PRIVATE KEY (ASN.1 key file, as openssl and tpm2-tools read it), and beside it a block of ours
                  with the expected PCR values and the encrypted content of large secrets
  evidence        JSON, schema vtpmctl.evidence/v1: quotes, PCR values, event log, attestation key
  event log       as the firmware wrote it: TCG crypto-agile or SHA-1, found in /sys/kernel/security/tpm0 or by TBS`

func pcrsText() string {
	var rows strings.Builder
	for _, u := range pcr.Usages() {
		fmt.Fprintf(&rows, "  %-6d %-19s %s\n", u.PCR, u.Name, u.Measures)
	}
	return `PCR selections: BANK:LIST, joined with +.

  sha256:0,7              two PCRs of one bank
  sha256:0-7,14           a range
  sha256:all              all 24
  sha1:0+sha256:7         two banks
  7,11                    in sha256
  secure-boot-policy,4    by name, in sha256

Banks: sha1, sha256, sha384, sha512, sm3_256.

  PCR    name                measures
` + strings.TrimRight(rows.String(), "\n")
}
