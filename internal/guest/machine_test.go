//go:build guest

package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// bootLimit is far above the 15 seconds that a boot takes without hardware virtualization on a quiet machine.
const bootLimit = 5 * time.Minute

// vtpmctl is its file, built once for all guests.
var vtpmctl string

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "vtpmctl")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	vtpmctl = filepath.Join(dir, "vtpmctl")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", vtpmctl, "github.com/vtpmctl/vtpmctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("%w\n%s", err, text)
	}
	return m.Run(), nil
}

// kernel is the file of the kernel that is booted unless a boot names another.
func kernel(t *testing.T) string { return fromEnvironment(t, "VTPMCTL_GUEST_KERNEL") }

// otherKernel is another version of it, signed by the same key.
func otherKernel(t *testing.T) string { return fromEnvironment(t, "VTPMCTL_GUEST_OTHER_KERNEL") }

func fromEnvironment(t *testing.T, name string) string {
	t.Helper()
	file := os.Getenv(name)
	if file == "" {
		t.Fatalf("%s names no kernel: run .ci/guest", name)
	}
	return file
}

// platform is the firmware of a machine and the variables it starts with.
type platform struct {
	code, variables string // OVMF's flash; SeaBIOS where there is none
	secure          bool   // only System Management Mode writes variables, as Secure Boot demands
}

var (
	seabios      = platform{}
	ovmf         = platform{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", false}
	ovmfMS       = platform{"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", true}
	ovmfSnakeoil = platform{"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd", true}
)

// options are QEMU's. Each boot starts with the variables as the distribution ships them, and those that its media need.
func (p *platform) options(t *testing.T, dir string, add []variable) []string {
	t.Helper()
	if p.code == "" {
		return []string{"-machine", "q35"}
	}
	vars := filepath.Join(dir, "vars")
	write(t, vars, withVariables(t, read(t, p.variables), add))
	options := []string{"-machine", "q35",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + p.code,
		"-drive", "if=pflash,format=raw,unit=1,file=" + vars}
	if p.secure {
		options[1] = "q35,smm=on"
		options = append(options, "-global", "driver=cfi.pflash01,property=secure,value=on")
	}
	return options
}

// machine is a virtual machine that can be booted again and again; its TPM keeps its state in between.
type machine struct {
	tpm    string // folder with the state of its TPM
	server string // program that serves the TPM, under swtpm's command line
	family string // its option for the kind of TPM; none for TPM 1.2
}

// newMachine makes a machine whose TPM has the given PCR banks; all that swtpm has if none is named.
func newMachine(t *testing.T, banks ...string) *machine {
	t.Helper()
	m := &machine{tpm: t.TempDir(), server: "swtpm", family: "--tpm2"}
	for _, tool := range []string{"qemu-system-x86_64", "swtpm"} {
		interop.Need(t, tool)
	}
	if len(banks) > 0 {
		interop.Run(t, "swtpm_setup", "--tpm2", "--tpmstate", m.tpm, "--pcr-banks", strings.Join(banks, ","))
	}
	return m
}

// newOldMachine makes a machine with a TPM 1.2, whose one bank needs no set-up.
func newOldMachine(t *testing.T, _ ...string) *machine {
	t.Helper()
	m := newMachine(t)
	m.family = ""
	return m
}

// newMachineOnEngine makes a machine whose TPM is vtpmctl's own: the program takes swtpm's command line under its name.
func newMachineOnEngine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.server = filepath.Join(t.TempDir(), "swtpm")
	if err := os.Symlink(vtpmctl, m.server); err != nil {
		t.Fatal(err)
	}
	return m
}

// step is one shell command in the guest, with a name to find its result by.
type step struct{ name, command string }

// boot is how a machine is started. What is left out is the default.
type boot struct {
	on      *platform       // ovmf
	by      loader          // direct
	device  string          // tpm-tis
	kernel  string          // kernel(t)
	cmdline string          // usualCmdline
	files   map[string]file // more of the initramfs
	in      results         // files in /in
	steps   []step          //
}

// boot starts the machine and waits for its end.
func (m *machine) boot(t *testing.T, b boot) results {
	t.Helper()
	return m.start(t, b.prepare(t)).wait(t)
}

// guest is a machine that runs.
type guest struct {
	dir       string // holds the sockets and what came over the serial ports
	qemu, tpm *exec.Cmd
	text      *strings.Builder
	began     time.Time
}

// start starts a prepared machine; more are further options of QEMU.
func (m *machine) start(t *testing.T, p *prepared, more ...string) *guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	t.Cleanup(cancel)
	g := &guest{dir: t.TempDir(), text: &strings.Builder{}, began: time.Now()}
	socket := filepath.Join(g.dir, "tpm")
	server := []string{"socket", "--tpmstate", "dir=" + m.tpm, "--ctrl", "type=unixio,path=" + socket, "--terminate"}
	if m.family != "" {
		server = append(server, m.family)
	}
	g.tpm = exec.CommandContext(ctx, m.server, server...)
	g.tpm.Stderr = os.Stderr
	if err := g.tpm.Start(); err != nil {
		t.Fatal(err)
	}
	awaitFile(t, socket)
	options := append(p.options, "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "512",
		"-nodefaults", "-display", "none", "-no-reboot",
		"-chardev", "socket,id=tpm,path="+socket, "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", p.device+",tpmdev=tpm0",
		"-serial", "file:"+g.console(), "-serial", "file:"+filepath.Join(g.dir, "results"))
	g.qemu = exec.CommandContext(ctx, "qemu-system-x86_64", append(options, more...)...)
	g.qemu.Stdout, g.qemu.Stderr = g.text, g.text
	if err := g.qemu.Start(); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *guest) console() string { return filepath.Join(g.dir, "console") }

// wait waits for the guest's end and takes its results.
func (g *guest) wait(t *testing.T) results {
	t.Helper()
	all := g.waitAll(t)
	return all[len(all)-1]
}

// waitAll is wait for a guest that sends results more than once.
func (g *guest) waitAll(t *testing.T) []results {
	t.Helper()
	g.end(t)
	all, err := unpackAll(read(t, filepath.Join(g.dir, "results")))
	if err != nil {
		t.Fatalf("the guest's results do not parse: %v\nits console:\n%s", err, tail(read(t, g.console())))
	}
	for _, r := range all {
		r.keep(t)
	}
	return all
}

// end waits for the machine's end. The server saves its state and ends when QEMU has gone.
func (g *guest) end(t *testing.T) {
	t.Helper()
	if err := errors.Join(g.qemu.Wait(), g.tpm.Wait()); err != nil {
		t.Fatalf("the machine did not run to its end: %v\n%s\nits console:\n%s", err, g.text, tail(read(t, g.console())))
	}
	work := g.qemu.ProcessState
	t.Logf("a boot: %.0f s, %.0f s of work", time.Since(g.began).Seconds(), (work.UserTime() + work.SystemTime()).Seconds())
}

// tail is the end of a console's text.
func tail(text []byte) []byte { return text[max(0, len(text)-4000):] }

func awaitFile(t *testing.T, path string) {
	t.Helper()
	for range 500 {
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
