package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/vtpmctl/vtpmctl/bench/rival"
)

// answers runs the engine's differential test with the reference as the third TPM.
func answers(ctx context.Context, tpm *reference, args []string) error {
	root, err := rival.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "reference")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "tpm"))
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- tpm.serve(l) }()
	test := exec.CommandContext(ctx, "go", "test", "-tags", "interop", "-count", "1", "-v", "-run", "AnswersEqualSwtpms", "./engine", "-args", "-third", l.Addr().String())
	test.Args = append(test.Args, args...)
	test.Dir, test.Stdout, test.Stderr = root, os.Stdout, os.Stderr
	err = test.Run()
	return errors.Join(err, l.Close(), <-served)
}

// serve gives each connection a new TPM, one after the other, until the listener is closed.
func (r *reference) serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.s.ManufactureReset(); err != nil {
			return err
		}
		err = r.converse(c)
		c.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// converse answers commands, each as long as its header says but for those whose header lies, which come in one piece.
func (r *reference) converse(c net.Conn) error {
	for {
		cmd := make([]byte, 4096)
		n, err := c.Read(cmd)
		if err != nil {
			return err
		}
		rsp, err := r.Send(cmd[:n])
		if err != nil {
			rsp = binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 0, 0, 10}, 0x101)
		}
		if _, err := c.Write(rsp); err != nil {
			return err
		}
	}
}
