package seal

import (
	"bytes"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// pemType is the label of the ASN.1 key file of draft-bottomley-tpm2-keys.
const pemType = "TSS2 PRIVATE KEY"

// The kinds of key files: id-tpmkey is 2.23.133.10.1. tpm2-tools call a sealed object a loadable key as well.
var (
	oidLoadable   = []byte{0x67, 0x81, 0x05, 0x0a, 0x01, 0x03}
	oidImportable = []byte{0x67, 0x81, 0x05, 0x0a, 0x01, 0x04}
	oidSealed     = []byte{0x67, 0x81, 0x05, 0x0a, 0x01, 0x05}
)

// KeyFile is a sealed object as the ASN.1 key file of draft-bottomley-tpm2-keys holds it: everything needed to load and
// open it, and nothing secret.
type KeyFile struct {
	EmptyAuth   bool           // no PIN is needed
	Policy      []Step         // what has to be done in a policy session
	Signed      []string       // names of the policies that somebody signed, which are not supported here
	Description string         // free text
	RSAParent   bool           // the primary that Parent stands for is RSA, not ECC
	Parent      tpm2.TPMHandle // a persistent key, or TPM_RH_OWNER for the usual primary
	Public      []byte         // TPM2B_PUBLIC
	Private     []byte         // TPM2B_PRIVATE
}

// marshal encodes k as DER.
func (k *KeyFile) marshal() []byte {
	fields := [][]byte{der(tagOID, oidSealed)}
	if k.EmptyAuth {
		fields = append(fields, explicit(0, der(tagBoolean, []byte{0xff})))
	}
	if len(k.Policy) > 0 {
		var steps [][]byte
		for _, s := range k.Policy {
			code, parameters := explicit(0, derUint32(uint32(s.Command))), explicit(1, der(tagOctets, s.Parameters))
			steps = append(steps, der(tagSequence, code, parameters))
		}
		fields = append(fields, explicit(1, der(tagSequence, steps...)))
	}
	if k.Description != "" {
		fields = append(fields, explicit(4, der(tagUTF8, []byte(k.Description))))
	}
	if k.RSAParent {
		fields = append(fields, explicit(5, der(tagBoolean, []byte{0xff})))
	}
	fields = append(fields, derUint32(uint32(k.Parent)), der(tagOctets, k.Public), der(tagOctets, k.Private))
	return der(tagSequence, fields...)
}

// parseKeyFile decodes DER, as other tools write it too.
func parseKeyFile(data []byte) (*KeyFile, error) {
	outer := newDER(data)
	d := outer.in("key file", tagSequence)
	k := &KeyFile{}
	oid := d.take("type", tagOID)
	switch {
	case *d.err != nil:
	case bytes.Equal(oid, oidImportable):
		d.fail("type", "this is a key to be imported, not a sealed secret")
	case !bytes.Equal(oid, oidSealed) && !bytes.Equal(oid, oidLoadable):
		d.fail("type", "object identifier %x is not known", oid)
	}
	if f := d.optional("emptyAuth", 0); f != nil {
		k.EmptyAuth = f.boolean("emptyAuth")
	}
	if f := d.optional("policy", 1); f != nil {
		k.Policy = parseSteps(f)
	}
	d.optional("secret", 2) // for importable keys
	if f := d.optional("authPolicy", 3); f != nil {
		k.Signed = parseSigned(f)
	}
	if f := d.optional("description", 4); f != nil {
		k.Description = string(f.take("description", tagUTF8))
	}
	if f := d.optional("rsaParent", 5); f != nil {
		k.RSAParent = f.boolean("rsaParent")
	}
	for n := byte(6); n < 16; n++ {
		d.optional("an extension", n) // added by later drafts
	}
	k.Parent = tpm2.TPMHandle(d.uint32("parent"))
	k.Public = bytes.Clone(d.take("pubkey", tagOctets))
	k.Private = bytes.Clone(d.take("privkey", tagOctets))
	if k.Parent == 0 {
		k.Parent = tpm2.TPMRHOwner // tpm2-tss-engine wrote so
	}
	if err := d.done("key file"); err != nil {
		return nil, err
	}
	if err := outer.done("after the key file"); err != nil {
		return nil, err
	}
	if _, err := k.object(); err != nil {
		return nil, err
	}
	return k, nil
}

// maxSteps bounds the length of a policy.
const maxSteps = 64

func parseSteps(f *derReader) []Step {
	var steps []Step
	for list := f.in("policy", tagSequence); list.more(); {
		if len(steps) == maxSteps {
			list.fail("policy", "more than %d steps", maxSteps)
		}
		s := list.in("policy", tagSequence)
		var step Step
		if c := s.optional("commandCode", 0); c != nil {
			step.Command = tpm2.TPMCC(c.uint32("commandCode"))
		} else {
			s.fail("commandCode", "missing")
		}
		if c := s.optional("commandPolicy", 1); c != nil {
			step.Parameters = bytes.Clone(c.take("commandPolicy", tagOctets))
		}
		steps = append(steps, step)
	}
	return steps
}

func parseSigned(f *derReader) (names []string) {
	for list := f.in("authPolicy", tagSequence); list.more(); {
		p := list.in("authPolicy", tagSequence)
		name := "unnamed"
		if n := p.optional("name", 0); n != nil {
			name = string(n.take("name", tagUTF8))
		}
		if len(names) == maxSteps {
			list.fail("authPolicy", "more than %d policies", maxSteps)
		}
		names = append(names, name)
	}
	return names
}

// object is the public area, which must be that of a sealed object.
func (k *KeyFile) object() (*tpm2.TPMTPublic, error) {
	pub, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.Public)
	if err != nil {
		return nil, fmt.Errorf("pubkey: %w", err)
	}
	contents, err := pub.Contents()
	if err != nil {
		return nil, fmt.Errorf("pubkey: %w", err)
	}
	if contents.Type != tpm2.TPMAlgKeyedHash || contents.ObjectAttributes.SignEncrypt || contents.ObjectAttributes.Decrypt {
		return nil, fmt.Errorf("pubkey: this is a key, not a sealed secret")
	}
	if n := contents.NameAlg; bankOf(n).Size() == 0 {
		return nil, fmt.Errorf("pubkey: name algorithm 0x%04x is not known", uint16(n))
	}
	if _, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](k.Private); err != nil {
		return nil, fmt.Errorf("privkey: %w", err)
	}
	return contents, nil
}
