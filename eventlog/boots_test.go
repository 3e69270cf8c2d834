package eventlog_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

var update = flag.Bool("update", false, "write the stories of testdata/boots")

// bootValues are the PCRs that the kernel of a boot read: bank, number and value, one a line.
func bootValues(t *testing.T, file string) eventlog.Values {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	values := eventlog.Values{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("%s: %q", file, line)
		}
		var bank eventlog.Alg
		n, err := strconv.Atoi(f[1])
		digest, hexErr := hex.DecodeString(f[2])
		if err != nil || hexErr != nil || bank.UnmarshalText([]byte(f[0])) != nil {
			t.Fatalf("%s: %q", file, line)
		}
		if values[bank] == nil {
			values[bank] = map[int]eventlog.Hex{}
		}
		values[bank][n] = digest
	}
	return values
}

// The logs in testdata/boots were written by firmware and boot loaders of others, in boots of our own.
func TestLogsOfRealBootsAreTrueAndExplained(t *testing.T) {
	logs, err := filepath.Glob("testdata/boots/*.log")
	if err != nil || len(logs) < 9 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for _, file := range logs {
		name := strings.TrimSuffix(file, ".log")
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			log := mustParse(t, data)
			values := bootValues(t, name+".pcrs")
			v := log.Verify(values, eventlog.Rules{})
			odd := func(f eventlog.Finding) bool {
				return f.Quirk != "Q25" || !strings.HasPrefix(filepath.Base(name), "direct")
			}
			if v.Worst() == eventlog.Fail || slices.ContainsFunc(v.Grammar, odd) || len(v.PCRs) != 24*len(values) {
				t.Errorf("%d PCRs, checks %+v", len(v.PCRs), v.Checks)
			}
			for _, p := range v.PCRs {
				want := eventlog.Match
				if p.PCR == 10 {
					want = eventlog.Unlogged // IMA's, which keeps a list of its own
				}
				if p.State != want {
					t.Errorf("%s PCR %d: %s, want %s", p.Bank, p.PCR, p.State, want)
				}
			}
			compareStory(t, name+".story", story(log.Explain()))
			tampered(t, log, values)
		})
	}
}

// story is what explain says, one statement a line.
func story(s *eventlog.Story) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Secure Boot: %s\nstarted by: %s\ncommand line: %s\n", s.SecureBoot, s.Loader, s.Cmdline)
	for _, section := range s.Sections {
		fmt.Fprintf(&b, "\n%s\n", section.Title)
		for _, line := range section.Statements {
			fmt.Fprintf(&b, "  %-8s %s\n", line.Binding, line.Text)
		}
	}
	return b.String()
}

func compareStory(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("another story; -update writes it:\n%s", diff)
	}
}

// tampered changes one bit of each event's digest in turn: the PCR must differ.
func tampered(t *testing.T, log *eventlog.Log, values eventlog.Values) {
	t.Helper()
	for i := range log.Events {
		e := &log.Events[i]
		if !e.Extends() {
			continue
		}
		e.Digests.At(0).Value[0] ^= 1
		for _, v := range log.Compare(values) {
			if v.Bank == e.Digests.At(0).Alg && v.PCR == int(e.PCR) && v.State != eventlog.Differs {
				t.Errorf("event %d changed: %s PCR %d is said to be a %s", e.Number, v.Bank, v.PCR, v.State)
			}
		}
		e.Digests.At(0).Value[0] ^= 1
	}
}
