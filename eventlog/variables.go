package eventlog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// CheckVariables compares the UEFI variables that were measured with those of the running system, which read returns. That
// tells of the next boot, not of this one, so it is information and fails nothing; ok is false where no variable can be read.
func (l *Log) CheckVariables(read func(name, guid string) ([]byte, bool)) (c NamedCheck, ok bool) {
	same, unseen := 0, 0
	var changed []string
	var pcrs []int
	for i := range l.Events {
		e := &l.Events[i]
		if e.Type != EVEFIVariableDriverConfig && e.Type != EVEFIVariableBoot && e.Type != EVEFIVariableBoot2 {
			continue
		}
		decoded, err := e.Decode()
		v, isVariable := decoded.(*Variable)
		if !isVariable || err != nil && len(v.content) != v.Size {
			continue
		}
		switch now, found := read(v.Name, v.GUID.String()); {
		case !found && len(v.content) > 0:
			unseen++ // many exist only before the operating system starts
		case bytes.Equal(now, v.content):
			same++
		case !slices.Contains(changed, v.Name):
			changed = append(changed, v.Name)
			if n := int(e.PCR); !slices.Contains(pcrs, n) {
				pcrs = append(pcrs, n)
			}
		}
	}
	if same+len(changed) == 0 {
		return c, false
	}
	text := fmt.Sprintf("%d variables are as they were measured", same)
	if unseen > 0 {
		text += fmt.Sprintf(", %d are not to be seen any more (Q23)", unseen)
	}
	if len(changed) > 0 {
		slices.Sort(pcrs)
		text += fmt.Sprintf("; others were changed since, or are measured with settings of the firmware's own (Q22): %s; PCR %s may differ at the next boot",
			strings.Join(changed, ", "), ranges(pcrs))
	}
	return NamedCheck{Name: "variables", Outcome: Pass, Text: text}, true
}
