package eventlog

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// Replay is what a log says the PCRs hold, bank by bank.
type Replay struct {
	Banks []BankReplay `json:"banks"`
	Notes []Note       `json:"notes"`
}

// BankReplay is the replay of one bank. PCRs lists those the log says something about, in order.
type BankReplay struct {
	Alg  Alg         `json:"bank"`
	PCRs []PCRReplay `json:"pcrs"`
}

// PCRReplay is the replay of one PCR in one bank.
type PCRReplay struct {
	Index       int    `json:"pcr"`
	Value       Hex    `json:"digest"`
	Start       Hex    `json:"start"`
	StartReason string `json:"start_reason"` // why it started there
	Events      int    `json:"events"`       // that extended it in this bank
	Missing     int    `json:"missing"`      // events that extend this PCR and carry no digest for this bank
}

// Bank returns the replay of one bank, nil where the log has none of it.
func (r *Replay) Bank(alg Alg) *BankReplay {
	for i := range r.Banks {
		if r.Banks[i].Alg == alg {
			return &r.Banks[i]
		}
	}
	return nil
}

// PCR returns the replay of one PCR, nil where the log says nothing about it.
func (b *BankReplay) PCR(index int) *PCRReplay {
	for i := range b.PCRs {
		if b.PCRs[i].Index == index {
			return &b.PCRs[i]
		}
	}
	return nil
}

// ResetValue is what a PCR holds after a TPM reset when nothing was extended: all ones for PCR 17 to 22, which only a
// dynamic launch sets to zero, and zeroes for the others (PFP, "PCR Attributes").
func ResetValue(bank Alg, pcr int) Hex {
	value := make(Hex, bank.Size())
	if pcr >= firstDynamic && pcr <= lastDynamic {
		for i := range value {
			value[i] = 0xff
		}
	}
	return value
}

// starts is where the PCRs of a log begin.
type starts struct {
	pcr0   byte   // last byte of PCR 0
	why0   string // why
	launch int    // number of the first event of a dynamic launch, -1 without one
}

// of returns the start of one PCR.
func (s *starts) of(bank Alg, pcr int) (value Hex, why string) {
	switch {
	case pcr == 0 && s.why0 != "":
		value = make(Hex, bank.Size())
		value[len(value)-1] = s.pcr0
		return value, s.why0
	case pcr >= firstDynamic && pcr <= lastDynamic && s.launch >= 0:
		return make(Hex, bank.Size()), fmt.Sprintf("dynamic launch at event %d sets PCR 17 to 22 to zero", s.launch)
	}
	return ResetValue(bank, pcr), "reset value"
}

const (
	localitySignature = "StartupLocality\x00"
	hcrtmLocality     = 4 // _TPM_Hash_Start runs at locality 4, and Startup keeps that in PCR 0
)

// startupLocality returns the locality an EV_NO_ACTION event declares (PFP, "EFI_STARTUP_LOCALITY_EVENT").
func startupLocality(e *Event) (byte, bool) {
	if e.Type != EVNoAction || e.PCR != 0 || len(e.Data) < 17 || !bytes.HasPrefix(e.Data, []byte(localitySignature)) {
		return 0, false
	}
	return e.Data[16], true
}

// findStarts reasons where the PCRs began. Only what comes before the first extend of PCR 0 can have set its start; a
// locality event after that is a mistake or a lie, and is noted, not believed.
func (l *Log) findStarts(notes *[]Note) starts {
	s := starts{launch: -1}
	extended0 := false
	note := func(e *Event, code, text string) {
		*notes = append(*notes, Note{Code: code, Offset: e.Offset, Event: e.Number, Text: text})
	}
	seen := 0
	for i := range l.Events {
		e := &l.Events[i]
		if e.Content != ContentPCClient {
			continue
		}
		if locality, ok := startupLocality(e); ok {
			seen++
			switch {
			case extended0:
				if seen <= 2 {
					note(e, "late_locality", "StartupLocality after PCR 0 was extended: ignored")
				}
			case seen > 1:
				if seen == 2 {
					note(e, "second_locality", "more than one StartupLocality: the first one counts")
				}
			default:
				s.pcr0, s.why0 = locality, fmt.Sprintf("StartupLocality %d (event %d)", locality, e.Number)
				if locality != 0 && locality != 3 && locality != 4 {
					note(e, "odd_locality", fmt.Sprintf("no TPM starts up at locality %d", locality))
				}
			}
		}
		if !e.Extends() || e.Digests.Len() == 0 {
			continue
		}
		if e.PCR == 0 && !extended0 {
			extended0 = true
			if e.Type == EVEFIHCRTMEvent {
				s.pcr0, s.why0 = hcrtmLocality, fmt.Sprintf("H-CRTM before TPM2_Startup (event %d): locality 4", e.Number)
			}
		}
		if s.launch < 0 && e.PCR >= firstDynamic && e.PCR <= lastDynamic && !l.CC {
			s.launch = e.Number
		}
	}
	return s
}

// Replay computes every bank this package can hash.
func (l *Log) Replay() *Replay {
	r := &Replay{Banks: []BankReplay{}, Notes: []Note{}}
	s := l.findStarts(&r.Notes)
	var foldings []*folding
	for _, bank := range l.Banks {
		if bank.Known() {
			foldings = append(foldings, newFolding(bank, &s))
			continue
		}
		r.Notes = append(r.Notes, Note{Code: "bank_not_checked", Event: -1, Quirk: "Q26",
			Text: fmt.Sprintf("the bank %s cannot be computed here", bank)})
	}
	l.walk(foldings)
	for _, f := range foldings {
		r.Banks = append(r.Banks, BankReplay{Alg: f.bank, PCRs: f.list(&s)})
	}
	return r
}

// walk folds all events into the banks. A replay is hashing and nothing else, so a long log is walked once on each core,
// and each walk takes its share of the banks: the digests of an event lie side by side.
func (l *Log) walk(foldings []*folding) {
	walks := 1
	if len(l.Events) >= 1000 {
		walks = max(1, min(len(foldings), runtime.GOMAXPROCS(0)))
	}
	var others sync.WaitGroup
	for _, share := range shares(foldings, walks) {
		others.Go(func() {
			for i := range l.Events {
				if e := &l.Events[i]; e.Extends() {
					for _, f := range share {
						f.extend(e)
					}
				}
			}
		})
	}
	others.Wait()
}

// shares deals banks out to n walks, each to the one with the least to do, the slowest bank first. How long a bank takes
// is about the square of its digests' size: SHA-512 ten times as long as SHA-1.
func shares(foldings []*folding, n int) [][]*folding {
	dealt, costs := make([][]*folding, n), make([]int, n)
	for _, f := range slices.SortedStableFunc(slices.Values(foldings), func(a, b *folding) int { return b.size - a.size }) {
		least := slices.Index(costs, slices.Min(costs))
		dealt[least] = append(dealt[least], f)
		costs[least] += f.size * f.size
	}
	return dealt
}

// folding is a bank while events are folded into its PCRs. It allocates per PCR, not per event.
type folding struct {
	bank Alg
	size int
	pcrs [pcrCount]PCRReplay
}

func newFolding(bank Alg, s *starts) *folding {
	f := &folding{bank: bank, size: bank.Size()}
	for i := range f.pcrs {
		start, why := s.of(bank, i)
		f.pcrs[i] = PCRReplay{Index: i, Value: append(Hex{}, start...), Start: start, StartReason: why}
	}
	return f
}

func (f *folding) extend(e *Event) {
	p := &f.pcrs[e.PCR]
	digest := e.extendDigest(f.bank)
	if len(digest) != f.size {
		p.Missing++
		return
	}
	f.bank.extend(p.Value, digest)
	p.Events++
}

// list returns the PCRs that the log says something about.
func (f *folding) list(s *starts) []PCRReplay {
	out := []PCRReplay{}
	for i := range f.pcrs {
		if p := &f.pcrs[i]; p.Events > 0 || p.Missing > 0 || (i == 0 && s.why0 != "") {
			out = append(out, *p)
		}
	}
	return out
}
