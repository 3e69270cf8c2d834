package eventlog_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// live is what a TPM holds after a boot: every PCR of every bank.
func live(rec *synth.Recording, banks ...eventlog.Alg) eventlog.Values {
	values := make(eventlog.Values)
	for _, bank := range banks {
		values[bank] = make(map[int]eventlog.Hex)
		extended := rec.PCRs(bank)
		for pcr := range 24 {
			values[bank][pcr] = eventlog.ResetValue(bank, pcr)
			if v := extended[pcr]; v != nil {
				values[bank][pcr] = v
			}
		}
	}
	return values
}

func extend(values eventlog.Values, bank eventlog.Alg, pcr int, digest []byte) {
	values[bank][pcr] = bank.Sum(values[bank][pcr], digest)
}

func verdict(t *testing.T, log *eventlog.Log, values eventlog.Values, bank eventlog.Alg, pcr int) eventlog.PCRVerdict {
	t.Helper()
	for _, v := range log.Compare(values) {
		if v.Bank == bank && v.PCR == pcr {
			return v
		}
	}
	t.Fatalf("no verdict about %s:%d", bank, pcr)
	return eventlog.PCRVerdict{}
}

// byAnybody believes every signature: the quotes of eventlog/synth have none.
func byAnybody(_, _ []byte) (string, error) { return "", nil }

func TestATrueLogVerifies(t *testing.T) {
	for name, boot := range boots {
		rec := boot(synth.Default())
		log := mustParse(t, rec.Log)
		v := log.Verify(live(rec, log.Banks...), eventlog.Rules{Signed: byAnybody})
		for _, c := range v.Checks {
			if c.Outcome != eventlog.Pass {
				t.Errorf("%s: %s %s: %s", name, c.Name, c.Outcome, c.Text)
			}
		}
		for _, p := range v.PCRs {
			if p.State != eventlog.Match {
				t.Errorf("%s: %s:%d %s", name, p.Bank, p.PCR, p.State)
			}
		}
	}
}

func TestEveryDifferenceHasItsVerdict(t *testing.T) {
	const bank = eventlog.SHA256
	rec := synth.UKI(synth.Default())
	log := mustParse(t, rec.Log)
	exit := func(text string) []byte { return bank.Sum([]byte("Exit Boot Services " + text)) }
	separator := bank.Sum(make([]byte, 4))
	for name, c := range map[string]struct {
		pcr        int
		change     func(eventlog.Values)
		state      eventlog.PCRState
		note, hypo string
	}{
		"nothing changed":              {4, func(eventlog.Values) {}, eventlog.Match, "", ""},
		"extended from userspace":      {8, func(v eventlog.Values) { extend(v, bank, 8, separator) }, eventlog.Unlogged, "by a separator only", ""},
		"IMA without its list":         {10, func(v eventlog.Values) { extend(v, bank, 10, exit("x")) }, eventlog.Unlogged, "--with ima", ""},
		"systemd without its log":      {15, func(v eventlog.Values) { extend(v, bank, 15, exit("x")) }, eventlog.Unlogged, "--with systemd", ""},
		"another kernel":               {4, func(v eventlog.Values) { v[bank][4] = bank.Sum([]byte("x")) }, eventlog.Differs, "", ""},
		"a bank that Windows closed":   {7, func(v eventlog.Values) { extend(v, bank, 7, make([]byte, 32)) }, eventlog.Capped, "closes a bank", ""},
		"a dynamic PCR read as zeroes": {17, func(v eventlog.Values) { v[bank][17] = make([]byte, 32) }, eventlog.Match, "", ""},
		"no final-events table": {5, func(v eventlog.Values) {
			extend(v, bank, 5, exit("Invocation"))
			extend(v, bank, 5, exit("Returned with Success"))
		},
			eventlog.Differs, "", "missing_exit_boot_services"},
	} {
		t.Run(name, func(t *testing.T) {
			values := live(rec, bank)
			c.change(values)
			v := verdict(t, log, values, bank, c.pcr)
			code := ""
			if v.Hypothesis != nil {
				code = v.Hypothesis.Code
			}
			if v.State != c.state || !strings.Contains(v.Note, c.note) || code != c.hypo {
				t.Errorf("%s, note %q, hypothesis %q", v.State, v.Note, code)
			}
		})
	}
}

func TestHypothesesAreFoundWhereTheLogIsAtFault(t *testing.T) {
	const bank = eventlog.SHA256
	actions := func(b *synth.Builder, names ...string) *synth.Builder {
		for _, n := range names {
			b.Data(0, eventlog.EVAction, []byte(n))
		}
		return b
	}
	truth := actions(synth.Agile(bank), "a", "b", "c").Recording()
	atLocality3 := make(eventlog.Values)
	value := make(eventlog.Hex, 32)
	value[31] = 3
	for _, e := range truth.Extends {
		value = bank.Sum(value, e.Digests[0].Value)
	}
	atLocality3[bank] = map[int]eventlog.Hex{0: value}
	for name, c := range map[string]struct {
		log    []byte
		values eventlog.Values
		code   string
	}{
		"locality not logged":     {truth.Log, atLocality3, "other_start"},
		"events listed twice":     {actions(synth.Agile(bank), "a", "b", "c", "b", "c").Recording().Log, live(truth, bank), "doubled_tail"},
		"events not extended yet": {actions(synth.Agile(bank), "a", "b", "c", "d").Recording().Log, live(truth, bank), "fewer_events"},
		"an event made up":        {actions(synth.Agile(bank), "a", "evil", "b", "c").Recording().Log, live(truth, bank), "one_event_less"},
		"an event left out":       {actions(synth.Agile(bank), "a", "c").Recording().Log, live(truth, bank), ""},
		"events swapped":          {actions(synth.Agile(bank), "b", "a", "c").Recording().Log, live(truth, bank), ""},
		"older boot of a bundle": {slices.Concat(wire.NewLE().Sized32(truth.Log).Out(),
			wire.NewLE().Sized32(actions(synth.Agile(bank), "x").Recording().Log).Out()), live(truth, bank), "older_log"},
	} {
		v := verdict(t, mustParse(t, c.log), c.values, bank, 0)
		code := ""
		if v.Hypothesis != nil {
			code = v.Hypothesis.Code
		}
		if v.State != eventlog.Differs || code != c.code {
			t.Errorf("%s: %s, hypothesis %q, want %q", name, v.State, code, c.code)
		}
	}
}

func TestIMAOfAKernelWithoutTheHashIsKnownByItsPadding(t *testing.T) {
	hashed := wire.NewLE().Sized32([]byte("sha256:\x00" + strings.Repeat("x", 32))).Sized32([]byte("/bin/sh\x00")).Out()
	template := eventlog.SHA1.Sum(hashed)
	list := wire.NewLE().U32(10).Bytes(template).Sized32([]byte("ima-ng")).Sized32(hashed).Out()
	log := mustParse(t, twoEvents(eventlog.SHA1, eventlog.SHA384).Recording().Log)
	log.Append(mustParse(t, list))
	padded := make([]byte, 48)
	copy(padded, template)
	values := eventlog.Values{eventlog.SHA384: {10: eventlog.SHA384.Sum(make([]byte, 48), padded)}}
	if v := verdict(t, log, values, eventlog.SHA384, 10); v.State != eventlog.Match || !strings.Contains(v.Note, "padded") {
		t.Errorf("padded: %s, %q", v.State, v.Note)
	}
	padded[47] = 1
	values[eventlog.SHA384][10] = eventlog.SHA384.Sum(make([]byte, 48), padded)
	if v := verdict(t, log, values, eventlog.SHA384, 10); v.State != eventlog.Differs {
		t.Errorf("padded with other bytes: %s", v.State)
	}
	values[eventlog.SHA384][10] = eventlog.SHA384.Sum(make([]byte, 48), eventlog.SHA384.Sum(hashed))
	if v := verdict(t, log, values, eventlog.SHA384, 10); v.State != eventlog.Match {
		t.Errorf("own hash: %s", v.State)
	}
}

func TestBanksTheLogLacksAreAbsent(t *testing.T) {
	rec := synth.UKI(synth.Default())
	values := live(rec, eventlog.SHA256)
	values[eventlog.SHA512] = map[int]eventlog.Hex{0: make([]byte, 64)}
	if v := verdict(t, mustParse(t, rec.Log), values, eventlog.SHA512, 0); v.State != eventlog.BankAbsent {
		t.Errorf("%s", v.State)
	}
}

func TestTamperingIsNoticedByTheCheckThatCan(t *testing.T) {
	const bank = eventlog.SHA256
	machine := synth.Default()
	machine.Banks = []eventlog.Alg{bank}
	rec := synth.UKI(machine)
	values := live(rec, bank)
	find := func(data []byte, needle string) int {
		i := bytes.Index(data, []byte(needle))
		if i < 0 {
			t.Fatalf("the log has no %q", needle)
		}
		return i
	}
	retype := func(data []byte, from, to uint32) {
		log := mustParse(t, rec.Log)
		for i := range log.Events {
			if e := &log.Events[i]; e.Type == eventlog.EventType(from) && e.PCR == 2 {
				copy(data[e.Offset+4:], wire.NewLE().U32(to).Out())
			}
		}
	}
	for name, c := range map[string]struct {
		tamper func([]byte)
		check  string
		want   eventlog.Outcome
	}{
		"data changed":    {func(b []byte) { b[find(b, "Calling EFI")] ^= 0x20 }, "data", eventlog.Fail},
		"digest changed":  {func(b []byte) { b[find(b, "Calling EFI")-4-1] ^= 1 }, "pcr_differs", eventlog.Fail},
		"type changed":    {func(b []byte) { retype(b, 4, 0x80000008) }, "grammar", eventlog.NotProven},
		"nothing changed": {func([]byte) {}, "pcr_match", eventlog.Pass},
	} {
		data := slices.Clone(rec.Log)
		c.tamper(data)
		v := mustParse(t, data).Verify(values, eventlog.Rules{})
		i := slices.IndexFunc(v.Checks, func(n eventlog.NamedCheck) bool { return n.Name == c.check })
		if i < 0 || v.Checks[i].Outcome != c.want {
			t.Errorf("%s: %+v", name, v.Checks)
		}
	}
}

func TestStrictRulesFailWhatIsNotProvenAndIgnoredQuirksPass(t *testing.T) {
	const bank = eventlog.SHA1
	rec := synth.Windows(synth.Default())
	log := mustParse(t, rec.Log)
	values := live(rec, bank)
	for pcr := range 14 {
		extend(values, bank, pcr, make([]byte, 20))
	}
	outcome := func(rules eventlog.Rules) eventlog.Outcome {
		for _, c := range log.Verify(values, rules).Checks {
			if c.Name == "pcr_capped" {
				return c.Outcome
			}
		}
		return eventlog.Pass
	}
	if got := outcome(eventlog.Rules{}); got != eventlog.NotProven {
		t.Errorf("lenient: %s", got)
	}
	if got := outcome(eventlog.Rules{Strict: true}); got != eventlog.Fail {
		t.Errorf("strict: %s", got)
	}
	if got := outcome(eventlog.Rules{Strict: true, Ignore: []string{"Q11"}}); got != eventlog.Pass {
		t.Errorf("Q11 ignored: %s", got)
	}
}

func TestGrammarNamesWhatIsOdd(t *testing.T) {
	zero := make([]byte, 4)
	boot := func(change func(*synth.Builder)) []eventlog.Finding {
		b := synth.Agile(eventlog.SHA256)
		for pcr := range uint32(8) {
			if pcr != 6 {
				b.Data(pcr, eventlog.EVSeparator, zero)
			}
		}
		change(b)
		return mustParse(t, b.Recording().Log).Grammar()
	}
	for name, c := range map[string]struct {
		change func(*synth.Builder)
		codes  []string
	}{
		"whole":       {func(b *synth.Builder) { b.Data(6, eventlog.EVSeparator, zero) }, nil},
		"one missing": {func(*synth.Builder) {}, []string{"no_separator"}},
		"one doubled": {func(b *synth.Builder) { b.Data(6, eventlog.EVSeparator, zero).Data(6, eventlog.EVSeparator, zero) }, []string{"second_separator"}},
		"an error":    {func(b *synth.Builder) { b.Event(6, eventlog.EVSeparator, []byte{1, 0, 0, 0}, []byte("oops")) }, []string{"firmware_error"}},
		"driver after separator": {func(b *synth.Builder) {
			b.Data(6, eventlog.EVSeparator, zero).Data(2, eventlog.EVEFIBootServicesDriver, zero)
		}, []string{"after_separator"}},
		"loader after separator": {func(b *synth.Builder) {
			b.Data(6, eventlog.EVSeparator, zero).Data(4, eventlog.EVEFIBootServicesApp, zero)
		}, nil},
	} {
		var codes []string
		for _, f := range boot(c.change) {
			codes = append(codes, f.Code)
		}
		if !slices.Equal(codes, c.codes) {
			t.Errorf("%s: %v, want %v", name, codes, c.codes)
		}
	}
}

func TestQuotesInATrustPointAreComparedWithTheReplay(t *testing.T) {
	machine := synth.Default()
	machine.Windows.TrustPoint = false
	rec := synth.Windows(machine)
	quote := func(pcrs []int, values map[int]eventlog.Hex) []byte {
		bitmap := make([]byte, 3)
		var joined []byte
		for _, p := range pcrs {
			bitmap[p/8] |= 1 << (p % 8)
			joined = append(joined, values[p]...)
		}
		w := wire.NewBE().U32(0xff544347).U16(0x8018).Sized16([]byte("name")).Sized16([]byte("nonce")).Bytes(make([]byte, 25))
		return w.U32(1).U16(uint16(eventlog.SHA256)).U8(3).Bytes(bitmap).Sized16(eventlog.SHA1.Sum(joined)).Out()
	}
	aggregate := func(attest []byte) []byte {
		return append(slices.Clone(rec.Log), func() []byte {
			data := wire.NewLE().U32(0xc0010004).Sized32(wire.NewLE().U32(0x80080001).Sized32(attest).Out()).Out()
			return wire.NewLE().U32(0xffffffff).U32(3).U32(1).U16(uint16(eventlog.SHA256)).Bytes(make([]byte, 32)).Sized32(data).Out()
		}()...)
	}
	pcrs := []int{0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14}
	good := rec.PCRs(eventlog.SHA256)
	checks := mustParse(t, aggregate(quote(pcrs, good))).TrustPoints()
	if len(checks) != 1 || !checks[0].Match || !slices.Equal(checks[0].PCRs, pcrs) {
		t.Errorf("%+v", checks)
	}
	good[12] = eventlog.SHA256.Sum([]byte("another boot"))
	if checks := mustParse(t, aggregate(quote(pcrs, good))).TrustPoints(); len(checks) != 1 || checks[0].Match || checks[0].Note != "" {
		t.Errorf("%+v", checks)
	}
	for name, attest := range map[string][]byte{"nonsense": []byte("nonsense"), "a quote of no PCR": quote(nil, nil)} {
		if checks := mustParse(t, aggregate(attest)).TrustPoints(); len(checks) != 1 || checks[0].Match || checks[0].Note == "" {
			t.Errorf("%s: %+v", name, checks)
		}
	}
	many := mustParse(t, bytes.Repeat(aggregate(quote(pcrs, good))[len(rec.Log):], 1000))
	if checks := many.TrustPoints(); len(checks) > 64 {
		t.Errorf("%d quotes are checked", len(checks))
	}
}
