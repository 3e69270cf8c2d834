package cmd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/eventlog"
	logs "github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/host"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// fveWords are the words of fveimage: each changes the volume that is made.
var fveWords = map[string]func(*synth.Volume){
	"to-go":      func(v *synth.Volume) { v.Layout = synth.ToGo },
	"used-space": func(v *synth.Volume) { v.Layout = synth.UsedSpaceOnly },
	"vista":      func(v *synth.Volume) { v.Layout = synth.Vista },
	"evil":       func(v *synth.Volume) { v.Description = "\x1b[31mred\u202e C: 1/1/2024" },
	"bcd": func(v *synth.Volume) {
		v.BCD = []synth.BCDRow{{Kind: 2, Flag: 1, Element: 0x16000049}, {Kind: 2, Element: 0x25000020, Value: make([]byte, 8)}}
	},
	"tpm":         protectedBy(synth.TPM{PCRs: []int{7, 11}}.Protector()),
	"tpm-pin":     protectedBy(synth.TPM{PCRs: []int{0, 2, 4, 11}, PIN: true}.Protector()),
	"tpm-booted":  protectedBy(synth.TPM{PCRs: []int{7, 11}, Values: map[int][]byte{7: bootedPCR7()}}.Protector()),
	"tpm-unknown": protectedBy(synth.TPM{PCRs: []int{7, 11}, Policy: make([]byte, 32)}.Protector()),
	"recovery":    protectedBy(synth.Sealed(true)),
	"password":    protectedBy(synth.Sealed(false)),
	"key-file":    protectedBy(synth.ExternalKey([32]byte{1})),
	"clear-key":   protectedBy(synth.ClearKey()),
}

func protectedBy(p synth.Protector) func(*synth.Volume) {
	return func(v *synth.Volume) { v.Protectors = append(v.Protectors, p) }
}

// fveShapes are words that change the finished image.
var fveShapes = map[string]func([]byte) []byte{
	"gpt":      func(img []byte) []byte { return synth.GPT(512, img) },
	"mbr":      func(img []byte) []byte { return synth.MBR(true, img) },
	"bad-crc":  func(img []byte) []byte { img[synth.CopyAt[0]+112] ^= 1; return img },
	"wiped":    func(img []byte) []byte { clear(img[synth.CopyAt[1]:][:4096]); return img },
	"cut":      func(img []byte) []byte { return img[:synth.CopyAt[1]] },
	"ntfs":     func(img []byte) []byte { return append([]byte("\xeb\x52\x90NTFS    "), make([]byte, 4096)...) },
	"headless": func(img []byte) []byte { return img[:synth.CopyAt[0]] },
}

func fveImage(words ...string) (img []byte, unknown string) {
	v := synth.Volume{Description: "VM-01 OSDisk 5/17/2024"}
	for _, w := range words {
		if change, ok := fveWords[w]; ok {
			change(&v)
		} else if fveShapes[w] == nil {
			return nil, w
		}
	}
	img = v.Image()
	for _, w := range words {
		if shape, ok := fveShapes[w]; ok {
			img = shape(img)
		}
	}
	return img, ""
}

// scriptFVESeal makes a volume whose key an engine seals to its PCR 7 as it is: fveseal disk.img DIR
func scriptFVESeal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fveseal FILE DIR")
	}
	t, err := tpm.Open(context.Background(), "engine:"+ts.MkAbs(args[1]), tpm.Options{Allow: tpm.Persists})
	ts.Check(err)
	defer func() { ts.Check(t.Close()) }()
	sealed, err := synth.SealNow(t, make([]byte, 44))
	ts.Check(err)
	img := synth.Volume{Protectors: []synth.Protector{sealed.Protector(), synth.Sealed(true)}}.Image()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), img, 0o600))
}

// scriptFVEImage makes a BitLocker volume: fveimage disk.img tpm recovery gpt
func scriptFVEImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: fveimage FILE [WORD ...]")
	}
	img, unknown := fveImage(args[1:]...)
	if unknown != "" {
		ts.Fatalf("fveimage knows no %q", unknown)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), img, 0o600))
}

// scriptWinLog makes the log of a boot of Windows that Windows would bind to: winlog FILE [pending|cut]
func scriptWinLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: winlog FILE [pending|cut]")
	}
	f := synth.WindowsFirmware()
	switch word := strings.Join(args[1:], ""); word {
	case "":
	case "pending":
		f.DB = append(f.DB, "Windows UEFI CA 2023")
	case "cut":
		f.Cut = true
	default:
		ts.Fatalf("winlog knows no %q", word)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), f.Log(), 0o600))
}

// bootedPCR7 is the value the log of "bootlog FILE windows" leads to.
func bootedPCR7() []byte {
	log, err := eventlog.Parse(logs.Windows(logs.Default()).Log)
	if err != nil {
		panic(err)
	}
	return log.Replay().Bank(eventlog.SHA256).PCR(7).Value
}

// TestBitlockerInspectKeepsItsFields holds the contract of the JSON: fields are added, never renamed or dropped.
func TestBitlockerInspectKeepsItsFields(t *testing.T) {
	img, _ := fveImage("tpm", "recovery", "key-file", "bcd", "bad-crc")
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, img, 0o600); err != nil {
		t.Fatal(err)
	}
	got := fields(t, "bitlocker", "inspect", path, "-o", "json")
	want := []string{
		"schema", "source", "volumes",
		"volumes.bcd", "volumes.bcd.role", "volumes.bcd.rows", "volumes.bcd.rows.absent", "volumes.bcd.rows.digest",
		"volumes.bcd.rows.element", "volumes.bcd.rows.kind", "volumes.bcd.rows.name", "volumes.bcd.rows.value",
		"volumes.copies", "volumes.copies.computed_crc32", "volumes.copies.crc32", "volumes.copies.detail",
		"volumes.copies.index", "volumes.copies.offset", "volumes.copies.size", "volumes.copies.status", "volumes.copies.used",
		"volumes.created",
		"volumes.description", "volumes.description.computer", "volumes.description.date", "volumes.description.text",
		"volumes.description.volume",
		"volumes.encrypted_bytes",
		"volumes.entries", "volumes.entries.role", "volumes.entries.role_name", "volumes.entries.size",
		"volumes.entries.value", "volumes.entries.value_name",
		"volumes.header_backup", "volumes.header_backup.offset", "volumes.header_backup.size",
		"volumes.kind", "volumes.method", "volumes.next_state",
		"volumes.partition", "volumes.partition.kind", "volumes.partition.number", "volumes.partition.offset",
		"volumes.partition.size",
		"volumes.protection",
		"volumes.protectors", "volumes.protectors.backup_times", "volumes.protectors.holds", "volumes.protectors.id",
		"volumes.protectors.key_file", "volumes.protectors.kind", "volumes.protectors.modified", "volumes.protectors.name",
		"volumes.protectors.protection",
		"volumes.protectors.tpm", "volumes.protectors.tpm.attribute_names", "volumes.protectors.tpm.attributes",
		"volumes.protectors.tpm.bank", "volumes.protectors.tpm.expected_pcr_digest", "volumes.protectors.tpm.name_alg",
		"volumes.protectors.tpm.pcr_bitmap", "volumes.protectors.tpm.pcrs", "volumes.protectors.tpm.policy",
		"volumes.protectors.tpm.policy_digest", "volumes.protectors.tpm.profile",
		"volumes.protectors.tpm.recomputed_policy_digest", "volumes.protectors.tpm.version",
		"volumes.protectors.wmi_type",
		"volumes.sector_size", "volumes.state", "volumes.volume_id", "volumes.warnings",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestBitlockerCheckKeepsItsFields does the same for the verdict.
func TestBitlockerCheckKeepsItsFields(t *testing.T) {
	dir := t.TempDir()
	img, _ := fveImage("tpm", "tpm-pin")
	values := func(pcr4 string) []byte {
		zero := strings.Repeat("00", 32)
		return fmt.Appendf(nil, `{"banks":[{"name":"sha256","pcrs":[{"pcr":0,"value":%q},{"pcr":2,"value":%q},`+
			`{"pcr":4,"value":%q},{"pcr":7,"value":%q}]}]}`, zero, zero, pcr4, zero)
	}
	for name, data := range map[string][]byte{
		"disk.img": img, "now": values(strings.Repeat("11", 32)), "good": values(strings.Repeat("00", 32)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := fields(t, "bitlocker", "check", filepath.Join(dir, "disk.img"), "--pcrs", filepath.Join(dir, "now"),
		"--good", filepath.Join(dir, "good"), "-o", "json")
	want := []string{
		"pcrs_file", "schema", "source", "volumes",
		"volumes.checks", "volumes.checks.name", "volumes.checks.outcome", "volumes.checks.text",
		"volumes.forecasts", "volumes.forecasts.bank", "volumes.forecasts.changed_pcrs",
		"volumes.forecasts.changed_pcrs.actual", "volumes.forecasts.changed_pcrs.bank",
		"volumes.forecasts.changed_pcrs.expected", "volumes.forecasts.changed_pcrs.measures",
		"volumes.forecasts.changed_pcrs.pcr", "volumes.forecasts.changed_pcrs.pcr_name",
		"volumes.forecasts.expected_pcr_digest", "volumes.forecasts.id", "volumes.forecasts.kind", "volumes.forecasts.pcrs",
		"volumes.forecasts.predicted_pcr_digest", "volumes.forecasts.reason", "volumes.forecasts.releases",
		"volumes.outcome",
		"volumes.partition", "volumes.partition.kind", "volumes.partition.number", "volumes.partition.offset",
		"volumes.partition.size",
		"volumes.volume_id",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestBitlockerPCR7BelievesTheLiveLogOnlyIfTheTPMAgrees boots a machine: its log in the file system, its PCRs in an engine.
func TestBitlockerPCR7BelievesTheLiveLogOnlyIfTheTPMAgrees(t *testing.T) {
	text := synth.WindowsFirmware().Log()
	log, err := eventlog.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) (status int, stdout string) {
		var out, stderr bytes.Buffer
		env := &cmd.Env{
			Out: &out, Err: &stderr, Getenv: func(string) string { return "" }, Now: time.Now, Rand: rand.Reader, OpenTPM: tpm.Open,
			Host: host.Host{OS: "linux", Root: fstest.MapFS{"sys/kernel/security/tpm0/binary_bios_measurements": {Data: text}}},
		}
		status = cmd.Run(t.Context(), env, append(args, "--tpm", "engine:"+dir))
		return status, out.String() + stderr.String()
	}
	if status, text := run("bitlocker", "pcr7"); status != 1 || !strings.Contains(text, "the log leads to another PCR 7") {
		t.Errorf("before the boot: exit status %d\n%s", status, text)
	}
	for i := range log.Events {
		if e := &log.Events[i]; e.Extends() {
			if status, text := run("pcr", "extend", "7", "--digest", "sha256:"+e.Digest(eventlog.SHA256).String()); status != 0 {
				t.Fatal(text)
			}
		}
	}
	if status, text := run("bitlocker", "pcr7"); status != 0 || !strings.Contains(text, "the PCR 7 that the TPM holds") {
		t.Errorf("after the boot: exit status %d\n%s", status, text)
	}
}

// fields runs a command and lists the fields of its JSON; lists are looked through.
func fields(t *testing.T, args ...string) []string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := &cmd.Env{Out: &stdout, Err: &stderr, Getenv: func(string) string { return "" }}
	if status := cmd.Run(t.Context(), env, args); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr.String())
	}
	return fieldsOf(t, stdout.String())
}

// fieldsOf lists the fields of a JSON text.
func fieldsOf(t *testing.T, text string) []string {
	t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	collectFields(doc, "", found)
	return slices.Sorted(maps.Keys(found))
}

func collectFields(v any, path string, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			name := key
			if path != "" {
				name = path + "." + key
			}
			found[name] = true
			collectFields(below, name, found)
		}
	case []any:
		for _, below := range v {
			collectFields(below, path, found)
		}
	}
}
