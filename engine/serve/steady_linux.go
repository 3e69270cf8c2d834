package serve

import (
	"net"
	"os"
	"runtime"
	"syscall"
)

// steady is a listener for clients that ask, wait for the answer, and ask again, as all TPM clients do. The connections it
// accepts wait for the next command in the kernel, each in a thread of its own. Go's poller would wake one thread that wakes
// another, after trying to read in vain: twice the processor time of a short command.
type steady struct{ net.Listener }

func (l steady) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return waiting(conn), nil
}

// waitingConn is a connection whose Read waits in the kernel.
type waitingConn struct {
	net.Conn // closed; it still knows its addresses
	file     *os.File
	reads    uint
}

// yieldEvery is after how many commands a connection lets others run. From a goroutine that has not done so for 10 ms Go's
// monitor thread takes the processor away, and then it wakes up every 20 µs for a while, which costs more than short commands do.
const yieldEvery = 128

// waiting takes a connection out of Go's poller. One that cannot be taken out stays as it is.
func waiting(conn net.Conn) net.Conn {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	var fd uintptr
	var failed syscall.Errno
	err = raw.Control(func(own uintptr) {
		fd, _, failed = syscall.Syscall(syscall.SYS_FCNTL, own, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || failed != 0 {
		return conn
	}
	conn.Close() // which takes it out of the poller; the copy is the connection now
	syscall.SetNonblock(int(fd), false)
	c := &waitingConn{Conn: conn, file: os.NewFile(fd, "connection")}
	if conn.LocalAddr().Network() == "unix" {
		return &quietConn{waitingConn: c}
	}
	return c
}

// yield lets others run now and then.
func (c *waitingConn) yield() {
	if c.reads++; c.reads%yieldEvery == 0 {
		runtime.Gosched()
	}
}

func (c *waitingConn) Read(p []byte) (int, error) {
	c.yield()
	return c.file.Read(p)
}

func (c *waitingConn) Write(p []byte) (int, error) { return c.file.Write(p) }

func (c *waitingConn) SyscallConn() (syscall.RawConn, error) { return c.file.SyscallConn() }

// Close also ends a Read that waits.
func (c *waitingConn) Close() error {
	if raw, err := c.file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
	}
	return c.file.Close()
}
