package cmd_test

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// bootWords are the boots of eventlog/synth.
var bootWords = map[string]func(synth.Machine) *synth.Recording{
	"grub": synth.ShimGRUB, "uki": synth.UKI, "direct": synth.Direct, "windows": synth.Windows, "seabios": synth.SeaBIOS,
	"tpm12": synth.TPM12,
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
	if neg || len(args) < 2 || bootWords[args[1]] == nil {
		ts.Fatalf("usage: bootlog FILE BOOT [WORD ...]")
	}
	machine := synth.Default()
	for _, w := range args[2:] {
		if change := machineWords[w]; change != nil {
			change(&machine)
		} else if logWords[w] == nil {
			ts.Fatalf("bootlog knows no %q", w)
		}
	}
	log := bootWords[args[1]](machine).Log
	for _, w := range args[2:] {
		if change := logWords[w]; change != nil {
			log = change(log)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), log, 0o600))
}
