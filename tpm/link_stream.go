package tpm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// interruptible runs f, whose I/O on d ends early when ctx does. The error is then the context's.
func interruptible(ctx context.Context, d interface{ SetDeadline(time.Time) error }, f func() error) error {
	if err := d.SetDeadline(time.Time{}); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = d.SetDeadline(time.Unix(1, 0)) // long past: what waits returns at once
	})
	err := f()
	if !stop() {
		<-done // else its deadline could fall upon the next exchange
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return waitError(ctx)
	}
	return err
}

// stream is a connected socket. Its reader keeps what has arrived of an answer when a wait is cut short.
type stream struct {
	net.Conn
	in *bufio.Reader
	framing
}

// framing is how messages lie in a stream.
type framing interface {
	wrap(command []byte) []byte
	receive(s *stream) ([]byte, error)
	bye() []byte // what is said before hanging up
}

func (s *stream) exchange(ctx context.Context, command []byte) (rsp []byte, err error) {
	err = interruptible(ctx, s, func() error { // in one write: small pieces cost 40 ms each for a delayed ACK
		if _, err = s.Write(s.wrap(command)); err == nil {
			rsp, err = s.receive(s)
		}
		return err
	})
	return rsp, err
}

func (s *stream) resume(ctx context.Context) (rsp []byte, err error) {
	err = interruptible(ctx, s, func() error { rsp, err = s.receive(s); return err })
	return rsp, err
}

func (s *stream) close() error {
	_ = s.SetDeadline(time.Time{})
	_, _ = s.Write(s.bye()) // a courtesy: the other side also notices the hang-up
	return s.Close()
}

// dialStream connects to a TPM emulator's socket.
func dialStream(ctx context.Context, t Target, f framing, network, addr string) (*stream, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, dialError(ctx, t, err)
	}
	return &stream{c, bufio.NewReaderSize(c, maxMessage), f}, nil
}

func dialError(ctx context.Context, t Target, err error) error {
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("connecting to %s: %w", t, ctx.Err())
	case errors.As(err, &dns):
		return fail.E(fail.NoTPM, "%s: the host name is not known: %w", t, err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return fail.E(fail.NoTPM, "nothing listens at %s", t).
			Hint("is the emulator running? swtpm socket --tpm2 --tpmstate dir=DIR --server type=tcp,port=2321 " +
				"--ctrl type=tcp,port=2322 --flags not-need-init,startup-clear")
	case errors.Is(err, fs.ErrPermission):
		return fail.E(fail.Permission, "%s may not be opened by this user: %w", t, err)
	}
	return fail.E(fail.NoTPM, "%s cannot be reached: %w", t, err)
}

// need waits until n bytes have arrived and returns them without consuming them.
func (s *stream) need(n int) ([]byte, error) {
	b, err := s.in.Peek(n)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return b, err
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fail.E(fail.Failed, "the TPM announces an answer of %d bytes, more than any TPM sends", n)
	}
	return nil, fail.E(fail.Failed, "the TPM hung up after %d of %d bytes of its answer: %w", len(b), n, err).
		Hint("the command may have taken effect; look at the emulator's log")
}

// take consumes n bytes that need has returned.
func (s *stream) take(n int) []byte {
	b := make([]byte, n)
	_, _ = s.in.Read(b) // cannot fail: all of it is buffered
	return b
}

// bare messages, whose header tells their size: swtpm's data channel.
type bare struct{}

func dialSWTPM(ctx context.Context, t Target) (link, error) {
	network, addr := "tcp", t.Addr
	if t.Path != "" {
		network, addr = "unix", t.Path
	}
	return linkOf(dialStream(ctx, t, bare{}, network, addr))
}

// linkOf keeps a nil *stream from becoming a link that is not nil.
func linkOf(s *stream, err error) (link, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (bare) wrap(command []byte) []byte { return command }

func (bare) receive(s *stream) ([]byte, error) {
	header, err := s.need(headerSize)
	if err != nil {
		return nil, err
	}
	size := max(binary.BigEndian.Uint32(header[2:]), headerSize)
	if _, err := s.need(int(min(size, maxMessage+1))); err != nil {
		return nil, err
	}
	return s.take(int(size)), nil
}

func (bare) bye() []byte { return nil }

// The TCP protocol of the TCG reference simulator: four-byte commands on a command port, and on the port above it the
// platform's buttons. Every command ends with a zero word from the simulator.
const (
	simPowerOn     = 1
	simSendCommand = 8
	simNVOn        = 11
	simSessionEnd  = 20
)

// simulator is the framing of the command port; the platform port is only needed to switch on.
type simulator struct{}

func dialMSSIM(ctx context.Context, t Target) (link, error) {
	if err := powerOn(ctx, t); err != nil {
		return nil, err
	}
	return linkOf(dialStream(ctx, t, simulator{}, "tcp", t.Addr))
}

func (simulator) wrap(command []byte) []byte {
	const locality = 0
	return wire.NewBE().U32(simSendCommand).U8(locality).Sized32(command).Out()
}

// receive reads a size, that many bytes and the closing zero.
func (simulator) receive(s *stream) ([]byte, error) {
	const word = 4
	head, err := s.need(word)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if _, err := s.need(word + int(min(size, maxMessage)) + word); err != nil {
		return nil, err
	}
	return s.take(word + int(size) + word)[word : word+size], nil
}

func (simulator) bye() []byte { return wire.NewBE().U32(simSessionEnd).Out() }

// powerOn presses the simulator's power button, which does nothing when it is on already.
func powerOn(ctx context.Context, t Target) error {
	host, port, _ := net.SplitHostPort(t.Addr) // ParseTarget has checked both
	n, _ := net.LookupPort("tcp", port)
	s, err := dialStream(ctx, t, simulator{}, "tcp", net.JoinHostPort(host, fmt.Sprint(n+1)))
	if err != nil {
		return err
	}
	defer s.close()
	return interruptible(ctx, s, func() error {
		for _, button := range []uint32{simPowerOn, simNVOn} {
			if _, err := s.Write(wire.NewBE().U32(button).Out()); err != nil {
				return err
			}
			if _, err := s.need(4); err != nil {
				return err
			}
			if ack := binary.BigEndian.Uint32(s.take(4)); ack != 0 {
				return fail.E(fail.Failed, "%s: the simulator refuses to switch on: %d", t, ack)
			}
		}
		return nil
	})
}
