package cmd

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

// checkFilesDoc is the result of eventlog check-files.
type checkFilesDoc struct {
	Source  string                `json:"source"`
	Counts  map[predict.State]int `json:"counts"`
	Origins []predict.Origin      `json:"events"`
}

func (checkFilesDoc) Schema() string { return "vtpmctl.eventlog-check-files/v1" }

func (d checkFilesDoc) Table(t *out.Table) {
	t.Head("EVENT", "PCR", "", "FILE", "MEASURED AS", "EVENT SAYS")
	for _, o := range d.Origins {
		if o.State == predict.Firmware {
			continue
		}
		t.Row(o.Event, o.PCR, fileState(o.State), dash(o.File), dash(o.As), out.Dim(o.What))
	}
	if n := d.Counts[predict.Firmware]; n > 0 {
		t.Text("%d events are of firmware and its tables, which are in no file", n)
	}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func fileState(s predict.State) out.Cell {
	switch s {
	case predict.Found, predict.Derived:
		return out.OK(s)
	case predict.Changed:
		return out.No("CHANGED")
	}
	return out.Maybe(s)
}

func (a *app) eventlogCheckFilesCommand() *cobra.Command {
	var o logFlags
	var root string
	var esp []string
	var strict bool
	return a.command(verb{
		use:   "check-files [FILE]",
		short: "find the files whose digests a log has",
		long: sourceHelp + `

Boot loaders, kernels, initrds and configuration stand in a log as digests of files. Each is looked for on the EFI system
partition and in /boot: an EFI image by its Authenticode digest, everything else by its content, unified kernel images
section by section too. The exit status is 7 if a file that an event names has another content now, and under --strict
also if no file explains what a boot loader measured.`,
		example: "vtpmctl eventlog check-files\nvtpmctl eventlog check-files boot.bin --root /mnt --esp /mnt/efi",
		args:    cobra.MaximumNArgs(1),
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.Permission},
		flags: func(f *pflag.FlagSet) {
			o.define(f)
			f.StringVar(&root, "root", "", "the machine's file system is in this `DIR`")
			f.StringArrayVar(&esp, "esp", nil, "look in this `DIR` too")
			f.BoolVar(&strict, "strict", false, "what no file explains fails")
		},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			log, source, err := o.read(a, args)
			if err != nil {
				return nil, err
			}
			disk, err := a.bootDisk(root, esp)
			if err != nil {
				return nil, err
			}
			defer a.progress("looking at the files this machine boots from").Done()
			doc := checkFilesDoc{Source: source, Counts: map[predict.State]int{}, Origins: predict.New(log, nil, disk).Origins()}
			for _, origin := range doc.Origins {
				doc.Counts[origin.State]++
			}
			return doc, doc.verdict(strict)
		},
	})
}

func (d checkFilesDoc) verdict(strict bool) error {
	switch {
	case d.Counts[predict.Changed] > 0:
		return fail.E(fail.AnswerNo, "%d files have changed since this boot", d.Counts[predict.Changed]).
			Hint("vtpmctl pcr predict tells what the next boot will measure")
	case strict && d.Counts[predict.Unexplained] > 0:
		return fail.E(fail.AnswerNo, "no file explains %d of the events of boot loaders", d.Counts[predict.Unexplained]).
			Hint("--esp DIR looks in another folder too")
	}
	return nil
}
