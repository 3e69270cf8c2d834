package synth

import (
	"crypto"
	"crypto/sha256"
	_ "crypto/sha512" // as a name algorithm
	"encoding/binary"
	"fmt"
	"strings"
)

// ClearKey makes the protector of a suspended volume.
func ClearKey() Protector {
	return Protector{properties: func(m *maker, vmk []byte) []byte {
		key := m.bytes(32)
		return append(keyDatum(0x2000, key), m.ccmDatum(key, vmkDatum(vmk))...)
	}}
}

// Password makes a protector that password opens.
func Password(password string) Protector {
	return Protector{protection: 0x2000, properties: func(m *maker, vmk []byte) []byte {
		salt := m.bytes(16)
		return m.stretched(0x1001, salt, stretch(hashPassword(password), salt), vmk)
	}}
}

// RecoveryPassword makes a protector that the 48-digit number of RecoveryDigits(key) opens. Windows notes times in it.
func RecoveryPassword(key [16]byte) Protector {
	return Protector{protection: 0x0800, properties: func(m *maker, vmk []byte) []byte {
		salt := m.bytes(16)
		return append(m.stretched(0x1000, salt, stretch(sha256.Sum256(key[:]), salt), vmk), backupTimes()...)
	}}
}

// Sealed makes a password (or, with recovery, a recovery password) protector that nothing opens, without the second of
// key stretching that an openable one costs.
func Sealed(recovery bool) Protector {
	if !recovery {
		return Protector{protection: 0x2000, properties: func(m *maker, vmk []byte) []byte {
			return m.stretched(0x1001, m.bytes(16), m.bytes(32), vmk)
		}}
	}
	return Protector{protection: 0x0800, properties: func(m *maker, vmk []byte) []byte {
		return append(m.stretched(0x1000, m.bytes(16), m.bytes(32), vmk), backupTimes()...)
	}}
}

func backupTimes() []byte {
	return datum(0, 0x15, new(buffer).u64(fileTime(Created)).u64(fileTime(Created)).u32(0x00020008).out)
}

// RecoveryDigits writes a recovery key as Windows shows it: eight groups, each divisible by 11.
func RecoveryDigits(key [16]byte) string {
	var groups []string
	for i := range 8 {
		groups = append(groups, fmt.Sprintf("%06d", uint32(binary.LittleEndian.Uint16(key[2*i:]))*11))
	}
	return strings.Join(groups, "-")
}

// ExternalKey makes a protector that the key file BEK(i, key) opens, if it stands at index i of Volume.Protectors.
func ExternalKey(key [32]byte) Protector {
	return Protector{protection: 0x0200, name: "ExternalKey", properties: func(m *maker, vmk []byte) []byte {
		use := new(buffer).u16(0x2002).u16(0).raw(m.ccmDatum(vmk, keyDatum(0x2002, key[:]))).out
		return append(datum(0, 4, use), m.ccmDatum(key[:], vmkDatum(vmk))...)
	}}
}

// BEK makes the key file of the external key protector at index i.
func BEK(i int, key [32]byte) []byte {
	id := make([]byte, 16)
	copy(id, volumeID[:])
	id[15] = byte(0xa0 + i)
	body := new(buffer).raw(id).u64(fileTime(Created)).raw(datum(0, 2, utf16z("ExternalKey"))).raw(keyDatum(0x2002, key[:])).out
	entry := datum(6, 9, body)
	size := uint32(48 + len(entry))
	return new(buffer).u32(size).u32(1).u32(48).u32(size).raw(id).u32(1).u32(0).u64(fileTime(Created)).raw(entry).out
}

// stretched wraps the VMK under key, and the key under the VMK, as Windows does to keep passwords changeable.
func (m *maker) stretched(kind uint16, salt, key, vmk []byte) []byte {
	s := new(buffer).u16(kind).u16(0).raw(salt).raw(m.ccmDatum(vmk, keyDatum(0x2000, key))).out
	return append(datum(0, 3, s), m.ccmDatum(key, vmkDatum(vmk))...)
}

func vmkDatum(vmk []byte) []byte { return keyDatum(0x2003, vmk) }

// TPM says under which PCR values a TPM protector is sealed. Private stays opaque; Private and Public may come from a
// real TPM, else they are made up and no TPM loads them.
type TPM struct {
	PCRs       []int
	Bank       uint16         // 0: SHA-256
	NameAlg    uint16         // 0: SHA-256
	Values     map[int][]byte // expected PCR values; missing ones are zero
	PIN        bool           // a PIN as well
	StartupKey bool           // a key file as well
	Policy     []byte         // instead of the policy Windows writes
	Private    []byte         // TPM2B_PRIVATE without its size
	Public     []byte         // TPM2B_PUBLIC without its size
}

// Protector makes the TPM protector.
func (t TPM) Protector() Protector {
	p := Protector{protection: 0x0100, name: "TPM Protection"}
	if t.PIN {
		p.protection |= 0x0400
	}
	if t.StartupKey {
		p.protection |= 0x0200
	}
	p.properties = func(m *maker, vmk []byte) []byte {
		blob := datum(0, 6, t.Datum(m.bytes))
		if !t.PIN && !t.StartupKey {
			return blob
		}
		stretched := m.stretched(0x1000, m.bytes(16), m.bytes(32), vmk)
		return append(blob, stretched...)
	}
	return p
}

// Datum makes the body of the TPM datum; random fills what a TPM would have made.
func (t TPM) Datum(random func(int) []byte) []byte {
	selection := t.selection()
	bitmap := uint32(selection[0]) | uint32(selection[1])<<8 | uint32(selection[2])<<16
	digest := t.PCRDigest()
	private, public := t.Private, t.Public
	if private == nil {
		private = random(170)
	}
	if public == nil {
		policy := t.Policy
		if policy == nil {
			policy = t.WindowsPolicy()
		}
		public = be16(nil, 8, t.nameAlg())
		public = binary.BigEndian.AppendUint32(public, 0x412)
		public = append(be16(public, uint16(len(policy))), policy...)
		public = append(be16(public, 0x10, 32), random(32)...)
	}
	out := binary.LittleEndian.AppendUint32(nil, bitmap)
	out = append(be16(out, uint16(len(private))), private...)
	out = append(be16(out, uint16(len(public))), public...)
	out = append(be16(out, uint16(len(digest))), digest...)
	return append(append(out, 3), selection...)
}

// PCRDigest is the digest of the expected values, in order of PCR.
func (t TPM) PCRDigest() []byte {
	h := t.hash().New()
	for pcr := range 24 {
		for _, selected := range t.PCRs {
			if selected == pcr {
				value := t.Values[pcr]
				if value == nil {
					value = make([]byte, hashOf(t.bank()).Size())
				}
				h.Write(value)
			}
		}
	}
	return h.Sum(nil)
}

// WindowsPolicy is the digest of PolicyAuthValue and PolicyPCR over the expected values.
func (t TPM) WindowsPolicy() []byte {
	h := t.hash().New()
	h.Write(make([]byte, h.Size()))
	h.Write([]byte{0, 0, 1, 0x6b})
	first := h.Sum(nil)
	h.Reset()
	h.Write(first)
	h.Write([]byte{0, 0, 1, 0x7f, 0, 0, 0, 1})
	h.Write(append(be16(nil, t.bank()), 3))
	h.Write(t.selection())
	h.Write(t.PCRDigest())
	return h.Sum(nil)
}

// selection is the bit field of a TPMS_PCR_SELECTION.
func (t TPM) selection() []byte {
	bits := make([]byte, 3)
	for _, pcr := range t.PCRs {
		bits[pcr/8] |= 1 << (pcr % 8)
	}
	return bits
}

func (t TPM) bank() uint16    { return orSHA256(t.Bank) }
func (t TPM) nameAlg() uint16 { return orSHA256(t.NameAlg) }

func (t TPM) hash() crypto.Hash { return hashOf(t.nameAlg()) }

func orSHA256(alg uint16) uint16 {
	if alg == 0 {
		return 0xb
	}
	return alg
}

func hashOf(alg uint16) crypto.Hash {
	return map[uint16]crypto.Hash{4: crypto.SHA1, 0xb: crypto.SHA256, 0xc: crypto.SHA384, 0xd: crypto.SHA512}[alg]
}

func be16(out []byte, values ...uint16) []byte {
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}
