package synth

import (
	"bytes"
	"slices"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Section is a section of an image.
type Section struct {
	Name    string // eight bytes at most
	Content []byte
}

// The layout of our images: headers and sections follow each other without gaps, so that what an Authenticode digest
// covers is the file but for two fields and the certificates.
const (
	peHeader    = 64
	optional    = peHeader + 24
	peChecksum  = optional + 64
	peDirectory = optional + 112 + 4*8 // of the certificate table
	peTable     = optional + 112 + 16*8
	peAlign     = 512
)

// Image is a PE image (PE32+) with the given sections, signed in the name of certificates that the named authorities
// issued. The signatures are none.
func Image(sections []Section, authorities ...string) []byte {
	headers := aligned(peTable + 40*len(sections))
	w := wire.NewLE().Bytes([]byte("MZ")).Bytes(make([]byte, peHeader-6)).U32(peHeader)
	w.Bytes([]byte("PE\x00\x00")).U16(0x8664).U16(uint16(len(sections))).U32(0).U32(0).U32(0).U16(peTable - optional).U16(0x22e)
	w.U16(0x20b).Bytes(make([]byte, 58)).U32(uint32(headers)).U32(0xc5c5c5c5).Bytes(make([]byte, 40)).U32(16).Bytes(make([]byte, 16*8))
	at, address := headers, 0x1000
	var body []byte
	for _, s := range sections {
		name := make([]byte, 8)
		copy(name, s.Name)
		size := aligned(len(s.Content))
		w.Bytes(name).U32(uint32(len(s.Content))).U32(uint32(address)).U32(uint32(size)).U32(uint32(at)).Bytes(make([]byte, 16))
		body = append(append(body, s.Content...), make([]byte, size-len(s.Content))...)
		at, address = at+size, address+(size+0xfff)&^0xfff
	}
	image := slices.Concat(w.Out(), make([]byte, headers-w.Len()), body)
	var table []byte
	for _, ca := range authorities {
		table = append(table, signature(ca)...)
	}
	if len(table) > 0 {
		copy(image[peDirectory:], wire.NewLE().U32(uint32(len(image))).U32(uint32(len(table))).Out())
	}
	return append(image, table...)
}

func aligned(n int) int { return (n + peAlign - 1) &^ (peAlign - 1) }

// signature is a WIN_CERTIFICATE with PKCS #7 signed data in it, but for the signature.
func signature(ca string) []byte {
	const sequence, set, integer, oid, context = 0x30, 0x31, 2, 6, 0xa0
	pkcs7 := func(kind byte) []byte { return der(oid, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, kind}) }
	signed := der(sequence, der(integer, []byte{1}), der(set), der(sequence, pkcs7(1)),
		der(context, certificate("signer of "+ca, ca)), der(set))
	data := der(sequence, pkcs7(2), der(context, signed))
	data = append(data, make([]byte, -len(data)&7)...)
	return wire.NewLE().U32(uint32(8 + len(data))).U16(0x0200).U16(2).Bytes(data).Out()
}

// measured is what firmware hashes of an image: of one of ours what Authenticode covers, and of a stand-in all.
func measured(image []byte) []byte {
	if !bytes.HasPrefix(image, []byte("MZ")) {
		return image
	}
	size := wire.LE(image[peDirectory+4:]).U32()
	return slices.Concat(image[:peChecksum], image[peChecksum+4:peDirectory], image[peDirectory+8:len(image)-int(size)])
}
