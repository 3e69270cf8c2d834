// Package interop runs the programs of others beside ours in tests: it starts them on loopback ports or sockets that the
// system picks, and ends them with the test. A tool that is missing fails the test, for a skipped oracle proves nothing.
// Only tests import it.
package interop

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Run runs a program and returns its standard output. A non-zero exit status fails the test.
func Run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	text, err := Try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
	return text
}

// Try runs a program that may fail; the error then tells its standard error.
func Try(t testing.TB, name string, args ...string) (stdout []byte, err error) {
	t.Helper()
	Need(t, name)
	var out, complaint bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%w\n%s", err, complaint.Bytes())
	}
	return out.Bytes(), nil
}

// Need fails the test where a program is not installed.
func Need(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is not installed: run .ci/install", name)
	}
}

// SWTPM is a running swtpm with a state of its own, started up.
type SWTPM struct {
	Addr  string // of the data channel, HOST:PORT; the control channel is on the next port
	State string // its state folder
}

// StartSWTPM starts a swtpm that lives as long as the test.
func StartSWTPM(t testing.TB) *SWTPM {
	t.Helper()
	Need(t, "swtpm")
	// Not t.TempDir: the name of a test may have a comma, which ends an option of swtpm.
	state, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	s := &SWTPM{State: state}
	for try := 0; ; try++ {
		port := adjacentPorts(t)
		s.Addr = fmt.Sprintf("127.0.0.1:%d", port)
		c := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+s.State,
			"--server", fmt.Sprintf("type=tcp,port=%d", port), "--ctrl", fmt.Sprintf("type=tcp,port=%d", port+1),
			"--flags", "not-need-init,startup-clear", "--log", "file="+filepath.Join(s.State, "log"))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		if listens(s.Addr, ended) {
			t.Cleanup(func() { _ = c.Process.Kill(); <-ended })
			return s
		}
		_ = c.Process.Kill()
		<-ended
		if try == 2 { // a port may have been taken between our look and its start
			t.Fatalf("swtpm does not listen at %s", s.Addr)
		}
	}
}

// Target is the TPM in the grammar of --tpm.
func (s *SWTPM) Target() string { return "swtpm:" + s.Addr }

// TCTI is the TPM in the grammar of tpm2-tools.
func (s *SWTPM) TCTI() string {
	host, port, _ := net.SplitHostPort(s.Addr)
	return fmt.Sprintf("swtpm:host=%s,port=%s", host, port)
}

// Seeds finds the endorsement, owner and platform seeds in swtpm's permanent state, tpm2-00.permall: they are the first
// of six sized buffers of 64 bytes in a row, the others being the proofs.
func Seeds(permanent []byte) (seeds [3][]byte, ok bool) {
next:
	for off := 0; off+6*66 <= len(permanent); off++ {
		for i := range 6 {
			if binary.BigEndian.Uint16(permanent[off+i*66:]) != 64 {
				continue next
			}
		}
		for i := range seeds {
			seeds[i] = permanent[off+i*66+2:][:64]
		}
		return seeds, true
	}
	return seeds, false
}

// Raw sends commands to a TPM as they are, without any layer of ours in between.
type Raw struct{ io.ReadWriter }

// Raw connects to the TPM and sees it answer, so that its state is on disk.
func (s *SWTPM) Raw(t testing.TB) Raw {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	getRandom := []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 1}
	if _, err := (Raw{c}).Send(getRandom); err != nil {
		t.Fatal(err)
	}
	return Raw{c}
}

// Send sends one command and waits for its response.
func (r Raw) Send(command []byte) ([]byte, error) {
	if _, err := r.Write(command); err != nil {
		return nil, err
	}
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[2:])
	if size < 10 || size > 4096 {
		return nil, fmt.Errorf("a response of %d bytes", size)
	}
	rsp := append(head, make([]byte, size-10)...)
	_, err := io.ReadFull(r, rsp[10:])
	return rsp, err
}

// listens waits until somebody accepts connections at addr.
func listens(addr string, ended <-chan struct{}) bool {
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			time.Sleep(50 * time.Millisecond) // swtpm serves one client at a time: let it notice that this one has gone
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

// adjacentPorts finds two free ports in a row: tpm2-tools expect the control channel on the next one.
func adjacentPorts(t testing.TB) int {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	t.Fatal("no two free ports in a row")
	return 0
}
