package engine

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// derive makes an RSA primary with a unique field of its own.
func derive(t *testing.T, e *TPM, root tpm2.TPMHandle, unique byte) tpm2.CreatePrimaryResponse {
	t.Helper()
	template := tpm2.RSASRKTemplate
	template.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: 1024, Symmetric: tpm2.TPMTSymDefObject{
		Algorithm: tpm2.TPMAlgAES, KeyBits: tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
		Mode: tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB)}})
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: []byte{unique}})
	key, err := tpm2.CreatePrimary{PrimaryHandle: root, InPublic: tpm2.New2B(template)}.Execute(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: key.ObjectHandle}).Execute(e); err != nil {
		t.Fatal(err)
	}
	return *key
}

func TestRememberedPrimaryIsTheDerivedOne(t *testing.T) {
	store := NewMemoryStore()
	e, err := New(Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []tpm2.TPMHandle{tpm2.TPMRHOwner, tpm2.TPMRHEndorsement} { // the latter stirs behind the key
		first := derive(t, e, root, 1)
		known := len(e.primaries)
		again, other := derive(t, e, root, 1), derive(t, e, root, 2)
		if len(e.primaries) != known+1 {
			t.Errorf("%d primaries are remembered, not %d", len(e.primaries), known+1)
		}
		if !bytes.Equal(first.Name.Buffer, again.Name.Buffer) || bytes.Equal(first.Name.Buffer, other.Name.Buffer) {
			t.Error("the name does not follow from the template")
		}
		// The secret value that protects children is drawn behind the key: children of one load under the other.
		parent := func() tpm2.AuthHandle {
			k, err := tpm2.CreatePrimary{PrimaryHandle: root, InPublic: first.OutPublic}.Execute(e)
			if err != nil {
				t.Fatal(err)
			}
			return tpm2.AuthHandle{Handle: k.ObjectHandle, Name: k.Name, Auth: tpm2.PasswordAuth(nil)}
		}
		p := parent()
		if _, err := (tpm2.FlushContext{FlushHandle: p.Handle}).Execute(e); err != nil {
			t.Fatal(err)
		}
		p = parent()
		child, err := tpm2.Create{ParentHandle: p, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Reset(); err != nil {
			t.Fatal(err)
		}
		e.primaries = nil
		if _, err := (tpm2.Load{ParentHandle: parent(), InPrivate: child.OutPrivate, InPublic: child.OutPublic}).Execute(e); err != nil {
			t.Errorf("a child of the remembered primary does not load under the derived one: %v", err)
		}
		if err := e.Reset(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPrimariesAreForgottenWithTheirSeed(t *testing.T) {
	for name, forget := range map[string]func(*TPM) error{
		"TPM2_Clear": func(e *TPM) error {
			_, err := tpm2.Clear{AuthHandle: tpm2.TPMRHLockout}.Execute(e)
			return err
		},
		"reset": (*TPM).Reset,
		"restore": func(e *TPM) error {
			was, _, err := e.Snapshot(true)
			if err == nil {
				err = e.Restore(was)
			}
			return err
		},
	} {
		e, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		derive(t, e, tpm2.TPMRHOwner, 1)
		derive(t, e, tpm2.TPMRHNull, 1)
		if err := forget(e); err != nil {
			t.Fatal(err)
		}
		if len(e.primaries) != 0 {
			t.Errorf("%s: %d primaries are still known", name, len(e.primaries))
		}
	}
}

func TestFewPrimariesAreRemembered(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(maxPrimaries + 2) {
		derive(t, e, tpm2.TPMRHOwner, i)
		if len(e.primaries) > maxPrimaries {
			t.Fatalf("%d primaries", len(e.primaries))
		}
	}
}
