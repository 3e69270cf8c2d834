package predict

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

func TestComponentsShareWhatFuturesShare(t *testing.T) {
	step := func(pcr int, text string) Step {
		return Step{PCR: pcr, Digests: []eventlog.Digest{
			{Alg: eventlog.SHA256, Value: eventlog.Hex(text)}, {Alg: eventlog.SM3, Value: eventlog.Hex(text)}}}
	}
	future := func(blocked int, texts ...string) *Forecast {
		f := &Forecast{PCRs: []PCR{{Index: blocked, Confidence: Blocked}}}
		for i, text := range texts {
			f.Steps = append(f.Steps, step(4+i%2, text))
		}
		return f
	}
	for name, c := range map[string]struct {
		futures []*Forecast
		want    string
	}{
		"one future":                {[]*Forecast{future(0, "a", "b")}, "[600-vtpmctl-001.pcrlock:2]"},
		"one with a blocked PCR":    {[]*Forecast{future(5, "a", "b", "c")}, "[600-vtpmctl-001.pcrlock:2]"},
		"one with nothing":          {[]*Forecast{future(0)}, "[]"},
		"two that differ in midst":  {[]*Forecast{future(0, "a", "b", "c"), future(0, "a", "x", "c")}, "[600-vtpmctl-001.pcrlock:1 600-vtpmctl-002.pcrlock.d/1.pcrlock:1 600-vtpmctl-002.pcrlock.d/2.pcrlock:1 600-vtpmctl-999.pcrlock:1]"},
		"two of another length":     {[]*Forecast{future(0, "a", "b"), future(0, "a")}, "[600-vtpmctl-001.pcrlock:1 600-vtpmctl-002.pcrlock.d/1.pcrlock:1 600-vtpmctl-002.pcrlock.d/2.pcrlock:0]"},
		"two that are the same":     {[]*Forecast{future(0, "a"), future(0, "a")}, "[600-vtpmctl-001.pcrlock:1]"},
		"two, one with blocked PCR": {[]*Forecast{future(5, "a", "b"), future(0, "a", "x")}, "[600-vtpmctl-001.pcrlock:1]"},
	} {
		got := []string{}
		for _, component := range Components(c.futures) {
			got = append(got, fmt.Sprintf("%s:%d", component.Name, len(component.records)))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	text, err := json.Marshal(Component{records: []Step{step(4, "\x01\x02")}}.Pcrlock())
	if want := `{"records":[{"pcr":4,"digests":[{"hashAlg":"sha256","digest":"0102"}]}]}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
