package serve

import (
	"errors"
	"net"
	"syscall"
)

// fdPassing is the capability bit of SET_DATAFD: Windows cannot pass descriptors.
const fdPassing uint64 = 0

// fdReader only reads.
type fdReader struct{ net.Conn }

func newFDReader(conn net.Conn) *fdReader { return &fdReader{conn} }

func (*fdReader) takeConn() (net.Conn, error) {
	return nil, errors.New("file descriptors cannot be passed on this system")
}

func (*fdReader) close() {}

// ownerOnly has nothing to do: a socket inherits the access list of its folder.
func ownerOnly(_, _ string, _ syscall.RawConn) error { return nil }
