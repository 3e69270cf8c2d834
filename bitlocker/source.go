package bitlocker

import (
	"errors"
	"fmt"
	"io"
)

// readUnit is a multiple of every sector size in use. A raw Windows device refuses reads that do not start and end on a
// sector; partitions start on one, so offsets from the start of a volume are enough.
const readUnit = 4096

// maxBytes bounds every size and offset taken from the metadata: 2^53 is beyond any volume, and the largest range of
// integers that every JSON reader keeps exact.
const maxBytes = 1 << 53

// source reads whole units around what is asked for.
type source struct {
	r    io.ReaderAt
	size int64 // 0: unknown
}

// read returns the n bytes at off. n is bounded by the caller.
func (s source) read(off int64, n int) ([]byte, error) {
	if off < 0 || off > maxBytes {
		return nil, fmt.Errorf("offset %d is beyond any volume", off)
	}
	if s.size > 0 && off+int64(n) > s.size {
		return nil, fmt.Errorf("offset %d is past the end of the volume, %d bytes", off, s.size)
	}
	skip := int(off % readUnit)
	buf := make([]byte, (skip+n+readUnit-1)/readUnit*readUnit)
	got, err := s.r.ReadAt(buf, off-int64(skip))
	if got >= skip+n {
		return buf[skip : skip+n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("offset %d: %w", off, err)
}
