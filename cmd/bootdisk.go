package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
		d.Roots = append(d.Roots, files.Root{Name: filepath.ToSlash(full), FS: os.DirFS(dir), Walk: true, Ordered: a.listsInOrder(full)})
	}
	for _, dir := range bootFolders {
		sub, err := fs.Sub(all, dir)
		if info, statErr := fs.Stat(all, dir); err == nil && statErr == nil && info.IsDir() {
			full := filepath.ToSlash(filepath.Join(name, dir))
			d.Roots = append(d.Roots, files.Root{Name: full, FS: sub, Walk: true, Ordered: a.listsInOrder(full)})
		}
	}
	d.Roots = append(d.Roots, files.Root{Name: name, FS: all, Ordered: a.listsInOrder(name)})
	return d, nil
}

// listsInOrder tells whether the kernel lists a folder as it lies on the disk: ext4 lists by hashes, btrfs by age.
func (a *app) listsInOrder(dir string) bool {
	at, kind := "", ""
	for line := range strings.Lines(a.Host.Text("proc/self/mounts")) {
		f := strings.Fields(line)
		if len(f) > 2 && len(f[1]) >= len(at) && strings.HasPrefix(dir+"/", strings.TrimSuffix(f[1], "/")+"/") {
			at, kind = f[1], f[2]
		}
	}
	return kind == "xfs" || kind == "vfat"
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
