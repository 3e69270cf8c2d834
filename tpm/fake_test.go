package tpm

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// fakeTPM answers commands from a table of functions; what it does not know it refuses with TPM_RC_COMMAND_CODE.
type fakeTPM struct {
	answers map[tpm2.TPMCC]func(cmd []byte) []byte
	log     [][]byte
}

func newFakeTPM() *fakeTPM {
	return &fakeTPM{answers: map[tpm2.TPMCC]func([]byte) []byte{
		tpm2.TPMCCGetCapability: func([]byte) []byte { return manufacturer("TEST") },
	}}
}

func (f *fakeTPM) Send(cmd []byte) ([]byte, error) {
	f.log = append(f.log, cmd)
	if answer, ok := f.answers[parseCommand(cmd).code]; ok {
		return answer(cmd), nil
	}
	return response(tpm2.TPMRCCommandCode, nil), nil
}

// sent lists the names of the commands the fake was sent.
func (f *fakeTPM) sent() (names []string) {
	for _, cmd := range f.log {
		names = append(names, CommandName(parseCommand(cmd).code))
	}
	return names
}

func response(rc tpm2.TPMRC, body []byte) []byte {
	return wire.NewBE().U16(uint16(tpm2.TPMSTNoSessions)).U32(uint32(headerSize + len(body))).U32(uint32(rc)).Bytes(body).Out()
}

// handleResponse is a successful answer that starts with a handle.
func handleResponse(h tpm2.TPMHandle) []byte {
	return response(tpm2.TPMRCSuccess, wire.NewBE().U32(uint32(h)).Out())
}

// manufacturer is the answer to GetCapability(TPM_PT_MANUFACTURER).
func manufacturer(name string) []byte {
	return response(tpm2.TPMRCSuccess, wire.NewBE().U8(0).U32(uint32(tpm2.TPMCapTPMProperties)).U32(1).
		U32(uint32(tpm2.TPMPTManufacturer)).Bytes([]byte(name)).Out())
}

// noSessions is a command without an auth area.
func noSessions(cc tpm2.TPMCC, body []byte) []byte {
	return wire.NewBE().U16(uint16(tpm2.TPMSTNoSessions)).U32(uint32(headerSize + len(body))).U32(uint32(cc)).Bytes(body).Out()
}

// link makes the fake reachable without a socket.
func (f *fakeTPM) link() link { return fakeLink{f} }

type fakeLink struct{ *fakeTPM }

func (l fakeLink) exchange(_ context.Context, cmd []byte) ([]byte, error) { return l.Send(cmd) }
func (l fakeLink) resume(context.Context) ([]byte, error)                 { return nil, io.EOF }
func (l fakeLink) close() error                                           { return nil }

// serve answers every connection to a loopback port with handle and returns the port's address.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, handle)
	return l.Addr().String()
}

func serveOn(t *testing.T, l net.Listener, handle func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); handle(c) }()
		}
	}()
}

// readCommand reads one raw TPM command.
func readCommand(r io.Reader) ([]byte, error) {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	size := wire.BE(header[2:]).U32()
	cmd := append(header, make([]byte, size-headerSize)...)
	_, err := io.ReadFull(r, cmd[headerSize:])
	return cmd, err
}

// raw serves f as swtpm's data channel does.
func (f *fakeTPM) raw(c net.Conn) {
	for {
		cmd, err := readCommand(c)
		if err != nil {
			return
		}
		rsp, _ := f.Send(cmd)
		if _, err := c.Write(rsp); err != nil {
			return
		}
	}
}
