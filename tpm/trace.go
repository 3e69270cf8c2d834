package tpm

import (
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// summary is one exchange in words: the command, its handles, the code, the handle that came back. Nothing of an auth
// area and no parameter is ever part of it, so it is safe to print whatever the command carried.
func summary(cmd, rsp []byte) string {
	c := parseCommand(cmd)
	var b strings.Builder
	b.WriteString(CommandName(c.code))
	for _, h := range c.handles {
		fmt.Fprintf(&b, " 0x%08x", uint32(h))
	}
	if h, ok := c.paramHandle(); ok && c.code == tpm2.TPMCCFlushContext {
		fmt.Fprintf(&b, " 0x%08x", uint32(h))
	}
	if len(rsp) < headerSize {
		return b.String() + ": no answer"
	}
	fmt.Fprintf(&b, ": %s", responseCode(rsp))
	if h, ok := c.responseHandle(rsp); ok {
		fmt.Fprintf(&b, " -> 0x%08x", uint32(h))
	}
	return b.String()
}
