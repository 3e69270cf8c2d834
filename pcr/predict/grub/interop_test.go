//go:build interop

package grub

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// What GRUB says about each command it hands to its verifiers, of which the TPM is one (kern/verifiers.c). Its terminal
// breaks long lines, so blanks do not count.
var verified = regexp.MustCompile(`verifiers\.c:\d+:string:(.*?),type:2`)

func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// TestGRUBRunsTheseCommands has GRUB's emulator run the scripts.
func TestGRUBRunsTheseCommands(t *testing.T) {
	for _, name := range scripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".cfg"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			prologue := "set debug=verify\nexport debug\n"
			if err := os.WriteFile(filepath.Join(dir, "grub.cfg"), append([]byte(prologue), text...), 0o600); err != nil {
				t.Fatal(err)
			}
			said := string(interop.Run(t, "grub-emu", "-d", dir))
			said = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAllString(said, "")
			var got []string
			for _, m := range verified.FindAllStringSubmatch(squeeze(said), -1) {
				got = append(got, m[1])
			}
			want, err := os.ReadFile(strings.TrimSuffix(name, ".cfg") + ".run")
			if err != nil {
				t.Fatal(err)
			}
			commands := []string{"exportdebug"}
			for line := range strings.Lines(string(want)) {
				command, err := strconv.Unquote(strings.TrimSpace(line))
				if err != nil {
					t.Fatal(err)
				}
				commands = append(commands, squeeze(command))
			}
			if len(got) != len(commands) {
				t.Errorf("GRUB ran %d commands, want %d", len(got), len(commands))
			}
			for i := range min(len(got), len(commands)) {
				if got[i] != commands[i] {
					t.Fatalf("command %d of GRUB's is %q, want %q", i, got[i], commands[i])
				}
			}
		})
	}
}
