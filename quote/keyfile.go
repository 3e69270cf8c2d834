package quote

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// KeyFile is an attestation key outside a TPM. The private part is encrypted for the parent, so the file is no secret:
// only the TPM it was made in can use it. It is not a TSS2 PEM file because that format has no words for a key below an
// endorsement key: it knows primary keys of the storage template alone.
type KeyFile struct {
	Algorithm  string       `json:"algorithm"`
	Name       eventlog.Hex `json:"name"`
	Attributes []string     `json:"attributes"`
	Parent     Parent       `json:"parent"`
	ParentName eventlog.Hex `json:"parent_name"`
	Persistent string       `json:"persistent_handle,omitempty"` // where a copy of the key is kept in the TPM
	PublicArea []byte       `json:"public"`                      // TPM2B_PUBLIC
	Private    []byte       `json:"private"`                     // the buffer of a TPM2B_PRIVATE
	public     *Public
}

// KeySchema names the format of a KeyFile.
const KeySchema = "vtpmctl.ak/v1"

func newKeyFile(p *Public, private []byte, parent Parent, parentName eventlog.Hex) *KeyFile {
	return &KeyFile{
		Algorithm: p.Algorithm(), Name: p.Name(), Attributes: p.Attributes.Names(), Parent: parent, ParentName: parentName,
		PublicArea: wire.NewBE().Sized16(p.Bytes()).Out(), Private: private, public: p,
	}
}

// Public is the key's public part.
func (f *KeyFile) Public() *Public { return f.public }

// Encode gives the text of the file.
func (f *KeyFile) Encode() ([]byte, error) { return encode(KeySchema, f) }

// maxKeyFile bounds the text of a KeyFile, in bytes. The largest keys need a quarter of it.
const maxKeyFile = 64 << 10

// DecodeKeyFile reads what Encode gives. Of what the file says in words only the parent counts: the rest is taken from
// the public area.
func DecodeKeyFile(data []byte) (*KeyFile, error) {
	f := &KeyFile{}
	if err := decode(data, maxKeyFile, KeySchema, f); err != nil {
		return nil, err
	}
	p, err := DecodePublic(f.PublicArea)
	if err != nil {
		return nil, err
	}
	f.public, f.Algorithm, f.Name, f.Attributes = p, p.Algorithm(), p.Name(), p.Attributes.Names()
	switch {
	case f.Parent != UnderEK && f.Parent != UnderSRK:
		return nil, fail.E(fail.BadInput, "the attestation key file names the parent %q, which is neither ek nor srk", string(f.Parent))
	case len(f.Private) == 0 || len(f.Private) > maxStructure:
		return nil, fail.E(fail.BadInput, "the attestation key file has a private part of %d bytes", len(f.Private))
	}
	return f, nil
}

// encode writes v as JSON with its schema first.
func encode(schema string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, `{"schema":%q,%s`, schema, body[1:])
	var b bytes.Buffer
	err = json.Indent(&b, text, "", "  ")
	b.WriteByte('\n')
	return b.Bytes(), err
}

// decode reads JSON of at most limit bytes whose schema is the one given.
func decode(data []byte, limit int, schema string, v any) error {
	if len(data) > limit {
		return fail.E(fail.BadInput, "a file of %d bytes is longer than the %d that %s may have", len(data), limit, schema)
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fail.E(fail.BadInput, "this is not JSON of %s: %w", schema, err)
	}
	if head.Schema != schema {
		return fail.E(fail.BadInput, "the file has the schema %q, not %s", head.Schema, schema)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fail.E(fail.BadInput, "this is not %s: %w", schema, err)
	}
	return nil
}
