package cmd

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vtpmctl/vtpmctl/eventlog/files"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// bootFolders are where systems have what they boot from; those below others come first.
var bootFolders = []string{"boot/efi", "boot", "efi"}

// bootDisk is what this machine boots from, or one whose file system is in root, and the given folders.
func (a *app) bootDisk(root string, esp []string) (*files.Disk, error) {
	all, name := a.Host.Root, "/"
	if root != "" {
		full, err := folder(root)
		if err != nil {
			return nil, err
		}
		all, name = os.DirFS(root), filepath.ToSlash(full)
	}
	d := &files.Disk{}
	for _, dir := range esp {
		full, err := folder(dir)
		if err != nil {
			return nil, err
		}
		d.Roots = append(d.Roots, files.Root{Name: filepath.ToSlash(full), FS: os.DirFS(dir), Walk: true})
	}
	for _, dir := range bootFolders {
		sub, err := fs.Sub(all, dir)
		if info, statErr := fs.Stat(all, dir); err == nil && statErr == nil && info.IsDir() {
			d.Roots = append(d.Roots, files.Root{Name: filepath.ToSlash(filepath.Join(name, dir)), FS: sub, Walk: true})
		}
	}
	d.Roots = append(d.Roots, files.Root{Name: name, FS: all})
	return d, nil
}

// folder is the full name of a folder that the user named.
func folder(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fail.E(fail.MissingInput, "%s: there is no such folder", path)
	case !info.IsDir():
		return "", fail.E(fail.BadInput, "%s is no folder", path)
	}
	return filepath.Abs(path)
}
