package eventlog

import (
	"fmt"
	"slices"
	"strings"
)

// Finding is something about a log that does not look like a boot. Firmware deviates a lot, so a finding is a question,
// not an accusation.
type Finding struct {
	Code  string `json:"code"`
	PCR   int    `json:"pcr"`
	Event int    `json:"event"` // -1 where it is about no single event
	Text  string `json:"text"`
	Quirk string `json:"quirk,omitempty"` // a known deviation: see docs/eventlog.md
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
	if f := l.firmwarePrograms(); f != nil {
		findings = append(findings, *f)
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
				findings = append(findings, Finding{Code: "second_separator", PCR: int(e.PCR), Event: e.Number, Text: "a second separator"})
			}
			if d, _ := decodeSeparator(e); d.(Separator).Error {
				findings = append(findings, Finding{Code: "firmware_error", PCR: int(e.PCR), Event: e.Number, Text: d.String()})
			}
		case separators[e.PCR] > 0 && last[e.PCR] == nil && !allowedAfter(e):
			last[e.PCR] = e
			findings = append(findings, Finding{Code: "after_separator", PCR: int(e.PCR), Event: e.Number,
				Text: fmt.Sprintf("%s after the separator", e.Type), Quirk: lateQuirk(e)})
		}
	}
	var without []int
	for pcr, n := range separators {
		if n == 0 {
			without = append(without, pcr)
		}
	}
	if without != nil {
		findings = append(findings, Finding{Code: "no_separator", PCR: without[0], Event: -1,
			Text: fmt.Sprintf("PCR %s without a separator: the log is not whole, its events are not what they are called, or the firmware is old", ranges(without))})
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

// lateQuirk names the deviation behind an event that comes after the separator: firmware of several vendors measures option
// ROMs late, and puts settings of its own beside the Secure Boot variables.
func lateQuirk(e *Event) string {
	late := map[uint32][]EventType{
		2: {EVEFIBootServicesDriver, EVEFIRuntimeDriver, EVEFIAction, EVAction, EVNonhostCode, EVNonhostConfig, EVNonhostInfo, EVEventTag, EVCompactHash},
		7: {EVAction, EVEventTag, EVCompactHash, EVPlatformConfigFlags},
	}
	if slices.Contains(late[e.PCR], e.Type) {
		return "Q17"
	}
	return ""
}

// qemuKernel is the place from which OVMF loads what QEMU hands over (OvmfPkg, QemuKernelLoaderFsDxe).
const qemuKernel = "VenMedia(1428f772-b64a-441e-b8c3-9ebdd7f893c7)"

// firmwarePrograms finds the first program that firmware started out of its own volumes, or before it turned to the boot
// options; nil where there is none.
func (l *Log) firmwarePrograms() *Finding {
	separated := false
	for i := range l.Events {
		e := &l.Events[i]
		switch {
		case e.PCR != 4:
		case e.Type == EVSeparator:
			separated = true
		case e.Type == EVEFIBootServicesApp:
			decoded, _ := e.Decode()
			image, ok := decoded.(*ImageLoad)
			switch {
			case !ok || image.Path == nil:
				continue
			case strings.Contains(image.Path.Text, qemuKernel):
				return &Finding{Code: "kernel_of_qemu", PCR: 4, Event: e.Number, Quirk: "Q25",
					Text: "QEMU handed the kernel over (-kernel), and changed its header before: the digest is that of no file"}
			case separated && !strings.Contains(image.Path.Text, "FvFile("):
				continue
			}
			return &Finding{Code: "firmware_program", PCR: 4, Event: e.Number, Quirk: "Q16",
				Text: "the firmware started a program of its own: " + image.Path.Text}
		}
	}
	return nil
}
