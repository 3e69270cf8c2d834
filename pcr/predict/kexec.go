package predict

import (
	"bytes"
	"maps"
	"slices"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Registers that a running system extends.
const (
	imaPCR    = 10
	systemPCR = 15 // systemd: machine, file systems, volume keys (UAPI.7)
)

// kexec foretells what the PCRs hold when the running kernel has started another one. No firmware runs in between, so they
// stay as they are, whatever the log explains of them, but for what the system that starts measures of itself.
func (p *plan) kexec(f Future) (*Forecast, error) {
	for _, c := range f.Changes {
		switch {
		case c.Kind == Kexec:
		case software[c.Kind] == "" || c.Kind == GRUBConfig:
			return nil, fail.E(fail.Usage, "--%s: kexec starts a kernel without firmware and boot loader", c.Kind).
				Hint("with --kexec go --kernel, --initrd and --cmdline; --or starts another future")
		default:
			p.note("the %s is not measured by kexec", software[c.Kind])
		}
	}
	if f.Profile != nil {
		return nil, fail.E(fail.Usage, "kexec starts no unified kernel image, which alone has profiles").Hint("leave out --profile")
	}
	p.note("after kexec the log is still that of the boot by firmware")
	all := p.forecast()
	if p.m.values != nil {
		all.Values = eventlog.Values{}
		for alg, bank := range p.m.values {
			all.Values[alg] = maps.Clone(bank)
		}
	}
	all.PCRs = all.PCRs[:0]
	for n := range pcrCount {
		if pcr, ok := p.keep(all.Values, n, f.Phases); ok {
			all.PCRs = append(all.PCRs, pcr)
		}
	}
	return all, nil
}

const pcrCount = 24

// keep is the forecast of one PCR over a kexec; the values are those of now, and become those that it will have.
func (p *plan) keep(values eventlog.Values, n int, phases []string) (PCR, bool) {
	pcr := PCR{Index: n, Confidence: Copied, Why: "kexec measures nothing"}
	known, extended := false, false
	for _, bank := range values {
		known = known || bank[n] != nil
		extended = extended || len(bytes.Trim(bank[n], "\x00")) > 0
	}
	switch {
	case !known:
		return pcr, false
	case n == ukiPCR && phases != nil:
		pcr.Changed = len(phases) > 0
		for alg, bank := range values {
			for _, phase := range phases {
				bank[n] = alg.Sum(bank[n], alg.Sum([]byte(phase)))
			}
		}
	case !extended:
	case n == imaPCR:
		pcr.Confidence, pcr.Why = Blocked, "the next kernel's IMA extends it as well"
	case n == ukiPCR && p.m.phases != nil:
		pcr.Confidence, pcr.Why = Blocked, "systemd measures the phases of this boot's end and of the next one: --phase shutdown:final:enter-initrd says up to which"
	case n == systemPCR:
		pcr.Confidence, pcr.Why = Blocked, "the next system may extend it as this one did"
	}
	if pcr.Confidence == Blocked {
		for _, bank := range values {
			delete(bank, n)
		}
	}
	return pcr, true
}

// byKexec tells a future in which no firmware runs.
func (f *Future) byKexec() bool {
	return slices.ContainsFunc(f.Changes, func(c Change) bool { return c.Kind == Kexec })
}
