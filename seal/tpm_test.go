package seal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/seal"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

// machine makes a new TPM for each call. The tests of this file run on the engine; those behind the build tag interop
// run them once more on swtpm.
type machine func(t *testing.T) tpm.Conn

func engine(t *testing.T) tpm.Conn { return tpmtest.Engine(t, tpm.Options{Allow: tpmtest.Everything}) }

var onTPM = map[string]func(t *testing.T, m machine){
	"a secret comes back while the PCRs stay":         secretComesBack,
	"a changed PCR is named with both values":         changedPCRIsNamed,
	"a wrong PIN is counted and told":                 wrongPIN,
	"another TPM is told from a changed one":          otherTPM,
	"a persistent storage root key is used and kept":  persistentSRK,
	"a PCR that changes in the middle is tried again": changeInTheMiddle,
	"an object of another tool opens":                 foreignObject,
	"an altered object is refused":                    alteredObject,
	"a bad plan makes no file":                        badPlans,
	"nothing stays in the TPM":                        nothingStays,
	"sealing says what it tried":                      receipt,
}

func TestOnTheEngine(t *testing.T) {
	for name, test := range onTPM {
		t.Run(name, func(t *testing.T) { test(t, engine) })
	}
}

var secret = []byte("correct horse battery staple")

func plan(selection string, pin string) seal.Plan {
	sel, err := pcr.ParseSelection(selection)
	if err != nil {
		panic(err)
	}
	p := seal.Plan{PCRs: sel, Now: time.Unix(1_800_000_000, 0), Rand: rand.Reader}
	if pin != "" {
		p.PIN = []byte(pin)
	}
	return p
}

// sealed seals content and returns the file.
func sealed(t *testing.T, c tpm.Conn, p seal.Plan, content []byte) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := seal.Seal(t.Context(), c, p, bytes.NewReader(content), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, text string) *seal.File {
	t.Helper()
	f, err := seal.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t *testing.T, c tpm.Conn, text string, pin string) ([]byte, error) {
	t.Helper()
	f := read(t, text)
	payload, err := f.Unseal(t.Context(), c, seal.Opening{PIN: []byte(pin)})
	if err != nil {
		return nil, err
	}
	defer payload.Clear()
	var b bytes.Buffer
	_, err = f.Content(t.Context(), payload, &b)
	return b.Bytes(), err
}

// mustOpen opens a file and compares what was in it.
func mustOpen(t *testing.T, c tpm.Conn, text string, pin string, what string) {
	t.Helper()
	if got, err := open(t, c, text, pin); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%s: %q, %v", what, got, err)
	}
}

func extend(t *testing.T, c tpm.Conn, n int, banks ...pcr.Bank) {
	t.Helper()
	d := pcr.Digests{}
	for _, b := range banks {
		d[b] = bytes.Repeat([]byte{1}, b.Size())
	}
	if err := pcr.Extend(c, n, d); err != nil {
		t.Fatal(err)
	}
}

func secretComesBack(t *testing.T, m machine) {
	c := m(t)
	for _, selection := range []string{"sha256:7", "sha256:0-23", "sha1:3+sha256:7,14+sha384:0", "sha512:4"} {
		for _, pin := range []string{"", "1234", strings.Repeat("p", 32)} {
			for _, size := range []int{1, 128, 129, 70_000} {
				content := bytes.Repeat([]byte{0xa5}, size)
				got, err := open(t, c, sealed(t, c, plan(selection, pin), content), pin)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s, PIN of %d, %d bytes: %d bytes, %v", selection, len(pin), size, len(got), err)
				}
			}
		}
	}
}

func changedPCRIsNamed(t *testing.T, m machine) {
	c := m(t)
	text := sealed(t, c, plan("sha256:0,7+sha1:7", ""), secret)
	pcr7 := func() string {
		v, err := pcr.Read(c, pcr.Of(eventlog.SHA256, 7))
		if err != nil {
			t.Fatal(err)
		}
		return v.Get(eventlog.SHA256, 7).String()
	}
	before := pcr7()
	extend(t, c, 9, eventlog.SHA256)
	mustOpen(t, c, text, "", "after a PCR it is not sealed to changed")
	extend(t, c, 7, eventlog.SHA256)
	_, err := open(t, c, text, "")
	if fail.KindOf(err) != fail.PolicyMismatch || !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Fatalf("%v", err)
	}
	for _, word := range []string{"sha256 PCR 7", "secure-boot-policy", "expected " + before, "actual " + pcr7()} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in %q", word, err)
		}
	}
	if strings.Contains(err.Error(), "sha1 PCR 7") || strings.Contains(err.Error(), "PCR 0 ") {
		t.Errorf("a PCR that did not change is named: %v", err)
	}
	v, err := read(t, text).Why(c)
	if err != nil || v.Opens || !v.Parent.Same || len(v.Differences) != 1 || v.Differences[0].PCR != 7 {
		t.Errorf("why: %+v, %v", v, err)
	}
}

func wrongPIN(t *testing.T, m machine) {
	c := m(t)
	text := sealed(t, c, plan("sha256:7", "1234"), secret)
	mustOpen(t, c, text, "1234", "the right PIN")
	tries := 0
	for ; tries < 40; tries++ {
		_, err := open(t, c, text, "4321")
		hints := strings.Join(fail.HintsOf(err), "\n")
		if fail.KindOf(err) == fail.Lockout {
			if !strings.Contains(hints, "one try is possible within ") {
				t.Errorf("the lockout does not say how long: %s", hints)
			}
			break
		}
		if fail.KindOf(err) != fail.AuthRefused || !strings.Contains(hints, "tries are left") {
			t.Fatalf("try %d: %v\n%s", tries, err, hints)
		}
		if words := err.Error() + hints; strings.Contains(words, "1234") || strings.Contains(words, "4321") {
			t.Fatalf("a PIN stands in the error: %s", words)
		}
	}
	if tries == 0 || tries == 40 {
		t.Errorf("the TPM locked after %d tries", tries)
	}
	if _, err := open(t, c, text, "1234"); fail.KindOf(err) != fail.Lockout {
		t.Errorf("the right PIN in lockout: %v", err)
	}
	mustOpen(t, c, sealed(t, c, plan("sha256:7", ""), secret), "", "a secret without a PIN in lockout")
}

func otherTPM(t *testing.T, m machine) {
	a, b := m(t), m(t)
	text := sealed(t, a, plan("sha256:7", ""), secret)
	for name, file := range map[string]string{
		"with our block": text, "without it": strings.SplitAfter(text, "-----END TSS2 PRIVATE KEY-----")[0],
	} {
		if _, err := open(t, b, file, ""); fail.KindOf(err) != fail.WrongTPM {
			t.Errorf("%s: %v", name, err)
		}
		mustOpen(t, a, file, "", name+", on its own TPM")
	}
	v, err := read(t, text).Why(b)
	if err != nil || v.Opens || v.Parent.Same || len(v.Parent.Actual) == 0 {
		t.Errorf("why on another TPM: %+v, %v", v, err)
	}
}

// persist puts a storage root key at its usual place.
func persist(t *testing.T, c tpm.Conn, template tpm2.TPMTPublic) tpm2.TPM2BName {
	t.Helper()
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	move(t, c, rsp.ObjectHandle, rsp.Name)
	if _, err := (tpm2.FlushContext{FlushHandle: rsp.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	return rsp.Name
}

// move makes a key persistent as the storage root key, or evicts it from there.
func move(t *testing.T, c tpm.Conn, h tpm2.TPMHandle, name tpm2.TPM2BName) {
	t.Helper()
	_, err := tpm2.EvictControl{
		Auth: tpm2.TPMRHOwner, ObjectHandle: &tpm2.NamedHandle{Handle: h, Name: name}, PersistentHandle: tpm.SRKHandle,
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
}

func persistentSRK(t *testing.T, m machine) {
	for kind, template := range map[string]tpm2.TPMTPublic{"RSA": tpm2.RSASRKTemplate, "ECC": tpm2.ECCSRKTemplate} {
		c := m(t)
		early := sealed(t, c, plan("sha256:7", ""), secret)
		name := persist(t, c, template)
		late := sealed(t, c, plan("sha256:7", "1234"), secret)
		if !strings.Contains(late, `"handle":"0x81000001"`) || !strings.Contains(late, pcr.Hex(name.Buffer).String()) {
			t.Errorf("%s: the persistent key is not the parent: %s", kind, late)
		}
		mustOpen(t, c, early, "a PIN that is not needed", kind+", sealed before")
		mustOpen(t, c, late, "1234", kind+", sealed after")
		key, err := tpm.ReadKey(c, tpm.SRKHandle)
		if err != nil || !bytes.Equal(key.Name.Buffer, name.Buffer) {
			t.Errorf("%s: the persistent key is another one now: %v", kind, err)
		}
		move(t, c, tpm.SRKHandle, name)
		if _, err := open(t, c, late, "1234"); fail.KindOf(err) != fail.WrongTPM {
			t.Errorf("%s: without its parent: %v", kind, err)
		}
	}
}

// meddler extends a PCR before a command of one kind, a number of times.
type meddler struct {
	tpm.Conn
	t     *testing.T
	at    tpm2.TPMCC
	times int
}

func (m *meddler) Send(cmd []byte) ([]byte, error) {
	if m.times > 0 && bytes.Equal(cmd[6:10], []byte{0, 0, byte(m.at >> 8), byte(m.at)}) {
		m.times--
		extend(m.t, m.Conn, 10, eventlog.SHA256)
	}
	return m.Conn.Send(cmd)
}

func changeInTheMiddle(t *testing.T, m machine) {
	c := m(t)
	text := sealed(t, c, plan("sha256:7", ""), secret)
	// A PCR outside the policy: it only moves the counter that PolicyPCR remembered.
	mustOpen(t, &meddler{c, t, tpm2.TPMCCUnseal, 2}, text, "", "two changes")
	if _, err := open(t, &meddler{c, t, tpm2.TPMCCUnseal, 1000}, text, ""); !errors.Is(err, tpm2.TPMRCPCRChanged) {
		t.Errorf("changes without end: %v", err)
	}
	// A PCR of the policy, between reading it and the first try: the file would never open.
	var b bytes.Buffer
	_, err := seal.Seal(t.Context(), &meddler{c, t, tpm2.TPMCCCreate, 1}, plan("sha256:10", ""), bytes.NewReader(secret), &b)
	if fail.KindOf(err) != fail.Temporary || b.Len() > 0 {
		t.Errorf("a change while sealing: %v, %d bytes written", err, b.Len())
	}
}

// foreignObject makes an object as go-tpm-keyfiles does: no policy, its auth value opens it.
func foreignObject(t *testing.T, m machine) {
	c := m(t)
	for pin, template := range map[string]tpm2.TPMTPublic{"": tpm2.ECCSRKTemplate, "abc": tpm2.RSASRKTemplate} {
		primary, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: primary.ObjectHandle, Name: primary.Name, Auth: tpm2.PasswordAuth(nil)},
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				UserAuth: tpm2.TPM2BAuth{Buffer: []byte(pin)}, Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
			}},
			InPublic: tpm2.New2B(tpm2.TPMTPublic{
				Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
				ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true},
			}),
		}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (tpm2.FlushContext{FlushHandle: primary.ObjectHandle}).Execute(c); err != nil {
			t.Fatal(err)
		}
		f := &seal.File{Key: &seal.KeyFile{
			EmptyAuth: pin == "", Parent: tpm2.TPMRHOwner, RSAParent: template.Type == tpm2.TPMAlgRSA,
			Public: tpm2.Marshal(rsp.OutPublic), Private: tpm2.Marshal(rsp.OutPrivate),
		}}
		if f.NeedsPIN() != (pin != "") {
			t.Errorf("PIN %q: needed: %v", pin, f.NeedsPIN())
		}
		payload, err := f.Unseal(t.Context(), c, seal.Opening{PIN: []byte(pin)})
		if err != nil {
			t.Fatalf("PIN %q: %v", pin, err)
		}
		var b bytes.Buffer
		if _, err := f.Content(t.Context(), payload, &b); err != nil || !bytes.Equal(b.Bytes(), secret) {
			t.Errorf("PIN %q: %q, %v", pin, b.Bytes(), err)
		}
		if _, err := f.Unseal(t.Context(), c, seal.Opening{PIN: []byte("wrong")}); fail.KindOf(err) != fail.AuthRefused {
			t.Errorf("PIN %q, a wrong one: %v", pin, err)
		}
	}
}

func alteredObject(t *testing.T, m machine) {
	c := m(t)
	f := read(t, sealed(t, c, plan("sha256:7", ""), secret))
	f.Key.Private[len(f.Key.Private)-1] ^= 1
	if _, err := f.Unseal(t.Context(), c, seal.Opening{}); fail.KindOf(err) != fail.BadInput {
		t.Errorf("a changed private part: %v", err)
	}
	f = read(t, sealed(t, c, plan("sha256:7", ""), secret))
	f.Key.Policy[0].Parameters[8] ^= 1 // another PCR
	if _, err := f.Unseal(t.Context(), c, seal.Opening{}); fail.KindOf(err) != fail.BadInput {
		t.Errorf("a changed policy step: %v", err)
	}
}

func badPlans(t *testing.T, m machine) {
	c := m(t)
	for name, b := range map[string]struct {
		plan    seal.Plan
		content []byte
		want    fail.Kind
	}{
		"no PCRs":           {plan("all", ""), secret, fail.Usage},
		"an empty secret":   {plan("sha256:7", ""), nil, fail.BadInput},
		"an empty PIN":      {seal.Plan{PCRs: seal.DefaultPCRs(), PIN: []byte{}}, secret, fail.Usage},
		"a long PIN":        {plan("sha256:7", strings.Repeat("x", 33)), secret, fail.BadInput},
		"a zero in the PIN": {plan("sha256:7", "a\x00b"), secret, fail.BadInput},
		"an unknown bank":   {plan("sha3_512:7", ""), secret, fail.Unsupported},
	} {
		var out bytes.Buffer
		_, err := seal.Seal(t.Context(), c, b.plan, bytes.NewReader(b.content), &out)
		if fail.KindOf(err) != b.want || out.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", name, err, out.Len())
		}
	}
}

// handles counts transient objects and sessions.
func handles(t *testing.T, c tpm.Conn) (n int) {
	t.Helper()
	for _, first := range []tpm2.TPMHandle{0x80000000, 0x02000000, 0x03000000} {
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(first), PropertyCount: 100}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		list, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		n += len(list.Handle)
	}
	return n
}

func nothingStays(t *testing.T, m machine) {
	c := m(t)
	check := func(when string) {
		t.Helper()
		if n := handles(t, c); n != 0 {
			t.Errorf("%d handles after %s", n, when)
		}
	}
	text := sealed(t, c, plan("sha256:7", "1234"), secret)
	check("sealing")
	_, _ = open(t, c, text, "4321")
	check("a wrong PIN")
	extend(t, c, 7, eventlog.SHA256)
	_, _ = open(t, c, text, "1234")
	check("a refusal")
}

func receipt(t *testing.T, m machine) {
	c := m(t)
	p := plan("sha256:7", "1234")
	p.Description = "of vm-17"
	var b bytes.Buffer
	r, err := seal.Seal(t.Context(), c, p, bytes.NewReader(secret), &b)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Checks) != 3 || r.Bytes != int64(len(secret)) || r.Enveloped || !r.PIN || r.Description != "of vm-17" {
		t.Errorf("%+v", r)
	}
	if r.Emulated != c.Origin().Emulated || strings.Contains(b.String(), `"emulated":true`) != r.Emulated {
		t.Errorf("the file says of its TPM: %s", b.String())
	}
}

func TestUnsealEndsWithItsContext(t *testing.T) {
	c := engine(t)
	f := read(t, sealed(t, c, plan("sha256:7", ""), secret))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Unseal(ctx, &meddler{c, t, tpm2.TPMCCUnseal, 1}, seal.Opening{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
