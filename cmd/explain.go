package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) explainCommand() *cobra.Command {
	return a.command(verb{
		use:   "explain CODE|PCR|EVENT",
		short: "say what a response code, a PCR or an event type means",
		long: `A code is a number as any tool prints it or a name: of the TPM, of Windows' TPM services, of a layer of tpm2-tss, or an
errno. A PCR is 0 to 23 or its name. An event is a type of a measured-boot log. No TPM is needed.`,
		example: "vtpmctl explain 0x99d\nvtpmctl explain 0x80280400\nvtpmctl explain 7\nvtpmctl explain EV_EFI_GPT_EVENT",
		args:    cobra.ExactArgs(1),
		run:     func(_ context.Context, args []string) (out.Doc, error) { return explain(args[0]) },
	})
}

// explainDoc is the result of explain: one of the three is set.
type explainDoc struct {
	Code  *tpm.Explanation `json:"code,omitempty"`
	PCR   *pcr.Usage       `json:"pcr,omitempty"`
	Event *eventDoc        `json:"event,omitempty"`
}

type eventDoc struct {
	Type eventlog.EventType `json:"type"`
	eventlog.Meaning
}

func (explainDoc) Schema() string { return "vtpmctl.explain/v1" }

func (d explainDoc) Table(t *out.Table) {
	switch {
	case d.Code != nil:
		t.Field("code", d.Code.Words())
		t.Field("said by", layerWords(d.Code.Layer))
		t.Field("means", d.Code.Means)
		for _, h := range d.Code.Hints {
			t.Field("advice", h)
		}
		t.Field("exit status", fmt.Sprintf("%d (%s)", d.Code.Kind.Exit(), d.Code.Kind))
	case d.PCR != nil:
		t.Field("PCR", d.PCR.PCR)
		t.Field("name", d.PCR.Name)
		t.Field("measures", d.PCR.Measures)
	case d.Event != nil:
		t.Field("event type", d.Event.Type.String())
		t.Field("means", d.Event.Means)
		t.Field("digest covers", d.Event.Covers)
	}
}

func layerWords(layer string) string {
	switch layer {
	case "tpm":
		return "the TPM"
	case "tbs":
		return "Windows' TPM services"
	case "linux":
		return "the Linux kernel"
	case "unknown":
		return "nobody known"
	}
	return "tpm2-tss, layer " + layer
}

// explain looks s up. Small decimal numbers are PCRs: no tool prints a code that way.
func explain(s string) (out.Doc, error) {
	word := strings.TrimSpace(s)
	name := strings.TrimSpace(strings.TrimPrefix(strings.ToLower(word), "pcr"))
	if n, ok := pcr.ParsePCR(name); ok {
		u := pcr.UsageOf(n)
		return explainDoc{PCR: &u}, nil
	}
	if x, ok := tpm.LookUp(word); ok && x.Name != "" {
		return explainDoc{Code: &x}, nil
	}
	if t, ok := eventlog.ParseType(word); ok && t.Known() {
		return explainDoc{Event: &eventDoc{t, t.Meaning()}}, nil
	}
	if x, ok := tpm.LookUp(word); ok {
		return explainDoc{Code: &x}, nil
	}
	return nil, fail.E(fail.Usage, "%q is neither a response code nor a PCR nor an event type", s).
		Hint("codes look like 0x99d or TPM_RC_POLICY_FAIL").
		Hint("vtpmctl help pcrs lists the PCRs")
}
