package eventlog_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// locality is the data of a StartupLocality event.
func locality(n byte) []byte { return append([]byte("StartupLocality\x00"), n) }

// fvImage is the load event of a program out of a firmware volume.
func fvImage() []byte {
	path := wire.NewLE().U8(4).U8(6).U16(20).Bytes(make([]byte, 16)).U8(0x7f).U8(0xff).U16(4).Out()
	return wire.NewLE().U64(0x1000).U64(8).U64(0).U64(uint64(len(path))).Bytes(path).Out()
}

func TestNotesNameTheDeviation(t *testing.T) {
	header := synth.SpecID(eventlog.SHA256)
	without := synth.Default()
	without.Windows.WithoutSHA1 = true
	grub := synth.ShimGRUB(synth.Default()).Log
	for quirk, data := range map[string][]byte{
		"Q4":                 synth.TPM12(synth.Default()).Log,
		"Q5":                 synth.SHA1().Data(0, eventlog.EVNoAction, locality(3)).Data(0, eventlog.EVSeparator, make([]byte, 4)).Recording().Log,
		"Q12":                synth.Windows(without).Log,
		"Q13":                wire.NewLE().Sized32(grub).Sized32(grub).Out(),
		"Q27, before":        append([]byte("coreboot"), grub...),
		"Q27, second header": synth.Agile(eventlog.SHA256).Data(0, eventlog.EVNoAction, header).Recording().Log,
	} {
		code, _, _ := strings.Cut(quirk, ",")
		log := mustParse(t, data)
		if !slices.ContainsFunc(log.Notes, func(n eventlog.Note) bool { return n.Quirk == code }) {
			t.Errorf("%s: %+v", quirk, log.Notes)
		}
	}
	if log := mustParse(t, grub); len(log.Notes) > 0 {
		t.Errorf("an ordinary log: %+v", log.Notes)
	}
}

// checkOf returns the outcome of a check, "" where it was not made.
func checkOf(v *eventlog.Verification, name string) eventlog.Outcome {
	for _, c := range v.Checks {
		if c.Name == name {
			return c.Outcome
		}
	}
	return ""
}

// phasesOf extends PCR 11 as systemd does.
func phasesOf(values eventlog.Values, bank eventlog.Alg, words ...string) {
	for _, w := range words {
		extend(values, bank, 11, bank.Sum([]byte(w)))
	}
}

func TestDeviationsOfPCRsAreNamedAndCanBeIgnored(t *testing.T) {
	const bank = eventlog.SHA256
	machine := synth.Default()
	machine.Banks = []eventlog.Alg{bank}
	rec := synth.UKI(machine)
	whole := mustParse(t, rec.Log)
	cut := rec.Log[:whole.Events[len(whole.Events)-5].Offset]
	for name, c := range map[string]struct {
		log    []byte
		change func(eventlog.Values)
		pcr    int
		quirk  string
		fails  bool // unless it is ignored
	}{
		"Q3, phases without an initrd": {rec.Log, func(v eventlog.Values) { phasesOf(v, bank, "sysinit", "ready") }, 11, "Q3", true},
		"Q3, all phases":               {rec.Log, func(v eventlog.Values) { phasesOf(v, bank, "enter-initrd", "leave-initrd", "sysinit", "ready") }, 11, "Q3", true},
		"no phase in that order":       {rec.Log, func(v eventlog.Values) { phasesOf(v, bank, "ready", "sysinit") }, 11, "", true},
		"Q3, unlogged":                 {rec.Log, func(v eventlog.Values) { extend(v, bank, 15, make([]byte, 32)); extend(v, bank, 15, make([]byte, 32)) }, 15, "Q3", false},
		"Q10, no start fits":           {rec.Log, func(v eventlog.Values) { v[bank][0] = bank.Sum([]byte("x")) }, 0, "Q10", true},
		"not Q10, others differ too":   {rec.Log, func(v eventlog.Values) { v[bank][0], v[bank][7] = bank.Sum([]byte("x")), bank.Sum([]byte("y")) }, 0, "", true},
		"Q11":                          {rec.Log, func(v eventlog.Values) { extend(v, bank, 7, make([]byte, 32)) }, 7, "Q11", false},
		"Q18, the last events lost":    {cut, func(eventlog.Values) {}, 4, "Q18", true},
		"not Q18, a whole log":         {rec.Log, func(v eventlog.Values) { v[bank][9] = bank.Sum([]byte("x")) }, 9, "", true},
	} {
		values := live(rec, bank)
		c.change(values)
		log := mustParse(t, c.log)
		v := verdict(t, log, values, bank, c.pcr)
		quirk := v.Quirk
		if v.Hypothesis != nil && v.Hypothesis.Quirk != "" {
			quirk = v.Hypothesis.Quirk
		}
		if quirk != c.quirk {
			t.Errorf("%s: %s, quirk %q, %+v", name, v.State, quirk, v.Hypothesis)
		}
		if got := checkOf(log.Verify(values, eventlog.Rules{}), "pcr_differs") == eventlog.Fail; got != c.fails {
			t.Errorf("%s: fails: %t", name, got)
		}
		if c.quirk == "" {
			continue
		}
		forgiven := log.Verify(values, eventlog.Rules{Ignore: []string{strings.ToLower(c.quirk), "Q10", "Q3"}})
		if checkOf(forgiven, "pcr_ignored") != eventlog.Pass {
			t.Errorf("%s: ignored: %+v", name, forgiven.Checks)
		}
	}
}

func TestStartsThatTheLogDoesNotTellAreTried(t *testing.T) {
	const bank = eventlog.SHA256
	rec := synth.Agile(bank).Data(0, eventlog.EVSeparator, make([]byte, 4)).Data(17, eventlog.EVAction, []byte("launch")).Recording()
	log := mustParse(t, rec.Log)
	for last := range byte(6) {
		start := make([]byte, 32)
		start[31] = last
		values := eventlog.Values{bank: {0: bank.Sum(start, bank.Sum(make([]byte, 4)))}}
		v := verdict(t, log, values, bank, 0)
		if found := v.Hypothesis != nil && v.Hypothesis.Code == "other_start"; last != 0 && found != (last < 5) {
			t.Errorf("start %d: %s %+v", last, v.State, v.Hypothesis)
		}
	}
	ones := bytes.Repeat([]byte{0xff}, 32)
	values := eventlog.Values{bank: {17: bank.Sum(ones, bank.Sum([]byte("launch")))}}
	if v := verdict(t, log, values, bank, 17); v.Hypothesis == nil || v.Hypothesis.Code != "other_start" {
		t.Errorf("PCR 17 from ones: %s %+v", v.State, v.Hypothesis)
	}
}

func TestVendorsHabitsAreNoOddities(t *testing.T) {
	zero := make([]byte, 4)
	for name, c := range map[string]struct {
		build func(*synth.Builder)
		quirk string
	}{
		"a program of the firmware":       {func(b *synth.Builder) { b.Event(4, eventlog.EVEFIBootServicesApp, []byte("setup"), fvImage()) }, "Q16"},
		"a program before the boot":       {func(*synth.Builder) {}, "Q16"},
		"an option ROM, late":             {func(b *synth.Builder) { b.Data(2, eventlog.EVEFIBootServicesDriver, fvImage()) }, "Q17"},
		"a vendor's setting beside db":    {func(b *synth.Builder) { b.Data(7, eventlog.EVEventTag, []byte("SVM")) }, "Q17"},
		"a program in a PCR of firmware":  {func(b *synth.Builder) { b.Data(2, eventlog.EVEFIBootServicesApp, fvImage()) }, ""},
		"an event that was given a label": {func(b *synth.Builder) { b.Data(6, eventlog.EVIPL, []byte("x")) }, ""},
	} {
		b := synth.Agile(eventlog.SHA256)
		if name == "a program before the boot" {
			b.Event(4, eventlog.EVEFIBootServicesApp, []byte("sysprep"), wire.NewLE().U64(0).U64(8).U64(0).U64(8).
				Bytes([]byte{1, 1, 4, 0, 0x7f, 0xff, 4, 0}).Out())
		}
		for pcr := range uint32(8) {
			b.Data(pcr, eventlog.EVSeparator, zero)
		}
		c.build(b)
		log := mustParse(t, b.Recording().Log)
		v := log.Verify(nil, eventlog.Rules{})
		quirk := ""
		for _, f := range v.Grammar {
			quirk = f.Quirk
		}
		want := map[bool]eventlog.Outcome{true: eventlog.NotProven, false: eventlog.Pass}[c.quirk == ""]
		if len(v.Grammar) != 1 || quirk != c.quirk || checkOf(v, "grammar") != want {
			t.Errorf("%s: %+v, grammar %s", name, v.Grammar, checkOf(v, "grammar"))
		}
		if c.quirk != "" {
			ignored := log.Verify(nil, eventlog.Rules{Strict: true, Ignore: []string{c.quirk}})
			if checkOf(v, "deviation") != eventlog.NotProven || checkOf(ignored, "deviation") != eventlog.Pass {
				t.Errorf("%s: %+v", name, v.Checks)
			}
		}
	}
}

func TestSignaturesOfTrustPoints(t *testing.T) {
	log := mustParse(t, synth.Windows(synth.Default()).Log)
	var saw int
	rules := func(weakness string, err error, ignore ...string) eventlog.Rules {
		return eventlog.Rules{Ignore: ignore, Signed: func(attest, signature []byte) (string, error) {
			if bytes.HasPrefix(attest, []byte{0xff, 'T', 'C', 'G'}) && string(signature) == "signature" {
				saw++
			}
			return weakness, err
		}}
	}
	for name, c := range map[string]struct {
		rules eventlog.Rules
		want  eventlog.Outcome
	}{
		"no key":                  {eventlog.Rules{}, eventlog.NotProven},
		"of the key":              {rules("", nil), eventlog.Pass},
		"of another key":          {rules("", errors.New("no")), eventlog.Fail},
		"with SHA-1":              {rules("with SHA-1", nil), eventlog.NotProven},
		"with SHA-1, taken as is": {rules("with SHA-1", nil, "Q14"), eventlog.Pass},
	} {
		if got := checkOf(log.Verify(nil, c.rules), "trust_point_signature"); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if saw != 4 {
		t.Errorf("the quote and its signature were handed over %d times", saw)
	}
	if q := log.TrustPoints(); len(q) != 1 || q[0].AIK != "WindowsAIK" || q[0].Made != "2024-12-30T02:40:00Z" {
		t.Errorf("%+v", q)
	}
}

func TestWithoutALogTheValuesTellWhatIsMissing(t *testing.T) {
	const bank = eventlog.SHA256
	values := func(extended ...int) eventlog.Values {
		v := eventlog.Values{bank: {}}
		for pcr := range 24 {
			v[bank][pcr] = eventlog.ResetValue(bank, pcr)
		}
		for _, pcr := range extended {
			v[bank][pcr] = bank.Sum([]byte("x"))
		}
		return v
	}
	for name, c := range map[string]struct {
		values eventlog.Values
		words  string
	}{
		"GRUB without Secure Boot": {values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14), "Q1: PCR 0,4,7-9 are extended, by GRUB"},
		"another loader":           {values(0, 4, 7), "Q1: PCR 0,4,7 are extended: the boot was measured"},
		"firmware alone":           {values(0), "PCR 0 are extended, and none of those"},
		"nothing":                  {values(), "PCR 0,4,7-9 hold their reset values: the firmware measured nothing"},
	} {
		v := eventlog.WithoutLog(c.values)
		text := ""
		for _, check := range v.Checks {
			text += check.Text + "\n"
		}
		if !strings.Contains(text, c.words) || v.Worst() != eventlog.NotProven {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestACommandLineThatWasNotMeasuredIsTold(t *testing.T) {
	machine := synth.Default()
	log := mustParse(t, synth.ShimGRUB(machine).Log)
	for running, want := range map[string]eventlog.Outcome{
		"BOOT_IMAGE=/boot/vmlinuz-6.12.41 " + machine.Cmdline + "\n": eventlog.Pass,
		machine.Cmdline:                   eventlog.Pass,
		machine.Cmdline + " init=/bin/sh": eventlog.NotProven,
	} {
		if c, ok := log.CheckCmdline(running); !ok || c.Outcome != want {
			t.Errorf("%q: %t %+v", running, ok, c)
		}
	}
	for running, want := range map[string]eventlog.Outcome{machine.Cmdline: eventlog.Pass, "x": eventlog.NotProven} {
		if c, ok := mustParse(t, synth.UKI(machine).Log).CheckCmdline(running); !ok || c.Outcome != want {
			t.Errorf("by its digest, %q: %t %+v", running, ok, c)
		}
	}
	if _, ok := log.CheckCmdline(""); ok {
		t.Error("a command line that nobody told is compared")
	}
	if _, ok := mustParse(t, synth.SeaBIOS(machine).Log).CheckCmdline("x"); ok {
		t.Error("a command line was found where none was measured")
	}
}

func TestBanksOfUnknownHashesAreNotPassedOver(t *testing.T) {
	rec := synth.UKI(synth.Default())
	values := live(rec, eventlog.SHA256)
	values[eventlog.Alg(0x7777)] = map[int]eventlog.Hex{0: make([]byte, 24)}
	if got := checkOf(mustParse(t, rec.Log).Verify(values, eventlog.Rules{}), "bank_not_checked"); got != eventlog.NotProven {
		t.Errorf("%q", got)
	}
}

// Every deviation that the code names is in the table of the documentation, and the other way round.
func TestDeviationsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/eventlog.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, what := range eventlog.Deviations() {
		if !strings.Contains(string(text), "\n| "+code+" | ") {
			t.Errorf("%s is not in the table: %s", code, what)
		}
	}
}

func TestVariablesThatWereChangedSinceAreTold(t *testing.T) {
	rec := synth.UKI(synth.Default())
	log := mustParse(t, rec.Log)
	now := make(map[string][]byte) // as the running system shows them
	for i := range log.Events {
		e := &log.Events[i]
		if d, _ := e.Decode(); d.Kind() == "efi_variable" && e.Type != eventlog.EVEFIVariableAuthority {
			v := d.(*eventlog.Variable)
			now[v.Name] = e.Data[len(e.Data)-v.Size:]
		}
	}
	read := func(name, _ string) ([]byte, bool) { data, ok := now[name]; return data, ok }
	c, ok := log.CheckVariables(read)
	if !ok || c.Outcome != eventlog.Pass || strings.Contains(c.Text, "Q2") {
		t.Errorf("unchanged: %t %+v", ok, c)
	}
	now["BootOrder"] = []byte{1, 0}
	delete(now, "db")
	if c, _ := log.CheckVariables(read); !strings.Contains(c.Text, "1 are not to be seen any more (Q23)") || !strings.Contains(c.Text, "(Q22): BootOrder; PCR 1 may differ") {
		t.Errorf("changed: %s", c.Text)
	}
	clear(now)
	if c, ok := log.CheckVariables(read); ok && !strings.Contains(c.Text, "Q23") {
		t.Errorf("none to be seen: %+v", c)
	}
}
