package engine_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

var asOwner = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}

// index is an NV index as a client sees it: its name changes, so it is read before each use.
type index struct {
	t testing.TB
	f *fixture
	h tpm2.TPMHandle
}

func define(t testing.TB, f *fixture, h tpm2.TPMHandle, size uint16, a tpm2.TPMANV) index {
	t.Helper()
	a.OwnerRead, a.OwnerWrite, a.AuthRead, a.AuthWrite = true, true, true, a.NT != tpm2.TPMNTPinFail && a.NT != tpm2.TPMNTPinPass
	run(t, f, tpm2.NVDefineSpace{AuthHandle: asOwner, Auth: tpm2.TPM2BAuth{Buffer: []byte("nv")},
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{NVIndex: h, NameAlg: tpm2.TPMAlgSHA256, Attributes: a, DataSize: size})})
	return index{t, f, h}
}

func (x index) name() tpm2.TPM2BName {
	return run(x.t, x.f, tpm2.NVReadPublic{NVIndex: x.h}).NVName
}

func (x index) ref() *tpm2.NamedHandle { return &tpm2.NamedHandle{Handle: x.h, Name: x.name()} }

func (x index) auth() tpm2.AuthHandle { return named(x.h, x.name(), tpm2.PasswordAuth([]byte("nv"))) }

func (x index) write(data string, offset uint16) tpm2.NVWrite {
	return tpm2.NVWrite{AuthHandle: x.auth(), NVIndex: x.ref(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: []byte(data)}, Offset: offset}
}

func (x index) read(size, offset uint16) tpm2.NVRead {
	return tpm2.NVRead{AuthHandle: asOwner, NVIndex: x.ref(), Size: size, Offset: offset}
}

func (x index) number() uint64 {
	x.t.Helper()
	return binary.BigEndian.Uint64(run(x.t, x.f, x.read(8, 0)).Data.Buffer)
}

func TestNVDataIsReadAsItWasWritten(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 8, tpm2.TPMANV{})
	before := x.name()
	refused(t, f, 0x14a, x.read(8, 0))
	run(t, f, x.write("abcd", 0))
	if bytes.Equal(before.Buffer, x.name().Buffer) {
		t.Error("the first write did not change the name")
	}
	run(t, f, x.write("xy", 6))
	f.reopen(t)
	if got := run(t, f, x.read(8, 0)).Data.Buffer; string(got) != "abcd\xff\xffxy" {
		t.Errorf("read %q", got)
	}
	refused(t, f, 0x146, x.write("abc", 6))
	refused(t, f, 0x2c4, x.write("", 9))
	refused(t, f, 0x146, x.read(8, 1))
	run(t, f, tpm2.NVUndefineSpace{AuthHandle: asOwner, NVIndex: x.ref()})
	refused(t, f, 0x18b, tpm2.NVReadPublic{NVIndex: x.h})
}

func TestNVCountersNeverGoBack(t *testing.T) {
	f := newFixture(t)
	a := define(t, f, 0x01800001, 8, tpm2.TPMANV{NT: tpm2.TPMNTCounter})
	for range 3 {
		run(t, f, tpm2.NVIncrement{AuthHandle: a.auth(), NVIndex: a.ref()})
	}
	last := a.number()
	f.TPM = crash(t, f)
	if got := a.number(); got != last {
		t.Errorf("after a crash the counter is %d, was %d", got, last)
	}
	run(t, f, tpm2.NVUndefineSpace{AuthHandle: asOwner, NVIndex: a.ref()})
	b := define(t, f, 0x01800002, 8, tpm2.TPMANV{NT: tpm2.TPMNTCounter})
	run(t, f, tpm2.NVIncrement{AuthHandle: b.auth(), NVIndex: b.ref()})
	if got := b.number(); got != last+1 {
		t.Errorf("a new counter starts at %d after one that ended at %d", got, last)
	}
	refused(t, f, 0x082, b.write("12345678", 0))
}

func TestNVIndicesRefuseAttributesThatContradict(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		attrs tpm2.TPMANV
		size  uint16
		want  uint32
	}{
		"no way to read":                    {tpm2.TPMANV{OwnerWrite: true}, 8, 0x2c2},
		"no way to write":                   {tpm2.TPMANV{OwnerRead: true}, 8, 0x2c2},
		"written before it is written":      {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, Written: true}, 8, 0x2c2},
		"a counter that is cleared":         {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, NT: tpm2.TPMNTCounter, ClearSTClear: true}, 8, 0x2c2},
		"a counter of four bytes":           {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, NT: tpm2.TPMNTCounter}, 4, 0x2d5},
		"an extend index of another size":   {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, NT: tpm2.TPMNTExtend}, 20, 0x2d5},
		"platform's attribute from asOwner": {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, PlatformCreate: true}, 8, 0x182},
		"policy delete from asOwner":        {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, PolicyDelete: true}, 8, 0x2c2},
		"larger than an index may be":       {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true}, 2049, 0x2d5},
		"a PIN that counts as an attack":    {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, NT: tpm2.TPMNTPinFail}, 8, 0x2c2},
		"written at once but too large":     {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, WriteAll: true}, 1025, 0x2d5},
		"cleared at startup though defined": {tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, ClearSTClear: true, WriteDefine: true}, 8, 0x2c2},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, f, c.want, tpm2.NVDefineSpace{AuthHandle: asOwner, PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
				NVIndex: 0x01800009, NameAlg: tpm2.TPMAlgSHA256, Attributes: c.attrs, DataSize: c.size})})
		})
	}
}

func TestNVLocksLastUntilTheyAreMeantTo(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 8, tpm2.TPMANV{ReadSTClear: true, WriteSTClear: true})
	run(t, f, x.write("12345678", 0))
	run(t, f, tpm2.NVWriteLock{AuthHandle: x.auth(), NVIndex: x.ref()})
	refused(t, f, 0x148, x.write("87654321", 0))
	run(t, f, tpm2.NVReadLock{AuthHandle: x.auth(), NVIndex: x.ref()})
	refused(t, f, 0x148, x.read(8, 0))
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	run(t, f, x.write("87654321", 0))
	run(t, f, x.read(8, 0))
}
