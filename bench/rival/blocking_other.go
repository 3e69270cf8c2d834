//go:build !unix

package rival

import (
	"io"
	"net"
)

func blocking(conn *net.UnixConn) (io.ReadWriteCloser, error) { return conn, nil }
