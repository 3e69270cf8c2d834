//go:build guest

package guest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// results are the files that the guest left in /out.
type results map[string][]byte

// sendResults is what init.sh does at its end, for a step after which there is none.
const sendResults = "{ stty -F /dev/ttyS1 raw; echo RESULTS; tar -c -C /out .; } >/dev/ttyS1"

// unpackAll reads the tar files that were sent, each behind a mark.
func unpackAll(serial []byte) (all []results, err error) {
	for _, data := range bytes.Split(serial, []byte("RESULTS\n"))[1:] {
		r, err := unpack(data)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, errors.New("they are missing")
	}
	return all, nil
}

func unpack(data []byte) (results, error) {
	r := results{}
	for tr := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return r, nil
		} else if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if r[filepath.Clean(h.Name)], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
}

// keep writes the results to a folder of VTPMCTL_GUEST_KEEP, for a person to look at.
func (r results) keep(t *testing.T) {
	dir := os.Getenv("VTPMCTL_GUEST_KEEP")
	if dir == "" {
		return
	}
	dir, err := os.MkdirTemp(dir, strings.ReplaceAll(t.Name(), "/", "-")+"-")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range r {
		write(t, filepath.Join(dir, name), data)
	}
}

// file is one of /out.
func (r results) file(t *testing.T, name string) []byte {
	t.Helper()
	data, ok := r[name]
	if !ok {
		t.Fatalf("the guest left no %s, only %q", name, slices.Sorted(maps.Keys(r)))
	}
	return data
}

// stdout is what a step printed; the test fails unless its exit status was 0 and it complained of nothing.
func (r results) stdout(t *testing.T, step string) []byte {
	t.Helper()
	r.exits(t, step, "0")
	if complaint := r.file(t, step+".stderr"); len(complaint) > 0 {
		t.Errorf("%s wrote to stderr: %s", step, complaint)
	}
	return r.file(t, step+".stdout")
}

// exits fails the test unless the exit status of a step was status.
func (r results) exits(t *testing.T, step, status string) {
	t.Helper()
	if got := strings.TrimSpace(string(r.file(t, step+".exit"))); got != status {
		t.Fatalf("%s: exit status %s, want %s\n%s%s", step, got, status, r.file(t, step+".stdout"), r.file(t, step+".stderr"))
	}
}

// refuses fails the test unless a step ended with that status and named what was wrong.
func (r results) refuses(t *testing.T, step, status, names string) {
	t.Helper()
	r.exits(t, step, status)
	if complaint := string(r.file(t, step+".stderr")); !strings.Contains(complaint, names) {
		t.Errorf("%s does not name %s:\n%s", step, names, complaint)
	}
}

// same fails the test unless two files of the guest are equal and not empty.
func same(t *testing.T, r results, one, two string) {
	t.Helper()
	if a, b := r.file(t, one), r.file(t, two); !bytes.Equal(a, b) || len(a) == 0 {
		t.Errorf("%s has %d bytes, %s has %d others", one, len(a), two, len(b))
	}
}
