package engine

import (
	"cmp"

	"golang.org/x/sys/unix"
)

// put makes a new file in the folder, which holds data and is on the disk when put returns. It fails with EEXIST when there is
// something of that name. The name has no folder in it.
//
// It and rename call the kernel themselves. An os.File is made for files that stay open and an os.Root for names that may be
// links: they would take more time than the rest of a small change of NV.
func (s *FileStore) put(name string, data []byte) error {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(int(s.folder.Fd()), name, flags, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	for err == nil && len(data) > 0 {
		err = again(func() error {
			n, err := unix.Write(fd, data)
			data = data[max(n, 0):]
			return err
		})
	}
	if err == nil {
		err = again(func() error { return unix.Fsync(fd) })
	}
	return cmp.Or(err, unix.Close(fd))
}

// rename puts a file of the folder in the place of another.
func (s *FileStore) rename(from, to string) error {
	dir := int(s.folder.Fd())
	return unix.Renameat(dir, from, dir, to)
}
