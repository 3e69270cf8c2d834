package tpm

import (
	"errors"
	"io"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// randomLimit bounds what Random fetches: a TPM makes some kilobytes a second.
const randomLimit = 1 << 20

// Random fetches n bytes from the TPM's generator, encrypted on their way.
func Random(t Sender, n int) ([]byte, error) {
	if n < 1 || n > randomLimit {
		return nil, fail.E(fail.Usage, "%d random bytes cannot be had: 1 to %d at a time", n, randomLimit)
	}
	s, err := NewSessions(t, SessionOptions{})
	if err != nil {
		return nil, err
	}
	random := make([]byte, 0, n)
	for len(random) < n {
		const most = 32 // every TPM gives at least one SHA-256 digest's worth at a time
		rsp, err := tpm2.GetRandom{BytesRequested: uint16(min(n-len(random), most))}.Execute(t, s.HMAC(Out, nil))
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if len(rsp.RandomBytes.Buffer) == 0 {
			return nil, errors.Join(fail.E(fail.Failed, "the TPM gives no random bytes"), s.Close())
		}
		random = append(random, rsp.RandomBytes.Buffer...)
	}
	return random[:n], s.Close()
}

// Hash has the TPM hash what r holds, piece by piece (part 3, section 17.4 ff.).
func Hash(t Sender, alg tpm2.TPMAlgID, r io.Reader) ([]byte, error) {
	handle, err := startHash(t, alg)
	if err != nil {
		return nil, err
	}
	sequence := tpm2.AuthHandle{Handle: handle, Auth: tpm2.PasswordAuth(nil)}
	const most = 1024 // TPM2B_MAX_BUFFER has at least this size
	piece := make([]byte, most)
	for {
		n, readErr := io.ReadFull(r, piece)
		data := tpm2.TPM2BMaxBuffer{Buffer: piece[:n]}
		switch {
		case readErr == nil:
			if _, err := (tpm2.SequenceUpdate{SequenceHandle: sequence, Buffer: data}).Execute(t); err != nil {
				return nil, err
			}
		case errors.Is(readErr, io.EOF), errors.Is(readErr, io.ErrUnexpectedEOF):
			done, err := tpm2.SequenceComplete{SequenceHandle: sequence, Buffer: data, Hierarchy: tpm2.TPMRHNull}.Execute(t)
			if err != nil {
				return nil, err
			}
			return done.Result.Buffer, nil
		default:
			_, err := tpm2.FlushContext{FlushHandle: handle}.Execute(t)
			return nil, errors.Join(readErr, err)
		}
	}
}

// Flush ends objects and sessions, whoever made them. It goes on after one that cannot be flushed, and returns those
// that were.
func Flush(t Sender, all []Hex) (flushed []Hex, err error) {
	flushed = []Hex{}
	for _, h := range all {
		if _, e := (tpm2.FlushContext{FlushHandle: tpm2.TPMHandle(h)}).Execute(t); e != nil {
			err = errors.Join(err, fail.E(fail.Failed, "%s cannot be flushed: %w", h, Annotate(t, e)))
			continue
		}
		flushed = append(flushed, h)
	}
	return flushed, err
}
