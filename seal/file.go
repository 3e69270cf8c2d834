package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// Schema is that of the block a sealed file of ours has beside the key file.
const Schema = "vtpmctl.sealed/v1"

// Block is what we write beside the key file: what the TPM does not need, and people do.
type Block struct {
	Schema   string      `json:"schema"`
	Created  time.Time   `json:"created"`
	Emulated bool        `json:"emulated"` // sealed on vtpmctl's own software TPM
	Parent   Parent      `json:"parent"`
	Expected *pcr.Values `json:"expected"` // the PCRs it was sealed to
	Content  string      `json:"content"`  // "tpm": in the object itself; else the cipher of the envelope
}

// Parent is the storage key that an object was made under.
type Parent struct {
	Handle   string  `json:"handle"`   // "0x81000001", or "0x40000001" for a primary that is made anew each time
	Name     pcr.Hex `json:"name"`     // tells one TPM from another
	Template string  `json:"template"` // of that primary; "persistent" for a persistent key
}

// contentInTPM is the Block.Content of a secret that fits the object.
const contentInTPM = "tpm"

// File is a sealed file: the key file, and our block if we made it.
type File struct {
	Key   *KeyFile
	Block *Block // nil where another tool made the file
	bound []byte // digest of key file and block: what the envelope is bound to
	rest  *bufio.Reader
}

// Limits of the part before the envelope.
const (
	maxHead = 512 << 10
	maxLine = 256 << 10
)

// Read reads the head of a sealed file; the envelope, if there is one, is read when the content is.
func Read(r io.Reader) (*File, error) {
	f := &File{rest: bufio.NewReaderSize(r, 4096)}
	der, err := f.readKeyFile()
	if err != nil {
		return nil, damaged(err)
	}
	if f.Key, err = parseKeyFile(der); err != nil {
		return nil, damaged(err)
	}
	line, err := f.readBlock()
	if err != nil {
		return nil, damaged(err)
	}
	f.bound = bind(der, line)
	return f, nil
}

func damaged(err error) error {
	if _, ok := errors.AsType[*fail.Error](err); ok {
		return err
	}
	return fail.E(fail.BadInput, "not a sound sealed file: %w", err).
		Hint("a sealed file is text that starts with -----BEGIN %s-----; copy it again from where it came from", pemType)
}

// bind is the digest of everything before the envelope.
func bind(der, block []byte) []byte {
	h := sha256.New()
	h.Write([]byte(Schema))
	h.Write([]byte{0})
	for _, part := range [][]byte{der, block} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return h.Sum(nil)
}

// readLine returns the next line without its end; io.EOF at the end of the file. limit bounds it.
func (f *File) readLine(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := f.rest.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return nil, fmt.Errorf("a line is longer than %d bytes", limit)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return bytes.TrimRight(line, " \t\r\n"), nil
		}
		return nil, err
	}
}

// readKeyFile finds the PEM block and decodes its base64. Text before it is skipped, as PEM readers do.
func (f *File) readKeyFile() ([]byte, error) {
	var text strings.Builder
	inside, read := false, 0
	for {
		line, err := f.readLine(maxLine)
		switch {
		case errors.Is(err, io.EOF) && inside:
			return nil, fmt.Errorf("-----END %s----- is missing", pemType)
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("-----BEGIN %s----- is missing", pemType)
		case err != nil:
			return nil, err
		}
		if read += len(line) + 1; read > maxHead {
			return nil, fmt.Errorf("no key file in the first %d bytes", maxHead)
		}
		switch {
		case string(line) == "-----BEGIN "+pemType+"-----":
			inside = true
			text.Reset()
		case inside && string(line) == "-----END "+pemType+"-----":
			der, err := base64.StdEncoding.Strict().DecodeString(text.String())
			if err != nil {
				return nil, fmt.Errorf("base64 of the key file: %w", err)
			}
			return der, nil
		case inside:
			text.Write(line)
		}
	}
}

// readBlock reads our block: one line of JSON after the key file. Anything else there belongs to another tool.
func (f *File) readBlock() ([]byte, error) {
	for {
		line, err := f.readLine(maxLine)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			continue
		}
		if line[0] != '{' {
			return nil, nil
		}
		var b Block
		if err := json.Unmarshal(line, &b); err != nil {
			return nil, fmt.Errorf("block after the key file: %w", err)
		}
		if b.Schema != Schema {
			if strings.HasPrefix(b.Schema, "vtpmctl.sealed/") {
				return nil, fail.E(fail.Unsupported, "this file has schema %q, this version reads %s", b.Schema, Schema).
					Hint("a newer vtpmctl made it")
			}
			return nil, nil
		}
		if err := b.check(); err != nil {
			return nil, fmt.Errorf("block after the key file: %w", err)
		}
		f.Block = &b
		return line, nil
	}
}

func (b *Block) check() error {
	switch {
	case b.Expected == nil:
		return errors.New("expected: missing")
	case b.Content != contentInTPM && b.Content != envelopeCipher:
		return fmt.Errorf("content: %q is not known", b.Content)
	}
	return b.Expected.Check()
}

// enveloped tells whether the object holds a key, not the secret.
func (f *File) enveloped() bool { return f.Block != nil && f.Block.Content == envelopeCipher }

// writeHead writes the head of a sealed file and returns what an envelope is to be bound to.
func writeHead(w io.Writer, k *KeyFile, b *Block) ([]byte, error) {
	der := k.marshal()
	line, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	if err := pem.Encode(w, &pem.Block{Type: pemType, Bytes: der}); err != nil {
		return nil, err
	}
	_, err = w.Write(append(line, '\n'))
	return bind(der, line), err
}
