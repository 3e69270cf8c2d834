package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/pcr/predict"
	"github.com/vtpmctl/vtpmctl/seal"
)

// writePredictions writes the files that were asked for.
func (a *app) writePredictions(d *predictDoc, o *predictFlags) error {
	for i := range d.Futures {
		if o.outFile == "" {
			break
		}
		var text bytes.Buffer
		values := pcrDoc{Values: &pcr.Values{Banks: d.Futures[i].Banks}, Unmeasured: []pcr.Bank{}}
		if err := out.Write(&text, out.FormatJSON, out.Style{}, out.Page{Doc: values}); err != nil {
			return err
		}
		if err := file.Write(numbered(o.outFile, i, len(d.Futures)), text.Bytes(), file.Shared, o.force); err != nil {
			return err
		}
	}
	if o.pcrlock == "" {
		return nil
	}
	forecasts := make([]*predict.Forecast, len(d.Futures))
	for i := range d.Futures {
		forecasts[i] = d.Futures[i].Forecast
	}
	for _, c := range predict.Components(forecasts) {
		text, err := json.Marshal(c.Pcrlock())
		if err != nil {
			return err
		}
		path := filepath.Join(o.pcrlock, filepath.FromSlash(c.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { // #nosec G301 -- systemd's folders are for all to read
			return fail.E(fail.OutputFailed, "%w", err)
		}
		if err := file.Write(path, append(text, '\n'), file.Shared, o.force); err != nil {
			return err
		}
	}
	return nil
}

// sealedFuture says whether a sealed file will open.
type sealedFuture struct {
	File        string           `json:"file"`
	Opens       string           `json:"opens"` // "yes", "no", or "unknown": a PCR is blocked, or the file does not tell
	Differences []pcr.Difference `json:"differences"`
	Blocked     []int            `json:"blocked"` // PCRs it depends on that are not foretold
}

func (s sealedFuture) row(t *out.Table) {
	switch s.Opens {
	case "yes":
		t.Field(s.File, out.OK("will open"))
	case "no":
		t.Field(s.File, out.No("will NOT open"))
	default:
		t.Field(s.File, out.Maybe("not known"))
	}
	for _, d := range s.Differences {
		t.Text("  %s PCR %d will differ from what it was sealed to (%s)", d.Bank.String(), d.PCR, d.Name)
	}
	for _, n := range s.Blocked {
		t.Text("  PCR %d is not foretold", n)
	}
}

// sealedFile is a sealed file whose future is asked for.
type sealedFile struct {
	path    string
	summary *seal.Summary
}

func (a *app) readSealedFiles(paths []string) (all []sealedFile, err error) {
	for _, path := range paths {
		f, err := a.readSealed(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s, err := f.Summary()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, sealedFile{path, s})
	}
	return all, nil
}

// under compares what the file was sealed to with values to come. A file of ours says the values; one of another tool
// has a digest over them, or does not tell its policy at all, and then nobody can foretell.
func (f sealedFile) under(values *pcr.Values) sealedFuture {
	s := sealedFuture{File: f.path, Opens: f.summary.PolicyFits, Differences: []pcr.Difference{}, Blocked: []int{}}
	for _, step := range f.summary.Policy {
		for _, b := range step.PCRs {
			for n := range b.PCRs.Each() {
				if values.Get(b.Bank, n) != nil {
					continue
				}
				s.Blocked = append(s.Blocked, n)
				if s.Opens == "yes" {
					s.Opens = "unknown"
				}
			}
		}
		alg, ok := eventlog.ParseAlg(f.summary.Public.NameAlg)
		if len(step.PCRs) == 0 || s.Opens != "yes" || !ok {
			continue
		}
		digest, err := values.Digest(alg, step.PCRs)
		switch {
		case err != nil || len(step.Digest) == 0:
			s.Opens = "unknown"
		case !bytes.Equal(digest, step.Digest):
			s.Opens = "no"
		}
	}
	if f.summary.Block == nil {
		return s
	}
	for _, d := range pcr.Compare(f.summary.Block.Expected, values) {
		if d.Actual != nil {
			s.Differences, s.Opens = append(s.Differences, d), "no"
		}
	}
	return s
}
