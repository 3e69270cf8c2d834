package eventlog

import (
	"strconv"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// COS is a measurement of the launcher in Google's Confidential Space: what container is run, and how.
type COS struct {
	What string `json:"what"`
	Text string `json:"text"`
}

// Kind of a launcher's measurements.
func (*COS) Kind() string { return "cos" }

func (c *COS) String() string { return c.What + ": " + c.Text }

// cosTypes are the launcher's event types, by number.
var cosTypes = []string{"image reference", "image digest", "restart policy", "image ID", "argument", "environment variable",
	"overridden argument", "overridden environment variable", "start of the container"}

// decodeCOS reads the one type, length and value inside a record of the launcher; nil where e is something else.
func decodeCOS(e *Event) *COS {
	if e.Content != ContentOther || e.Type != celCOS {
		return nil
	}
	r := wire.BE(e.Data)
	kind, value := tlv(r)
	if r.Err() != nil || r.Len() > 0 {
		return nil
	}
	c := &COS{What: "event " + strconv.Itoa(int(kind))}
	if int(kind) < len(cosTypes) {
		c.What = cosTypes[kind]
	}
	if text, ok := printable(value); ok {
		c.Text = text
	} else {
		c.Text = Hex(value[:min(len(value), maxOpaque)]).String()
	}
	return c
}
