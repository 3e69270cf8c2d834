//go:build interop

package seal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/seal"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

func connect(t *testing.T, s *interop.SWTPM) tpm.Conn {
	t.Helper()
	c, err := tpm.Open(t.Context(), s.Target(), tpm.Options{Allow: tpmtest.Everything})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestOnSWTPM(t *testing.T) {
	for name, test := range onTPM {
		t.Run(name, func(t *testing.T) {
			test(t, func(t *testing.T) tpm.Conn { return connect(t, interop.StartSWTPM(t)) })
		})
	}
}

// tools runs tpm2-tools on one swtpm, in a folder of their own. There is no resource manager, so each command is
// followed by a flush.
type tools struct {
	t    *testing.T
	s    *interop.SWTPM
	path func(name string) string
}

func newTools(t *testing.T) *tools {
	dir := t.TempDir()
	return &tools{t, interop.StartSWTPM(t), func(name string) string { return filepath.Join(dir, name) }}
}

func (x *tools) run(name string, args ...string) []byte {
	x.t.Helper()
	out := interop.Run(x.t, name, append(args, "-T", x.s.TCTI())...)
	interop.Run(x.t, "tpm2_flushcontext", "-t", "-T", x.s.TCTI())
	return out
}

func (x *tools) write(name string, data []byte) string {
	x.t.Helper()
	if err := os.WriteFile(x.path(name), data, 0o600); err != nil {
		x.t.Fatal(err)
	}
	return x.path(name)
}

// ours runs f on a connection of ours, which is closed again: swtpm serves one client at a time.
func (x *tools) ours(f func(c tpm.Conn)) {
	x.t.Helper()
	c, err := tpm.Open(x.t.Context(), x.s.Target(), tpm.Options{Allow: tpmtest.Everything})
	if err != nil {
		x.t.Fatal(err)
	}
	f(c)
	if err := c.Close(); err != nil {
		x.t.Fatal(err)
	}
}

// primary has tpm2-tools make the primary that a key file means by TPM_RH_OWNER.
func (x *tools) primary(alg string) string {
	x.run("tpm2_createprimary", "-C", "o", "-g", "sha256", "-G", alg, "-c", x.path("primary"),
		"-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")
	return x.path("primary")
}

func TestTPM2ToolsOpenWhatWeSealed(t *testing.T) {
	for name, c := range map[string]struct {
		persistent bool
		pin        string
	}{
		"under the primary":                      {},
		"under the primary, with a PIN":          {pin: "1234"},
		"under a persistent key":                 {persistent: true},
		"under a persistent key, with a PIN too": {persistent: true, pin: "1234"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTools(t)
			parent := x.primary("ecc256")
			if c.persistent {
				x.run("tpm2_evictcontrol", "-C", "o", "-c", parent, "0x81000001")
				parent = "0x81000001"
			}
			const selection = "sha256:7,14+sha1:3"
			var f *seal.File
			x.ours(func(conn tpm.Conn) {
				extend(t, conn, 7, pcr.DefaultBank)
				text := sealed(t, conn, plan(selection, c.pin), secret)
				interop.Run(t, "openssl", "asn1parse", "-in", x.write("sealed", []byte(text)))
				f = read(t, text)
			})
			x.run("tpm2_load", "-C", parent, "-u", x.write("public", f.Key.Public), "-r", x.write("private", f.Key.Private), "-c", x.path("object"))
			session := x.path("session")
			open := func() ([]byte, error) {
				x.run("tpm2_startauthsession", "--policy-session", "-S", session)
				defer func() { x.run("tpm2_flushcontext", session) }()
				x.run("tpm2_policypcr", "-S", session, "-l", selection)
				auth := "session:" + session
				if c.pin != "" {
					x.run("tpm2_policyauthvalue", "-S", session)
					auth += "+" + c.pin
				}
				return interop.Try(t, "tpm2_unseal", "-T", x.s.TCTI(), "-c", x.path("object"), "-p", auth)
			}
			if got, err := open(); err != nil || !bytes.Equal(got, secret) {
				t.Errorf("%q, %v", got, err)
			}
			x.run("tpm2_flushcontext", "-t")
			x.run("tpm2_pcrextend", "14:sha256="+strings.Repeat("0e", 32))
			if got, err := open(); err == nil {
				t.Errorf("with another PCR 14: %q", got)
			}
		})
	}
}

func TestWeOpenWhatTPM2ToolsSealed(t *testing.T) {
	for name, c := range map[string]struct {
		alg        string
		persistent bool
		create     []string
		policy     string
		opening    seal.Opening
	}{
		"to PCRs":                         {alg: "ecc256", policy: "sha256:7+sha1:1", opening: seal.Opening{PCRs: plan("sha256:7+sha1:1", "").PCRs}},
		"to PCRs, under a persistent key": {alg: "rsa2048", persistent: true, policy: "sha256:7", opening: seal.Opening{PCRs: plan("sha256:7", "").PCRs}},
		"with an auth value":              {alg: "ecc256", create: []string{"-p", "geheim"}, opening: seal.Opening{PIN: []byte("geheim")}},
		"with nothing":                    {alg: "ecc256"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTools(t)
			parent := x.primary(c.alg)
			if c.persistent {
				x.run("tpm2_evictcontrol", "-C", "o", "-c", parent, "0x81000055")
				parent = "0x81000055"
			}
			args := append([]string{"-C", parent, "-i", x.write("secret", secret), "-u", x.path("public"), "-r", x.path("private")}, c.create...)
			if c.policy != "" {
				x.run("tpm2_createpolicy", "--policy-pcr", "-l", c.policy, "-L", x.path("policy"))
				args = append(args, "-L", x.path("policy"), "-a", "fixedtpm|fixedparent|noda")
			}
			x.run("tpm2_create", args...)
			encode := []string{"-C", parent, "-u", x.path("public"), "-r", x.path("private"), "-o", x.path("pem")}
			if c.opening.PIN == nil {
				encode = append(encode, "-p")
			}
			x.run("tpm2_encodeobject", encode...)
			text, err := os.ReadFile(x.path("pem"))
			if err != nil {
				t.Fatal(err)
			}
			f := read(t, string(text))
			if f.Block != nil || f.NeedsPIN() != (c.opening.PIN != nil) || f.NeedsPCRs() != (c.policy != "") {
				t.Errorf("PIN needed: %v, PCRs needed: %v\n%s", f.NeedsPIN(), f.NeedsPCRs(), text)
			}
			x.ours(func(conn tpm.Conn) {
				payload, err := f.Unseal(t.Context(), conn, c.opening)
				if err != nil {
					t.Fatal(err)
				}
				var b bytes.Buffer
				if _, err := f.Content(t.Context(), payload, &b); err != nil || !bytes.Equal(b.Bytes(), secret) {
					t.Errorf("%q, %v", b.Bytes(), err)
				}
			})
		})
	}
}

// A key file made for nobody's TPM in particular: the primary is the one that tpm2-tools make, name by name.
func TestOurPrimaryIsThatOfTPM2Tools(t *testing.T) {
	x := newTools(t)
	parent := x.primary("ecc256")
	name := x.run("tpm2_readpublic", "-c", parent, "-n", x.path("name"))
	want, err := os.ReadFile(x.path("name"))
	if err != nil {
		t.Fatalf("%v\n%s", err, name)
	}
	x.ours(func(conn tpm.Conn) {
		text := sealed(t, conn, plan("sha256:7", ""), secret)
		if f := read(t, text); !bytes.Equal(f.Block.Parent.Name, want) || f.Key.Parent != tpm2.TPMRHOwner {
			t.Errorf("our parent is %s, that of tpm2-tools %x", f.Block.Parent.Name, want)
		}
	})
}

// The commands that sealed export prints are run as they are, with a flush after each: there is no resource manager.
func TestTheCommandsOfExportOpenTheObject(t *testing.T) {
	for _, pin := range []string{"", "1234"} {
		x := newTools(t)
		var commands []string
		x.ours(func(conn tpm.Conn) {
			f := read(t, sealed(t, conn, plan("sha1:1+sha256:7", pin), secret))
			x.write("public", f.Key.Public)
			x.write("private", f.Key.Private)
			x.write("PIN_FILE", []byte(pin))
			var err error
			if commands, err = f.ToolCommands("public", "private"); err != nil {
				t.Fatal(err)
			}
		})
		var out []byte
		for _, c := range commands {
			out = interop.Run(t, "sh", "-c", "cd "+x.path("")+" && TPM2TOOLS_TCTI="+x.s.TCTI()+" "+c)
			interop.Run(t, "tpm2_flushcontext", "-t", "-T", x.s.TCTI())
		}
		if !bytes.Equal(out, secret) {
			t.Errorf("PIN %q: %q", pin, out)
		}
	}
}
