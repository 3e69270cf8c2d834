package engine

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// The files of a state folder.
const (
	stateName = "state"
	keyName   = "host.key"
	lockName  = "lock"
)

const (
	masterSize   = 32
	pbkdf2Rounds = 600_000 // OWASP's advice for PBKDF2-HMAC-SHA256
	lockPoll     = 10 * time.Millisecond
)

// FileOptions says what a state file is encrypted under: the passphrase if there is one, else the content of KeyFile (at
// least 32 bytes) if it is named, else a random key that is kept beside the state and protects it only from those who
// get hold of one file without the other.
type FileOptions struct {
	Passphrase []byte
	KeyFile    string
}

// FileStore keeps the state of a TPM in a folder of its own: encrypted, written whole or not at all, and held by one
// process at a time. It is a Store; Close lets the next process in.
type FileStore struct {
	dir    string
	lock   *os.File
	opts   FileOptions
	keyed  keySource // how the master key comes from the passphrase or key file
	master []byte    // nil until the state was loaded or first saved
}

// OpenFileStore opens or makes the state folder dir and waits, as long as ctx allows, until no other process holds it.
// Its errors are *StoreError.
func OpenFileStore(ctx context.Context, dir string, opts FileOptions) (*FileStore, error) {
	if err := makeDir(dir); err != nil {
		return nil, storeError(dir, err)
	}
	lock, err := acquire(ctx, filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	return &FileStore{dir: dir, lock: lock, opts: opts}, nil
}

// StateInfo is what a state folder shows without its key.
type StateInfo struct {
	Encryption string    // what the key comes from: "host key", "passphrase" or "key file"
	Size       int64     // of the state file, in bytes
	Saved      time.Time // when it was written last
}

// Info looks at the state without decrypting it; nil when there is none.
func (s *FileStore) Info() (*StateInfo, error) {
	path := s.path(stateName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(path, err)
	}
	file, err := s.read()
	if err != nil {
		return nil, err
	}
	return &StateInfo{Encryption: file.key.kind.String(), Size: info.Size(), Saved: info.ModTime()}, nil
}

// Discard removes the state and the key beside it: the TPM is gone for good.
func (s *FileStore) Discard() error {
	for _, name := range []string{stateName, keyName} { // in this order: a state without its key would be taken for damage
		if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storeError(s.path(name), err)
		}
	}
	clear(s.master)
	s.master = nil
	return syncDir(s.dir)
}

// Close lets go of the folder and forgets the key.
func (s *FileStore) Close() error {
	clear(s.master)
	s.master = nil
	return s.lock.Close() // which also unlocks
}

// Load returns the state, or nil when there is none yet.
func (s *FileStore) Load() ([]byte, error) {
	file, err := s.read()
	if file == nil || err != nil {
		return nil, err
	}
	master, err := s.key(file.key)
	if err != nil {
		return nil, err
	}
	blob, err := file.open(master)
	if err != nil {
		return nil, s.wrongKey(file.key)
	}
	s.keyed, s.master = file.key, master
	return blob, nil
}

// read takes the state file apart; nil when there is none.
func (s *FileStore) read() (*stateFile, error) {
	path := s.path(stateName)
	raw, err := readLimited(path, maxStateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(path, err)
	}
	file, err := decodeStateFile(raw)
	if err != nil {
		return nil, &StoreError{Kind: damageKind(err), Path: path, Err: err, Advice: adviceDamaged}
	}
	return file, nil
}

// Save replaces the state. When it returns nil, the state is on the disk and outlives a crash; when it does not, the
// state that was there still is.
func (s *FileStore) Save(blob []byte) error {
	if s.master == nil {
		if err := s.firstKey(); err != nil {
			return err
		}
	}
	raw, err := encodeStateFile(s.keyed, s.master, blob)
	if err != nil {
		return storeError(s.path(stateName), err)
	}
	return replaceFile(s.path(stateName), raw)
}

func (s *FileStore) path(name string) string { return filepath.Join(s.dir, name) }

// firstKey settles what a state that was not there before is encrypted under. It never takes the place of a state that
// Load would have refused.
func (s *FileStore) firstKey() error {
	path := s.path(stateName)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return &StoreError{Kind: StoreDamaged, Path: path, Err: errors.New("a state is there that was not loaded"), Advice: adviceDamaged}
	}
	k := keySource{kind: keyHost}
	switch {
	case len(s.opts.Passphrase) > 0:
		k = keySource{kind: keyPassphrase, rounds: pbkdf2Rounds, salt: make([]byte, fileSaltSize)}
		rand.Read(k.salt)
	case s.opts.KeyFile != "":
		k.kind = keyFile
	default:
		if err := makeHostKey(s.path(keyName)); err != nil {
			return err
		}
	}
	master, err := s.key(k)
	if err != nil {
		return err
	}
	s.keyed, s.master = k, master
	return nil
}

// key derives the master key that k asks for from what the caller gave.
func (s *FileStore) key(k keySource) ([]byte, error) {
	given := keyHost
	path := s.path(keyName)
	if s.opts.KeyFile != "" {
		given, path = keyFile, s.opts.KeyFile
	}
	if len(s.opts.Passphrase) > 0 {
		given = keyPassphrase
	}
	if given != k.kind {
		return nil, s.wrongKey(k)
	}
	if k.kind == keyPassphrase {
		return pbkdf2.Key(sha256.New, string(s.opts.Passphrase), k.salt, int(k.rounds), masterSize)
	}
	return readKey(path)
}

func (s *FileStore) wrongKey(k keySource) error {
	return &StoreError{Kind: StoreKey, Path: s.path(stateName), Err: fmt.Errorf("the state is encrypted under the %s, and what was given does not open it", k.kind),
		Advice: "give the " + k.kind.String() + " that was in force when the state was made; nothing was changed"}
}

// makeHostKey makes the key beside the state, unless it is there.
func makeHostKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // or it cannot be read, which readKey finds out
	}
	key := make([]byte, masterSize)
	rand.Read(key)
	return replaceFile(path, key)
}

func readKey(path string) ([]byte, error) {
	raw, err := readLimited(path, 1<<20)
	if err != nil {
		return nil, &StoreError{Kind: StoreKey, Path: path, Err: fmt.Errorf("the key file cannot be read: %w", err),
			Advice: "bring the key file back: without it the state cannot be decrypted"}
	}
	if len(raw) < masterSize {
		return nil, &StoreError{Kind: StoreKey, Path: path, Err: fmt.Errorf("the key file has %d bytes, fewer than %d", len(raw), masterSize),
			Advice: "bring the whole key file back: without it the state cannot be decrypted"}
	}
	if err := private(path); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// open decrypts the state.
func (f *stateFile) open(master []byte) ([]byte, error) {
	aead, nonce := sealer(master, f.seed)
	return aead.Open(nil, nonce, f.sealed, f.header)
}

// encodeStateFile encrypts blob under a key and nonce of its own, drawn from a fresh seed.
func encodeStateFile(k keySource, master, blob []byte) ([]byte, error) {
	seed := make([]byte, fileSeedSize)
	rand.Read(seed)
	header := encodeStateHeader(k, seed)
	aead, nonce := sealer(master, seed)
	size := len(blob) + aead.Overhead()
	if len(header)+4+size+sha256.Size > maxStateFile {
		return nil, fmt.Errorf("a state of %d bytes is too large", len(blob))
	}
	return finishStateFile(header, aead.Seal(nil, nonce, blob, header)), nil
}

func sealer(master, seed []byte) (cipher.AEAD, []byte) {
	key := crypt.KDFa(crypt.AlgSHA256, master, "VTPM STATE", seed, nil, (32+12)*8)
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		panic("engine: " + err.Error()) // the size is a constant
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("engine: " + err.Error())
	}
	return aead, key[32:]
}

// acquire locks the file at path against other processes and leaves word of who holds it.
func acquire(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, storeError(path, err)
	}
	for {
		held, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, storeError(path, err)
		}
		if held {
			break
		}
		select {
		case <-ctx.Done():
			holder := holderOf(f)
			f.Close()
			return nil, &StoreError{Kind: StoreLocked, Path: path, Err: fmt.Errorf("%s holds the state: %w", holder, context.Cause(ctx)),
				Advice: "wait for " + holder + " to end, or end it; a server holds its state as long as it runs"}
		case <-time.After(lockPoll):
		}
	}
	word := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(word, 0) // only for the error message of another process: failing to leave it harms nothing
	}
	return f, nil
}

func holderOf(lock *os.File) string {
	word := make([]byte, 20)
	n, _ := lock.ReadAt(word, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(word[:n]))); err == nil {
		return fmt.Sprintf("process %d", pid)
	}
	return "another process"
}

// replaceFile writes data beside path, forces it to the disk and renames it into place.
func replaceFile(path string, data []byte) (err error) {
	temp := path + ".new" // the lock is held: nobody else writes it, and a crash leaves at most this one
	defer func() {
		if err != nil {
			os.Remove(temp)
			err = storeError(path, err)
		}
	}()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%d bytes, more than %d", info.Size(), limit)
	}
	return os.ReadFile(path)
}
