package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/internal/host"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) infoCommand() *cobra.Command {
	return a.command(verb{
		use:   "info",
		short: "print what the TPM is and can do, and which cloud this is",
		long: `What a TPM and the firmware say about themselves comes from whoever runs this machine: it guides defaults and proves
nothing. vtpmctl quote makes proof.`,
		example: "vtpmctl info\nvtpmctl info -o json",
		onTPM: func(ctx context.Context, t tpm.Conn, _ []string) (out.Doc, error) {
			c, err := tpm.Probe(ctx, t)
			if err != nil {
				return nil, err
			}
			return infoDoc{a.Host.Platforms(tpmFacts(c)), c}, nil
		},
	})
}

// tpmFacts picks what tells a platform.
func tpmFacts(c *tpm.Capabilities) host.TPMFacts {
	f := host.TPMFacts{Manufacturer: c.Manufacturer.ID, VendorString: c.VendorString}
	for _, cc := range c.VendorCommands {
		f.VendorCommands = append(f.VendorCommands, uint32(cc))
	}
	for _, h := range slices.Concat(c.Handles.Persistent, c.Handles.NV) {
		f.Handles = append(f.Handles, uint32(h))
	}
	return f
}

// infoDoc is the result of info.
type infoDoc struct {
	Platforms []host.Platform `json:"platforms"`
	*tpm.Capabilities
}

func (infoDoc) Schema() string { return "vtpmctl.info/v1" }

func (d infoDoc) Table(t *out.Table) {
	maker := d.Manufacturer.ID
	if d.Manufacturer.Name != "" {
		maker += " (" + d.Manufacturer.Name + ")"
	}
	t.Field("manufacturer", maker)
	t.Field("model", d.VendorString)
	t.Field("firmware", d.Firmware)
	t.Field("specification", fmt.Sprintf("TPM %s, revision %s", d.Spec.Family, d.Spec.Revision))
	for _, p := range d.Platforms {
		t.Field("platform", fmt.Sprintf("%s, %s confidence: %s", p.Name, p.Confidence, joined(p.Signals)))
	}
	t.Field("PCR banks", d.banks())
	t.Field("hashes", d.algorithms("hash"))
	t.Field("ciphers", d.algorithms("symmetric"))
	t.Field("keys", d.algorithms("asymmetric", "object"))
	t.Field("curves", strings.Join(d.Curves, " "))
	t.Field("commands", fmt.Sprintf("%d, and %d of the vendor", len(d.Commands), len(d.VendorCommands)))
	t.Field("lockout", lockoutWords(d.Lockout))
	t.Field("passwords", d.passwords())
	t.Field("room", fmt.Sprintf("%d objects, %d persistent objects, %d sessions; NV index up to %d bytes",
		d.Limits.TransientFree, d.Limits.PersistentFree, d.Limits.SessionsFree, d.Limits.NVIndex))
	for _, what := range d.Refused {
		t.Field("not told", out.Maybe(what))
	}
	handleTable(t, "Persistent objects", d.Handles.Persistent)
	handleTable(t, "NV indices", d.Handles.NV)
	handleTable(t, "Loaded objects and sessions", slices.Concat(d.Handles.Transient, d.Handles.LoadedSessions, d.Handles.SavedSessions))
}

func (d infoDoc) banks() string {
	var active, off []string
	for _, b := range d.Banks {
		if b.Active {
			active = append(active, b.Name)
		} else {
			off = append(off, b.Name)
		}
	}
	words := strings.Join(active, " ")
	if off != nil {
		words += "; switched off: " + strings.Join(off, " ")
	}
	return words
}

// algorithms names those that have these attributes and no others: a cipher is symmetric, its modes encrypt as well.
func (d infoDoc) algorithms(attributes ...string) string {
	var names []string
	for _, a := range d.Algorithms {
		if slices.Equal(a.Attributes, attributes) {
			names = append(names, a.Name)
		}
	}
	return strings.Join(names, " ")
}

// passwords tells which hierarchies have one: a common reason why others' commands are refused.
func (d infoDoc) passwords() string {
	var set []string
	for _, h := range []struct {
		name string
		set  bool
	}{{"owner", d.State.OwnerAuthSet}, {"endorsement", d.State.EndorsementAuthSet}, {"lockout", d.State.LockoutAuthSet}} {
		if h.set {
			set = append(set, h.name)
		}
	}
	if set == nil {
		return "none set"
	}
	return "set for " + strings.Join(set, ", ")
}

func handleTable(t *out.Table, title string, handles []tpm.Hex) {
	if len(handles) == 0 {
		return
	}
	t.Title("%s", title)
	for _, h := range handles {
		t.Row(h.String(), out.Dim(tpm.HandleName(tpm2.TPMHandle(h))))
	}
}

// lockoutWords is the state of the defence against guessing in one line.
func lockoutWords(l tpm.Lockout) out.Cell {
	tries := fmt.Sprintf("%d of %d wrong tries used, one is forgotten every %s", l.FailedTries, l.MaxTries, seconds(l.RecoverySeconds))
	switch {
	case l.Locked:
		return out.No("LOCKED: " + tries)
	case l.FailedTries > 0:
		return out.Maybe(tries)
	}
	return out.OK(tries)
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

func joined[T fmt.Stringer](list []T) string {
	var words []string
	for _, v := range list {
		words = append(words, v.String())
	}
	return strings.Join(words, ", ")
}
