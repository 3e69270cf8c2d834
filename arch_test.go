package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vtpmctl/vtpmctl"

// pkg is what `go list -json` tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Dir        string
	GoFiles    []string
}

func list(t *testing.T, env []string, args ...string) []pkg {
	t.Helper()
	c := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Dir,GoFiles"}, args...)...)
	c.Env = append(os.Environ(), env...)
	text, err := c.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// mayImport says which packages of ours a package may import: the direction is main → cmd → domain → tpm → engine. A
// package covers those below it, unless they have a rule of their own.
var mayImport = map[string][]string{
	"":                      {"cmd"},
	"cmd":                   {"pcr", "seal", "quote", "eventlog", "bitlocker", "tpm", "engine", "internal"},
	"pcr":                   {"tpm", "eventlog", "internal"},
	"seal":                  {"tpm", "pcr", "internal"},
	"quote":                 {"tpm", "pcr", "eventlog", "internal"},
	"bitlocker":             {"tpm", "pcr", "eventlog", "internal"},
	"eventlog":              {"eventlog", "internal/wire", "internal/fail"},
	"tpm":                   {"engine", "tpm", "internal/wire", "internal/fail"},
	"engine":                {"engine", "internal/wire"},
	"internal":              {"internal/fail"},
	"internal/wire":         {},
	"eventlog/files":        {"eventlog", "internal/authenticode"},
	"pcr/baseline":          {"pcr", "eventlog", "tpm", "internal/fail"},
	"pcr/predict":           {"eventlog", "internal/authenticode", "internal/wire", "internal/fail"}, // no TPM
	"internal/authenticode": {"internal/wire"},
	"internal/fail":         {},
	"internal/out":          {},
	"packaging":             {},
	"bench":                 {"cmd", "eventlog", "engine", "tpm", "internal/interop"},
	"internal/interop":      {},
	"internal/guest":        {"cmd", "tpm", "quote", "eventlog", "pcr", "internal"},
}

// covers reports whether the rule name covers the package path, both relative to the module.
func covers(rule, path string) bool { return path == rule || strings.HasPrefix(path, rule+"/") }

func ruleOf(path string) (rule string, ok bool) {
	for r := range mayImport {
		if (r == path || r != "" && covers(r, path)) && (!ok || len(r) > len(rule)) {
			rule, ok = r, true
		}
	}
	return rule, ok
}

func TestPackagesImportInOneDirection(t *testing.T) {
	for _, p := range list(t, nil, "./...") {
		path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		rule, ok := ruleOf(path)
		if !ok {
			t.Errorf("%q is a package without a rule: add it to mayImport", path)
			continue
		}
		for _, imp := range p.Imports {
			below, ours := strings.CutPrefix(imp, module+"/")
			if !ours || covers(rule, below) && rule != "" {
				continue
			}
			if !slices.ContainsFunc(mayImport[rule], func(r string) bool { return covers(r, below) }) {
				t.Errorf("%s must not import %s", p.ImportPath, below)
			}
		}
	}
}

// onlyIn says where a foreign package or one of the standard library may be imported, by prefix.
var onlyIn = map[string][]string{
	"github.com/spf13":                 {"cmd"},
	"github.com/rivo/uniseg":           {"internal/out"},
	"go.yaml.in/yaml":                  {}, // tests read our YAML with it
	"golang.org/x/term":                {"internal/term"},
	"github.com/emmansun/gmsm":         {"engine", "eventlog", "pcr", "quote", "internal"},
	"github.com/google/go-tpm":         {"cmd", "pcr", "seal", "quote", "bitlocker", "tpm", "bench"},
	"github.com/google/go-attestation": {"quote"},
	"github.com/google/go-tpm/legacy":  {},
	"os/exec":                          {"internal/interop", "internal/guest", "bench"}, // tests and tools, never linked
	"text/template":                    {},
	"net/http":                         {},
	"log":                              {},
	"math/rand":                        {},
}

// never must not be in the build at all, whoever asks for it.
var never = []string{module + "/internal/interop", module + "/bitlocker/synth", "testing", "charm.land", "github.com/charmbracelet", "github.com/google/go-tpm-tools", "google.golang.org/protobuf"}

func TestForeignPackagesStayWhereTheyBelong(t *testing.T) {
	for _, system := range []string{"linux", "windows"} {
		env := []string{"GOOS=" + system, "CGO_ENABLED=0"}
		for _, p := range list(t, env, "./...") {
			path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
			for _, imp := range p.Imports {
				for prefix, where := range onlyIn {
					if !covers(prefix, imp) {
						continue
					}
					if !slices.ContainsFunc(where, func(r string) bool { return covers(r, path) }) {
						t.Errorf("%s: %s must not import %s", system, p.ImportPath, imp)
					}
				}
			}
		}
		for _, dep := range list(t, env, ".")[0].Deps {
			for _, bad := range never {
				if covers(bad, dep) {
					t.Errorf("%s: %s is linked", system, dep)
				}
			}
		}
	}
}

// world matches what only cmd/env.go may touch: the process's streams, environment, exit and clock; and go-tpm's
// OpenTPM, which would link its legacy package.
var world = regexp.MustCompile(`\bos\.(Stdin|Stdout|Stderr|Getenv|LookupEnv|Environ|Exit|Args)\b|\btime\.(Now|Since|Until)\b|\brand\.Reader\b|\btransport\.OpenTPM\b`)

// worldly lists files with a reason of their own to touch it.
var worldly = map[string]string{
	"main.go":       "hands the exit status to the system",
	"cmd/main.go":   "hands the arguments to Run",
	"cmd/env.go":    "is the one place",
	"engine/tpm.go": "turns a nil Rand and a nil Now into those of the host, so that the zero Config works",
}

func TestOnlyEnvTouchesTheProcess(t *testing.T) {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list(t, nil, "./...") {
		for _, name := range p.GoFiles {
			rel, err := filepath.Rel(root, filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			rel = filepath.ToSlash(rel)
			// bench is a program of its own, with the clock for its subject.
			if worldly[rel] != "" || strings.HasPrefix(rel, "bench/") || strings.HasPrefix(rel, "internal/gen") {
				continue
			}
			text, err := os.ReadFile(rel)
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(string(text), "\n") {
				code, _, _ := strings.Cut(line, "//")
				if hit := world.FindString(code); hit != "" {
					t.Errorf("%s:%d touches %s: take it from Env or a Config", rel, i+1, hit)
				}
			}
		}
	}
}

// maxBinary is the budget of the stripped linux/amd64 binary, in bytes.
const maxBinary = 10_300_000

func TestBinaryStaysSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	path := filepath.Join(t.TempDir(), "vtpmctl")
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	c.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBinary {
		t.Errorf("the binary has %d bytes, %d is the budget", info.Size(), maxBinary)
	}
	t.Logf("%d bytes", info.Size())
}
