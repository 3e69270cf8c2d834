//go:build unix

package serve

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// fdPassing is the capability bit of SET_DATAFD.
const fdPassing = capSetDataFD

// fdReader reads a connection and keeps the last file descriptor that came along on a unix socket.
type fdReader struct {
	net.Conn
	unix *net.UnixConn // nil on TCP
	fd   int           // -1 when there is none
}

func newFDReader(conn net.Conn) *fdReader {
	unix, _ := conn.(*net.UnixConn)
	return &fdReader{Conn: conn, unix: unix, fd: -1}
}

func (r *fdReader) Read(p []byte) (int, error) {
	if r.unix == nil {
		return r.Conn.Read(p)
	}
	oob := make([]byte, syscall.CmsgSpace(4*4))
	n, oobn, _, _, err := r.unix.ReadMsgUnix(p, oob)
	if oobn > 0 {
		r.collect(oob[:oobn])
	}
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return max(n, 0), err // it says -1 where it fails
}

// collect keeps the last descriptor and closes the others.
func (r *fdReader) collect(oob []byte) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			r.close()
			syscall.CloseOnExec(fd)
			r.fd = fd
		}
	}
}

// takeConn makes a connection of the descriptor that came.
func (r *fdReader) takeConn() (net.Conn, error) {
	if r.fd < 0 {
		return nil, errors.New("SET_DATAFD came without a file descriptor")
	}
	f := os.NewFile(uintptr(r.fd), "data channel")
	r.fd = -1
	defer f.Close() // FileConn has its own copy
	return net.FileConn(f)
}

func (r *fdReader) close() {
	if r.fd >= 0 {
		syscall.Close(r.fd)
		r.fd = -1
	}
}

// ownerOnly gives a unix socket its mode before it has a name. Linux heeds that; elsewhere it is no error.
func ownerOnly(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}
