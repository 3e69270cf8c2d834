package cmd

import (
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/seal"
)

func TestASealedFileOpensLaterOnlyIfItsPolicyIsKnown(t *testing.T) {
	values := &pcr.Values{}
	values.Set(eventlog.SHA256, 7, make(pcr.Hex, 32))
	right, err := values.Digest(eventlog.SHA256, pcr.Of(eventlog.SHA256, 7))
	if err != nil {
		t.Fatal(err)
	}
	step := func(digest pcr.Hex, n int) seal.StepSummary {
		return seal.StepSummary{Command: "TPM2_PolicyPCR", PCRs: pcr.Of(eventlog.SHA256, n), Digest: digest}
	}
	wrong := make(pcr.Hex, 32)
	for name, c := range map[string]struct {
		fits  string
		steps []seal.StepSummary
		want  string
	}{
		"as foretold":                          {"yes", []seal.StepSummary{step(right, 7)}, "yes"},
		"other values":                         {"yes", []seal.StepSummary{step(wrong, 7)}, "no"},
		"a PCR that is not foretold":           {"yes", []seal.StepSummary{step(right, 4)}, "unknown"},
		"other values, and one not foretold":   {"yes", []seal.StepSummary{step(wrong, 7), step(right, 4)}, "no"},
		"no policy in the file":                {"unknown", nil, "unknown"},
		"steps that are not the TPM's":         {"no", []seal.StepSummary{step(right, 7)}, "no"},
		"no policy, and none that is demanded": {"yes", nil, "yes"},
	} {
		f := sealedFile{"f", &seal.Summary{PolicyFits: c.fits, Policy: c.steps, Public: seal.PublicSummary{NameAlg: "sha256"}}}
		if got := f.under(values).Opens; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
