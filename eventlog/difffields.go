package eventlog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// subject is what an event is about, so that the same thing is found in the other log: a variable's name, a file, a tag.
func (e *Event) subject() string {
	decoded, _ := e.Decode()
	switch d := decoded.(type) {
	case *Variable:
		return d.Name
	case *ImageLoad:
		return d.File()
	case *Blob:
		return d.Description
	case *Loader:
		if d.What == "command" { // the first word: set, linux, initrd
			word, _, _ := strings.Cut(d.Text, " ")
			return d.Producer + " " + word
		}
		if d.What == "file" || d.What == "variable" || d.What == "section" {
			return d.Producer + " " + d.Text
		}
		return d.Producer + " " + d.What
	case *Tagged:
		if len(d.Records) > 0 {
			return d.Records[0].Hex
		}
	case *Windows:
		for r := range d.All() {
			if r.ID&sipaClassMask != sipaContainer {
				return r.Hex
			}
		}
	case *IMA:
		return d.File
	case *Systemd:
		return d.Event
	case Text:
		return d.Text
	}
	return ""
}

// changedFields says what differs between two events about the same thing.
func changedFields(a, b *Event) []string {
	before, _ := a.Decode()
	after, _ := b.Decode()
	var fields []string
	if x, y := parts(before), parts(after); x != nil && y != nil {
		fields = changedSet(x, y)
	} else {
		fields = changedJSON(before, after)
	}
	if len(fields) == 0 {
		return []string{"the measured bytes, which are not in the log"}
	}
	return fields
}

// parts are what an event consists of, where that is a list: signatures, words, partitions, records. nil otherwise.
func parts(decoded Decoded) []string {
	switch d := decoded.(type) {
	case *Variable:
		switch {
		case d.Signatures != nil:
			return entries(d.Signatures)
		case d.Option != nil:
			return option(d.Option)
		case d.Text != "": // SbatLevel has a component a line
			return strings.Fields(d.Text)
		}
	case *Handoff:
		return tables(d) // whose addresses no digest covers
	case *Loader:
		return strings.Fields(d.Text)
	case *GPT:
		return partitions(d)
	case *Windows:
		return leaves(d)
	}
	return nil
}

func option(o *LoadOption) []string {
	parts := []string{fmt.Sprintf("description %q", o.Description), fmt.Sprintf("active %t", o.Active)}
	if o.Path != nil {
		parts = append(parts, "path "+o.Path.Text)
	}
	return append(parts, fmt.Sprintf("%d bytes of optional data", o.Optional))
}

func tables(h *Handoff) (names []string) {
	for _, t := range h.Tables {
		names = append(names, "table "+t.GUID.String()+" "+t.Name)
	}
	return names
}

func entries(lists []SignatureList) (names []string) {
	for i := range lists {
		for j := range lists[i].Entries {
			names = append(names, lists[i].Entries[j].String())
		}
	}
	return names
}

func partitions(g *GPT) (names []string) {
	for _, p := range g.Partitions {
		names = append(names, fmt.Sprintf("partition %s %q, sectors %d to %d", p.ID, p.Name, p.First, p.Last))
	}
	return append(names, "disk "+g.Disk.String())
}

func leaves(w *Windows) (names []string) {
	for r := range w.All() {
		if r.Records == nil {
			names = append(names, r.Name+"="+r.Text)
		}
	}
	return names
}

// maxFields bounds the words about one change.
const maxFields = 50

// changedSet names what only one of two lists has.
func changedSet(before, after []string) []string {
	fields := []string{}
	report := func(mark string, list, other []string) {
		have := make(map[string]int)
		for _, s := range other {
			have[s]++
		}
		for _, s := range list {
			if have[s]--; have[s] < 0 && len(fields) < maxFields {
				fields = append(fields, mark+s)
			}
		}
	}
	report("-", before, after)
	report("+", after, before)
	return fields
}

// volatileFields differ from boot to boot, and no digest covers them.
var volatileFields = map[string]bool{"location": true, "link_time_address": true, "address": true, "base": true}

// changedJSON compares the top-level fields of two decoded events.
func changedJSON(before, after Decoded) []string {
	fields := []string{}
	a, b := topLevel(before), topLevel(after)
	for _, name := range slices.Sorted(keysOf(a, b)) {
		if x, y := string(a[name]), string(b[name]); x != y && !volatileFields[name] && len(fields) < maxFields {
			fields = append(fields, fmt.Sprintf("%s: %s -> %s", name, orNothing(x), orNothing(y)))
		}
	}
	return fields
}

func topLevel(d Decoded) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if text, err := json.Marshal(d); err == nil {
		_ = json.Unmarshal(text, &fields) // nil where it is no object
	}
	return fields
}

func keysOf(maps ...map[string]json.RawMessage) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		seen := make(map[string]bool)
		for _, m := range maps {
			for k := range m {
				if !seen[k] {
					seen[k] = true
					if !yield(k) {
						return
					}
				}
			}
		}
	}
}

// volatileRecords are what Windows measures anew at every boot, though nothing has changed: its counters, and where the
// kernel's address space randomization put an image.
var volatileRecords = map[uint32]bool{
	0x00020002: true, // BOOTCOUNTER
	0x00020006: true, // EVENTCOUNTER
	0x00020007: true, // COUNTERID
	0x00070007: true, // IMAGEBASE
}

// steady is what an event measured but for volatile records, "" where it has none. The digest has to cover the data: what
// a mere label says may not hide a change.
func steady(e *Event) string {
	if e.Type != EVEventTag || !isSIPA(e) {
		return ""
	}
	decoded, err := e.Decode()
	w, ok := decoded.(*Windows)
	if !ok || err != nil || e.check(decoded).Binding != Bound {
		return ""
	}
	volatile, text := false, wire.NewLE()
	for r := range w.All() {
		value := r.raw
		if volatileRecords[r.ID] {
			volatile, value = true, make([]byte, len(r.raw))
		}
		text.U32(r.ID).U32(uint32(len(r.Records))).Sized32(value)
	}
	if !volatile {
		return ""
	}
	return string(text.Out())
}
