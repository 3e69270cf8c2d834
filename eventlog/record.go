package eventlog

import "fmt"

// Record is everything known about one event, in the form that is printed.
type Record struct {
	Number   int         `json:"number"`
	Offset   int         `json:"offset"`
	PCR      *uint32     `json:"pcr"` // null where the register is no PCR
	Register string      `json:"register,omitempty"`
	Type     EventType   `json:"type"`
	TypeID   string      `json:"type_id"`
	Digests  map[Alg]Hex `json:"digests"`
	Data     []byte      `json:"data"`
	Kind     string      `json:"kind"`
	Summary  string      `json:"summary"`
	Decoded  Decoded     `json:"decoded"`
	Check    Check       `json:"check"`
	Note     string      `json:"note,omitempty"` // what did not decode
}

// Look decodes and checks the event in one.
func (e *Event) Look() (d Decoded, c Check, err error) {
	d, err = e.Decode()
	return d, e.check(d), err
}

// Record decodes and checks the event. A bank that an event lists twice appears once; the first digest counts, as in a
// replay.
func (e *Event) Record() Record {
	decoded, check, err := e.Look()
	r := Record{
		Number: e.Number, Offset: e.Offset, Type: e.Type, TypeID: fmt.Sprintf("0x%08x", uint32(e.Type)),
		Digests: make(map[Alg]Hex, e.Digests.Len()), Data: e.Data,
		Kind: decoded.Kind(), Summary: decoded.String(), Decoded: decoded, Check: check,
	}
	if e.pcr() >= 0 {
		r.PCR = &e.PCR
	} else {
		r.Register = fmt.Sprintf("0x%x", e.PCR)
	}
	for d := range e.Digests.All() {
		if _, twice := r.Digests[d.Alg]; !twice {
			r.Digests[d.Alg] = d.Value
		}
	}
	if err != nil {
		r.Note = err.Error()
	}
	return r
}
