package tpm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func TestTheEngineKeepsItsStateInAFolder(t *testing.T) {
	target := "engine:" + t.TempDir()
	digest := bytes.Repeat([]byte{0xa5}, 32)
	first, err := Open(t.Context(), target, Options{Allow: Extends})
	if err != nil {
		t.Fatal(err)
	}
	if !first.Origin().Emulated {
		t.Error("the engine passes for a real TPM")
	}
	_, err = tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: 16, Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest}}},
	}.Execute(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Open(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	rsp, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{0, 0, 1}},
	}}}.Execute(second)
	if err != nil {
		t.Fatal(err)
	}
	if got := rsp.PCRValues.Digests; len(got) != 1 || bytes.Equal(got[0].Buffer, make([]byte, 32)) {
		t.Errorf("PCR 16 is %x after another process extended it", got)
	}
}

func TestTheEngineTellsWhyItsStateCannotBeUsed(t *testing.T) {
	for what, tt := range map[string]struct {
		prepare func(t *testing.T, dir string) error
		want    fail.Kind
	}{
		"another process holds it": {func(t *testing.T, dir string) error {
			c, err := Open(t.Context(), "engine:"+dir, Options{})
			if err == nil {
				t.Cleanup(func() { c.Close() })
			}
			return err
		}, fail.TPMBusy},
		"the state is damaged": {func(t *testing.T, dir string) error {
			c, err := Open(t.Context(), "engine:"+dir, Options{})
			if err != nil {
				return err
			}
			return errors.Join(c.Close(), os.WriteFile(filepath.Join(dir, "state"), []byte("GIF89a"), 0o600))
		}, fail.BadInput},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			if err := tt.prepare(t, dir); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := Open(ctx, "engine:"+dir, Options{})
			if fail.KindOf(err) != tt.want || len(fail.HintsOf(err)) == 0 {
				t.Errorf("error %v of kind %q with hints %q, want kind %q", err, fail.KindOf(err), fail.HintsOf(err), tt.want)
			}
		})
	}
}

func TestEveryStoreErrorHasAKind(t *testing.T) {
	for kind := engine.StoreFailed; kind <= engine.StoreDenied; kind++ {
		err := EngineError(&engine.StoreError{Kind: kind, Path: "p", Err: fs.ErrInvalid, Advice: "do this"})
		if fail.KindOf(err).Exit() == fail.Failed.Exit() || !strings.Contains(err.Error(), "p: invalid") {
			t.Errorf("store error %d becomes %v of kind %q", kind, err, fail.KindOf(err))
		}
	}
	if err := EngineError(engine.ErrClosed); err != engine.ErrClosed {
		t.Errorf("another error becomes %v", err)
	}
}

func TestAutoEndsAtTheEngineAndSaysSo(t *testing.T) {
	useSystemTargets(t, Target{Scheme: SWTPM, Path: filepath.Join(t.TempDir(), "absent")})
	dir := t.TempDir()
	c, err := Open(t.Context(), "auto", Options{EngineDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o := c.Origin(); !o.Emulated || o.Target != "engine:"+dir {
		t.Errorf("origin %+v", o)
	}
}
