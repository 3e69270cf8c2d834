package tpm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// A transcript is text: a first line that names the format, then a block for each command, in order.
//
//	vtpmctl tpm transcript 1
//
//	# TPM2_GetRandom: TPM_RC_SUCCESS
//	> 80010000000c0000017b0004
//	< 80010000001000000000000411223344
//
// Hex may be broken over several lines, each with its mark. A line that starts with # and an empty line say nothing.
const transcriptMagic = "vtpmctl tpm transcript 1"

// transcriptBlock is one command and its response.
type transcriptBlock struct{ Command, Response []byte }

const (
	transcriptColumns = 64 // hex digits in a line
	transcriptLimit   = 64 << 20
)

// readTranscript reads a transcript.
func readTranscript(r io.Reader) ([]transcriptBlock, error) {
	lines := bufio.NewScanner(io.LimitReader(r, transcriptLimit))
	if !lines.Scan() || strings.TrimSpace(lines.Text()) != transcriptMagic {
		return nil, fail.E(fail.BadInput, "line 1: not a transcript: its first line is not %q", transcriptMagic)
	}
	var all []transcriptBlock
	for n := 2; lines.Scan(); n++ {
		mark, digits, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if mark == "" || mark[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil || len(b) == 0 || (mark != ">" && mark != "<") {
			return nil, fail.E(fail.BadInput, "line %d: neither \"> HEX\" nor \"< HEX\"", n)
		}
		last := len(all) - 1
		switch {
		case mark == "<" && last < 0:
			return nil, fail.E(fail.BadInput, "line %d: a response before the first command", n)
		case mark == "<":
			all[last].Response = append(all[last].Response, b...)
		case last < 0 || all[last].Response != nil:
			all = append(all, transcriptBlock{Command: b})
		default:
			all[last].Command = append(all[last].Command, b...)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fail.E(fail.BadInput, "reading the transcript: %w", err)
	}
	if last := len(all) - 1; last >= 0 && all[last].Response == nil {
		return nil, fail.E(fail.BadInput, "the transcript ends after command %d without its response", last+1)
	}
	return all, nil
}

// writeTranscript writes exchanges as readTranscript reads them.
func writeTranscript(w io.Writer, all []transcriptBlock) error {
	out := bytes.NewBufferString(transcriptMagic + "\n")
	for _, x := range all {
		writeExchange(out, x)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func writeExchange(out *bytes.Buffer, x transcriptBlock) {
	fmt.Fprintf(out, "\n# %s\n", summary(x.Command, x.Response))
	for _, half := range []struct {
		mark string
		data []byte
	}{{">", x.Command}, {"<", x.Response}} {
		digits := hex.EncodeToString(half.data)
		for len(digits) > 0 {
			n := min(len(digits), transcriptColumns)
			fmt.Fprintf(out, "%s %s\n", half.mark, digits[:n])
			digits = digits[n:]
		}
	}
}

// recorder is a link that writes what crosses another one.
type recorder struct {
	link
	w       io.Writer
	started bool
	command []byte
}

func (r *recorder) exchange(ctx context.Context, command []byte) ([]byte, error) {
	r.command = command
	rsp, err := r.link.exchange(ctx, command)
	return r.write(rsp, err)
}

func (r *recorder) resume(ctx context.Context) ([]byte, error) { return r.write(r.link.resume(ctx)) }

func (r *recorder) write(rsp []byte, err error) ([]byte, error) {
	if err != nil {
		return rsp, err
	}
	var out bytes.Buffer
	if !r.started {
		r.started = true
		out.WriteString(transcriptMagic + "\n")
	}
	writeExchange(&out, transcriptBlock{r.command, rsp})
	if _, err := r.w.Write(out.Bytes()); err != nil {
		return nil, fmt.Errorf("writing the transcript: %w", err)
	}
	return rsp, nil
}

// replay answers from a transcript: each command must be the next one recorded, byte for byte.
type replay struct {
	path string
	left []transcriptBlock
	done int
}

func openReplay(path string) (link, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := readTranscript(f)
	if err != nil {
		return nil, fail.E(fail.BadInput, "%s: %w", path, err)
	}
	return &replay{path: path, left: all}, nil
}

func (r *replay) exchange(_ context.Context, command []byte) ([]byte, error) {
	if len(r.left) == 0 {
		return nil, fail.E(fail.BadInput, "%s: %s was sent after the end of the transcript (%d commands)",
			r.path, CommandName(parseCommand(command).code), r.done)
	}
	next := r.left[0]
	if !bytes.Equal(command, next.Command) {
		return nil, fail.E(fail.BadInput, "%s: command %d is %s here and %s in the transcript, or has other contents",
			r.path, r.done+1, CommandName(parseCommand(command).code), CommandName(parseCommand(next.Command).code)).
			Hint("a transcript answers the very same commands only; record it again")
	}
	r.left, r.done = r.left[1:], r.done+1
	return next.Response, nil
}

func (r *replay) resume(context.Context) ([]byte, error) { return nil, errNothingOwed }

func (r *replay) close() error { return nil }
