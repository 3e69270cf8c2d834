//go:build interop

package tpm

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// startSWTPM runs a fresh swtpm and returns targets for its data channel. swtpm serves one client at a time.
func startSWTPM(t *testing.T) (target string) {
	t.Helper()
	data, ctrl := adjacentPorts(t)
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	data.Close()
	ctrl.Close()
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+t.TempDir(),
		"--server", fmt.Sprintf("type=tcp,port=%d", port(data)),
		"--ctrl", fmt.Sprintf("type=tcp,port=%d", port(ctrl)), "--flags", "not-need-init,startup-clear")
	return startEmulator(t, cmd, "swtpm:"+data.Addr().String())
}

func startSWTPMUnix(t *testing.T) (target string) {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket,
		"--flags", "not-need-init,startup-clear")
	return startEmulator(t, cmd, "swtpm:"+socket)
}

// startEmulator starts cmd, waits until target answers, and ends cmd with the test.
func startEmulator(t *testing.T, cmd *exec.Cmd, target string) string {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal("the interop tests need swtpm: ", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	parsed, _ := ParseTarget(target)
	network, addr := "tcp", parsed.Addr
	if parsed.Path != "" {
		network, addr = "unix", parsed.Path
	}
	for range 100 {
		if c, err := net.Dial(network, addr); err == nil {
			c.Close()
			// swtpm serves one client at a time and needs a moment to notice that this one has gone.
			time.Sleep(50 * time.Millisecond)
			return target
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("swtpm does not listen at ", target)
	return ""
}

func TestSWTPMAnswers(t *testing.T) {
	for name, target := range map[string]string{"over TCP": startSWTPM(t), "over a unix socket": startSWTPMUnix(t)} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(t.Context(), target, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			rsp, err := tpm2.GetRandom{BytesRequested: 16}.Execute(c)
			if err != nil {
				t.Fatal(err)
			}
			if len(rsp.RandomBytes.Buffer) != 16 {
				t.Errorf("%d random bytes, want 16", len(rsp.RandomBytes.Buffer))
			}
			if c.Origin().Emulated {
				t.Error("swtpm is taken for vtpmctl's own engine")
			}
		})
	}
}

func TestSWTPMIsUnderstood(t *testing.T) {
	c, err := Open(t.Context(), startSWTPM(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	caps, err := Probe(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if caps.Manufacturer.ID != "IBM" || caps.VendorString != "SW   TPM" || len(caps.Banks) < 4 || len(caps.Refused) != 0 || caps.Lockout.MaxTries == 0 {
		t.Errorf("%+v", caps)
	}
	for _, property := range caps.Properties {
		if property.Name == "" {
			t.Errorf("property %s has no name", property.ID)
		}
	}
	if len(caps.Commands) < 100 {
		t.Errorf("%d commands", len(caps.Commands))
	}
}

func TestOnSWTPM(t *testing.T) {
	for name, test := range liveTests {
		t.Run(name, func(t *testing.T) { test(t, openSWTPMHeard) })
	}
}

// openSWTPMHeard hears a fresh swtpm by a tap on its socket.
func openSWTPMHeard(t *testing.T, o Options) (*conn, func() []byte) {
	target, err := ParseTarget(startSWTPM(t))
	if err != nil {
		t.Fatal(err)
	}
	front, heard := tap(t, target.Addr)
	c, err := Open(t.Context(), "swtpm:"+front, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*conn), heard
}

// tap listens in front of a TCP server and keeps all that crosses, both ways.
func tap(t *testing.T, addr string) (front string, heard func() []byte) {
	var mu sync.Mutex
	var all bytes.Buffer
	write := func(p []byte) { mu.Lock(); defer mu.Unlock(); all.Write(p) }
	front = serve(t, func(c net.Conn) {
		back, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer back.Close()
		go func() { _, _ = io.Copy(io.MultiWriter(back, writer(write)), c); back.Close() }()
		_, _ = io.Copy(io.MultiWriter(c, writer(write)), back)
	})
	return front, func() []byte { mu.Lock(); defer mu.Unlock(); return bytes.Clone(all.Bytes()) }
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
