package grub

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// noDisk has no files but one, which every Linux has.
type noDisk struct{}

func (noDisk) Read(string) ([]byte, bool)    { return nil, false }
func (noDisk) Time(string) (time.Time, bool) { return time.Time{}, false }
func (noDisk) Builtin(module string) bool    { return module == "regexp" }
func (noDisk) List(folder string) (names []string, ordered bool) {
	if folder == "/proc/" {
		names = []string{"version"}
	}
	return names, false
}

// commands runs a script that asks for nothing.
func commands(t *testing.T, text []byte) []string {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := new(Boot).Foretell(s, "(hd0,gpt1)/grub/grub.cfg", noDisk{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range f.Events {
		if e.Kind == Command {
			all = append(all, e.Text)
		}
	}
	return all
}

// scripts are what GRUB itself runs too, in the tier interop.
func scripts(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/scripts/*.cfg")
	if err != nil || len(names) < 5 {
		t.Fatal("the scripts are gone", err)
	}
	return names
}

func TestScriptsRunTheCommandsThatGRUBRuns(t *testing.T) {
	for _, name := range scripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".cfg"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, c := range commands(t, text) {
				out.WriteString(strconv.Quote(c) + "\n")
			}
			golden := strings.TrimSuffix(name, ".cfg") + ".run"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("it runs\n%swant\n%s", out.String(), want)
			}
		})
	}
}
