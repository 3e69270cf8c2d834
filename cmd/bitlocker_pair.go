package cmd

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) bitlockerPairCommand() *cobra.Command {
	var o volumeFlags
	return a.command(verb{
		use:   "pair SOURCE",
		short: "say whether this TPM sealed the keys of a volume: for restored and cloned disks",
		long: `A volume asks for the recovery key when PCRs changed, and also when its TPM is gone: the disk was restored to another
machine, or the virtual TPM was not moved with it. This tells the two apart: the TPM is asked to load the sealed key,
which only the one that made it can do. Nothing is unsealed, and no attempt is counted.`,
		example: "vtpmctl bitlocker pair /dev/sdb\n" + `vtpmctl bitlocker pair \\.\PhysicalDrive0 -o json`,
		args:    cobra.ExactArgs(1),
		flags:   o.define,
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			doc := pairDoc{Source: args[0], Volumes: []pairedVolume{}}
			err := o.open(args[0], func(p bitlocker.Partition, r io.ReaderAt) error {
				v, pairings, err := bitlocker.Pair(t, r, p.Size)
				if err == nil {
					doc.Volumes = append(doc.Volumes, pairedVolume{p, v.VolumeID, pairings})
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			return doc, doc.verdict()
		},
	})
}

type pairDoc struct {
	Source  string         `json:"source"`
	Volumes []pairedVolume `json:"volumes"`
}

type pairedVolume struct {
	Partition bitlocker.Partition `json:"partition"`
	VolumeID  string              `json:"volume_id"`
	Pairings  []bitlocker.Pairing `json:"pairings"`
}

func (pairDoc) Schema() string { return "vtpmctl.bitlocker-pair/v1" }

// verdict is the error that gives the exit status: one key that this TPM does not load is a no.
func (d pairDoc) verdict() error {
	counts := map[eventlog.Outcome]int{}
	for _, v := range d.Volumes {
		for _, p := range v.Pairings {
			counts[p.Paired]++
		}
	}
	switch {
	case counts[eventlog.Fail] > 0:
		return fail.E(fail.AnswerNo, "this TPM did not seal the volume's key").
			Hint("unlock once with the recovery key, then seal anew: Suspend-BitLocker and Resume-BitLocker")
	case counts[eventlog.NotProven] > 0:
		return fail.E(fail.Failed, "it cannot be told whether this TPM sealed the volume's key")
	case counts[eventlog.Pass] == 0:
		return fail.E(fail.AnswerNo, "no protector uses a TPM")
	}
	return nil
}

func (d pairDoc) Table(t *out.Table) {
	for _, v := range d.Volumes {
		t.Title("Volume %s, offset %d of %s", v.VolumeID, v.Partition.Offset, d.Source)
		if len(v.Pairings) == 0 {
			t.Text("no protector uses a TPM")
			continue
		}
		t.Head("PROTECTOR", "KIND", "PAIRED", "REASON")
		for _, p := range v.Pairings {
			t.Row(p.ID, p.Kind, pairedCell(p.Paired), p.Reason)
		}
	}
}

func pairedCell(r eventlog.Outcome) out.Cell {
	switch r {
	case eventlog.Pass:
		return out.OK("yes")
	case eventlog.Fail:
		return out.No("NO")
	}
	return out.Maybe("not proven")
}
