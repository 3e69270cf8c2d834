package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The envelope holds what does not fit a TPM object: chunks of AES-256-GCM under a key that is sealed. It is the STREAM
// construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) as age uses it: the nonce counts the chunks and marks the
// last one, so that chunks cannot be swapped, dropped or added; the digest of everything before the envelope is
// associated data of each chunk, so that none of it can be exchanged.
const (
	envelopeKeySize = 32
	envelopeChunk   = 64 << 10
	gcmTag          = 16
	envelopeCipher  = "aes-256-gcm-stream"
)

// stream is the state both directions share.
type stream struct {
	aead  cipher.AEAD
	bound []byte // associated data
	count uint64
}

func newStream(key, bound []byte) (*stream, error) {
	if len(key) != envelopeKeySize {
		return nil, fmt.Errorf("the sealed key has %d bytes, %d are right", len(key), envelopeKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &stream{aead: aead, bound: bound}, err
}

// nonce is that of the next chunk: 11 bytes of counter, then 1 for the last chunk.
func (s *stream) nonce(last bool) []byte {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[3:11], s.count)
	if last {
		nonce[11] = 1
	}
	s.count++
	return nonce
}

// encryptStream encrypts src to dst until the end of src.
func encryptStream(dst io.Writer, src io.Reader, key, bound []byte) error {
	s, err := newStream(key, bound)
	if err != nil {
		return err
	}
	return chunks(src, envelopeChunk, func(chunk []byte, last bool) error {
		_, err := dst.Write(s.aead.Seal(chunk[:0], s.nonce(last), chunk, s.bound))
		return err
	}, gcmTag)
}

var errEnvelope = errors.New("the encrypted content was altered, cut short or extended")

// decryptStream decrypts src to dst. A chunk reaches dst only after it proved genuine; that it is the last one is known
// when it has been read.
func decryptStream(dst io.Writer, src io.Reader, key, bound []byte) (written int64, err error) {
	s, err := newStream(key, bound)
	if err != nil {
		return 0, err
	}
	err = chunks(src, envelopeChunk+gcmTag, func(chunk []byte, last bool) error {
		if len(chunk) <= gcmTag {
			return fmt.Errorf("chunk %d: %w", s.count, errEnvelope)
		}
		number := s.count
		plain, err := s.aead.Open(chunk[:0], s.nonce(last), chunk, s.bound)
		if err != nil {
			return fmt.Errorf("chunk %d: %w", number, errEnvelope)
		}
		n, err := dst.Write(plain)
		written += int64(n)
		clear(plain)
		return err
	}, 0)
	return written, err
}

// until is a reader that fails once its context has ended.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// chunks calls f with pieces of size bytes; the last one may be shorter. Each piece has room for spare bytes more. One
// byte is read ahead, because only the end of src tells which piece is the last.
func chunks(src io.Reader, size int, f func(chunk []byte, last bool) error, spare int) error {
	buf := make([]byte, size+1, size+1+spare)
	defer clear(buf[:cap(buf)])
	ahead := make([]byte, 1)
	have := 0
	for {
		n, err := io.ReadFull(src, buf[have:])
		have += n
		switch {
		case err == nil: // a byte more than a piece: another one follows
			ahead[0] = buf[size]
			if err := f(buf[:size], false); err != nil {
				return err
			}
			buf = buf[:size+1]
			buf[0], have = ahead[0], 1
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return f(buf[:have], true)
		default:
			return err
		}
	}
}
