// Package files finds the files behind an event log: digests of boot loaders, kernels and configuration stand in the log
// without what was hashed, and the file systems a boot reads from still have it. It is given these as fs.FS and only
// reads; it knows no TPM.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
)

// Root is a file system, or a folder of one, that boots read from.
type Root struct {
	Name string // where the system has it, such as "/boot/efi"
	FS   fs.FS
	Walk bool // look at every file: a boot partition, not the whole system

	// Ordered says that the system lists a folder in the order in which it is on the disk, and in which boot loaders read it.
	Ordered bool
}

// Disk is what a machine boots from.
type Disk struct {
	Roots []Root

	index map[eventlog.Alg]map[string]Origin // by digest
}

// Bounds of a search.
const (
	MaxFile   = 1 << 30 // bytes of a file
	maxFiles  = 20000   // files of all roots
	maxFolder = 16      // folders in one another
)

// Origin says where measured bytes come from.
type Origin struct {
	File string `json:"file"` // with the name of its root
	As   string `json:"as"`   // what of it was measured: "content", "authenticode", "section .initrd", …
}

// part tells whether a part of the file was measured. A file as a whole explains the same bytes better.
func (o Origin) part() bool { return o.As != asContent && o.As != asImage }

// The ways a file may be measured, besides the two of its sections.
const (
	asContent = "content"
	asImage   = "authenticode"
)

// File is a file of a Disk.
type File struct {
	Path string // with the name of its root
	root *Root
	name string // within the root
}

// Read reads the file.
func (f *File) Read() ([]byte, error) { return read(f.root.FS, f.name) }

// Time is when the file was changed last.
func (f *File) Time() (time.Time, bool) {
	info, err := fs.Stat(f.root.FS, f.name)
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

func read(fsys fs.FS, name string) ([]byte, error) {
	r, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close() // it was opened for reading
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err == nil && len(data) > MaxFile {
		err = fmt.Errorf("%s has more than %d bytes", name, MaxFile)
	}
	return data, err
}

// Named lists the files that a boot may mean by a path: GRUB's "(hd0,gpt2)/vmlinuz" and UEFI's `\EFI\BOOT\BOOTX64.EFI`
// are relative to a partition, and any root may be that.
func (d *Disk) Named(bootPath string) []File {
	p := strings.ReplaceAll(bootPath, `\`, "/")
	if rest, device := strings.CutPrefix(p, "("); device {
		_, p, _ = strings.Cut(rest, ")")
	}
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	var found []File
	for i := range d.Roots {
		root := &d.Roots[i]
		name, ok := locate(root.FS, p)
		if !ok {
			continue
		}
		f := File{Path: path.Join(root.Name, name), root: root, name: name}
		if !slices.ContainsFunc(found, func(g File) bool { return g.Path == f.Path }) { // "/" has "/boot" in it
			found = append(found, f)
		}
	}
	return found
}

// locate finds a regular file whatever the case of its path: FAT does not distinguish.
func locate(fsys fs.FS, p string) (string, bool) {
	if info, err := fs.Stat(fsys, p); err == nil {
		return p, info.Mode().IsRegular()
	}
	at := "."
	for want := range strings.SplitSeq(p, "/") {
		entries, err := fs.ReadDir(fsys, at)
		i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return strings.EqualFold(e.Name(), want) })
		if err != nil || i < 0 {
			return "", false
		}
		at = path.Join(at, entries[i].Name())
	}
	info, err := fs.Stat(fsys, at)
	return at, err == nil && info.Mode().IsRegular()
}

// Find tells which file of the walked roots was measured as an event.
func (d *Disk) Find(e *eventlog.Event) (Origin, bool) {
	var bank eventlog.Alg
	for digest := range e.Digests.All() {
		if digest.Alg.Known() && (bank == 0 || digest.Alg == eventlog.SHA256) {
			bank = digest.Alg
		}
	}
	if bank == 0 {
		return Origin{}, false
	}
	if d.index[bank] == nil {
		d.build(bank)
	}
	o, ok := d.index[bank][string(e.Digest(bank))]
	return o, ok
}

// build hashes every file in a bank: one as a rule, another where an event has no digest of the first.
func (d *Disk) build(bank eventlog.Alg) {
	if d.index == nil {
		d.index = make(map[eventlog.Alg]map[string]Origin)
	}
	index := make(map[string]Origin)
	d.index[bank] = index
	for f := range d.Files {
		data, err := f.Read()
		if err != nil {
			continue // a file that cannot be read explains nothing
		}
		for as, parts := range Readings(data) {
			sum := string(bank.Sum(parts...))
			if old, twice := index[sum]; !twice || old.part() && !(Origin{As: as}).part() {
				index[sum] = Origin{f.Path, as}
			}
		}
	}
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// Files yields the files of the roots to be walked.
func (d *Disk) Files(yield func(*File) bool) {
	count := 0
	for i := range d.Roots {
		root := &d.Roots[i]
		if !root.Walk {
			continue
		}
		err := fs.WalkDir(root.FS, ".", func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil: // a folder that cannot be read
				return fs.SkipDir
			case entry.IsDir() && name != "." && d.isRoot(path.Join(root.Name, name)):
				return fs.SkipDir // it has its own turn
			case entry.IsDir() && strings.Count(name, "/") >= maxFolder:
				return fs.SkipDir
			case !entry.Type().IsRegular():
				return nil
			}
			if count++; count > maxFiles || !yield(&File{Path: path.Join(root.Name, name), root: root, name: name}) {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return
		}
	}
}

// isRoot tells whether a folder is walked by itself.
func (d *Disk) isRoot(name string) bool {
	return slices.ContainsFunc(d.Roots, func(r Root) bool { return r.Walk && r.Name == name })
}

// Readings are the ways in which a file may have been measured: its content, an image by its Authenticode digest, the
// sections of an image as systemd-stub measures them, and the kernel in one as firmware does. An empty file has none: it
// would explain every event that measured nothing.
func Readings(data []byte) func(yield func(as string, parts [][]byte) bool) {
	return func(yield func(string, [][]byte) bool) {
		if len(data) == 0 || !yield(asContent, [][]byte{data}) {
			return
		}
		image, err := authenticode.Parse(data)
		if err != nil {
			return
		}
		if parts, err := image.Covered(); err == nil && !yield(asImage, parts) {
			return
		}
		size := 0
		for i := range image.Sections {
			s := &image.Sections[i]
			if size += len(s.Data); size > len(data) {
				return // sections that overlap would be hashed again and again
			}
			if len(s.Data) == 0 {
				continue
			}
			if parts := s.Loaded(); parts != nil && !yield("section "+s.Name, parts) {
				return
			}
			if s.Name != kernelSection {
				continue
			}
			if inner, err := authenticode.Parse(s.Data); err == nil {
				if parts, err := inner.Covered(); err == nil && !yield(asImage+" of section "+s.Name, parts) {
					return
				}
			}
		}
	}
}

// kernelSection holds the kernel of a unified kernel image.
const kernelSection = ".linux"

// At is the file with a full name, as Origin and File.Path have it.
func (d *Disk) At(name string) (*File, bool) {
	for i := range d.Roots {
		root := &d.Roots[i]
		rest, ok := strings.CutPrefix(name, strings.TrimSuffix(root.Name, "/")+"/")
		if !ok {
			continue
		}
		if info, err := fs.Stat(root.FS, rest); err == nil && info.Mode().IsRegular() {
			return &File{Path: name, root: root, name: rest}, true
		}
	}
	return nil, false
}

// List names the files of a folder, whose path has the name of its root: in the order of the disk if that is known, else of
// the alphabet.
func (d *Disk) List(folder string) (names []string, ordered bool) {
	for i := range d.Roots {
		root := &d.Roots[i]
		rest, ok := strings.CutPrefix(folder+"/", strings.TrimSuffix(root.Name, "/")+"/")
		if !ok {
			continue
		}
		f, err := root.FS.Open(path.Clean("./" + strings.TrimSuffix(rest, "/")))
		if err != nil {
			continue
		}
		defer f.Close() // it was opened for reading
		dir, ok := f.(fs.ReadDirFile)
		if !ok {
			continue
		}
		entries, err := dir.ReadDir(-1)
		if err != nil {
			continue
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if !root.Ordered {
			slices.Sort(names)
		}
		return names, root.Ordered
	}
	return nil, false
}
