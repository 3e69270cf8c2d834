//go:build interop

package pcr_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// onSWTPM runs f on a connection that is closed again, because swtpm serves one client at a time.
func onSWTPM(t *testing.T, s *interop.SWTPM, f func(c tpm.Conn)) {
	t.Helper()
	c, err := tpm.Open(t.Context(), s.Target(), tpm.Options{Allow: tpm.Extends})
	if err != nil {
		t.Fatal(err)
	}
	f(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, s *interop.SWTPM) (v *pcr.Values) {
	t.Helper()
	onSWTPM(t, s, func(c tpm.Conn) {
		var err error
		if v, err = pcr.Read(c, nil); err != nil {
			t.Fatal(err)
		}
	})
	return v
}

func TestOurExtendIsThatOfTPM2Tools(t *testing.T) {
	ours, theirs := interop.StartSWTPM(t), interop.StartSWTPM(t)
	event := strings.Repeat("an event longer than one buffer of a TPM ", 100)
	path := filepath.Join(t.TempDir(), "event")
	if err := os.WriteFile(path, []byte(event), 0o600); err != nil {
		t.Fatal(err)
	}
	interop.Run(t, "tpm2_pcrevent", "-T", theirs.TCTI(), "8", path)
	interop.Run(t, "tpm2_pcrextend", "-T", theirs.TCTI(), "11:sha1="+strings.Repeat("01", 20)+",sha512="+strings.Repeat("02", 64))
	onSWTPM(t, ours, func(c tpm.Conn) {
		banks, err := pcr.Banks(c)
		if err != nil {
			t.Fatal(err)
		}
		all, err := pcr.EventDigests(banks.Active(), strings.NewReader(event))
		if err != nil {
			t.Fatal(err)
		}
		two, err := pcr.ParseDigests([]string{"sha1:" + strings.Repeat("01", 20), "sha512:" + strings.Repeat("02", 64)})
		if err != nil {
			t.Fatal(err)
		}
		for n, d := range map[int]pcr.Digests{8: all, 11: two} {
			if err := pcr.Extend(c, n, d); err != nil {
				t.Fatal(err)
			}
		}
	})
	a, b := readAll(t, ours), readAll(t, theirs)
	if len(a.Banks) < 4 || len(a.Unmeasured()) != len(a.Banks) {
		t.Errorf("%d banks, unmeasured %v", len(a.Banks), a.Unmeasured())
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	interop.Run(t, "tpm2_pcrreset", "-T", theirs.TCTI(), "16", "23")
}

func TestFilesOfTPM2PCRReadAreRead(t *testing.T) {
	s := interop.StartSWTPM(t)
	interop.Run(t, "tpm2_pcrextend", "-T", s.TCTI(), "7:sha256="+strings.Repeat("07", 32))
	want := readAll(t, s)
	selection := "sha256:all+sha1:0,7,17,23+sha512:1"
	part, err := want.Only(mustSelect(t, selection))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"serialized", "values"} {
		path := filepath.Join(t.TempDir(), format)
		interop.Run(t, "tpm2_pcrread", "-T", s.TCTI(), selection, "-o", path, "-F", format)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var hint pcr.Selection
		if format == "values" {
			hint = mustSelect(t, selection)
		}
		got, err := pcr.Decode(data, hint)
		if err != nil {
			t.Errorf("%s: %v", format, err)
		} else if d := cmp.Diff(part, got); d != "" {
			t.Errorf("%s: %s", format, d)
		}
	}
	got, err := pcr.Decode(interop.Run(t, "tpm2_pcrread", "-T", s.TCTI()), nil)
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("YAML: %v", err)
	}
}
