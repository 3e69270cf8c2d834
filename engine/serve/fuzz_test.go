package serve

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"
)

// stub is a TPM that answers every command with success and has no state.
type stub struct{}

func (stub) Send([]byte) ([]byte, error) { return header(0), nil }
func (stub) SetLocality(uint8)           {}
func (stub) SetPhysicalPresence(bool)    {}
func (stub) PowerCycle() error           { return nil }
func (stub) HashStart()                  {}
func (stub) HashData([]byte)             {}
func (stub) HashEnd() error              { return nil }
func (stub) Cancel(bool)                 {}
func (stub) Snapshot(bool) ([]byte, bool, error) {
	return []byte("snapshot"), false, nil
}
func (stub) Restore([]byte) error { return nil }

// script is a connection whose client has said everything in advance and never reads.
type script struct {
	bytes.Reader
	answered int
}

func (s *script) Write(p []byte) (int, error)      { s.answered += len(p); return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzProtocols lets a client say anything to each port: the conversation must end, and no short question may have an
// answer without measure.
func FuzzProtocols(f *testing.F) {
	f.Add(uint8(0), []byte("\x80\x01\x00\x00\x00\x0c\x00\x00\x01\x7b\x00\x04"))
	f.Add(uint8(0), []byte("\x00\x00\x00\x08\x04\x00\x00\x00\x0c\x80\x01\x00\x00\x00\x0c\x00\x00\x01\x7b\x00\x04"))
	f.Add(uint8(1), []byte("\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x05\x03"))
	f.Add(uint8(1), []byte("\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00\x0e\x00\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02ab"))
	f.Add(uint8(1), []byte("\x00\x00\x00\x06\x00\x00\x00\x07\x00\x00\x00\x03abc\x00\x00\x00\x08\x00\x00\x00\x03"))
	f.Add(uint8(1), []byte("\x00\x00\x00\x12\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(uint8(2), []byte("\x00\x00\x00\x0f\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x00\x02\x80\x01\x00\x00\x00\x15"))
	f.Add(uint8(3), []byte("\x00\x00\x00\x01\x00\x00\x00\x0b\x00\x00\x00\x11\x00\x00\x00\x02\x00\x00\x00\x14"))
	f.Fuzz(func(t *testing.T, port uint8, said []byte) {
		s := New(stub{}, true)
		conn := &script{}
		conn.Reset(said)
		handlers := []func(context.Context, net.Conn) error{s.swtpmData, s.swtpmControl, s.mssimCommands, s.mssimPlatform}
		if err := handlers[port%4](t.Context(), conn); err == nil {
			t.Error("a conversation ended without a reason")
		}
		if conn.answered > 64*(len(said)+1) {
			t.Errorf("%d bytes asked, %d answered", len(said), conn.answered)
		}
	})
}
