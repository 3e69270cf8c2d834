// Package term knows the terminal: whether the streams are one, how wide it is, whether colour is wanted, how to ask for
// a secret without echo and how to show progress. It touches the process's terminal and nothing else.
package term

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/term"
)

// Facts are what the command layer needs to know of the streams. The zero Facts is "no terminal anywhere".
type Facts struct {
	In, Out, Err bool // the stream is a terminal
	Width        int  // of the terminal on Out, in columns; 0 when unknown
	Colour       bool // the terminal on Out understands colour and the user did not refuse it
}

// Detect looks at the process's streams and at the environment (TERM, NO_COLOR, CLICOLOR_FORCE).
func Detect(in, out, err *os.File, getenv func(string) string) Facts {
	f := Facts{In: isTerminal(in), Out: isTerminal(out), Err: isTerminal(err)}
	if f.Out {
		if w, _, err := term.GetSize(int(out.Fd())); err == nil {
			f.Width = w
		}
	}
	f.Colour = f.Out && getenv("TERM") != "dumb" && (runtime.GOOS != "windows" || enableVT(out))
	if getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0" {
		f.Colour = true
	}
	if getenv("NO_COLOR") != "" {
		f.Colour = false
	}
	return f
}

func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// ErrNoTerminal is what ReadSecret returns where there is no terminal to ask at.
var ErrNoTerminal = errors.New("no terminal to ask at")

// ReadSecret shows prompt on the controlling terminal and reads one line without echo, whatever stdin and stdout are
// connected to, so that both may carry data. The line end is not part of the secret. When ctx ends first, echo is turned
// on again and ctx's error returned; the read itself cannot be cancelled and ends with the process.
func ReadSecret(ctx context.Context, prompt string) ([]byte, error) {
	in, out, err := openConsole()
	if err != nil {
		return nil, ErrNoTerminal
	}
	state, err := term.GetState(int(in.Fd()))
	if err != nil {
		return nil, ErrNoTerminal
	}
	if _, err := io.WriteString(out, prompt); err != nil {
		return nil, err
	}
	type answer struct {
		secret []byte
		err    error
	}
	typed := make(chan answer, 1)
	go func() {
		secret, err := term.ReadPassword(int(in.Fd()))
		typed <- answer{secret, err}
	}()
	select {
	case a := <-typed:
		_, _ = io.WriteString(out, "\n")
		in.Close()
		out.Close()
		return a.secret, a.err
	case <-ctx.Done():
		_ = term.Restore(int(in.Fd()), state)
		_, _ = io.WriteString(out, "\n")
		return nil, ctx.Err()
	}
}
