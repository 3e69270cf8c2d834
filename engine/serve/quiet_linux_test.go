package serve_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/engine/serve"
)

// held is a TPM that says when a command came, and runs it when it may.
type held struct {
	*engine.TPM
	came, may chan struct{}
}

func (h *held) Send(command []byte) ([]byte, error) {
	h.came <- struct{}{}
	<-h.may
	return h.TPM.Send(command)
}

// A client is not woken before its answer is there: what it sent stays in the socket's queue until then, and no longer.
func TestACommandStaysInTheQueueUntilItIsAnswered(t *testing.T) {
	tpm, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &held{tpm, make(chan struct{}), make(chan struct{})}
	served := make(chan error)
	go func() { served <- serve.New(h, true).SwtpmData(ctx, l) }()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	queued := func() (n int) {
		raw, err := conn.(*net.UnixConn).SyscallConn()
		if err == nil {
			raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		}
		if err != nil {
			t.Error(err)
		}
		return n
	}
	getRandom := []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16}
	for _, pieces := range [][][]byte{{getRandom}, {getRandom[:3], getRandom[3:10], getRandom[10:]}} {
		for _, p := range pieces {
			time.Sleep(10 * time.Millisecond) // let the server see a part alone; were it not to, the test would only see less
			if _, err := conn.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		<-h.came
		if queued() == 0 {
			t.Errorf("a command in %d pieces had left the queue before it was run", len(pieces))
		}
		h.may <- struct{}{}
		answer := make([]byte, 28)
		if _, err := io.ReadFull(conn, answer); err != nil || answer[5] != 28 {
			t.Fatalf("%x, %v", answer, err)
		}
		for began := time.Now(); queued() != 0; time.Sleep(time.Millisecond) {
			if time.Since(began) > 5*time.Second {
				t.Fatalf("a command in %d pieces is still in the queue", len(pieces))
			}
		}
	}
	conn.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
