package engine

import (
	"bytes"
	"sync"
)

// Store keeps the one blob that is a TPM's state. Save must be atomic: after a crash Load returns the old blob or the
// new one. A Store need not understand the blob, but the blob holds secrets in the clear: FileStore encrypts it. What Save is
// given belongs to the caller, who uses it again.
type Store interface {
	Load() ([]byte, error) // nil, nil when there is no state yet
	Save([]byte) error
}

// memoryStore is a Store that lives as long as the process.
type memoryStore struct {
	mu   sync.Mutex
	blob []byte
}

// NewMemoryStore returns an empty Store that keeps the state in memory.
func NewMemoryStore() Store { return &memoryStore{} }

func (s *memoryStore) Load() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.blob), nil
}

func (s *memoryStore) Save(blob []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blob = bytes.Clone(blob)
	return nil
}
