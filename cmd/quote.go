package cmd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// quoteDoc says what quote wrote.
type quoteDoc struct {
	File      string        `json:"file"`
	Files     []string      `json:"tpm2_files"`
	Nonce     eventlog.Hex  `json:"nonce"`
	Selection pcr.Selection `json:"selection"`
	AK        quote.AK      `json:"ak"`
	Logs      []logSource   `json:"event_logs"`
	Note      string        `json:"note"` // why there is no log, or ""
}

// logSource says where an event log came from.
type logSource struct {
	Source string `json:"source"`
	Bytes  int    `json:"bytes"`
}

func (quoteDoc) Schema() string { return "vtpmctl.quote/v1" }

func (d quoteDoc) Table(t *out.Table) {
	t.Field("evidence", d.File)
	for _, f := range d.Files {
		t.Field("for tpm2-tools", f)
	}
	t.Field("PCRs", d.Selection)
	if d.AK.Parent == quote.Temporary {
		t.Field("key", out.Maybe("temporary, "+d.AK.Algorithm+": proves nothing about which machine signed"))
	} else {
		t.Field("key", d.AK.Name)
	}
	for _, l := range d.Logs {
		t.Field("event log", fmt.Sprintf("%s, %d bytes", l.Source, l.Bytes))
	}
	if d.Note != "" {
		t.Field("event log", out.Maybe("none: "+d.Note))
	}
}

// quoteFlags are what quote was asked for.
type quoteFlags struct {
	nonce nonceFlags
	pcrs  pcr.Selection
	ak    string
	logs  []string
	noLog bool
	path  string
	tools string
	force bool
}

// nonceFlags take a nonce as hex or from a file.
type nonceFlags struct{ hex, file string }

func (o *nonceFlags) define(f *pflag.FlagSet, whose string) {
	f.StringVar(&o.hex, "nonce", "", whose+" in `HEX`")
	f.StringVar(&o.file, "nonce-file", "", "`FILE` with the bytes of the nonce, instead of --nonce")
}

func (o *nonceFlags) bytes(a *app) ([]byte, error) {
	switch {
	case (o.hex == "") == (o.file == ""):
		return nil, fail.E(fail.Usage, "a nonce is needed, once: without one an old quote looks like a new one").
			Hint("the verifier makes 32 random bytes for each quote: --nonce HEX")
	case o.file != "":
		return a.readInput(o.file, quote.MaxNonce)
	}
	nonce, err := hex.DecodeString(strings.TrimPrefix(o.hex, "0x"))
	if err != nil {
		return nil, fail.E(fail.Usage, "the nonce is not hex: %w", err)
	}
	return nonce, nil
}

func (a *app) quoteCommand() *cobra.Command {
	var o quoteFlags
	return a.command(verb{
		use:   "quote --nonce HEX --out-file FILE",
		short: "have the TPM sign its PCRs, and write the evidence a verifier needs",
		long: `The evidence holds the signed message, the PCR values it covers, the public part of the key and the event log of this
boot. The nonce comes from the verifier. Without --ak the key is a temporary one: good for a look, but it proves nothing
about which machine signed. A log of this machine is added where the TPM is the machine's own.`,
		example: "vtpmctl ak create --out-file ak.json\n" +
			"vtpmctl quote --ak ak.json --nonce 6fd3…91 --out-file evidence.json\n" +
			"vtpmctl quote --ak 0x81010010 --nonce 6fd3…91 --pcrs sha256:0-7 --out-file evidence.json",
		exits:   []fail.Kind{fail.WrongTPM, fail.BadInput, fail.MissingInput, fail.OutputExists, fail.Temporary, fail.Permission},
		effects: tpm.UsesDA, // where --ak names a key of others that has a password
		flags: func(f *pflag.FlagSet) {
			f.SortFlags = false
			o.nonce.define(f, "the verifier's nonce")
			f.StringVar(&o.path, "out-file", "", "`FILE` for the evidence; - is stdout")
			f.StringVar(&o.ak, "ak", "", "attestation key: a `FILE` of ak create, or a persistent handle such as 0x81010010")
			f.TextVar(&o.pcrs, "pcrs", o.pcrs, "`PCRs` to quote; left out, all of all active banks")
			f.StringArrayVar(&o.logs, "eventlog", nil, "event log `FILE`, instead of this machine's; again for a later log of the same boot")
			f.BoolVar(&o.noLog, "no-eventlog", false, "leave the event log out")
			f.StringVar(&o.tools, "tpm2-files", "", "also write `PREFIX`.msg, .sig, .pcrs, .pub and .pem for tpm2_checkquote")
			f.BoolVar(&o.force, "force", false, "replace files that exist")
		},
		onTPM: func(_ context.Context, t tpm.Conn, _ []string) (out.Doc, error) { return a.quote(t, &o) },
	})
}

func (a *app) quote(t tpm.Conn, o *quoteFlags) (out.Doc, error) {
	nonce, err := o.nonce.bytes(a)
	switch {
	case err != nil:
		return nil, err
	case o.path == "":
		return nil, fail.E(fail.Usage, "where is the evidence to be written?").Hint("--out-file evidence.json")
	case o.noLog && len(o.logs) > 0:
		return nil, fail.E(fail.Usage, "--eventlog and --no-eventlog contradict each other")
	}
	if err := quote.CheckNonce(nonce); err != nil {
		return nil, err
	}
	logs, note, err := a.evidenceLogs(t.Origin(), o)
	if err != nil {
		return nil, err
	}
	e, err := a.takeQuote(t, o, nonce)
	if err != nil {
		return nil, err
	}
	e.Stamp(a.Now(), t.Origin())
	e.Logs = logs
	doc := quoteDoc{
		File: o.path, Files: []string{}, Nonce: nonce, Selection: e.Quoted(), AK: e.AK, Logs: []logSource{}, Note: note,
	}
	for _, l := range logs {
		doc.Logs = append(doc.Logs, logSource{l.Source, len(l.Data)})
	}
	if doc.Files, err = a.writeEvidence(e, o); err != nil || o.path == "-" {
		return nil, err
	}
	return doc, nil
}

// takeQuote loads the key, or makes one, and quotes with it.
func (a *app) takeQuote(t tpm.Sender, o *quoteFlags, nonce []byte) (e *quote.Evidence, err error) {
	var key *quote.Key
	switch {
	case o.ak == "":
		a.warn("the key is temporary: it proves nothing about which machine signed; vtpmctl ak create makes one that does")
		key, err = quote.CreateTemporary(t, quote.ECC)
	case strings.HasPrefix(o.ak, "0x"):
		h, err := quote.ParseHandle(o.ak)
		if err != nil {
			return nil, err
		}
		if key, err = quote.Persistent(t, h); err != nil {
			return nil, err
		}
		return quote.Take(t, key, nonce, o.pcrs)
	default:
		var f *quote.KeyFile
		if f, err = a.readKeyFile(o.ak); err == nil {
			key, err = f.Load(t)
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, key.Flush(t)) }()
	return quote.Take(t, key, nonce, o.pcrs)
}

// evidenceLogs finds the event logs for the evidence; note says why there is none. The machine's own log belongs to the
// machine's own TPM: beside an emulator it would be a lie.
func (a *app) evidenceLogs(from tpm.Origin, o *quoteFlags) (logs []quote.Log, note string, err error) {
	logs = []quote.Log{}
	switch {
	case o.noLog:
		return logs, "left out as asked (--no-eventlog)", nil
	case len(o.logs) > 0:
		for _, path := range o.logs {
			data, err := a.readInput(path, eventlog.MaxSize)
			if err != nil {
				return nil, "", err
			}
			logs = append(logs, quote.Log{Source: path, Data: data})
		}
		return logs, "", nil
	case !ofMachine(from):
		return logs, from.Target + " is not this machine's TPM, so this machine's log is not its log", nil
	}
	found, err := a.bootLogs()
	switch {
	case fail.KindOf(err) == fail.MissingInput:
		return logs, err.Error(), nil
	case err != nil:
		return nil, "", fail.E(fail.KindOf(err), "%w", err).Hint("--no-eventlog quotes without the log")
	}
	return found, "", nil
}

// ofMachine tells the machine's own TPM, to which its event log belongs, from others.
func ofMachine(from tpm.Origin) bool {
	return strings.HasPrefix(from.Target, "dev:") || from.Target == "tbs"
}

// writeEvidence writes the evidence and, where asked, the files for tpm2-tools, whose names it returns.
func (a *app) writeEvidence(e *quote.Evidence, o *quoteFlags) ([]string, error) {
	text, err := e.Encode()
	if err != nil {
		return nil, err
	}
	names := []string{}
	if o.tools != "" {
		f, err := e.Files()
		if err != nil {
			return nil, err
		}
		for _, part := range []struct {
			suffix string
			data   []byte
		}{{".msg", f.Message}, {".sig", f.Signature}, {".pcrs", f.PCRs}, {".pub", f.Key}, {".pem", f.PEM}} {
			if err := file.Write(o.tools+part.suffix, part.data, file.Shared, o.force); err != nil {
				return nil, err
			}
			names = append(names, o.tools+part.suffix)
		}
	}
	if o.path == "-" {
		_, err := a.Out.Write(text)
		return names, err
	}
	return names, file.Write(o.path, text, file.Shared, o.force)
}
