package tpm

// CommandError is what a TPM answered instead of doing a command.
type CommandError struct{}

func (*CommandError) Error() string { return "" }
