package file

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Device is a file, disk or partition that is read at any offset.
type Device struct {
	*os.File
	Size int64 // 0: the system does not tell
}

// OpenDevice opens what can be read at any offset. It refuses pipes before it would wait for their other end.
func OpenDevice(path string) (*Device, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, deviceError(path, err)
	case err == nil && info.IsDir():
		return nil, fail.E(fail.BadInput, "%s is a directory", path).Hint("name an image file, a disk or a partition")
	case err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeCharDevice) != 0:
		return nil, fail.E(fail.BadInput, "%s cannot be read at any offset", path).Hint("name an image file, a disk or a partition")
	} // other errors are those of Windows devices, which open all the same
	f, err := os.Open(path)
	if err != nil {
		return nil, deviceError(path, err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		size = 0
	}
	return &Device{File: f, Size: size}, nil
}

func deviceError(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fail.E(fail.Permission, "%s: %w", path, cause(err)).
			Hint("reading a disk needs root, or an elevated prompt on Windows; a copy of it does not")
	}
	return inputError(path, err)
}
