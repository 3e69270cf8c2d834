package eventlog

import "fmt"

// Finding is something about a log that does not look like a boot. Firmware deviates a lot, so a finding is a question,
// not an accusation.
type Finding struct {
	Code  string `json:"code"`
	PCR   int    `json:"pcr"`
	Event int    `json:"event"` // -1 where it is about no single event
	Text  string `json:"text"`
}

// afterSeparator has what may still be measured into a PCR once firmware has separated it from the boot (PFP, "PCR
// usage"). PCR 0, 2, 3 and 6 are the firmware's alone and get nothing more.
var afterSeparator = map[uint32][]EventType{
	1: {EVEFIVariableBoot, EVEFIVariableBoot2, EVEFIHandoffTables, EVEFIHandoffTables2, EVEFIVariableDriverConfig, EVAction, EVEFIAction},
	4: {EVEFIBootServicesApp, EVEFIBootServicesDriver, EVEFIRuntimeDriver, EVEFIAction, EVAction, EVIPL, EVCompactHash, EVOmitBootDeviceEvents},
	5: {EVEFIGPTEvent, EVEFIGPTEvent2, EVEFIAction, EVAction, EVIPL, EVIPLPartitionData, EVEventTag, EVEFIVariableBoot, EVEFIVariableDriverConfig},
	7: {EVEFIVariableAuthority, EVEFIVariableDriverConfig, EVEFIAction, EVIPL, EVEFISPDMDeviceAuthority, EVEFISPDMDevicePolicy},
}

// Grammar looks at the order of events in PCR 0 to 7: each has one separator, and little after it. Since no digest covers
// a type, this is what notices an event that was given another one.
func (l *Log) Grammar() []Finding {
	findings := []Finding{}
	if l.CC || (l.Format != FormatAgile && l.Format != FormatSHA1) {
		return findings
	}
	var separators [8]int
	var last [8]*Event // the first event after the separator that should not be there
	for i := range l.Events {
		e := &l.Events[i]
		if e.PCR > 7 || !e.Extends() {
			continue
		}
		switch {
		case e.Type == EVSeparator:
			if separators[e.PCR]++; separators[e.PCR] == 2 {
				findings = append(findings, Finding{"second_separator", int(e.PCR), e.Number, "a second separator"})
			}
			if d, _ := decodeSeparator(e); d.(Separator).Error {
				findings = append(findings, Finding{"firmware_error", int(e.PCR), e.Number, d.String()})
			}
		case separators[e.PCR] > 0 && last[e.PCR] == nil && !allowedAfter(e):
			last[e.PCR] = e
			findings = append(findings, Finding{"after_separator", int(e.PCR), e.Number, fmt.Sprintf("%s after the separator", e.Type)})
		}
	}
	var without []int
	for pcr, n := range separators {
		if n == 0 {
			without = append(without, pcr)
		}
	}
	if without != nil {
		findings = append(findings, Finding{"no_separator", without[0], -1,
			fmt.Sprintf("PCR %s without a separator: the log is not whole, its events are not what they are called, or the firmware is old", ranges(without))})
	}
	return findings
}

func allowedAfter(e *Event) bool {
	for _, t := range afterSeparator[e.PCR] {
		if t == e.Type {
			return true
		}
	}
	return false
}
