package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// The state file, big-endian:
//
//	8   "VTPMSTAT"
//	2   version, 3
//	2   key kind
//	4   PBKDF2 rounds, 0 without a passphrase
//	2+n PBKDF2 salt, empty without a passphrase
//	32  seed: the key is KDFa(SHA-256, master key, "VTPM STATE", seed)
//	8   generation: how often the state was saved; version 1 lacks it
//	4+n random nonce of 12 bytes, and the state encrypted with AES-256-GCM over all that stands before its size
//	32  SHA-256 of all that stands before
//
// A process draws a seed for all that it saves. In versions 1 and 2 each file had a seed of its own, and KDFa gave the nonce too.
//
// The checksum tells damage from a wrong key, which the tag of GCM alone cannot.
const (
	stateMagic    = "VTPMSTAT"
	fileVersion   = 3
	fileSaltSize  = 16
	fileSeedSize  = 32
	fileKeySize   = 32
	fileNonceSize = 12
	maxStateFile  = 64 << 20
	maxRounds     = 10_000_000
)

// keyKind is what the master key comes from.
type keyKind uint16

const (
	keyHost       keyKind = 1 // the key beside the state
	keyPassphrase keyKind = 2
	keyFile       keyKind = 3 // a key kept elsewhere
)

func (k keyKind) String() string {
	switch k {
	case keyPassphrase:
		return "passphrase"
	case keyFile:
		return "key file"
	}
	return "host key"
}

type keySource struct {
	kind   keyKind
	rounds uint32
	salt   []byte
}

type stateFile struct {
	version    uint16
	key        keySource
	seed       []byte
	generation uint64
	header     []byte // what the encryption vouches for
	sealed     []byte
}

var errStateVersion = errors.New("the state was written by a newer release")

func writeStateHeader(w *wire.Writer, k keySource, seed []byte, generation uint64) {
	w.Bytes([]byte(stateMagic)).U16(fileVersion).U16(uint16(k.kind)).U32(k.rounds).Sized16(k.salt).Bytes(seed).U64(generation)
}

// withChecksum completes a state file.
func withChecksum(file []byte) []byte {
	sum := sha256.Sum256(file)
	return append(file, sum[:]...)
}

// decodeStateFile takes a state file apart. It vouches for the shape and the checksum, not for the key.
func decodeStateFile(raw []byte) (*stateFile, error) {
	r := wire.BE(raw)
	if magic := r.Bytes(len(stateMagic)); string(magic) != stateMagic {
		return nil, errors.New("offset 0: not a state file")
	}
	version := r.U16()
	if r.Err() == nil && (version == 0 || version > fileVersion) {
		return nil, fmt.Errorf("offset 8: %w: version %d, this one knows 1 to %d", errStateVersion, version, fileVersion)
	}
	f := &stateFile{version: version, key: keySource{kind: keyKind(r.U16()), rounds: r.U32(), salt: r.Sized16()}, seed: r.Bytes(fileSeedSize)}
	if f.version >= 2 {
		f.generation = r.U64()
	}
	f.header = raw[:r.Offset()]
	f.sealed = r.Sized32()
	body := raw[:r.Offset()]
	sum := r.Bytes(sha256.Size)
	if r.Err() != nil {
		return nil, fmt.Errorf("cut short: %w", r.Err())
	}
	if r.Len() != 0 {
		return nil, fmt.Errorf("offset %d: %d bytes too many", r.Offset(), r.Len())
	}
	if f.version > 2 && len(f.sealed) < fileNonceSize {
		return nil, fmt.Errorf("offset %d: %d bytes where a nonce of %d begins", len(f.header), len(f.sealed), fileNonceSize)
	}
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) {
		return nil, errors.New("the checksum does not match")
	}
	return f, f.key.check()
}

func (k keySource) check() error {
	switch {
	case k.kind == keyPassphrase && len(k.salt) == fileSaltSize && k.rounds >= 1 && k.rounds <= maxRounds:
	case (k.kind == keyHost || k.kind == keyFile) && len(k.salt) == 0 && k.rounds == 0:
	default:
		return fmt.Errorf("offset 10: key kind %d with %d rounds and %d bytes of salt", k.kind, k.rounds, len(k.salt))
	}
	return nil
}
