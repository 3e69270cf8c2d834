// Package packaging holds what ships beside the binary. Its tests run the examples, or check what cannot be run here.
package packaging

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/internal/term"
)

// TestMain is vtpmctl itself where an example started it.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "vtpmctl" {
		os.Exit(cmd.Main())
	}
	os.Exit(m.Run())
}

// TestExamplesUseCommandsThatExist finds every command line of vtpmctl in an example and looks its verb and flags up.
func TestExamplesUseCommandsThatExist(t *testing.T) {
	files, err := filepath.Glob("examples/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples: ", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			found := 0
			for line := range strings.Lines(string(read(t, file))) {
				words, ok := commandIn(line)
				if !ok {
					continue
				}
				found++
				lookUp(t, words)
				if filepath.Ext(file) == ".ps1" && listOfPowerShell.MatchString(line) {
					t.Errorf("PowerShell makes several words of it at the commas: %s", line)
				}
			}
			if found == 0 {
				t.Error("there is no command of vtpmctl in it")
			}
		})
	}
}

var (
	punctuation = regexp.MustCompile(`[\[\],"']+`)
	endOfWords  = regexp.MustCompile(`\s(\||\|\||&&|;|>|<)|[)>]`)
)

// listOfPowerShell is a word with a comma outside quotes.
var listOfPowerShell = regexp.MustCompile(`vtpmctl [^'"|;]*,`)

// commandIn finds the words behind "vtpmctl" in a line of a script or an argv list of YAML.
func commandIn(line string) ([]string, bool) {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil, false
	}
	_, rest, ok := strings.Cut(" "+punctuation.ReplaceAllString(line, " "), " vtpmctl ")
	if !ok {
		_, rest, ok = strings.Cut(line, "=/usr/bin/vtpmctl ")
	}
	if end := endOfWords.FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	return strings.Fields(rest), ok
}

// lookUp asks for the help of the verb and wants it to tell each flag.
func lookUp(t *testing.T, words []string) {
	t.Helper()
	var verb []string
	for _, w := range words {
		if !regexp.MustCompile(`^[a-z0-9]+$`).MatchString(w) || len(verb) == 2 {
			break
		}
		verb = append(verb, w)
	}
	help, status := vtpmctl(t, append(verb, "--help")...)
	all, _ := vtpmctl(t, "--help")
	if status != 0 || !strings.Contains("\n"+help, "\nvtpmctl "+strings.Join(verb, " ")+": ") {
		t.Errorf("vtpmctl has no %q", verb)
		return
	}
	for _, w := range words {
		flag := regexp.MustCompile(`(?m)^ +(-\w, )?` + regexp.QuoteMeta(w) + `\b`)
		if strings.HasPrefix(w, "-") && w != "-" && !flag.MatchString(help+all) {
			t.Errorf("vtpmctl %s has no %s", strings.Join(verb, " "), w)
		}
	}
}

func vtpmctl(t *testing.T, args ...string) (stdout string, status int) {
	t.Helper()
	var out, complaint bytes.Buffer
	env := &cmd.Env{In: strings.NewReader(""), Out: &out, Err: &complaint, Getenv: func(string) string { return "" }, Term: term.Facts{}}
	status = cmd.Run(context.Background(), env, args)
	return out.String(), status
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// elsewhere prepares a machine of which nothing is real: vtpmctl is this test binary, its TPM is the built-in one, and
// the folders that an example names lie below a temporary one. It returns how to rewrite an example for it, and what
// runs one and returns what that said.
func elsewhere(t *testing.T) (rewrite *strings.Replacer, run func(script string) string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("an example for Linux")
	}
	root := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "lib", "etc", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(self, filepath.Join(root, "bin/vtpmctl")); err != nil {
		t.Fatal(err)
	}
	rewrite = strings.NewReplacer(
		"/usr/bin/vtpmctl", root+"/bin/vtpmctl", "/var/lib/vtpmctl", root+"/lib", "/etc/vtpmctl", root+"/etc", "/run/vtpmctl", root+"/run",
		"VTPMCTL_REQUIRE_TPM=1", "VTPMCTL_REQUIRE_TPM=0",
	)
	return rewrite, func(script string) string {
		t.Helper()
		c := exec.Command("/bin/sh", "-e")
		c.Dir = root
		c.Stdin = strings.NewReader(rewrite.Replace(script))
		c.Env = []string{"PATH=" + root + "/bin:/usr/bin:/bin", "VTPMCTL_TPM=engine:" + root + "/tpm"}
		text, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, script, text)
		}
		return string(text)
	}
}

func TestCloudInitScriptRunsTwice(t *testing.T) {
	rewrite, run := elsewhere(t)
	var config struct {
		Files []struct{ Path, Content string } `yaml:"write_files"`
		Run   [][]string                       `yaml:"runcmd"`
	}
	if err := yaml.Unmarshal(read(t, "examples/cloud-init.yaml"), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Files) != 1 || len(config.Run) != 1 || config.Run[0][0] != config.Files[0].Path {
		t.Fatalf("it does not run the one file it writes: %+v", config)
	}
	folder := rewrite.Replace("/var/lib/vtpmctl/")
	run(aBoot)
	run(config.Files[0].Content)
	sealed := read(t, folder+"data.tpm")
	run(config.Files[0].Content)
	if !bytes.Equal(sealed, read(t, folder+"data.tpm")) {
		t.Error("the second run sealed another key over the first")
	}
	run("vtpmctl unseal /var/lib/vtpmctl/data.tpm --out-file key")
	if key := read(t, filepath.Join(filepath.Dir(filepath.Clean(folder)), "key")); len(key) != 32 {
		t.Errorf("the sealed key has %d bytes", len(key))
	}
	var info struct{ Schema string }
	if err := json.Unmarshal(read(t, folder+"info.json"), &info); err != nil || info.Schema == "" {
		t.Errorf("info.json: %v %+v", err, info)
	}
}

// aBoot extends the PCRs of the firmware.
const aBoot = "for n in 0 1 2 3 4 5 6 7; do echo $n | vtpmctl pcr extend $n - -q; done"

// started is what systemd runs for a unit.
func started(t *testing.T, unit string) string {
	t.Helper()
	for line := range strings.Lines(string(read(t, unit))) {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			return command
		}
	}
	t.Fatal("the unit starts nothing")
	return ""
}

func TestSystemdUnitComparesWithTheBaseline(t *testing.T) {
	rewrite, run := elsewhere(t)
	check := strings.TrimSpace(started(t, "examples/vtpmctl-baseline.service")) + " --file " + rewrite.Replace("/var/lib/vtpmctl/baseline.json")
	run(aBoot)
	run("vtpmctl baseline create --file /var/lib/vtpmctl/baseline.json --anchor 0x01800200")
	run(check)
	run("echo change | vtpmctl pcr extend 4 -")
	run("status=0; " + check + " || status=$?; [ $status = 7 ]")
	run("vtpmctl baseline accept 4 --reason planned --file /var/lib/vtpmctl/baseline.json --anchor 0x01800200")
	run(check)
}

func TestSystemdUnitUnseals(t *testing.T) {
	rewrite, run := elsewhere(t)
	start := strings.ReplaceAll(started(t, "examples/vtpmctl-unseal@.service"), "%i", "app")
	run("printf geheim | vtpmctl seal --pcrs sha256:7 --out-file /etc/vtpmctl/app.tpm -")
	run("mkdir /run/vtpmctl/app\n" + start)
	if secret := read(t, rewrite.Replace("/run/vtpmctl/app/secret")); string(secret) != "geheim" {
		t.Errorf("the unit left %q", secret)
	}
}

func TestYAMLExamplesParse(t *testing.T) {
	files, _ := filepath.Glob("examples/*.yaml")
	for _, file := range files {
		var doc any
		if err := yaml.Unmarshal(read(t, file), &doc); err != nil || doc == nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
