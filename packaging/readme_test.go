package packaging

import (
	"regexp"
	"strings"
	"testing"
)

// shown is a command of the README and what it shows of the answer.
type shown struct{ command, answer string }

// fence is a block of commands, which stand behind "$ ".
var fence = regexp.MustCompile("(?s)\n```\n(\\$ .*?)```\n")

// tour takes the commands out of the README's five minutes. A block that shows no answers is about machines and files that
// the reader has, and is not run.
func tour(t *testing.T) (all []shown) {
	t.Helper()
	_, text, _ := strings.Cut(string(read(t, "../README.md")), "\n## Five minutes\n")
	text, _, ok := strings.Cut(text, "\n## ")
	if !ok {
		t.Fatal("the five minutes are gone")
	}
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		var commands []shown
		answers := false
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, shown{command: command})
				continue
			}
			answers = true
			commands[len(commands)-1].answer += line
		}
		if answers {
			all = append(all, commands...)
		}
	}
	return all
}

// TestTheReadmesFiveMinutesAreTrue types in what the README shows, in one shell and on a new TPM, and compares the answers:
// every byte of them, but "..." stands for any lines, and "…" for any text in a line.
func TestTheReadmesFiveMinutesAreTrue(t *testing.T) {
	const folder, end = "/tmp/my-tpm", "\036"
	_, run := elsewhere(t)
	here := strings.NewReplacer(folder, t.TempDir()+"/tpm")
	all := tour(t)
	script := "set +e\n"
	for _, s := range all { // the next command sees the status of this one
		script += here.Replace(s.command) + "status=$?; printf '\\036'; (exit $status)\n"
	}
	said := strings.Split(run(script+"exit 0"), end)
	if len(said) != len(all)+1 || len(all) < 10 {
		t.Fatalf("%d commands gave %d answers", len(all), len(said)-1)
	}
	for i, s := range all {
		want := regexp.QuoteMeta(here.Replace(s.answer))
		want = regexp.MustCompile(`(?m)^\\\.\\\.\\\.\n`).ReplaceAllString(want, `(?:.*\n)*`)
		want = strings.ReplaceAll(want, "…", ".*")
		if !regexp.MustCompile(`\A` + want + `\z`).MatchString(said[i]) {
			t.Errorf("$ %sthe README shows\n%sand it says\n%s", s.command, s.answer, said[i])
		}
	}
}
