package eventlog

import (
	"fmt"
	"strings"
)

// WithoutLog tells what PCR values alone say of a boot that left no event log: which of the PCRs that loaders extend are
// extended. It proves nothing, and distinguishes a log that was lost from a boot that nobody measured.
func WithoutLog(values Values) *Verification {
	v := &Verification{PCRs: []PCRVerdict{}, Data: make(map[Binding]int), Broken: []BrokenEvent{}, Grammar: []Finding{}, Quotes: []QuoteCheck{}}
	v.add("event_log", NotProven, "the kernel was handed none")
	var extended, untouched []int
	for _, pcr := range []int{0, 4, 7, 8, 9} {
		switch touched, known := anyExtended(values, pcr); {
		case !known:
		case touched:
			extended = append(extended, pcr)
		default:
			untouched = append(untouched, pcr)
		}
	}
	has := func(pcr int) bool { touched, _ := anyExtended(values, pcr); return touched }
	switch {
	case len(extended) == 0:
		v.add("pcr_reset", NotProven, "PCR %s hold their reset values: the firmware measured nothing, or starts without this TPM", ranges(untouched))
	case has(4) && (has(8) || has(9)):
		v.add("pcr_unlogged", NotProven, "Q1: PCR %s are extended, by GRUB among others: its \"linux\" command without Secure Boot "+
			"starts the kernel without its EFI stub, and the log is lost", ranges(extended))
	case has(4) || has(7):
		v.add("pcr_unlogged", NotProven, "Q1: PCR %s are extended: the boot was measured, and a loader did not hand the log on", ranges(extended))
	default:
		v.add("pcr_unlogged", NotProven, "PCR %s are extended, and none of those a UEFI loader extends: a BIOS boot, or a firmware that stops early", ranges(extended))
	}
	if len(extended) > 0 && len(untouched) > 0 {
		v.add("pcr_reset", NotProven, "PCR %s hold their reset values", ranges(untouched))
	}
	return v
}

// anyExtended tells whether a PCR is extended in any bank, and whether any bank has a value of it.
func anyExtended(values Values, pcr int) (touched, known bool) {
	for bank, pcrs := range values {
		if value, ok := pcrs[pcr]; ok && len(value) == bank.Size() && len(value) > 0 {
			known = true
			touched = touched || !isReset(value)
		}
	}
	return touched, known
}

// CheckCmdline compares the command line of the running kernel with the one that was measured last. ok is false where none
// was.
func (l *Log) CheckCmdline(running string) (c NamedCheck, ok bool) {
	story := l.ExplainRunning(running)
	if story.another {
		return NamedCheck{"cmdline", NotProven,
			fmt.Sprintf("Q24: the running kernel has another command line than the measured one, perhaps because of kexec: %q", running)}, true
	}
	return NamedCheck{"cmdline", Pass, "the running kernel has the measured command line"}, story.Cmdline != "" && running != ""
}

// withoutImage takes the name of the kernel off a command line: loaders log it, and hand it on as BOOT_IMAGE or not at all.
func withoutImage(line string) string {
	words := strings.Fields(line)
	for len(words) > 0 && (strings.HasPrefix(words[0], "BOOT_IMAGE=") || strings.HasPrefix(words[0], "/") ||
		strings.HasPrefix(words[0], "(") || strings.HasPrefix(words[0], `\`)) {
		words = words[1:]
	}
	return strings.Join(words, " ")
}
