//go:build !windows

package host

// They are nil: what they would tell is in the file system, or nowhere.
var (
	localDMI  func(field string) string
	localBoot func() string
	localWBCL func() []byte
)
