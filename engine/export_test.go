package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// What the tests of the file store look at from outside.
var (
	EncodeStateHeaderForTest = func(rounds uint32, salt, seed []byte) []byte {
		return headerForTest(keySource{kind: keyPassphrase, rounds: rounds, salt: salt}, seed, 7)
	}
	FinishStateFileForTest = func(header, sealed []byte) []byte {
		return withChecksum(wire.AppendBE(header).Sized32(sealed).Out())
	}
	DecodeStateFileForTest = func(raw []byte) (again []byte, err error) {
		f, err := decodeStateFile(raw)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(f.header, append([]byte(stateMagic), 0, fileVersion)) {
			return raw, nil // nobody writes that version any more
		}
		return FinishStateFileForTest(headerForTest(f.key, f.seed, f.generation), f.sealed), nil
	}
)

// OldStateFileForTest is what versions 1 and 2 made of a state under a key file: key and nonce from a seed of its own.
func OldStateFileForTest(version uint16, key, seed, blob []byte) []byte {
	w := wire.NewBE().Bytes([]byte(stateMagic)).U16(version).U16(uint16(keyHost)).U32(0).Sized16(nil).Bytes(seed)
	if version == 2 {
		w.U64(7)
	}
	master := sha256.Sum256(key)
	k := crypt.NewKDF(crypt.AlgSHA256, master[:]).KDFa("VTPM STATE", seed, nil, 352)
	block, _ := aes.NewCipher(k[:32])
	aead, _ := cipher.NewGCM(block)
	header := w.Out()
	return withChecksum(w.Sized32(aead.Seal(nil, k[32:], blob, header)).Out())
}

func headerForTest(k keySource, seed []byte, generation uint64) []byte {
	w := wire.NewBE()
	writeStateHeader(w, k, seed, generation)
	return w.Out()
}

// LeftForTest says what is left of a command that ended; nothing should be.
func LeftForTest(t *TPM) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.memory.frames {
		if f != nil && !(f.in.value.IsZero() && f.out.value.IsZero()) {
			return fmt.Sprintf("%+v, %+v", f.in.value, f.out.value)
		}
	}
	return ""
}

// StoredForTest tells whether the store has all that a crash must not lose.
func StoredForTest(t *TPM) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil || t.store == nil || t.saved == nil {
		return true
	}
	_, lasting := t.encode(nil, t.keepsPower(), &fleeting{})
	return bytes.Equal(lasting, t.saved)
}
