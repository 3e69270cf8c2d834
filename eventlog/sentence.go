package eventlog

import (
	"fmt"
	"iter"
	"strings"
)

// Sentence tells of one event: when in the boot it was measured, by whom, what it says, what its digest covers and what
// would have given another one.
type Sentence struct {
	Event   int       `json:"event"`
	PCR     int       `json:"pcr"` // -1 where the register is no PCR
	Type    EventType `json:"type"`
	Phase   Phase     `json:"phase"`
	By      string    `json:"by"`
	Text    string    `json:"text"`
	Covers  string    `json:"digest_covers"`
	Changes string    `json:"changes_with"`
	Binding Binding   `json:"binding"`
	Alert   bool      `json:"alert,omitempty"`
	Quirk   string    `json:"quirk,omitempty"`
}

// Phase is a part of a boot. Nothing binds it: it is told from the order and the types of events.
type Phase string

// The phases, in their order.
const (
	PhaseFirmware Phase = "firmware"
	PhaseLoader   Phase = "loader"
	PhaseSystem   Phase = "system"
)

// maxHeard bounds what one event says: Windows puts hundreds of modules into one.
const maxHeard = 8

// Sentences yields a sentence for each event of the log, in order.
func (l *Log) Sentences() iter.Seq[Sentence] {
	return func(yield func(Sentence) bool) {
		t := newTeller(l, "")
		clock := newClock(l)
		for i := range l.Events {
			e := &l.Events[i]
			decoded, _ := e.Decode()
			check := e.check(decoded)
			alerts := t.alerts
			t.heard = t.heard[:0]
			t.tell(e, decoded, check.Binding)
			clock.tick(e, decoded)
			s := Sentence{
				Event: e.Number, PCR: e.pcr(), Type: e.Type, Phase: clock.phase, By: measurer(e, decoded), Text: decoded.String(),
				Covers: covers(e, decoded, check), Changes: changes(e, decoded), Binding: check.Binding, Quirk: check.Quirk,
				Alert: t.alerts > alerts || check.Binding == Broken,
			}
			if n := len(t.heard); n > maxHeard {
				s.Text = fmt.Sprintf("%s; and %d more", strings.Join(t.heard[:maxHeard], "; "), n-maxHeard)
			} else if n > 0 {
				s.Text = strings.Join(t.heard, "; ")
			}
			if !yield(s) {
				return
			}
		}
	}
}

// clock tells the phases apart. Firmware's part ends with the last separator of PCR 0 to 6, the loader's with the first
// word of a kernel or of Windows.
type clock struct {
	phase Phase
	last  int // number of the last separator, -1 without one
}

func newClock(l *Log) *clock {
	c := &clock{phase: PhaseFirmware, last: -1}
	for i := range l.Events {
		if e := &l.Events[i]; e.Type == EVSeparator && e.PCR < 7 && e.Content == ContentPCClient {
			c.last = e.Number
		}
	}
	return c
}

// tick moves the clock to the phase of an event; it never goes back.
func (c *clock) tick(e *Event, decoded Decoded) {
	switch {
	case c.phase == PhaseSystem:
	case e.Content != ContentPCClient || isSystems(decoded) || leavesFirmware(e):
		c.phase = PhaseSystem
	case e.Number > c.last && c.last >= 0:
		c.phase = PhaseLoader
	}
}

// isSystems tells what an operating system measures about itself.
func isSystems(decoded Decoded) bool {
	switch d := decoded.(type) {
	case *Windows:
		return true
	case *Tagged:
		return strings.HasPrefix(d.maker(), "Linux")
	}
	return false
}

// leavesFirmware tells the end of boot services, after which only the operating system runs.
func leavesFirmware(e *Event) bool {
	return e.Type == EVEFIAction && strings.HasPrefix(string(e.Data), "Exit Boot Services")
}

// maker is who uses the number of the first record, "" where nobody is known for it.
func (t *Tagged) maker() string {
	for _, r := range t.Records {
		if name, _, found := strings.Cut(r.Name, ":"); found {
			return name
		}
	}
	return ""
}

// makers are the producers of loader events, as people call them.
var makers = map[string]string{"grub": "GRUB", "shim": "shim", "seabios": "SeaBIOS"}

// measurer says who measured an event.
func measurer(e *Event, decoded Decoded) string {
	switch d := decoded.(type) {
	case *Loader:
		if name := makers[d.Producer]; name != "" {
			return name
		}
		return d.Producer
	case *Tagged:
		if maker := d.maker(); maker != "" {
			return maker
		}
	case *Windows:
		return "Windows"
	case *IMA:
		return "the kernel (IMA)"
	case *Systemd:
		return "systemd"
	case *COS:
		return "the container's launcher"
	case *Engine:
		return "Intel's security engine"
	case *Variable:
		if d.GUID.String() == guidShimLock {
			return "shim"
		}
	}
	switch {
	case e.Type >= 0x401 && e.Type <= 0x4ff:
		return "Intel TXT"
	case e.Type >= 0x501 && e.Type <= 0x503 || e.Type >= 0x8001 && e.Type <= 0x8007:
		return "the secure launch"
	case e.Type >= 0x8201 && e.Type <= 0x82ff:
		return "AMD's security processor"
	case e.Content != ContentPCClient:
		return "a program"
	}
	return "the firmware"
}

// covers says what an event's digest covers.
func covers(e *Event, decoded Decoded, check Check) string {
	switch check.Binding {
	case Unbound:
		return "nothing: the event extends no PCR"
	case Broken, Unchecked:
		return check.Note
	case Bound:
		if check.Rule == wholeData.name {
			return coversData
		}
	}
	if check.Rule != "" {
		return check.Rule
	}
	switch d := decoded.(type) {
	case *ImageLoad:
		return "the program, by its Authenticode digest"
	case *Loader:
		return labelled[d.What]
	case *Tagged:
		return "what the name stands for"
	}
	if m := e.Type.Meaning(); m.Covers == coversOutside || m.Covers == coversPE {
		return m.Covers
	}
	return coversOutside
}

// labelled is what loaders measure beside the name they log.
var labelled = map[string]string{
	"file": "the file, as it was read", "section": "the bytes of the section", "variable": "what the variable holds",
	"mbr": "the boot sector",
}

// changes says what would give an event another digest.
func changes(e *Event, decoded Decoded) string {
	switch d := decoded.(type) {
	case *Variable:
		return changesOfVariable(e, d)
	case *ImageLoad:
		return changesOfImage(e, d)
	case *Loader:
		return changesOfLoader[d.What]
	case *Tagged:
		if maker := d.maker(); strings.HasPrefix(maker, "Linux") {
			return "another kernel command line or initrd"
		}
	case *IMA:
		return "another version of the file"
	case *Windows:
		return "settings and updates of Windows"
	case *GPT:
		return "partitions added, removed or resized"
	case *Handoff:
		return "other hardware, or a firmware update"
	case *Systemd:
		return "the system's phases, volumes and identity"
	case Separator, *SpecID, Locality, *Informative:
		return ""
	}
	return changesOfType[e.Type]
}

var changesOfType = map[EventType]string{
	EVSCRTMVersion: firmwareUpdate, EVSCRTMContents: firmwareUpdate, EVEFIFirmwareBlob: firmwareUpdate, EVEFIFirmwareBlob2: firmwareUpdate,
	EVPostCode: firmwareUpdate, EVPostCode2: firmwareUpdate, EVEFIHCRTMEvent: firmwareUpdate,
	EVCPUMicrocode: "a microcode update", EVPlatformConfigFlags: "firmware settings, or other virtual hardware",
	EVTableOfDevices: "other hardware", EVNonhostCode: firmwareUpdate, EVNonhostConfig: "firmware settings", EVNonhostInfo: firmwareUpdate,
	EVEFISPDMFirmwareBlob: "a firmware update of the device", EVEFISPDMFirmwareConfig: "settings of the device",
	EVEFIAction: "another way to boot", EVAction: "another way to boot",
}

const firmwareUpdate = "a firmware update"

var changesOfLoader = map[string]string{
	"command": "another boot menu", "kernel_cmdline": "another kernel command line", "module_cmdline": "another module, or its arguments",
	"cmdline": "another kernel command line", "file": "another version of the file", "section": "another unified kernel image",
	"variable": "keys enrolled or removed with mokutil, or a new shim", "mbr": "another boot sector",
}

func changesOfVariable(e *Event, v *Variable) string {
	switch {
	case v.Name == "SbatLevel":
		return "boot loaders revoked by an update"
	case e.Type == EVEFIVariableAuthority:
		return "a program signed by somebody else, or that entry replaced"
	case v.Name == "db" || v.Name == "dbx" || v.Name == "dbt" || v.Name == "dbr":
		return "updates of " + v.Name
	case v.Option != nil || v.Order != nil:
		return "boot options added, removed or reordered"
	case v.Name == "SecureBoot":
		return "Secure Boot switched"
	case isSignatureVariable(v.Name):
		return "other keys enrolled"
	}
	return "firmware settings"
}

func changesOfImage(e *Event, i *ImageLoad) string {
	switch file := strings.ToLower(i.File()); {
	case e.Type != EVEFIBootServicesApp:
		return "another driver, or its update"
	case strings.HasPrefix(file, "shim"):
		return "an update of shim"
	case strings.HasPrefix(file, "grub"):
		return "an update of GRUB"
	case file == "":
		return "an update of that program, such as the kernel"
	}
	return "an update of that program"
}
