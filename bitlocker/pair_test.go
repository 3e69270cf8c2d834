package bitlocker_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/bitlocker"
	"github.com/vtpmctl/vtpmctl/bitlocker/synth"
	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// loadingTPM answers TPM2_Load with a response code and remembers what it was sent.
type loadingTPM struct {
	noKey    uint32 // response code of TPM2_ReadPublic
	rc       uint32 // of TPM2_Load
	err      error
	commands []tpm2.TPMCC
	parent   uint32
	private  []byte
}

func (f *loadingTPM) Send(cmd []byte) ([]byte, error) {
	r := wire.BE(cmd)
	r.Bytes(6)
	cc := tpm2.TPMCC(r.U32())
	f.commands = append(f.commands, cc)
	answer := func(tag tpm2.TPMST, rc uint32, body []byte) ([]byte, error) {
		return wire.NewBE().U16(uint16(tag)).U32(uint32(10 + len(body))).U32(rc).Bytes(body).Out(), nil
	}
	switch cc {
	case tpm2.TPMCCFlushContext:
		return answer(tpm2.TPMSTNoSessions, 0, nil)
	case tpm2.TPMCCReadPublic:
		public := wire.NewBE().U16(0x25).U16(0xb).U32(0).Sized16(nil).U16(0x10).Sized16(nil).Out() // TPMT_PUBLIC, SYMCIPHER
		return answer(tpm2.TPMSTNoSessions, f.noKey, wire.NewBE().Sized16(public).Sized16([]byte{0, 0xb, 1}).Sized16(nil).Out())
	}
	f.parent = r.U32()
	r.Sized32() // the auth area
	f.private = r.Sized16()
	if f.err != nil {
		return nil, f.err
	}
	if f.rc != 0 {
		return answer(tpm2.TPMSTNoSessions, f.rc, nil)
	}
	params := wire.NewBE().Sized16([]byte{0, 0xb, 1, 2}).Out()
	return answer(tpm2.TPMSTSessions, 0, wire.NewBE().U32(0x80000000).Sized32(params).Bytes([]byte{0, 0, 1, 0, 0}).Out())
}

func TestPairLoadsAndFlushesAndNothingElse(t *testing.T) {
	private := bytes.Repeat([]byte{0x5a}, 100)
	img := protected(synth.Sealed(true), synth.TPM{PCRs: []int{7, 11}, Private: private}.Protector()).Image()
	f := &loadingTPM{}
	v, got, err := bitlocker.Pair(f, bytes.NewReader(img), 0)
	if err != nil || v.VolumeID != synth.VolumeID {
		t.Fatal(v, err)
	}
	if len(got) != 1 || got[0].ID != synth.ProtectorID(1) || got[0].Paired != eventlog.Pass {
		t.Errorf("pairings %+v", got)
	}
	if want := []tpm2.TPMCC{tpm2.TPMCCReadPublic, tpm2.TPMCCLoad, tpm2.TPMCCFlushContext}; !slices.Equal(f.commands, want) {
		t.Errorf("commands %v, want %v", f.commands, want)
	}
	if f.parent != 0x81000001 || !bytes.Equal(f.private, private) {
		t.Errorf("parent 0x%08x, private %x", f.parent, f.private)
	}
}

func TestPairTellsARefusalFromAFailure(t *testing.T) {
	broken := errors.New("the channel is gone")
	sealed := synth.TPM{PCRs: []int{7, 11}}
	for name, c := range map[string]struct {
		tpm    synth.TPM
		fake   loadingTPM
		want   eventlog.Outcome
		reason string
		err    error
	}{
		"integrity of parameter 1":  {sealed, loadingTPM{rc: 0x1df}, eventlog.Fail, "another TPM", nil},
		"nothing at the handle":     {sealed, loadingTPM{noKey: 0x18b}, eventlog.Fail, "no key at 0x81000001", nil},
		"a TPM that failed":         {sealed, loadingTPM{noKey: 0x101}, "", "", tpm2.TPMRCFailure},
		"out of memory":             {sealed, loadingTPM{rc: 0x902}, "", "", tpm2.TPMRCObjectMemory},
		"a broken channel":          {sealed, loadingTPM{err: broken}, "", "", broken},
		"a datum without an object": {synth.TPM{PCRs: []int{7}, Private: make([]byte, 0x0101)}, loadingTPM{}, eventlog.NotProven, "no TPM 2.0 object", nil},
	} {
		t.Run(name, func(t *testing.T) {
			img := protected(c.tpm.Protector()).Image()
			_, got, err := bitlocker.Pair(&c.fake, bytes.NewReader(img), 0)
			if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
				t.Fatalf("err = %v, want %v", err, c.err)
			}
			if c.err == nil && (len(got) != 1 || got[0].Paired != c.want || !strings.Contains(got[0].Reason, c.reason)) {
				t.Errorf("pairings %+v", got)
			}
		})
	}
}
