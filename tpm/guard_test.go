package tpm

import (
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// withPassword is a command whose first handle is authorized by a password.
func withPassword(cc tpm2.TPMCC, password string, params []byte, handles ...tpm2.TPMHandle) []byte {
	auth := wire.NewBE().U32(uint32(tpm2.TPMRSPW)).Sized16(nil).U8(1).Sized16([]byte(password)).Out()
	body := wire.NewBE()
	for _, h := range handles {
		body.U32(uint32(h))
	}
	body.Sized32(auth).Bytes(params)
	return wire.NewBE().U16(uint16(tpm2.TPMSTSessions)).U32(uint32(headerSize + body.Len())).U32(uint32(cc)).
		Bytes(body.Out()).Out()
}

func u32(v uint32) []byte { return wire.NewBE().U32(v).Out() }

// nvPublic are the parameters of NV_DefineSpace: an empty auth value and a public area that starts with the index.
func nvPublic(index uint32) []byte {
	return wire.NewBE().Sized16(nil).Sized16(wire.NewBE().U32(index).U16(0x000b).U32(0).U16(0).U16(8).Out()).Out()
}

func TestGuard(t *testing.T) {
	const index, key, object = 0x01500001, 0x81000001, 0x80000000
	owner := tpm2.TPMRHOwner
	for name, tt := range map[string]struct {
		may   Effects
		named []tpm2.TPMHandle
		cmd   []byte
		want  fail.Kind // "" lets it through
	}{
		"reading needs no effect":            {cmd: noSessions(tpm2.TPMCCPCRRead, nil)},
		"a transient primary needs none":     {cmd: withPassword(tpm2.TPMCCCreatePrimary, "", nil, owner)},
		"extending undeclared":               {cmd: withPassword(tpm2.TPMCCPCRExtend, "", nil, 16), want: fail.Internal},
		"extending declared":                 {may: Extends, cmd: withPassword(tpm2.TPMCCPCRExtend, "", nil, 16)},
		"another effect does not do":         {may: Clears, cmd: withPassword(tpm2.TPMCCPCRExtend, "", nil, 16), want: fail.Internal},
		"clearing undeclared":                {may: everything &^ Clears, cmd: withPassword(tpm2.TPMCCClear, "", nil, tpm2.TPMRHLockout), want: fail.Internal},
		"an unknown command":                 {may: Extends, cmd: noSessions(0x2000ffff, nil), want: fail.Internal},
		"persisting at a free handle":        {may: Persists, cmd: withPassword(tpm2.TPMCCEvictControl, "", u32(key), owner, object)},
		"persisting undeclared":              {cmd: withPassword(tpm2.TPMCCEvictControl, "", u32(key), owner, object), want: fail.Internal},
		"evicting what was not named":        {may: Persists, cmd: withPassword(tpm2.TPMCCEvictControl, "", u32(key), owner, key), want: fail.Usage},
		"evicting what was named":            {may: Persists, named: []tpm2.TPMHandle{key}, cmd: withPassword(tpm2.TPMCCEvictControl, "", u32(key), owner, key)},
		"a name for another one":             {may: Persists, named: []tpm2.TPMHandle{key + 1}, cmd: withPassword(tpm2.TPMCCEvictControl, "", u32(key), owner, key), want: fail.Usage},
		"undefining an index not named":      {may: WritesNV, cmd: withPassword(tpm2.TPMCCNVUndefineSpace, "", nil, owner, index), want: fail.Usage},
		"undefining a named index":           {may: WritesNV, named: []tpm2.TPMHandle{index}, cmd: withPassword(tpm2.TPMCCNVUndefineSpace, "", nil, owner, index)},
		"special undefining":                 {may: WritesNV, cmd: withPassword(tpm2.TPMCCNVUndefineSpaceSpecial, "", nil, index, tpm2.TPMRHPlatform), want: fail.Usage},
		"writing an index not named":         {may: WritesNV, cmd: withPassword(tpm2.TPMCCNVWrite, "", nil, owner, index), want: fail.Usage},
		"reading an index":                   {cmd: withPassword(tpm2.TPMCCNVRead, "", nil, owner, index)},
		"a PIN for an object, undeclared":    {cmd: withPassword(tpm2.TPMCCUnseal, "1234", nil, object), want: fail.Internal},
		"a PIN for an object, declared":      {may: UsesDA, cmd: withPassword(tpm2.TPMCCUnseal, "1234", nil, object)},
		"an empty PIN is never counted":      {cmd: withPassword(tpm2.TPMCCUnseal, "", nil, object)},
		"the owner's password never counts":  {cmd: withPassword(tpm2.TPMCCCreatePrimary, "1234", nil, owner)},
		"a command cut off after its header": {may: everything, cmd: noSessions(tpm2.TPMCCEvictControl, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFakeTPM()
			_, err := guard(tt.may, tt.named...)(fake).Send(tt.cmd)
			if got := fail.KindOf(err); got != tt.want {
				t.Errorf("error %v of kind %q, want %q", err, got, tt.want)
			}
			if reached := len(fake.log) > 0; reached != (tt.want == "") {
				t.Errorf("the command reached the TPM: %v", reached)
			}
		})
	}
}

func TestGuardKnowsWhatTheConnectionMade(t *testing.T) {
	const index, key, object = 0x01500001, 0x81000010, 0x80000000
	owner := tpm2.TPMRHOwner
	made := map[string][]byte{
		"an NV index":         withPassword(tpm2.TPMCCNVDefineSpace, "", nvPublic(index), owner),
		"a persistent object": withPassword(tpm2.TPMCCEvictControl, "", u32(key), owner, object),
	}
	remove := map[string][]byte{
		"an NV index":         withPassword(tpm2.TPMCCNVUndefineSpace, "", nil, owner, index),
		"a persistent object": withPassword(tpm2.TPMCCEvictControl, "", u32(key), owner, key),
	}
	for name := range made {
		t.Run(name, func(t *testing.T) {
			fake := newFakeTPM()
			guarded := guard(WritesNV | Persists)(fake)
			if _, err := guarded.Send(made[name]); err != nil {
				t.Fatal(err)
			}
			if _, err := guarded.Send(remove[name]); err == nil {
				t.Error("a refused creation gives the right to remove what was there")
			}
			done := func([]byte) []byte { return response(tpm2.TPMRCSuccess, nil) }
			fake.answers[tpm2.TPMCCNVDefineSpace], fake.answers[tpm2.TPMCCEvictControl] = done, done
			if _, err := guarded.Send(made[name]); err != nil {
				t.Fatal(err)
			}
			if _, err := guarded.Send(remove[name]); err != nil {
				t.Error("what this connection made cannot be removed by it:", err)
			}
		})
	}
}

func TestGuardLetsNoCommandChangeAnIndexThatWasNotNamed(t *testing.T) {
	const index = tpm2.TPMHandle(0x01500001)
	first, second := []tpm2.TPMHandle{index, tpm2.TPMRHPlatform}, []tpm2.TPMHandle{tpm2.TPMRHOwner, index}
	for cc, handles := range map[tpm2.TPMCC][]tpm2.TPMHandle{
		tpm2.TPMCCNVUndefineSpaceSpecial: first, tpm2.TPMCCNVChangeAuth: first[:1], tpm2.TPMCCNVUndefineSpace: second, tpm2.TPMCCNVWrite: second,
		tpm2.TPMCCNVIncrement: second, tpm2.TPMCCNVExtend: second, tpm2.TPMCCNVSetBits: second, tpm2.TPMCCNVWriteLock: second, tpm2.TPMCCNVReadLock: second,
	} {
		cmd := withPassword(cc, "", nil, handles...)
		if _, err := guard(everything)(newFakeTPM()).Send(cmd); fail.KindOf(err) != fail.Usage {
			t.Errorf("%s on an index that was not named: %v", CommandName(cc), err)
		}
		if _, err := guard(everything, index)(newFakeTPM()).Send(cmd); err != nil {
			t.Errorf("%s on the index that was named: %v", CommandName(cc), err)
		}
	}
}
