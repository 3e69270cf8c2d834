package engine_test

import (
	"io"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// meddler calls something in the middle of a command: whenever that draws random bytes.
type meddler struct {
	io.Reader
	act func()
}

func (m *meddler) Read(p []byte) (int, error) {
	m.act()
	return m.Reader.Read(p)
}

func TestASearchForPrimesIsCanceledWhileItRuns(t *testing.T) {
	m := &meddler{&stream{}, func() {}}
	f := newFixture(t, func(c *engine.Config) { c.Rand = m })
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	rsa := tpm2.RSASRKTemplate
	create := tpm2.Create{ParentHandle: named(parent.ObjectHandle, parent.Name, tpm2.PasswordAuth(nil)), InPublic: tpm2.New2B(rsa)}
	m.act = func() { f.Cancel(true) } // from inside the command: it does not wait for the command's end
	refused(t, f, 0x909, create)
	m.act = func() {}
	refused(t, f, 0x909, create) // until it is taken back
	run(t, f, tpm2.GetRandom{BytesRequested: 8})
	f.Cancel(false)
	run(t, f, create)
}
