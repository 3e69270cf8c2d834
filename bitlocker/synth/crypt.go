package synth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"unicode/utf16"
)

func fvekSize(method uint16) int {
	switch method {
	case 0x8002:
		return 16
	case 0x8005, 0x8000, 0x8001:
		return 64
	}
	return 32
}

// ccmDatum wraps plain under key: nonce, tag, ciphertext.
func (m *maker) ccmDatum(key, plain []byte) []byte {
	m.nonces++
	nonce := new(buffer).u64(fileTime(Created)).u32(m.nonces).out
	tag, ciphertext := seal(key, nonce, plain)
	m.secrets = append(m.secrets, nonce, tag, ciphertext)
	return datum(0, 5, new(buffer).raw(nonce).raw(tag).raw(ciphertext).out)
}

// seal is AES-CCM (RFC 3610) with a 12-byte nonce, a 16-byte tag and no associated data.
func seal(key, nonce, plain []byte) (tag, ciphertext []byte) {
	block := must(aes.NewCipher(key))
	mac := append([]byte{(16-2)/2<<3 | 3 - 1}, nonce...)
	mac = append(mac, byte(len(plain)>>16), byte(len(plain)>>8), byte(len(plain)))
	block.Encrypt(mac, mac)
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 16)
		subtle.XORBytes(mac, mac[:n], rest[:n])
		block.Encrypt(mac, mac)
		rest = rest[n:]
	}
	counter := append(append([]byte{3 - 1}, nonce...), 0, 0, 0)
	stream := cipher.NewCTR(block, counter)
	tag, ciphertext = make([]byte, 16), make([]byte, len(plain))
	stream.XORKeyStream(tag, mac)
	stream.XORKeyStream(ciphertext, plain)
	return tag, ciphertext
}

// xts encrypts whole sectors with AES-XTS (IEEE 1619); the tweak is the number of the sector on the volume.
func xts(key []byte, sectorSize int, dst, src []byte, offset int) {
	data, tweak := must(aes.NewCipher(key[:len(key)/2])), must(aes.NewCipher(key[len(key)/2:]))
	for at := 0; at < len(src); at += sectorSize {
		var t [16]byte
		binary.LittleEndian.PutUint64(t[:], uint64((offset+at)/sectorSize))
		tweak.Encrypt(t[:], t[:])
		for i := at; i < at+sectorSize; i += 16 {
			subtle.XORBytes(dst[i:i+16], src[i:i+16], t[:])
			data.Encrypt(dst[i:i+16], dst[i:i+16])
			subtle.XORBytes(dst[i:i+16], dst[i:i+16], t[:])
			double(&t)
		}
	}
}

// cbc encrypts whole sectors with AES-CBC; the vector is the encrypted offset of the sector.
func cbc(key []byte, sectorSize int, dst, src []byte, offset int) {
	block := must(aes.NewCipher(key))
	for at := 0; at < len(src); at += sectorSize {
		var iv [16]byte
		binary.LittleEndian.PutUint64(iv[:], uint64(offset+at))
		block.Encrypt(iv[:], iv[:])
		cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(dst[at:at+sectorSize], src[at:at+sectorSize])
	}
}

// double multiplies by x in GF(2^128), little-endian.
func double(t *[16]byte) {
	lo, hi := binary.LittleEndian.Uint64(t[:8]), binary.LittleEndian.Uint64(t[8:])
	carry := hi >> 63
	binary.LittleEndian.PutUint64(t[8:], hi<<1|lo>>63)
	binary.LittleEndian.PutUint64(t[:8], lo<<1^carry*0x87)
}

// stretch is BitLocker's key derivation: 2^20 rounds over the last digest, the first, the salt and a counter.
func stretch(initial [32]byte, salt []byte) []byte {
	var state [88]byte
	copy(state[32:], initial[:])
	copy(state[64:], salt)
	for i := range uint64(1 << 20) {
		binary.LittleEndian.PutUint64(state[80:], i)
		sum := sha256.Sum256(state[:])
		copy(state[:32], sum[:])
	}
	return state[:32]
}

func hashPassword(password string) [32]byte {
	b := new(buffer)
	for _, u := range utf16.Encode([]rune(password)) {
		b.u16(u)
	}
	once := sha256.Sum256(b.out)
	return sha256.Sum256(once[:])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
