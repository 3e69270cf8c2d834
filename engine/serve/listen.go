package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// Listen opens an address. A unix socket is for its owner alone, and takes the place of one that nobody serves any more.
func Listen(a Address) (net.Listener, error) {
	switch a.Network {
	case "fd":
		return inherit(a)
	case "unix":
		return listenUnix(a.Addr)
	}
	return net.Listen(a.Network, a.Addr)
}

// ListenPair opens two addresses, of which either may be none. Clients look for the second port one above the first, so
// two free ports that are to be picked are such a pair.
func ListenPair(first, second Address) (l, next net.Listener, err error) {
	if !picked(first) || !picked(second) {
		return listenBoth(first, second)
	}
	for range 50 {
		if l, err = Listen(first); err != nil {
			return nil, nil, err
		}
		host, port, _ := net.SplitHostPort(l.Addr().String())
		n, _ := strconv.Atoi(port)
		next, err = Listen(Address{Network: "tcp", Addr: net.JoinHostPort(host, strconv.Itoa(n+1))})
		if err == nil {
			return l, next, nil
		}
		l.Close()
	}
	return nil, nil, err
}

func listenBoth(first, second Address) (l, next net.Listener, err error) {
	if first.Network != "" {
		if l, err = Listen(first); err != nil {
			return nil, nil, err
		}
	}
	if second.Network != "" {
		if next, err = Listen(second); err != nil && l != nil {
			l.Close()
		}
	}
	return l, next, err
}

// picked says whether the system is to choose the port.
func picked(a Address) bool {
	_, port, err := net.SplitHostPort(a.Addr)
	return a.Network == "tcp" && err == nil && port == "0"
}

func listenUnix(path string) (net.Listener, error) {
	var how net.ListenConfig
	how.Control = ownerOnly // from the first moment, where the system allows it
	l, err := how.Listen(context.Background(), "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = how.Listen(context.Background(), "unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// abandoned says whether path is a socket that refuses connections.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// inherit makes a listener of a descriptor that the parent process left open.
func inherit(a Address) (net.Listener, error) {
	f := os.NewFile(uintptr(a.FD), fmt.Sprintf("descriptor %d", a.FD))
	if f == nil {
		return nil, fmt.Errorf("descriptor %d is none", a.FD)
	}
	defer f.Close() // what follows has its own copy
	if !a.Client {
		return net.FileListener(f)
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	l := &only{conns: make(chan net.Conn, 1), addr: conn.LocalAddr()}
	l.conns <- conn
	return l, nil
}

// only is a listener to which one client has come, and no other will.
type only struct {
	conns chan net.Conn
	addr  net.Addr
	once  sync.Once
}

func (l *only) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, io.EOF
}

func (l *only) Close() error {
	l.once.Do(func() { close(l.conns) })
	return nil
}

func (l *only) Addr() net.Addr { return l.addr }

// IsLoopback says whether only this machine can reach an address.
func IsLoopback(a Address) bool {
	if a.Network != "tcp" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
