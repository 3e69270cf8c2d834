package packaging

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// prose are words that follow "vtpmctl" where it is the subject of a sentence, or part of a name.
var prose = map[string]bool{
	"has": true, "made": true, "below": true, "tpm": true, "synthetic": true, "synth": true, "the": true, "says": true,
}

var (
	named    = regexp.MustCompile(`\bvtpmctl ((?:--tpm \S+ )*)([a-z][a-z0-9-]*)(?: ([a-z][a-z0-9-]*))?([^\n|;>` + "`" + `]*)`)
	longFlag = regexp.MustCompile(`(?:^|[ (\[])(--[a-z][a-z-]+)`)
)

// TestCommandsThatTheProgramNamesExist looks up every command in a string of the program: hints, examples and help texts.
func TestCommandsThatTheProgramNamesExist(t *testing.T) {
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && (d.Name()[0] == '.' || d.Name() == "bench"):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Error(err)
				}
				found += lookUpAll(t, files.Position(lit.Pos()).String(), text)
			}
			return true
		})
		return nil
	})
	if err != nil || found < 100 {
		t.Errorf("%d commands: %v", found, err)
	}
}

// code is what stands in a fence or between backticks.
var code = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")

// TestCommandsThatTheDocumentsNameExist does the same for the documents.
func TestCommandsThatTheDocumentsNameExist(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("no documents: ", err)
	}
	for _, page := range append(pages, "../README.md") {
		for _, text := range code.FindAllString(string(read(t, page)), -1) {
			lookUpAll(t, page, text)
		}
	}
}

// lookUpAll finds the commands in a text and wants each, with its flags, to exist. It returns how many there are.
func lookUpAll(t *testing.T, where, text string) (found int) {
	t.Helper()
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		verb, next, rest := m[2], m[3], m[4]
		if prose[verb] {
			continue
		}
		found++
		help, ok := helpOf(t, verb)
		if ok && strings.Contains(help, "\nVerbs:\n") && next != "" {
			help, ok = helpOf(t, verb, next)
			verb += " " + next
		}
		if !ok {
			t.Errorf("%s: vtpmctl has no %q", where, verb)
			continue
		}
		all, _ := helpOf(t)
		for _, flag := range longFlag.FindAllStringSubmatch(m[1]+rest, -1) {
			if !regexp.MustCompile(`(?m)^ +(-\w, )?` + flag[1] + `\b`).MatchString(help + all) {
				t.Errorf("%s: vtpmctl %s has no %s", where, verb, flag[1])
			}
		}
	}
	return found
}

// helpOf is the help of a verb, "" without one; ok tells whether there is such a verb or topic.
func helpOf(t *testing.T, words ...string) (help string, ok bool) {
	t.Helper()
	if len(words) > 0 && words[0] == "help" {
		help, status := vtpmctl(t, words...)
		return help, status == 0
	}
	help, status := vtpmctl(t, append(words, "--help")...)
	return help, status == 0 && strings.Contains("\n"+help, "\n"+strings.Join(append([]string{"vtpmctl"}, words...), " ")+": ")
}
