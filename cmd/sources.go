package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/quote"
)

// bootFile is what a file tells of a boot: a log, PCR values, or both, as evidence and baselines do.
type bootFile struct {
	name     string
	kind     string // "event log", "PCR values", "evidence" or "baseline"
	log      *eventlog.Log
	values   *pcr.Values
	evidence *quote.Evidence // nil unless the file is that
}

// maxBootFile bounds the files that are told apart here.
const maxBootFile = max(eventlog.MaxSize, quote.MaxEvidence, baseline.MaxFile)

// bigFile is what makes its reader frugal: beside a small one the garbage of printing it is small too.
const bigFile = 8 << 20

// readBoot reads a file of any of the kinds, told apart by what is in it.
func (a *app) readBoot(path string) (*bootFile, error) {
	data, err := a.readInput(path, maxBootFile)
	if err != nil {
		return nil, err
	}
	if len(data) >= bigFile {
		a.Frugal()
	}
	f, err := decodeBoot(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.name = path
	return f, nil
}

func decodeBoot(data []byte) (*bootFile, error) {
	switch schema, banks := peek(data); {
	case schema == quote.EvidenceSchema:
		e, err := quote.Decode(data)
		if err != nil {
			return nil, err
		}
		log, err := e.EventLog()
		return &bootFile{kind: "evidence", log: log, values: &e.Values, evidence: e}, err
	case schema == baseline.Schema:
		b, err := baseline.Decode(data)
		if err != nil {
			return nil, err
		}
		return &bootFile{kind: "baseline", log: b.Log(), values: &b.Values}, nil
	case banks:
		values, err := pcr.Decode(data, nil)
		return &bootFile{kind: "PCR values", values: values}, err
	}
	log, logErr := eventlog.Parse(data)
	if logErr == nil {
		return &bootFile{kind: "event log", log: log}, nil
	}
	if values, err := pcr.Decode(data, nil); err == nil {
		return &bootFile{kind: "PCR values", values: values}, nil
	}
	return nil, logErr
}

// peek looks at the top level of a JSON object: its schema, and whether it has PCR values.
func peek(data []byte) (schema string, banks bool) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return "", false
	}
	var head struct {
		Schema string          `json:"schema"`
		Banks  json.RawMessage `json:"banks"`
	}
	if json.Unmarshal(data, &head) != nil {
		return "", false // a sequence of records is no object
	}
	return head.Schema, len(head.Banks) > 0
}

// needLog refuses a file that has no log.
func (f *bootFile) needLog() (*eventlog.Log, error) {
	if f.log == nil {
		return nil, fail.E(fail.BadInput, "%s: this is %s, and has no event log", f.name, f.kind)
	}
	return f.log, nil
}

// needValues refuses a file that has no PCR values.
func (f *bootFile) needValues() (*pcr.Values, error) {
	if f.values == nil {
		return nil, fail.E(fail.BadInput, "%s: this is an event log, and has no PCR values", f.name).
			Hint("vtpmctl eventlog replay %s -o pcrread computes them", f.name)
	}
	return f.values, nil
}
