package cmd

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
)

func (a *app) eventlogCommand() *cobra.Command {
	return noun("eventlog", "read, replay and explain measured-boot event logs",
		a.eventlogShowCommand(), a.eventlogReplayCommand(), a.eventlogVerifyCommand(), a.eventlogExplainCommand(),
		a.eventlogDiffCommand(), a.eventlogCheckFilesCommand(), a.eventlogConvertCommand())
}

// sourceHelp is said by every verb that reads a log.
const sourceHelp = `FILE is any log: TCG crypto-agile or SHA-1, CCEL, Windows WBCL and bundles of them, IMA lists, systemd's log, CEL as JSON,
CBOR or TLV, also as hex or base64, or the log in evidence or in a baseline; "-" is stdin. Without FILE it is the log of
the running system.`

// logFlags say which logs are read.
type logFlags struct {
	with []string
}

func (o *logFlags) define(f *pflag.FlagSet) {
	f.StringArrayVar(&o.with, "with", nil, "also read this log of the same boot: a `FILE`, \"ima\" or \"systemd\" for the live one")
}

// read reads the log named by args, the live one without a name, and what --with adds. It says where it came from.
func (o *logFlags) read(a *app, args []string) (log *eventlog.Log, source string, err error) {
	if log, source, err = a.readLog(args); err != nil {
		return nil, source, err
	}
	for _, name := range o.with {
		later, err := a.readLater(name)
		if err != nil {
			return nil, source, err
		}
		log.Append(later)
	}
	return log, source, nil
}

func (a *app) readLog(args []string) (*eventlog.Log, string, error) {
	if len(args) == 0 {
		data, source, err := a.liveLog()
		if err != nil {
			return nil, source, err
		}
		return parseLog(data, source)
	}
	f, err := a.readBoot(args[0])
	if err != nil {
		return nil, args[0], err
	}
	log, err := f.needLog()
	return log, args[0], err
}

// liveLog asks Windows for its log by way of the TPM Base Services, and reads files everywhere else.
func (a *app) liveLog() (data []byte, source string, err error) {
	if a.Host.OS == "windows" {
		if data, err := a.BootLog(); err == nil && len(data) > 0 {
			return data, "TPM Base Services", nil
		}
	}
	return a.Host.EventLog(eventlog.MaxSize)
}

// bootLogs are the logs of this boot as they were found: the live one, and what systemd's tools measured later.
func (a *app) bootLogs() ([]quote.Log, error) {
	data, source, err := a.liveLog()
	if err != nil {
		return nil, err
	}
	logs := []quote.Log{{Source: source, Data: data}}
	later, source, err := a.Host.SystemdLog(eventlog.MaxSize)
	switch {
	case err == nil:
		logs = append(logs, quote.Log{Source: source, Data: later})
	case fail.KindOf(err) != fail.MissingInput:
		return nil, err // without it the log would not lead to PCR 11 and 15, and nobody would know why
	}
	return logs, nil
}

func parseLog(data []byte, source string) (*eventlog.Log, string, error) {
	log, err := eventlog.Parse(data)
	if err != nil {
		return nil, source, fmt.Errorf("%s: %w", source, err)
	}
	return log, source, nil
}

// readLater reads a log that --with names.
func (a *app) readLater(name string) (*eventlog.Log, error) {
	read := a.Host.IMALog
	switch name {
	case "ima":
	case "systemd":
		read = a.Host.SystemdLog
	default:
		log, _, err := a.readLog([]string{name})
		return log, err
	}
	data, source, err := read(eventlog.MaxSize)
	if err != nil {
		return nil, err
	}
	log, _, err := parseLog(data, source)
	return log, err
}

// eventFilter selects events by register and type.
type eventFilter struct {
	pcrs  pcr.Selection
	types []string

	set  pcr.Set
	want []eventlog.EventType
}

func (o *eventFilter) define(f *pflag.FlagSet) {
	f.TextVar(&o.pcrs, "pcr", o.pcrs, "only events of these `PCRs`: numbers, ranges and names")
	f.Var((*words)(&o.types), "type", "only events of this `TYPE`: a name such as EV_SEPARATOR or efi-action, or a number")
}

// words is a flag that takes words with commas between them, as often as it is given. That of package pflag brings a reader of
// CSV with it.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

// Set adds words.
func (w *words) Set(text string) error {
	*w = append(*w, strings.Split(text, ",")...)
	return nil
}

// Type names the value in help texts.
func (*words) Type() string { return "words" }

// prepare checks the words of the filter.
func (o *eventFilter) prepare() error {
	for _, s := range o.pcrs {
		o.set |= s.PCRs
	}
	for _, name := range o.types {
		t, ok := eventlog.ParseType(name)
		if !ok {
			return fail.E(fail.Usage, "there is no event type %q", name).Hint("vtpmctl eventlog show prints the types a log has")
		}
		o.want = append(o.want, t)
	}
	return nil
}

func (o *eventFilter) match(e *eventlog.Event) bool {
	if o.set != 0 && (e.PCR >= pcr.Count || !o.set.Has(int(e.PCR))) {
		return false
	}
	return len(o.want) == 0 || slices.Contains(o.want, e.Type)
}

// eventlogDoc is the result of eventlog show. Its events are printed while they are decoded: a log may have tens of
// thousands.
type eventlogDoc struct {
	Source string `json:"source"`
	*eventlog.Log
	Older int `json:"older_logs"`

	filter eventFilter
	bank   eventlog.Alg // whose digests the table has; 0 for none
}

func (eventlogDoc) Schema() string { return "vtpmctl.eventlog/v1" }

// List is what the events are called.
func (eventlogDoc) List() string { return "events" }

// events yields the events that were asked for.
func (d eventlogDoc) events() iter.Seq[*eventlog.Event] {
	return func(yield func(*eventlog.Event) bool) {
		for i := range d.Log.Events {
			if e := &d.Log.Events[i]; d.filter.match(e) && !yield(e) {
				return
			}
		}
	}
}

// Lines gives one event a line.
func (d eventlogDoc) Lines() iter.Seq[any] {
	return func(yield func(any) bool) {
		for e := range d.events() {
			if !yield(logLine{e}) {
				return
			}
		}
	}
}

func (d eventlogDoc) Table(t *out.Table) {
	logHead(t, d.Source, d.Log)
	t.Text("")
	t.Stream(d.widths(), func(next func() *out.Row) {
		head := []string{"#", "PCR", "TYPE", "DATA", "EVENT"}
		if d.bank != 0 {
			head = slices.Insert(head, 4, strings.ToUpper(d.bank.String()))
		}
		row := next()
		for _, name := range head {
			row.Cell(out.Dim(name))
		}
		for e := range d.events() {
			d.row(next(), e)
		}
	})
	logNotes(t, d.Log.Notes)
}

// widths are those of the columns before the last. Only the words of the column DATA would need the events decoded; they
// get the room of "unbound", which every header event is.
func (d eventlogDoc) widths() []int {
	w := []int{1, len("PCR"), len("TYPE"), len("unbound")}
	last := 0
	for e := range d.events() {
		last = max(last, e.Number)
		w[2] = max(w[2], len(e.Type.String()))
		if !isPCR(e) {
			w[1] = max(w[1], len(registerOf(e)))
		}
	}
	w[0] = len(strconv.Itoa(last))
	if d.bank != 0 {
		w = append(w, max(2*d.bank.Size(), len(d.bank.String())))
	}
	return w
}

func (d eventlogDoc) row(row *out.Row, e *eventlog.Event) {
	decoded, check, err := e.Look()
	row.Int(e.Number)
	if isPCR(e) {
		row.Int(int(e.PCR))
	} else {
		row.Cell(out.Dim(registerOf(e)))
	}
	row.Text(e.Type.String())
	row.Cell(binding(check))
	if d.bank != 0 {
		row.Text(e.Digest(d.bank).String())
	}
	text := decoded.String()
	if err != nil {
		text += " [" + err.Error() + "]"
	}
	row.Text(text)
}

// isPCR tells whether an event's register is a PCR.
func isPCR(e *eventlog.Event) bool { return e.PCR < pcr.Count && e.Content != eventlog.ContentNV }

// registerOf names a register that is no PCR.
func registerOf(e *eventlog.Event) string { return "0x" + strconv.FormatUint(uint64(e.PCR), 16) }

// logHead says what kind of log it is.
func logHead(t *out.Table, source string, log *eventlog.Log) {
	names := make([]string, len(log.Banks))
	for i, b := range log.Banks {
		names[i] = b.String()
	}
	t.Field("log", source)
	t.Field("format", strings.Join(append(slices.Clone(log.Layers), string(log.Format)), ", "))
	t.Field("banks", strings.Join(names, ", "))
	t.Field("events", strconv.Itoa(len(log.Events)))
}

// maxNotes bounds the notes of a table; JSON has them all.
const maxNotes = 20

func logNotes(t *out.Table, notes []eventlog.Note) {
	for i, n := range notes {
		if i == maxNotes {
			t.Text("note: %d more in the JSON output", len(notes)-i)
			break
		}
		t.Text("note: offset %d: %s", n.Offset, n.Text)
	}
}

// binding says in a word how far the digest vouches for the data.
func binding(c eventlog.Check) out.Cell {
	switch c.Binding {
	case eventlog.Broken:
		return out.No("BROKEN")
	case eventlog.Bound:
		return out.OK("bound")
	case eventlog.Label:
		return out.Cell{Value: "label"}
	}
	return out.Dim(string(c.Binding))
}

func (a *app) eventlogShowCommand() *cobra.Command {
	var logs logFlags
	var filter eventFilter
	var bank string
	return a.command(verb{
		use:   "show [FILE]",
		short: "print the events of a log, decoded",
		long: sourceHelp + `

The column DATA says how far an event's digest vouches for what is printed beside it:
  bound    the digest is that of the data: it is as true as the PCR
  label    the digest is that of something outside the log, such as a file; the data only names it
  BROKEN   the digest should be that of the data, and is not
  unbound  the event extends nothing
No digest covers an event's type. A log that ends early is shown as far as it goes, with a note.
-o jsonl prints one event a line, -o tpm2 what tpm2_eventlog prints.`,
		example: "vtpmctl eventlog show\nvtpmctl eventlog show boot.bin --pcr 7 -o json\n" +
			"vtpmctl eventlog show - --type EV_EFI_ACTION < boot.bin",
		args:    cobra.MaximumNArgs(1),
		formats: []out.Format{out.FormatJSONL, out.FormatTPM2},
		exits:   []fail.Kind{fail.BadInput, fail.MissingInput, fail.Permission},
		flags: func(f *pflag.FlagSet) {
			logs.define(f)
			filter.define(f)
			f.StringVar(&bank, "digests", "", "add a column with the digests of this `BANK`")
		},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			if err := filter.prepare(); err != nil {
				return nil, err
			}
			var alg eventlog.Alg
			if bank != "" {
				var err error
				if alg, err = pcr.ParseBank(bank); err != nil {
					return nil, err
				}
			}
			log, source, err := logs.read(a, args)
			if err != nil {
				return nil, err
			}
			return eventlogDoc{Source: source, Log: log, Older: len(log.Older), filter: filter, bank: alg}, nil
		},
	})
}

// replayDoc is the result of eventlog replay.
type replayDoc struct {
	Source   string          `json:"source"`
	Format   eventlog.Format `json:"format"`
	Complete bool            `json:"complete"` // every byte of the log was read
	Events   int             `json:"events"`
	*eventlog.Replay

	log *eventlog.Log
}

func (replayDoc) Schema() string { return "vtpmctl.eventlog-replay/v1" }

func (d replayDoc) Table(t *out.Table) {
	logHead(t, d.Source, d.log)
	t.Text("")
	t.Head("BANK", "PCR", "NAME", "EVENTS", "VALUE")
	for _, b := range d.Banks {
		for _, p := range b.PCRs {
			t.Row(b.Alg, p.Index, out.Dim(registerName(d.log, p.Index)), p.Events, p.Value)
		}
	}
	said := make(map[string]bool)
	for _, b := range d.Banks {
		for _, p := range b.PCRs {
			if why := fmt.Sprintf("PCR %d starts at …%x: %s", p.Index, p.Start[len(p.Start)-1:], p.StartReason); p.StartReason != "reset value" && !said[why] {
				said[why] = true
				t.Text("note: %s", why)
			}
			if p.Missing > 0 {
				t.Text("note: %d events of PCR %d have no %s digest: that value is not what the TPM holds", p.Missing, p.Index, b.Alg.String())
			}
		}
	}
	logNotes(t, d.Notes)
}

// registerName names a register: those of a confidential guest's log are no PCRs.
func registerName(log *eventlog.Log, index int) string {
	if !log.CC {
		return pcr.UsageOf(index).Name
	}
	if index == 0 {
		return "mrtd"
	}
	return fmt.Sprintf("rtmr%d", index-1)
}

// Render gives the text of tpm2_pcrread.
func (d replayDoc) Render(w io.Writer, _ out.Format) error {
	return pcr.Replayed(d.log).WritePCRRead(w)
}

func (a *app) eventlogReplayCommand() *cobra.Command {
	var logs logFlags
	return a.command(verb{
		use:   "replay [FILE]",
		short: "compute what the PCRs hold if a log is true, in every bank",
		long: sourceHelp + `

Where a PCR does not start at its reset value, the reason is said: the locality of TPM2_Startup, an H-CRTM, a dynamic
launch. -o pcrread prints all 24 PCRs as tpm2_pcrread does.`,
		example: "vtpmctl eventlog replay\nvtpmctl eventlog replay boot.bin -o pcrread\nvtpmctl eventlog replay --with systemd --with ima",
		args:    cobra.MaximumNArgs(1),
		formats: []out.Format{out.FormatPCRRead},
		exits:   []fail.Kind{fail.BadInput, fail.MissingInput, fail.Permission},
		flags:   logs.define,
		run: func(_ context.Context, args []string) (out.Doc, error) {
			log, source, err := logs.read(a, args)
			if err != nil {
				return nil, err
			}
			doc := replayDoc{Source: source, Format: log.Format, Complete: log.Complete(), Events: len(log.Events), Replay: log.Replay(), log: log}
			doc.Notes = append(slices.Clone(log.Notes), doc.Notes...)
			return doc, nil
		},
	})
}
