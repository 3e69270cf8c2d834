// Package rival puts the TPM engine beside other software TPMs: the same commands, in turns.
//
// The engine runs twice. On a socket it is the program vtpmctl under swtpm's name and with swtpm's arguments, so that it
// is compared with swtpm like with like: one process each, a unix socket, state in files. In process it is the Go
// package with its state in memory, as the reference simulator is.
package rival

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/interop"
)

// Contestant is a TPM in the race.
type Contestant struct {
	TPM   transport.TPM
	CPU   func() time.Duration // that the TPM has used so far
	Close func() error
}

// program is a TPM that is started as swtpm is.
type program struct{ path, state string }

// start runs the program until it answers.
func (p program) start(ctx context.Context) (*Contestant, error) {
	socket := filepath.Join(p.state, "socket")
	c := exec.CommandContext(ctx, p.path, "socket", "--tpm2", "--tpmstate", "dir="+p.state,
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init,startup-clear")
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	end := func() error {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait() // swtpm calls this a failure
		return errors.Join(remove(socket), remove(socket+".ctrl"))
	}
	for began := time.Now(); ; time.Sleep(100 * time.Microsecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			waiting, err := blocking(conn.(*net.UnixConn))
			if err != nil {
				return nil, errors.Join(err, end())
			}
			tpm := interop.Raw{ReadWriter: waiting}
			if _, err = tpm.Send(getRandom(1)); err != nil {
				return nil, errors.Join(err, end())
			}
			pid := c.Process.Pid
			return &Contestant{TPM: tpm, CPU: func() time.Duration { return cpuTime(pid) }, Close: func() error {
				return errors.Join(waiting.Close(), end())
			}}, nil
		}
		if time.Since(began) > 10*time.Second {
			return nil, errors.Join(fmt.Errorf("%s does not start: %w", p.path, err), end())
		}
	}
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// InProcess is a contestant that runs in this process. Its CPU time is that of the process: only one of them runs.
func InProcess(tpm transport.TPM, end func() error) *Contestant {
	return &Contestant{TPM: tpm, CPU: func() time.Duration { return cpuTime(os.Getpid()) }, Close: end}
}

// ground is where the race is held: a folder, and the two programs.
type ground struct {
	dir          string
	ours, theirs string
}

// newGround is in memory where it can be: swtpm leaves it to the kernel when its state reaches the disk, the engine does
// not, and it is not the disk that is to be compared.
func newGround(ctx context.Context) (*ground, error) {
	dir, err := os.MkdirTemp("/dev/shm", "vtpmctl-bench")
	if err != nil {
		dir, err = os.MkdirTemp("", "vtpmctl-bench")
	}
	if err != nil {
		return nil, err
	}
	g := &ground{dir: dir, ours: filepath.Join(dir, "swtpm")}
	binary, err := Build(ctx, dir)
	if err == nil {
		err = os.Symlink(binary, g.ours)
	}
	if err == nil {
		g.theirs, err = exec.LookPath("swtpm")
	}
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *ground) close() error { return os.RemoveAll(g.dir) }

func (g *ground) newState() (string, error) { return os.MkdirTemp(g.dir, "state") }

// line starts swtpm, the engine on a socket and the engine in process. All three have the same seeds, and so the same
// primary keys to find.
func (g *ground) line(ctx context.Context) (all []*Contestant, err error) {
	defer func() {
		if err != nil {
			for _, c := range all {
				err = errors.Join(err, c.Close())
			}
		}
	}()
	theirState, err := g.newState()
	if err != nil {
		return nil, err
	}
	swtpm, err := program{g.theirs, theirState}.start(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, swtpm)
	permanent, err := os.ReadFile(filepath.Join(theirState, "tpm2-00.permall"))
	if err != nil {
		return all, err
	}
	seeds, ok := interop.Seeds(permanent)
	if !ok {
		return all, errors.New("no seeds in the state of this swtpm")
	}
	ourState, err := g.newState()
	if err != nil {
		return all, err
	}
	store, err := engine.OpenFileStore(ctx, ourState, engine.FileOptions{})
	if err != nil {
		return all, err
	}
	made, err := engine.New(engine.Config{Store: store, Rand: seeded(seeds)})
	if err != nil {
		return all, err
	}
	if err = made.Close(); err != nil {
		return all, err
	}
	served, err := program{g.ours, ourState}.start(ctx)
	if err != nil {
		return all, err
	}
	all = append(all, served)
	here, err := engine.New(engine.Config{Rand: seeded(seeds)})
	if err != nil {
		return all, err
	}
	return append(all, InProcess(here, here.Close)), nil
}

// seeded is the randomness that makes a new engine take these seeds for endorsement, platform and owner: it draws a seed
// and a proof for each, in this order.
func seeded(seeds [3][]byte) io.Reader {
	endorsement, owner, platform := seeds[0], seeds[1], seeds[2]
	proof := make([]byte, 64)
	rand.Read(proof)
	return io.MultiReader(bytes.NewReader(slices.Concat(endorsement, proof, platform, proof, owner, proof)), rand.Reader)
}
