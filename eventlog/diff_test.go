package eventlog_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// lines prints a diff in the shape tests compare with.
func lines(d *eventlog.Diff) []string {
	var out []string
	for _, p := range d.PCRs {
		for _, c := range p.Changes {
			out = append(out, fmt.Sprintf("%d %s %s %v", p.PCR, c.Kind, c.Type, c.Fields))
		}
	}
	return out
}

func TestDiffNamesWhatChangedAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		boot   string
		change func(*synth.Machine)
		want   []string
	}{
		"nothing": {"UKI", func(*synth.Machine) {}, nil},
		"kernel under GRUB": {"shim and GRUB", func(m *synth.Machine) { m.Kernel = []byte("other") }, []string{
			"4 changed EV_EFI_BOOT_SERVICES_APPLICATION [size: \"21\" -> \"5\"]",
			"9 changed EV_IPL [the measured bytes, which are not in the log]"}},
		"command line under GRUB": {"shim and GRUB", func(m *synth.Machine) { m.Cmdline += " single" }, []string{
			"8 changed EV_IPL [+single]", "8 changed EV_IPL [+single]",
			"9 changed EV_EVENT_TAG [the measured bytes, which are not in the log]"}},
		"a revocation": {"UKI", func(m *synth.Machine) { m.DBX = append(m.DBX, "x") }, []string{
			fmt.Sprintf("7 changed EV_EFI_VARIABLE_DRIVER_CONFIG [+hash %s]", eventlog.SHA256.Sum([]byte("x")))}},
		"Windows debugging": {"Windows", func(m *synth.Machine) { m.Windows.Debugging = true }, []string{
			"12 changed EV_EVENT_TAG [-BOOTDEBUGGING=no +BOOTDEBUGGING=yes]", "12 changed EV_EVENT_TAG [-OSKERNELDEBUG=no +OSKERNELDEBUG=yes]"}},
		"a driver more": {"Windows", func(m *synth.Machine) { m.Windows.SystemModules = append(m.Windows.SystemModules, `\x.sys`) },
			[]string{"13 added EV_EVENT_TAG []"}},
	} {
		t.Run(name, func(t *testing.T) {
			machine := synth.Default()
			before := mustParse(t, boots[c.boot](machine).Log)
			c.change(&machine)
			got := eventlog.DiffLogs(before, mustParse(t, boots[c.boot](machine).Log))
			if !slices.Equal(lines(got), c.want) || got.Equal != (c.want == nil) {
				t.Errorf("equal %t\n%q\nwant\n%q", got.Equal, lines(got), c.want)
			}
		})
	}
}

func TestDiffTellsMovedAddedAndRemovedEvents(t *testing.T) {
	log := func(names ...string) *eventlog.Log {
		b := synth.Agile(eventlog.SHA256)
		for _, n := range names {
			b.Data(4, eventlog.EVEFIAction, []byte(n))
		}
		return mustParse(t, b.Recording().Log)
	}
	for name, c := range map[string]struct {
		before, after []string
		kinds         []string
		same          int
	}{
		"added":    {[]string{"a", "b", "c"}, []string{"a", "x", "b", "c"}, []string{"added"}, 3},
		"removed":  {[]string{"a", "b", "c"}, []string{"a", "c"}, []string{"removed"}, 2},
		"replaced": {[]string{"a", "b", "c"}, []string{"a", "x", "c"}, []string{"removed", "added"}, 2},
		"in two places": {[]string{"a", "b", "c", "d", "e"}, []string{"a", "x", "c", "y", "e"},
			[]string{"removed", "added", "removed", "added"}, 3},
		"all of it":     {[]string{"a"}, nil, []string{"removed"}, 0},
		"two exchanged": {[]string{"a", "b", "c"}, []string{"b", "a", "c"}, []string{"moved"}, 2},
		"one further down": {[]string{"a", "b", "c", "d"}, []string{"b", "c", "x", "a", "d"},
			[]string{"moved", "added"}, 3},
	} {
		d := eventlog.DiffLogs(log(c.before...), log(c.after...))
		var kinds []string
		for _, change := range d.PCRs[0].Changes {
			kinds = append(kinds, change.Kind)
		}
		if !slices.Equal(kinds, c.kinds) || d.PCRs[0].Same != c.same {
			t.Errorf("%s: %v, %d the same", name, kinds, d.PCRs[0].Same)
		}
	}
}

// What a PCR's value rests on and no digest of the common bank tells is a difference too.
func TestDiffSeesWhatTheCommonBankDoesNot(t *testing.T) {
	only := func(word string) *eventlog.Log {
		both := synth.Agile(eventlog.SHA1, eventlog.SHA256).Data(4, eventlog.EVEFIAction, []byte("x"))
		return mustParse(t, both.Only(eventlog.SHA1).Data(4, eventlog.EVEFIAction, []byte(word)).Recording().Log)
	}
	if d := eventlog.DiffLogs(only("a"), only("a")); !d.Equal {
		t.Errorf("the same: %q", lines(d))
	}
	if d := eventlog.DiffLogs(only("a"), only("b")); d.Equal {
		t.Error("other events with a digest in one bank alone are equal")
	}
	from := func(n byte) *eventlog.Log {
		b := synth.Agile(eventlog.SHA256).Data(0, eventlog.EVNoAction, locality(n))
		return mustParse(t, b.Data(0, eventlog.EVSCRTMVersion, []byte("v")).Recording().Log)
	}
	for _, n := range []byte{0, 4} {
		if d := eventlog.DiffLogs(from(n), from(3)); d.Equal || len(d.PCRs) != 1 || d.PCRs[0].PCR != 0 {
			t.Errorf("PCR 0 starts at %d and at 3: %q", n, lines(d))
		}
	}
}

// Where an image was loaded differs from boot to boot, and no digest covers it.
func TestLoadAddressesAreNoDifference(t *testing.T) {
	log := func(location uint64, image string) *eventlog.Log {
		data := wire.NewLE().U64(location).U64(8).U64(0).U64(4).Bytes([]byte{0x7f, 0xff, 4, 0}).Out()
		return mustParse(t, synth.Agile(eventlog.SHA256).Event(4, eventlog.EVEFIBootServicesApp, []byte(image), data).Recording().Log)
	}
	if d := eventlog.DiffLogs(log(0x1000, "same"), log(0x2000, "same")); !d.Equal {
		t.Errorf("%q", lines(d))
	}
	got := lines(eventlog.DiffLogs(log(0x1000, "one"), log(0x2000, "other")))
	if want := []string{"4 changed EV_EFI_BOOT_SERVICES_APPLICATION [the measured bytes, which are not in the log]"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestLongLogsAreDiffedInBoundedSpace(t *testing.T) {
	a, b := mustParse(t, longLog(5000, eventlog.SHA256)), mustParse(t, longLog(5001, eventlog.SHA256))
	if d := eventlog.DiffLogs(a, b); len(d.PCRs) != 1 || len(d.PCRs[0].Changes) != 1 || d.PCRs[0].Same != 5000 {
		t.Errorf("%d PCRs", len(d.PCRs))
	}
}

// Windows counts its boots in what it measures; that is no difference, and a setting beside the counter is one.
func TestCountersAreNoDifference(t *testing.T) {
	machine := synth.Default()
	before := mustParse(t, synth.Windows(machine).Log)
	machine.Windows.BootCounter++
	next := mustParse(t, synth.Windows(machine).Log)
	if d := eventlog.DiffLogs(before, next); !d.Equal || !slices.Equal(d.Volatile, []int{12}) {
		t.Errorf("%q, volatile %v", lines(d), d.Volatile)
	}
	machine.Windows.BitLocker = 0x40
	d := eventlog.DiffLogs(before, mustParse(t, synth.Windows(machine).Log))
	if d.Equal || len(d.Volatile) != 0 {
		t.Errorf("another way to unlock: equal %t, volatile %v", d.Equal, d.Volatile)
	}
	// A label that merely says "counter" hides nothing: its digest is of something else.
	forged := func(counter uint64) *eventlog.Log {
		data := wire.NewLE().U32(0x40010001).Sized32(wire.NewLE().U32(0x00020002).Sized32(wire.NewLE().U64(counter).Out()).Out()).Out()
		return mustParse(t, synth.Agile(eventlog.SHA256).Event(12, eventlog.EVEventTag, []byte{byte(counter)}, data).Recording().Log)
	}
	if d := eventlog.DiffLogs(forged(1), forged(2)); d.Equal {
		t.Error("an event whose digest does not cover the counter passes as a counter")
	}
}

func TestMergedLogsReplayToWhatWasChosen(t *testing.T) {
	log := func(names ...string) *eventlog.Log {
		b := synth.Agile(eventlog.SHA256)
		for _, n := range names {
			b.Data(4, eventlog.EVEFIAction, []byte(n))
		}
		return mustParse(t, b.Data(5, eventlog.EVEFIAction, []byte("last")).Recording().Log)
	}
	value := func(l *eventlog.Log, pcr int) string { return l.Replay().Bank(eventlog.SHA256).PCR(pcr).Value.String() }
	for name, c := range map[string]struct {
		before, after []string
		chosen        map[int][]int
		want          []string
	}{
		"nothing":           {[]string{"a", "b"}, []string{"a", "x"}, nil, []string{"a", "b"}},
		"all of a PCR":      {[]string{"a", "b"}, []string{"a", "x"}, map[int][]int{4: nil}, []string{"a", "x"}},
		"every change":      {[]string{"a", "b"}, []string{"x", "a"}, map[int][]int{4: {0, 1}}, []string{"x", "a"}},
		"one added":         {[]string{"a", "b"}, []string{"a", "x", "b", "y"}, map[int][]int{4: {0}}, []string{"a", "x", "b"}},
		"the other":         {[]string{"a", "b"}, []string{"a", "x", "b", "y"}, map[int][]int{4: {1}}, []string{"a", "b", "y"}},
		"one removed":       {[]string{"a", "b", "c"}, []string{"b"}, map[int][]int{4: {0}}, []string{"b", "c"}},
		"added at the head": {[]string{"a"}, []string{"x", "a", "y"}, map[int][]int{4: {0}}, []string{"x", "a"}},
	} {
		merged := eventlog.Merge(log(c.before...), log(c.after...), c.chosen)
		if got, want := value(merged, 4), value(log(c.want...), 4); got != want {
			t.Errorf("%s: %d events, another value than %q", name, len(merged.Events), c.want)
		}
		if got, want := value(merged, 5), value(log(), 5); got != want {
			t.Errorf("%s: PCR 5 changed", name)
		}
	}
}
