package tpm

import (
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// tracker knows the transient objects and sessions that were made through a connection and still exist.
type tracker struct {
	open []tpm2.TPMHandle // in the order they were made
}

// saw takes note of one exchange. rsp has passed checkResponse.
func (t *tracker) saw(cmd, rsp []byte) {
	if responseCode(rsp) != tpm2.TPMRCSuccess {
		return
	}
	c := parseCommand(cmd)
	if h, ok := c.responseHandle(rsp); ok && !slices.Contains(t.open, h) {
		t.open = append(t.open, h)
	}
	for _, s := range c.sessions { // a session that was not continued ended with the command (part 1, section 17.3)
		if !s.goesOn {
			t.gone(s.handle)
		}
	}
	switch c.code {
	case tpm2.TPMCCFlushContext:
		if h, ok := c.paramHandle(); ok {
			t.gone(h)
		}
	case tpm2.TPMCCSequenceComplete, tpm2.TPMCCEventSequenceComplete: // the sequence is the last handle
		if n := len(c.handles); n > 0 {
			t.gone(c.handles[n-1])
		}
	}
}

func (t *tracker) gone(h tpm2.TPMHandle) {
	t.open = slices.DeleteFunc(t.open, func(o tpm2.TPMHandle) bool { return o == h })
}
