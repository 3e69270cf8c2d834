//go:build guest

package guest

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Firmware, kernel and vtpmctl itself find in the engine what they find in any TPM, over both of its interfaces. What is
// in NV outlives the reboot; PCRs start over and come out the same. In the second boot the machine is saved while it runs
// and restored elsewhere, with a TPM that has a state folder of its own: the guest does not notice.
func TestAMeasuredBootOnOurOwnEngine(t *testing.T) {
	t.Parallel()
	m := newMachineOnEngine(t)
	first := m.boot(t, boot{steps: []step{
		{"pcr-read", "vtpmctl pcr read -o json"},
		{"secret", "head -c 32 /dev/urandom >/out/secret"},
		{"seal", "vtpmctl seal /out/secret --pcrs sha256:0,7 --out-file /out/app.tpm"},
		{"extend", "vtpmctl pcr extend 16 /bin/vtpmctl"},
	}})
	before := judge(t, first, allBanks...)
	before.golden(t, "direct")
	differ(t, before.values, pcrsOf(t, first.stdout(t, "pcr-read"), engineTPM))
	for _, step := range []string{"seal", "extend"} {
		first.stdout(t, step)
	}

	// Over /dev/tpm0 the kernel keeps no object of its own: what a program left in the TPM is in the TPM alone.
	r, elsewhere := m.move(t, boot{device: "tpm-crb", in: results{"app.tpm": first.file(t, "app.tpm")}, steps: []step{
		{"unseal", "vtpmctl unseal /in/app.tpm --out-file /out/secret"},
		{"leave", startSession + " >/out/session"},
		{"extend", "vtpmctl pcr extend 16 /in/app.tpm && vtpmctl pcr read -o json >/out/before.json"},
		{"pause", "exec 3</dev/ttyS2; echo PAUSED >/dev/ttyS0; read -r line <&3; echo \"$line\""},
		{"pcr-read", "vtpmctl pcr read -o json"},
		{"unseal-again", "vtpmctl unseal /in/app.tpm --out-file /out/again"},
		{"replay", "vtpmctl eventlog replay -o json"},
		{"session", useSession + " >/out/session-used"},
	}})
	judge(t, r, allBanks...)
	if line := strings.TrimSpace(string(r.stdout(t, "pause"))); line != "go on" {
		t.Errorf("the guest was woken by %q", line)
	}
	differ(t, pcrsOf(t, r.file(t, "before.json"), engineTPM), pcrsOf(t, r.stdout(t, "pcr-read"), engineTPM))
	for _, step := range []string{"unseal", "unseal-again"} {
		r.stdout(t, step)
	}
	same(t, r, "secret", "again")
	if string(r.file(t, "secret")) != string(first.file(t, "secret")) {
		t.Error("after the reboot another secret came out")
	}
	if rsp := r.file(t, "session-used"); len(rsp) != 10+2+32 || string(rsp[6:10]) != "\x00\x00\x00\x00" {
		t.Errorf("the session of before the move answers %x", rsp)
	}
	if entries, err := os.ReadDir(elsewhere.tpm); err != nil || len(entries) == 0 {
		t.Errorf("the TPM stored nothing where the machine was restored: %v", err)
	}
}

// A policy session is started and its digest is asked for: raw commands, as /dev/tpm0 takes them. Both are one write.
const (
	startSession = `exec 4<>/dev/tpm0; printf '\200\001\0\0\0\073\0\0\001\166\100\0\0\007\100\0\0\007\0\040` +
		`12345678901234567890123456789012\0\0\001\0\020\0\013' >&4; head -c 48 <&4`
	useSession = `exec 4<>/dev/tpm0; printf '\200\001\0\0\0\016\0\0\001\211\003\0\0\000' >&4; head -c 44 <&4`
)

// move boots, saves the machine when a step has written PAUSED to the console, restores it as another one whose TPM is
// empty, and lets the guest go on there.
func (m *machine) move(t *testing.T, b boot) (results, *machine) {
	t.Helper()
	p, saved := b.prepare(t), filepath.Join(t.TempDir(), "saved")
	here := m.start(t, p, "-chardev", "null,id=go", "-serial", "chardev:go", "-qmp", "unix:"+p.path("qmp")+",server=on,wait=off")
	here.awaitConsole(t, "PAUSED")
	q := control(t, p.path("qmp"))
	q.run(t, "migrate", map[string]any{"uri": "exec:cat >" + saved})
	q.await(t, "query-migrate", "completed")
	q.run(t, "quit", nil)
	here.end(t)

	elsewhere := &machine{tpm: t.TempDir(), server: m.server, family: m.family}
	there := elsewhere.start(t, p, "-chardev", "socket,id=go,server=on,wait=off,path="+p.path("go"), "-serial", "chardev:go",
		"-qmp", "unix:"+p.path("qmp2")+",server=on,wait=off", "-incoming", "exec:cat "+saved)
	q = control(t, p.path("qmp2"))
	q.await(t, "query-status", "running")
	c, err := net.Dial("unix", p.path("go"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	return there.wait(t), elsewhere
}

// awaitConsole waits until the guest has written a word to its console.
func (g *guest) awaitConsole(t *testing.T, word string) {
	t.Helper()
	awaitFile(t, g.console())
	for deadline := time.Now().Add(bootLimit); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if strings.Contains(string(read(t, g.console())), word) {
			return
		}
	}
	t.Fatalf("the guest does not say %s:\n%s", word, tail(read(t, g.console())))
}

// monitor is a connection to QEMU's monitor (QMP).
type monitor struct {
	conn net.Conn
	in   *bufio.Reader
}

func control(t *testing.T, socket string) *monitor {
	t.Helper()
	awaitFile(t, socket)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	q := &monitor{conn, bufio.NewReader(conn)}
	q.run(t, "qmp_capabilities", nil)
	return q
}

// run sends a command and returns its answer; what else QEMU has to tell is passed over.
func (q *monitor) run(t *testing.T, command string, arguments map[string]any) json.RawMessage {
	t.Helper()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := q.in.ReadBytes('\n')
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		var answer struct {
			Return json.RawMessage
			Error  json.RawMessage
		}
		decode(t, line, &answer)
		if answer.Error != nil {
			t.Fatalf("%s: %s", command, answer.Error)
		}
		if answer.Return != nil {
			return answer.Return
		}
	}
}

// await asks until the status is the wanted one.
func (q *monitor) await(t *testing.T, query, want string) {
	t.Helper()
	var d struct{ Status string }
	for deadline := time.Now().Add(bootLimit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		decode(t, q.run(t, query, nil), &d)
		if d.Status == want {
			return
		}
		if d.Status == "failed" {
			break
		}
	}
	t.Fatalf("%s: %s, not %s", query, d.Status, want)
}
