package baseline_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// boots are the machines of eventlog/synth.
var boots = map[string]func(synth.Machine) *synth.Recording{
	"shim and GRUB": synth.ShimGRUB, "UKI": synth.UKI, "Windows": synth.Windows, "SeaBIOS": synth.SeaBIOS, "TPM 1.2": synth.TPM12,
}

// boot is what a machine measures: its log, and the PCRs that it leads to.
func boot(t testing.TB, kind string, change func(*synth.Machine)) *baseline.Measured {
	t.Helper()
	machine := synth.Default()
	if change != nil {
		change(&machine)
	}
	log, err := eventlog.Parse(boots[kind](machine).Log)
	if err != nil {
		t.Fatal(err)
	}
	return &baseline.Measured{Values: pcr.Replayed(log), Log: log, Source: "boot.bin"}
}

var by = baseline.Entry{Action: "create", Time: time.Unix(1_800_000_000, 0).UTC(), User: "alice"}

func create(t testing.TB, m *baseline.Measured, sel ...pcr.BankSelection) *baseline.Baseline {
	t.Helper()
	b, err := baseline.Create(m, sel, by)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reread writes a baseline and reads it again.
func reread(t *testing.T, b *baseline.Baseline) *baseline.Baseline {
	t.Helper()
	text, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := baseline.Decode(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return again
}

func digest(t *testing.T, b *baseline.Baseline) string {
	t.Helper()
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestABootIsTrustedByItsOwnBaseline(t *testing.T) {
	for kind := range boots {
		m := boot(t, kind, nil)
		b := create(t, m)
		again := reread(t, b)
		if digest(t, b) != digest(t, again) {
			t.Errorf("%s: the digest is another after reading", kind)
		}
		v := again.Check(m)
		if v.State != baseline.Trusted {
			t.Errorf("%s: %s %+v", kind, v.State, v.Checks)
		}
		values, err := pcr.Decode(must(b.Encode()), nil)
		if err != nil || values.Selection().String() != b.Selection().String() {
			t.Errorf("%s: the file is no file of PCR values: %v", kind, err)
		}
	}
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

func TestSystemdsMeasurementsSurviveTheFile(t *testing.T) {
	m := boot(t, "UKI", nil)
	text := `{"pcr":15,"digests":[{"hashAlg":"sha256","digest":"` + eventlog.SHA256.Sum([]byte("a & b")).String() +
		`"}],"content_type":"systemd","content":{"string":"a & b","eventType":"machine-id"}}`
	later, err := eventlog.Parse([]byte("\x1e" + text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	m.Log.Append(later)
	m.Values = pcr.Replayed(m.Log)
	b := create(t, m)
	again := reread(t, b)
	if digest(t, b) != digest(t, again) || again.Check(m).State != baseline.Trusted {
		t.Error("a baseline with systemd's events is another after reading")
	}
	events := again.Log().Events
	if d, _ := events[len(events)-1].Decode(); d.String() != "machine-id: a & b" {
		t.Errorf("%s", d)
	}
}

func TestDefaultSelectionIsWhatCanBeExplained(t *testing.T) {
	m := boot(t, "UKI", nil)
	extend := func(n int) {
		m.Values.Set(eventlog.SHA256, n, eventlog.SHA256.Sum(m.Values.Get(eventlog.SHA256, n), make([]byte, 32)))
	}
	extend(10)
	extend(11) // systemd, without its log
	extend(16)
	m.Values, _ = m.Values.Only(pcr.Selection{{Bank: eventlog.SHA256, PCRs: pcr.All}})
	if got := create(t, m).Selection().String(); got != "sha256:0,1,2,3,4,5,6,7,8,9,12,13,14,15" {
		t.Errorf("with a log: %s", got)
	}
	m.Log = nil
	if got := create(t, m).Selection().String(); got != "sha256:0,1,2,3,4,5,6,7,8,9,14" {
		t.Errorf("without: %s", got)
	}
	if got := create(t, m, pcr.Of(eventlog.SHA256, 7, 10)...).Selection().String(); got != "sha256:7,10" {
		t.Errorf("chosen: %s", got)
	}
	m.Log = boot(t, "Windows", nil).Log
	if _, err := baseline.Create(m, nil, by); err != nil {
		t.Fatal(err) // PCRs that neither boot touches are explained
	}
}

func TestStatesOfAMachine(t *testing.T) {
	kernel := func(m *synth.Machine) { m.Kernel = []byte("other") }
	const sha1, sha256 = eventlog.SHA1, eventlog.SHA256
	for name, c := range map[string]struct {
		change func(*synth.Machine)
		alter  func(*baseline.Measured)
		want   baseline.State
		failed string // the check that fails
	}{
		"unchanged":            {nil, nil, baseline.Trusted, ""},
		"another kernel":       {kernel, nil, baseline.Exception, "pcrs"},
		"without its log":      {kernel, func(m *baseline.Measured) { m.Log = nil }, baseline.Exception, "pcrs"},
		"with the old log":     {nil, func(m *baseline.Measured) { m.Values.Set(sha256, 4, make([]byte, 32)) }, baseline.Exception, "pcrs"},
		"one bank off":         {nil, func(m *baseline.Measured) { drop(m, sha256) }, baseline.Exception, "measured"},
		"one bank not used":    {nil, func(m *baseline.Measured) { reset(m, sha1) }, baseline.Exception, "measured"},
		"all banks off":        {nil, func(m *baseline.Measured) { drop(m, sha1); drop(m, sha256) }, baseline.Unmeasured, ""},
		"nothing measured":     {nil, func(m *baseline.Measured) { reset(m, sha1); reset(m, sha256) }, baseline.Unmeasured, ""},
		"a PCR kept back":      {nil, func(m *baseline.Measured) { keepBack(m, 7, sha1, sha256) }, baseline.Exception, "unmeasured_pcrs"},
		"in one of its banks":  {nil, func(m *baseline.Measured) { keepBack(m, 7, sha1) }, baseline.Exception, "unmeasured_pcrs"},
		"on a software TPM":    {nil, func(m *baseline.Measured) { m.Origin = tpm.Origin{Target: "engine:x", Emulated: true} }, baseline.Exception, "tpm"},
		"a PCR nobody watches": {nil, func(m *baseline.Measured) { m.Values.Set(sha256, 23, make([]byte, 32)) }, baseline.Trusted, ""},
	} {
		b := create(t, boot(t, "UKI", nil))
		m := boot(t, "UKI", c.change)
		if c.alter != nil {
			c.alter(m)
		}
		v := b.Check(m)
		var failed string
		for _, check := range v.Checks {
			if check.Outcome == eventlog.Fail {
				failed = check.Name
			}
		}
		if v.State != c.want || failed != c.failed {
			t.Errorf("%s: %s, failed %q: %+v", name, v.State, failed, v.Checks)
		}
	}
}

func drop(m *baseline.Measured, bank pcr.Bank) {
	m.Values.Banks = slices.DeleteFunc(m.Values.Banks, func(b pcr.BankValues) bool { return b.Bank == bank })
}

// keepBack leaves a PCR out, as a file of values can, and a TPM whose banks have not all PCRs.
func keepBack(m *baseline.Measured, n int, banks ...pcr.Bank) {
	for i := range m.Values.Banks {
		if b := &m.Values.Banks[i]; slices.Contains(banks, b.Bank) {
			b.PCRs = slices.DeleteFunc(b.PCRs, func(v pcr.Value) bool { return v.PCR == n })
		}
	}
}

func reset(m *baseline.Measured, bank pcr.Bank) {
	for n := range 8 {
		m.Values.Set(bank, n, make([]byte, bank.Size()))
	}
}

func TestAProofThatFailedMakesAnException(t *testing.T) {
	m := boot(t, "UKI", nil)
	v := create(t, m).Check(m, eventlog.NamedCheck{Name: "signature", Outcome: eventlog.Fail})
	if v.State != baseline.Exception {
		t.Errorf("%s", v.State)
	}
}

// What a log does not lead to is never passed off as explained: neither by a forged log, nor as a mere counter.
func TestAForgedLogDoesNotMakeAChangeACounter(t *testing.T) {
	b := create(t, boot(t, "Windows", nil))
	next := boot(t, "Windows", func(m *synth.Machine) { m.Windows.BootCounter++ })
	if v := b.Check(next); v.State != baseline.Trusted {
		t.Fatalf("the next boot: %+v", v.Checks)
	}
	evil := boot(t, "Windows", func(m *synth.Machine) { m.Windows.BootCounter++; m.Windows.TestSigning = true })
	evil.Log = next.Log
	if v := b.Check(evil); v.State != baseline.Exception {
		t.Errorf("a log of another boot: %s", v.State)
	}
	// Something that no log tells of was extended when the baseline was made, and is not there any more.
	then := boot(t, "Windows", nil)
	then.Values.Set(eventlog.SHA256, 12, eventlog.SHA256.Sum(then.Values.Get(eventlog.SHA256, 12), make([]byte, 32)))
	if v := create(t, then, pcr.BankSelection{Bank: eventlog.SHA256, PCRs: pcr.SetOf(12)}).Check(next); v.State != baseline.Exception {
		t.Errorf("a baseline that its own events do not lead to: %s", v.State)
	}
}

func TestAcceptTakesOverWhatIsNamedAndNothingElse(t *testing.T) {
	before := boot(t, "shim and GRUB", nil)
	after := boot(t, "shim and GRUB", func(m *synth.Machine) { m.Kernel = []byte("other"); m.Cmdline += " quiet" })
	b := create(t, before)
	original := digest(t, b)
	accept := func(b *baseline.Baseline, items ...string) *baseline.Baseline {
		t.Helper()
		var list []baseline.Item
		for _, word := range items {
			item, err := baseline.ParseItem(word)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, item)
		}
		next, err := b.Accept(after, list, baseline.Entry{Action: "accept", User: "bob", Reason: "update"})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	differs := func(b *baseline.Baseline) (list []int) {
		for _, p := range reread(t, b).Check(after).PCRs {
			if p.State != baseline.Trusted {
				list = append(list, p.PCR)
			}
		}
		return list
	}
	if got := differs(b); !slices.Equal(got, []int{4, 8, 9}) {
		t.Fatalf("before: %v", got)
	}
	for _, c := range []struct {
		items []string
		left  []int
		words int
	}{
		{[]string{"4"}, []int{8, 9}, 1},
		{[]string{"4.1"}, []int{8, 9}, 1},
		{[]string{"boot-loader-code", "8", "9"}, nil, 5},
		{[]string{"8.1"}, []int{4, 8, 9}, 1},
		{[]string{"8.2", "8.1", "8.1"}, []int{4, 9}, 2},
		{[]string{"8.1", "8"}, []int{4, 9}, 2},
		{[]string{"9.1", "4"}, []int{8, 9}, 2},
	} {
		next := accept(b, c.items...)
		if got := differs(next); !slices.Equal(got, c.left) {
			t.Errorf("%v: %v still differ", c.items, got)
		}
		last := next.History[len(next.History)-1]
		if last.Reason != "update" || last.User != "bob" || len(last.Events) != c.words || len(next.History) != 2 {
			t.Errorf("%v: history %+v", c.items, last)
		}
	}
	if accept(b, "0", "7") != nil {
		t.Error("something was accepted where nothing differs")
	}
	if digest(t, b) != original {
		t.Error("the old baseline was changed")
	}
}

func TestWhatCannotBeAcceptedIsRefused(t *testing.T) {
	after := boot(t, "UKI", func(m *synth.Machine) { m.Kernel = []byte("other") })
	b := create(t, boot(t, "UKI", nil))
	byValue := boot(t, "UKI", nil)
	byValue.Values.Set(eventlog.SHA256, 4, make([]byte, 32))
	values := create(t, byValue, pcr.Of(eventlog.SHA256, 0, 4)...)
	for name, c := range map[string]struct {
		b    *baseline.Baseline
		item baseline.Item
		kind fail.Kind
	}{
		"a PCR that is not covered":               {b, baseline.Item{PCR: 10}, fail.Usage},
		"a change there is none of":               {b, baseline.Item{PCR: 4, Change: 9}, fail.Usage},
		"one event of a PCR known by value alone": {values, baseline.Item{PCR: 4, Change: 1}, fail.Usage},
	} {
		if _, err := c.b.Accept(after, []baseline.Item{c.item}, by); fail.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if next, err := values.Accept(after, []baseline.Item{{PCR: 4}}, by); err != nil || next.Check(after).State != baseline.Trusted {
		t.Errorf("the PCR as a whole: %v", err)
	}
	drop(after, eventlog.SHA1)
	drop(after, eventlog.SHA256)
	if _, err := b.Accept(after, []baseline.Item{{PCR: 4}}, by); fail.KindOf(err) != fail.Unsupported {
		t.Errorf("a PCR without a value: %v", err)
	}
}

func TestItemsReadBackAsTheyArePrinted(t *testing.T) {
	for _, word := range []string{"4", "4.1", "23", "0.12"} {
		if item, err := baseline.ParseItem(word); err != nil || item.String() != word {
			t.Errorf("%s: %v, %v", word, item, err)
		}
	}
	for _, word := range []string{"", "24", "4.", "4.0", "4.-1", "4.x", ".1", "x"} {
		if item, err := baseline.ParseItem(word); err == nil {
			t.Errorf("%q is read as %v", word, item)
		}
	}
}

// FuzzDecode: whatever the file says, a baseline that is read can be written, read again and checked.
func FuzzDecode(f *testing.F) {
	sha256 := func(m *synth.Machine) { m.Banks = []eventlog.Alg{eventlog.SHA256} }
	f.Add(must(create(f, boot(f, "UKI", sha256), pcr.Of(eventlog.SHA256, 4, 11)...).Encode()))
	f.Add(must(create(f, boot(f, "Windows", sha256), pcr.Of(eventlog.SHA256, 12)...).Encode()))
	f.Add([]byte(`{"schema":"vtpmctl.baseline/v1","banks":[{"name":"sha256","pcrs":[]}],"history":[{}],"events":[{"pcr":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := baseline.Decode(data)
		if err != nil {
			return
		}
		text, err := b.Encode()
		if err != nil {
			return // an event whose content is no JSON
		}
		again, err := baseline.Decode(text)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if one, other := must(again.Encode()), text; !bytes.Equal(one, other) {
			t.Errorf("another text after reading\n%s\n%s", other, one)
		}
		again.Check(&baseline.Measured{Values: &b.Values, Log: b.Log()})
	})
}

func TestDecodeRefusesWhatIsNotWhole(t *testing.T) {
	b := create(t, boot(t, "UKI", nil))
	good := must(b.Encode())
	for name, alter := range map[string]func(map[string]any){
		"another schema":     func(f map[string]any) { f["schema"] = "vtpmctl.evidence/v1" },
		"no PCRs":            func(f map[string]any) { f["banks"] = []any{} },
		"no history":         func(f map[string]any) { f["history"] = []any{} },
		"a bank twice":       func(f map[string]any) { l := f["banks"].([]any); f["banks"] = append(l, l[0]) },
		"an event of no PCR": func(f map[string]any) { delete(f["events"].([]any)[3].(map[string]any), "pcr") },
		"events of no kind":  func(f map[string]any) { f["events"] = "none" },
	} {
		var f map[string]any
		if err := json.Unmarshal(good, &f); err != nil {
			t.Fatal(err)
		}
		alter(f)
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := baseline.Decode(text); fail.KindOf(err) != fail.BadInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}
