package cmd

import (
	"bytes"
	"context"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// secret gets a PIN or passphrase: from a file ("-" is stdin; one line end at its end is not part of it), or by asking
// on the terminal.
func (a *app) secret(ctx context.Context, file, prompt string) ([]byte, error) {
	if file != "" {
		return a.secretFromFile(file)
	}
	if a.noInput {
		return nil, fail.E(fail.Usage, "a secret is needed and --no-input forbids asking").Hint("give it in a file")
	}
	s, err := a.AskSecret(ctx, prompt)
	if err != nil && ctx.Err() == nil {
		return nil, fail.E(fail.Usage, "a secret is needed and cannot be asked for: %w", err).Hint("give it in a file")
	}
	return s, err
}

// maxSecretFile bounds the file of a PIN or passphrase, in bytes.
const maxSecretFile = 4096

// secretFromFile reads a PIN or passphrase. Editors and echo end a file with a line end; it is not part of the secret.
func (a *app) secretFromFile(path string) ([]byte, error) {
	data, err := a.readInput(path, maxSecretFile)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r")), nil
}
