package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) akCommand() *cobra.Command {
	return noun("ak", "make and look at attestation keys, which sign quotes",
		a.akCreateCommand(), a.akShowCommand(), a.akListCommand(), a.akDeleteCommand())
}

// akDoc is one attestation key.
type akDoc struct {
	File        string       `json:"file,omitempty"`
	Handle      string       `json:"persistent_handle,omitempty"`
	Algorithm   string       `json:"algorithm"`
	Name        eventlog.Hex `json:"name"`
	Fingerprint eventlog.Hex `json:"fingerprint"`
	Attributes  []string     `json:"attributes"`
	Parent      quote.Parent `json:"parent"`
	PEM         string       `json:"pem"`
}

func (akDoc) Schema() string { return "vtpmctl.ak-info/v1" }

func (d akDoc) Table(t *out.Table) {
	if d.File != "" {
		t.Field("file", d.File)
	}
	if d.Handle != "" {
		t.Field("persistent at", d.Handle)
	}
	t.Field("key", d.Algorithm)
	t.Field("name", d.Name)
	t.Field("fingerprint", d.Fingerprint)
	t.Field("attributes", strings.Join(d.Attributes, ", "))
	if d.Parent != quote.UnknownRoot {
		t.Field("parent", strings.ToUpper(string(d.Parent)))
	}
	for line := range strings.Lines(d.PEM) {
		t.Text("%s", strings.TrimSuffix(line, "\n"))
	}
}

func newAKDoc(p *quote.Public, parent quote.Parent) (akDoc, error) {
	pem, err := p.PEM()
	if err != nil {
		return akDoc{}, err
	}
	fingerprint, err := p.Fingerprint()
	return akDoc{
		Algorithm: p.Algorithm(), Name: p.Name(), Fingerprint: fingerprint, Attributes: p.Attributes.Names(),
		Parent: parent, PEM: string(pem),
	}, err
}

func (a *app) akCreateCommand() *cobra.Command {
	var kind, under, path, persist string
	var force bool
	return a.command(verb{
		use:   "create --out-file FILE",
		short: "make an attestation key and keep it in a file",
		long: `The key is made inside the TPM, signs nothing but what the TPM itself says, and never leaves it in the clear: FILE holds
it wrapped for this very TPM. The verifier needs its name, which "ak show" prints, or FILE itself.
The TPM's memory is left alone unless --persist names a free handle in it.`,
		example: "vtpmctl ak create --out-file ak.json\nvtpmctl ak create --type rsa --under srk --out-file ak.json\n" +
			"vtpmctl ak create --out-file ak.json --persist 0x81010010",
		exits:   []fail.Kind{fail.Unsupported, fail.OutputExists, fail.AuthRefused},
		effects: tpm.Persists,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&path, "out-file", "", "`FILE` to keep the key in")
			f.StringVar(&kind, "type", "ecc", "ecc (ECDSA on P-256) or rsa (2048 bits)")
			f.StringVar(&under, "under", "ek", "parent: ek, the endorsement key, or srk, the storage root key")
			f.StringVar(&persist, "persist", "", "also keep the key in the TPM at this free `HANDLE`, such as 0x81010010")
			f.BoolVar(&force, "force", false, "replace FILE")
		},
		onTPM: func(_ context.Context, t tpm.Conn, _ []string) (out.Doc, error) {
			if path == "" {
				return nil, fail.E(fail.Usage, "where is the key to be kept?").Hint("--out-file ak.json")
			}
			var handle tpm2.TPMHandle
			if persist != "" {
				var err error
				if handle, err = quote.ParseHandle(persist); err != nil {
					return nil, err
				}
			}
			p, err := file.Create(path, file.Secret, force)
			if err != nil {
				return nil, err
			}
			defer p.Abort()
			key, err := quote.CreateIn(t, quote.Algorithm(kind), quote.Parent(under))
			if err != nil {
				return nil, err
			}
			if err := keepKey(t, key, p, handle); err != nil {
				return nil, err
			}
			doc, err := newAKDoc(key.Public(), key.Parent)
			doc.File, doc.Handle = path, key.Persistent
			return doc, err
		},
	})
}

// keepKey writes the key to its file and, where a handle is given, into the TPM. The TPM comes last but one: a full disk must
// not leave a key behind there.
func keepKey(t tpm.Sender, f *quote.KeyFile, p *file.Pending, handle tpm2.TPMHandle) error {
	if handle != 0 {
		f.Persistent = fmt.Sprintf("0x%08x", uint32(handle))
	}
	text, err := f.Encode()
	if err != nil {
		return err
	}
	if _, err := p.Write(text); err != nil {
		return err
	}
	if handle != 0 {
		if err := persistKey(t, f, handle); err != nil {
			return err
		}
	}
	return p.Commit()
}

func persistKey(t tpm.Sender, f *quote.KeyFile, handle tpm2.TPMHandle) error {
	key, err := f.Load(t)
	if err != nil {
		return err
	}
	return errors.Join(key.Persist(t, handle), key.Flush(t))
}

// maxKeyText bounds the file of an attestation key.
const maxKeyText = 64 << 10

func (a *app) akShowCommand() *cobra.Command {
	return a.command(verb{
		use:     "show FILE",
		short:   "print the name, attributes and public part of a key from a file; opens no TPM",
		example: "vtpmctl ak show ak.json\nvtpmctl ak show ak.json -o json",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.BadInput, fail.MissingInput},
		run: func(_ context.Context, args []string) (out.Doc, error) {
			f, err := a.readKeyFile(args[0])
			if err != nil {
				return nil, err
			}
			doc, err := newAKDoc(f.Public(), f.Parent)
			doc.File, doc.Handle = args[0], f.Persistent
			return doc, err
		},
	})
}

func (a *app) readKeyFile(path string) (*quote.KeyFile, error) {
	data, err := a.readInput(path, maxKeyText)
	if err != nil {
		return nil, err
	}
	f, err := quote.DecodeKeyFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// akListDoc lists persistent attestation keys.
type akListDoc struct {
	Keys []akDoc `json:"keys"`
}

func (akListDoc) Schema() string { return "vtpmctl.ak-list/v1" }

func (d akListDoc) Table(t *out.Table) {
	if len(d.Keys) == 0 {
		t.Text("no attestation key is kept in this TPM")
		return
	}
	t.Head("HANDLE", "KEY", "NAME")
	for _, k := range d.Keys {
		t.Row(k.Handle, k.Algorithm, k.Name)
	}
}

func (a *app) akListCommand() *cobra.Command {
	return a.command(verb{
		use:     "list",
		short:   "list the attestation keys kept in the TPM",
		long:    "Restricted signing keys at persistent handles, whoever put them there.",
		example: "vtpmctl ak list",
		onTPM: func(_ context.Context, t tpm.Conn, _ []string) (out.Doc, error) {
			keys, err := quote.List(t)
			if err != nil {
				return nil, err
			}
			doc := akListDoc{Keys: []akDoc{}}
			for _, k := range keys {
				one, err := newAKDoc(k.Public, k.Parent)
				if err != nil {
					return nil, err
				}
				one.Handle = fmt.Sprintf("0x%08x", uint32(k.Handle))
				doc.Keys = append(doc.Keys, one)
			}
			return doc, nil
		},
	})
}

// deletedDoc is the result of ak delete.
type deletedDoc struct {
	Handle  string       `json:"handle"`
	Name    eventlog.Hex `json:"name"`
	Changed bool         `json:"changed"`
}

func (deletedDoc) Schema() string { return "vtpmctl.ak-delete/v1" }

func (d deletedDoc) Table(t *out.Table) {
	t.Text("%s", "removed the attestation key "+d.Name.String()+" from "+d.Handle)
}

func (a *app) akDeleteCommand() *cobra.Command {
	return a.command(verb{
		use:     "delete HANDLE",
		short:   "remove an attestation key from the TPM's memory",
		long:    "Only the key at this very handle is removed, and only if it is an attestation key. Key files are not touched.",
		example: "vtpmctl ak delete 0x81010010",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.MissingInput, fail.BadInput},
		effects: tpm.Persists,
		named: func(args []string) ([]tpm2.TPMHandle, error) {
			h, err := quote.ParseHandle(args[0])
			return []tpm2.TPMHandle{h}, err
		},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			h, err := quote.ParseHandle(args[0])
			if err != nil {
				return nil, err
			}
			key, err := quote.Persistent(t, h)
			if err != nil {
				return nil, err
			}
			if err := key.Delete(t); err != nil {
				return nil, err
			}
			return deletedDoc{Handle: tpm.Hex(h).String(), Name: key.Public.Name(), Changed: true}, nil
		},
	})
}
