// Package authenticode reads PE images as firmware does when it measures or verifies one (Microsoft, "Windows
// Authenticode Portable Executable Signature Format"; EDK II, HashPeImage). An image is hostile input: every offset in it
// is checked before use. The package touches nothing but byte slices.
package authenticode

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// Image is a PE image. It views the bytes given to Parse.
type Image struct {
	Sections []Section // in the order of the section table

	data      []byte
	checksum  int    // offset of the CheckSum field
	directory int    // offset of the certificate table's directory entry, 0 where the image has none
	headers   int    // SizeOfHeaders
	table     []byte // the attribute certificate table
}

// Section is one section of an image.
type Section struct {
	Name string
	Data []byte // what the file has of it, without the padding to the file's alignment

	size   uint32 // in memory
	start  int    // in the file
	stored int    // bytes in the file, padding included
}

// The layout of a PE image (Microsoft, "PE Format").
const (
	peOffset      = 0x3c // of the offset of the PE signature
	coffSize      = 24   // signature and COFF header
	magicPE32     = 0x10b
	magicPE32Plus = 0x20b
	sectionSize   = 40
	securityIndex = 4 // of the certificate table among the data directories
	directorySize = 8
	maxName       = 64  // of a section, in the string table
	maxSections   = 256 // real images have a dozen
)

// Is tells whether data starts as a PE image does.
func Is(data []byte) bool { return bytes.HasPrefix(data, []byte("MZ")) }

// Parse reads the headers of an image.
func Parse(data []byte) (*Image, error) {
	i := &Image{data: data}
	if !Is(data) || len(data) < peOffset+4 {
		return nil, errors.New("no PE image: it does not start with MZ")
	}
	at := int64(binary.LittleEndian.Uint32(data[peOffset:]))
	if at > int64(len(data))-coffSize {
		return nil, fmt.Errorf("PE header at offset %d, the file has %d bytes", at, len(data))
	}
	pe := int(at)
	r := wire.LE(data[pe:])
	if string(r.Bytes(4)) != "PE\x00\x00" {
		return nil, fmt.Errorf("offset %d: no PE signature", pe)
	}
	r.U16() // machine
	sections := int(r.U16())
	r.U32() // time stamp
	names := i.strings(uint64(r.U32()), uint64(r.U32()))
	optional := int(r.U16())
	r.U16() // characteristics
	if err := i.parseOptional(r.Bytes(optional), pe+coffSize); err != nil {
		return nil, err
	}
	if err := i.parseSections(r, sections, names); err != nil {
		return nil, err
	}
	return i, nil
}

// parseOptional reads the optional header, which stands at offset at.
func (i *Image) parseOptional(h []byte, at int) error {
	r := wire.LE(h)
	magic := r.U16()
	r.Bytes(58)
	i.headers = int(r.U32())
	i.checksum = at + r.Offset()
	r.U32() // CheckSum
	switch magic {
	case magicPE32:
		r.Bytes(24)
	case magicPE32Plus:
		r.Bytes(40)
	default:
		return fmt.Errorf("offset %d: optional header of an unknown kind 0x%x", at, magic)
	}
	directories := r.U32()
	if r.Err() != nil {
		return fmt.Errorf("optional header: %w", r.Err())
	}
	if i.headers < at+len(h) || i.headers > len(i.data) {
		return fmt.Errorf("headers of %d bytes in a file of %d", i.headers, len(i.data))
	}
	if directories <= securityIndex {
		return nil
	}
	r.Bytes(securityIndex * directorySize)
	i.directory = at + r.Offset()
	start, size := uint64(r.U32()), uint64(r.U32()) // the one directory whose address is a file offset
	if r.Err() != nil {
		return fmt.Errorf("optional header: %w", r.Err())
	}
	if size == 0 {
		return nil
	}
	if start < uint64(i.headers) || start+size > uint64(len(i.data)) {
		return fmt.Errorf("certificate table at offset %d of %d bytes in a file of %d", start, size, len(i.data))
	}
	i.table = i.data[start : start+size]
	return nil
}

// strings is the string table, which follows the symbols: GNU tools keep the names of sections there that are longer than
// eight bytes.
func (i *Image) strings(symbols, count uint64) []byte {
	const symbolSize = 18
	if at := symbols + count*symbolSize; symbols > 0 && at < uint64(len(i.data)) {
		return i.data[at:]
	}
	return nil
}

// sectionName resolves a name of the form "/OFFSET" into the string table.
func sectionName(raw, names []byte) string {
	name := string(bytes.TrimRight(raw, "\x00"))
	if digits, long := strings.CutPrefix(name, "/"); long {
		if at, err := strconv.Atoi(digits); err == nil && at >= 0 && at < len(names) {
			if full, _, ended := bytes.Cut(names[at:min(len(names), at+maxName)], []byte{0}); ended {
				return string(full)
			}
		}
	}
	return name
}

func (i *Image) parseSections(r *wire.Reader, count int, names []byte) error {
	if count > maxSections {
		return fmt.Errorf("section table: %d sections", count)
	}
	for range count {
		name := r.Bytes(8)
		size := r.U32()
		r.U32() // address
		stored, start := uint64(r.U32()), uint64(r.U32())
		r.Bytes(16)
		if r.Err() != nil {
			return fmt.Errorf("section table: %w", r.Err())
		}
		s := Section{Name: sectionName(name, names), size: size}
		if stored > 0 {
			if start+stored > uint64(len(i.data)) {
				return fmt.Errorf("section %q: %d bytes at offset %d in a file of %d", s.Name, stored, start, len(i.data))
			}
			s.start, s.stored = int(start), int(stored)
			s.Data = i.data[start : start+min(stored, uint64(size))]
		}
		i.Sections = append(i.Sections, s)
	}
	return nil
}

// Section returns the first section of a name, nil where there is none.
func (i *Image) Section(name string) *Section {
	for n := range i.Sections {
		if i.Sections[n].Name == name {
			return &i.Sections[n]
		}
	}
	return nil
}

// maxZeroes bounds what a section may have more in memory than in the file, for Loaded.
const maxZeroes = 1 << 16

// Loaded is the section as it lies in memory: its bytes, and zeroes where the file has fewer. Nil where those zeroes would
// be more than any section that is measured has.
func (s *Section) Loaded() [][]byte {
	missing := int64(s.size) - int64(len(s.Data))
	if missing > maxZeroes {
		return nil
	}
	if missing == 0 {
		return [][]byte{s.Data}
	}
	return [][]byte{s.Data, make([]byte, missing)}
}

// Covered are the parts of the file that an Authenticode digest covers, in order: the headers without the CheckSum field
// and the certificate table's directory entry, the sections by their place in the file, and what follows them, without the
// certificate table. A signer pads the file to a multiple of eight first, so a signed file needs no padding here, and
// firmware gives an unsigned one none (see Padded).
func (i *Image) Covered() ([][]byte, error) {
	var parts [][]byte
	from := 0
	skip := func(at, size int) {
		parts = append(parts, i.data[from:at])
		from = at + size
	}
	skip(i.checksum, 4)
	if i.directory != 0 {
		skip(i.directory, directorySize)
	}
	skip(i.headers, 0)
	var sections []*Section // of pointers, because other sorting is, too: for each struct it is compiled anew
	for n := range i.Sections {
		if s := &i.Sections[n]; s.stored > 0 {
			sections = append(sections, s)
		}
	}
	slices.SortStableFunc(sections, func(a, b *Section) int { return cmp.Compare(a.start, b.start) })
	sum := i.headers
	for _, s := range sections {
		parts = append(parts, i.data[s.start:s.start+s.stored])
		sum += s.stored
		if sum > len(i.data) {
			return nil, fmt.Errorf("section %q: the sections have more bytes than the file", s.Name)
		}
	}
	end := len(i.data) - len(i.table)
	if sum > end {
		return nil, errors.New("the certificate table lies in a section")
	}
	return append(parts, i.data[sum:end]), nil
}

// Padded is Covered as a signer sees the file: zeroes fill an unsigned one up to a multiple of eight.
func (i *Image) Padded() ([][]byte, error) {
	parts, err := i.Covered()
	if err != nil || len(i.table) > 0 {
		return parts, err
	}
	return append(parts, make([]byte, -len(i.data)&7)), nil
}

// Signed tells whether the image has a certificate table.
func (i *Image) Signed() bool { return len(i.table) > 0 }
