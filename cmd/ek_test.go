package cmd_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func TestAnEndorsementPasswordIsARefusalAndKeepsBackKeysAlone(t *testing.T) {
	target := "engine:" + t.TempDir()
	conn, err := tpm.Open(t.Context(), target, tpm.Options{Allow: tpm.Clears})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.TPMRHEndorsement, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("password")},
	}.Execute(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]int{"ek list": 3, "ek show L-2": 3, "ek show 0x01c0000a": 66} {
		var stdout, stderr bytes.Buffer
		env := &cmd.Env{Out: &stdout, Err: &stderr, Getenv: func(string) string { return "" }, OpenTPM: tpm.Open}
		status := cmd.Run(t.Context(), env, append(strings.Fields(words), "--tpm", target))
		if status != want || stdout.Len() > 0 {
			t.Errorf("%s: exit status %d, want %d\n%s%s", words, status, want, &stdout, &stderr)
		}
	}
}
