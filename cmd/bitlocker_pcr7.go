package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) bitlockerPCR7Command() *cobra.Command {
	var o pcr7Flags
	return a.command(verb{
		use:   "pcr7 [LOG]",
		short: "say whether BitLocker can rest on Secure Boot (PCR 7), and if not, why",
		long: `Windows seals to PCRs 7 and 11 only where the log of the boot shows Secure Boot on, its variables measured, and one
certificate that vouched for the boot manager: Windows' own. Otherwise it seals to PCRs 0, 2, 4 and 11, and a firmware
update asks for the recovery key.

LOG is any event log; "-" is stdin. Without it the log of the running system is judged, and believed only if it leads to
the PCR 7 that the TPM holds. --volume also tells whether a volume is sealed to PCR 7 already.`,
		example: "vtpmctl bitlocker pcr7\n" + `vtpmctl bitlocker pcr7 C:\Windows\Logs\MeasuredBoot\0000000042-0000000000.log` +
			"\nvtpmctl bitlocker pcr7 binary_bios_measurements --volume disk.img",
		args:    cobra.MaximumNArgs(1),
		flags:   o.define,
		exits:   []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.Permission},
		offline: func(args []string) bool { return len(args) > 0 },
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			return a.judgePCR7(args, &o, func(log *eventlog.Log) (*pcr.Values, error) { return a.livePCR7(t, log) })
		},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			return a.judgePCR7(args, &o, func(*eventlog.Log) (*pcr.Values, error) { return nil, nil })
		},
	})
}

type pcr7Flags struct{ volume string }

func (o *pcr7Flags) define(f *pflag.FlagSet) {
	f.StringVar(&o.volume, "volume", "", "also look at the BitLocker volumes of this `SOURCE`")
}

// livePCR7 reads PCR 7 in those banks of the log that the TPM has switched on.
func (a *app) livePCR7(t tpm.Sender, log *eventlog.Log) (*pcr.Values, error) {
	active, err := pcr.Banks(t)
	if err != nil {
		return nil, err
	}
	var want pcr.Selection
	for _, bank := range log.Banks {
		if active.In(bank).Has(7) {
			want = want.With(bank, pcr.SetOf(7))
		}
	}
	if want.Len() == 0 {
		return &pcr.Values{}, nil
	}
	return pcr.Read(t, want)
}

func (a *app) judgePCR7(args []string, o *pcr7Flags, live func(*eventlog.Log) (*pcr.Values, error)) (out.Doc, error) {
	log, source, err := a.readLog(args)
	if err != nil {
		return nil, err
	}
	values, err := live(log)
	if err != nil {
		return nil, err
	}
	doc := pcr7Doc{Source: source, Binding: bitlocker.PCR7(log, values), Volumes: []sealedVolume{}}
	if o.volume != "" {
		anywhere := volumeFlags{offset: -1}
		err = anywhere.each(o.volume, func(v inspectedVolume) { doc.Volumes = append(doc.Volumes, sealedVolumes(v)...) })
		if err != nil {
			return nil, err
		}
	}
	return doc, doc.verdict()
}

type pcr7Doc struct {
	Source string `json:"source"`
	*bitlocker.Binding
	Volumes []sealedVolume `json:"volumes"`
}

// sealedVolume is one TPM protector of a volume.
type sealedVolume struct {
	Partition bitlocker.Partition `json:"partition"`
	Protector string              `json:"protector"`
	PCRs      []int               `json:"pcrs"`
	Bound     bool                `json:"bound_to_pcr7"`
}

func sealedVolumes(v inspectedVolume) (list []sealedVolume) {
	for _, p := range v.Protectors {
		if p.TPM != nil {
			list = append(list, sealedVolume{v.Partition, p.ID, p.TPM.PCRs, slices.Contains(p.TPM.PCRs, 7)})
		}
	}
	return list
}

func (pcr7Doc) Schema() string { return "vtpmctl.bitlocker-pcr7/v1" }

func (d pcr7Doc) verdict() error {
	switch d.Outcome {
	case bitlocker.BindingPossible:
		return nil
	case bitlocker.BindingNotPossible:
		return fail.E(fail.AnswerNo, "BitLocker cannot rest on PCR 7 here")
	}
	return fail.E(fail.Failed, "it cannot be told whether BitLocker can rest on PCR 7")
}

func (d pcr7Doc) Table(t *out.Table) {
	t.Field("source", d.Source)
	t.Field("PCR 7 binding", bindingCell(d.Outcome))
	for _, c := range d.Checks {
		t.Field(strings.ReplaceAll(c.Name, "_", " "), outcome(c.Outcome), c.Text)
	}
	if d.Pending {
		t.Text("note: db has the certificate of 2023, and the boot manager is still the one of 2011: the next one changes PCR 7")
	}
	if len(d.Volumes) == 0 {
		return
	}
	t.Title("Volumes sealed with a TPM")
	t.Head("PROTECTOR", "PCRS", "BOUND TO PCR 7")
	for _, v := range d.Volumes {
		bound := out.OK("yes")
		switch {
		case !v.Bound:
			bound = out.Maybe("no")
		case d.Outcome == bitlocker.BindingNotPossible:
			bound = out.No("YES, and that is not possible now: the next boot may ask for the recovery key")
		}
		t.Row(v.Protector, numbers(v.PCRs), bound)
	}
}

func bindingCell(o bitlocker.BindingOutcome) out.Cell {
	switch o {
	case bitlocker.BindingPossible:
		return out.OK("possible")
	case bitlocker.BindingNotPossible:
		return out.No("NOT POSSIBLE")
	}
	return out.Maybe("unknown")
}
