package eventlog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// said tells whether a statement of the story has the text, and how far it is bound.
func said(story *eventlog.Story, text string) (eventlog.Binding, bool) {
	for _, s := range story.Sections {
		for _, line := range s.Statements {
			if strings.Contains(line.Text, text) {
				return line.Binding, true
			}
		}
	}
	return "", false
}

func TestTheStoryOfABootNamesWhatRan(t *testing.T) {
	for _, c := range []struct {
		boot    string
		change  func(*synth.Machine)
		text    string
		binding eventlog.Binding
	}{
		{"shim and GRUB", nil, "Secure Boot is on", eventlog.Bound},
		{"shim and GRUB", nil, "firmware accepted the next program for Synthetic Third Party UEFI CA 2023, which is in db", eventlog.Bound},
		{"shim and GRUB", nil, "shim accepted the next program for Synthetic Distribution Secure Boot CA", eventlog.Bound},
		{"shim and GRUB", nil, `a program was started: \EFI\debian\grubx64.efi`, eventlog.Label},
		{"shim and GRUB", nil, "kernel command line: /boot/vmlinuz-6.12.41-cloud-amd64 root=", eventlog.Bound},
		{"shim and GRUB", nil, "the initrd is /boot/initrd.img", eventlog.Label},
		{"shim and GRUB", func(m *synth.Machine) { m.SecureBoot = false }, "Secure Boot is off", eventlog.Bound},
		{"direct", nil, "kernel command line, as in Boot0003: root=UUID=", eventlog.Bound},
		{"UKI", nil, "the unified kernel image has a section .initrd", eventlog.Bound},
		{"Windows", nil, "BitLocker was unlocked by TPM", eventlog.Bound},
		{"Windows", func(m *synth.Machine) { m.Windows.BitLocker = 0x40 }, "BitLocker was unlocked with the recovery key", eventlog.Bound},
		{"Windows", func(m *synth.Machine) { m.Windows.Debugging = true }, "kernel debugging: yes", eventlog.Bound},
		{"Windows", func(m *synth.Machine) { m.Windows.TestSigning = true }, "test signing: yes", eventlog.Bound},
		{"SeaBIOS", nil, "seabios mbr: MBR", eventlog.Label},
	} {
		machine := synth.Default()
		if c.change != nil {
			c.change(&machine)
		}
		story := mustParse(t, boots[c.boot](machine).Log).Explain()
		if b, ok := said(story, c.text); !ok || b != c.binding {
			t.Errorf("%s: %q: said %t, %s, want %s", c.boot, c.text, ok, b, c.binding)
		}
	}
}

// A unified kernel image has its command line in itself; the log has a digest, which the running kernel's must have too.
func TestTheRunningKernelsCommandLineIsHeldAgainstTheLog(t *testing.T) {
	machine := synth.Default()
	log := mustParse(t, synth.UKI(machine).Log)
	story := log.ExplainRunning(machine.Cmdline)
	if b, ok := said(story, "kernel command line, that of the running kernel: root="); !ok || b != eventlog.Bound || story.Cmdline != machine.Cmdline {
		t.Errorf("said %t, %s, command line %q", ok, b, story.Cmdline)
	}
	if _, ok := said(story, "another command line"); ok {
		t.Error("and another one")
	}
	story = log.ExplainRunning(machine.Cmdline + " init=/bin/sh")
	if _, ok := said(story, "another command line, which is not measured, as kexec does: root="); !ok || story.Cmdline != "" {
		t.Errorf("said %t, command line %q", ok, story.Cmdline)
	}
	if _, ok := said(log.Explain(), "another command line"); ok {
		t.Error("a log from elsewhere is held against the running kernel")
	}
}

// shim measures a list as a whole, and of a list that vouches for a program the one entry.
func TestWhatVouchesForAProgramOfShimIsNamed(t *testing.T) {
	certificate := synth.Certificate("A Distribution")
	x509 := []byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}
	size := uint32(16 + len(certificate))
	list := wire.NewLE().Bytes(x509).U32(28 + size).U32(0).U32(size).Bytes(make([]byte, 16)).Bytes(certificate).Out()
	for text, content := range map[string][]byte{
		"shim accepted the next program for A Distribution (MokListRT)": append(make([]byte, 16), certificate...),
		"MokListRT holds A Distribution":                                list,
	} {
		variable := synth.Variable("605dab50-e046-4300-abb6-3dd810dd8b23", "MokListRT", content)
		log := synth.Agile(eventlog.SHA256).Data(7, eventlog.EVEFIVariableAuthority, variable).Recording().Log
		if b, ok := said(mustParse(t, log).Explain(), text); !ok || b != eventlog.Bound {
			t.Errorf("%q: said %t, %s", text, ok, b)
		}
	}
}

func TestTheStoryNamesTheLoaderAndEveryTouchedPCR(t *testing.T) {
	for name, want := range map[string]string{
		"shim and GRUB": "shim, grub, Linux EFI stub", "UKI": "systemd-stub, Linux EFI stub", "Windows": "Windows", "SeaBIOS": "seabios", "TPM 1.2": "",
	} {
		rec := boots[name](synth.Default())
		story := mustParse(t, rec.Log).Explain()
		if story.Loader != want {
			t.Errorf("%s: started by %q, want %q", name, story.Loader, want)
		}
		if got, want := len(story.PCRs), len(rec.PCRs(eventlog.SHA1)); got != want {
			t.Errorf("%s: %d PCRs, want %d", name, got, want)
		}
		for _, p := range story.PCRs {
			if p.Holds == "" || p.Changes == "" {
				t.Errorf("%s: PCR %d: %+v", name, p.PCR, p)
			}
		}
	}
}

// Whoever can extend any PCR can write that Secure Boot is on. Only what firmware measures into PCR 7 counts.
func TestWordsAboutSecureBootCountInPCR7Only(t *testing.T) {
	on := synth.Variable("8be4df61-93ca-11d2-aa0d-00e098032b8c", "SecureBoot", []byte{1})
	off := synth.Variable("8be4df61-93ca-11d2-aa0d-00e098032b8c", "SecureBoot", []byte{0})
	b := func() *synth.Builder { return synth.Agile(eventlog.SHA256) }
	for name, c := range map[string]struct {
		builder *synth.Builder
		want    string
	}{
		"on":                      {b().Data(7, eventlog.EVEFIVariableDriverConfig, on), "on"},
		"off":                     {b().Data(7, eventlog.EVEFIVariableDriverConfig, off), "off"},
		"on in PCR 8":             {b().Data(8, eventlog.EVEFIVariableDriverConfig, on), "not measured"},
		"off, and on later":       {b().Data(7, eventlog.EVEFIVariableDriverConfig, off).Data(7, eventlog.EVEFIVariableDriverConfig, on), "off"},
		"on, but off is measured": {b().Event(7, eventlog.EVEFIVariableDriverConfig, off, on), "off"},
		"off, called a label":     {b().Event(7, eventlog.EVIPL, off, []byte("x")).Data(7, eventlog.EVEFIVariableDriverConfig, on), "off"},
		"off, called a command":   {b().Data(7, eventlog.EVIPL, off).Data(7, eventlog.EVEFIVariableDriverConfig, on), "off"},
		"on, after the separator": {b().Event(7, eventlog.EVIPL, make([]byte, 4), []byte("x")).
			Data(7, eventlog.EVEFIVariableDriverConfig, on), "not measured"},
		"off, by its value alone": {b().Event(7, eventlog.EVEFIVariableDriverConfig, []byte{0}, off), "off"},
		"on, but informative":     {b().Data(7, eventlog.EVNoAction, on), "not measured"},
	} {
		if got := mustParse(t, c.builder.Recording().Log).Explain().SecureBoot; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestKnownDeviationsAreToldOnce(t *testing.T) {
	wide := []byte("1\x00\x00\x00")
	log := mustParse(t, synth.Agile(eventlog.SHA256).Event(0, eventlog.EVSCRTMVersion, []byte("a"), wide).
		Event(0, eventlog.EVSCRTMVersion, []byte("b"), wide).Recording().Log)
	quirks := log.Explain().Quirks
	if len(quirks) != 1 || quirks[0].Code != "Q9" || !slices.Equal([]int{quirks[0].Event}, []int{1}) {
		t.Errorf("%+v", quirks)
	}
}

// What anybody can write, or has no digest that covers it, is no part of the boot.
func TestTheStoryRestsOnWhatIsMeasured(t *testing.T) {
	line := []byte("kernel_cmdline: quiet")
	db := synth.Variable("d719b2cb-3d3a-4596-a3bc-dad00e67656f", "db", nil)
	b := func() *synth.Builder { return synth.Agile(eventlog.SHA256) }
	for name, c := range map[string]struct {
		builder *synth.Builder
		cmdline string
		says    string
	}{
		"measured":                  {b().Event(8, eventlog.EVIPL, []byte("quiet"), line), "quiet", "kernel command line: quiet"},
		"other words are measured":  {b().Event(8, eventlog.EVIPL, []byte("single"), line), "", "kernel command line: quiet"},
		"in a register for anybody": {b().Event(16, eventlog.EVIPL, []byte("quiet"), line), "", "PCR 16, which any program can reset and extend, was given: grub kernel cmdline: quiet"},
		"in no register":            {b().Event(99, eventlog.EVIPL, []byte("quiet"), line), "", ""},
		"db in another register":    {b().Data(12, eventlog.EVEFIVariableDriverConfig, db), "", "PCR 12 has a second word about db"},
		"db behind the separator": {b().Data(7, eventlog.EVSeparator, make([]byte, 4)).Data(7, eventlog.EVEFIVariableDriverConfig, db), "",
			"PCR 7 has a second word about db"},
	} {
		story := mustParse(t, c.builder.Recording().Log).Explain()
		if _, ok := said(story, c.says); story.Cmdline != c.cmdline || ok != (c.says != "") {
			t.Errorf("%s: command line %q, %+v", name, story.Cmdline, story.Sections)
		}
	}
}
