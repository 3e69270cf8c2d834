package term_test

import (
	"bytes"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vtpmctl/vtpmctl/internal/term"
)

func TestDetectOffATerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	env := func(kv ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(kv); i += 2 {
				if kv[i] == k {
					return kv[i+1]
				}
			}
			return ""
		}
	}
	if got := term.Detect(r, w, w, env()); got != (term.Facts{}) {
		t.Errorf("a pipe is %+v", got)
	}
	if !term.Detect(r, w, w, env("CLICOLOR_FORCE", "1")).Colour {
		t.Error("CLICOLOR_FORCE=1 must force colour")
	}
	if term.Detect(r, w, w, env("CLICOLOR_FORCE", "1", "NO_COLOR", "yes")).Colour {
		t.Error("any NO_COLOR must win")
	}
}

func TestProgressComesLateAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := term.StartProgress(&b, true, "short")
		time.Sleep(400 * time.Millisecond)
		p.Done()
		time.Sleep(time.Second)
		if b.Len() != 0 {
			t.Errorf("a short step printed %q", b.String())
		}
		p = term.StartProgress(&b, true, "long")
		time.Sleep(600 * time.Millisecond)
		p.Update("half %d", 1)
		p.Done()
		if got, want := b.String(), "\r\x1b[Klong\r\x1b[Khalf 1\r\x1b[K"; got != want {
			t.Errorf("a long step printed %q, want %q", got, want)
		}
		b.Reset()
		p = term.StartProgress(&b, false, "silent")
		time.Sleep(time.Second)
		p.Done()
		if b.Len() != 0 {
			t.Errorf("an inactive progress printed %q", b.String())
		}
	})
}
