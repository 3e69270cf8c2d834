package eventlog

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// SignatureList is EFI_SIGNATURE_LIST (UEFI, "Signature Database").
type SignatureList struct {
	Type    GUID        `json:"type"`
	Name    string      `json:"type_name"`
	Entries []Signature `json:"entries"`
}

// Signature is EFI_SIGNATURE_DATA: a certificate, a hash or a key that somebody put on a list.
type Signature struct {
	Owner       GUID         `json:"owner"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Hash        Hex          `json:"hash,omitempty"`
	Data        Hex          `json:"data,omitempty"` // the start of any other content
}

func (s *Signature) String() string {
	switch {
	case s.Certificate != nil:
		return s.Certificate.String()
	case s.Hash != nil:
		return "hash " + s.Hash.String()
	}
	return fmt.Sprintf("%d bytes of owner %s", len(s.Data), s.Owner)
}

// Certificate is what a person recognises a certificate by.
type Certificate struct {
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	Serial  string `json:"serial"`
	SHA256  Hex    `json:"sha256"` // fingerprint
}

func (c *Certificate) String() string {
	if c.Subject == "" {
		return "certificate with fingerprint " + c.SHA256.String()
	}
	return c.Subject
}

// maxCertificate bounds what is given to the certificate parser; real ones have one or two KiB.
const maxCertificate = 64 << 10

// parseCertificate always returns the fingerprint; a certificate that Go's parser rejects has no names.
func parseCertificate(der []byte) (*Certificate, error) {
	sum := sha256.Sum256(der)
	c := &Certificate{SHA256: sum[:]}
	if len(der) > maxCertificate {
		return c, fmt.Errorf("certificate of %d bytes", len(der))
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return c, fmt.Errorf("certificate: %w", err)
	}
	c.Subject, c.Issuer, c.Serial = nameOf(parsed.Subject.CommonName, parsed.Subject.String()),
		nameOf(parsed.Issuer.CommonName, parsed.Issuer.String()), parsed.SerialNumber.Text(16)
	return c, nil
}

func nameOf(common, full string) string {
	if common != "" {
		return common
	}
	return full
}

// parseSignatureLists reads lists to the end of data; the lists before a broken one are kept.
func parseSignatureLists(data []byte) (lists []SignatureList, err error) {
	for r := wire.LE(data); r.Len() > 0; {
		start := r.Offset()
		list := SignatureList{Type: readGUID(r), Entries: []Signature{}}
		size, header, each := uint64(r.U32()), uint64(r.U32()), uint64(r.U32())
		if r.Err() != nil {
			return lists, errors.Join(err, r.Err())
		}
		if size < 28+header || size-28 > uint64(r.Len()) || each < 16 || header > uint64(r.Len()) {
			return lists, errors.Join(err, fmt.Errorf("signature list at offset %d: size %d, header %d, entries of %d bytes",
				start, size, header, each))
		}
		list.Name = list.Type.Name()
		r.Bytes(int(header))
		body := wire.LE(r.Bytes(int(size - 28 - header)))
		for uint64(body.Len()) >= each {
			s, sigErr := parseSignature(list.Type, body.Bytes(int(each)))
			list.Entries = append(list.Entries, s)
			if err == nil {
				err = sigErr
			}
		}
		lists = append(lists, list)
	}
	return lists, err
}

// parseSignature reads one entry of at least 16 bytes.
func parseSignature(kind GUID, data []byte) (s Signature, err error) {
	s.Owner = GUID(data[:16])
	content := data[16:]
	switch kind.String() {
	case guidCertX509:
		s.Certificate, err = parseCertificate(content)
	case guidCertSHA1, guidCertSHA256, guidCertSHA384, guidCertSHA512, guidX509SHA256, guidX509SHA384, guidX509SHA512:
		s.Hash = Hex(content)
	default:
		s.Data = Hex(content[:min(len(content), maxOpaque)])
	}
	return s, err
}

// parseAuthority reads the EFI_SIGNATURE_DATA of an authority event. The list it came from is not in the log, so the
// content tells what it is; shim once left the owner out.
func parseAuthority(content []byte) (*Signature, error) {
	if len(content) > 0 && content[0] == 0x30 { // a DER sequence without an owner before it
		if c, err := parseCertificate(content); err == nil {
			return &Signature{Certificate: c}, nil
		}
	}
	if len(content) < 16 {
		return nil, nil
	}
	s := &Signature{Owner: GUID(content[:16])}
	body := content[16:]
	switch c, err := parseCertificate(body); {
	case err == nil:
		s.Certificate = c
	case len(body) == 20 || len(body) == 32 || len(body) == 48 || len(body) == 64:
		s.Hash = Hex(body)
	case len(body) > 0 && body[0] == 0x30:
		s.Certificate = c
		return s, err
	default:
		return nil, nil
	}
	return s, nil
}

// summarise counts what lists hold, naming the certificates.
func summarise(lists []SignatureList) string {
	var names []string
	hashes, other := 0, 0
	for i := range lists {
		for j := range lists[i].Entries {
			switch s := &lists[i].Entries[j]; {
			case s.Certificate != nil:
				names = append(names, s.Certificate.String())
			case s.Hash != nil:
				hashes++
			default:
				other++
			}
		}
	}
	if hashes > 0 {
		names = append(names, fmt.Sprintf("%d hashes", hashes))
	}
	if other > 0 {
		names = append(names, fmt.Sprintf("%d other entries", other))
	}
	return strings.Join(names, ", ")
}
