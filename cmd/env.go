package cmd

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/vtpmctl/vtpmctl/internal/host"
	"github.com/vtpmctl/vtpmctl/internal/term"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// Env is the outside world as verbs see it. This file is the only one that touches the process: its streams,
// environment, clock and randomness. Tests make their own Env.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Term     term.Facts
	Getenv   func(string) string
	Now      func() time.Time
	Rand     io.Reader
	User     func() string // who runs the command, for what is recorded
	Host     host.Host
	PID      int
	// Frugal keeps the memory of the process close to what it has in use, at the price of some time.
	Frugal func()
	// OpenFD is an inherited file descriptor, to write to.
	OpenFD func(fd int) (io.WriteCloser, error)
	// OpenTPM opens the TPM that a target names (tpm.Open).
	OpenTPM func(ctx context.Context, target string, o tpm.Options) (tpm.Conn, error)
	// BootLog is the event log of the running Windows (tpm.MeasuredBootLog).
	BootLog func() ([]byte, error)
	// AskSecret asks on the terminal, without echo (term.ReadSecret).
	AskSecret func(ctx context.Context, prompt string) ([]byte, error)
}

// System is the real world.
func System() *Env {
	root := "/"
	if runtime.GOOS == "windows" {
		root = os.Getenv("SystemDrive") + `\`
	}
	return &Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Term:      term.Detect(os.Stdin, os.Stdout, os.Stderr, os.Getenv),
		Getenv:    os.Getenv,
		Now:       time.Now,
		Rand:      rand.Reader,
		User:      userName,
		Host:      host.Local(root),
		PID:       os.Getpid(),
		Frugal:    func() { debug.SetGCPercent(25) }, // not 100: what is in use is the log and little else
		OpenFD:    openFD,
		OpenTPM:   tpm.Open,
		BootLog:   func() ([]byte, error) { return tpm.MeasuredBootLog(tpm.CurrentBoot) },
		AskSecret: term.ReadSecret,
	}
}

// userName is the account, and who became it with sudo.
func userName() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if person := os.Getenv(envSudoUser); person != "" && person != name {
		return person + " as " + name
	}
	return name
}

func openFD(fd int) (io.WriteCloser, error) {
	f := os.NewFile(uintptr(fd), "inherited descriptor")
	if f == nil {
		return nil, os.ErrInvalid
	}
	return f, nil
}
