package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// repeat measures one raw command on a TPM in memory.
func repeat(b *testing.B, cmd func(f *fixture) []byte, after func(f *fixture, res []byte)) {
	tpm, err := engine.New(engine.Config{})
	if err != nil {
		b.Fatal(err)
	}
	f := &fixture{TPM: tpm}
	c := cmd(f)
	for b.Loop() {
		res, err := f.Send(c)
		if err != nil || res[6]|res[7]|res[8]|res[9] != 0 {
			b.Fatalf("%x, %v", res, err)
		}
		if after != nil {
			after(f, res)
		}
	}
}

// recorder keeps the last command that go-tpm built.
type recorder struct {
	*fixture
	last []byte
}

func (r *recorder) Send(cmd []byte) ([]byte, error) {
	r.last = cmd
	return r.fixture.Send(cmd)
}

func flushFirst(f *fixture, res []byte) {
	_, _ = f.Send(append([]byte{0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x65}, res[10:14]...))
}

func BenchmarkGetRandom(b *testing.B) {
	repeat(b, func(*fixture) []byte { return []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 32} }, nil)
}

func BenchmarkPCRExtend(b *testing.B) {
	repeat(b, func(f *fixture) []byte {
		r := &recorder{fixture: f}
		_, _ = tpm2.PCRExtend{PCRHandle: pcrAuth(8), Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{
			HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}}}.Execute(r)
		return r.last
	}, nil)
}

func BenchmarkCreatePrimary(b *testing.B) {
	for name, template := range map[string]tpm2.TPMTPublic{"P-256": tpm2.ECCSRKTemplate, "RSA-2048": tpm2.RSASRKTemplate} {
		b.Run(name, func(b *testing.B) {
			repeat(b, func(f *fixture) []byte {
				r := &recorder{fixture: f}
				res, _ := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(r)
				cmd := r.last
				_, _ = tpm2.FlushContext{FlushHandle: res.ObjectHandle}.Execute(f)
				return cmd
			}, flushFirst)
		})
	}
}

// BenchmarkLoad1M takes up a state whose NV indices hold a megabyte, as each process does that uses it.
func BenchmarkLoad1M(b *testing.B) {
	f := newFixture(b, func(c *engine.Config) { c.Profile = roomy() })
	for i := range 512 {
		x := define(b, f, tpm2.TPMHandle(0x01800000+i), 2048, tpm2.TPMANV{})
		for _, offset := range []uint16{0, 1024} {
			run(b, f, x.write(strings.Repeat("x", 1024), offset))
		}
	}
	dir := b.TempDir()
	blob, err := f.cfg.Store.Load()
	if err != nil {
		b.Fatal(err)
	}
	first := open(b, dir, engine.FileOptions{})
	if err := errors.Join(first.Save(blob), first.Close()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(blob)))
	for b.Loop() {
		store, err := engine.OpenFileStore(b.Context(), dir, engine.FileOptions{})
		if err != nil {
			b.Fatal(err)
		}
		tpm, err := engine.New(engine.Config{Store: store, Profile: f.cfg.Profile})
		if err != nil {
			b.Fatal(err)
		}
		if err := tpm.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// roomy is a profile with as many indices as the megabyte of PC can hold.
func roomy() engine.Profile {
	p := engine.PC()
	p.NVIndices = 512
	return p
}
