package cmd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

// desk is a user at a terminal or off one, with an engine of their own.
type desk struct {
	t        *testing.T
	terminal bool
	answers  []string // to questions on the terminal, in turn
	asked    []string
	conn     tpm.Conn
}

// lasting keeps an engine open beyond one command.
type lasting struct{ tpm.Conn }

func (lasting) Close() error { return nil }

func newDesk(t *testing.T) *desk {
	return &desk{t: t, conn: lasting{tpmtest.Engine(t, tpm.Options{Allow: tpmtest.Everything})}}
}

func (d *desk) run(args ...string) (status int, stdout, stderr string) {
	d.t.Helper()
	var out, complaint bytes.Buffer
	env := &cmd.Env{
		In: strings.NewReader(""), Out: &out, Err: &complaint, Getenv: func(string) string { return "" },
		Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Rand: rand.Reader,
		OpenTPM: func(context.Context, string, tpm.Options) (tpm.Conn, error) { return d.conn, nil },
		AskSecret: func(_ context.Context, prompt string) ([]byte, error) {
			d.asked = append(d.asked, prompt)
			if len(d.answers) == 0 {
				return nil, errors.New("nobody answers")
			}
			answer := d.answers[0]
			d.answers = d.answers[1:]
			if answer == "" { // as package term does for an empty line
				return nil, nil
			}
			return []byte(answer), nil
		},
	}
	env.Term.In, env.Term.Out, env.Term.Err = d.terminal, d.terminal, d.terminal
	status = cmd.Run(d.t.Context(), env, args)
	return status, out.String(), complaint.String()
}

// must runs a command that has to succeed.
func (d *desk) must(args ...string) string {
	d.t.Helper()
	status, stdout, stderr := d.run(args...)
	if status != 0 {
		d.t.Fatalf("vtpmctl %s: exit status %d\n%s", strings.Join(args, " "), status, stderr)
	}
	return stdout
}

// file writes a file and returns its path; nil content only names it.
func (d *desk) file(name string, content []byte) string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), name)
	if content != nil {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	return path
}

func TestPINsAreAskedForTwiceAndOnce(t *testing.T) {
	d := newDesk(t)
	d.terminal = true
	secret, sealed := d.file("secret", []byte("geheim")), d.file("sealed", nil)
	d.answers = []string{"1234", "1235"}
	if status, _, stderr := d.run("seal", "--pin", "--out-file", sealed, secret); status != 64 || !strings.Contains(stderr, "the two PINs differ") {
		t.Errorf("two PINs: exit status %d\n%s", status, stderr)
	}
	d.answers = []string{"", ""}
	if status, _, stderr := d.run("seal", "--pin", "--out-file", sealed, secret); status != 64 || !strings.Contains(stderr, "the PIN is empty") {
		t.Errorf("an empty PIN: exit status %d\n%s", status, stderr)
	}
	d.answers = []string{"1234", "1234"}
	d.must("seal", "--pin", "--out-file", sealed, secret)
	d.asked, d.answers = nil, []string{"1234"}
	if got := d.must("unseal", "--out-file", "-", sealed); got != "geheim" {
		t.Errorf("unsealed %q", got)
	}
	if len(d.asked) != 1 {
		t.Errorf("asked: %q", d.asked)
	}
}

func TestASecretIsNotShownOnATerminalUnlessAskedFor(t *testing.T) {
	d := newDesk(t)
	secret, sealed := d.file("secret", []byte("geheim")), d.file("sealed", nil)
	d.must("seal", "--out-file", sealed, secret)
	d.terminal = true
	if status, stdout, stderr := d.run("unseal", sealed); status != 64 || stdout != "" || !strings.Contains(stderr, "--out-file - shows it") {
		t.Errorf("exit status %d, %q\n%s", status, stdout, stderr)
	}
	if got := d.must("unseal", "--out-file", "-", sealed); got != "geheim" {
		t.Errorf("unsealed %q", got)
	}
	if status, _, stderr := d.run("seal", "-"); status != 64 || !strings.Contains(stderr, "stdin is a terminal") {
		t.Errorf("sealing what is typed: exit status %d\n%s", status, stderr)
	}
}

func TestNothingOfADamagedFileIsPrinted(t *testing.T) {
	d := newDesk(t)
	sealed := d.file("sealed", nil)
	d.must("seal", "--out-file", sealed, d.file("secret", bytes.Repeat([]byte("geheim "), 30_000)))
	text, err := os.ReadFile(sealed)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for name, damaged := range map[string][]byte{
		"a line is gone":  bytes.Join(slices.Delete(slices.Clone(lines), len(lines)-10, len(lines)-9), nil),
		"the end is gone": text[:len(text)-2000],
		"lines are added": bytes.Join(slices.Insert(slices.Clone(lines), len(lines)-5, lines[len(lines)-9]), nil),
	} {
		broken, out := d.file("broken", damaged), d.file("out", nil)
		status, stdout, stderr := d.run("unseal", broken)
		if status != 65 || stdout != "" || !strings.Contains(stderr, "altered, cut short or extended") {
			t.Errorf("%s: exit status %d, %d bytes printed\n%s", name, status, len(stdout), stderr)
		}
		if status, _, _ := d.run("unseal", "--out-file", out, broken); status != 65 {
			t.Errorf("%s: into a file: exit status %d", name, status)
		}
		if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: there is an output file: %v", name, err)
		}
	}
}

func TestSecretsAreForTheirOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes are a matter of Unix")
	}
	d := newDesk(t)
	sealed, out := d.file("sealed", nil), d.file("out", nil)
	d.must("seal", "--out-file", sealed, d.file("secret", []byte("geheim")))
	d.must("unseal", "--out-file", out, sealed)
	for _, path := range []string{sealed, out} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestSealedDocsKeepTheirFields holds the contract of the JSON: fields are added, never renamed or dropped.
func TestSealedDocsKeepTheirFields(t *testing.T) {
	d := newDesk(t)
	secret, sealed, out := d.file("secret", []byte("geheim")), d.file("sealed", nil), d.file("out", nil)
	values := []string{"", ".banks", ".banks.alg", ".banks.name", ".banks.pcrs", ".banks.pcrs.pcr", ".banks.pcrs.value"}
	below := func(name string, more ...string) []string {
		all := slices.Clone(more)
		for _, v := range values {
			all = append(all, name+v)
		}
		return all
	}
	tpmFields := []string{"schema", "tpm", "tpm.emulated", "tpm.target"}
	difference := []string{"actual", "bank", "expected", "measures", "pcr", "pcr_name"}
	differences := []string{"differences"}
	for _, f := range difference {
		differences = append(differences, "differences."+f)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"seal", "--out-file", sealed, secret}, 0, below("expected", slices.Concat(tpmFields, []string{
			"bytes", "checks", "checks.name", "checks.result", "default_pcrs", "description", "emulated", "enveloped", "file",
			"parent", "parent.handle", "parent.name", "parent.template", "pcrs", "pin",
		})...)},
		{[]string{"unseal", "--out-file", out, sealed}, 0, slices.Concat(tpmFields, []string{"bytes", "file"})},
		{[]string{"sealed", "rehearse", sealed}, 0, slices.Concat(tpmFields, []string{"bytes", "opens", "pin"})},
		{[]string{"sealed", "show", sealed}, 0, below("block.expected", "schema",
			"block", "block.content", "block.created", "block.emulated", "block.parent", "block.parent.handle", "block.parent.name",
			"block.parent.template", "block.schema", "description", "object", "object.auth_policy", "object.fixed_tpm",
			"object.name_alg", "object.no_da", "object.user_with_auth", "parent", "pin", "policy", "policy.command", "policy.digest",
			"policy.pcrs", "policy_fits", "signed_policies")},
		{[]string{"sealed", "export", "--public", d.file("pub", nil), "--private", d.file("priv", nil), sealed}, 0,
			[]string{"schema", "commands", "parent", "private", "public"}},
		{[]string{"pcr", "read", "sha256:7"}, 0, slices.Concat(tpmFields, []string{
			"banks", "banks.alg", "banks.name", "banks.pcrs", "banks.pcrs.pcr", "banks.pcrs.value", "unmeasured_banks",
		})},
		{[]string{"pcr", "extend", "7", secret}, 0, slices.Concat(tpmFields, []string{
			"banks", "banks.after", "banks.bank", "banks.before", "banks.digest", "changed", "dry_run", "pcr", "pcr_name",
		})},
		{[]string{"sealed", "why", sealed}, 7, slices.Concat(tpmFields, differences, []string{
			"compared", "opens", "parent", "parent.actual", "parent.expected", "parent.handle", "parent.same", "pin",
		})},
		{[]string{"pcr", "compare", d.file("other", []byte("sha256:\n  7 : 0x"+strings.Repeat("00", 32)+"\n"))}, 7,
			slices.Concat(tpmFields, differences, []string{"compared", "equal"})},
	} {
		status, stdout, stderr := d.run(append(c.args, "-o", "json")...)
		if status != c.status {
			t.Fatalf("%s: exit status %d\n%s", c.args, status, stderr)
		}
		slices.Sort(c.want)
		if got := fieldsOf(t, stdout); !slices.Equal(got, c.want) {
			t.Errorf("%s has the fields\n%s\nwant\n%s", c.args[:2], strings.Join(got, " "), strings.Join(c.want, " "))
		}
	}
}
