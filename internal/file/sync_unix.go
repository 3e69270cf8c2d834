//go:build unix

package file

import "os"

// syncDir makes a rename in dir durable. A file system that cannot sync a folder is not an error: the data is synced.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync()
}
