package serve

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
)

// Commands of the reference simulator (TpmTcpProtocol.h of the TCG reference). Numbers and sizes are big-endian words.
const (
	simPowerOn          uint32 = 1
	simPowerOff         uint32 = 2
	simPresenceOn       uint32 = 3
	simPresenceOff      uint32 = 4
	simHashStart        uint32 = 5
	simHashData         uint32 = 6
	simHashEnd          uint32 = 7
	simSendCommand      uint32 = 8
	simCancelOn         uint32 = 9
	simCancelOff        uint32 = 10
	simNVOn             uint32 = 11
	simNVOff            uint32 = 12
	simKeyCacheOn       uint32 = 13
	simKeyCacheOff      uint32 = 14
	simRemoteHandshake  uint32 = 15
	simAlternativeReply uint32 = 16
	simReset            uint32 = 17
	simRestart          uint32 = 18
	simSessionEnd       uint32 = 20
	simStop             uint32 = 21
)

// What the handshake tells: the version of the protocol, and that a platform with physical presence is there.
const (
	simVersion   uint32 = 1
	simEndpoint  uint32 = 0x01 | 0x08 // platform available, supports physical presence
	simCompleted uint32 = 0
)

// Mssim serves the command port of the simulator's protocol.
func (s *Server) Mssim(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, steady{l}, "mssim command", s.mssimCommands)
}

// MssimPlatform serves its platform port.
func (s *Server) MssimPlatform(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, "mssim platform", s.mssimPlatform)
}

// sim is one connection of either port.
type sim struct {
	*Server
	source
}

func (s *Server) mssimCommands(_ context.Context, conn net.Conn) error {
	c := sim{s, source{bufio.NewReader(conn)}}
	return c.loop(conn, c.command)
}

func (s *Server) mssimPlatform(_ context.Context, conn net.Conn) error {
	c := sim{s, source{bufio.NewReader(conn)}}
	return c.loop(conn, c.signal)
}

// loop answers commands until one ends the session.
func (c sim) loop(conn net.Conn, answer func(uint32) ([]byte, error)) error {
	for {
		number, err := c.word()
		if err != nil {
			return err
		}
		switch number {
		case simSessionEnd:
			return errEnd
		case simStop:
			c.stop()
			return errEnd
		}
		reply, err := answer(number)
		if err != nil {
			return err
		}
		if _, err := conn.Write(binary.BigEndian.AppendUint32(reply, simCompleted)); err != nil {
			return err
		}
	}
}

// command is the command port: TPM commands, the handshake and hash sequences.
func (c sim) command(number uint32) ([]byte, error) {
	switch number {
	case simSendCommand:
		return c.send()
	case simRemoteHandshake:
		if _, err := c.word(); err != nil { // the client's version
			return nil, err
		}
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, simVersion), simEndpoint), nil
	case simAlternativeReply: // a test aid of the simulator
		return nil, nil
	}
	return nil, c.hash(number)
}

// signal is the platform port: power, presence, reset.
func (c sim) signal(number uint32) ([]byte, error) {
	switch number {
	case simPowerOn:
		return nil, c.machine.powerOn()
	case simPowerOff:
		c.machine.powerOff()
	case simReset, simRestart:
		if !c.machine.isPowered() {
			return nil, nil
		}
		return nil, c.machine.restart()
	case simPresenceOn, simPresenceOff:
		c.machine.presence(number == simPresenceOn)
	case simCancelOn, simCancelOff:
		c.machine.cancelSignal(number == simCancelOn)
	case simNVOn, simNVOff, simKeyCacheOn, simKeyCacheOff: // NV is always there, and keys are not cached
	default:
		return nil, c.hash(number)
	}
	return nil, nil
}

func (c sim) hash(number uint32) error {
	switch number {
	case simHashStart:
		c.machine.hashStart()
	case simHashData:
		data, err := c.sized(maxBlob)
		if err != nil {
			return err
		}
		c.machine.hashData(data)
	case simHashEnd:
		return c.machine.hashEnd()
	default:
		return fmt.Errorf("unknown command %d", number)
	}
	return nil
}

// send runs a TPM command: locality, size, bytes; the response is size, bytes. A TPM that is off answers no bytes.
func (c sim) send() ([]byte, error) {
	locality, err := c.blob(1, 1)
	if err != nil {
		return nil, err
	}
	command, err := c.sized(1 << 16)
	if err != nil {
		return nil, err
	}
	response := tooLarge()
	if len(command) <= maxCommand {
		if response, err = c.machine.send(locality[0], command); err != nil {
			c.logf("mssim command: %v", err)
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(response))), response...), nil
}

func (c sim) sized(limit uint32) ([]byte, error) {
	n, err := c.word()
	if err != nil {
		return nil, err
	}
	return c.blob(n, limit)
}
