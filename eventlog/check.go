package eventlog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Binding says how far an event's digest vouches for its data. The type is never bound, nor is the register.
type Binding string

// The bindings.
const (
	Bound     Binding = "bound"     // the digest is that of bytes in the data: the data is as true as the PCR
	Label     Binding = "label"     // the digest is that of something outside the log; the data only names it
	Broken    Binding = "broken"    // the digest should be that of the data, and is not
	Unbound   Binding = "unbound"   // the event extends nothing: anybody could have written it
	Unchecked Binding = "unchecked" // no digest of an algorithm known here
)

// Check is the verdict about one event's data.
type Check struct {
	Binding Binding `json:"binding"`
	Rule    string  `json:"rule,omitempty"`  // which bytes the digest covers
	Quirk   string  `json:"quirk,omitempty"` // a known deviation, such as "Q9": see docs/eventlog.md
	Note    string  `json:"note,omitempty"`
}

// rule is one way to get from an event to the bytes its digest covers.
type rule struct {
	name  string
	quirk string
	label bool                             // the bytes are known, and not what the data says: it only names them
	bytes func(e *Event, d Decoded) []byte // nil where the rule does not apply
}

var (
	wholeData = rule{name: "whole data", bytes: func(e *Event, _ Decoded) []byte { return e.Data }}

	variableData = rule{name: "variable content only", bytes: func(_ *Event, d Decoded) []byte {
		if v, ok := d.(*Variable); ok {
			return append([]byte{}, v.content...)
		}
		return nil
	}}

	// Old shims logged a byte more than they measured (shim #184).
	allButLast = rule{name: "data without its last byte", quirk: "Q7", bytes: func(e *Event, _ Decoded) []byte {
		if len(e.Data) == 0 {
			return nil
		}
		return e.Data[:len(e.Data)-1]
	}}

	// systemd before 251 logged a byte less than it measured.
	oneZeroMore = rule{name: "data and one zero byte", bytes: func(e *Event, _ Decoded) []byte {
		return append(bytes.Clone(e.Data), 0)
	}}

	withoutNUL = rule{name: "text without its NUL", bytes: func(e *Event, _ Decoded) []byte {
		return bytes.TrimSuffix(e.Data, []byte{0})
	}}

	// GRUB measures the command, not the word in front of it; older builds include the NUL.
	afterPrefix = rule{name: "text after the prefix", bytes: func(e *Event, _ Decoded) []byte {
		_, text := grubText(e.Data)
		return bytes.TrimSuffix(text, []byte{0})
	}}
	afterPrefixNUL = rule{name: "text after the prefix, with its NUL", bytes: func(e *Event, _ Decoded) []byte {
		_, text := grubText(e.Data)
		return text
	}}

	sectionName = rule{name: "section name", bytes: func(_ *Event, d Decoded) []byte {
		if l, ok := d.(*Loader); ok && l.What == "section" {
			return append([]byte(l.Text), 0)
		}
		return nil
	}}

	theByteOne = rule{name: "the byte 01", label: true, bytes: func(_ *Event, d Decoded) []byte {
		if l, ok := d.(*Loader); ok && l.Producer == "shim" {
			return []byte{1}
		}
		return nil
	}}

	// The text of a separator after an error is free; what is measured is the number 1 (PFP, "EV_SEPARATOR").
	theNumberOne = rule{name: "the number 1, for an error", label: true, bytes: func(_ *Event, d Decoded) []byte {
		if s, ok := d.(Separator); ok && s.Error {
			return []byte{1, 0, 0, 0}
		}
		return nil
	}}
)

// coverage is what an event type's digest may cover, and whether it must.
type coverage struct {
	rules []rule
	must  func(e *Event, d Decoded) bool // nil: the digest may be of something outside the log
	quirk string                         // where nothing fits and nothing must
}

func always(*Event, Decoded) bool { return true }

// coverages has the types whose rule is more than "the whole data, or a label" (PFP, "Event Types", and what firmware
// does; docs/eventlog.md tells how often each occurs).
var coverages = map[EventType]coverage{
	EVSeparator:               {rules: []rule{wholeData, theNumberOne}, must: always},
	EVEFIAction:               {rules: []rule{wholeData, withoutNUL}, must: isNoFileAction},
	EVOmitBootDeviceEvents:    {rules: []rule{wholeData}, must: always},
	EVEFIVariableDriverConfig: {rules: []rule{wholeData, variableData}, must: always},
	EVEFIVariableBoot:         {rules: []rule{variableData, wholeData}, must: always},
	EVEFIVariableBoot2:        {rules: []rule{wholeData, variableData}, must: always},
	EVEFIVariableAuthority:    {rules: []rule{wholeData, allButLast}, must: always},
	EVEFISPDMDevicePolicy:     {rules: []rule{wholeData}, must: always},
	EVEFISPDMDeviceAuthority:  {rules: []rule{wholeData}, must: always},
	EVEFIGPTEvent:             {rules: []rule{wholeData}, must: always},
	EVSCRTMVersion:            {rules: []rule{wholeData}, quirk: "Q9"},
	EVEventTag:                {rules: []rule{wholeData}, must: isWindows},
	EVIPL: {rules: []rule{afterPrefix, afterPrefixNUL, sectionName, wholeData, oneZeroMore, withoutNUL, theByteOne},
		must: isCommand},
}

// isNoFileAction leaves out EVE's actions, which name a measured file.
func isNoFileAction(e *Event, _ Decoded) bool { return !bytes.HasPrefix(e.Data, []byte("file:")) }

func isWindows(_ *Event, d Decoded) bool { _, ok := d.(*Windows); return ok }

// isCommand tells the loader events that carry all that was measured.
func isCommand(_ *Event, d Decoded) bool {
	l, ok := d.(*Loader)
	return ok && (strings.HasSuffix(l.What, "cmdline") || l.What == "command")
}

// Check compares the event's digests with its data, by the rules of its type.
func (e *Event) Check() Check {
	d, _ := e.Decode()
	return e.check(d)
}

// check is Check for an event that has been decoded.
func (e *Event) check(d Decoded) Check {
	if !e.Extends() {
		return Check{Binding: Unbound}
	}
	if c, ok := e.checkContent(); ok {
		return c
	}
	cover, ok := coverages[e.Type]
	if !ok {
		cover = coverage{rules: []rule{wholeData}}
	}
	if !e.checkable() {
		return Check{Binding: Unchecked}
	}
	for i := range cover.rules {
		r := &cover.rules[i]
		switch data, ok := r.covered(e, d); {
		case !ok || !e.isOf(data):
		case r.label:
			return Check{Binding: Label, Rule: r.name}
		default:
			return Check{Binding: Bound, Rule: r.name, Quirk: r.quirk}
		}
	}
	split := e.split(d, cover.rules)
	switch {
	case split != "":
		return Check{Binding: Broken, Note: split}
	case cover.must != nil && cover.must(e, d):
		return Check{Binding: Broken, Note: "the digest is not that of " + ruleNames(cover.rules)}
	}
	return Check{Binding: Label, Quirk: cover.quirk}
}

func ruleNames(rules []rule) string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.name
	}
	return strings.Join(names, ", nor ")
}

// Covers tells whether the event's digests are those of the concatenated parts: in every bank known here, and one at
// least.
func (e *Event) Covers(parts ...[]byte) bool {
	known := 0
	for d := range e.Digests.All() {
		if d.Alg.Known() {
			if !bytes.Equal(d.Alg.Sum(parts...), d.Value) {
				return false
			}
			known++
		}
	}
	return known > 0
}

// checkable tells whether the event has a digest that can be computed here.
func (e *Event) checkable() bool {
	for d := range e.Digests.All() {
		if d.Alg.Known() {
			return true
		}
	}
	return false
}

// covered returns the bytes a rule speaks of, if it applies.
func (r *rule) covered(e *Event, d Decoded) ([]byte, bool) {
	data := r.bytes(e, d)
	return data, data != nil || r.name == wholeData.name
}

// isOf tells whether all digests are those of data. The first that is not settles it: nothing is as slow as hashing.
func (e *Event) isOf(data []byte) bool {
	for d := range e.Digests.All() {
		if d.Alg.Known() && !d.Alg.fits(data, d.Value) {
			return false
		}
	}
	return true
}

// split tells by which rule some banks fit the data and others do not: the last one, "" for none.
func (e *Event) split(d Decoded, rules []rule) string {
	if e.Digests.Len() < 2 {
		return ""
	}
	for i := range slices.Backward(rules) {
		data, ok := rules[i].covered(e, d)
		if !ok {
			continue
		}
		if fit := e.fitting(data, true); len(fit) > 0 {
			return fmt.Sprintf("%s: %v fit, %v do not", rules[i].name, fit, e.fitting(data, false))
		}
	}
	return ""
}

// fitting lists the banks whose digest is that of data, or those whose digest is not.
func (e *Event) fitting(data []byte, fits bool) (banks []Alg) {
	for d := range e.Digests.All() {
		if d.Alg.Known() && d.Alg.fits(data, d.Value) == fits {
			banks = append(banks, d.Alg)
		}
	}
	return banks
}
