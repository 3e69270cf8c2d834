package engine_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// This file is a client of its own: go-tpm lacks commands, hides the state of its sessions, and cannot hash with SM3. It
// repeats the formulas of part 1 from their text, so that the engine is not checked with itself.

// sender is a TPM: the engine, or another.
type sender interface{ Send([]byte) ([]byte, error) }

// be packs numbers big-endian, bytes as they are and text as a TPM2B.
func be(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch v := p.(type) {
		case byte:
			b = append(b, v)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case []byte:
			b = append(b, v...)
		case string:
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
		default:
			panic(fmt.Sprintf("be: %T", p))
		}
	}
	return b
}

// b2 is bytes as a TPM2B.
func b2(parts ...[]byte) []byte { return be(string(bytes.Join(parts, nil))) }

// call is one command in raw bytes. A session authorizes the handle in its place; further ones audit or encrypt.
type call struct {
	cc       uint32
	handles  []uint32
	names    map[uint32][]byte // of handles whose Name is not the handle
	sessions []*rawSession
	extra    int // so many of the last sessions authorize nothing
	params   []byte
	returns  bool // the response has a handle
}

// reply is what a call answers.
type reply struct {
	rc     uint32
	handle uint32
	params []byte
	t      testing.TB
}

func (r reply) reader() *wire.Reader { return wire.BE(r.params) }

// rawSession is an authorization: an empty handle stands for a password.
type rawSession struct {
	handle   uint32
	alg      uint16
	sym      []byte // TPMT_SYM_DEF
	key      []byte
	nonceTPM []byte
	attrs    byte
	auth     []byte // auth value of the entity, or the password
	bound    bool   // to that entity: its auth value is in the key already
	noHMAC   bool   // a policy session without secrets
	password bool   // PolicyPassword: the auth value goes in the clear
	damage   bool   // send a wrong HMAC

	nonceCaller []byte
	answered    byte // attributes in the last response
}

const (
	sContinue, sExclusive, sReset, sDecrypt, sEncrypt, sAudit byte = 1, 2, 4, 0x20, 0x40, 0x80
	pwHandle                                                       = 0x40000009
)

var (
	noSym  = []byte{0, 0x10}
	aesCFB = []byte{0, 6, 0, 128, 0, 0x43}
	sm4CFB = []byte{0, 0x13, 0, 128, 0, 0x43}
)

func pw(auth string) *rawSession {
	return &rawSession{handle: pwHandle, auth: []byte(auth), attrs: sContinue}
}

// with is the session for an entity with an auth value.
func (s *rawSession) with(auth string, attrs byte) *rawSession {
	s.auth, s.attrs = []byte(auth), attrs
	return s
}

var hashes = map[uint16]func() hash.Hash{4: sha1.New, 0xb: sha256.New, 0xc: sha512.New384, 0xd: sha512.New, 0x12: sm3.New}

func digestOf(alg uint16, parts ...[]byte) []byte {
	h := hashes[alg]()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func macOf(alg uint16, key []byte, parts ...[]byte) []byte {
	h := hmac.New(hashes[alg], key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func kdfaOf(alg uint16, key []byte, label string, u, v []byte, bits int) []byte {
	var out []byte
	for i := uint32(1); len(out)*8 < bits; i++ {
		out = append(out, macOf(alg, key, be(i), []byte(label), []byte{0}, u, v, be(uint32(bits)))...)
	}
	return out[:bits/8]
}

func nameOf(alg uint16, public []byte) []byte { return be(alg, digestOf(alg, public)) }

// start begins a session. A salt comes with what was encrypted for the key; a bound entity with its auth value.
func start(t testing.TB, to sender, kind byte, alg uint16, sym []byte, more ...func(*startOptions)) *rawSession {
	t.Helper()
	o := startOptions{key: 0x40000007, bind: 0x40000007}
	for _, m := range more {
		m(&o)
	}
	nonce := bytes.Repeat([]byte{kind + 1}, 16)
	params := be(o.key, o.bind, b2(nonce), b2(o.encrypted), kind, sym, alg)
	r := ask(t, to, call{cc: 0x176, params: params, returns: true})
	s := &rawSession{handle: r.handle, alg: alg, sym: sym, nonceCaller: nonce, attrs: sContinue}
	s.nonceTPM = bytes.Clone(r.reader().Sized16())
	if o.key != 0x40000007 || o.bind != 0x40000007 {
		s.key = kdfaOf(alg, append(bytes.Clone(o.auth), o.salt...), "ATH", s.nonceTPM, nonce, len(digestOf(alg))*8)
	}
	return s
}

type startOptions struct {
	key, bind       uint32
	salt, encrypted []byte
	auth            []byte
}

func boundTo(h uint32, auth string) func(*startOptions) {
	return func(o *startOptions) { o.bind, o.auth = h, bytes.TrimRight([]byte(auth), "\x00") }
}

func saltedBy(key uint32, salt, encrypted []byte) func(*startOptions) {
	return func(o *startOptions) { o.key, o.salt, o.encrypted = key, salt, encrypted }
}

// ask runs a call that must succeed.
func ask(t testing.TB, to sender, c call) reply {
	t.Helper()
	r := try(t, to, c)
	if r.rc != 0 {
		t.Fatalf("command 0x%x: response code 0x%x", c.cc, r.rc)
	}
	return r
}

// refusedRaw runs a call that must be refused with a code.
func refusedRaw(t testing.TB, to sender, want uint32, c call) {
	t.Helper()
	if r := try(t, to, c); r.rc != want {
		t.Errorf("command 0x%x: response code 0x%x, want 0x%x", c.cc, r.rc, want)
	}
}

// try runs a call, and checks the response's own authorization.
func try(t testing.TB, to sender, c call) reply {
	t.Helper()
	params := c.protect()
	tag, auths := uint16(0x8001), []byte(nil)
	if len(c.sessions) > 0 {
		tag = 0x8002
		for i, s := range c.sessions {
			auths = append(auths, c.authArea(i, s, params)...)
		}
		auths = be(uint32(len(auths)), auths)
	}
	body := be(c.cc)
	for _, h := range c.handles {
		body = be(body, h)
	}
	body = be(body, auths, params)
	res, err := to.Send(be(tag, uint32(len(body)+6), body))
	if err != nil {
		t.Fatal(err)
	}
	if len(res) < 10 || int(binary.BigEndian.Uint32(res[2:])) != len(res) {
		t.Fatalf("malformed response %x", res)
	}
	r := reply{rc: binary.BigEndian.Uint32(res[6:]), t: t}
	if r.rc != 0 {
		return r
	}
	rest := wire.BE(res[10:])
	if c.returns {
		r.handle = rest.U32()
	}
	if len(c.sessions) == 0 {
		r.params = rest.Rest()
		return r
	}
	r.params = bytes.Clone(rest.Sized32())
	c.verify(t, rest, r.params)
	c.reveal(r.params)
	return r
}

// cipherKey is the key of parameter encryption: the session key, and the auth value of what the session authorizes.
func (c call) cipherKey(s *rawSession, i int) []byte {
	key := bytes.Clone(s.key)
	if c.authorizes(i) {
		key = append(key, bytes.TrimRight(s.auth, "\x00")...)
	}
	return key
}

// authorizes tells whether session i authorizes a handle; extra sessions come after those.
func (c call) authorizes(i int) bool { return i < min(len(c.sessions)-c.extra, len(c.handles)) }

// crypt encrypts or decrypts the first parameter in place (part 1, 21).
func (s *rawSession) crypt(key, newer, older, data []byte, encrypt bool) {
	if bytes.Equal(s.sym[:2], []byte{0, 0xa}) { // TPM_ALG_XOR
		for i, m := range kdfaOf(binary.BigEndian.Uint16(s.sym[2:]), key, "XOR", newer, older, len(data)*8) {
			data[i] ^= m
		}
		return
	}
	k := kdfaOf(s.alg, key, "CFB", newer, older, 256)
	block, err := aes.NewCipher(k[:16])
	if s.sym[1] == 0x13 {
		block, err = sm4.NewCipher(k[:16])
	}
	if err != nil {
		panic(err)
	}
	stream := cipher.NewCFBDecrypter(block, k[16:])
	if encrypt {
		stream = cipher.NewCFBEncrypter(block, k[16:])
	}
	stream.XORKeyStream(data, data)
}

// protect rolls the callers' nonces and encrypts the first parameter where a session asks for it.
func (c call) protect() []byte {
	params := bytes.Clone(c.params)
	for i, s := range c.sessions {
		if s.handle == pwHandle {
			continue
		}
		s.nonceCaller = digestOf(0xb, s.nonceCaller)[:16]
		if s.attrs&sDecrypt != 0 {
			if n := int(binary.BigEndian.Uint16(params)); 2+n <= len(params) {
				s.crypt(c.cipherKey(s, i), s.nonceCaller, s.nonceTPM, params[2:2+n], true)
			}
		}
	}
	return params
}

// authArea is one entry of the authorization area.
func (c call) authArea(i int, s *rawSession, params []byte) []byte {
	if s.handle == pwHandle {
		return be(s.handle, uint16(0), s.attrs, b2(s.auth))
	}
	mac := []byte(nil)
	switch {
	case s.password:
		mac = s.auth
	case !s.noHMAC:
		extra := []byte(nil)
		if i == 0 {
			extra = c.cryptNonces()
		}
		mac = macOf(s.alg, c.macKey(i, s), c.cpHash(s.alg, params), s.nonceCaller, s.nonceTPM, extra, []byte{s.attrs})
	}
	if s.damage {
		mac = bytes.Repeat([]byte{0x5a}, 32)
	}
	return be(s.handle, b2(s.nonceCaller), s.attrs, b2(mac))
}

// cryptNonces are the TPM's nonces of the decrypt and the encrypt session, when those are not the first.
func (c call) cryptNonces() []byte {
	dec, enc := -1, -1
	for i, s := range c.sessions {
		if s.attrs&sDecrypt != 0 {
			dec = i
		}
		if s.attrs&sEncrypt != 0 {
			enc = i
		}
	}
	var out []byte
	if dec > 0 {
		out = append(out, c.sessions[dec].nonceTPM...)
	}
	if enc > 0 && enc != dec {
		out = append(out, c.sessions[enc].nonceTPM...)
	}
	return out
}

// macKey is the key of a session's HMAC: with the auth value of the entity, unless the session is bound to that.
func (c call) macKey(i int, s *rawSession) []byte {
	key := bytes.Clone(s.key)
	if c.authorizes(i) && !s.bound {
		key = append(key, bytes.TrimRight(s.auth, "\x00")...)
	}
	return key
}

// cpHash covers the names of the handles, not the handles.
func (c call) cpHash(alg uint16, params []byte) []byte {
	data := be(c.cc)
	for _, h := range c.handles {
		if name, ok := c.names[h]; ok {
			data = append(data, name...)
		} else {
			data = be(data, h)
		}
	}
	return digestOf(alg, data, params)
}

// verify takes up the TPM's new nonces and checks its HMACs; rpHash has the response code zero.
func (c call) verify(t testing.TB, r *wire.Reader, params []byte) {
	t.Helper()
	for i, s := range c.sessions {
		nonce, attrs, mac := r.Sized16(), r.U8(), r.Sized16()
		if r.Err() != nil {
			t.Fatalf("command 0x%x: the answer lacks an authorization", c.cc)
		}
		if s.handle == pwHandle {
			if len(nonce)+len(mac) != 0 || attrs != s.attrs|sContinue {
				t.Errorf("command 0x%x: a password is answered by %x, %x, %x", c.cc, nonce, attrs, mac)
			}
			continue
		}
		if bytes.Equal(s.nonceTPM, nonce) {
			t.Errorf("command 0x%x: the nonce did not roll", c.cc)
		}
		s.nonceTPM, s.answered = bytes.Clone(nonce), attrs
		key := c.macKey(i, s)
		if s.password || s.noHMAC {
			key = s.key
		}
		want := macOf(s.alg, key, digestOf(s.alg, be(uint32(0), c.cc), params), s.nonceTPM, s.nonceCaller, []byte{attrs})
		if len(key) == 0 && len(mac) == 0 && (s.noHMAC || s.password) {
			continue
		}
		if !hmac.Equal(want, mac) {
			t.Errorf("command 0x%x: session %d answers with a wrong HMAC", c.cc, i+1)
		}
	}
}

// reveal decrypts the first response parameter.
func (c call) reveal(params []byte) {
	for i, s := range c.sessions {
		if s.handle != pwHandle && s.attrs&sEncrypt != 0 {
			n := int(binary.BigEndian.Uint16(params))
			s.crypt(c.cipherKey(s, i), s.nonceTPM, s.nonceCaller, params[2:2+n], false)
		}
	}
}
