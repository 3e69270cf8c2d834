package cmd_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/host"
)

// bootWords are the boots of eventlog/synth.
var bootWords = map[string]func(synth.Machine) *synth.Recording{
	"grub": synth.ShimGRUB, "uki": synth.UKI, "direct": synth.Direct, "windows": synth.Windows, "seabios": synth.SeaBIOS,
	"tpm12": synth.TPM12, "sdboot": synth.SystemdBoot, "type1": synth.Type1,
}

// machineWords change the machine that boots.
var machineWords = map[string]func(*synth.Machine){
	"sha256": func(m *synth.Machine) { m.Banks = []eventlog.Alg{eventlog.SHA256} },
	"four-banks": func(m *synth.Machine) {
		m.Banks = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384, eventlog.SM3}
	},
	"insecure":    func(m *synth.Machine) { m.SecureBoot = false },
	"kernel":      func(m *synth.Machine) { m.Kernel = []byte("another kernel") },
	"evil":        func(m *synth.Machine) { m.GRUBConfig = "set x=\x1b[31m\n- EventNum: 99\u202e" },
	"recovery":    func(m *synth.Machine) { m.Windows.BitLocker = 0x40 },
	"debugging":   func(m *synth.Machine) { m.Windows.Debugging = true },
	"cmdline":     func(m *synth.Machine) { m.Cmdline += " init=/bin/sh" },
	"dbx":         func(m *synth.Machine) { m.DBX = append(m.DBX, "revoked grub 2.06") },
	"ondisk":      func(m *synth.Machine) { *m = synth.OnDisk() }, // comes first
	"newkernel":   func(m *synth.Machine) { m.Kernel = synth.NewKernel("6.12.50") },
	"initrd":      func(m *synth.Machine) { m.Initrd = []byte("another initrd") },
	"timeout":     func(m *synth.Machine) { m.LoaderConf = "timeout 0\n" },
	"windowsdiff": func(m *synth.Machine) { m.Windows.BootCounter++ },
}

// logWords change the finished log.
var logWords = map[string]func([]byte) []byte{
	"cut":    func(b []byte) []byte { return b[:len(b)-7] },
	"padded": func(b []byte) []byte { return append(b, make([]byte, 4096)...) },
	"base64": func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) },
	"hex":    func(b []byte) []byte { return []byte(hex.EncodeToString(b)) },
	// flip changes the last byte of the last event's data, which its digest covers
	"flip": func(b []byte) []byte { b = slices.Clone(b); b[len(b)-1] ^= 1; return b },
}

// scriptBootLog makes an event log: bootlog boot.bin grub sha256 kernel
func scriptBootLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bootlog FILE BOOT [WORD ...]")
	}
	log := recordBoot(ts, args[1:]).Log
	for _, w := range args[2:] {
		if change := logWords[w]; change != nil {
			log = change(log)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), log, 0o600))
}

// scriptBootFiles lays out what a machine boots from: bootfiles root ondisk kernel
func scriptBootFiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bootfiles DIR WORD ...")
	}
	machine := machineOf(ts, args[1:])
	files := machine.Files()
	files["dbx.esl"], files["disk.img"] = synth.HashList(machine.DBX...), machine.Disk()
	for name, data := range files {
		path := filepath.Join(ts.MkAbs(args[0]), filepath.FromSlash(name))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		ts.Check(os.WriteFile(path, data, 0o600))
	}
}

// recordBoot boots a machine: grub sha256 kernel
func recordBoot(ts *testscript.TestScript, words []string) *synth.Recording {
	boot := bootWords[words[0]]
	if boot == nil {
		ts.Fatalf("there is no boot %q", words[0])
	}
	return boot(machineOf(ts, words[1:]))
}

// machineOf makes a machine of words.
func machineOf(ts *testscript.TestScript, words []string) synth.Machine {
	machine := synth.Default()
	for _, w := range words {
		if change := machineWords[w]; change != nil {
			change(&machine)
		} else if logWords[w] == nil {
			ts.Fatalf("there is no boot with %q", w)
		}
	}
	return machine
}

// scriptPlayBoot extends the TPM as a boot does: playboot uki sha256
func scriptPlayBoot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: playboot BOOT [WORD ...]")
	}
	for _, e := range recordBoot(ts, args).Extends {
		words := []string{"pcr", "extend", strconv.Itoa(e.PCR)}
		for _, d := range e.Digests {
			words = append(words, "--digest", d.Alg.String()+":"+d.Value.String())
		}
		ts.Check(ts.Exec("vtpmctl", words...))
	}
}

// runOn runs one command with a log on stdin, on a machine that has nothing.
func runOn(log []byte, args ...string) (stdout, stderr string, status int) {
	var out, complaint bytes.Buffer
	env := &cmd.Env{
		In: bytes.NewReader(log), Out: &out, Err: &complaint, Getenv: func(string) string { return "" },
		Host: host.Host{OS: "linux", Root: fstest.MapFS{}},
	}
	status = cmd.Run(context.Background(), env, args)
	return out.String(), complaint.String(), status
}

// dangerous are runes that move a cursor, start an escape sequence or change the direction of text.
func dangerous(r rune) bool {
	return r < 0x20 && r != '\n' || r >= 0x7f && r <= 0x9f || r == 0xfeff || r >= 0x200b && r <= 0x200f ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r >= 0xe0000 && r <= 0xe0fff
}

func TestHostileLogsCannotForgeOutput(t *testing.T) {
	for _, c := range synth.Hostile() {
		if len(c.Data) > 64<<10 {
			continue
		}
		log, parseErr := eventlog.Parse(c.Data)
		for _, args := range [][]string{
			{"eventlog", "show", "-"}, {"eventlog", "show", "-", "-o", "json"}, {"eventlog", "show", "-", "-o", "jsonl"},
			{"eventlog", "show", "-", "-o", "yaml"}, {"eventlog", "show", "-", "-o", "tpm2"}, {"eventlog", "replay", "-"},
			{"eventlog", "verify", "-"}, {"eventlog", "explain", "-"}, {"eventlog", "explain", "-", "-o", "json"},
		} {
			stdout, stderr, status := runOn(c.Data, args...)
			name := c.Name + ": " + strings.Join(args[1:], " ")
			if strings.ContainsFunc(stdout+stderr, dangerous) {
				t.Errorf("%s: output holds what a terminal acts on", name)
			}
			if want := parseErr == nil; (status == 0 || status == 7) != want {
				t.Errorf("%s: status %d, %s", name, status, stderr)
			}
			if parseErr != nil {
				continue
			}
			switch format := args[len(args)-1]; format {
			case "json":
				if !json.Valid([]byte(stdout)) {
					t.Errorf("%s: not JSON", name)
				}
			case "jsonl":
				if got := strings.Count(stdout, "\n"); got != len(log.Events) {
					t.Errorf("%s: %d lines for %d events", name, got, len(log.Events))
				}
			case "tpm2":
				if got := strings.Count("\n"+stdout, "\n- EventNum: "); got != len(log.Events) {
					t.Errorf("%s: %d events printed, %d there", name, got, len(log.Events))
				}
				if strings.Count("\n"+stdout, "\npcrs:") != 1 {
					t.Errorf("%s: PCRs are forged", name)
				}
			}
		}
	}
}

// The fast encoder must say what package json makes of a record, but for the escapes of text.
func TestLinesOfALogAreItsRecords(t *testing.T) {
	logs := synth.Hostile()
	for name, boot := range bootWords {
		logs = append(logs, synth.Case{Name: name, Data: boot(synth.Default()).Log})
	}
	for _, c := range logs {
		log, err := eventlog.Parse(c.Data)
		if err != nil || len(c.Data) > 64<<10 {
			continue
		}
		stdout, _, _ := runOn(c.Data, "eventlog", "show", "-", "-o", "jsonl")
		lines := strings.Split(stdout, "\n")
		for i := range log.Events {
			want, err := json.Marshal(log.Events[i].Record())
			if err != nil {
				t.Fatal(err)
			}
			if got := lines[i]; canonical(t, []byte(got)) != canonical(t, want) {
				t.Errorf("%s, event %d:\n%s\nwant\n%s", c.Name, i, got, want)
			}
		}
	}
}

// canonical rewrites JSON with one way of escaping; tag characters, which our JSON does not have, become U+FFFD.
func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var v any
	d := json.NewDecoder(&b)
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Map(func(r rune) rune {
		if r >= 0xe0000 && r <= 0xe0fff {
			return '\ufffd'
		}
		return r
	}, string(again))
}
