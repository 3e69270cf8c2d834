package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// mark is the generation of the newest state that was saved, in a file apart from the state. The state is on the disk before
// its mark is written, and nothing forces the mark there: after any crash the mark tells of that state or an older one.
// So a state is never taken for an old one that is not.
type mark struct {
	file *os.File
	path string
}

// markSize is that of a mark: a number of 20 digits and the end of the line, written in place and in one sector.
const markSize = 21

func (s *FileStore) openMark() (*mark, error) {
	m := &mark{path: s.opts.MarkFile}
	var err error
	if m.path != "" {
		m.file, err = os.OpenFile(m.path, os.O_RDWR|os.O_CREATE, 0o600)
	} else {
		m.path = s.path(markName)
		m.file, err = s.root.OpenFile(markName, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		return nil, storeError(m.path, err)
	}
	return m, nil
}

// get is the marked generation. What a power failure left of the file may be no number, and then nothing is known.
func (m *mark) get() (uint64, error) {
	text := make([]byte, markSize)
	n, err := m.file.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, storeError(m.path, err)
	}
	generation, err := strconv.ParseUint(strings.TrimSpace(string(text[:n])), 10, 64)
	if err != nil {
		return 0, nil
	}
	return generation, nil
}

func (m *mark) set(generation uint64) error {
	text := [markSize]byte{markSize - 1: '\n'} // by hand: fmt takes as long as the write
	for i := markSize - 2; i >= 0; i-- {
		text[i] = '0' + byte(generation%10)
		generation /= 10
	}
	if _, err := m.file.WriteAt(text[:], 0); err != nil {
		return storeError(m.path, err)
	}
	return nil
}

// check refuses a state that is older than the mark, and the lack of one.
func (m *mark) check(file *stateFile, path string) error {
	newest, err := m.get()
	switch {
	case err != nil:
		return err
	case file == nil && newest > 0:
		err = fmt.Errorf("the state is gone: it was saved %d times", newest)
	case file != nil && file.generation < newest:
		err = fmt.Errorf("this is an older state that was put back: it was saved %d times, the newest one %d times", file.generation, newest)
	default:
		return nil
	}
	return &StoreError{Kind: StoreRolledBack, Path: path, Err: err,
		Advice: "put the newest state back; to go on with what is there all the same, remove " + m.path}
}
