//go:build !linux

package engine

import "os"

// create opens a new file in the folder; it fails with fs.ErrExist when there is something of that name.
func (s *FileStore) create(name string) (*os.File, error) {
	return s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// rename puts a file of the folder in the place of another.
func (s *FileStore) rename(from, to string) error { return s.root.Rename(from, to) }
