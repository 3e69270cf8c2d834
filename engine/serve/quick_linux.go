package serve

import (
	"net"
	"syscall"
)

// quick acknowledges what arrives on a TCP connection at once. tpm2-tss writes a command in small pieces and waits, under
// Nagle's algorithm, for the acknowledgement of each, which Linux would hold back for 40 ms.
func quick(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	return &quickConn{tcp, raw}
}

type quickConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// Read asks for the quick mode before and after, because the kernel leaves it by itself.
func (c *quickConn) Read(p []byte) (int, error) {
	c.acknowledge()
	n, err := c.TCPConn.Read(p)
	c.acknowledge()
	return n, err
}

func (c *quickConn) acknowledge() {
	c.raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) // a slower answer is all that can go wrong
	})
}
