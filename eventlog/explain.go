package eventlog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Story is what a log tells about a boot, in words. Every statement says how far it can be relied on, given that the
// replay fits the PCRs.
type Story struct {
	SecureBoot string    `json:"secure_boot"` // "on", "off" or "not measured"
	Cmdline    string    `json:"kernel_command_line,omitempty"`
	Initrd     string    `json:"initrd,omitempty"`               // the file, where the loader names it
	UKI        string    `json:"unified_kernel_image,omitempty"` // the file, where the firmware names it
	Loader     string    `json:"loader"`                         // what started the system, as far as the log shows; "" where it does not
	Sections   []Section `json:"sections"`
	PCRs       []PCRTale `json:"pcrs"`
	Quirks     []Quirk   `json:"quirks"`

	another bool // the running kernel has another command line than the one that was measured
}

// Section is a part of the story.
type Section struct {
	Title      string      `json:"title"`
	Statements []Statement `json:"statements"`
}

// Statement is one sentence and the event it rests on.
type Statement struct {
	Text    string  `json:"text"`
	Event   int     `json:"event"`
	PCR     int     `json:"pcr"`
	Binding Binding `json:"binding"`
	Alert   bool    `json:"alert,omitempty"` // weakens the machine, or does not belong to an ordinary boot
}

// PCRTale says what one PCR holds in this boot.
type PCRTale struct {
	PCR     int    `json:"pcr"`
	Events  int    `json:"events"`
	Holds   string `json:"holds"`
	Changes string `json:"changes_with"` // what would give another value
}

// Quirk is a known deviation that this log has.
type Quirk struct {
	Code  string `json:"code"`
	Event int    `json:"event"`
	Text  string `json:"text"`
}

// teller collects the story while it walks the log once.
type teller struct {
	log     *Log
	story   Story
	loaders []string
	parts   map[string][]Statement
	counts  [pcrCount]int
	grub    int
	program string // the file of the last program that was started
	lines   map[measuredAs]*arguments
	running string // command line of the running kernel, "" if it is not known
	line    *Event // that measured the kernel's command line, or its digest
	closed  bool   // the policy register has its separator
	initrd  bool   // the kernel's EFI stub measured an initrd
	quirks  map[string]bool
	said    map[string]bool
	heard   []string // what the event at hand says, said before or not
	alerts  int
}

// arguments are what a boot option, or who started the running kernel, hands to a program.
type arguments struct{ text, where string }

// measuredAs is the digest of arguments in one bank: looking them up is all that each of many events may cost.
type measuredAs struct {
	bank   Alg
	digest string
}

// maxArguments bounds arguments, in bytes: twice what Linux takes as a command line on any machine.
const maxArguments = 16 << 10

// The titles of the sections, in the order of a boot.
const (
	tellFirmware   = "Firmware"
	tellSecureBoot = "Secure Boot"
	tellOptions    = "Boot options"
	tellChain      = "Boot chain"
	tellLinux      = "Linux"
	tellWindows    = "Windows"
	tellOther      = "Devices and others"
)

const notMeasured = "not measured"

// maxStatements bounds each section, for Windows logs list hundreds of modules; maxCommands those about GRUB's menu.
const (
	maxStatements = 200
	maxCommands   = 20
)

func newTeller(l *Log, running string) *teller {
	t := &teller{log: l, running: running, parts: make(map[string][]Statement), quirks: make(map[string]bool), said: make(map[string]bool),
		lines: make(map[measuredAs]*arguments)}
	t.story.SecureBoot = notMeasured
	t.story.Quirks = []Quirk{}
	return t
}

// Explain tells the story of the log.
func (l *Log) Explain() *Story { return l.ExplainRunning("") }

// ExplainRunning tells the story of the log of the system that runs, whose kernel was started with a command line: where a
// log has its digest alone, that tells whether it was this one.
func (l *Log) ExplainRunning(cmdline string) *Story {
	t := newTeller(l, cmdline)
	if cmdline != "" {
		t.remember(encodeUTF16(cmdline+"\x00"), "that of the running kernel")
	}
	for i := range l.Events {
		e := &l.Events[i]
		if e.Extends() {
			t.counts[e.PCR]++
		}
		decoded, _ := e.Decode()
		check := e.check(decoded)
		t.heard = t.heard[:0]
		if check.Quirk != "" && !t.quirks[check.Quirk] {
			t.quirks[check.Quirk] = true
			t.story.Quirks = append(t.story.Quirks, Quirk{check.Quirk, e.Number, quirkText(check.Quirk)})
		}
		t.tell(e, decoded, check.Binding)
	}
	t.judgeCmdline()
	for _, title := range []string{tellFirmware, tellSecureBoot, tellOptions, tellChain, tellLinux, tellWindows, tellOther} {
		if s := t.parts[title]; len(s) > 0 {
			t.story.Sections = append(t.story.Sections, Section{title, s})
		}
	}
	t.story.Loader = strings.Join(t.loaders, ", ")
	t.story.PCRs = t.tales()
	return &t.story
}

// say adds a statement, unless it was made already: Windows' loaders each measure the same settings.
func (t *teller) say(title string, e *Event, b Binding, format string, args ...any) {
	t.tellOnce(title, e, b, false, fmt.Sprintf(format, args...))
}

// warn adds a statement that deserves a look.
func (t *teller) warn(title string, e *Event, b Binding, format string, args ...any) {
	t.tellOnce(title, e, b, true, fmt.Sprintf(format, args...))
}

func (t *teller) tellOnce(title string, e *Event, b Binding, alert bool, text string) {
	t.heard = append(t.heard, text)
	if alert {
		t.alerts++
	}
	said := fmt.Sprintf("%s %s %d %s", title, b, e.PCR, text)
	if len(t.parts[title]) < maxStatements && !t.said[said] {
		t.said[said] = true
		t.parts[title] = append(t.parts[title], Statement{text, e.Number, e.pcr(), b, alert})
	}
}

// tell turns one event into statements. Types are not bound, so what a statement says is only as true as its data.
func (t *teller) tell(e *Event, decoded Decoded, b Binding) {
	_, start := decoded.(Locality)
	switch {
	case b == Unbound && e.Content == ContentPCClient && !start:
		return // what anybody may have written tells nothing of a boot
	case e.Extends() && (e.PCR == debugPCR || e.PCR == applicationPCR):
		t.say(tellOther, e, b, "PCR %d, which any program can reset and extend, was given: %s", e.PCR, decoded)
		return
	case t.policyRegister(e) && e.Extends() && t.policy(e, decoded, b):
		return
	}
	t.tellOf(e, decoded, b)
}

// policy tells of what is known in the policy register by its digest, whatever it is called, and whether there is no more to
// say. Firmware says there once, before the separator, whether Secure Boot is on; a type or a label cannot hide that, and what
// was extended later cannot replace it.
func (t *teller) policy(e *Event, decoded Decoded, b Binding) bool {
	for _, value := range [][]byte{{0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {1, 0, 0, 0}} {
		t.closed = t.closed || e.Covers(value)
	}
	for value := range byte(2) {
		if !e.Covers(secureBootRecord, []byte{value}) {
			continue
		}
		if t.closed || t.story.SecureBoot != notMeasured {
			t.secondWord(e, "SecureBoot", b)
			return true
		}
		t.secureBoot(e, value == 1)
		if v, ok := decoded.(*Variable); !ok || v.Name != "SecureBoot" || b != Bound {
			t.warn(tellSecureBoot, e, b, "what was measured about Secure Boot is called something else: %s", decoded)
		}
		return true
	}
	return false
}

func (t *teller) secureBoot(e *Event, on bool) {
	t.story.SecureBoot = onOff(on)
	t.tellOnce(tellSecureBoot, e, Bound, !on, "Secure Boot is "+t.story.SecureBoot)
}

// secureBootRecord is the UEFI_VARIABLE_DATA of the variable SecureBoot up to its content, one byte.
var secureBootRecord = func() []byte {
	name := encodeUTF16("SecureBoot")
	w := wire.NewLE().Bytes([]byte("\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c")) // EFI_GLOBAL_VARIABLE
	return w.U64(uint64(len(name) / 2)).U64(1).Bytes(name).Out()
}()

// secondWord warns of what firmware measures once, before the separator of PCR 7.
func (t *teller) secondWord(e *Event, name string, b Binding) {
	t.warn(tellOther, e, b, "PCR %d has a second word about %s: firmware says it once, in PCR 7, before the separator", e.PCR, name)
}

func (t *teller) tellOf(e *Event, decoded Decoded, b Binding) {
	switch d := decoded.(type) {
	case Version:
		t.say(tellFirmware, e, b, "the firmware calls itself %s", orEmpty(d.Version))
	case *Blob:
		t.say(tellFirmware, e, b, "firmware code or data was measured: %s", d)
	case Locality:
		t.say(tellFirmware, e, b, "the TPM was started from locality %d, so PCR 0 does not begin at zero", d.Locality)
	case *Variable:
		t.variable(e, d, b)
	case *GPT:
		t.say(tellChain, e, b, "booted from %s", d)
	case *ImageLoad:
		t.image(e, d, b)
	case *Loader:
		t.loaderEvent(e, d, b)
	case *Tagged:
		for i, r := range d.Records {
			if product, _, found := strings.Cut(r.Name, ":"); found {
				t.saw(product)
				t.tagged(e, r.Name, b, i == 0)
			} else if r.Name != "" {
				t.say(tellFirmware, e, b, "the firmware measured: %s", r.Name)
			}
		}
	case *Windows:
		t.windows(e, d, b)
	case Separator:
		if d.Error {
			t.warn(tellFirmware, e, b, "the firmware reported an error to PCR %d: %s", e.PCR, orEmpty(d.Text))
		}
	case *Systemd:
		t.say(tellLinux, e, b, "systemd measured %s", d)
	case *Confidential:
		t.say(tellFirmware, e, b, "%s", d)
	case *Engine:
		t.say(tellFirmware, e, b, "%s", d)
	case *COS:
		t.say(tellOther, e, b, "the container's %s", d)
	case *SPDM:
		t.tellOnce(tellOther, e, b, d.failed(), "a device reported a "+d.String())
	case Text:
		if e.Type == EVEFIAction || e.Type == EVAction || e.Type == EVOmitBootDeviceEvents {
			t.say(tellChain, e, b, "firmware said: %s", d.Text)
		}
	}
}

func orEmpty(text string) string {
	if text == "" {
		return "(nothing)"
	}
	return text
}

func (t *teller) variable(e *Event, v *Variable, b Binding) {
	switch {
	case e.Type == EVEFIVariableAuthority && v.GUID.String() == guidShimLock && v.Authority != nil:
		t.say(tellSecureBoot, e, b, "shim accepted the next program for %s (%s)", v.Authority, v.Name)
	case e.Type == EVEFIVariableAuthority && v.Authority != nil:
		t.say(tellSecureBoot, e, b, "firmware accepted the next program for %s, which is in %s", v.Authority, v.Name)
	case v.Name == "SbatLevel":
		t.say(tellSecureBoot, e, b, "boot loaders revoked by generation: %s", strings.Join(strings.Fields(v.Text), " "))
	case (v.Name == "SecureBoot" || isPolicyVariable(v.Name)) && (!t.policyRegister(e) || t.closed):
		t.secondWord(e, v.Name, b)
	case v.Name == "SecureBoot" && v.GUID.String() == guidGlobalVariable && v.Enabled != nil && b == Bound && t.story.SecureBoot == notMeasured:
		t.secureBoot(e, *v.Enabled) // by its value alone, as some firmware for TPM 1.2 does
	case v.Name == "SecureBoot":
		t.warn(tellSecureBoot, e, b, "a word about SecureBoot that is not measured as firmware does: %s", v)
	case isSignatureVariable(v.Name):
		t.say(tellSecureBoot, e, b, "%s holds %s", signatureUse(v.Name), orNothing(summarise(v.Signatures)))
	case v.Enabled != nil:
		t.say(tellSecureBoot, e, b, "%s is %s", v.Name, onOff(*v.Enabled))
	case v.Option != nil || v.Order != nil:
		t.say(tellOptions, e, b, "%s", v)
		if v.Option != nil && v.Option.Optional > 0 && b == Bound {
			t.remember(v.content[len(v.content)-v.Option.Optional:], "as in "+v.Name)
		}
	}
}

// tagged tells of something that only has a name. An event has one digest, of what its first record names.
func (t *teller) tagged(e *Event, name string, b Binding, first bool) {
	switch {
	case strings.HasSuffix(name, ": initrd"):
		t.initrd = true
	case first && strings.HasSuffix(name, ": command line"):
		t.line = e
		if a := t.argumentsOf(e); a != nil {
			t.story.Cmdline = a.text
			t.say(tellLinux, e, Bound, "kernel command line, %s: %s", a.where, a.text)
			return
		}
	}
	t.say(tellLinux, e, b, "%s was measured", name)
}

// remember keeps arguments under the digests by which the kernel's EFI stub may measure them.
func (t *teller) remember(data []byte, where string) {
	if len(data) > maxArguments {
		return
	}
	a := &arguments{strings.TrimRight(decodeUTF16(data), "\x00"), where}
	for _, bank := range t.log.Banks {
		if !bank.Known() {
			continue
		}
		if key := (measuredAs{bank, string(bank.Sum(data))}); t.lines[key] == nil {
			t.lines[key] = a
		}
	}
}

// argumentsOf finds the arguments that an event measured, nil where they are not known. All banks have to agree.
func (t *teller) argumentsOf(e *Event) (found *arguments) {
	for d := range e.Digests.All() {
		if !d.Alg.Known() {
			continue
		}
		a := t.lines[measuredAs{d.Alg, string(d.Value)}]
		if a == nil || found != nil && a != found {
			return nil
		}
		found = a
	}
	return found
}

// judgeCmdline says what does not fit the command line that was measured last.
func (t *teller) judgeCmdline() {
	if t.line == nil {
		return
	}
	if t.running != "" && withoutImage(t.running) != withoutImage(t.story.Cmdline) {
		t.story.another = true
		t.warn(tellLinux, t.line, Bound, "the running kernel was started with another command line, which is not measured, as kexec does: %s", t.running)
	}
	if t.line.Type == EVEventTag && !t.initrd && strings.Contains(" "+t.story.Cmdline, " initrd=") {
		t.warn(tellLinux, t.line, Bound, "the kernel read the initrd that its command line names, and did not measure it")
	}
}

// policyRegister tells whether the event is where firmware measures its Secure Boot configuration. Whoever can extend
// another PCR can write the same words there.
func (t *teller) policyRegister(e *Event) bool { return e.PCR == 7 || t.log.CC && e.PCR == 1 }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

func signatureUse(name string) string {
	switch name {
	case "PK":
		return "PK, the owner's key,"
	case "KEK":
		return "KEK, whose keys may change the lists,"
	case "db":
		return "db, the list of what may run,"
	case "dbx":
		return "dbx, the list of what may not run,"
	}
	return name
}

// image tells of a program that was started. Firmware volumes hold the firmware's own programs; one of those in the boot
// chain, such as a setup screen, gives PCR 4 a value it has only once.
func (t *teller) image(e *Event, i *ImageLoad, b Binding) {
	where := "from memory"
	if i.Path != nil && i.Path.Text != "" {
		where = i.Path.Text
	}
	what := map[EventType]string{EVEFIBootServicesDriver: "driver", EVEFIRuntimeDriver: "driver that stays"}[e.Type]
	if what == "" {
		what = "program"
	}
	if e.Type == EVEFIBootServicesApp {
		t.program = i.File()
	}
	if e.Type == EVEFIBootServicesApp && strings.Contains(where, "FvFile(") {
		t.say(tellChain, e, b, "a program of the firmware itself ran before the boot: %s", where)
		return
	}
	t.say(tellChain, e, b, "a %s was started: %s", what, where)
}

func (t *teller) loaderEvent(e *Event, l *Loader, b Binding) {
	t.saw(l.Producer)
	switch {
	case l.Producer == "grub" && l.What == "command":
		if t.grub++; t.grub > maxCommands {
			t.heard = append(t.heard, "GRUB ran: "+l.Text)
			return
		}
		t.say(tellChain, e, b, "GRUB ran: %s", l.Text)
	case l.What == "kernel_cmdline" || l.What == "cmdline":
		if b == Bound {
			t.line, t.story.Cmdline = e, l.Text
		}
		words := map[bool]string{true: "command line from the boot loader: %s", false: "kernel command line: %s"}
		t.say(tellLinux, e, b, words[l.What == "cmdline"], l.Text)
	case l.What == "file" && isInitrd(l.Text):
		t.story.Initrd = l.Text
		t.say(tellLinux, e, b, "the initrd is %s", l.Text)
	case l.What == "file":
		t.say(tellChain, e, b, "GRUB read the file %s", l.Text)
	case l.Producer == "shim":
		t.say(tellSecureBoot, e, b, "shim measured its variable %s", l.Text)
	case l.What == "section" && b == Bound:
		if t.story.UKI == "" && t.program != "" {
			t.story.UKI = t.program
		}
		t.say(tellLinux, e, b, "the unified kernel image has a section %s", l.Text)
	case l.What == "section":
		t.say(tellLinux, e, b, "the content of section %s was measured", l.Text)
	default:
		t.say(tellChain, e, b, "%s", l)
	}
}

// isInitrd knows an initial file system by the names distributions give it.
func isInitrd(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return strings.HasPrefix(name, "initr") || strings.HasPrefix(name, "initramfs")
}

// saw notes a program that took part in the boot, by the traces it leaves.
func (t *teller) saw(name string) {
	if !slices.Contains(t.loaders, name) {
		t.loaders = append(t.loaders, name)
	}
}

const launched = "what the launched environment measures"

// changesWith says what gives a PCR another value.
var changesWith = [pcrCount]string{
	0: "a firmware update", 1: "firmware settings, boot options and hardware tables", 2: "option ROMs and drivers of add-in cards",
	3: "settings of add-in cards", 4: "updates of shim, the boot loader, and the kernel where firmware loads it", 5: "the partition table of the boot disk",
	6: "what the maker of the machine puts there", 7: "Secure Boot switched, updates of db and dbx, another signer of the boot loader",
	8: "boot menu entries and the kernel command line", 9: "kernel, initrd and what GRUB reads", 10: "every file the kernel measures",
	11: "the unified kernel image and the phases of the boot; in Windows BitLocker closes it", 12: "command lines and credentials given to the kernel; in Windows its settings",
	13: "system extensions; in Windows the drivers it loads", 14: "keys enrolled in shim (MOK); in Windows who signed its modules",
	15: "the machine's identity and volume keys", 16: "debugging", 17: "the dynamic launch", 18: "the launched environment", 19: launched,
	20: launched, 21: launched, 22: launched, 23: "applications",
}

// changesOf names register changes in a confidential guest, whose registers stand for several PCRs each.
var changesOfRTMR = []string{"the firmware's code", "firmware settings and Secure Boot", "boot loader, kernel and partition table", "the operating system", "applications"}

func (t *teller) tales() []PCRTale {
	tales := []PCRTale{}
	for pcr, n := range t.counts {
		if n == 0 {
			continue
		}
		tale := PCRTale{PCR: pcr, Events: n, Changes: changesWith[pcr]}
		if t.log.CC && pcr < len(changesOfRTMR) {
			tale.Changes = changesOfRTMR[pcr]
		}
		tale.Holds = t.holds(pcr, n)
		tales = append(tales, tale)
	}
	return tales
}

// holds counts what was measured into a PCR, by kind.
func (t *teller) holds(pcr, n int) string {
	kinds := make(map[string]int)
	var order []string
	for i := range t.log.Events {
		e := &t.log.Events[i]
		if !e.Extends() || int(e.PCR) != pcr {
			continue
		}
		name := e.Type.String()
		if e.Content == ContentIMA {
			name = "measured files"
		}
		if kinds[name]++; kinds[name] == 1 {
			order = append(order, name)
		}
	}
	if n == 1 && order[0] == EVSeparator.String() {
		return "a separator only: nothing was measured"
	}
	for i, name := range order {
		if kinds[name] > 1 {
			order[i] = fmt.Sprintf("%d %s", kinds[name], name)
		}
	}
	return strings.Join(order, ", ")
}
