//go:build !linux

package engine

import (
	"errors"
	"os"
)

// put makes a new file in the folder, which holds data and is on the disk when put returns. It fails with fs.ErrExist when there
// is something of that name.
func (s *FileStore) put(name string, data []byte) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// rename puts a file of the folder in the place of another.
func (s *FileStore) rename(from, to string) error { return s.root.Rename(from, to) }
