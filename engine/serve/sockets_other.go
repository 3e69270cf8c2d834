//go:build !linux

package serve

import "net"

func quick(conn net.Conn) net.Conn { return conn }

func waiting(conn net.Conn) net.Conn { return conn }

type steady struct{ net.Listener }
