//go:build !windows

package host

// localDMI is nil: the strings are files in sysfs, or nowhere.
var localDMI func(field string) string
