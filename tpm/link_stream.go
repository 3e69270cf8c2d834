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
}

// dialStream connects to a TPM emulator's socket.
func dialStream(ctx context.Context, t Target, network, addr string) (stream, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return stream{}, dialError(ctx, t, err)
	}
	return stream{Conn: c, in: bufio.NewReaderSize(c, maxMessage)}, nil
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
func (s stream) need(n int) ([]byte, error) {
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
func (s stream) take(n int) []byte {
	b := make([]byte, n)
	_, _ = s.in.Read(b) // cannot fail: all of it is buffered
	return b
}

// rawStream carries bare TPM messages: swtpm's data channel.
type rawStream struct{ stream }

func dialSWTPM(ctx context.Context, t Target) (link, error) {
	network, addr := "tcp", t.Addr
	if t.Path != "" {
		network, addr = "unix", t.Path
	}
	s, err := dialStream(ctx, t, network, addr)
	return rawStream{s}, err
}

func (s rawStream) exchange(ctx context.Context, command []byte) (rsp []byte, err error) {
	err = interruptible(ctx, s, func() error {
		if _, err = s.Write(command); err == nil {
			rsp, err = s.receive()
		}
		return err
	})
	return rsp, err
}

func (s rawStream) resume(ctx context.Context) (rsp []byte, err error) {
	err = interruptible(ctx, s, func() error { rsp, err = s.receive(); return err })
	return rsp, err
}

// receive reads one message, whose header tells its size.
func (s rawStream) receive() ([]byte, error) {
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

func (s rawStream) close() error { return s.Close() }

// The TCP protocol of the TCG reference simulator: four-byte commands on a command port, and on the port above it the
// platform's buttons. Every command ends with a zero word from the simulator.
const (
	simPowerOn     = 1
	simSendCommand = 8
	simNVOn        = 11
	simSessionEnd  = 20
)

// simulator is the command port; the platform port is only needed to switch on.
type simulator struct{ stream }

func dialMSSIM(ctx context.Context, t Target) (link, error) {
	if err := powerOn(ctx, t); err != nil {
		return nil, err
	}
	s, err := dialStream(ctx, t, "tcp", t.Addr)
	return simulator{s}, err
}

// powerOn presses the simulator's power button, which does nothing when it is on already.
func powerOn(ctx context.Context, t Target) error {
	host, port, _ := net.SplitHostPort(t.Addr) // ParseTarget has checked both
	n, _ := net.LookupPort("tcp", port)
	s, err := dialStream(ctx, t, "tcp", net.JoinHostPort(host, fmt.Sprint(n+1)))
	if err != nil {
		return err
	}
	defer s.Close()
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
		_, err := s.Write(wire.NewBE().U32(simSessionEnd).Out())
		return err
	})
}

func (s simulator) exchange(ctx context.Context, command []byte) (rsp []byte, err error) {
	const locality = 0
	message := wire.NewBE().U32(simSendCommand).U8(locality).Sized32(command).Out()
	err = interruptible(ctx, s, func() error { // in one write: small pieces cost 40 ms each for a delayed ACK
		if _, err = s.Write(message); err == nil {
			rsp, err = s.receive()
		}
		return err
	})
	return rsp, err
}

func (s simulator) resume(ctx context.Context) (rsp []byte, err error) {
	err = interruptible(ctx, s, func() error { rsp, err = s.receive(); return err })
	return rsp, err
}

// receive reads a size, that many bytes and the closing zero.
func (s simulator) receive() ([]byte, error) {
	head, err := s.need(4)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if _, err := s.need(4 + int(min(size, maxMessage)) + 4); err != nil {
		return nil, err
	}
	return s.take(4 + int(size) + 4)[4 : 4+size], nil
}

func (s simulator) close() error {
	_ = s.SetDeadline(time.Time{})
	_, _ = s.Write(wire.NewBE().U32(simSessionEnd).Out()) // a courtesy; the simulator also notices the hang-up
	return s.Close()
}
