package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryVariableThatIsReadIsInTheRegistry looks for Getenv calls in the source: help must not leave one out.
func TestEveryVariableThatIsReadIsInTheRegistry(t *testing.T) {
	var known []string
	for _, v := range envVars() {
		known = append(known, v.name)
	}
	all := strings.Join(known, ", ")
	literal := regexp.MustCompile(`[gG]etenv\("([A-Za-z_]+)"\)`)
	reads := 0
	for _, pattern := range []string{"*.go", "../internal/term/*.go", "../tpm/*.go", "../internal/host/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
				reads++
				if !strings.Contains(all, m[1]) {
					t.Errorf("%s reads %s, which `help environment` does not tell", f, m[1])
				}
			}
		}
	}
	if reads < 4 {
		t.Errorf("only %d reads found: the search is broken", reads)
	}
}

func TestEngineFolderWithoutAHome(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing set":     {nil, "/var/lib/vtpmctl/engine"},
		"root":            {map[string]string{"HOME": "/root"}, "/var/lib/vtpmctl/engine"},
		"a user":          {map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/vtpmctl/engine"},
		"XDG":             {map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/s"}, "/s/vtpmctl/engine"},
		"an explicit one": {map[string]string{"VTPMCTL_STATE": "/x", "XDG_STATE_HOME": "/s"}, "/x"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{Env: &Env{Getenv: func(k string) string { return c.env[k] }}}
			if got := filepath.ToSlash(a.engineDir()); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
