package eventlog_test

import (
	"encoding/json"
	"runtime"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// exercise runs everything that reads a log. It must end without a panic, whatever the log says.
func exercise(t testing.TB, log *eventlog.Log, size int) {
	t.Helper()
	end := 0
	for i := range log.Events {
		e := &log.Events[i]
		if e.Number != i || e.Offset < 0 || e.Offset > size || len(e.Data) > 16*size+64 {
			t.Fatalf("event %d: number %d, offset %d, %d bytes of data, in a log of %d bytes", i, e.Number, e.Offset, len(e.Data), size)
		}
		if log.Format == eventlog.FormatAgile && e.Offset < end {
			t.Fatalf("event %d begins at %d, before the end of the one before it, %d", i, e.Offset, end)
		}
		end = e.Offset + len(e.Data)
		if i < 2000 {
			if r := e.Record(); r.Decoded == nil || r.Kind == "" || r.Check.Binding == "" {
				t.Fatalf("event %d: record %+v", i, r)
			} else if _, err := json.Marshal(r); err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
		}
	}
	for _, b := range log.Replay().Banks {
		for _, p := range b.PCRs {
			if len(p.Value) != b.Alg.Size() {
				t.Fatalf("%s:%d has %d bytes", b.Alg, p.Index, len(p.Value))
			}
		}
	}
	if len(log.Events) < 2000 {
		values := eventlog.Values{eventlog.SHA256: {}}
		for pcr := range 24 {
			values[eventlog.SHA256][pcr] = eventlog.SHA256.Sum([]byte{byte(pcr)})
		}
		log.Verify(values, eventlog.Rules{Strict: true})
		exerciseWords(t, log)
	}
}

// exerciseWords has everything told about a log, and everything taken out of it that names a machine.
func exerciseWords(t testing.TB, log *eventlog.Log) {
	t.Helper()
	n := 0
	for s := range log.Sentences() {
		if n++; s.By == "" || s.Phase == "" || s.Binding == "" {
			t.Fatalf("event %d: %+v", s.Event, s)
		}
	}
	if n != len(log.Events) {
		t.Fatalf("%d sentences for %d events", n, len(log.Events))
	}
	log.Explain()
	copied, blanks := log.Anonymise()
	for i := range log.Events {
		if len(copied.Events[i].Data) != len(log.Events[i].Data) {
			t.Fatalf("event %d has another length without names", i)
		}
	}
	if _, again := copied.Anonymise(); len(again) > len(blanks) {
		t.Fatalf("%d events lose names, and then %d", len(blanks), len(again))
	}
}

func TestHostileLogsAreReadWithoutHarm(t *testing.T) {
	cases := synth.Hostile()
	if len(cases) < 150 {
		t.Errorf("the catalogue has %d cases", len(cases))
	}
	seen := make(map[string]bool)
	for _, c := range cases {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			log, err := eventlog.Parse(c.Data)
			if err != nil {
				if fail.KindOf(err) != fail.BadInput {
					t.Errorf("%v of kind %s", err, fail.KindOf(err))
				}
				return
			}
			exercise(t, log, len(c.Data))
		})
	}
}

func TestParsingAllocatesInProportionToTheInput(t *testing.T) {
	for _, c := range synth.Hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		log, _ := eventlog.Parse(c.Data)
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(log)
		if grown, most := after.TotalAlloc-before.TotalAlloc, uint64(16*len(c.Data)+1<<20); grown > most {
			t.Errorf("%s: %d bytes allocated for an input of %d", c.Name, grown, len(c.Data))
		}
	}
}

// A log of the usual kind must stay in three times its size, the input included.
func TestALongLogNeedsTwiceItsSizeBesideItself(t *testing.T) {
	for name, data := range map[string][]byte{"one bank": longLog(60000, eventlog.SHA256), "four banks": longLog(20000, fourBanks...)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		log := mustParse(t, data)
		log.Replay()
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(2*len(data)) {
			t.Errorf("%s: %d bytes allocated for a log of %d", name, grown, len(data))
		}
	}
}
