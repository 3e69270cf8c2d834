package synth

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// GUIDs of the UEFI specification and of shim, in text form.
const (
	globalVariable = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	imageSecurity  = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	shimLock       = "605dab50-e046-4300-abb6-3dd810dd8b23"
	certX509       = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
	certSHA256     = "c1c41626-504c-4092-aca9-41f936934328"
	espType        = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	linuxType      = "0fc63daf-8483-4772-8e79-3d69d8477de4"
	smbios3Table   = "f2fd1544-9794-4a2c-992e-e5bbcf20e394"
	owner          = "5d0c0b6e-2f0a-4c3e-9b8a-76d8e0a1c2f4" // ours
	espGUID        = "1b7f3c52-94d6-4f0e-8a55-0c9d2e6f7a81" // the boot disk's EFI system partition
	diskGUID       = "e4a0c6f8-31b2-4d9c-b7f0-5a6b7c8d9e0f"
)

// guid encodes a GUID the way EFI stores it: the first three fields little-endian.
func guid(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 {
		panic("synth: bad GUID " + text)
	}
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

// utf16le encodes text without a terminator.
func utf16le(text string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

// utf16z encodes text with a terminator.
func utf16z(text string) []byte { return append(utf16le(text), 0, 0) }

// Variable is UEFI_VARIABLE_DATA.
func Variable(vendor, name string, data []byte) []byte {
	w := wire.NewLE().Bytes(guid(vendor)).U64(uint64(len(utf16.Encode([]rune(name))))).U64(uint64(len(data)))
	return w.Bytes(utf16le(name)).Bytes(data).Out()
}

// signatureList is one EFI_SIGNATURE_LIST; all entries have the same size.
func signatureList(kind string, entries ...[]byte) []byte {
	size := 16 + len(entries[0])
	w := wire.NewLE().Bytes(guid(kind)).U32(uint32(28 + size*len(entries))).U32(0).U32(uint32(size))
	for _, e := range entries {
		w.Bytes(guid(owner)).Bytes(e)
	}
	return w.Out()
}

// hashList is a signature list of SHA-256 hashes of names.
func hashList(names ...string) []byte {
	entries := make([][]byte, 0, len(names))
	for _, n := range names {
		sum := sha256.Sum256([]byte(n))
		entries = append(entries, sum[:])
	}
	return signatureList(certSHA256, entries...)
}

// Certificate is a certificate of the given common name, the same on every call. It is written by hand, because package
// x509's way of making one is a hundred kilobytes of a binary that makes none in earnest; its signature is no signature.
func Certificate(name string) []byte { return certificate(name, name) }

// certificate is one that an issuer gave to a name.
func certificate(name, issuer string) []byte {
	const sequence, set, integer, bits, octets, oid, utf8, utcTime, version, extensions = 0x30, 0x31, 2, 3, 4, 6, 12, 23, 0xa0, 0xa3
	seed := sha256.Sum256([]byte("vtpmctl synth " + name))
	attribute := func(kind byte, value string) []byte {
		return der(set, der(sequence, der(oid, []byte{0x55, 4, kind}), der(utf8, []byte(value))))
	}
	ed25519 := der(sequence, der(oid, []byte{0x2b, 0x65, 0x70}))
	who := func(name string) []byte {
		return der(sequence, attribute(10, "vtpmctl synthetic log"), attribute(3, name))
	}
	isCA := der(octets, der(sequence, der(1, []byte{0xff})))
	constraints := der(sequence, der(oid, []byte{0x55, 0x1d, 19}), der(1, []byte{0xff}), isCA)
	body := der(sequence,
		der(version, der(integer, []byte{2})),
		der(integer, []byte{seed[0]&0x3f | 0x40, seed[1]}),
		ed25519, who(issuer),
		der(sequence, der(utcTime, []byte("240101000000Z")), der(utcTime, []byte("490101000000Z"))),
		who(name),
		der(sequence, ed25519, der(bits, []byte{0}, seed[:])),
		der(extensions, der(sequence, constraints)),
	)
	return der(sequence, body, ed25519, der(bits, []byte{0}, seed[:], seed[:]))
}

// der is one value of ITU-T X.690.
func der(tag byte, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	switch n := len(content); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, content...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
}

// authority is the data of an EV_EFI_VARIABLE_AUTHORITY event: the one signature that let an image run.
func authority(vendor, variable, certificate string) []byte {
	return Variable(vendor, variable, append(guid(owner), Certificate(certificate)...))
}

// node is one node of a device path.
func node(kind, subkind byte, data []byte) []byte {
	return wire.NewLE().U8(kind).U8(subkind).U16(uint16(4 + len(data))).Bytes(data).Out()
}

var endOfPath = node(0x7f, 0xff, nil)

func acpiNode(hid, uid uint32) []byte { return node(2, 1, wire.NewLE().U32(hid).U32(uid).Out()) }

func pciNode(device, function byte) []byte { return node(1, 1, []byte{function, device}) }

// diskNode is the hard-drive node of the EFI system partition.
func diskNode() []byte {
	w := wire.NewLE().U32(1).U64(2048).U64(1048576).Bytes(guid(espGUID)).U8(2).U8(2)
	return node(4, 1, w.Out())
}

// diskPath leads to a file of the EFI system partition on a virtio disk.
func diskPath(file string) []byte {
	var p []byte
	for _, n := range [][]byte{acpiNode(0x0a0341d0, 0), pciNode(2, 0), diskNode(), filePathNode(file), endOfPath} {
		p = append(p, n...)
	}
	return p
}

func filePathNode(file string) []byte { return node(4, 4, utf16z(file)) }

// imageLoad is UEFI_IMAGE_LOAD_EVENT.
func imageLoad(image, path []byte) []byte {
	w := wire.NewLE().U64(0x7e000000).U64(uint64(len(image))).U64(0).U64(uint64(len(path)))
	return w.Bytes(path).Out()
}

// loadOption is EFI_LOAD_OPTION, the content of a Boot#### variable.
func loadOption(description string, path, data []byte) []byte {
	w := wire.NewLE().U32(1).U16(uint16(len(path))).Bytes(utf16z(description)).Bytes(path).Bytes(data)
	return w.Out()
}

// gptData is UEFI_GPT_DATA: the header and the entries in use. The header has the checksum of all entries, as on disk.
func gptData(root string) []byte {
	type part struct{ kind, id, name string }
	parts := []part{{espType, espGUID, "EFI System"}, {linuxType, root, "root"}}
	entries := wire.NewLE()
	first := uint64(2048)
	for _, p := range parts {
		name := make([]byte, 72)
		copy(name, utf16le(p.name))
		entries.Bytes(guid(p.kind)).Bytes(guid(p.id)).U64(first).U64(first + 1048575).U64(0).Bytes(name)
		first += 1048576
	}
	table := make([]byte, gptEntries*128)
	copy(table, entries.Out())
	w := wire.NewLE().Bytes([]byte("EFI PART")).U32(0x10000).U32(92).U32(0x12345678).U32(0)
	w.U64(1).U64(41943039).U64(34).U64(41943006).Bytes(guid(diskGUID)).U64(2).U32(gptEntries).U32(128).U32(crc32.ChecksumIEEE(table))
	return w.U64(uint64(len(parts))).Bytes(entries.Out()).Out()
}

const gptEntries = 128
