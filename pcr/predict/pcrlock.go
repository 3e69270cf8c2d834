package predict

import (
	"fmt"
	"slices"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

// Component is a file for systemd-pcrlock: a run of events that one or several futures have in common.
type Component struct {
	Name    string // "600-vtpmctl-001.pcrlock", or in a folder of variants "600-vtpmctl-002.pcrlock.d/1.pcrlock"
	records []Step
}

// pcrlockAlgs are the hashes systemd-pcrlock knows.
var pcrlockAlgs = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384, eventlog.SHA512}

// Pcrlock is the JSON form (systemd.pcrlock(5)).
func (c Component) Pcrlock() any {
	type digest struct {
		Alg    string       `json:"hashAlg"`
		Digest eventlog.Hex `json:"digest"`
	}
	type record struct {
		PCR     int      `json:"pcr"`
		Digests []digest `json:"digests"`
	}
	records := []record{}
	for _, s := range c.records {
		r := record{PCR: s.PCR, Digests: []digest{}}
		for _, d := range s.Digests {
			if slices.Contains(pcrlockAlgs, d.Alg) {
				r.Digests = append(r.Digests, digest{d.Alg.String(), d.Value})
			}
		}
		records = append(records, r)
	}
	return map[string]any{"records": records}
}

// Components cuts futures into the files that describe them: what all have in common is one component each time, and where
// they differ each future is a variant. PCRs that are blocked in any of them are left out.
func Components(futures []*Forecast) (all []Component) {
	blocked := make(map[int]bool)
	for _, f := range futures {
		for _, p := range f.PCRs {
			blocked[p.Index] = blocked[p.Index] || p.Confidence == Blocked
		}
	}
	var runs [][]Step // of each future, what is left to cut
	for _, f := range futures {
		runs = append(runs, slices.DeleteFunc(slices.Clone(f.Steps), func(s Step) bool { return blocked[s.PCR] }))
	}
	name := func() string { return fmt.Sprintf("600-vtpmctl-%03d.pcrlock", len(all)+1) }
	head := commonHead(runs)
	tail := commonHead(reversed(cut(runs, head, 0)))
	if head > 0 {
		all = append(all, Component{name(), runs[0][:head]})
	}
	middle := cut(runs, head, tail)
	folder := name()
	if !slices.ContainsFunc(middle, func(run []Step) bool { return len(run) > 0 }) {
		middle = nil // they are the same
	}
	for i, run := range middle {
		switch {
		case len(futures) == 1:
			all = append(all, Component{folder, run})
		default:
			all = append(all, Component{fmt.Sprintf("%s.d/%d.pcrlock", folder, i+1), run})
		}
	}
	if tail > 0 {
		all = append(all, Component{fmt.Sprintf("600-vtpmctl-%03d.pcrlock", 999), runs[0][len(runs[0])-tail:]})
	}
	return all
}

func cut(runs [][]Step, head, tail int) (rest [][]Step) {
	for _, r := range runs {
		rest = append(rest, r[head:len(r)-tail])
	}
	return rest
}

func reversed(runs [][]Step) (back [][]Step) {
	for _, r := range runs {
		r = slices.Clone(r)
		slices.Reverse(r)
		back = append(back, r)
	}
	return back
}

// commonHead is how many steps all runs begin with alike.
func commonHead(runs [][]Step) int {
	if len(runs) < 2 {
		return 0
	}
	n := 0
	for ; ; n++ {
		for _, r := range runs {
			if n >= len(r) || n >= len(runs[0]) || !sameStep(r[n], runs[0][n]) {
				return n
			}
		}
	}
}

func sameStep(a, b Step) bool {
	return a.PCR == b.PCR && slices.EqualFunc(a.Digests, b.Digests, func(x, y eventlog.Digest) bool {
		return x.Alg == y.Alg && slices.Equal(x.Value, y.Value)
	})
}
