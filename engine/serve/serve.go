// Package serve lets other programs talk to a TPM over sockets, in the two protocols that TPM software knows: that of
// swtpm, which QEMU and tcti-swtpm speak, and that of the TCG reference simulator, which tcti-mssim speaks.
//
// It drives a TPM through an interface and touches nothing but the connections it is handed.
package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// TPM is what is served. *engine.TPM is one.
type TPM interface {
	Send(command []byte) (response []byte, err error)
	SetLocality(uint8)
	SetPhysicalPresence(bool)
	PowerCycle() error
	HashStart()
	HashData([]byte)
	HashEnd() error
	Cancel(on bool)
	Snapshot(portable bool) (snapshot []byte, sealed bool, err error)
	Restore(snapshot []byte) error
}

// maxCommand is the longest command a client may send (TPM_PT_MAX_COMMAND_SIZE).
const maxCommand = 4096

// maxBlob bounds what a client may send as state or as data to hash. No state is as large.
const maxBlob = 8 << 20

// maxClients bounds the connections of a listener: who comes then waits until one ends.
const maxClients = 64

// Server serves one TPM on any number of listeners. Its Serve methods run until their context ends and then return nil.
type Server struct {
	// Stop is called when a client asks the server to end. Nil ignores that wish.
	Stop func()
	// Log is told of connections and of what went wrong with them, one line each. Nil keeps silent.
	Log func(line string)
	// Terminate calls Stop when a data connection of the swtpm protocol is lost.
	Terminate bool
	// Disconnect closes a data connection of the swtpm protocol after each response.
	Disconnect bool
	// RejectLocality4 refuses locality 4 in the swtpm protocol.
	RejectLocality4 bool

	machine machine
	passed  sync.WaitGroup // data channels that came over a control channel
}

// New serves a TPM. Unless it is powered, clients have to power it on before they send commands.
func New(tpm TPM, powered bool) *Server { return &Server{machine: machine{tpm: tpm, powered: powered}} }

func (s *Server) stop() {
	if s.Stop != nil {
		s.Stop()
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.Log != nil {
		s.Log(fmt.Sprintf(format, args...))
	}
}

// errEnd is what a handler returns when the client took leave in good order.
var errEnd = errors.New("end of session")

// serve accepts connections and gives each to handle, until ctx ends; then it closes them all.
func (s *Server) serve(ctx context.Context, l net.Listener, what string, handle func(context.Context, net.Conn) error) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	places := make(chan struct{}, maxClients)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if conn != nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		running.Go(func() {
			defer func() { <-places }()
			s.converse(ctx, conn, what, handle)
		})
	}
}

// converse handles one connection to its end.
func (s *Server) converse(ctx context.Context, conn net.Conn, what string, handle func(context.Context, net.Conn) error) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	s.logf("%s: connection from %s", what, peer(conn))
	err := handle(ctx, quick(conn))
	if err == nil || ctx.Err() != nil || errors.Is(err, errEnd) || errors.Is(err, io.EOF) {
		s.logf("%s: connection from %s ended", what, peer(conn))
		return
	}
	s.logf("%s: connection from %s: %v", what, peer(conn), err)
}

// source reads big-endian words and blobs.
type source struct{ io.Reader }

func (s source) word() (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(s, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

// blob reads n bytes without believing n before they came.
func (s source) blob(n, limit uint32) ([]byte, error) {
	if n > limit {
		return nil, fmt.Errorf("%d bytes where %d are the limit", n, limit)
	}
	var buf bytes.Buffer
	_, err := io.CopyN(&buf, s, int64(n))
	return buf.Bytes(), err
}

func peer(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	return "a local client"
}
