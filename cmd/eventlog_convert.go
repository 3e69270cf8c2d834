package cmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

// convertDoc is the result of eventlog convert.
type convertDoc struct {
	Source string `json:"source"`
	File   string `json:"file"`
	Format string `json:"format"`
	Events int    `json:"events"`
	Size   int    `json:"size"`

	Anonymised bool             `json:"anonymised"`
	Blanked    []eventlog.Blank `json:"blanked"` // what --anonymise took out
	Left       []eventlog.Left  `json:"left"`    // and what may still tell of the machine
}

func (convertDoc) Schema() string { return "vtpmctl.eventlog-convert/v1" }

func (d convertDoc) Table(t *out.Table) {
	t.Text("%s: %d events as %s, %d bytes", d.File, d.Events, d.Format, d.Size)
	if !d.Anonymised {
		return
	}
	broken := 0
	if len(d.Blanked) > 0 {
		t.Head("#", "PCR", "TYPE", "DATA", "TAKEN OUT")
	}
	for _, b := range d.Blanked {
		if b.Binding == eventlog.Broken {
			broken++
		}
		t.Row(b.Event, b.PCR, b.Type, binding(eventlog.Check{Binding: b.Binding}), strings.Join(b.What, ", "))
	}
	t.Text("%d events lost what names this machine; of %d of them the digest covers it, and they read as BROKEN now.", len(d.Blanked), broken)
	t.Text("The digests are as they were: the log replays to the same PCRs. Look through it before you share it:")
	if len(d.Left) > 0 {
		t.Head("LEFT", "EVENTS", "WHY")
	}
	for _, l := range d.Left {
		t.Row(l.What, l.Events, l.Why)
	}
}

func (a *app) eventlogConvertCommand() *cobra.Command {
	var logs logFlags
	var to, target string
	var force, anonymise bool
	var names []string
	for _, format := range eventlog.Written {
		names = append(names, string(format))
	}
	return a.command(verb{
		use:   "convert [FILE] --to FORMAT --out-file FILE",
		short: "write a log in another format",
		long: sourceHelp + `

agile is the TCG's crypto-agile format, without padding and with every bank the log has; the others are encodings of the
TCG's Canonical Event Log, which also hold IMA's and systemd's measurements. The digests stay as they are, so a replay gives
the same. eventlog show -o tpm2 prints the YAML of tpm2_eventlog.

--anonymise makes a log that can be shown to others: addresses of network cards, serial numbers, identifiers of disks,
partitions and file systems, host names and network addresses, names of volumes and certificates of devices become pseudonyms
of the same length, the same one wherever they occur. The digests stay, so the PCRs replay; what a digest covered no longer
fits it, and the result says where. It also lists what stays and why, such as names of certificates and of files: what is in
a name only a person can see.`,
		example: "vtpmctl eventlog convert --to cel-json --out-file log.json\nvtpmctl eventlog convert dump.b64 --to agile --out-file boot.bin\n" +
			"vtpmctl eventlog convert --anonymise --to agile --out-file share.bin",
		args:  cobra.MaximumNArgs(1),
		exits: []fail.Kind{fail.BadInput, fail.MissingInput, fail.Unsupported, fail.OutputExists, fail.Permission},
		flags: func(f *pflag.FlagSet) {
			logs.define(f)
			f.StringVar(&to, "to", "", "`FORMAT` to write: "+strings.Join(names, ", "))
			f.StringVar(&target, "out-file", "", "`FILE` to write; it must not exist yet")
			f.BoolVar(&anonymise, "anonymise", false, "take out what names this machine and its disks")
			f.BoolVar(&force, "force", false, "replace the file if it exists")
		},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			switch {
			case !slices.Contains(names, to):
				return nil, fail.E(fail.Usage, "there is no format %q to convert to", to).Hint("--to takes %s", strings.Join(names, ", "))
			case target == "":
				return nil, fail.E(fail.Usage, "where to? --out-file is missing")
			}
			log, source, err := logs.read(a, args)
			if err != nil {
				return nil, err
			}
			doc := convertDoc{Source: source, File: target, Format: to, Events: len(log.Events), Anonymised: anonymise, Blanked: []eventlog.Blank{}, Left: []eventlog.Left{}}
			if anonymise {
				log, doc.Blanked = log.Anonymise()
				doc.Left = log.Left()
			}
			doc.Size, err = writeLog(log, eventlog.Format(to), target, force)
			switch {
			case fail.KindOf(err) == fail.Unsupported: // it is about the log
				return nil, fmt.Errorf("%s: %w", source, err)
			case err != nil:
				return nil, err
			}
			return doc, nil
		},
	})
}

// writeLog writes a log to a file, which appears only when it is whole, and tells its size in bytes.
func writeLog(log *eventlog.Log, format eventlog.Format, path string, force bool) (size int, err error) {
	err = file.Fill(path, file.Shared, force, func(w io.Writer) error {
		text := bufio.NewWriterSize(counter{w, &size}, 1<<16)
		if err := log.Write(text, format); err != nil {
			return err
		}
		return text.Flush()
	})
	return size, err
}

// counter counts what is written.
type counter struct {
	io.Writer
	n *int
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	*c.n += n
	return n, err
}
