package engine

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// The files of a state folder.
const (
	stateName = "state"
	keyName   = "host.key"
	lockName  = "lock"
	markName  = "mark"
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
	// MarkFile remembers the newest state that was saved, so that an older one that is put back is noticed. Left empty, it is
	// a file beside the state, which notices a copy of the state that is put back alone. Only a file that is not copied and
	// put back together with the folder notices more.
	MarkFile string
}

// FileStore keeps the state of a TPM in a folder of its own: encrypted, written whole or not at all, and held by one
// process at a time. It is a Store; Close lets the next process in.
type FileStore struct {
	dir        string
	root       *os.Root // dir, whatever becomes of its name; no link leads out of it
	folder     *os.File // dir once more, to make renames in it durable
	lock       *os.File
	mark       *mark
	opts       FileOptions
	keyed      keySource    // how the master key comes from the passphrase or key file
	cipher     *stateCipher // under the master key; nil until the state was loaded or first saved
	generation uint64       // of the state that was loaded or saved last
	room       []byte       // that the state file is put together in
}

// OpenFileStore opens or makes the state folder dir and waits, as long as ctx allows, until no other process holds it.
// Its errors are *StoreError.
func OpenFileStore(ctx context.Context, dir string, opts FileOptions) (*FileStore, error) {
	if err := makeDir(dir); err != nil {
		return nil, storeError(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, storeError(dir, err)
	}
	s := &FileStore{dir: dir, root: root, opts: opts}
	if err := s.occupy(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// occupy takes the folder for this process alone.
func (s *FileStore) occupy(ctx context.Context) (err error) {
	if err := notForOthers(s.root, s.dir); err != nil {
		return err
	}
	if s.folder, err = s.root.Open("."); err != nil {
		return storeError(s.dir, err)
	}
	if s.lock, err = s.acquire(ctx); err != nil {
		return err
	}
	s.mark, err = s.openMark()
	return err
}

// StateInfo is what a state folder shows without its key.
type StateInfo struct {
	Encryption string    // what the key comes from: "host key", "passphrase" or "key file"
	Size       int64     // of the state file, in bytes
	Saved      time.Time // when it was written last
	Generation uint64    // how often it was written; 0 when a version wrote it that did not count
}

// Info looks at the state without decrypting it; nil when there is none.
func (s *FileStore) Info() (*StateInfo, error) {
	info, err := s.root.Stat(stateName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(s.path(stateName), err)
	}
	file, err := s.read()
	if err != nil {
		return nil, err
	}
	return &StateInfo{file.key.kind.String(), info.Size(), info.ModTime(), file.generation}, nil
}

// Discard removes the state and the key beside it: the TPM is gone for good.
func (s *FileStore) Discard() error {
	if err := s.mark.set(0); err != nil { // first of all: a mark without its state would tell of a loss
		return err
	}
	for _, name := range []string{stateName, keyName} { // in this order: a state without its key would be taken for damage
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storeError(s.path(name), err)
		}
	}
	s.forget()
	return syncDir(s.folder)
}

func (s *FileStore) forget() { s.cipher, s.generation = nil, 0 }

// Close lets go of the folder and forgets the key.
func (s *FileStore) Close() error {
	s.forget()
	err := s.root.Close()
	if s.folder != nil {
		err = errors.Join(err, s.folder.Close())
	}
	if s.mark != nil {
		err = errors.Join(err, s.mark.file.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close()) // which also unlocks
	}
	return err
}

// Load returns the state, or nil when there is none yet. It refuses a state that is older than one it saved.
func (s *FileStore) Load() ([]byte, error) {
	file, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := s.mark.check(file, s.path(stateName)); file == nil || err != nil {
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
	s.keyed, s.cipher, s.generation = file.key, freshCipher(master), file.generation
	return blob, nil
}

// read takes the state file apart; nil when there is none.
func (s *FileStore) read() (*stateFile, error) {
	path := s.path(stateName)
	raw, err := s.readFile(stateName, maxStateFile)
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
	if s.cipher == nil {
		if err := s.firstKey(); err != nil {
			return err
		}
	}
	raw, err := s.cipher.encode(s.room, s.keyed, s.generation+1, blob)
	if err != nil {
		return storeError(s.path(stateName), err)
	}
	s.room = raw
	if err := s.replaceFile(stateName, raw); err != nil {
		return err
	}
	s.generation++
	return s.mark.set(s.generation) // only now: a mark ahead of its state would tell of a loss
}

func (s *FileStore) path(name string) string { return filepath.Join(s.dir, name) }

// firstKey settles what a state that was not there before is encrypted under. It never takes the place of a state that
// Load would have refused.
func (s *FileStore) firstKey() error {
	path := s.path(stateName)
	if _, err := s.root.Lstat(stateName); !errors.Is(err, fs.ErrNotExist) {
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
		if err := s.makeHostKey(); err != nil {
			return err
		}
	}
	master, err := s.key(k)
	if err != nil {
		return err
	}
	s.keyed, s.cipher = k, freshCipher(master)
	return nil
}

// key derives the master key that k asks for from what the caller gave.
func (s *FileStore) key(k keySource) (*crypt.KDF, error) {
	given, path, open := keyHost, s.path(keyName), func() (*os.File, error) { return s.root.Open(keyName) }
	if s.opts.KeyFile != "" {
		given, path, open = keyFile, s.opts.KeyFile, func() (*os.File, error) { return os.Open(s.opts.KeyFile) }
	}
	if len(s.opts.Passphrase) > 0 {
		given = keyPassphrase
	}
	if given != k.kind {
		return nil, s.wrongKey(k)
	}
	var master []byte
	var err error
	if k.kind == keyPassphrase {
		master, err = pbkdf2.Key(sha256.New, string(s.opts.Passphrase), k.salt, int(k.rounds), masterSize)
	} else {
		master, err = readKey(path, open)
	}
	if err != nil {
		return nil, err
	}
	defer clear(master)
	return crypt.NewKDF(crypt.AlgSHA256, master), nil
}

func (s *FileStore) wrongKey(k keySource) error {
	return &StoreError{Kind: StoreKey, Path: s.path(stateName), Err: fmt.Errorf("the state is encrypted under the %s, and what was given does not open it", k.kind),
		Advice: "give the " + k.kind.String() + " that was in force when the state was made; nothing was changed"}
}

// makeHostKey makes the key beside the state, unless it is there.
func (s *FileStore) makeHostKey() error {
	if _, err := s.root.Lstat(keyName); !errors.Is(err, fs.ErrNotExist) {
		return nil // or it cannot be read, which readKey finds out
	}
	key := make([]byte, masterSize)
	defer clear(key)
	rand.Read(key)
	return s.replaceFile(keyName, key)
}

func readKey(path string, open func() (*os.File, error)) ([]byte, error) {
	f, err := open()
	var raw []byte
	if err == nil {
		defer f.Close()
		if err := private(f, path); err != nil {
			return nil, err
		}
		raw, err = readLimited(f, 1<<20)
	}
	defer clear(raw)
	if err != nil {
		return nil, &StoreError{Kind: StoreKey, Path: path, Err: fmt.Errorf("the key file cannot be read: %w", err),
			Advice: "bring the key file back: without it the state cannot be decrypted"}
	}
	if len(raw) < masterSize {
		return nil, &StoreError{Kind: StoreKey, Path: path, Err: fmt.Errorf("the key file has %d bytes, fewer than %d", len(raw), masterSize),
			Advice: "bring the whole key file back: without it the state cannot be decrypted"}
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// seal is the form of the state file for what is not in one. A key that lies beside the state is no use elsewhere.
func (s *FileStore) seal(blob []byte, portable bool) ([]byte, error) {
	if portable && s.keyed.kind == keyHost {
		return blob, nil
	}
	return s.cipher.encode(nil, s.keyed, 0, blob)
}

// unseal opens what seal made under the same passphrase or key, here or in another folder.
func (s *FileStore) unseal(blob []byte) ([]byte, error) {
	if !bytes.HasPrefix(blob, []byte(stateMagic)) {
		return blob, nil
	}
	file, err := decodeStateFile(bytes.Clone(blob))
	if err != nil {
		return nil, fmt.Errorf("the snapshot: %w", err)
	}
	master, err := s.key(file.key)
	if err != nil {
		return nil, err
	}
	if blob, err = file.open(master); err != nil {
		return nil, fmt.Errorf("the snapshot is of a TPM under another %s", file.key.kind)
	}
	return blob, nil
}

// stateCipher encrypts state files under a key of its own, each with a random nonce: NIST SP 800-38D allows that 2^32 times, which
// are years of writing without a pause.
type stateCipher struct {
	seed []byte
	aead cipher.AEAD
}

const stateLabel = "VTPM STATE"

func newStateCipher(master *crypt.KDF, seed []byte) *stateCipher {
	return &stateCipher{seed, newGCM(master.KDFa(stateLabel, seed, nil, fileKeySize*8))}
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("engine: " + err.Error()) // the size is a constant
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("engine: " + err.Error())
	}
	return aead
}

// freshCipher is one that no other process has.
func freshCipher(master *crypt.KDF) *stateCipher {
	seed := make([]byte, fileSeedSize)
	rand.Read(seed)
	return newStateCipher(master, seed)
}

// open decrypts the state, in place.
func (f *stateFile) open(master *crypt.KDF) ([]byte, error) {
	if f.version <= 2 {
		key := master.KDFa(stateLabel, f.seed, nil, (fileKeySize+fileNonceSize)*8)
		return newGCM(key[:fileKeySize]).Open(f.sealed[:0], key[fileKeySize:], f.sealed, f.header)
	}
	nonce, sealed := f.sealed[:fileNonceSize], f.sealed[fileNonceSize:]
	return newStateCipher(master, f.seed).aead.Open(sealed[:0], nonce, sealed, f.header)
}

// encode encrypts blob into a state file. It puts the file together in room, or in more if that is not enough.
func (c *stateCipher) encode(room []byte, k keySource, generation uint64, blob []byte) ([]byte, error) {
	w := wire.AppendBE(room[:0])
	writeStateHeader(w, k, c.seed, generation)
	header := w.Len()
	size := fileNonceSize + len(blob) + c.aead.Overhead()
	if header+4+size+sha256.Size > maxStateFile {
		return nil, fmt.Errorf("a state of %d bytes is too large", len(blob))
	}
	var nonce [fileNonceSize]byte
	rand.Read(nonce[:])
	file := w.Grow(4 + size + sha256.Size).U32(uint32(size)).Bytes(nonce[:]).Out()
	return withChecksum(c.aead.Seal(file, nonce[:], blob, file[:header])), nil
}

// acquire locks the folder against other processes and leaves word of who holds it.
func (s *FileStore) acquire(ctx context.Context) (*os.File, error) {
	path := s.path(lockName)
	f, err := s.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
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

// replaceFile writes a file beside the one it replaces, forces it to the disk and renames it into place.
func (s *FileStore) replaceFile(name string, data []byte) (err error) {
	temp := name + ".new" // the lock is held: nobody else writes it, and a crash leaves at most this one
	defer func() {
		if err != nil {
			_ = s.root.Remove(temp) // what went wrong before says more
			err = storeError(s.path(name), err)
		}
	}()
	err = s.put(temp, data)
	if errors.Is(err, fs.ErrExist) { // what a crash left: its mode and its other names are not known to be ours
		if err := s.root.Remove(temp); err != nil {
			return err
		}
		err = s.put(temp, data)
	}
	if err != nil {
		return err
	}
	if err := s.rename(temp, name); err != nil {
		return err
	}
	return syncDir(s.folder)
}

func (s *FileStore) readFile(name string, limit int64) ([]byte, error) {
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(f, limit)
}

func readLimited(f *os.File, limit int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a plain file")
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%d bytes, more than %d", info.Size(), limit)
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, err
}
