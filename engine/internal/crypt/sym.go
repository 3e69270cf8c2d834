package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"slices"
)

// BlockSize is the block size in bytes of every symmetric cipher the engine has.
const BlockSize = 16

// Errors of the symmetric part.
var (
	ErrCipher = errors.New("crypt: no such cipher, mode or key size")
	ErrBlocks = errors.New("crypt: data is not a whole number of blocks")
)

// CipherKeyBits lists the key sizes a symmetric cipher has; nil for one the engine does not have.
func CipherKeyBits(alg uint16) []int {
	switch alg {
	case AlgAES:
		return []int{128, 192, 256}
	case AlgSM4:
		return []int{128}
	}
	return nil
}

// Cipher is the block cipher alg under key.
func Cipher(alg uint16, key []byte) (cipher.Block, error) {
	switch {
	case !slices.Contains(CipherKeyBits(alg), len(key)*8):
		return nil, ErrCipher
	case alg == AlgSM4:
		return newSM4(key), nil
	}
	return aes.NewCipher(key)
}

// Encrypt encrypts data in place and moves iv on, so that the next call continues the chain. ECB takes no iv. CBC and ECB
// want whole blocks; after a last short block, CFB leaves the unused bytes of iv zero as the reference does.
func Encrypt(alg, mode uint16, key, iv, data []byte) error {
	return crypt(alg, mode, key, iv, data, true)
}

// Decrypt undoes Encrypt, in place, and moves iv on likewise.
func Decrypt(alg, mode uint16, key, iv, data []byte) error {
	return crypt(alg, mode, key, iv, data, false)
}

// CFB encrypts or decrypts data in place under a fixed iv, which is left as it was: the form that protects parameters,
// private areas and contexts. A nil iv stands for zeros.
func CFB(alg uint16, key, iv, data []byte, encrypt bool) error {
	chain := make([]byte, BlockSize)
	if iv != nil && copy(chain, iv) != len(chain) {
		return ErrCipher
	}
	return crypt(alg, AlgCFB, key, chain, data, encrypt)
}

func crypt(alg, mode uint16, key, iv, data []byte, encrypt bool) error {
	block, err := Cipher(alg, key)
	if err != nil {
		return err
	}
	if mode != AlgECB && len(iv) != BlockSize {
		return ErrCipher
	}
	if (mode == AlgECB || mode == AlgCBC) && len(data)%BlockSize != 0 {
		return ErrBlocks
	}
	switch mode {
	case AlgCTR:
		ctr(block, iv, data)
	case AlgOFB:
		ofb(block, iv, data)
	case AlgCFB:
		cfb(block, iv, data, encrypt)
	case AlgCBC:
		cbc(block, iv, data, encrypt)
	case AlgECB:
		ecb(block, data, encrypt)
	default:
		return ErrCipher
	}
	return nil
}

func ctr(block cipher.Block, iv, data []byte) {
	cipher.NewCTR(block, iv).XORKeyStream(data, data)
	carry := uint64(len(data)+BlockSize-1) / BlockSize
	for i := BlockSize - 1; i >= 0 && carry > 0; i-- {
		carry += uint64(iv[i])
		iv[i] = byte(carry)
		carry >>= 8
	}
}

func ofb(block cipher.Block, iv, data []byte) {
	for len(data) > 0 {
		block.Encrypt(iv, iv)
		data = data[subtle.XORBytes(data, data, iv):]
	}
}

func cfb(block cipher.Block, iv, data []byte, encrypt bool) {
	var stream [BlockSize]byte
	for len(data) > 0 {
		block.Encrypt(stream[:], iv)
		n := min(BlockSize, len(data))
		clear(iv)
		if !encrypt {
			copy(iv, data[:n])
		}
		subtle.XORBytes(data, data[:n], stream[:])
		if encrypt {
			copy(iv, data[:n])
		}
		data = data[n:]
	}
}

func cbc(block cipher.Block, iv, data []byte, encrypt bool) {
	if len(data) == 0 {
		return
	}
	last := data[len(data)-BlockSize:]
	if encrypt {
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
		copy(iv, last)
		return
	}
	next := slices.Clone(last)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(data, data)
	copy(iv, next)
}

func ecb(block cipher.Block, data []byte, encrypt bool) {
	work := block.Decrypt
	if encrypt {
		work = block.Encrypt
	}
	for ; len(data) > 0; data = data[BlockSize:] {
		work(data, data)
	}
}
