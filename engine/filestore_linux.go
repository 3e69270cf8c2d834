package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// create opens a new file in the folder; it fails with EEXIST when there is something of that name. The name has no folder in it.
//
// It and rename call the kernel themselves: os.Root tries to put each file into Go's poller and looks at what it renames over,
// which are six calls more than a change of NV takes at all.
func (s *FileStore) create(name string) (*os.File, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	for {
		fd, err := unix.Openat(int(s.folder.Fd()), name, flags, 0o600)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if err != unix.EINTR {
			return nil, err
		}
	}
}

// rename puts a file of the folder in the place of another.
func (s *FileStore) rename(from, to string) error {
	dir := int(s.folder.Fd())
	return unix.Renameat(dir, from, dir, to)
}
