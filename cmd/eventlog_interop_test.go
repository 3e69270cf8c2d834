//go:build interop

package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// tpm2Log is what readers of tpm2_eventlog's output rely on.
type tpm2Log struct {
	Version int                       `yaml:"version"`
	Events  []tpm2Event               `yaml:"events"`
	PCRs    map[string]map[int]string `yaml:"pcrs"`
}

type tpm2Event struct {
	EventNum    int    `yaml:"EventNum"`
	PCRIndex    uint32 `yaml:"PCRIndex"`
	EventType   string `yaml:"EventType"`
	DigestCount int    `yaml:"DigestCount"`
	Digest      string `yaml:"Digest"`
	Digests     []struct {
		AlgorithmID string `yaml:"AlgorithmId"`
		Digest      string `yaml:"Digest"`
	} `yaml:"Digests"`
	EventSize int              `yaml:"EventSize"`
	SpecID    []map[string]any `yaml:"SpecID"`
	Event     any              `yaml:"Event"`
}

// comparable leaves of an event's data what both tools split alike.
func (e *tpm2Event) comparable() any {
	fields, ok := e.Event.(map[string]any)
	if !ok {
		return nil // hex on one side is now and then text on the other
	}
	kept := make(map[string]any)
	for _, key := range []string{"VariableName", "UnicodeNameLength", "VariableDataLength", "UnicodeName", "ImageLengthInMemory",
		"ImageLocationInMemory", "LengthOfDevicePath", "String", "StartupLocality", "BlobBase", "BlobLength"} {
		if v, ok := fields[key]; ok {
			if text, ok := v.(string); ok {
				v = strings.NewReplacer(`\\`, `\`, `\0`, "", "\x00", "").Replace(strings.Trim(text, `"`)) // 5.4 quotes text within its YAML, as C does
			}
			kept[key] = v
		}
	}
	return kept
}

func TestTheYAMLOfTPM2EventlogReadsTheSame(t *testing.T) {
	for name, boot := range bootWords {
		if name == "tpm12" {
			continue // of a log without a header tpm2_eventlog 5.4 prints YAML that no reader takes
		}
		t.Run(name, func(t *testing.T) {
			machine := synth.Default()
			machine.Banks = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384}
			machine.Windows.TrustPoint = false // tpm2_eventlog fails on registers beyond the PCRs
			log := boot(machine).Log
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, log, 0o600); err != nil {
				t.Fatal(err)
			}
			var ours, theirs tpm2Log
			if err := yaml.Unmarshal(interop.Run(t, "tpm2_eventlog", path), &theirs); err != nil {
				t.Fatal(err)
			}
			stdout, _ := vtpmctl(t, 0, "", "eventlog", "show", path, "-o", "tpm2")
			if err := yaml.Unmarshal([]byte(stdout), &ours); err != nil {
				t.Fatal(err)
			}
			for _, l := range []*tpm2Log{&ours, &theirs} {
				for i := range l.Events {
					l.Events[i].Event = l.Events[i].comparable()
				}
			}
			if d := cmp.Diff(theirs, ours); d != "" {
				t.Errorf("tpm2_eventlog prints -, we +:\n%s", d)
			}
		})
	}
}
