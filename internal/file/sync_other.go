//go:build !unix

package file

// syncDir does nothing: NTFS journals renames.
func syncDir(string) {}
