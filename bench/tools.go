package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vtpmctl/vtpmctl/bench/rival"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// tools times vtpmctl against tpm2-tools in the rows whose name contains a word, and prints the table.
func tools(ctx context.Context, w io.Writer, rounds int, word string) error {
	rows := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !strings.Contains(r.what, word) })
	if len(rows) == 0 {
		return fmt.Errorf("no row has %q in its name", word)
	}
	b, err := start(ctx)
	if err != nil {
		return err
	}
	defer b.stop()
	head(w, rounds)
	for _, r := range rows {
		ours, theirs, err := b.race(ctx, r, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", r.what, err)
		}
		verdict := "met"
		share := float64(ours) / float64(theirs)
		if share > r.goal {
			verdict = "missed"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | ≤ %.1f %s |\n", r.what, ms(ours), ms(theirs), share, r.goal, verdict)
	}
	fmt.Fprintln(w, "\nWhat was run, and timed:")
	for _, r := range rows {
		fmt.Fprintf(w, "\n```\n# %s\n%s\n# or\n%s\n```\n", r.what, strings.Join(r.ours, "\n"), strings.Join(r.theirs, "\n"))
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }

// head prints what was measured, where and when, and the head of the table.
func head(w io.Writer, rounds int) {
	fmt.Fprintln(w, rival.Circumstances(rounds, rival.ToolsVersion()))
	fmt.Fprint(w, "| | vtpmctl ms | tpm2-tools ms | ratio | goal |\n|---|---|---|---|---|\n")
}

// row is one task, done by two sequences of commands in the same folder on the same TPM.
type row struct {
	what         string
	prepare      []string // done before, not timed
	ours, theirs []string
	goal         float64 // the most that ours may take, in shares of theirs
}

// The TPM has no resource manager here, so what tpm2-tools leave in it is flushed behind each of them, not timed. Their
// keys are P-256, as ours, for RSA would only make them slower.
var rows = []row{
	{
		what:   "read the PCRs of one bank",
		ours:   []string{"vtpmctl pcr read sha256:all"},
		theirs: []string{"tpm2_pcrread sha256:all"},
		goal:   1,
	}, {
		what:   "read the PCRs of all banks",
		ours:   []string{"vtpmctl pcr read"},
		theirs: []string{"tpm2_pcrread"},
		goal:   1,
	}, {
		what: "seal",
		ours: []string{"vtpmctl seal secret --pcrs sha256:0,7 --out-file app.tpm --force"},
		theirs: []string{
			"tpm2_createpolicy -Q --policy-pcr -l sha256:0,7 -L policy",
			"tpm2_createprimary -Q -C o -G ecc -c primary",
			"tpm2_create -Q -C primary -L policy -i secret -u app.pub -r app.priv",
		},
		goal: 1,
	}, {
		what: "unseal",
		ours: []string{"vtpmctl unseal app.tpm"},
		theirs: []string{
			"tpm2_createprimary -Q -C o -G ecc -c primary",
			"tpm2_load -Q -C primary -u app.pub -r app.priv -c app",
			"tpm2_unseal -c app -p pcr:sha256:0,7",
		},
		goal: 0.5,
	}, {
		what: "quote",
		prepare: []string{
			"vtpmctl ak create --under srk --out-file ak.json",
			"tpm2_createprimary -Q -C o -G ecc -c primary",
			"tpm2_create -Q -C primary -G ecc:ecdsa:null -u ak.pub -r ak.priv -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign|noda",
		},
		ours: []string{"vtpmctl quote --ak ak.json --pcrs sha256:all --nonce 00112233445566778899aabbccddeeff --no-eventlog --out-file evidence.json --force"},
		theirs: []string{
			"tpm2_createprimary -Q -C o -G ecc -c primary",
			"tpm2_load -Q -C primary -u ak.pub -r ak.priv -c ak",
			"tpm2_quote -Q -c ak -l sha256:all -q 00112233445566778899aabbccddeeff -m message -s signature -o pcrs",
		},
		goal: 0.5,
	}, {
		what:   "show an event log",
		ours:   []string{"vtpmctl eventlog show boot.log -o tpm2"},
		theirs: []string{"tpm2_eventlog boot.log"},
		goal:   1,
	},
	logRow("an event log of 80 kB, as YAML of tpm2_eventlog", "show menu.log -o tpm2", 0.4),
	logRow("an event log of 80 kB, as a table", "show menu.log", 0.4),
	logRow("60,000 events, as YAML of tpm2_eventlog", "show long.log -o tpm2", 0.2),
	logRow("60,000 events, as a table", "show long.log", 0.2),
	logRow("60,000 events, as JSON lines", "show long.log -o jsonl", 0.2),
	logRow("60,000 events, as JSON", "show long.log -o json", 0.2),
	logRow("60,000 events, as YAML", "show long.log -o yaml", 0.2),
	logRow("60,000 events, replayed only", "replay long.log", 0.2),
}

// logRow shows a log in some form; the other side has one form.
func logRow(what, ours string, goal float64) row {
	return row{
		what: what, ours: []string{"vtpmctl eventlog " + ours},
		theirs: []string{"tpm2_eventlog " + strings.Fields(ours)[1]}, goal: goal,
	}
}

// bench is a folder with a TPM, a binary and files to work on.
type bench struct {
	dir, binary string
	env         []string
	tpm         *exec.Cmd
}

func start(ctx context.Context) (b *bench, err error) {
	b = &bench{}
	if b.dir, err = os.MkdirTemp("", "vtpmctl-bench"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	if b.binary, err = rival.Build(ctx, b.dir); err != nil {
		return nil, err
	}
	socket := filepath.Join(b.dir, "tpm")
	b.env = append(os.Environ(), "TPM2TOOLS_TCTI=swtpm:path="+socket, "PATH="+b.dir+":"+os.Getenv("PATH"))
	b.tpm = exec.CommandContext(ctx, "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+b.dir,
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init,startup-clear")
	if err := b.tpm.Start(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "secret"), []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		return nil, err
	}
	for name, log := range map[string][]byte{"boot.log": bootLog(), "menu.log": menuLog(), "long.log": longLog()} {
		if err := os.WriteFile(filepath.Join(b.dir, name), log, 0o600); err != nil {
			return nil, err
		}
	}
	for range 200 {
		if _, err := os.Stat(socket); err == nil {
			return b, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.New("swtpm does not start")
}

// menuLog is the log of the same boot with a boot menu as long as distributions generate them.
func menuLog() []byte {
	machine := synth.Default()
	machine.Banks = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384}
	commands := make([]string, 380)
	for i := range commands {
		commands[i] = fmt.Sprintf("menuentry --class gnu-linux --unrestricted %d", i)
	}
	machine.GRUBConfig = strings.Join(commands, "\n")
	return synth.ShimGRUB(machine).Log
}

// longLog has 60,000 commands, logged as GRUB does.
func longLog() []byte {
	b := synth.Agile(eventlog.SHA256)
	for i := range 60000 {
		command := fmt.Sprintf("menuentry number %d", i)
		b.Event(8, eventlog.EVIPL, []byte(command), []byte("grub_cmd: "+command+"\x00"))
	}
	return b.Recording().Log
}

// bootLog is the log of a boot through shim and GRUB, in three banks.
func bootLog() []byte {
	machine := synth.Default()
	machine.Banks = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384}
	return synth.ShimGRUB(machine).Log
}

func (b *bench) stop() {
	if b.tpm != nil && b.tpm.Process != nil {
		_ = b.tpm.Process.Kill()
		_ = b.tpm.Wait()
	}
	_ = os.RemoveAll(b.dir)
}

// race times both sides of a row in turns, after one round that does not count, and returns the medians.
func (b *bench) race(ctx context.Context, r row, rounds int) (ours, theirs time.Duration, err error) {
	if _, err := b.sequence(ctx, r.prepare); err != nil {
		return 0, 0, err
	}
	var a, z []time.Duration
	for i := range rounds + 1 {
		x, err := b.sequence(ctx, r.ours)
		if err != nil {
			return 0, 0, err
		}
		y, err := b.sequence(ctx, r.theirs)
		if err != nil {
			return 0, 0, err
		}
		if i > 0 {
			a, z = append(a, x), append(z, y)
		}
	}
	return rival.Median(a), rival.Median(z), nil
}

// leavesObjects are the commands that count on a resource manager to clean up after them.
var leavesObjects = map[string]bool{
	"tpm2_createpolicy": true, "tpm2_createprimary": true, "tpm2_create": true, "tpm2_load": true, "tpm2_unseal": true, "tpm2_quote": true,
}

// sequence runs commands one after the other and returns the time they took.
func (b *bench) sequence(ctx context.Context, commands []string) (total time.Duration, err error) {
	for _, c := range commands {
		words := strings.Fields(c)
		took, err := b.command(ctx, words...)
		if err != nil {
			return 0, err
		}
		total += took
		if !leavesObjects[words[0]] {
			continue
		}
		for _, kind := range []string{"-t", "-l"} {
			if _, err := b.command(ctx, "tpm2_flushcontext", kind); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

func (b *bench) command(ctx context.Context, words ...string) (time.Duration, error) {
	name := words[0]
	if name == "vtpmctl" {
		name = b.binary
	}
	c := exec.CommandContext(ctx, name, words[1:]...)
	var complaint bytes.Buffer
	c.Dir, c.Env, c.Stderr = b.dir, b.env, &complaint
	began := time.Now()
	err := c.Run()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, complaint.Bytes())
	}
	return took, nil
}
