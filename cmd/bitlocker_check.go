package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) bitlockerCheckCommand() *cobra.Command {
	var o checkFlags
	return a.command(verb{
		use:   "check SOURCE",
		short: "say whether the next boot unlocks the volume or asks for the recovery key",
		long: `The PCR values that the TPM wants to see stand in the volume's metadata as a digest. It is compared with the digest
of the values given by --pcrs, replayed from --log or, without either, read from the TPM. PCR 11 is taken as it is at
boot, because a running Windows has extended it. Nothing is unsealed.

The answer holds if nothing that is measured changes before the boot. --good names values of a time when the volume
unlocked; with them the PCR at fault is named.`,
		example: "vtpmctl bitlocker check " + `\\.\PhysicalDrive0` + "\n" +
			"vtpmctl bitlocker check disk.img --pcrs after-update.json --good before-update.json\n" +
			"vtpmctl bitlocker check disk.img --log binary_bios_measurements",
		args:    cobra.ExactArgs(1),
		flags:   o.define,
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.Permission},
		offline: func([]string) bool { return o.pcrs != "" || o.log != "" },
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			return a.checkVolumes(args[0], &o, func() (*pcr.Values, error) { return pcr.Read(t, nil) })
		},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			return a.checkVolumes(args[0], &o, func() (*pcr.Values, error) { return a.givenValues(&o) })
		},
	})
}

type checkFlags struct {
	volumeFlags
	pcrs, log, good string
}

func (o *checkFlags) define(f *pflag.FlagSet) {
	o.volumeFlags.define(f)
	f.StringVar(&o.pcrs, "pcrs", "", "PCR values from this `FILE`, as pcr read -o json or tpm2_pcrread write it")
	f.StringVar(&o.log, "log", "", "PCR values replayed from this event log `FILE`")
	f.StringVar(&o.good, "good", "", "values from this `FILE` unlocked the volume once: name the PCR that changed since")
}

// givenValues are the values of --pcrs or --log.
func (a *app) givenValues(o *checkFlags) (*pcr.Values, error) {
	if o.pcrs != "" && o.log != "" {
		return nil, fail.E(fail.Usage, "--pcrs and --log both say what the PCRs hold: give one of them")
	}
	if o.pcrs != "" {
		return a.valuesFile(o.pcrs, nil)
	}
	log, _, err := a.readLog([]string{o.log})
	if err != nil {
		return nil, err
	}
	return pcr.Replayed(log), nil
}

// valuesFile reads a file of PCR values. Raw ones need sel to say what they are.
func (a *app) valuesFile(path string, sel pcr.Selection) (*pcr.Values, error) {
	data, err := a.readInput(path, pcr.MaxFile)
	if err != nil {
		return nil, err
	}
	values, err := pcr.Decode(data, sel)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// checkVolumes looks at the volumes first: where there are none, the PCRs do not matter.
func (a *app) checkVolumes(source string, o *checkFlags, next func() (*pcr.Values, error)) (out.Doc, error) {
	var volumes []inspectedVolume
	if err := o.each(source, func(v inspectedVolume) { volumes = append(volumes, v) }); err != nil {
		return nil, err
	}
	values, err := next()
	if err != nil {
		return nil, err
	}
	var good *pcr.Values
	if o.good != "" {
		if good, err = a.valuesFile(o.good, nil); err != nil {
			return nil, err
		}
	}
	doc := checkDoc{Source: source, Log: o.log, PCRs: o.pcrs, Volumes: []checkedVolume{}}
	for _, v := range volumes {
		verdict := v.Check(values, good)
		doc.Volumes = append(doc.Volumes, checkedVolume{v.Partition, v.VolumeID, verdict})
	}
	return doc, doc.verdict()
}

type checkDoc struct {
	Source  string          `json:"source"`
	PCRs    string          `json:"pcrs_file,omitempty"`
	Log     string          `json:"log_file,omitempty"`
	Volumes []checkedVolume `json:"volumes"`
}

type checkedVolume struct {
	Partition bitlocker.Partition `json:"partition"`
	VolumeID  string              `json:"volume_id"`
	*bitlocker.Verdict
}

func (checkDoc) Schema() string { return "vtpmctl.bitlocker-check/v1" }

// verdict is the error that gives the exit status. A data volume without a TPM protector does not stop a boot, so it
// counts only where no volume has one.
func (d checkDoc) verdict() error {
	counts := map[bitlocker.Outcome]int{}
	for _, v := range d.Volumes {
		counts[v.Outcome]++
	}
	switch {
	case counts[bitlocker.OutcomeRecovery] > 0:
		return fail.E(fail.AnswerNo, "the next boot asks for the recovery key").
			Hint("before a planned change: Suspend-BitLocker -MountPoint C: -RebootCount 1").
			Hint("if the change is wanted: Suspend-BitLocker, then Resume-BitLocker, which seals to the PCRs as they are")
	case counts[bitlocker.OutcomeUnknown] > 0:
		return fail.E(fail.Failed, "it cannot be told whether the next boot unlocks the volume")
	case counts[bitlocker.OutcomeNoTPM] == len(d.Volumes):
		return fail.E(fail.AnswerNo, "no protector uses the TPM: the volume asks for a password or key, whatever the PCRs hold")
	}
	return nil
}

var outcomeWords = map[bitlocker.Outcome]out.Cell{
	bitlocker.OutcomeUnlocks:    out.OK("unlocks by itself"),
	bitlocker.OutcomePIN:        out.OK("unlocks with its PIN, as always"),
	bitlocker.OutcomeStartupKey: out.OK("unlocks with its startup key, as always"),
	bitlocker.OutcomeBoth:       out.OK("unlocks with its PIN and startup key, as always"),
	bitlocker.OutcomeSuspended:  out.Maybe("unlocks, because protection is suspended: anyone could open the disk"),
	bitlocker.OutcomeOpen:       out.Maybe("is not encrypted"),
	bitlocker.OutcomeRecovery:   out.No("ASKS FOR THE RECOVERY KEY"),
	bitlocker.OutcomeNoTPM:      out.Maybe("asks for a password or key: no protector uses the TPM"),
	bitlocker.OutcomeUnknown:    out.Maybe("unknown"),
}

func (d checkDoc) Table(t *out.Table) {
	for _, v := range d.Volumes {
		where := d.Source
		if v.Partition.Number > 0 {
			where = fmt.Sprintf("partition %d of %s", v.Partition.Number, d.Source)
		}
		t.Title("At the next boot, the volume in %s:", where)
		t.Field("verdict", outcomeWords[v.Outcome])
		for _, c := range v.Checks {
			t.Field(strings.ReplaceAll(c.Name, "_", " "), outcome(c.Outcome), c.Text)
		}
		if len(v.Forecasts) > 0 {
			v.forecastTable(t)
		}
	}
}

func (v checkedVolume) forecastTable(t *out.Table) {
	t.Title("Protectors that use the TPM")
	t.Head("ID", "KIND", "PCRS", "RELEASES", "REASON")
	for _, f := range v.Forecasts {
		t.Row(f.ID, f.Kind, numbers(f.PCRs), outcome(f.Releases), f.Reason)
	}
	for _, f := range v.Forecasts {
		for _, c := range f.Changed {
			t.Title("PCR %d, %s", c.PCR, c.Name)
			t.Field("measures", c.Measures)
			t.Field("was", c.Expected)
			t.Field("is", c.Actual)
		}
	}
}
