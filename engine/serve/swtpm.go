package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Commands of swtpm's control channel (tpm_ioctl.h of swtpm). Everything is big-endian and without framing: a command is
// its number and its parameters.
const (
	cmdGetCapability uint32 = 1 + iota
	cmdInit
	cmdShutdown
	cmdGetEstablished
	cmdSetLocality
	cmdHashStart
	cmdHashData
	cmdHashEnd
	cmdCancel
	cmdStoreVolatile
	cmdResetEstablished
	cmdGetStateBlob
	cmdSetStateBlob
	cmdStop
	cmdGetConfig
	cmdSetDataFD
	cmdSetBufferSize
	cmdGetInfo
)

// Capability bits, in the order of tpm_ioctl.h.
const (
	capAllButDataFD uint64 = 0xffff &^ capSetDataFD
	capSetDataFD    uint64 = 1 << 12
)

// Results: those of TPM 1.2, as swtpm has them.
const (
	resSuccess      uint32 = 0
	resBadParameter uint32 = 3
	resFail         uint32 = 9
	resBadOrdinal   uint32 = 10
	resIOError      uint32 = 31
	resBadLocality  uint32 = 61
)

// State blobs. The engine has one state, which is the permanent blob; the volatile one only says that the TPM was running
// and shall go on.
const (
	blobPermanent uint32 = 1
	blobVolatile  uint32 = 2
	blobSaveState uint32 = 3
)

// blobEncrypted is the flag of a blob that only the key of its state opens (PTM_STATE_FLAG_ENCRYPTED).
const blobEncrypted uint32 = 2

const volatileMark = "VTPMCTL running"

// SwtpmData serves swtpm's data channel: TPM commands and responses back to back, each as long as its header says.
func (s *Server) SwtpmData(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, steady{l}, "swtpm data", s.swtpmData)
}

// SwtpmControl serves swtpm's control channel. On a unix socket a client may hand over a connection as data channel.
func (s *Server) SwtpmControl(ctx context.Context, l net.Listener) error {
	defer s.passed.Wait()
	return s.serve(ctx, l, "swtpm control", s.swtpmControl)
}

// swtpmData answers commands until the client leaves.
func (s *Server) swtpmData(_ context.Context, conn net.Conn) error {
	if s.Terminate {
		defer s.stop()
	}
	r := bufio.NewReaderSize(conn, maxCommand)
	for {
		locality, command, err := readCommand(r)
		if errors.Is(err, errTooLarge) {
			conn.Write(tooLarge())
		}
		if err != nil {
			return err
		}
		framed := locality != nil
		if !framed { // the control channel said it, at the latest while we were waiting
			current := s.machine.currentLocality()
			locality = &current
		}
		response := wrongLocality()
		if s.admits(*locality) {
			if response, err = s.machine.send(*locality, command); err != nil {
				s.logf("swtpm data: %v", err)
			}
		}
		if response == nil {
			response = failure()
		}
		if framed {
			response = wire.NewBE().Sized32(response).U32(0).Out()
		}
		if _, err := conn.Write(response); err != nil {
			return err
		}
		if s.Disconnect {
			return errEnd
		}
	}
}

var errTooLarge = errors.New("a command larger than the TPM takes")

// headerSize is that of a TPM command: tag, size, code.
const headerSize = 10

// peekHeader looks at the header of the next command. A connection that ends within one has lost something.
func peekHeader(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(headerSize)
	if err == io.EOF && len(head) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return head, err
}

// readCommand reads a command as long as its header says; one that claims to be shorter than a header is the header. It is
// there until the next read.
// TCG's simulator header (TPM_SEND_COMMAND, locality, size) may stand before it: then it comes with a locality, and the
// response is to be framed too.
func readCommand(r *bufio.Reader) (locality *uint8, command []byte, err error) {
	head, err := peekHeader(r)
	if err != nil {
		return nil, nil, err
	}
	if binary.BigEndian.Uint32(head) == simSendCommand {
		of := head[4]
		locality = &of
		r.Discard(4 + 1 + 4) // cannot fail: it is buffered
		if head, err = peekHeader(r); err != nil {
			return nil, nil, err
		}
	}
	size := binary.BigEndian.Uint32(head[2:])
	if size > maxCommand {
		return nil, nil, fmt.Errorf("%w: %d bytes", errTooLarge, size)
	}
	n := max(headerSize, int(size))
	if command, err = r.Peek(n); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	r.Discard(len(command)) // cannot fail: it is buffered
	return locality, command, err
}

// control is one connection of the control channel.
type control struct {
	*Server
	source
	ctx  context.Context
	in   *bufio.Reader // what source reads
	fds  *fdReader     // what in reads
	unix bool          // nobody but the server's own user can have connected
	data chan struct{} // closed when the data channel that came ended; nil when none came
}

func (s *Server) swtpmControl(ctx context.Context, conn net.Conn) error {
	fds := newFDReader(conn)
	defer fds.close()
	in := bufio.NewReader(fds)
	c := &control{Server: s, source: source{in}, ctx: ctx, in: in, fds: fds, unix: onUnix(conn)}
	for {
		reply, err := c.command()
		if err != nil && !errors.Is(err, errEnd) {
			return err
		}
		if _, err := conn.Write(reply.Out()); err != nil {
			return err
		}
		if err != nil {
			s.stop()
			return err
		}
	}
}

func onUnix(conn net.Conn) bool {
	a := conn.LocalAddr()
	return a != nil && a.Network() == "unix"
}

func result(code uint32) *wire.Writer { return wire.NewBE().U32(code) }

// outcome turns a failure of the host into a result code and a line in the log.
func (c *control) outcome(err error) *wire.Writer {
	if err == nil {
		return result(resSuccess)
	}
	c.logf("swtpm control: %v", err)
	return result(resFail)
}

// command reads one command and returns the reply; errEnd when it is the last.
func (c *control) command() (*wire.Writer, error) {
	number, err := c.word()
	if err != nil {
		return nil, err
	}
	parameters, ok := map[uint32]int{cmdInit: 4, cmdSetLocality: 1, cmdHashData: 4, cmdResetEstablished: 1, cmdGetStateBlob: 12,
		cmdSetStateBlob: 12, cmdSetBufferSize: 4, cmdGetInfo: 16}[number]
	in := make([]byte, parameters)
	if ok {
		if _, err := io.ReadFull(c, in); err != nil {
			return nil, err
		}
	}
	m, p := &c.machine, wire.BE(in)
	if needsPower(number) && !m.isPowered() {
		switch number {
		case cmdHashData:
			_, err = c.blob(p.U32(), maxBlob)
		case cmdResetEstablished:
			c.skipPadding()
		}
		return result(resBadOrdinal), err
	}
	switch number {
	case cmdGetCapability:
		return wire.NewBE().U64(capAllButDataFD | fdPassing), nil
	case cmdInit:
		// The flag asks to delete the volatile state after it was read, and it is never kept longer.
		return c.outcome(m.restart()), nil
	case cmdStop:
		m.powerOff()
		return result(resSuccess), nil
	case cmdShutdown:
		m.powerOff()
		return result(resSuccess), errEnd
	case cmdGetEstablished:
		return result(resSuccess).U8(bit(m.wasEstablished())).Bytes(make([]byte, 3)), nil
	case cmdResetEstablished:
		c.skipPadding()
		return c.resetEstablished(p.U8()), nil
	case cmdSetLocality:
		c.skipPadding()
		return c.setLocality(p.U8()), nil
	case cmdHashStart:
		m.hashStart()
		return result(resSuccess), nil
	case cmdHashData:
		data, err := c.blob(p.U32(), maxBlob)
		if err != nil {
			return nil, err
		}
		m.hashData(data)
		return result(resSuccess), nil
	case cmdHashEnd:
		return c.outcome(m.hashEnd()), nil
	case cmdCancel:
		m.cancel()
		return result(resSuccess), nil
	case cmdStoreVolatile:
		return c.outcome(m.keepRunning()), nil
	case cmdGetStateBlob:
		return c.getBlob(p), nil
	case cmdSetStateBlob:
		return c.setBlob(p)
	case cmdGetConfig: // no key that swtpm would know protects the state
		return result(resSuccess).U32(0), nil
	case cmdSetDataFD:
		return c.setDataFD(), nil
	case cmdSetBufferSize:
		return c.bufferSize(p.U32()), nil
	case cmdGetInfo:
		return info(p), nil
	}
	return result(resBadOrdinal), nil
}

// skipPadding takes what QEMU sends behind a locality: it writes the C structure whole, whose other side is a word.
// tpm2-tss sends the one byte. No client sends its next command before it has the answer, so that what came along
// belongs to this one.
func (c *control) skipPadding() {
	if c.in.Buffered() == 3 {
		c.in.Discard(3) // cannot fail: it is buffered
	}
}

func needsPower(number uint32) bool {
	switch number {
	case cmdGetEstablished, cmdResetEstablished, cmdHashStart, cmdHashData, cmdHashEnd, cmdCancel, cmdStoreVolatile, cmdGetStateBlob:
		return true
	}
	return false
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func (c *control) setLocality(locality uint8) *wire.Writer {
	if !c.admits(locality) {
		return result(resBadLocality)
	}
	c.machine.setLocality(locality)
	return result(resSuccess)
}

// admits tells whether a client may choose a locality, in either way that the protocol has.
func (s *Server) admits(locality uint8) bool {
	return locality < 4 || locality == 4 && !s.RejectLocality4
}

// resetEstablished is for localities 3 and 4 (PC Client profile, TPM_ACCESS_x).
func (c *control) resetEstablished(locality uint8) *wire.Writer {
	if locality < 3 || locality > 4 {
		return result(resBadLocality)
	}
	c.machine.resetEstablished()
	return result(resSuccess)
}

func (c *control) bufferSize(want uint32) *wire.Writer {
	if want != 0 && c.machine.isPowered() {
		return result(resBadOrdinal)
	}
	return result(resSuccess).U32(maxCommand).U32(maxCommand).U32(maxCommand)
}

// getBlob replies with a state blob from an offset on: result, flags, total length, length, data. On TCP, where every local
// user may ask, the blob never leaves in the clear if the state has a key at all. On a unix socket it does, as swtpm's does
// without --migration-key, unless the key was given: then it can be given to the server that takes the blob up, too.
func (c *control) getBlob(p *wire.Reader) *wire.Writer {
	_, kind, offset := p.U32(), p.U32(), p.U32()
	var blob []byte
	var flags uint32
	switch kind {
	case blobPermanent:
		state, sealed, err := c.machine.snapshot(c.unix)
		if err != nil {
			c.logf("swtpm control: %v", err)
			return result(resFail).U32(0).U32(0).U32(0)
		}
		if blob = state; sealed {
			flags = blobEncrypted
		}
	case blobVolatile:
		blob = []byte(volatileMark)
	case blobSaveState:
	default:
		return result(resBadParameter).U32(0).U32(0).U32(0)
	}
	if uint64(offset) > uint64(len(blob)) {
		return result(resBadParameter).U32(0).U32(0).U32(0)
	}
	return result(resSuccess).U32(flags).U32(uint32(len(blob))).Sized32(blob[offset:])
}

// setBlob takes a state blob for the next start.
func (c *control) setBlob(p *wire.Reader) (*wire.Writer, error) {
	_, kind, size := p.U32(), p.U32(), p.U32()
	blob, err := c.blob(size, maxBlob)
	switch {
	case err != nil:
		return nil, err
	case c.machine.isPowered():
		return result(resBadOrdinal), nil
	case kind == blobPermanent:
		c.machine.setPermanent(blob)
	case kind == blobVolatile && (len(blob) == 0 || string(blob) == volatileMark):
		c.machine.setVolatile(len(blob) > 0)
	case kind == blobSaveState && len(blob) == 0:
	default:
		return result(resBadParameter), nil
	}
	return result(resSuccess), nil
}

// setDataFD makes a connection that came along with the command a data channel. A client has one at a time.
func (c *control) setDataFD() *wire.Writer {
	if c.hasData() {
		c.fds.close()
		return result(resBadOrdinal)
	}
	conn, err := c.fds.takeConn()
	if err != nil {
		c.logf("swtpm control: %v", err)
		return result(resBadParameter)
	}
	ended := make(chan struct{})
	c.data = ended
	c.passed.Go(func() {
		defer close(ended)
		c.converse(c.ctx, waiting(conn), "swtpm data", c.swtpmData)
	})
	return result(resSuccess)
}

func (c *control) hasData() bool {
	select {
	case <-c.data:
		return false
	default:
		return c.data != nil
	}
}

// infoTexts are what GET_INFO tells, by flag.
var infoTexts = []struct {
	flag uint64
	text string
}{
	{1, `"TPMSpecification":{"family":"2.0","level":0,"revision":159}`},
	{2, `"TPMAttributes":{"manufacturer":"id:56545043","version":"id:00000001","model":"vtpmctl"}`},
}

// info replies with a JSON text from an offset on: result, total length, length, text with its NUL.
func info(p *wire.Reader) *wire.Writer {
	flags, offset := p.U64(), p.U32()
	var parts [][]byte
	for _, t := range infoTexts {
		if flags&t.flag != 0 {
			parts = append(parts, []byte(t.text))
		}
	}
	text := append(append([]byte("{"), bytes.Join(parts, []byte(","))...), "}\x00"...)
	if uint64(offset) >= uint64(len(text)) {
		return result(resBadParameter)
	}
	return result(resSuccess).U32(uint32(len(text))).Sized32(text[offset:])
}
