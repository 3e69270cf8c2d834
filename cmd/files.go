package cmd

import (
	"io"
	"os"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
)

// stdin is where data is expected only when the user said so; a terminal there is a mistake.
func (a *app) stdin() (io.Reader, error) {
	if a.Term.In {
		return nil, fail.E(fail.Usage, "stdin is a terminal, and data is expected on it").Hint("redirect a file into it, or name the file")
	}
	return a.In, nil
}

// input is what "-" stands for, if path is that.
func (a *app) input(path string) (io.Reader, error) {
	if path != "-" {
		return nil, nil
	}
	return a.stdin()
}

// openInput opens a file that the user named, "-" for stdin.
func (a *app) openInput(path string) (io.ReadCloser, error) {
	in, err := a.input(path)
	if err != nil {
		return nil, err
	}
	return file.Open(path, in)
}

// readInput reads a whole file of at most limit bytes that the user named, "-" for stdin.
func (a *app) readInput(path string, limit int64) ([]byte, error) {
	in, err := a.input(path)
	if err != nil {
		return nil, err
	}
	return file.Read(path, in, limit)
}

// writeFile lets write fill a secret file, which appears only when it is whole. It must not be the input.
func writeFile(input, path string, force bool, write func(io.Writer) error) error {
	if from, err := os.Stat(input); err == nil {
		if to, err := os.Stat(path); err == nil && os.SameFile(from, to) {
			return fail.E(fail.Usage, "%s is input and output at once", path).Hint("name another output file")
		}
	}
	return file.Fill(path, file.Secret, force, write)
}

// readStart reads at most limit bytes from the start of a file or a disk.
func (a *app) readStart(path string, limit int64) ([]byte, error) {
	r, err := a.openInput(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return nil, fail.E(fail.Failed, "%s: %w", path, err)
	}
	return data, nil
}

// exists tells whether there is a file of that name.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
