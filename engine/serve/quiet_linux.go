package serve

import (
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
	raw    syscall.RawConn
	peek   func(fd uintptr) bool // looks into the queue; made once
	seen   seen
	unread int              // bytes that Read returned and that are still in the queue
	room   [maxCommand]byte // where they go
}

// seen is what peek is given and gives back.
type seen struct {
	p   []byte
	n   int
	err error
}

// newQuietConn makes a connection over a unix socket quiet.
func newQuietConn(c *waitingConn) (*quietConn, error) {
	raw, err := c.SyscallConn()
	q := &quietConn{waitingConn: c, raw: raw}
	q.peek = func(fd uintptr) bool {
		s := &q.seen
		for s.err = syscall.EINTR; s.err == syscall.EINTR; {
			s.n, _, s.err = syscall.Recvfrom(int(fd), s.p, syscall.MSG_PEEK)
		}
		return true
	}
	return q, err
}

// Read returns what is in the queue, which stays there until the next Write or Read is through with its part.
func (c *quietConn) Read(p []byte) (int, error) {
	if err := c.take(); err != nil {
		return 0, err
	}
	c.yield()
	c.seen.p = p[:min(len(p), len(c.room))]
	if err := c.raw.Read(c.peek); err != nil {
		return 0, err
	}
	if c.seen.err != nil {
		return 0, c.seen.err
	}
	if c.seen.n == 0 {
		return 0, io.EOF
	}
	c.unread = c.seen.n
	return c.unread, nil
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
