package host_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/host"
)

func TestTheLiveLogIsFoundWhereTheSystemKeepsIt(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		host         host.Host
		data, source string
	}{
		"Linux with a TPM": {host.Host{OS: "linux", Root: fstest.MapFS{
			"sys/kernel/security/tpm0/binary_bios_measurements": file("tpm")}},
			"tpm", "/sys/kernel/security/tpm0/binary_bios_measurements"},
		"Linux with a TCM": {host.Host{OS: "linux", Root: fstest.MapFS{
			"sys/kernel/security/tcm0/binary_bios_measurements": file("tcm")}},
			"tcm", "/sys/kernel/security/tcm0/binary_bios_measurements"},
		"a confidential guest": {host.Host{OS: "linux", Root: fstest.MapFS{
			"sys/firmware/acpi/tables/data/CCEL": file("ccel")}}, "ccel", "/sys/firmware/acpi/tables/data/CCEL"},
		"Windows after a resume": {host.Host{OS: "windows", Root: fstest.MapFS{
			"Windows/Logs/MeasuredBoot/0000000009-0000000001.log": file("old"),
			"Windows/Logs/MeasuredBoot/0000000010-0000000001.log": file("new"),
			"Windows/Logs/MeasuredBoot/0000000010-0000000000.log": file("boot"),
			"Windows/Logs/MeasuredBoot/readme.txt":                file("no")}},
			"new", "Windows/Logs/MeasuredBoot/0000000010-0000000001.log"},
	} {
		data, source, err := c.host.EventLog(100)
		if err != nil || string(data) != c.data || source != c.source {
			t.Errorf("%s: %q from %s, %v", name, data, source, err)
		}
	}
}

func TestAMissingLogIsDiagnosed(t *testing.T) {
	tpm := &fstest.MapFile{}
	for name, c := range map[string]struct {
		root fstest.MapFS
		os   string
		kind fail.Kind
		text string
	}{
		"no TPM":        {fstest.MapFS{}, "linux", fail.MissingInput, "no TPM either"},
		"no securityfs": {fstest.MapFS{"sys/class/tpm/tpm0/dev": tpm}, "linux", fail.MissingInput, "securityfs is not mounted"},
		"log lost by the loader": {fstest.MapFS{"sys/class/tpm/tpm0/dev": tpm, "sys/kernel/security/lsm": tpm}, "linux",
			fail.MissingInput, "handed no event log"},
		"Windows without a log": {fstest.MapFS{}, "windows", fail.MissingInput, "no measured boot"},
		"too long": {fstest.MapFS{"sys/kernel/security/tpm0/binary_bios_measurements": {Data: make([]byte, 101)}}, "linux",
			fail.BadInput, "more than 100 bytes"},
	} {
		_, _, err := host.Host{OS: c.os, Root: c.root}.EventLog(100)
		if fail.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v of kind %s", name, err, fail.KindOf(err))
		}
	}
}

func TestUserspaceLogsAreFound(t *testing.T) {
	h := host.Host{OS: "linux", Root: fstest.MapFS{
		"run/log/systemd/tpm2-measure.log":                    {Data: []byte("s")},
		"sys/kernel/security/ima/binary_runtime_measurements": {Data: []byte("i")},
	}}
	if data, _, err := h.SystemdLog(10); string(data) != "s" || err != nil {
		t.Errorf("systemd: %q, %v", data, err)
	}
	if data, _, err := h.IMALog(10); string(data) != "i" || err != nil {
		t.Errorf("IMA: %q, %v", data, err)
	}
	empty := host.Host{OS: "linux", Root: fstest.MapFS{}}
	if _, _, err := empty.IMALog(10); fail.KindOf(err) != fail.MissingInput {
		t.Errorf("IMA: %v", err)
	}
	if _, _, err := empty.SystemdLog(10); fail.KindOf(err) != fail.MissingInput {
		t.Errorf("systemd: %v", err)
	}
}
