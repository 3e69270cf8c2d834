package tpm

import (
	"fmt"
	"io"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// trace writes one line for each exchange. See summary for what a line may hold.
func trace(w io.Writer) layer {
	return func(next Sender) Sender {
		return senderFunc(func(cmd []byte) ([]byte, error) {
			rsp, err := next.Send(cmd)
			fmt.Fprintln(w, "tpm:", summary(cmd, rsp)) // a trace that cannot be written stops nothing
			return rsp, err
		})
	}
}

// summary is one exchange in words: the command, its handles, the code, the handle that came back. It is made of what
// is known to be public and of nothing else: no parameter, no auth area, no response parameter is part of it, so it may
// be printed whatever the command carried.
func summary(cmd, rsp []byte) string {
	c := parseCommand(cmd)
	var b strings.Builder
	b.WriteString(CommandName(c.code))
	for _, h := range c.handles {
		fmt.Fprintf(&b, " 0x%08x", uint32(h))
	}
	if h, ok := c.paramHandle(); ok {
		fmt.Fprintf(&b, " 0x%08x", uint32(h))
	}
	if len(rsp) < headerSize {
		return b.String() + ": no answer"
	}
	if rc := responseCode(rsp); rc != tpm2.TPMRCSuccess {
		return fmt.Sprintf("%s: %s", &b, Explain(c.code, rc).Words())
	}
	b.WriteString(": ok")
	if h, ok := c.responseHandle(rsp); ok {
		fmt.Fprintf(&b, ", 0x%08x", uint32(h))
	}
	return b.String()
}
