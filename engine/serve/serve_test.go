package serve_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/engine/serve"
)

// bench is a server on a TPM of its own, with all its ports open.
type bench struct {
	*serve.Server
	tpm                              *engine.TPM
	data, control, command, platform net.Listener
	stopped                          chan struct{}
	end                              func() // the context of all servers, and waits for them
	log                              []string
}

func newBench(t *testing.T, power engine.Power, change ...func(*serve.Server)) *bench {
	t.Helper()
	tpm, err := engine.New(engine.Config{Power: power})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{Server: serve.New(tpm, power == engine.StaysOn), tpm: tpm, stopped: make(chan struct{})}
	b.Stop = sync.OnceFunc(func() { close(b.stopped) })
	var mu sync.Mutex
	b.Log = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		b.log = append(b.log, line)
	}
	for _, c := range change {
		c(b.Server)
	}
	var running sync.WaitGroup
	listen := func(network, addr string, serve func(context.Context, net.Listener) error) net.Listener {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := serve(ctx, l); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return l
	}
	b.data = listen("tcp", "127.0.0.1:0", b.SwtpmData)
	b.control = listen("unix", filepath.Join(t.TempDir(), "ctrl"), b.SwtpmControl)
	b.command = listen("tcp", "127.0.0.1:0", b.Mssim)
	b.platform = listen("tcp", "127.0.0.1:0", b.MssimPlatform)
	b.end = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(func() {
		b.end()
		if err := tpm.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// client is a connection with the words of the protocols.
type client struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, l net.Listener) *client {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(time.Minute)) // a passphrase takes seconds under the race detector
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn}
}

// ask writes a hexadecimal request and reads as many bytes as the hexadecimal answer has.
func (c *client) ask(what, request, want string) {
	c.t.Helper()
	c.put(request)
	if got := hex.EncodeToString(c.read(len(strings.ReplaceAll(want, " ", "")) / 2)); got != strings.ReplaceAll(want, " ", "") {
		c.t.Errorf("%s: answer %s, want %s", what, got, want)
	}
}

func (c *client) put(request string) {
	c.t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(request, " ", ""))
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.Write(raw); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read(n int) []byte {
	c.t.Helper()
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		c.t.Fatal(err)
	}
	return got
}

func (c *client) gone(what string) {
	c.t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		c.t.Errorf("%s: the connection is still there", what)
	}
}

// Send makes a client on the data channel a TPM for go-tpm.
func (c *client) Send(command []byte) ([]byte, error) {
	if _, err := c.Write(command); err != nil {
		return nil, err
	}
	head := c.read(10)
	return append(head, c.read(int(binary.BigEndian.Uint32(head[2:]))-10)...), nil
}

const (
	startupClear = "8001 0000000c 00000144 0000"
	getRandom4   = "8001 0000000c 0000017b 0004"
	success      = "8001 0000000a 00000000"
	isOff        = "8001 0000000a 00000101"
)

func TestSwtpmRefusesCommandsBeforeInit(t *testing.T) {
	b := newBench(t, engine.OffBetween)
	data, ctrl := dial(t, b.data), dial(t, b.control)
	data.ask("before INIT", getRandom4, isOff)
	ctrl.ask("GET_TPMESTABLISHED before INIT", "00000004", "0000000a")
	ctrl.ask("INIT", "00000002 00000000", "00000000")
	data.ask("before Startup", getRandom4, "8001 0000000a 00000100")
	data.ask("Startup", startupClear, success)
	data.ask("a second Startup", startupClear, "8001 0000000a 00000100")
	ctrl.ask("INIT again", "00000002 00000000", "00000000")
	data.ask("Startup after INIT", startupClear, success)
	ctrl.ask("STOP", "0000000e", "00000000")
	data.ask("after STOP", getRandom4, isOff)
}

func TestSwtpmControlAnswersWhatQEMUAsks(t *testing.T) {
	b := newBench(t, engine.OffBetween)
	ctrl := dial(t, b.control)
	ctrl.ask("GET_CAPABILITY", "00000001", "000000000000ffff")
	ctrl.ask("buffer size", "00000011 00000000", "00000000 00001000 00001000 00001000")
	ctrl.ask("set buffer size", "00000011 00000f80", "00000000 00001000 00001000 00001000")
	ctrl.ask("INIT", "00000002 00000000", "00000000")
	ctrl.ask("set buffer size while on", "00000011 00000f80", "0000000a")
	ctrl.ask("established", "00000004", "00000000 00 000000")
	ctrl.ask("HASH_START, DATA, END", "00000006 00000007 00000003 616263 00000008", "00000000 00000000 00000000")
	ctrl.ask("established after a hash", "00000004", "00000000 01 000000")
	ctrl.ask("reset established at locality 2", "0000000b 02", "0000003d")
	ctrl.ask("reset established at locality 3", "0000000b 03", "00000000")
	ctrl.ask("reset established as QEMU writes it", "0000000b 04 000000", "00000000")
	ctrl.ask("SET_LOCALITY as QEMU writes it", "00000005 04 000000", "00000000")
	ctrl.ask("SET_LOCALITY as tpm2-tss writes it", "00000005 00", "00000000")
	ctrl.ask("established again", "00000004", "00000000 00 000000")
	ctrl.ask("CANCEL", "00000009", "00000000")
	ctrl.ask("GET_CONFIG", "0000000f", "00000000 00000000")
	ctrl.ask("locality 5", "00000005 05", "0000003d")
	ctrl.ask("SET_DATAFD without a descriptor", "00000010", "00000003")
	ctrl.ask("an unknown command", "000000ff", "0000000a")
	ctrl.put("00000012 0000000000000003 00000000 00000000")
	head := ctrl.read(12)
	text := ctrl.read(int(binary.BigEndian.Uint32(head[8:])))
	if !bytes.HasPrefix(text, []byte(`{"TPMSpecification":{"family":"2.0"`)) || !bytes.HasSuffix(text, []byte("}}\x00")) {
		t.Errorf("GET_INFO: %q", text)
	}
	ctrl.ask("GET_INFO beyond the end", "00000012 0000000000000003 00001000 00000000", "00000003")
	ctrl.ask("SHUTDOWN", "00000003", "00000000")
	ctrl.gone("after SHUTDOWN")
	<-b.stopped
}

func TestSwtpmLocalityReachesTheTPM(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	data, ctrl := dial(t, b.data), dial(t, b.control)
	reset := "8002 0000001b 0000013d 00000014 00000009 40000009 0000 00 0000" // PCR 20
	data.ask("PCR_Reset at locality 0", reset, "8001 0000000a 00000907")
	ctrl.ask("SET_LOCALITY 4", "00000005 04", "00000000")
	data.ask("PCR_Reset at locality 4", reset, "8002 00000013 00000000 00000000 0000 01 0000")
	ctrl.ask("SET_LOCALITY 0", "00000005 00", "00000000")
	framed := "00000008 04 0000001b" + reset
	data.ask("framed at locality 4", framed, "00000013 8002 00000013 00000000 00000000 0000 01 0000 00000000")
	data.ask("PCR_Reset at locality 0 again", reset, "8001 0000000a 00000907")
}

func TestSwtpmRefusesLocality4WhenAsked(t *testing.T) {
	b := newBench(t, engine.StaysOn, func(s *serve.Server) { s.RejectLocality4 = true })
	ctrl := dial(t, b.control)
	ctrl.ask("SET_LOCALITY 4", "00000005 04", "0000003d")
	ctrl.ask("SET_LOCALITY 3", "00000005 03", "00000000")
	data := dial(t, b.data)
	random := "8001 0000000c 0000017b 0000"
	data.ask("framed at locality 3", "00000008 03 0000000c"+random, "0000000c 8001 0000000c 00000000 0000 00000000")
	for _, locality := range []string{"04", "05", "20"} {
		data.ask("framed at locality 0x"+locality, "00000008"+locality+"0000000c"+random, "0000000a 8001 0000000a 00000907 00000000")
	}
}

func TestSwtpmKeepsInStepWithOddSizes(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	data := dial(t, b.data)
	data.ask("a size below the header", "8001 00000004 0000017b", "8001 0000000a 00000142")
	data.ask("the next command", "8001 0000000b 00000143 01", success)
	data.put("8001 00001001 0000017b")
	if got := hex.EncodeToString(data.read(10)); got != "80010000000a00000142" {
		t.Errorf("a size above the limit: %s", got)
	}
	data.gone("after a size above the limit")
}

// A virtual machine is saved and restored with its PCRs and sessions.
func TestSwtpmStateBlobsCarryARunningTPM(t *testing.T) {
	here, there := newBench(t, engine.OffBetween), newBench(t, engine.OffBetween)
	data, ctrl := dial(t, here.data), dial(t, here.control)
	ctrl.ask("INIT", "00000002 00000000", "00000000")
	data.ask("Startup", startupClear, success)
	session, err := tpm2.StartAuthSession{
		TPMKey: tpm2.TPMRHNull, Bind: tpm2.TPMRHNull, NonceCaller: tpm2.TPM2BNonce{Buffer: make([]byte, 16)},
		SessionType: tpm2.TPMSEHMAC, Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull}, AuthHash: tpm2.TPMAlgSHA256,
	}.Execute(data)
	if err != nil {
		t.Fatal(err)
	}
	extend := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: 7, Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}
	if _, err := extend.Execute(data); err != nil {
		t.Fatal(err)
	}
	permanent, volatile := getBlob(ctrl, 1), getBlob(ctrl, 2)
	if len(getBlob(ctrl, 3)) != 0 {
		t.Error("there is a blob of saved state")
	}
	want := readPCR7(t, data)
	for name, c := range map[string]struct {
		volatile []byte
		runs     bool
	}{"with volatile state it goes on": {volatile, true}, "without it is powered on": {nil, false}} {
		data, ctrl := dial(t, there.data), dial(t, there.control)
		ctrl.ask("STOP", "0000000e", "00000000")
		setBlob(ctrl, 1, permanent, 0)
		setBlob(ctrl, 2, c.volatile, 0)
		ctrl.ask("INIT", "00000002 00000001", "00000000")
		if !c.runs {
			data.ask(name, getRandom4, "8001 0000000a 00000100")
			continue
		}
		if got := readPCR7(t, data); !bytes.Equal(got, want) {
			t.Errorf("%s: PCR 7 is %x, was %x", name, got, want)
		}
		if _, err := (tpm2.FlushContext{FlushHandle: session.SessionHandle}).Execute(data); err != nil {
			t.Errorf("%s: the session is gone: %v", name, err)
		}
		setBlob(ctrl, 1, permanent, 10) // refused while the TPM is on
	}
	ctrl = dial(t, there.control)
	ctrl.ask("STOP", "0000000e", "00000000")
	setBlob(ctrl, 1, permanent[:len(permanent)-1], 0)
	ctrl.ask("INIT with a damaged blob", "00000002 00000000", "00000009")
	setBlob(ctrl, 9, nil, 3)
	setBlob(ctrl, 2, []byte("foreign"), 3)
}

func getBlob(c *client, kind uint32) []byte {
	c.t.Helper()
	c.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0x0c, 0, 0, 0, 1}, kind))
	c.put("00000000")
	head := c.read(16)
	if binary.BigEndian.Uint32(head) != 0 || !bytes.Equal(head[8:12], head[12:]) {
		c.t.Fatalf("GET_STATEBLOB %d: %x", kind, head)
	}
	return c.read(int(binary.BigEndian.Uint32(head[12:])))
}

func setBlob(c *client, kind uint32, blob []byte, want uint32) {
	c.t.Helper()
	request := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0x0d, 0, 0, 0, 0}, kind)
	request = binary.BigEndian.AppendUint32(request, uint32(len(blob)))
	c.Write(append(request, blob...))
	if got := binary.BigEndian.Uint32(c.read(4)); got != want {
		c.t.Errorf("SET_STATEBLOB %d: %d, want %d", kind, got, want)
	}
}

func readPCR7(t *testing.T, c *client) []byte {
	t.Helper()
	rsp, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{0x80, 0, 0}}}}}.Execute(c)
	if err != nil || len(rsp.PCRValues.Digests) != 1 {
		t.Fatalf("PCR_Read: %v", err)
	}
	return rsp.PCRValues.Digests[0].Buffer
}

func TestSwtpmStoredVolatileStateSurvivesInit(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	data, ctrl := dial(t, b.data), dial(t, b.control)
	ctrl.ask("STORE_VOLATILE", "0000000a", "00000000")
	ctrl.ask("INIT", "00000002 00000000", "00000000")
	data.ask("still started", startupClear, "8001 0000000a 00000100")
	ctrl.ask("INIT again", "00000002 00000000", "00000000")
	data.ask("powered on", startupClear, success)
}

func TestSwtpmEndsWithItsDataConnectionWhenAsked(t *testing.T) {
	b := newBench(t, engine.StaysOn, func(s *serve.Server) { s.Terminate = true })
	dial(t, b.data).Close()
	<-b.stopped
}

func TestSwtpmDisconnectsAfterEachResponseWhenAsked(t *testing.T) {
	b := newBench(t, engine.StaysOn, func(s *serve.Server) { s.Disconnect = true })
	data := dial(t, b.data)
	data.ask("Startup", startupClear, "8001 0000000a 00000100")
	data.gone("after the response")
}

func TestMssimStartsOffAndFollowsThePlatform(t *testing.T) {
	b := newBench(t, engine.OffBetween)
	command, platform := dial(t, b.command), dial(t, b.platform)
	send := func(tpmCommand string) string { return "00000008 00 0000000c" + tpmCommand }
	command.ask("handshake", "0000000f 00000001", "00000001 00000009 00000000")
	command.ask("a command while off", send(startupClear), "00000000 00000000")
	platform.ask("POWER_ON", "00000001", "00000000")
	platform.ask("NV_ON", "0000000b", "00000000")
	command.ask("Startup", send(startupClear), "0000000a"+success+"00000000")
	platform.ask("POWER_ON while on changes nothing", "00000001", "00000000")
	command.ask("a second Startup", send(startupClear), "0000000a 8001 0000000a 00000100 00000000")
	platform.ask("RESET", "00000011", "00000000")
	command.ask("Startup after RESET", send(startupClear), "0000000a"+success+"00000000")
	platform.ask("POWER_OFF", "00000002", "00000000")
	command.ask("a command while off again", send(startupClear), "00000000 00000000")
	platform.ask("RESTART while off", "00000012", "00000000")
	platform.ask("POWER_ON again", "00000001", "00000000")
	command.ask("Startup after power", send(startupClear), "0000000a"+success+"00000000")
	platform.ask("presence, cancel, key cache", "00000003 00000004 00000009 0000000a 0000000d", strings.Repeat("00000000", 5))
	command.put("00000008 00 00000000")
	if got := command.read(18); !bytes.HasPrefix(got, []byte{0, 0, 0, 10, 0x80, 1, 0, 0, 0, 10, 0, 0}) {
		t.Errorf("an empty command: %x", got)
	}
	command.ask("a hash sequence", "00000005 00000006 00000003 616263 00000007", "00000000 00000000 00000000")
	command.put("00000014")
	command.gone("after SESSION_END")
	platform.put("00000015")
	platform.gone("after STOP")
	<-b.stopped
}

func TestMssimLocalityComesWithTheCommand(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	command := dial(t, b.command)
	reset := "8002 0000001b 0000013d 00000014 00000009 40000009 0000 00 0000"
	command.ask("locality 0", "00000008 00 0000001b"+reset, "0000000a 8001 0000000a 00000907 00000000")
	command.ask("locality 4", "00000008 04 0000001b"+reset, "00000013 8002 00000013 00000000 00000000 0000 01 0000 00000000")
}

func TestMssimDropsClientsThatMakeNoSense(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	for what, request := range map[string]string{
		"an unknown command": "000000ff", "a huge command": "00000008 00 ffffffff", "a huge hash": "00000005 00000006 ffffffff",
	} {
		c := dial(t, b.command)
		c.put(request)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the connection is still there", what)
		}
	}
	dial(t, b.command).ask("the next client", "0000000f 00000001", "00000001 00000009 00000000")
}

// newKeyedBench serves control connections to a TPM in a folder, on a unix socket and on TCP.
func newKeyedBench(t *testing.T, opts engine.FileOptions) (unix, tcp *client) {
	t.Helper()
	store, err := engine.OpenFileStore(t.Context(), t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	tpm, err := engine.New(engine.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := serve.New(tpm, true)
	var running sync.WaitGroup
	open := func(network, addr string) *client {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := s.SwtpmControl(ctx, l); err != nil {
				t.Error(err)
			}
		})
		return dial(t, l)
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := tpm.Close(); err != nil {
			t.Error(err)
		}
	})
	return open("unix", filepath.Join(t.TempDir(), "ctrl")), open("tcp", "127.0.0.1:0")
}

// The secrets of a TPM leave it in the clear only to a socket that is its owner's alone, and only when nobody gave a key.
func TestSwtpmStateBlobsAreEncryptedUnlessOnlyTheOwnerCanAsk(t *testing.T) {
	key := func(content string) engine.FileOptions {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(strings.Repeat(content, 32)), 0o600); err != nil {
			t.Fatal(err)
		}
		return engine.FileOptions{KeyFile: path}
	}
	given, other := key("a"), key("b")
	get := func(c *client) (flags uint32, blob []byte) {
		c.put("0000000c 00000001 00000001 00000000")
		head := c.read(16)
		return binary.BigEndian.Uint32(head[4:]), c.read(int(binary.BigEndian.Uint32(head[12:])))
	}
	cases := map[string]struct {
		opts              engine.FileOptions
		onUnix, onTCP     uint32 // flags
		takenBy, refusing engine.FileOptions
	}{
		"under a key file":     {given, 2, 2, given, other},
		"under a passphrase":   {engine.FileOptions{Passphrase: []byte("x")}, 2, 2, engine.FileOptions{Passphrase: []byte("x")}, given},
		"under the host's key": {engine.FileOptions{}, 0, 2, given, given},
	}
	if testing.Short() { // its derivation takes too long under the race detector
		delete(cases, "under a passphrase")
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			unix, tcp := newKeyedBench(t, c.opts)
			flags, portable := get(unix)
			if flags != c.onUnix || bytes.HasPrefix(portable, []byte("VTPMSTAT")) != (flags == 2) {
				t.Errorf("on a unix socket: flags %d, %.8q", flags, portable)
			}
			flags, sealed := get(tcp)
			if flags != c.onTCP || !bytes.HasPrefix(sealed, []byte("VTPMSTAT")) {
				t.Errorf("on TCP: flags %d, %.8q", flags, sealed)
			}
			for _, to := range []struct {
				opts engine.FileOptions
				blob []byte
				want string
			}{{c.takenBy, portable, "00000000"}, {c.refusing, sealed, "00000009"}} {
				there, _ := newKeyedBench(t, to.opts)
				there.ask("STOP", "0000000e", "00000000")
				setBlob(there, 1, to.blob, 0)
				there.ask("INIT", "00000002 00000000", to.want)
			}
			tcp.ask("STOP", "0000000e", "00000000")
			setBlob(tcp, 1, sealed, 0)
			tcp.ask("INIT where it came from", "00000002 00000000", "00000000")
		})
	}
}

// A key that takes long to make is given up when a client cancels.
func TestTheSimulatorsCancelSignalEndsASearchForPrimes(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	command, platform := dial(t, b.command), dial(t, b.platform)
	create := tpm2.Marshal(tpm2.New2B(tpm2.RSASRKTemplate))
	request := "00000131 40000001 00000009 40000009 0000 00 0000 0004 0000 0000" + hex.EncodeToString(create) + "0000 00000000"
	size := (len(strings.ReplaceAll(request, " ", "")) + 12) / 2
	request = "00000008 00" + fmt.Sprintf("%08x 8002 %08x", size, size) + request
	platform.ask("CANCEL_ON", "00000009", "00000000")
	command.ask("CreatePrimary while it is on", request, "0000000a 8001 0000000a 00000909 00000000")
	platform.ask("CANCEL_OFF", "0000000a", "00000000")
	command.put(request)
	if head := command.read(14); hex.EncodeToString(head[10:]) != "00000000" {
		t.Errorf("CreatePrimary afterwards: %x", head)
	}
}

func TestServersEndWithTheirContextWhileClientsSayNothing(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	for _, l := range []net.Listener{b.data, b.control, b.command, b.platform} {
		quiet := dial(t, l)
		defer quiet.gone(l.Addr().String())
	}
	random := dial(t, b.data)
	random.ask("a command, so that all are accepted", "8001 0000000c 0000017b 0000", "8001 0000000c 00000000 0000")
	b.end()
}

// pipes is a listener of connections that are no sockets.
type pipes struct {
	net.Listener
	conns chan net.Conn
}

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p.conns); return nil }

func TestConnectionsNeedNotBeSockets(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	here, there := net.Pipe()
	l := pipes{conns: make(chan net.Conn, 1)}
	l.conns <- there
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.SwtpmData(ctx, l) }()
	(&client{t, here}).ask("a command", "8001 0000000c 0000017b 0000", "8001 0000000c 00000000 0000")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestMoreClientsThanThereArePlacesWait(t *testing.T) {
	b := newBench(t, engine.StaysOn)
	first := dial(t, b.data)
	first.ask("the first", getRandom4, "8001 00000010 00000000")
	idle := make([]*client, 63)
	for i := range idle {
		idle[i] = dial(t, b.data)
	}
	late := dial(t, b.data)
	late.put(getRandom4)
	late.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := late.Read(make([]byte, 10)); err == nil {
		t.Errorf("one more than there are places was answered with %d bytes", n)
	}
	idle[0].Close()
	late.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got := late.read(10); hex.EncodeToString(got) != "80010000001000000000" {
		t.Errorf("after one left: %x", got)
	}
}
