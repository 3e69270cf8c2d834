package cmd

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) pcrCommand() *cobra.Command {
	return noun("pcr", "read, extend, compare and foretell platform configuration registers",
		a.pcrReadCommand(), a.pcrExtendCommand(), a.pcrResetCommand(), a.pcrCompareCommand(), a.pcrPredictCommand())
}

// pcrDoc is the result of pcr read.
type pcrDoc struct {
	*pcr.Values
	Unmeasured []pcr.Bank `json:"unmeasured_banks"`
}

func (pcrDoc) Schema() string { return "vtpmctl.pcr/v1" }

func (d pcrDoc) Table(t *out.Table) {
	t.Head("BANK", "PCR", "NAME", "VALUE")
	for _, b := range d.Banks {
		for _, p := range b.PCRs {
			t.Row(b.Bank, p.PCR, out.Dim(pcr.UsageOf(p.PCR).Name), p.Digest)
		}
		if len(b.PCRs) == 0 {
			t.Row(b.Bank, "-", "", out.Maybe("this bank is switched off"))
		}
	}
	if len(d.Unmeasured) > 0 {
		t.Text("note: the firmware measured nothing into %s: bind nothing to PCRs 0 to 7 there", fmt.Sprint(d.Unmeasured))
	}
}

// Render gives the text of tpm2_pcrread.
func (d pcrDoc) Render(w io.Writer, _ out.Format) error { return d.WritePCRRead(w) }

func (a *app) pcrReadCommand() *cobra.Command {
	return a.command(verb{
		use:   "read [SELECTION]",
		short: "print PCR values: all active banks, or a selection",
		long: `The values belong together: if a PCR changes while they are read, all are read again.
-o pcrread and -o tpm2 print what tpm2_pcrread prints. vtpmctl help pcrs explains selections.`,
		example: "vtpmctl pcr read\nvtpmctl pcr read sha256:0-7,14\nvtpmctl pcr read secure-boot-policy -o json",
		args:    cobra.MaximumNArgs(1),
		formats: []out.Format{out.FormatTPM2, out.FormatPCRRead},
		exits:   []fail.Kind{fail.Unsupported},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			var sel pcr.Selection
			if len(args) > 0 {
				var err error
				if sel, err = pcr.ParseSelection(args[0]); err != nil {
					return nil, err
				}
			}
			v, err := pcr.Read(t, sel)
			if err != nil {
				return nil, err
			}
			return pcrDoc{v, v.Unmeasured()}, nil
		},
	})
}

// changeDoc is the result of pcr extend and pcr reset.
type changeDoc struct {
	*pcr.Change
	DryRun bool `json:"dry_run"`
	verb   string
}

func (changeDoc) Schema() string { return "vtpmctl.pcr-change/v1" }

func (d changeDoc) Table(t *out.Table) {
	verb := d.verb
	switch {
	case d.DryRun:
		verb = "would be " + verb
	case !d.Changed:
		verb = "unchanged"
	}
	for _, b := range d.Banks {
		t.Text("PCR %d %-7s %s: %s -> %s", d.PCR, b.Bank.String(), verb, b.Before.String(), b.After.String())
	}
}

func (a *app) pcrExtendCommand() *cobra.Command {
	var digests []string
	var dryRun bool
	return a.command(verb{
		use:   "extend PCR [FILE]",
		short: "extend a PCR by the hash of a file, or by digests",
		long: `Every active bank is extended by its own hash of FILE ("-" is stdin), as tpm2_pcrevent does, for files of any
length. With --digest the banks that are named are extended and no others, as tpm2_pcrextend does.
An extended PCR stays so until the next reboot, and what is sealed to its old value stays closed until then.`,
		example: "vtpmctl pcr extend 23 /etc/machine-id\necho ready | vtpmctl pcr extend application-support -\n" +
			"vtpmctl pcr extend 23 --digest sha256:6ed9…a1 --dry-run",
		args:    cobra.RangeArgs(1, 2),
		exits:   []fail.Kind{fail.Unsupported, fail.MissingInput},
		effects: tpm.Extends,
		flags: func(f *pflag.FlagSet) {
			f.StringArrayVar(&digests, "digest", nil, "`BANK:HEX` to extend by, instead of a file; once for each bank")
			f.BoolVar(&dryRun, "dry-run", false, "say what the PCR would hold, and leave it alone")
		},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			n, err := parsePCR(args[0])
			if err != nil {
				return nil, err
			}
			d, err := a.eventDigests(t, args[1:], digests)
			if err != nil {
				return nil, err
			}
			c, err := pcr.Foresee(t, n, d)
			if err == nil && !dryRun {
				err = c.Extend(t)
			}
			if err != nil {
				return nil, err
			}
			return changeDoc{c, dryRun, "extended"}, nil
		},
	})
}

func parsePCR(word string) (int, error) {
	n, ok := pcr.ParsePCR(word)
	if !ok {
		return 0, fail.E(fail.Usage, "%q is no PCR: they are 0 to %d and their names", word, pcr.Count-1).
			Hint("vtpmctl help pcrs lists them")
	}
	return n, nil
}

// eventDigests gets what to extend by: given digests, or those of a file for all active banks.
func (a *app) eventDigests(t tpm.Conn, files, given []string) (pcr.Digests, error) {
	if (len(files) > 0) == (len(given) > 0) {
		return nil, fail.E(fail.Usage, "extend by what? Name a file, or give --digest, not both").
			Hint("vtpmctl pcr extend 23 FILE").Hint("vtpmctl pcr extend 23 --digest sha256:HEX")
	}
	if len(given) > 0 {
		return pcr.ParseDigests(given)
	}
	banks, err := pcr.Banks(t)
	if err != nil {
		return nil, err
	}
	r, err := a.openInput(files[0])
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return pcr.EventDigests(banks.Active(), r)
}

func (a *app) pcrResetCommand() *cobra.Command {
	return a.command(verb{
		use:     "reset PCR",
		short:   "set a PCR back to zero, where that is allowed: 16 and 23",
		example: "vtpmctl pcr reset 23",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.Unsupported},
		effects: tpm.Extends,
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			n, err := parsePCR(args[0])
			if err != nil {
				return nil, err
			}
			c, err := pcr.Reset(t, n)
			if err != nil {
				return nil, err
			}
			return changeDoc{c, false, "reset"}, nil
		},
	})
}

// compareDoc is the result of pcr compare.
type compareDoc struct {
	Equal       bool             `json:"equal"`
	Compared    pcr.Selection    `json:"compared"`
	Differences []pcr.Difference `json:"differences"`
}

func (compareDoc) Schema() string { return "vtpmctl.pcr-compare/v1" }

func (d compareDoc) Table(t *out.Table) {
	if d.Equal {
		t.Text("%s", "equal: "+d.Compared.String())
		return
	}
	differenceTable(t, d.Differences)
}

// differenceTable names each PCR that differs, with both values one below the other.
func differenceTable(t *out.Table, diffs []pcr.Difference) {
	for _, d := range diffs {
		t.Text("differs: %s PCR %d (%s: %s)", d.Bank.String(), d.PCR, d.Name, d.Measures)
		actual := d.Actual.String()
		if actual == "" {
			actual = "none: the bank is not active"
		}
		t.Field("  expected", d.Expected)
		t.Field("  actual", actual)
	}
}

func (a *app) pcrCompareCommand() *cobra.Command {
	var pcrs pcr.Selection
	return a.command(verb{
		use:   "compare FILE",
		short: "compare the TPM's PCRs with values from a file",
		long: `FILE ("-" is stdin) is what pcr read -o json printed, what tpm2_pcrread printed, or a file of tpm2_pcrread -o. Raw
values (tpm2_pcrread -F values) need --pcrs to say what they are.`,
		example: "vtpmctl pcr read -o json > good.json\nvtpmctl pcr compare good.json\nvtpmctl pcr compare good.json --pcrs sha256:0,4,7",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput},
		flags: func(f *pflag.FlagSet) {
			f.TextVar(&pcrs, "pcrs", pcrs, "compare these `PCRs` only")
		},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			expected, err := a.valuesFile(args[0], pcrs)
			if err != nil {
				return nil, err
			}
			return comparePCRs(t, expected)
		},
	})
}

func comparePCRs(t tpm.Conn, expected *pcr.Values) (out.Doc, error) {
	banks, err := pcr.Banks(t)
	if err != nil {
		return nil, err
	}
	actual, err := pcr.Read(t, expected.Selection().Within(banks))
	if err != nil {
		return nil, err
	}
	doc := compareDoc{Compared: expected.Selection(), Differences: pcr.Compare(expected, actual)}
	doc.Equal = len(doc.Differences) == 0
	if !doc.Equal {
		return doc, fail.E(fail.AnswerNo, "%d of %d PCR values differ", len(doc.Differences), doc.Compared.Len())
	}
	return doc, nil
}
