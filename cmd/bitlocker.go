package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
)

func (a *app) bitlockerCommand() *cobra.Command {
	return noun("bitlocker", "read how a Windows volume is protected, without any key",
		a.bitlockerInspectCommand(), a.bitlockerCheckCommand(), a.bitlockerPCR7Command(),
		a.bitlockerPairCommand())
}

func (a *app) bitlockerInspectCommand() *cobra.Command {
	var o volumeFlags
	return a.command(verb{
		use:   "inspect SOURCE",
		short: "show state, cipher, protectors and PCR profile of a BitLocker volume",
		long: `SOURCE is an image file, a partition or a whole disk; on a disk every BitLocker partition is shown. On Windows an
unlocked drive letter reads as plain NTFS: name the disk, \\.\PhysicalDrive0.

Only the metadata that stands in the clear is read. No key is asked for, and none is shown: this is safe to paste into a
ticket.`,
		example: "vtpmctl bitlocker inspect disk.img\n" +
			"vtpmctl bitlocker inspect /dev/sda3\n" +
			`vtpmctl bitlocker inspect \\.\PhysicalDrive0 -o json`,
		args:  cobra.ExactArgs(1),
		flags: o.define,
		exits: []fail.Kind{fail.BadInput, fail.MissingInput, fail.Permission},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			doc := inspectDoc{Source: args[0], Volumes: []inspectedVolume{}}
			err := o.each(args[0], func(v inspectedVolume) { doc.Volumes = append(doc.Volumes, v) })
			if len(doc.Volumes) == 0 {
				return nil, err
			}
			return doc, err
		},
	})
}

// volumeFlags say which volume of a source is meant.
type volumeFlags struct{ offset int64 }

func (o *volumeFlags) define(f *pflag.FlagSet) {
	f.Int64Var(&o.offset, "offset", -1, "start of the volume in SOURCE, in bytes; left out, it is looked for")
}

// each calls show for every BitLocker volume of the source. A volume that cannot be read does not hide the others.
func (o *volumeFlags) each(source string, show func(inspectedVolume)) error {
	return o.open(source, func(p bitlocker.Partition, r io.ReaderAt) error {
		v, err := bitlocker.Inspect(r, p.Size)
		if err == nil {
			show(inspectedVolume{Partition: p, Volume: v})
		}
		return err
	})
}

// open calls f with every BitLocker volume of the source, also after an error.
func (o *volumeFlags) open(source string, f func(bitlocker.Partition, io.ReaderAt) error) error {
	d, err := file.OpenDevice(source)
	if err != nil {
		return err
	}
	defer d.Close()
	parts, err := o.parts(d)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	var errs []error
	for _, p := range parts {
		if err := f(p, p.Section(d)); err != nil {
			errs = append(errs, fmt.Errorf("%s, offset %d: %w", source, p.Offset, err))
		}
	}
	return errors.Join(errs...)
}

func (o *volumeFlags) parts(d *file.Device) ([]bitlocker.Partition, error) {
	switch {
	case o.offset < 0:
		return bitlocker.Find(d, d.Size)
	case d.Size > 0 && o.offset >= d.Size:
		return nil, fail.E(fail.Usage, "--offset %d lies past the end, %d bytes", o.offset, d.Size)
	}
	return []bitlocker.Partition{{Offset: o.offset, Size: max(d.Size-o.offset, 0)}}, nil
}

type inspectDoc struct {
	Source  string            `json:"source"`
	Volumes []inspectedVolume `json:"volumes"`
}

type inspectedVolume struct {
	Partition bitlocker.Partition `json:"partition"`
	*bitlocker.Volume
}

func (inspectDoc) Schema() string { return "vtpmctl.bitlocker-inspect/v1" }

func (d inspectDoc) Table(t *out.Table) {
	for _, v := range d.Volumes {
		v.table(t, d.Source)
	}
}

func (v inspectedVolume) table(t *out.Table, source string) {
	switch p := v.Partition; {
	case p.Number > 0:
		t.Title("BitLocker volume in partition %d of %s, offset %d", p.Number, source, p.Offset)
	case p.Offset > 0:
		t.Title("BitLocker volume at offset %d of %s", p.Offset, source)
	default:
		t.Title("BitLocker volume %s", source)
	}
	t.Field("kind", v.Kind)
	t.Field("volume id", v.VolumeID)
	if v.Description != nil {
		t.Field("label", v.Description.Text)
	}
	if v.Created != nil {
		t.Field("encrypted on", v.Created.Format("2006-01-02 15:04:05Z"))
	}
	t.Field("state", stateCell(v.Volume))
	t.Field("cipher", v.Method)
	t.Field("protection", protectionCell(v.Protection))
	t.Field("metadata", copiesCell(v.Copies))
	v.protectorTable(t)
	for _, p := range v.Protectors {
		if p.TPM != nil {
			tpmTable(t, p)
		}
	}
	copiesTable(t, v.Copies)
	bcdTable(t, v.BCD)
	if len(v.Warnings) > 0 {
		t.Title("Warnings")
		for _, w := range v.Warnings {
			t.Text("%s", w)
		}
	}
}

func stateCell(v *bitlocker.Volume) any {
	if v.State == v.NextState {
		return v.State
	}
	return out.Maybe(fmt.Sprintf("%v, on its way to %v; %d bytes are encrypted", v.State, v.NextState, v.EncryptedBytes))
}

func protectionCell(p bitlocker.Protection) out.Cell {
	switch p {
	case bitlocker.ProtectionSuspended:
		return out.No("suspended: the key lies on the volume in the clear, and whoever has the disk can read it")
	case bitlocker.ProtectionNone:
		return out.No("none: there is no protector")
	}
	return out.OK(p)
}

func copiesCell(copies []bitlocker.Copy) out.Cell {
	good, used := 0, 0
	for _, c := range copies {
		if c.Status == bitlocker.CopyOK {
			good++
		}
		if c.Used {
			used = c.Index
		}
	}
	words := fmt.Sprintf("%d of %d copies are good, copy %d is used", good, len(copies), used)
	if good < len(copies) {
		return out.No(words)
	}
	return out.OK(words)
}

// copiesTable is worth its lines only where a copy is not good.
func copiesTable(t *out.Table, copies []bitlocker.Copy) {
	if !slices.ContainsFunc(copies, func(c bitlocker.Copy) bool { return c.Status != bitlocker.CopyOK }) {
		return
	}
	t.Title("Copies of the metadata")
	t.Head("COPY", "OFFSET", "STATUS", "DETAIL")
	for _, c := range copies {
		status := out.OK(c.Status)
		if c.Status != bitlocker.CopyOK {
			status.State = out.Bad
		}
		t.Row(c.Index, c.Offset, status, c.Detail)
	}
}

func (v inspectedVolume) protectorTable(t *out.Table) {
	if len(v.Protectors) == 0 {
		return
	}
	t.Title("Protectors")
	t.Head("ID", "KIND", "DETAIL")
	for _, p := range v.Protectors {
		detail := p.KeyFile
		if p.TPM != nil {
			detail = fmt.Sprintf("PCRs %s", numbers(p.TPM.PCRs))
		}
		t.Row(p.ID, p.Kind, detail)
	}
}

var profileWords = map[bitlocker.Profile]string{
	bitlocker.ProfileSecureBoot: "uses Secure Boot for integrity validation",
	bitlocker.ProfileUEFI:       "UEFI without Secure Boot integrity: firmware and boot manager updates matter",
	bitlocker.ProfileBIOS:       "BIOS",
	bitlocker.ProfileCustom:     "set by policy",
}

func tpmTable(t *out.Table, p bitlocker.Protector) {
	t.Title("What the TPM wants to see for %s", p.ID)
	t.Field("PCRs", fmt.Sprintf("%s (%s)", numbers(p.TPM.PCRs), profileWords[p.TPM.Profile]))
	t.Field("TPM", p.TPM.Version)
	if p.TPM.Version != bitlocker.TPM20 {
		return
	}
	if p.TPM.Bank != 0 {
		t.Field("bank", p.TPM.Bank)
	}
	t.Field("PCR digest", p.TPM.Expected)
	t.Field("policy", p.TPM.PolicyDigest)
	if p.TPM.Policy == bitlocker.PolicyUnknown {
		t.Field("policy is", out.Maybe("unknown: when this TPM releases the key cannot be told"))
		return
	}
	t.Field("policy is", out.OK("PolicyAuthValue, PolicyPCR; recomputed, and equal"))
}

func bcdTable(t *out.Table, lists []bitlocker.BCDList) {
	for _, list := range lists {
		absent := 0
		for _, r := range list.Rows {
			if r.Absent {
				absent++
			}
		}
		t.Title("Boot settings the key depends on (list %v): %d must be absent, and these as they were", list.Role, absent)
		t.Head("ELEMENT", "NAME", "VALUE")
		for _, r := range list.Rows {
			if r.Kind != bitlocker.BCDSetting || r.Absent {
				continue
			}
			value := any(r.Value)
			if r.Value == "" {
				value = out.Dim(fmt.Sprintf("(SHA-256 %v)", r.Digest))
			}
			t.Row(r.Element, r.Name, value)
		}
	}
}

func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ", ")
}
