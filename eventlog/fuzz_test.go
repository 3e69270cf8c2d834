package eventlog_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// maxSeed keeps the large cases of the catalogue out of the fuzzers, which would only copy them.
const maxSeed = 8 << 10

func FuzzParse(f *testing.F) {
	for _, boot := range boots {
		machine := synth.Default()
		machine.Banks = []eventlog.Alg{eventlog.SHA256}
		f.Add(boot(machine).Log)
	}
	for _, c := range synth.Hostile() {
		if len(c.Data) <= maxSeed {
			f.Add(c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := eventlog.Parse(data)
		if err != nil {
			return
		}
		exercise(t, log, len(data))
	})
}

// FuzzCEL checks that what one encoding of the Canonical Event Log keeps, the other two keep as well.
func FuzzCEL(f *testing.F) {
	for _, boot := range boots {
		machine := synth.Default()
		machine.Banks = []eventlog.Alg{eventlog.SHA256}
		log, err := eventlog.Parse(boot(machine).Log)
		if err != nil {
			f.Fatal(err)
		}
		for _, format := range cel {
			f.Add(written(f, log, format))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := eventlog.Parse(data)
		if err != nil || len(log.Events) == 0 || log.Format == eventlog.FormatAgile || log.Format == eventlog.FormatSHA1 {
			return
		}
		for _, name := range []eventlog.Format{eventlog.FormatCELTLV, eventlog.FormatCELCBOR} {
			back, err := eventlog.Parse(written(t, log, name))
			if err != nil || len(back.Events) != len(log.Events) {
				t.Fatalf("%s: %v", name, err)
			}
			for i := range log.Events {
				want, got := log.Events[i], back.Events[i]
				if want.Content == eventlog.ContentOther || want.Content == eventlog.ContentNV {
					continue // written as text of systemd, the one content that is a string of bytes
				}
				if got.PCR != want.PCR || got.Type != want.Type || !cmp.Equal(string(got.Data), string(want.Data)) {
					t.Fatalf("%s, event %d: %+v, want %+v", name, i, got, want)
				}
			}
		}
	})
}

// FuzzDecode gives bytes to the decoder of each type.
func FuzzDecode(f *testing.F) {
	seen := make(map[string]bool)
	add := func(log *eventlog.Log) {
		for i := range log.Events {
			if e := &log.Events[i]; len(e.Data) <= maxSeed && !seen[e.Type.String()+string(e.Data)] {
				seen[e.Type.String()+string(e.Data)] = true
				f.Add(uint32(e.Type), e.PCR, e.Data)
			}
		}
	}
	for _, boot := range boots {
		if log, err := eventlog.Parse(boot(synth.Default()).Log); err == nil {
			add(log)
		}
	}
	for _, c := range synth.Hostile() {
		if log, err := eventlog.Parse(c.Data); err == nil && len(log.Events) < 100 {
			add(log)
		}
	}
	f.Fuzz(func(t *testing.T, kind, pcr uint32, data []byte) {
		fuzzDecoder(t, eventlog.Event{PCR: pcr, Type: eventlog.EventType(kind), Data: data})
	})
}

// fuzzDecoder checks what every decoder promises: an answer, that is text and JSON.
func fuzzDecoder(t *testing.T, e eventlog.Event) {
	e.Digests = eventlog.DigestsOf(eventlog.Digest{Alg: eventlog.SHA256, Value: eventlog.SHA256.Sum(e.Data)})
	d, _ := e.Decode()
	if d == nil || d.Kind() == "" {
		t.Fatalf("no answer: %v", d)
	}
	_ = d.String()
	if _, err := json.Marshal(d); err != nil {
		t.Fatal(err)
	}
	if e.Check().Binding == "" {
		t.Fatal("no binding")
	}
}

func FuzzDevicePath(f *testing.F) {
	f.Add([]byte{2, 1, 12, 0, 0xd0, 0x41, 3, 0x0a, 0, 0, 0, 0, 0x7f, 0xff, 4, 0})
	f.Fuzz(func(t *testing.T, path []byte) {
		data := make([]byte, 32, 32+len(path))
		data[24], data[25], data[26] = byte(len(path)), byte(len(path)>>8), byte(len(path)>>16)
		fuzzDecoder(t, eventlog.Event{PCR: 4, Type: eventlog.EVEFIBootServicesApp, Data: append(data, path...)})
	})
}

func FuzzVariable(f *testing.F) {
	f.Add("Boot0000", []byte{1, 0, 0, 0, 4, 0, 'x', 0, 0, 0, 0x7f, 0xff, 4, 0})
	f.Add("db", make([]byte, 76))
	f.Add("SbatLevel", []byte("sbat,1\n"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		data := synth.Variable("8be4df61-93ca-11d2-aa0d-00e098032b8c", name, content)
		for _, kind := range []eventlog.EventType{eventlog.EVEFIVariableDriverConfig, eventlog.EVEFIVariableAuthority} {
			fuzzDecoder(t, eventlog.Event{PCR: 7, Type: kind, Data: data})
		}
	})
}

func FuzzWindows(f *testing.F) {
	log, err := eventlog.Parse(synth.Windows(synth.Default()).Log)
	if err != nil {
		f.Fatal(err)
	}
	for i := range log.Events {
		if e := &log.Events[i]; e.Type == eventlog.EVEventTag || e.PCR > 23 {
			f.Add(e.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzDecoder(t, eventlog.Event{PCR: 12, Type: eventlog.EVEventTag, Data: data})
		trust := eventlog.Log{Format: eventlog.FormatAgile, Events: []eventlog.Event{{PCR: 0xffffffff, Type: eventlog.EVNoAction, Data: data}}}
		trust.TrustPoints()
	})
}
