package baseline

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// An anchor is an NV index that holds the digest of a baseline. Whoever changes the file and cannot write to the TPM is
// noticed; who may use the owner hierarchy can write the anchor too, and only a signature made elsewhere stops him.

// anchorSize is the size of what an anchor holds: a SHA-256 digest.
const anchorSize = 32

// anchorAttributes let the owner write and anybody read; guessing at it locks nothing.
var anchorAttributes = tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true}

// ParseAnchor reads the handle of an NV index that a user may have: the registry of reserved handles gives owners 0x01800000
// to 0x01bfffff.
func ParseAnchor(text string) (tpm2.TPMHandle, error) {
	h, ok := tpm.ParseHandle(text)
	if !ok || h>>22 != 0x01800000>>22 {
		return 0, fail.E(fail.Usage, "%q is no NV index of the owner", text).
			Hint("such indices are 0x01800000 to 0x01bfffff; vtpmctl info lists those in use")
	}
	return h, nil
}

// WriteAnchor keeps a digest at an NV index, which is made where it does not exist. An index that is no anchor is left
// alone. password is that of the owner hierarchy, empty where it has none.
func WriteAnchor(t tpm.Sender, index tpm2.TPMHandle, digest eventlog.Hex, password []byte) (err error) {
	owner := func() tpm2.AuthHandle { return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)} }
	if len(password) > 0 {
		sessions, sessionErr := tpm.NewSessions(t, tpm.SessionOptions{})
		if sessionErr != nil {
			return sessionErr
		}
		defer func() { err = errors.Join(err, sessions.Close()) }()
		owner = func() tpm2.AuthHandle {
			return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: sessions.HMAC(tpm.In, password)}
		}
	}
	name, err := anchorName(t, index)
	if errors.Is(err, tpm2.TPMRCHandle) {
		public := tpm2.TPMSNVPublic{NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, Attributes: anchorAttributes, DataSize: anchorSize}
		_, err = tpm2.NVDefineSpace{AuthHandle: owner(), PublicInfo: tpm2.New2B(public)}.Execute(t)
		if err != nil {
			return err
		}
		name, err = anchorName(t, index)
	}
	if err != nil {
		return err
	}
	_, err = tpm2.NVWrite{
		AuthHandle: owner(),
		NVIndex:    tpm2.NamedHandle{Handle: index, Name: name},
		Data:       tpm2.TPM2BMaxNVBuffer{Buffer: digest},
	}.Execute(t)
	return err
}

// CheckAnchor compares the digest at an NV index with that of a baseline.
func CheckAnchor(t tpm.Sender, index tpm2.TPMHandle, digest eventlog.Hex) eventlog.NamedCheck {
	no := func(format string, args ...any) eventlog.NamedCheck {
		return eventlog.NamedCheck{Name: "anchor", Outcome: eventlog.Fail, Text: fmt.Sprintf(format, args...)}
	}
	name, err := anchorName(t, index)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return no("there is no index 0x%08x: this is another TPM, it was cleared, or the anchor was removed", uint32(index))
	}
	if err != nil {
		return no("%s", err)
	}
	rsp, err := tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: index, Name: name, Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: index, Name: name},
		Size:       anchorSize,
	}.Execute(t)
	switch {
	case errors.Is(err, tpm2.TPMRCNVUninitialized):
		return no("index 0x%08x was never written", uint32(index))
	case err != nil:
		return no("index 0x%08x cannot be read: %s", uint32(index), err)
	case !bytes.Equal(rsp.Data.Buffer, digest):
		return no("index 0x%08x holds the digest of another baseline: the file was changed, or is an old one", uint32(index))
	}
	return eventlog.NamedCheck{Name: "anchor", Outcome: eventlog.Pass, Text: fmt.Sprintf("index 0x%08x of the TPM holds its digest", uint32(index))}
}

// anchorName returns the Name of an index, if it is an anchor.
func anchorName(t tpm.Sender, index tpm2.TPMHandle) (tpm2.TPM2BName, error) {
	public, name, err := tpm.ReadNVPublic(t, index)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	attributes := public.Attributes
	attributes.Written = false
	if public.DataSize != anchorSize || attributes != anchorAttributes {
		return tpm2.TPM2BName{}, fail.E(fail.OutputExists, "the NV index 0x%08x holds something else", uint32(index)).
			Hint("name an index that is free: vtpmctl info lists those in use")
	}
	return name, nil
}
