package cmd

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/internal/term"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// scene is one step of the tour: a boot, or a command that is run as its user would run it.
type scene struct {
	title, text string
	boot        func(*synth.Machine) // the machine boots, changed like this
	args        []string             // words of the command; files are in the tour's folder
	exit        int                  // the exit status that belongs to the story
	show        []string             // show lines of the output that contain one of these; all where it is empty
}

// story is what the tour plays. %NONCE1 and %NONCE2 stand for fresh nonces.
func story() []scene {
	return []scene{{
		title: "A virtual machine boots",
		text: `The firmware hashes the boot loader before it runs it, and the boot loader hashes the kernel. Each hash goes into
			a register of the TPM, a PCR, and into a log. A PCR cannot be set, only extended: it sums up all that was measured.`,
		boot: func(*synth.Machine) {},
	}, {
		title: "The PCRs sum up this boot",
		text:  "Four of them: boot loader and kernel, Secure Boot keys, command line, and the files that GRUB read.",
		args:  []string{"pcr", "read", "sha256:4,7,8,9"},
		show:  []string{"BANK", "sha256"},
	}, {
		title: "Bind a secret to this state",
		text:  "The key of the data disk is sealed. Only this TPM opens it, and only while these PCRs are what they are now.",
		args:  []string{"seal", "--pcrs", "sha256:4,7,9", "--out-file", "disk.tpm", "disk.key"},
		show:  []string{"sealed:", "opens while:"},
	}, {
		title: "It opens on a good boot",
		text:  "As the boot script would do it; a real secret would go into a pipe and not onto a screen.",
		args:  []string{"unseal", "disk.tpm"},
	}, {
		title: "Make a key that speaks for this TPM",
		text:  "An attestation key signs what the TPM says of itself, and nothing else. The verifier keeps the key's name.",
		args:  []string{"ak", "create", "--out-file", "ak.json"},
		show:  []string{"key:", "name:"},
	}, {
		title: "Prove the state to somebody else",
		text:  "The verifier sends a nonce, so that nobody can show it an old answer. The TPM signs the nonce and all PCRs.",
		args:  []string{"quote", "--ak", "ak.json", "--nonce", "%NONCE1", "--eventlog", "boot.log", "--out-file", "good.json"},
		show:  []string{"evidence:", "PCRs:", "event log:"},
	}, {
		title: "The verifier judges the evidence, without any TPM",
		text: `Each question gets its answer: pass, FAIL, or not proven. Nothing is believed that the signature does not cover; the
			event log is believed where it explains the PCRs.`,
		args: []string{"verify", "good.json", "--nonce", "%NONCE1", "--ak", "ak.json", "--allow-emulated"},
	}, {
		title: "Somebody swaps the kernel",
		text:  "/boot/vmlinuz has a back door now. Its name and the command line are as before. The machine reboots.",
		boot:  func(m *synth.Machine) { m.Kernel = []byte("linux 6.12.41, with a back door") },
	}, {
		title: "The secret stays closed",
		text:  "The TPM refuses, and vtpmctl says which PCRs are to blame. Exit status 6: the policy is not met.",
		args:  []string{"unseal", "disk.tpm"},
		exit:  fail.PolicyMismatch.Exit(),
	}, {
		title: "The old evidence does not help",
		text:  "The attacker shows the evidence of the good boot again. But the verifier has sent a new nonce. Exit status 7: no.",
		args:  []string{"verify", "good.json", "--nonce", "%NONCE2", "--ak", "ak.json", "--allow-emulated"},
		exit:  fail.AnswerNo.Exit(),
		show:  []string{"FAIL"},
	}, {
		title: "A new quote is honest about the new boot",
		text:  "The attacker owns the machine and may ask its TPM for a quote. The TPM signs what was measured, not what is wished.",
		args:  []string{"quote", "--ak", "ak.json", "--nonce", "%NONCE2", "--eventlog", "boot.log", "--out-file", "now.json"},
		show:  []string{"evidence:", "event log:"},
	}, {
		title: "The verifier names what changed",
		text:  "Compared with the evidence of the good boot: which PCRs differ, and the event that made each of them differ.",
		args:  []string{"verify", "now.json", "--nonce", "%NONCE2", "--ak", "ak.json", "--allow-emulated", "--expect", "good.json"},
		exit:  fail.AnswerNo.Exit(),
		show:  []string{"FAIL", ": event "},
	}}
}

// tourStep is a scene that was played.
type tourStep struct {
	Title   string   `json:"title"`
	Text    string   `json:"text"`
	Command string   `json:"command"` // "" where the machine boots
	Exit    int      `json:"exit_code"`
	Result  []string `json:"result"` // lines of its output, the most telling ones
	OK      bool     `json:"ok"`     // it came out as the story says
}

// tourDoc is the result of tour.
type tourDoc struct {
	Steps []tourStep `json:"steps"`
	OK    bool       `json:"ok"`
}

func (tourDoc) Schema() string { return "vtpmctl.tour/v1" }

func (d tourDoc) Table(t *out.Table) {
	prose(t, "", "The tour plays on a software TPM in memory and in a scratch folder. No TPM of this machine is touched.")
	for i, s := range d.Steps {
		t.Title("%d. %s", i+1, s.Title)
		prose(t, "", s.Text)
		if s.Command != "" {
			t.Text("  $ %s", s.Command)
		}
		for _, line := range s.Result {
			if strings.HasPrefix(line, "vtpmctl: ") {
				prose(t, "  ", line)
			} else {
				t.Text("  %s", line)
			}
		}
		if !s.OK {
			t.Text("  this was not to be: exit status %d", s.Exit)
		}
	}
	t.Title("Now with the TPM of your own machine")
	t.Row("  vtpmctl pcr read", "what was measured here")
	t.Row("  vtpmctl eventlog show", "and what that was, event by event")
	t.Row("  vtpmctl seal --help", "bind a secret to it")
	t.Row("  vtpmctl --tpm engine:DIR ...", "or go on with a software TPM of your own")
}

// prose breaks a text into lines that fit any terminal.
func prose(t *out.Table, indent, text string) {
	const width = 78
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+len(word) >= width {
			t.Text("%s", line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	t.Text("%s", line)
}

func (a *app) tourCommand() *cobra.Command {
	return a.command(verb{
		use:   "tour",
		short: "watch a secret and a proof survive a good boot and refuse a bad one",
		long: `A machine boots, binds a secret to its state and proves that state; then its kernel is swapped. Every command is run as you
would run it, on a software TPM in a scratch folder that is removed at the end. Nothing else is read or changed.`,
		example: "vtpmctl tour\nvtpmctl tour -o json",
		run:     func(ctx context.Context, _ []string) (out.Doc, error) { return a.tour(ctx) },
	})
}

func (a *app) tour(ctx context.Context) (doc out.Doc, err error) {
	dir, err := os.MkdirTemp("", "vtpmctl-tour-")
	if err != nil {
		return nil, fail.E(fail.OutputFailed, "no scratch folder can be made: %w", err).
			Hint("TMPDIR, on Windows TMP, names the folder to make it in")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := player{app: a, dir: dir, state: engine.NewMemoryStore(), nonces: map[string]string{}}
	if err := file.Write(p.at("disk.key"), []byte("the key of the data disk\n"), file.Secret, false); err != nil {
		return nil, err
	}
	d := tourDoc{Steps: []tourStep{}, OK: true}
	for _, s := range story() {
		step, err := p.play(ctx, s)
		if err != nil {
			return nil, err
		}
		d.Steps = append(d.Steps, step)
		d.OK = d.OK && step.OK
	}
	if !d.OK {
		return d, fail.E(fail.Internal, "the tour did not go as it should").Hint("please report it with this output and: %s", version())
	}
	return d, nil
}

// player plays scenes in a folder of their own.
type player struct {
	*app
	dir    string
	state  engine.Store
	nonces map[string]string
}

func (p *player) at(name string) string { return filepath.Join(p.dir, name) }

func (p *player) play(ctx context.Context, s scene) (tourStep, error) {
	step := tourStep{Title: s.title, Text: strings.Join(strings.Fields(s.text), " "), Result: []string{}, OK: true}
	if s.boot != nil {
		line, err := p.boot(ctx, s.boot)
		step.Result = []string{line}
		return step, err
	}
	args, err := p.words(s.args)
	if err != nil {
		return step, err
	}
	step.Command = "vtpmctl " + strings.Join(args, " ")
	var output bytes.Buffer
	step.Exit = p.run(ctx, args, &output)
	step.OK = step.Exit == s.exit
	text := strings.ReplaceAll(output.String(), p.dir+string(filepath.Separator), "")
	for line := range strings.Lines(text) {
		telling := func(word string) bool { return strings.Contains(line, word) }
		if len(s.show) == 0 || !step.OK || slices.ContainsFunc(s.show, telling) {
			step.Result = append(step.Result, strings.TrimRight(line, "\n"))
		}
	}
	return step, ctx.Err()
}

// words puts fresh nonces into the words of a command.
func (p *player) words(args []string) ([]string, error) {
	args = slices.Clone(args)
	for i, word := range args {
		if !strings.HasPrefix(word, "%") {
			continue
		}
		if p.nonces[word] == "" {
			nonce := make([]byte, 16)
			if _, err := io.ReadFull(p.Rand, nonce); err != nil {
				return nil, err
			}
			p.nonces[word] = hex.EncodeToString(nonce)
		}
		args[i] = p.nonces[word]
	}
	return args, nil
}

// run runs a command as a shell in the tour's folder would.
func (p *player) run(ctx context.Context, args []string, output io.Writer) int {
	args = slices.Clone(args)
	for i, word := range args {
		if ext := filepath.Ext(word); slices.Contains([]string{".json", ".tpm", ".key", ".log"}, ext) {
			args[i] = p.at(word)
		}
	}
	env := *p.Env
	env.In, env.Out, env.Err, env.Term = strings.NewReader(""), output, output, term.Facts{}
	env.Getenv = func(string) string { return "" }
	env.OpenTPM = p.open
	return Run(ctx, &env, args)
}

// boot starts the machine anew and lets it measure what it is made of, the way firmware and loaders do.
func (p *player) boot(ctx context.Context, change func(*synth.Machine)) (line string, err error) {
	t, err := p.powerOn(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	banks, err := pcr.Banks(t)
	if err != nil {
		return "", err
	}
	m := synth.Default()
	m.Banks = m.Banks[:0]
	for _, b := range banks.Active() {
		m.Banks = append(m.Banks, b.Bank)
	}
	change(&m)
	recording := synth.ShimGRUB(m)
	touched := pcr.Set(0)
	for _, e := range recording.Extends {
		touched |= pcr.SetOf(e.PCR)
		if err := extend(t, e.PCR, e.Digests); err != nil {
			return "", err
		}
	}
	line = fmt.Sprintf("%d measurements, into PCRs %s", len(recording.Extends), touched)
	return line, file.Write(p.at("boot.log"), recording.Log, file.Shared, true)
}

// open reaches the tour's TPM. Its state is in memory: on a disk each of some hundred changes would wait for the platter.
func (p *player) open(ctx context.Context, _ string, o tpm.Options) (tpm.Conn, error) {
	e, err := engine.New(engine.Config{Store: p.state, Rand: p.Rand, Now: p.Now})
	if err != nil {
		return nil, err
	}
	return tpm.FromEngine(ctx, e, o)
}

// powerOn resets the TPM, as a reboot does.
func (p *player) powerOn(ctx context.Context) (tpm.Conn, error) {
	e, err := engine.New(engine.Config{Store: p.state, Rand: p.Rand, Now: p.Now})
	if err != nil {
		return nil, err
	}
	if err := e.Reset(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return tpm.FromEngine(ctx, e, tpm.Options{Allow: tpm.Extends})
}

func extend(t tpm.Sender, n int, digests []eventlog.Digest) error {
	var list tpm2.TPMLDigestValues
	for _, d := range digests {
		list.Digests = append(list.Digests, tpm2.TPMTHA{HashAlg: tpm2.TPMIAlgHash(d.Alg), Digest: d.Value})
	}
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(n), Auth: tpm2.PasswordAuth(nil)}, Digests: list,
	}.Execute(t)
	return err
}
