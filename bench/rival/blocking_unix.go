//go:build unix

package rival

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// blocking waits for answers in the kernel, as the clients that are written in C do. Go's poller would be a part of what is
// measured.
func blocking(conn *net.UnixConn) (io.ReadWriteCloser, error) {
	defer conn.Close() // the file is a copy
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	if ctl := raw.Control(func(s uintptr) { fd, err = syscall.Dup(int(s)) }); ctl != nil || err != nil {
		return nil, errors.Join(ctl, err)
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "swtpm"), nil
}
