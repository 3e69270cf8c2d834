package engine_test

import (
	"bytes"
	"testing"
)

// player sends calls.
type player struct {
	t  testing.TB
	to sender
}

// do sends a command with an empty password for each of n handles.
func (p *player) do(cc uint32, n int, handles []uint32, params ...any) reply {
	c := call{cc: cc, handles: handles, params: be(params...), returns: returnsHandle[cc]}
	for range n {
		c.sessions = append(c.sessions, pw(""))
	}
	return try(p.t, p.to, c)
}

// plain sends a command without authorization.
func (p *player) plain(cc uint32, params ...any) reply { return p.do(cc, 0, nil, params...) }

// on sends a command about handles that need no authorization.
func (p *player) on(cc uint32, handles []uint32, params ...any) reply {
	return p.do(cc, 0, handles, params...)
}

func (p *player) flush(handles ...uint32) {
	for _, h := range handles {
		p.plain(0x165, h)
	}
}

var returnsHandle = map[uint32]bool{0x131: true, 0x157: true, 0x167: true, 0x161: true, 0x176: true, 0x15b: true, 0x186: true, 0x191: true}

const (
	hOwner, hNull, hLockout, hEndorsement, hPlatform, hPlatformNV uint32 = 0x40000001, 0x40000007, 0x4000000a, 0x4000000b, 0x4000000c, 0x4000000d

	fixedTPM, stClear, fixedParent, origin, userAuth, adminPolicy, noDA, encDup, restricted, decrypt, sign uint32 = 2, 4, 0x10, 0x20, 0x40, 0x80, 0x400,
		0x800, 0x10000, 0x20000, 0x40000
	storage = fixedTPM | fixedParent | origin | userAuth | noDA | restricted | decrypt
)

// publicArea is a TPM2B_PUBLIC.
func publicArea(kind uint16, attrs uint32, policy []byte, rest ...any) []byte {
	return b2(be(kind, uint16(0xb), attrs, b2(policy)), be(rest...))
}

func eccStorage() []byte {
	return publicArea(0x23, storage, nil, uint16(6), uint16(128), uint16(0x43), uint16(0x10), uint16(3), uint16(0x10), b2(), b2())
}

func eccKey(attrs uint32, policy []byte, scheme ...any) []byte {
	return publicArea(0x23, attrs, policy, uint16(0x10), be(scheme...), uint16(3), uint16(0x10), b2(), b2())
}

func keyedHash(attrs uint32, policy []byte, scheme ...any) []byte {
	return publicArea(8, attrs, policy, be(scheme...), b2())
}

// none is an empty list of PCRs, and of outside information before it.
var (
	noPCRs      = uint32(0)
	nothingMore = be(b2(), noPCRs)
	nullScheme  = uint16(0x10)
)

// secret is a TPM2B_SENSITIVE_CREATE.
func secret(auth, data string) []byte { return b2(b2([]byte(auth)), b2([]byte(data))) }

func (p *player) primary(in []byte) reply {
	return p.do(0x131, 1, []uint32{hOwner}, secret("", ""), in, nothingMore)
}

// nthSized skips n TPM2B of an answer and gives the next.
func nthSized(r reply, n int) []byte {
	w := r.reader()
	for range n {
		w.Sized16()
	}
	return bytes.Clone(w.Sized16())
}

func nvPublic(index, attrs uint32, size uint16) []byte {
	return b2(be(index, uint16(0xb), attrs, b2(), size))
}

func keyedHash2(attrs uint32, unique []byte, scheme ...any) []byte {
	return publicArea(8, attrs, nil, be(scheme...), b2(unique))
}

// nthName is the Name that CreatePrimary answers last.
func nthName(r reply) []byte {
	w := r.reader()
	w.Sized16() // public
	w.Sized16() // creation data
	w.Sized16() // creation hash
	w.Bytes(6)
	w.Sized16() // ticket
	return bytes.Clone(w.Sized16())
}
