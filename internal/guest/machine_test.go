//go:build guest

package guest

import (
	"archive/tar"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

//go:embed init.sh
var initScript []byte

const (
	firmware  = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	variables = "/usr/share/OVMF/OVMF_VARS_4M.fd"
	busybox   = "/bin/busybox"
)

// bootLimit is far above the 15 seconds that a boot takes without hardware virtualization on a quiet machine.
const bootLimit = 5 * time.Minute

// machine is a virtual machine that can be booted again and again; its TPM keeps its state in between.
type machine struct {
	kernel string // file of the kernel image
	binary string // file of vtpmctl
	tpm    string // folder with the state of its TPM
	server string // program that serves the TPM, under swtpm's command line
}

// newMachine makes a machine whose TPM has the given PCR banks; all that swtpm has if none is named.
func newMachine(t *testing.T, banks ...string) *machine {
	t.Helper()
	m := &machine{kernel: os.Getenv("VTPMCTL_GUEST_KERNEL"), binary: filepath.Join(t.TempDir(), "vtpmctl"), tpm: t.TempDir(),
		server: "swtpm"}
	if m.kernel == "" {
		t.Fatal("VTPMCTL_GUEST_KERNEL names no kernel: run .ci/guest")
	}
	for _, tool := range []string{"qemu-system-x86_64", "swtpm"} {
		interop.Need(t, tool)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", m.binary, "github.com/vtpmctl/vtpmctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(banks) > 0 {
		interop.Run(t, "swtpm_setup", "--tpm2", "--tpmstate", m.tpm, "--pcr-banks", strings.Join(banks, ","))
	}
	return m
}

// newMachineOnEngine makes a machine whose TPM is vtpmctl's own: the program takes swtpm's command line under its name.
func newMachineOnEngine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.server = filepath.Join(t.TempDir(), "swtpm")
	if err := os.Symlink(m.binary, m.server); err != nil {
		t.Fatal(err)
	}
	return m
}

// step is one shell command in the guest, with a name to find its result by.
type step struct{ name, command string }

// boot starts the machine with files in /in, runs the steps and waits for its end.
func (m *machine) boot(t *testing.T, device string, in results, steps ...step) results {
	t.Helper()
	dir := t.TempDir()
	files := map[string]file{
		"init":        {initScript, 0o755},
		"bin/busybox": {read(t, busybox), 0o755},
		"bin/vtpmctl": {read(t, m.binary), 0o755},
	}
	for name, data := range in {
		files["in/"+name] = file{data, 0o600}
	}
	for i, s := range steps {
		files[fmt.Sprintf("steps/%02d-%s", i, s.name)] = file{[]byte(s.command + "\n"), 0o755}
	}
	initrd, vars := filepath.Join(dir, "initrd"), filepath.Join(dir, "vars")
	write(t, initrd, archive(t, files))
	write(t, vars, read(t, variables))

	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	socket := filepath.Join(dir, "tpm")
	tpm := exec.CommandContext(ctx, m.server, "socket", "--tpm2", "--tpmstate", "dir="+m.tpm,
		"--ctrl", "type=unixio,path="+socket, "--terminate")
	tpm.Stderr = os.Stderr
	if err := tpm.Start(); err != nil {
		t.Fatal(err)
	}
	awaitFile(t, socket)
	console, serial := filepath.Join(dir, "console"), filepath.Join(dir, "results")
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "512",
		"-nodefaults", "-display", "none", "-no-reboot",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+firmware,
		"-drive", "if=pflash,format=raw,unit=1,file="+vars,
		"-chardev", "socket,id=tpm,path="+socket, "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", device+",tpmdev=tpm0",
		"-serial", "file:"+console, "-serial", "file:"+serial,
		"-kernel", m.kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1")
	text, err := qemu.CombinedOutput()
	// The server saves its state and ends when QEMU has gone.
	if err := errors.Join(err, tpm.Wait()); err != nil {
		t.Fatalf("the guest did not run to its end: %v\n%s\nits console:\n%s", err, text, tail(read(t, console)))
	}
	r, err := unpack(read(t, serial))
	if err != nil {
		t.Fatalf("the guest's results do not parse: %v\nits console:\n%s", err, tail(read(t, console)))
	}
	return r
}

type file struct {
	data []byte
	mode int
}

// archive packs files as an initramfs: cpio in the format newc.
func archive(t *testing.T, files map[string]file) []byte {
	t.Helper()
	var cpio bytes.Buffer
	entry := func(name string, mode int, data []byte) {
		fmt.Fprintf(&cpio, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		cpio.Write(make([]byte, -cpio.Len()&3))
		cpio.Write(data)
		cpio.Write(make([]byte, -cpio.Len()&3))
	}
	const folder, regular = 0o040755, 0o100000
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if dir := filepath.Dir(name); dir != "." && !made[dir] {
			made[dir] = true
			entry(dir, folder, nil)
		}
		entry(name, regular|files[name].mode, files[name].data)
	}
	entry("TRAILER!!!", 0, nil)
	return cpio.Bytes()
}

// results are the files that the guest left in /out.
type results map[string][]byte

// unpack reads the tar file that init.sh sends behind its mark.
func unpack(serial []byte) (results, error) {
	_, data, ok := bytes.Cut(serial, []byte("RESULTS\n"))
	if !ok {
		return nil, errors.New("they are missing")
	}
	r := results{}
	for tr := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return r, nil
		} else if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if r[filepath.Clean(h.Name)], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
}

// file is one of /out.
func (r results) file(t *testing.T, name string) []byte {
	t.Helper()
	data, ok := r[name]
	if !ok {
		t.Fatalf("the guest left no %s, only %q", name, slices.Sorted(maps.Keys(r)))
	}
	return data
}

// stdout is what a step printed; the test fails unless its exit status was 0 and it complained of nothing.
func (r results) stdout(t *testing.T, step string) []byte {
	t.Helper()
	r.exits(t, step, "0")
	if complaint := r.file(t, step+".stderr"); len(complaint) > 0 {
		t.Errorf("%s wrote to stderr: %s", step, complaint)
	}
	return r.file(t, step+".stdout")
}

// exits fails the test unless the exit status of a step was status.
func (r results) exits(t *testing.T, step, status string) {
	t.Helper()
	if got := strings.TrimSpace(string(r.file(t, step+".exit"))); got != status {
		t.Fatalf("%s: exit status %s, want %s\n%s%s", step, got, status, r.file(t, step+".stdout"), r.file(t, step+".stderr"))
	}
}

// tail is the end of a console's text.
func tail(text []byte) []byte { return text[max(0, len(text)-4000):] }

func awaitFile(t *testing.T, path string) {
	t.Helper()
	for range 200 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal(path, " did not appear")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
