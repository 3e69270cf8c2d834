package quote

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// EK is an endorsement key, made anew from the template that its certificate would be for.
type EK struct {
	Template string // of the EK Credential Profile, section B.3: "L-1" or "L-2"
	Public   *Public
}

// EndorsementKeys makes the two endorsement keys of the low range, as far as the TPM knows their algorithms, and
// flushes them again.
func EndorsementKeys(t tpm.Sender) ([]EK, error) {
	keys := []EK{}
	for _, c := range []struct {
		name     string
		template tpm2.TPMTPublic
	}{{"L-1", tpm2.RSAEKTemplate}, {"L-2", tpm2.ECCEKTemplate}} {
		k, err := createPrimary(t, tpm2.TPMRHEndorsement, c.template, UnderEK)
		if unknownToTPM(err) {
			continue
		}
		if err == nil {
			err = k.Flush(t)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, EK{c.name, k.Public})
	}
	return keys, nil
}

// unknownToTPM tells whether a TPM refused a template because it lacks the algorithm, the curve or the key size.
func unknownToTPM(err error) bool {
	return slices.ContainsFunc([]tpm2.TPMRC{tpm2.TPMRCCurve, tpm2.TPMRCType, tpm2.TPMRCValue, tpm2.TPMRCAsymmetric},
		func(rc tpm2.TPMRC) bool { return errors.Is(err, rc) })
}

// Certificate is what a manufacturer or a cloud put into the TPM's NV memory.
type Certificate struct {
	Index tpm2.TPMHandle
	Kind  string            // "endorsement", "chain" or "platform"
	DER   []byte            // without padding
	X509  *x509.Certificate // nil where it does not parse
	Err   error             // why
}

// PEM is the certificate as other tools read it.
func (c *Certificate) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})
}

// For tells whether the certificate vouches for k.
func (c *Certificate) For(k *Public) bool {
	own, ok := k.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && c.X509 != nil && own.Equal(c.X509.PublicKey)
}

// certificateKind says what an NV index is for, "" where it holds no certificate (EK Credential Profile, section
// 2.2.1.4 and 2.2.1.5): between the certificates lie nonces and templates.
func certificateKind(index tpm2.TPMHandle) string {
	switch {
	case index == 0x01c00002 || index == 0x01c0000a, index >= 0x01c00012 && index <= 0x01c0001e && index%2 == 0:
		return "endorsement"
	case index >= 0x01c00100 && index <= 0x01c001ff:
		return "chain"
	case index >= 0x01c08000 && index <= 0x01c0ffff:
		return "platform"
	}
	return ""
}

// Certificates reads every certificate in NV memory. One that cannot be read does not hide the others.
func Certificates(t tpm.Sender) ([]Certificate, error) {
	indices, err := tpm.ListHandles(t, tpm2.TPMHTNVIndex)
	if err != nil {
		return nil, err
	}
	list := []Certificate{}
	for _, index := range indices {
		kind := certificateKind(index)
		if kind == "" {
			continue
		}
		c := Certificate{Index: index, Kind: kind}
		var data []byte
		if data, c.Err = readNV(t, index); c.Err != nil {
			list = append(list, c)
			continue
		}
		for first := true; first || startsDER(data); first = false {
			c.parse(&data)
			list = append(list, c)
		}
	}
	return list, nil
}

// startsDER tells whether another certificate follows: an index of a chain may hold several.
func startsDER(data []byte) bool { return len(data) > 4 && data[0] == 0x30 && data[1]&0x80 != 0 }

// parse takes one certificate off data. Some makers write the header of TPM 1.2 before it, and padding of 00 or FF
// after it.
func (c *Certificate) parse(data *[]byte) {
	const header12 = "\x10\x01\x00" // TCG_PCCLIENT_STORED_CERT, then a 16-bit size
	text := *data
	if len(text) > 5 && string(text[:3]) == header12 {
		text = text[5:]
	}
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(text, &raw)
	*data = rest
	if err != nil {
		c.DER, c.Err = nil, fail.E(fail.BadInput, "it is no DER: %w", err)
		return
	}
	c.DER = raw.FullBytes
	c.X509, c.Err = x509.ParseCertificate(c.DER)
}

// chunkNV is how much of an index is read at once: every TPM of the PC Client profile has a buffer of 512 bytes.
const chunkNV = 512

// readNV reads a whole NV index that asks for no password.
func readNV(t tpm.Sender, index tpm2.TPMHandle) ([]byte, error) {
	public, name, err := tpm.ReadNVPublic(t, index)
	if err != nil {
		return nil, err
	}
	self := tpm2.NamedHandle{Handle: index, Name: name}
	auth := tpm2.AuthHandle{Handle: index, Name: name, Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, 16)}
	if !public.Attributes.AuthRead {
		auth = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	var data []byte
	for len(data) < int(public.DataSize) {
		size := min(chunkNV, int(public.DataSize)-len(data))
		rsp, err := tpm2.NVRead{AuthHandle: auth, NVIndex: self, Size: uint16(size), Offset: uint16(len(data))}.Execute(t)
		if err != nil {
			return nil, err
		}
		if len(rsp.Data.Buffer) != size {
			return nil, fail.E(fail.BadInput, "the TPM gave %d bytes of NV index 0x%08x for %d", len(rsp.Data.Buffer), uint32(index), size)
		}
		data = append(data, rsp.Data.Buffer...)
	}
	return data, nil
}
