package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) ekCommand() *cobra.Command {
	return noun("ek", "look at endorsement keys and the certificates in the TPM", a.ekListCommand(), a.ekShowCommand())
}

// ekDoc lists what the TPM has to show for itself.
type ekDoc struct {
	Keys         []ekKey  `json:"keys"`
	Certificates []ekCert `json:"certificates"`
}

// ekKey is an endorsement key.
type ekKey struct {
	Template     string       `json:"template"` // of the EK Credential Profile
	Algorithm    string       `json:"algorithm"`
	Name         eventlog.Hex `json:"name"`
	Fingerprint  eventlog.Hex `json:"fingerprint"`
	Certificates []string     `json:"certificates"` // NV indices of those that are for this key
	PEM          string       `json:"pem"`
}

// ekCert is a certificate in NV memory.
type ekCert struct {
	Index    string `json:"nv_index"`
	Kind     string `json:"kind"`
	Subject  string `json:"subject"`
	Issuer   string `json:"issuer"`
	Serial   string `json:"serial"`
	NotAfter string `json:"not_after"`
	Problem  string `json:"problem"` // why it could not be read, or ""
	PEM      string `json:"pem"`
}

func (ekDoc) Schema() string { return "vtpmctl.ek/v1" }

func (d ekDoc) Table(t *out.Table) {
	t.Head("TEMPLATE", "KEY", "NAME", "CERTIFICATE")
	for _, k := range d.Keys {
		cert := out.Maybe("none")
		if len(k.Certificates) > 0 {
			cert = out.OK(strings.Join(k.Certificates, ", "))
		}
		t.Row(k.Template, k.Algorithm, k.Name, cert)
	}
	if len(d.Certificates) == 0 {
		return
	}
	t.Text("")
	t.Head("NV INDEX", "KIND", "ISSUER", "UNTIL")
	for _, c := range d.Certificates {
		if c.Problem != "" {
			t.Row(c.Index, c.Kind, out.No("not readable: "+c.Problem))
			continue
		}
		day, _, _ := strings.Cut(c.NotAfter, "T")
		t.Row(c.Index, c.Kind, c.Issuer, day)
	}
}

func (a *app) ekListCommand() *cobra.Command {
	return a.command(verb{
		use:   "list",
		short: "list endorsement keys and every certificate in NV memory",
		long: `The keys are those of the templates L-1 (RSA) and L-2 (P-256) of the EK Credential Profile, made anew and flushed. All
certificates are listed: those for keys, for the platform, and of the chain that a maker may have stored. No signature on a
certificate is checked here.`,
		example: "vtpmctl ek list\nvtpmctl ek list -o json",
		exits:   []fail.Kind{fail.AuthRefused},
		onTPM:   func(_ context.Context, t tpm.Conn, _ []string) (out.Doc, error) { return endorsement(t) },
	})
}

func endorsement(t tpm.Sender) (out.Doc, error) {
	doc := ekDoc{Keys: []ekKey{}, Certificates: []ekCert{}}
	certs, err := quote.Certificates(t)
	if err != nil {
		return nil, err
	}
	keys, err := quote.EndorsementKeys(t)
	if err != nil {
		return nil, err
	}
	for _, c := range certs {
		doc.Certificates = append(doc.Certificates, newEKCert(&c))
	}
	for _, k := range keys {
		ak, err := newAKDoc(k.Public, quote.UnknownRoot)
		if err != nil {
			return nil, err
		}
		one := ekKey{k.Template, ak.Algorithm, ak.Name, ak.Fingerprint, []string{}, ak.PEM}
		for i, c := range certs {
			if c.For(k.Public) {
				one.Certificates = append(one.Certificates, doc.Certificates[i].Index)
			}
		}
		doc.Keys = append(doc.Keys, one)
	}
	return doc, nil
}

func newEKCert(c *quote.Certificate) ekCert {
	one := ekCert{Index: fmt.Sprintf("0x%08x", uint32(c.Index)), Kind: c.Kind}
	if len(c.DER) > 0 {
		one.PEM = string(c.PEM())
	}
	if c.Err != nil {
		one.Problem = c.Err.Error()
		return one
	}
	one.Subject, one.Issuer = c.X509.Subject.String(), c.X509.Issuer.String()
	one.Serial, one.NotAfter = c.X509.SerialNumber.Text(16), c.X509.NotAfter.UTC().Format(time.RFC3339)
	return one
}

// ekPEMDoc is one key or certificate.
type ekPEMDoc struct {
	What string `json:"what"`
	PEM  string `json:"pem"`
}

func (ekPEMDoc) Schema() string { return "vtpmctl.ek-show/v1" }

func (d ekPEMDoc) Table(t *out.Table) {
	for line := range strings.Lines(d.PEM) {
		t.Text("%s", strings.TrimSuffix(line, "\n"))
	}
}

func (a *app) ekShowCommand() *cobra.Command {
	return a.command(verb{
		use:     "show TEMPLATE|INDEX",
		short:   "print an endorsement key or a certificate as PEM",
		example: "vtpmctl ek show L-2\nvtpmctl ek show 0x01c0000a",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.MissingInput, fail.AuthRefused},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			show := keyPEM
			if strings.HasPrefix(strings.ToLower(args[0]), "0x") { // a certificate is for all to read, even where making keys takes a password
				show = certificatePEM
			}
			pem, err := show(t, args[0])
			switch {
			case err != nil:
				return nil, err
			case pem == "":
				return nil, fail.E(fail.MissingInput, "this TPM has no endorsement key or certificate %q", args[0]).
					Hint("vtpmctl ek list shows what there is")
			}
			return ekPEMDoc{args[0], pem}, nil
		},
	})
}

// keyPEM is the endorsement key of a template, "" where there is none.
func keyPEM(t tpm.Sender, template string) (string, error) {
	keys, err := quote.EndorsementKeys(t)
	for _, k := range keys {
		if strings.EqualFold(k.Template, template) {
			pem, err := k.Public.PEM()
			return string(pem), err
		}
	}
	return "", err
}

// certificatePEM is all that an NV index holds: it may be a chain.
func certificatePEM(t tpm.Sender, index string) (string, error) {
	certs, err := quote.Certificates(t)
	var pem strings.Builder
	for _, c := range certs {
		if one := newEKCert(&c); strings.EqualFold(one.Index, index) {
			pem.WriteString(one.PEM)
		}
	}
	return pem.String(), err
}
