package cmd

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/files"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
)

// predictDoc is the result of pcr predict.
type predictDoc struct {
	Source  string           `json:"source"`
	Against string           `json:"against"` // where the present values come from; "" where nothing was compared
	Phases  []string         `json:"phases"`  // of systemd, that PCR 11 has in it now
	Current []predict.PCR    `json:"current"` // how well this boot itself is understood
	Futures []futureDoc      `json:"futures"`
	Banks   []pcr.BankValues `json:"banks,omitempty"` // of the only future: what seal and pcr compare read
}

// futureDoc is one future.
type futureDoc struct {
	Name    string   `json:"name"`
	Changes []string `json:"changes"`
	*predict.Forecast
	Banks  []pcr.BankValues `json:"banks"`
	Sealed []sealedFuture   `json:"sealed"`
}

func (predictDoc) Schema() string { return "vtpmctl.pcr-predict/v1" }

func (d predictDoc) Table(t *out.Table) {
	if d.Against == "" && d.Source != "" {
		t.Text("note: no PCR values were given to check the log against: --against FILE")
	}
	for i := range d.Futures {
		d.Futures[i].table(t)
	}
}

func (d *futureDoc) table(t *out.Table) {
	t.Title("%s", d.Name)
	bank := d.bank()
	t.Head("PCR", "NAME", "CHANGES", "HOW SURE", strings.ToUpper(bank.String()))
	for i := range d.PCRs {
		p := &d.PCRs[i]
		changes := out.Dim("no")
		if p.Changed {
			changes = out.Maybe("yes")
		}
		value := any(d.Values[bank][p.Index])
		if p.Confidence == predict.Blocked {
			value, changes = out.No("blocked"), out.Maybe("?")
		}
		t.Row(p.Index, out.Dim(pcr.UsageOf(p.Index).Name), changes, sure(p.Confidence), value)
	}
	for _, p := range d.PCRs {
		switch {
		case p.Confidence != predict.Blocked:
		case p.Event != nil:
			t.Text("PCR %d is blocked by event %d: %s", p.Index, *p.Event, p.Why)
		default:
			t.Text("PCR %d is blocked: %s", p.Index, p.Why)
		}
	}
	for i, e := range d.Events {
		if i == maxNotes {
			t.Text("%d more events change: -o json has all", len(d.Events)-i)
			break
		}
		t.Text("%s", eventLine(e))
	}
	for _, n := range d.Notes {
		t.Text("note: %s", n)
	}
	for _, s := range d.Sealed {
		s.row(t)
	}
}

// bank is the one a table shows: SHA-256, or the first there is.
func (d *futureDoc) bank() eventlog.Alg {
	if d.Values[eventlog.SHA256] != nil || len(d.Banks) == 0 {
		return eventlog.SHA256
	}
	return d.Banks[0].Bank
}

func sure(c predict.Confidence) out.Cell {
	switch c {
	case predict.Exact:
		return out.OK("exact")
	case predict.Copied:
		return out.Cell{Value: "copied"}
	}
	return out.No("blocked")
}

// predictFlags are the futures that were asked for.
type predictFlags struct {
	logFlags
	against string
	root    string
	esp     []string
	futures []wish // by --or
	disk    bool
	noLog   bool
	phase   string
	profile int
	assume  []int
	pcrs    pcr.Selection
	outFile string
	pcrlock string
	sealed  []string
	force   bool
	given   *pflag.FlagSet
}

// wish is one future as the user wrote it.
type wish []wished

type wished struct {
	kind predict.Kind
	text string
}

// changeFlag adds a change to the future that is being described.
type changeFlag struct {
	o    *predictFlags
	kind predict.Kind
}

func (changeFlag) String() string { return "" }

// Type names the value in help texts.
func (f changeFlag) Type() string {
	switch f.kind {
	case predict.Cmdline:
		return "TEXT"
	case predict.Kexec:
		return "bool" // help shows no value for it
	case predict.SecureBoot:
		return "off"
	}
	return "FILE"
}

// Set adds the change to the last future.
func (f changeFlag) Set(text string) error {
	if f.kind == predict.Kexec {
		text = ""
	}
	if len(f.o.futures) == 0 {
		f.o.futures = []wish{nil}
	}
	last := &f.o.futures[len(f.o.futures)-1]
	*last = append(*last, wished{f.kind, text})
	return nil
}

// changes are the flags of changes, in the order in which they take effect.
var changes = []struct {
	kind  predict.Kind
	usage string
}{
	{predict.Shim, "a new shim"},
	{predict.GRUB, "a new GRUB"},
	{predict.Loader, "a new systemd-boot"},
	{predict.LoaderConf, "a new loader.conf of systemd-boot"},
	{predict.UKI, "a new unified kernel image"},
	{predict.GRUBConfig, "a new grub.cfg; OLD=NEW where no copy of the old one is in /boot"},
	{predict.Kernel, "a new kernel"},
	{predict.Initrd, "a new initrd; OLD=NEW where several are used"},
	{predict.Cmdline, "another kernel command line"},
	{predict.DB, "a new db: signature lists, or a signed update, which is appended"},
	{predict.DBX, "a new dbx, as --db"},
	{predict.MOK, "other machine owner keys: signature lists, or one certificate"},
	{predict.GPT, "the disk with a new partition table or boot sector, or what sgdisk --backup wrote"},
	{predict.SecureBoot, "switch Secure Boot off"},
	{predict.Kexec, "the running kernel starts the next one, without firmware"},
}

func (o *predictFlags) define(f *pflag.FlagSet) {
	o.given = f
	f.SortFlags = false
	for _, c := range changes {
		flag := f.VarPF(changeFlag{o, c.kind}, string(c.kind), "", c.usage)
		if c.kind == predict.Kexec {
			flag.NoOptDefVal = "true"
		}
	}
	f.BoolFunc("or", "describe another future from here on", func(string) error {
		if len(o.futures) == 0 {
			o.futures = []wish{nil}
		}
		o.futures = append(o.futures, nil)
		return nil
	})
	f.BoolVar(&o.disk, "disk", false, "files that changed since this boot are used as they are now")
	f.StringVar(&o.phase, "phase", "", "foresee PCR 11 up to these `PHASES` of systemd: enter-initrd, or enter-initrd:leave-initrd")
	f.IntVar(&o.profile, "profile", 0, "the profile `NUMBER` of a unified kernel image; without it that of this boot")
	f.BoolVar(&o.noLog, "no-log", false, "foretell PCR 11 alone, for any machine that boots --uki")
	f.IntSliceVar(&o.assume, "assume", nil, "take the `EVENT` of this number over as it is")
	o.logFlags.define(f)
	f.StringVar(&o.against, "against", "", "the PCR values of now, from this `FILE`")
	f.StringVar(&o.root, "root", "", "the machine's file system is in this `DIR`")
	f.StringArrayVar(&o.esp, "esp", nil, "look for boot files in this `DIR` too")
	f.TextVar(&o.pcrs, "pcrs", o.pcrs, "these `PCRs` only; one that is blocked is an error")
	f.StringVar(&o.outFile, "out-file", "", "write the values to `FILE`; several futures get numbers")
	f.StringVar(&o.pcrlock, "pcrlock", "", "write components for systemd-pcrlock into `DIR`")
	f.StringArrayVar(&o.sealed, "sealed", nil, "tell whether this sealed `FILE` will open")
	f.BoolVar(&o.force, "force", false, "replace the output files")
}

func (a *app) pcrPredictCommand() *cobra.Command {
	var o predictFlags
	return a.command(verb{
		use:   "predict [LOG]",
		short: "foretell the PCRs of the next boot, after changes",
		long: `The log of this boot is replayed with the digests that the changed files will have. Without a change it is the next boot
from the files as they are on disk now. Before that, this boot itself is foretold from its log and the disk: a PCR for
which that does not give the present value is blocked, and so is one with an event that cannot be foreseen. --assume
takes such an event over as it is. What this way to boot does not measure is said, and changes nothing. No TPM is opened:
the present values are those the kernel shows, or --against FILE.

A new kernel or initrd that lies beside the old one is booted by its own name; one from elsewhere takes the place of the
old one. Under GRUB a new command line is a new grub.cfg: --grub-cfg alone says all of it, for the new file is run as GRUB
would run it, with what the log of this boot shows of the machine. --or starts another future.

LOG is that of this boot; without one it is the log of the running system. With --no-log there is none: only PCR 11 is
foretold, as systemd-measure does.`,
		example: "vtpmctl pcr predict\nvtpmctl pcr predict --kernel /tmp/vmlinuz --initrd /tmp/initrd.img --out-file next.json\n" +
			"vtpmctl pcr predict --uki new.efi --phase enter-initrd --or --dbx dbxupdate_x64.bin --sealed app.tpm",
		args:  cobra.MaximumNArgs(1),
		flags: o.define,
		exits: []fail.Kind{fail.AnswerNo, fail.BadInput, fail.MissingInput, fail.OutputExists, fail.Permission},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			doc, err := a.predict(args, &o)
			if err != nil {
				return nil, err
			}
			if err := a.writePredictions(doc, &o); err != nil {
				return nil, err
			}
			return doc, doc.verdict(&o)
		},
	})
}

// predict reads what there is to know and computes every future.
func (a *app) predict(args []string, o *predictFlags) (*predictDoc, error) {
	if o.noLog {
		return a.predictImages(args, o)
	}
	log, source, err := o.read(a, args)
	if err != nil {
		return nil, err
	}
	values, against, err := a.presentValues(o.against, len(args) == 0, log)
	if err != nil {
		return nil, err
	}
	disk, err := a.bootDisk(o.root, o.esp)
	if err != nil {
		return nil, err
	}
	sealed, err := a.readSealedFiles(o.sealed)
	if err != nil {
		return nil, err
	}
	defer a.progress("looking at the files this machine boots from").Done()
	machine := predict.New(log, values.ForLog(), disk)
	doc := &predictDoc{Source: source, Against: against, Phases: append([]string{}, machine.Phases()...), Current: machine.Current().PCRs}
	err = doc.add(a, o, func(w wish, changes []predict.Change) (*predict.Forecast, error) {
		future := predict.Future{Changes: changes, Disk: o.disk || len(w) == 0, Assume: o.assume}
		if future.Phases, err = o.phases(); err != nil {
			return nil, err
		}
		if o.given.Changed("profile") {
			future.Profile = &o.profile
		}
		return machine.Predict(future)
	})
	if err != nil {
		return nil, err
	}
	for i := range doc.Futures {
		f := &doc.Futures[i]
		for _, s := range sealed {
			f.Sealed = append(f.Sealed, s.under(&pcr.Values{Banks: f.Banks}))
		}
	}
	return doc, nil
}

// phases are those of --phase, nil without it.
func (o *predictFlags) phases() ([]string, error) {
	if !o.given.Changed("phase") {
		return nil, nil
	}
	return predict.ParsePhases(o.phase)
}

// predictImages foretells PCR 11 for unified kernel images and no machine in particular.
func (a *app) predictImages(args []string, o *predictFlags) (*predictDoc, error) {
	for _, w := range o.futures {
		if len(args) > 0 || len(w) != 1 || w[0].kind != predict.UKI {
			return nil, fail.E(fail.Usage, "without a log, one --uki is all that can be foretold").Hint("leave out --no-log")
		}
	}
	if len(o.futures) == 0 {
		return nil, fail.E(fail.Usage, "--no-log needs --uki FILE")
	}
	phases, err := o.phases()
	if err != nil {
		return nil, err
	}
	doc := &predictDoc{Phases: []string{}, Current: []predict.PCR{}}
	return doc, doc.add(a, o, func(_ wish, changes []predict.Change) (*predict.Forecast, error) {
		return predict.Image(changes[0].Data, o.profile, phases)
	})
}

// add computes every future.
func (d *predictDoc) add(a *app, o *predictFlags, compute func(wish, []predict.Change) (*predict.Forecast, error)) error {
	wishes := o.futures
	if len(wishes) == 0 {
		wishes = []wish{nil}
	}
	for _, w := range wishes {
		f, changes, err := a.describe(w)
		if err != nil {
			return err
		}
		if f.Forecast, err = compute(w, changes); err != nil {
			return err
		}
		f.only(o.pcrs)
		d.Futures = append(d.Futures, *f)
	}
	if len(d.Futures) == 1 {
		d.Banks = d.Futures[0].Banks
	}
	return nil
}

// describe reads the files of a future and gives it a name.
func (a *app) describe(w wish) (*futureDoc, []predict.Change, error) {
	doc := &futureDoc{Name: "the next boot from the disk as it is", Changes: []string{}, Sealed: []sealedFuture{}}
	var all []predict.Change
	for _, c := range changes { // in this order, whatever the user's
		for _, wanted := range w {
			if wanted.kind != c.kind {
				continue
			}
			change, err := a.readChange(wanted)
			if err != nil {
				return nil, nil, err
			}
			all = append(all, change)
			doc.Changes = append(doc.Changes, change.String())
		}
	}
	if len(doc.Changes) > 0 {
		doc.Name = strings.Join(doc.Changes, ", ")
	}
	return doc, all, nil
}

// only keeps the PCRs that were asked for, and puts the values in order.
func (d *futureDoc) only(pcrs pcr.Selection) {
	var wanted pcr.Set
	for _, b := range pcrs {
		wanted |= b.PCRs
	}
	if wanted != 0 {
		d.PCRs = slices.DeleteFunc(d.PCRs, func(p predict.PCR) bool { return !wanted.Has(p.Index) })
	}
	values := pcr.FromLog(d.Values)
	chosen := pcr.Values{Banks: []pcr.BankValues{}}
	for _, b := range values.Banks {
		for _, v := range b.PCRs {
			if wanted == 0 || pcrs.In(b.Bank).Has(v.PCR) {
				chosen.Set(b.Bank, v.PCR, v.Digest)
			}
		}
	}
	d.Banks = chosen.Banks
}

// readChange reads the file of a change: FILE, or OLD=NEW.
func (a *app) readChange(w wished) (predict.Change, error) {
	c := predict.Change{Kind: w.kind, Name: w.text}
	switch w.kind {
	case predict.Cmdline, predict.SecureBoot, predict.Kexec:
		return c, nil
	case predict.GPT:
		data, err := a.readStart(w.text, predict.MaxGPT)
		c.Data = data
		return c, err
	}
	if before, after, ok := strings.Cut(w.text, "="); ok && !exists(w.text) {
		c.Old, c.Name = before, after
	}
	data, err := a.readInput(c.Name, files.MaxFile)
	if err != nil {
		return c, err
	}
	c.Data = data
	if c.Old != "" && w.kind == predict.GRUBConfig && exists(c.Old) {
		if c.Past, err = a.readInput(c.Old, files.MaxFile); err != nil {
			return c, err
		}
	}
	if full, err := filepath.Abs(c.Name); err == nil && c.Name != "-" {
		c.Name = filepath.ToSlash(full)
	}
	return c, nil
}

// verdict is the error of a prediction that was made and is not what was hoped for.
func (d *predictDoc) verdict(o *predictFlags) error {
	for _, f := range d.Futures {
		for _, s := range f.Sealed {
			if s.Opens != "yes" {
				return fail.E(fail.AnswerNo, "%s will not open for sure after: %s", s.File, f.Name).
					Hint("seal its content anew to the predicted values before the change is made (--out-file)")
			}
		}
		for _, p := range f.PCRs {
			if p.Confidence == predict.Blocked && len(o.pcrs) > 0 {
				return fail.E(fail.AnswerNo, "PCR %d cannot be foretold: %s", p.Index, p.Why).Hint("--assume EVENT takes an event over as it is")
			}
		}
	}
	return nil
}

// presentValues are the PCR values of now: from a file, or as the kernel shows them, which opens no TPM. The log of
// another machine has none but by --against.
func (a *app) presentValues(path string, live bool, log *eventlog.Log) (*pcr.Values, string, error) {
	if path != "" {
		v, err := a.valuesFile(path, nil)
		return v, path, err
	}
	if !live {
		return nil, "", nil
	}
	v := &pcr.Values{}
	for _, bank := range log.Banks {
		for n := range pcr.Count {
			var value pcr.Hex
			if err := value.UnmarshalText([]byte(a.Host.PCR(bank.String(), n))); err == nil && len(value) == bank.Size() {
				v.Set(bank, n, value)
			}
		}
	}
	if len(v.Banks) == 0 {
		return nil, "", fail.E(fail.MissingInput, "this system shows its PCR values to no one but the TPM's own users").
			Hint("vtpmctl pcr read -o json > now.json, then add --against now.json")
	}
	return v, "/sys/class/tpm/tpm0", nil
}

func numbered(path string, n, of int) string {
	if of == 1 {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "." + strconv.Itoa(n+1) + ext
}

func eventLine(e predict.EventChange) string {
	switch {
	case e.Number == nil:
		return fmt.Sprintf("PCR %d gets a new event: %s", e.PCR, e.What)
	case e.After == nil:
		return fmt.Sprintf("PCR %d loses event %d: %s", e.PCR, *e.Number, e.What)
	}
	return fmt.Sprintf("PCR %d, event %d changes: %s", e.PCR, *e.Number, e.What)
}
