package file_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
)

func TestOpenDeviceTellsTheSizeAndReadsAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := file.OpenDevice(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got := make([]byte, 3)
	if _, err := d.ReadAt(got, 7); err != nil || !bytes.Equal(got, []byte("789")) || d.Size != 10 {
		t.Errorf("read %q of %d bytes: %v", got, d.Size, err)
	}
	if _, err := d.ReadAt(got, 8); err != io.EOF {
		t.Errorf("a read past the end: %v", err)
	}
}

func TestOpenDeviceRefusesWhatHasNoOffsets(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		kind fail.Kind
		want string
	}{
		"a directory":        {t.TempDir(), fail.BadInput, "is a directory"},
		"what is not there":  {filepath.Join(t.TempDir(), "none"), fail.MissingInput, "cannot be read"},
		"a character device": {os.DevNull, fail.BadInput, "cannot be read at any offset"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.path == os.DevNull && runtime.GOOS == "windows" {
				t.Skip("Windows has no character devices in its file system")
			}
			d, err := file.OpenDevice(c.path)
			if err == nil {
				d.Close()
			}
			if fail.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", fail.KindOf(err), err)
			}
		})
	}
}
