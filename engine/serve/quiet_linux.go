package serve

import (
	"cmp"
	"errors"
	"io"
	"syscall"
)

// quietConn is a connection over a unix socket that leaves a command in the socket's queue until it is answered.
//
// Who takes data out of the queue of a unix socket wakes the other side, to tell it of the room (unix_write_space in the kernel).
// That side waits for an answer which is not there yet, and goes to sleep again: a short command then takes up to a third longer.
type quietConn struct {
	*waitingConn
	unread int              // bytes that Read returned and that are still in the queue
	room   [maxCommand]byte // where they go
}

// Read returns what is in the queue, which stays there until the next Write or Read is through with its part.
func (c *quietConn) Read(p []byte) (n int, err error) {
	if err := c.take(); err != nil {
		return 0, err
	}
	c.yield()
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	p = p[:min(len(p), len(c.room))]
	gone := raw.Read(func(fd uintptr) bool {
		for err = syscall.EINTR; err == syscall.EINTR; {
			n, _, err = syscall.Recvfrom(int(fd), p, syscall.MSG_PEEK)
		}
		return true
	})
	if err := cmp.Or(gone, err); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	c.unread = n
	return n, nil
}

func (c *quietConn) Write(p []byte) (int, error) {
	n, err := c.waitingConn.Write(p)
	return n, errors.Join(err, c.take())
}

// take takes what Read returned out of the queue.
func (c *quietConn) take() error {
	_, err := io.ReadFull(c.file, c.room[:c.unread])
	c.unread = 0
	return err
}
