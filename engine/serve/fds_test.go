//go:build unix

package serve_test

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/engine/serve"
)

// QEMU makes a pair of sockets and hands one over as the data channel.
func TestSwtpmTakesADataChannelFromItsClient(t *testing.T) {
	b := newBench(t, engine.StaysOn, func(s *serve.Server) { s.Terminate = true })
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctrl := dial(t, b.control)
	_, _, err = ctrl.Conn.(*net.UnixConn).WriteMsgUnix([]byte{0, 0, 0, 0x10}, syscall.UnixRights(pair[1]), nil)
	syscall.Close(pair[1])
	if err != nil {
		t.Fatal(err)
	}
	ctrl.ask("SET_DATAFD", "", "00000000")
	f := os.NewFile(uintptr(pair[0]), "data")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	data := &client{t, conn}
	data.ask("Startup over the passed channel", startupClear, "8001 0000000a 00000100")
	again, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = ctrl.Conn.(*net.UnixConn).WriteMsgUnix([]byte{0, 0, 0, 0x10}, syscall.UnixRights(again[1]), nil)
	syscall.Close(again[0])
	syscall.Close(again[1])
	if err != nil {
		t.Fatal(err)
	}
	ctrl.ask("SET_DATAFD while there is one", "", "0000000a")
	data.ask("Startup over the first channel", startupClear, "8001 0000000a 00000100")
	conn.Close()
	<-b.stopped
	ctrl.Close()
}
