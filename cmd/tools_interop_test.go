//go:build interop

package cmd_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/cmd"
	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// vtpmctl runs a command line without a terminal and returns its output; want is the exit status.
func vtpmctl(t *testing.T, want int, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	env := cmd.System()
	var out, complaint bytes.Buffer
	env.In, env.Out, env.Err = strings.NewReader(stdin), &out, &complaint
	env.Term.In, env.Term.Out, env.Term.Err = false, false, false
	if got := cmd.Run(t.Context(), env, args); got != want {
		t.Fatalf("vtpmctl %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, want, complaint.String())
	}
	return out.String(), complaint.String()
}

// utf16Bytes is text as Windows keeps it, in either byte order.
func utf16Bytes(text string, bigEndian bool) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if bigEndian {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

// disguises are the forms in which a secret may be recognised.
func disguises(secret string) map[string][]byte {
	forms := map[string][]byte{
		"raw": []byte(secret), "UTF-16LE": utf16Bytes(secret, false), "UTF-16BE": utf16Bytes(secret, true),
		"hex": []byte(hex.EncodeToString([]byte(secret))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
	}
	reversed := []byte(secret)
	slices.Reverse(reversed)
	forms["reversed"] = reversed
	for shift, name := range []string{"base64", "base64 after one byte", "base64 after two bytes"} {
		text := base64.RawStdEncoding.EncodeToString([]byte("xx"[:shift] + secret))
		from := []int{0, 2, 3}[shift]       // what the bytes before the secret touch
		to := (shift + len(secret)) * 8 / 6 // what the bytes after it cannot touch
		forms[name] = []byte(text[from:min(to, len(text))])
	}
	return forms
}

// found lists the disguises in which secret is in data.
func found(data []byte, secret string) (names []string) {
	for name, form := range disguises(secret) {
		if bytes.Contains(data, form) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestNeitherSecretNorPINCrossesTheBus listens between the command line and swtpm.
func TestNeitherSecretNorPINCrossesTheBus(t *testing.T) {
	swtpm := interop.StartSWTPM(t)
	tap := interop.StartTap(t, swtpm.Addr)
	target := "swtpm:" + tap.Addr
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	const secret, pin, wrong = "the cake is a lie, says GLaDOS", "31415926535", "27182818284"
	for name, text := range map[string]string{"secret": secret, "pin": pin + "\n", "wrong": wrong} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vtpmctl(t, 0, "", "seal", "--tpm", target, "--pin-file", path("pin"), "--out-file", path("sealed"), path("secret"))
	vtpmctl(t, 3, "", "unseal", "--tpm", target, "--pin-file", path("wrong"), path("sealed"))
	got, _ := vtpmctl(t, 0, "", "unseal", "--tpm", target, "--pin-file", path("pin"), path("sealed"))
	if got != secret {
		t.Fatalf("unsealed %q", got)
	}
	sent, received := tap.Heard()
	if len(sent) < 1000 || len(received) < 1000 {
		t.Fatalf("only %d and %d bytes were heard", len(sent), len(received))
	}
	for _, word := range []string{secret, pin, wrong} {
		if names := found(sent, word); names != nil {
			t.Errorf("%q was sent: %v", word, names)
		}
		if names := found(received, word); names != nil {
			t.Errorf("%q came back: %v", word, names)
		}
	}
	// The control: what is sent in the clear is heard and found, and every disguise is recognised.
	c, err := tpm.Open(t.Context(), target, tpm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := (tpm2.Hash{Data: tpm2.TPM2BMaxBuffer{Buffer: []byte(secret)}, HashAlg: tpm2.TPMAlgSHA256, Hierarchy: tpm2.TPMRHNull}).Execute(c); err != nil {
		t.Fatal(err)
	}
	if sent, _ = tap.Heard(); !slices.Contains(found(sent, secret), "raw") {
		t.Error("a secret in the clear was not found")
	}
	for _, before := range []string{"", "x", "xx"} {
		text := base64.StdEncoding.EncodeToString([]byte(before + secret + "yyy"))
		if found([]byte(text), secret) == nil {
			t.Errorf("a secret after %q in base64 was not found", before)
		}
	}
}

func TestPCRReadPrintsWhatTPM2PCRReadPrints(t *testing.T) {
	swtpm := interop.StartSWTPM(t)
	for _, args := range [][]string{{"23", "-"}, {"7", "-"}, {"16", "--digest", "sha256:" + strings.Repeat("ab", 32)}} {
		vtpmctl(t, 0, "event", append([]string{"pcr", "extend", "--tpm", swtpm.Target()}, args...)...)
	}
	for _, selection := range []string{"", "sha256:7,16,23", "sha384:0,1,2,3,4,5,6,7,8,9,10+sha1:all", "sha512:all"} {
		args, theirs := []string{"pcr", "read", "--tpm", swtpm.Target()}, []string{"-T", swtpm.TCTI()}
		if selection != "" {
			args, theirs = append(args, selection), append(theirs, selection)
		}
		want := interop.Run(t, "tpm2_pcrread", theirs...)
		for _, format := range []string{"pcrread", "tpm2"} {
			if got, _ := vtpmctl(t, 0, "", append(args, "-o", format)...); got != string(want) {
				t.Errorf("%q as %s:\n%s\ntpm2_pcrread:\n%s", selection, format, got, want)
			}
		}
	}
}
