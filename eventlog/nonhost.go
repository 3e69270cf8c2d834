package eventlog

import (
	"bytes"
	"fmt"
)

// Confidential says which technology keeps the host out of a guest on Google's cloud, in the firmware's words.
type Confidential struct {
	Provider   string `json:"provider"`
	Technology string `json:"technology"`
}

// Kind of statements about confidential computing.
func (*Confidential) Kind() string { return "confidential_computing" }

func (c *Confidential) String() string {
	return c.Provider + " confidential computing: " + c.Technology
}

var gceNonhostInfo = []byte("GCE NonHostInfo\x00")

// decodeNonhost knows what Google's guests see, and what Intel's management engine says of itself.
func decodeNonhost(e *Event) (Decoded, error) {
	if bytes.HasPrefix(e.Data, []byte("IntelCS")) && len(e.Data) >= 24 {
		return decodeEngine(e.Data)
	}
	rest, ok := bytes.CutPrefix(e.Data, gceNonhostInfo)
	if !ok || len(rest) == 0 {
		return decodeText(e)
	}
	names := []string{"none", "AMD SEV", "AMD SEV-ES", "Intel TDX", "AMD SEV-SNP"}
	c := &Confidential{Provider: "Google", Technology: fmt.Sprintf("unknown (%d)", rest[0])}
	if int(rest[0]) < len(names) {
		c.Technology = names[rest[0]]
	}
	return c, nil
}
