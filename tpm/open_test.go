package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func TestOpenOverTCPAndUnixSocket(t *testing.T) {
	fake := newFakeTPM()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil && runtime.GOOS == "windows" {
		t.Skip("Windows has unix sockets since 2018, and Wine has none:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, fake.raw)
	for _, target := range []string{"swtpm:" + serve(t, fake.raw), "swtpm:" + socket} {
		t.Run(target, func(t *testing.T) {
			c, err := Open(t.Context(), target, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Origin{Target: target}, c.Origin()); diff != "" {
				t.Error(diff)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := c.Send(noSessions(tpm2.TPMCCGetRandom, []byte{0, 4})); err == nil {
				t.Error("a closed connection takes commands")
			}
		})
	}
}

func TestOriginIsEmulatedWhereverTheEngineAnswers(t *testing.T) {
	fake := newFakeTPM()
	fake.answers[tpm2.TPMCCGetCapability] = func([]byte) []byte { return manufacturer("VTPC") }
	target := "swtpm:" + serve(t, fake.raw)
	c, err := Open(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.Origin().Emulated {
		t.Error("the engine behind a socket passes for a real TPM")
	}
	if _, err := Open(t.Context(), target, Options{RequireTPM: true}); fail.KindOf(err) != fail.NoTPM {
		t.Errorf("with RequireTPM: error %v, want one of kind %q", err, fail.NoTPM)
	}
	if _, err := Open(t.Context(), "engine:"+t.TempDir(), Options{RequireTPM: true}); fail.KindOf(err) != fail.NoTPM {
		t.Errorf("engine: with RequireTPM: error %v, want one of kind %q", err, fail.NoTPM)
	}
}

func TestOpenSimulator(t *testing.T) {
	fake := newFakeTPM()
	command, platform := adjacentPorts(t)
	var pressed []uint32
	done := make(chan struct{})
	serveOn(t, platform, func(c net.Conn) {
		defer close(done)
		var button uint32
		for binary.Read(c, binary.BigEndian, &button) == nil {
			pressed = append(pressed, button)
			if button != simSessionEnd {
				c.Write(make([]byte, 4))
			}
		}
	})
	serveOn(t, command, func(c net.Conn) { simulate(c, fake) })
	c, err := Open(t.Context(), "mssim:"+command.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-done
	if diff := cmp.Diff([]uint32{simPowerOn, simNVOn, simSessionEnd}, pressed); diff != "" {
		t.Error("buttons pressed:", diff)
	}
	if diff := cmp.Diff([]string{"TPM2_GetCapability"}, fake.sent()); diff != "" {
		t.Error(diff)
	}
}

// simulate speaks the command port's side of the simulator protocol.
func simulate(c net.Conn, tpm Sender) {
	for {
		var head struct {
			Command  uint32
			Locality uint8
			Size     uint32
		}
		if binary.Read(c, binary.BigEndian, &head) != nil || head.Command != simSendCommand {
			return
		}
		cmd := make([]byte, head.Size)
		if _, err := io.ReadFull(c, cmd); err != nil {
			return
		}
		rsp, _ := tpm.Send(cmd)
		binary.Write(c, binary.BigEndian, uint32(len(rsp)))
		c.Write(append(rsp, 0, 0, 0, 0))
	}
}

// adjacentPorts listens on two ports, one above the other.
func adjacentPorts(t *testing.T) (low, high net.Listener) {
	t.Helper()
	for range 100 {
		low, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := low.Addr().(*net.TCPAddr).Port
		if high, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1}); err == nil {
			return low, high
		}
		low.Close()
	}
	t.Fatal("no two adjacent free ports")
	return nil, nil
}

func TestOpenRefusesWhatIsNoTPM(t *testing.T) {
	for name, tt := range map[string]struct {
		answer []byte
		kind   fail.Kind
		says   string
	}{
		"a web server":              {[]byte("HTTP/1.0 400 Bad Request\r\n\r\n"), fail.Failed, "more than any TPM sends"},
		"a TPM 1.2":                 {[]byte{0, 0xc4, 0, 0, 0, 10, 0, 0, 0, 0x1e}, fail.Unsupported, "TPM 1.2"},
		"half a header":             {[]byte{0x80, 0x01, 0, 0}, fail.Failed, "after 4 of 10 bytes"},
		"half a response":           {manufacturer("TEST")[:20], fail.Failed, "after 20 of 27 bytes"},
		"a size below the header's": {[]byte{0x80, 0x01, 0, 0, 0, 3, 0, 0, 0, 0}, fail.Failed, "10 bytes and claims 3"},
		"a size above all bounds":   {[]byte{0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, fail.Failed, "more than any TPM"},
		"nothing":                   {nil, fail.Failed, "after 0 of 10 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, func(c net.Conn) {
				readCommand(c)
				c.Write(tt.answer)
			})
			_, err := Open(t.Context(), "swtpm:"+addr, Options{})
			if fail.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q of kind %q, want kind %q and the words %q", err, fail.KindOf(err), tt.kind, tt.says)
			}
		})
	}
}

func TestOpenSaysWhyItCannot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]fail.Kind{
		"swtpm:" + free:                     fail.NoTPM,
		"mssim:" + free:                     fail.NoTPM,
		"swtpm:" + file + ".absent":         fail.NoTPM,
		"replay:" + file + ".absent":        fail.MissingInput,
		"replay:" + file:                    fail.BadInput,
		"nonsense":                          fail.Usage,
		"swtpm:no-such-host.invalid.:12345": fail.NoTPM,
	} {
		t.Run(target, func(t *testing.T) {
			if _, err := Open(t.Context(), target, Options{}); fail.KindOf(err) != want {
				t.Errorf("error %v of kind %q, want %q", err, fail.KindOf(err), want)
			}
		})
	}
}

func TestAutoTriesTheSystemsTPMsInOrder(t *testing.T) {
	fake := newFakeTPM()
	absent := Target{Scheme: SWTPM, Path: filepath.Join(t.TempDir(), "absent")}
	present := Target{Scheme: SWTPM, Addr: serve(t, fake.raw)}
	useSystemTargets(t, absent, present)
	c, err := Open(t.Context(), "auto", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.Origin().Target; got != present.String() {
		t.Errorf("auto settled on %s, want %s", got, present)
	}
}

func TestAutoNeverPassesByATPMItMayNotUse(t *testing.T) {
	notATPM := Target{Scheme: Dev, Path: filepath.Join(t.TempDir(), "file")}
	if err := os.WriteFile(notATPM.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	useSystemTargets(t, notATPM)
	c, err := Open(t.Context(), "auto", Options{EngineDir: t.TempDir()})
	if err == nil {
		t.Fatalf("auto passed by %s and opened %s", notATPM, c.Origin().Target)
	}
}

func TestAutoWithoutATPM(t *testing.T) {
	useSystemTargets(t, Target{Scheme: SWTPM, Path: filepath.Join(t.TempDir(), "absent")})
	for name, o := range map[string]Options{
		"no engine folder given": {},
		"a real TPM required":    {EngineDir: t.TempDir(), RequireTPM: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), "auto", o)
			if fail.KindOf(err) != fail.NoTPM || len(fail.HintsOf(err)) < 2 {
				t.Errorf("error %v of kind %q with hints %q", err, fail.KindOf(err), fail.HintsOf(err))
			}
		})
	}
}

func useSystemTargets(t *testing.T, targets ...Target) {
	saved := systemTargets
	systemTargets = targets
	t.Cleanup(func() { systemTargets = saved })
}

func TestContextCutsAWaitShort(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{})
	fake := newFakeTPM()
	fake.answers[tpm2.TPMCCCreatePrimary] = func([]byte) []byte {
		close(asked)
		<-release
		return handleResponse(0x80000001)
	}
	var flushed []byte
	fake.answers[tpm2.TPMCCFlushContext] = func(cmd []byte) []byte {
		flushed = bytes.Clone(cmd)
		return response(tpm2.TPMRCSuccess, nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, err := Open(ctx, "swtpm:"+serve(t, fake.raw), Options{})
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-asked; cancel() }()
	_, err = c.Send(noSessions(tpm2.TPMCCCreatePrimary, make([]byte, 8)))
	if fail.KindOf(err) != fail.Interrupted {
		t.Errorf("error %v of kind %q, want %q", err, fail.KindOf(err), fail.Interrupted)
	}
	close(release)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(flushCommand(0x80000001), flushed); diff != "" {
		t.Error("the object that was made by the interrupted command is not flushed:", diff)
	}
}
