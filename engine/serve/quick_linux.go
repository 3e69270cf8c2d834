package serve

import (
	"net"
	"syscall"
)

// quick acknowledges what arrives on a TCP connection at once. tpm2-tss writes a command in small pieces and waits, under
// Nagle's algorithm, for the acknowledgement of each, which Linux would hold back for 40 ms.
func quick(conn net.Conn) net.Conn {
	socket, ok := conn.(syscall.Conn)
	if !ok || conn.LocalAddr().Network() != "tcp" {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	return &quickConn{conn, raw}
}

type quickConn struct {
	net.Conn
	raw syscall.RawConn
}

// Read asks for the quick mode before and after, because the kernel leaves it by itself.
func (c *quickConn) Read(p []byte) (int, error) {
	c.acknowledge()
	n, err := c.Conn.Read(p)
	c.acknowledge()
	return n, err
}

func (c *quickConn) acknowledge() {
	c.raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) // a slower answer is all that can go wrong
	})
}
