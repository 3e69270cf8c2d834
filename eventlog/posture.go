package eventlog

import "strings"

// windowsWord is the sentence for one kind of record.
type windowsWord struct {
	words string
	alert string // the value that deserves a look, "" for none
}

// windowsWords are the records worth a sentence, by number (wbcl.h).
var windowsWords = map[uint32]windowsWord{
	0x20002: {"boot counter: %s", ""}, 0x20006: {"event counter: %s", ""}, 0x20007: {"counter's number: %s", ""},
	0x20003: {"control went to the %s", ""}, 0x20005: {"BitLocker was unlocked by %s", ""},
	0x20008: {"memory overwrite request cannot be cancelled: %s", ""}, 0x2000b: {"state of the memory overwrite request: %s", ""},
	0x20009: {"security version of the boot application: %s", ""}, 0x2000a: {"state of the security version chain: %s", ""},
	0x2000c: {"state of the identity keys' making: %s", ""},
	0x30001: {"the firmware failed: %s", "any"}, 0x30003: {"Windows failed: %s", "any"},
	0x40001: {"boot debugging: %s", "yes"}, 0x40002: {"revoked boot programs: %s", ""},
	0x50001: {"kernel debugging: %s", "yes"}, 0x50002: {"code integrity: %s", "no"}, 0x50003: {"test signing: %s", "yes"},
	0x50004: {"data execution prevention: %s", ""}, 0x50005: {"safe mode: %s", "yes"},
	0x50006: {"Windows PE, not a normal Windows: %s", "yes"}, 0x50009: {"system root: %s", ""},
	0x5000a: {"hypervisor launch type: %s", ""}, 0x5000b: {"hypervisor: %s", ""}, 0x5000c: {"hypervisor's IOMMU policy: %s", ""},
	0x5000d: {"hypervisor debugging: %s", "yes"}, 0x5000e: {"policy for early drivers: %s", ""},
	0x5000f: {"code integrity policy: %s", ""}, 0x50011: {"hypervisor's filter for model-specific registers: %s", ""},
	0x50012: {"virtual secure mode launch type: %s", ""}, 0x50013: {"revoked programs: %s", ""},
	0x50014: {"simultaneous multithreading: %s", ""}, 0x50020: {"identity key of virtual secure mode: %s", ""},
	0x50021: {"flight signing: %s", ""}, 0x50022: {"page file encrypted: %s", ""}, 0x50023: {"signing key of virtual secure mode: %s", ""},
	0x50024: {"hibernation disabled: %s", ""}, 0x50025: {"memory dumps disabled: %s", ""}, 0x50026: {"memory dumps encrypted: %s", ""},
	0x50028: {"isolation of the local security authority: %s", ""}, 0x50031: {"signer of the code integrity policy: %s", ""},
	0x50029: {"custom Secure Boot policy: %s", ""},
	0x50030: {"DMA protection at boot: %s", "no"},
	0x50036: {"rollback protection of the volume verified: %s", "no"}, 0x5003b: {"keys of the dynamic launch were rolled: %s", ""},
	0x7000b: {"security version of the module: %s", ""},
	0x90001: {"early antimalware driver: %s", ""},
	0xa0001: {"virtualization-based security required: %s", ""}, 0xa0002: {"Secure Boot required for it: %s", ""},
	0xa0003: {"IOMMU required for it: %s", ""}, 0xa0004: {"no-execute device memory required for it: %s", ""},
	0xa0005: {"filtered model-specific registers required for it: %s", ""}, 0xa0006: {"it is mandatory: %s", ""},
	0xa0007: {"hypervisor-protected code integrity: %s", ""}, 0xa0008: {"Microsoft's boot chain required for it: %s", ""},
	0xc0002: {"level of system management isolation: %s", ""},
}

// The records that have a sentence of their own.
const (
	sipaUnlock    = 0x20005
	sipaModule    = 0x40010003
	sipaFilePath  = 0x70001
	sipaPublisher = 0x70008
)

func (t *teller) windows(e *Event, w *Windows, b Binding) {
	t.saw("Windows")
	for r := range w.All() {
		switch word, ok := windowsWords[r.ID]; {
		case r.ID == sipaUnlock:
			t.unlocked(e, r, b)
		case r.ID == sipaModule:
			t.module(e, r, b)
		case ok && (word.alert == "any" || word.alert != "" && word.alert == r.Text):
			t.warn(tellWindows, e, b, word.words, r.Text)
		case ok:
			t.say(tellWindows, e, b, word.words, r.Text)
		}
	}
}

// unlocked says how BitLocker got its key: the boot manager's record comes first, the loader's second.
func (t *teller) unlocked(e *Event, r *SIPA, b Binding) {
	switch {
	case strings.Contains(r.Text, "recovery"):
		t.warn(tellWindows, e, b, "BitLocker was unlocked with the recovery key")
	case r.Text == "none":
		t.say(tellWindows, e, b, "BitLocker unlocked no volume at this point")
	case r.Text == "cached":
		t.say(tellWindows, e, b, "BitLocker's key was handed on by the program before")
	default:
		t.say(tellWindows, e, b, windowsWords[sipaUnlock].words, r.Text)
	}
}

func (t *teller) module(e *Event, r *SIPA, b Binding) {
	var path, publisher string
	for _, field := range r.Records {
		switch field.ID {
		case sipaFilePath:
			path = field.Text
		case sipaPublisher:
			publisher = ", published by " + field.Text
		}
	}
	if path != "" {
		t.say(tellWindows, e, b, "loaded %s%s", path, publisher)
	}
}
