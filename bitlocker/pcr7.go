package bitlocker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Binding says whether BitLocker can rest on PCR 7, that is on Secure Boot, given what the firmware measured. Where it
// cannot, Windows falls back to PCRs 0, 2, 4 and 11, and every firmware update asks for the recovery key.
type Binding struct {
	Outcome   BindingOutcome        `json:"outcome"`
	Checks    []eventlog.NamedCheck `json:"checks"`
	Authority *Authority            `json:"authority,omitempty"` // what vouched for the boot manager
	// Pending is set when db holds the certificate of 2023 and the boot manager is still vouched for by that of 2011: the
	// boot manager to come changes PCR 7.
	Pending bool `json:"pending_2023_boot_manager"`
}

// BindingOutcome is the answer.
type BindingOutcome string

// The outcomes. The undocumented GetSecureBootBindingState of Windows tells the same apart (0 and 2, and 3 for bound).
const (
	BindingPossible    BindingOutcome = "possible"
	BindingNotPossible BindingOutcome = "not_possible"
	BindingUnknown     BindingOutcome = "unknown"
)

// Authority is the certificate of db that vouched for an image.
type Authority struct {
	Subject string       `json:"subject"`
	SHA256  eventlog.Hex `json:"sha256"`
	Owner   string       `json:"owner"`
	Event   int          `json:"event"`
}

// The certificates that vouch for Windows' boot manager, and for nobody else's.
const (
	subject2011 = "Microsoft Windows Production PCA 2011"
	subject2023 = "Windows UEFI CA 2023"

	ownerMicrosoft = "77fa9abd-0359-4d32-bd60-28f4e78f784b"
)

// secureBootVariables must all be measured, empty ones as well (PFP, "Measuring UEFI variables").
var secureBootVariables = []string{"SecureBoot", "PK", "KEK", "db", "dbx"}

// pcr7Events is what a log says of PCR 7.
type pcr7Events struct {
	variables   map[string]*eventlog.Variable
	separators  int
	authorities []authorityEvent
	broken      []int // events whose data does not have the digest it was measured with
}

type authorityEvent struct {
	number   int
	variable *eventlog.Variable
}

// PCR7 applies Windows' rules for PCR 7 binding to the log of a boot. live are the values of the TPM that log is of: it is
// then believed only if its replay gives their PCR 7. Without them the answer is as true as the log.
func PCR7(log *eventlog.Log, live *pcr.Values) *Binding {
	events := collectPCR7(log)
	b := &Binding{Checks: []eventlog.NamedCheck{}}
	b.checkLog(log, events)
	if live != nil {
		b.checkReplay(log, live)
	}
	b.checkVariables(events)
	b.checkAuthority(events)
	b.Outcome = BindingPossible
	for _, c := range b.Checks {
		switch {
		case c.Outcome == eventlog.Fail:
			b.Outcome = BindingNotPossible
		case c.Outcome == eventlog.NotProven && b.Outcome == BindingPossible:
			b.Outcome = BindingUnknown
		}
	}
	return b
}

func collectPCR7(log *eventlog.Log) *pcr7Events {
	found := &pcr7Events{variables: map[string]*eventlog.Variable{}}
	for i := range log.Events {
		e := &log.Events[i]
		if e.PCR != 7 || !e.Extends() {
			continue
		}
		decoded, check, _ := e.Look()
		if check.Binding == eventlog.Broken {
			found.broken = append(found.broken, e.Number)
		}
		v, isVariable := decoded.(*eventlog.Variable)
		switch {
		case e.Type == eventlog.EVSeparator:
			found.separators++
		case !isVariable:
		case e.Type == eventlog.EVEFIVariableAuthority:
			found.authorities = append(found.authorities, authorityEvent{e.Number, v})
		case e.Type == eventlog.EVEFIVariableDriverConfig && found.variables[v.Name] == nil:
			found.variables[v.Name] = v
		}
	}
	return found
}

func (b *Binding) add(name string, outcome eventlog.Outcome, format string, args ...any) {
	b.Checks = append(b.Checks, eventlog.NamedCheck{Name: name, Outcome: outcome, Text: fmt.Sprintf(format, args...)})
}

func (b *Binding) checkLog(log *eventlog.Log, events *pcr7Events) {
	switch {
	case !log.Complete():
		b.add("log", eventlog.NotProven, "the log cannot be read to its end")
	case len(events.broken) > 0:
		b.add("log", eventlog.NotProven, "the digests of events %v are not those of their data", events.broken)
	default:
		b.add("log", eventlog.Pass, "the log is whole, and the events of PCR 7 have the digests of their data")
	}
}

// checkReplay compares the banks that both the log and the TPM have.
func (b *Binding) checkReplay(log *eventlog.Log, live *pcr.Values) {
	replayed := pcr.Replayed(log)
	compared := 0
	for _, bank := range log.Banks {
		value := live.Get(bank, 7)
		if value == nil {
			continue
		}
		compared++
		if !bytes.Equal(value, replayed.Get(bank, 7)) {
			b.add("replay", eventlog.NotProven, "the log leads to another PCR 7 than the TPM holds in bank %v", bank)
			return
		}
	}
	if compared == 0 {
		b.add("replay", eventlog.NotProven, "the TPM has none of the log's banks")
		return
	}
	b.add("replay", eventlog.Pass, "the log leads to the PCR 7 that the TPM holds")
}

func (b *Binding) checkVariables(events *pcr7Events) {
	var missing []string
	for _, name := range secureBootVariables {
		if events.variables[name] == nil {
			missing = append(missing, name)
		}
	}
	switch secureBoot := events.variables["SecureBoot"]; {
	case secureBoot == nil:
		b.add("secure_boot", eventlog.Fail, "the firmware did not measure whether Secure Boot is on")
	case secureBoot.Enabled == nil || !*secureBoot.Enabled:
		b.add("secure_boot", eventlog.Fail, "Secure Boot is off")
	default:
		b.add("secure_boot", eventlog.Pass, "Secure Boot is on")
	}
	if len(missing) > 0 {
		b.add("variables", eventlog.Fail, "the firmware did not measure %s", strings.Join(missing, ", "))
	} else {
		b.add("variables", eventlog.Pass, "%s are measured", strings.Join(secureBootVariables, ", "))
	}
	if events.separators == 1 {
		b.add("separator", eventlog.Pass, "one separator ends the configuration")
	} else {
		b.add("separator", eventlog.Fail, "PCR 7 has %d separators; there must be one", events.separators)
	}
}

// checkAuthority: one certificate of db must have vouched, Windows' own. Another before it, of an option ROM or a shim,
// could be anybody's tomorrow.
func (b *Binding) checkAuthority(events *pcr7Events) {
	if len(events.authorities) == 0 {
		b.add("authority", eventlog.Fail, "no certificate vouched for the boot manager")
		return
	}
	first := events.authorities[0]
	signature := first.variable.Authority
	if signature != nil && signature.Certificate != nil {
		b.Authority = &Authority{
			Subject: signature.Certificate.Subject, SHA256: signature.Certificate.SHA256,
			Owner: signature.Owner.String(), Event: first.number,
		}
	}
	b.Pending = b.Authority != nil && b.Authority.Subject == subject2011 &&
		slices.ContainsFunc(certificates(events.variables["db"]), func(c *eventlog.Certificate) bool { return c.Subject == subject2023 })
	switch {
	case b.Authority == nil:
		b.add("authority", eventlog.Fail, "%s vouched for the boot manager, not a certificate of db", first.variable.Name)
	case b.Authority.Subject != subject2011 && b.Authority.Subject != subject2023:
		b.add("authority", eventlog.Fail, "the first authority is %s (event %d), not that of Windows' boot manager", b.Authority.Subject, first.number)
	case len(events.authorities) > 1:
		second := events.authorities[1]
		b.add("authority", eventlog.Fail, "a second authority follows (event %d, %s)", second.number, second.variable)
	case first.variable.Name != "db":
		b.add("authority", eventlog.Fail, "the certificate is of %s, not of db", first.variable.Name)
	case b.Authority.Owner != ownerMicrosoft:
		b.add("authority", eventlog.Fail, "the owner of the certificate is %s, not Microsoft (%s)", b.Authority.Owner, ownerMicrosoft)
	case !slices.ContainsFunc(certificates(events.variables["db"]), func(c *eventlog.Certificate) bool {
		return bytes.Equal(c.SHA256, b.Authority.SHA256)
	}):
		b.add("authority", eventlog.Fail, "the certificate is not in the db that was measured")
	default:
		b.add("authority", eventlog.Pass, "%s vouched for the boot manager", b.Authority.Subject)
	}
}

func certificates(v *eventlog.Variable) (list []*eventlog.Certificate) {
	if v == nil {
		return nil
	}
	for _, l := range v.Signatures {
		for i := range l.Entries {
			if c := l.Entries[i].Certificate; c != nil {
				list = append(list, c)
			}
		}
	}
	return list
}
