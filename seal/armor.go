package seal

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// The envelope is text too, so that a sealed file of any size survives an editor, a cloud-init document and a mail:
// base64 in lines of 64 between marks, as in PEM.
const (
	armorBegin = "-----BEGIN VTPMCTL ENVELOPE-----"
	armorEnd   = "-----END VTPMCTL ENVELOPE-----"
	armorLine  = 64
)

// armorWriter writes base64 in lines. Close writes the rest and the end mark.
type armorWriter struct {
	w       *bufio.Writer
	encoder io.WriteCloser
	column  int
}

func newArmorWriter(w io.Writer) *armorWriter {
	a := &armorWriter{w: bufio.NewWriter(w)}
	a.encoder = base64.NewEncoder(base64.StdEncoding, lineWriter{a})
	fmt.Fprintln(a.w, armorBegin) // an error stays in the bufio.Writer until Close
	return a
}

func (a *armorWriter) Write(p []byte) (int, error) { return a.encoder.Write(p) }

func (a *armorWriter) Close() error {
	if err := a.encoder.Close(); err != nil {
		return err
	}
	if a.column > 0 {
		fmt.Fprintln(a.w)
	}
	fmt.Fprintln(a.w, armorEnd)
	return a.w.Flush()
}

// lineWriter breaks lines.
type lineWriter struct{ a *armorWriter }

func (l lineWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(armorLine-l.a.column, len(p))
		if _, err := l.a.w.Write(p[:n]); err != nil {
			return written, err
		}
		written, p = written+n, p[n:]
		if l.a.column += n; l.a.column == armorLine {
			if err := l.a.w.WriteByte('\n'); err != nil {
				return written, err
			}
			l.a.column = 0
		}
	}
	return written, nil
}

// armorReader reads what armorWriter wrote, up to the end mark, which must be there and be the last of the file.
type armorReader struct {
	r       *bufio.Reader
	line    []byte // what of the current line was not handed out yet
	begun   bool
	ended   bool
	decoder io.Reader
}

func newArmorReader(r *bufio.Reader) io.Reader {
	a := &armorReader{r: r}
	a.decoder = base64.NewDecoder(base64.StdEncoding, armorLines{a})
	return a
}

func (a *armorReader) Read(p []byte) (int, error) {
	n, err := a.decoder.Read(p)
	if _, bad := err.(base64.CorruptInputError); bad { //nolint:errorlint // the decoder returns it bare
		err = errEnvelope
	}
	return n, err
}

// armorLines hands out the text between the marks.
type armorLines struct{ a *armorReader }

func (l armorLines) Read(p []byte) (int, error) {
	a := l.a
	for len(a.line) == 0 {
		if a.ended {
			return 0, io.EOF
		}
		if err := a.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, a.line)
	a.line = a.line[n:]
	return n, nil
}

// next reads a line. Lines are bounded by the buffer of the bufio.Reader.
func (a *armorReader) next() error {
	line, err := a.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return fmt.Errorf("%w: a line is too long", errEnvelope)
	case err != nil && err != io.EOF:
		return err // of the disk, which says nothing of the content
	}
	line = bytes.TrimRight(line, " \t\r\n")
	switch {
	case !a.begun:
		if len(line) == 0 && err == nil {
			return nil
		}
		if string(line) != armorBegin {
			return fmt.Errorf("%w: %q is missing", errEnvelope, armorBegin)
		}
		a.begun = true
	case string(line) == armorEnd:
		a.ended = true
		return a.onlySpace()
	case err == io.EOF:
		return fmt.Errorf("%w: %q is missing", errEnvelope, armorEnd)
	default:
		a.line = line
	}
	return nil
}

// onlySpace refuses anything after the end mark.
func (a *armorReader) onlySpace() error {
	for {
		b, err := a.r.ReadByte()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case b != '\n' && b != '\r' && b != ' ' && b != '\t':
			return fmt.Errorf("%w: something follows the end mark", errEnvelope)
		}
	}
}
