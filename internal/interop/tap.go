package interop

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// Tap stands in front of a TCP server and keeps all that crosses.
type Tap struct {
	Addr string // where to connect instead

	mu             sync.Mutex
	sent, received bytes.Buffer
}

// StartTap starts a Tap that lives as long as the test.
func StartTap(t testing.TB, server string) *Tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := &Tap{Addr: l.Addr().String()}
	var carrying sync.WaitGroup
	carrying.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			carrying.Go(func() { tap.carry(c, server) })
		}
	})
	t.Cleanup(func() { l.Close(); carrying.Wait() })
	return tap
}

// carry copies both ways until one side closes. Each piece is kept before it goes on: who has an answer finds the question here.
func (t *Tap) carry(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(io.MultiWriter(keeper{t, &t.received}, client), server)
		client.Close()
	})
	_, _ = io.Copy(io.MultiWriter(keeper{t, &t.sent}, server), client)
	server.Close()
	back.Wait()
}

// keeper appends to one direction's record.
type keeper struct {
	t *Tap
	b *bytes.Buffer
}

func (k keeper) Write(p []byte) (int, error) {
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	return k.b.Write(p)
}

// Heard returns what was sent to the server and what came back, and forgets it.
func (t *Tap) Heard() (sent, received []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sent, received = bytes.Clone(t.sent.Bytes()), bytes.Clone(t.received.Bytes())
	t.sent.Reset()
	t.received.Reset()
	return sent, received
}
