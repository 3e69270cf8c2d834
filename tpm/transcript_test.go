package tpm

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func TestATranscriptAnswersAsTheTPMDid(t *testing.T) {
	fake := newFakeTPM()
	random := noSessions(tpm2.TPMCCGetRandom, []byte{0, 100})
	fake.answers[tpm2.TPMCCGetRandom] = func([]byte) []byte {
		return response(tpm2.TPMRCSuccess, append([]byte{0, 100}, bytes.Repeat([]byte{0xa5}, 100)...))
	}
	var recorded bytes.Buffer
	live, err := Open(t.Context(), "swtpm:"+serve(t, fake.raw), Options{Record: &recorded})
	if err != nil {
		t.Fatal(err)
	}
	want, err := live.Send(random)
	if err != nil {
		t.Fatal(err)
	}
	live.Close()

	file := filepath.Join(t.TempDir(), "transcript")
	if err := os.WriteFile(file, recorded.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), "replay:"+file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Send(random)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := again.Send(random); fail.KindOf(err) != fail.BadInput {
		t.Errorf("after the end: error %v, want one of kind %q", err, fail.BadInput)
	}
}

func TestReplayRefusesAnotherCommand(t *testing.T) {
	l := &replay{path: "t", left: []transcriptBlock{{noSessions(tpm2.TPMCCGetRandom, []byte{0, 4}), response(0, nil)}}}
	_, err := l.exchange(t.Context(), noSessions(tpm2.TPMCCGetRandom, []byte{0, 5}))
	if fail.KindOf(err) != fail.BadInput || !strings.Contains(err.Error(), "TPM2_GetRandom") {
		t.Errorf("error %v", err)
	}
}

func TestReadTranscriptNamesTheLine(t *testing.T) {
	for in, says := range map[string]string{
		"":                                   "line 1",
		"GIF89a":                             "line 1",
		transcriptMagic + "\n< 00":           "line 2: a response before",
		transcriptMagic + "\n\n> 0":          "line 3",
		transcriptMagic + "\n> 80\n? 80":     "line 3",
		transcriptMagic + "\n> 80\n< 80 80g": "line 3",
		transcriptMagic + "\n>\n< 80":        "line 2",
		transcriptMagic + "\n> 80":           "command 1 without its response",
	} {
		_, err := readTranscript(strings.NewReader(in))
		if fail.KindOf(err) != fail.BadInput || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q", in, err, says)
		}
	}
}

// FuzzReadTranscript checks that what parses is written back as a transcript that reads the same.
func FuzzReadTranscript(f *testing.F) {
	f.Add([]byte(transcriptMagic + "\n\n# GetRandom\n> 80010000000c0000017b0004\n< 80010000000a00000101\n"))
	f.Add([]byte(transcriptMagic + "\n> 8001\n> 00\n< 80\n< 01\n> 8001\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		all, err := readTranscript(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeTranscript(&out, all); err != nil {
			t.Fatal(err)
		}
		again, err := readTranscript(&out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all, again); diff != "" {
			t.Error(diff)
		}
	})
}
