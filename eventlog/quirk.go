package eventlog

import (
	"iter"
	"slices"
	"strings"
)

// deviations are what real machines do that no specification says, by the numbers of docs/eventlog.md. A verdict that
// rests on one names it, and Rules can take it as it is.
var deviations = []struct{ code, text string }{
	{"Q1", "a loader left the event log behind: there is none, and the PCRs are extended"},
	{"Q3", "systemd goes on extending PCRs after the firmware's log has ended"},
	{"Q4", "the log has the layout of TPM 1.2: SHA-1 digests alone, from an old kernel or an old firmware"},
	{"Q5", "a SHA-1 log that opens with the startup locality instead of a header"},
	{"Q7", "an old shim logged one byte more than it measured"},
	{"Q9", "the firmware measured another version string than it logged, as some servers do"},
	{"Q10", "PCR 0 does not follow from the log, and all else does, as with some servers' firmware"},
	{"Q11", "Windows closed a bank that it does not use, with one extend of zeroes"},
	{"Q12", "events carry fewer banks than the header declares, as Windows and EVE write them"},
	{"Q13", "Windows keeps a log for each resume from hibernation, and only the newest fits PCR 12 to 14"},
	{"Q14", "the quotes in Windows' logs are signed with SHA-1, for which collisions can be made"},
	{"Q16", "firmware started a program of its own before the system: a setup screen, diagnostics, anti-theft software"},
	{"Q17", "the firmware measures devices and settings after it has separated their PCR from the boot"},
	{"Q18", "the area for the log was full, or the log was cut off: the last events are missing"},
	{"Q19", "a loader asked for the log early, and firmware listed the events since then twice"},
	{"Q22", "a variable was changed since it was measured, or firmware measures it with settings of its own"},
	{"Q23", "a variable that exists only before the operating system starts"},
	{"Q24", "the running kernel was started by another one (kexec), and the log is that of the first"},
	{"Q25", "QEMU changes the kernel that it loads itself (-kernel) before the firmware measures it"},
	{"Q26", "a bank of the TPM has a hash that cannot be computed here"},
	{"Q27", "something stands before the header of the log, or a second header in it, as coreboot writes them"},
}

// Deviations yields the numbers of the known deviations and what they are.
func Deviations() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, d := range deviations {
			if !yield(d.code, d.text) {
				return
			}
		}
	}
}

// quirkText says what a deviation is.
func quirkText(code string) string {
	for _, d := range deviations {
		if d.code == code {
			return d.text
		}
	}
	return code
}

// noteQuirks are the notes that a known deviation explains.
var noteQuirks = map[string]string{
	"no_header": "Q4", "opens_with_locality": "Q5", "bank_subset": "Q12", "bundle": "Q13", "skipped": "Q27", "second_header": "Q27",
}

// ignores tells whether a deviation is taken as it is.
func (r *Rules) ignores(code string) bool {
	return code != "" && slices.ContainsFunc(r.Ignore, func(c string) bool { return strings.EqualFold(c, code) })
}
