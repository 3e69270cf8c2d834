package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// trial gives the digest of a policy.
func trial(t testing.TB, f *fixture, policy func(tp transportTPM, h tpm2.TPMISHPolicy) error) []byte {
	t.Helper()
	s, end, err := tpm2.PolicySession(f, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if err := policy(f, s.Handle()); err != nil {
		t.Fatal(err)
	}
	return run(t, f, tpm2.PolicyGetDigest{PolicySession: s.Handle()}).PolicyDigest.Buffer
}

// unsealWith unseals under a policy.
func unsealWith(item *tpm2.LoadResponse, policy func(tp transportTPM, h tpm2.TPMISHPolicy) error, more ...tpm2.AuthOption) tpm2.Unseal {
	callback := func(tp transportTPM, h tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error { return policy(tp, h) }
	return tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name, tpm2.Policy(tpm2.TPMAlgSHA256, 16, callback, more...))}
}

// issue runs a command whose answer nobody needs.
func issue[R any](tp transportTPM, cmd tpm2.Command[R, *R]) error {
	_, err := cmd.Execute(tp)
	return err
}

func TestPolicyAuthValueNeedsTheValueInTheHMACAndPasswordInTheClear(t *testing.T) {
	f := newFixture(t)
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	authValue := func(tp transportTPM, h tpm2.TPMISHPolicy) error {
		return issue(tp, tpm2.PolicyAuthValue{PolicySession: h})
	}
	item := sealed(t, f, parent, []byte("x"), []byte("PIN"), trial(t, f, authValue))
	run(t, f, unsealWith(item, authValue, tpm2.Auth([]byte("PIN"))))
	refused(t, f, 0x9a2, unsealWith(item, authValue, tpm2.Auth([]byte("guess"))))
	// The object has noDA set and fails with BAD_AUTH; a policy without the value does not match at all.
	refused(t, f, 0x99d, unsealWith(item, func(transportTPM, tpm2.TPMISHPolicy) error { return nil }))
}

func TestPolicyORAcceptsEachBranchAndNoOther(t *testing.T) {
	f := newFixture(t)
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	command := func(cc tpm2.TPMCC) func(transportTPM, tpm2.TPMISHPolicy) error {
		return func(tp transportTPM, h tpm2.TPMISHPolicy) error {
			return issue(tp, tpm2.PolicyCommandCode{PolicySession: h, Code: cc})
		}
	}
	locality := func(tp transportTPM, h tpm2.TPMISHPolicy) error {
		_, err := tp.Send(append([]byte{0x80, 1, 0, 0, 0, 15, 0, 0, 1, 0x6f}, append(binary.BigEndian.AppendUint32(nil, uint32(h)), 1)...))
		return err
	}
	branches := tpm2.TPMLDigest{Digests: []tpm2.TPM2BDigest{
		{Buffer: trial(t, f, command(tpm2.TPMCCUnseal))}, {Buffer: trial(t, f, locality)}}}
	or := func(branch func(transportTPM, tpm2.TPMISHPolicy) error) func(transportTPM, tpm2.TPMISHPolicy) error {
		return func(tp transportTPM, h tpm2.TPMISHPolicy) error {
			if err := branch(tp, h); err != nil {
				return err
			}
			return issue(tp, tpm2.PolicyOr{PolicySession: h, PHashList: branches})
		}
	}
	item := sealed(t, f, parent, []byte("x"), nil, trial(t, f, or(locality)))
	run(t, f, unsealWith(item, or(command(tpm2.TPMCCUnseal))))
	run(t, f, unsealWith(item, or(locality)))
	f.SetLocality(1)
	refused(t, f, 0x907, unsealWith(item, or(locality)))
	run(t, f, unsealWith(item, or(command(tpm2.TPMCCUnseal))))
	f.SetLocality(0)
	refused(t, f, 0x1c4, unsealWith(item, or(command(tpm2.TPMCCSign))))
}

func TestPolicySecretCanBeSaidAheadWithATicketThatExpires(t *testing.T) {
	f := newFixture(t)
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	var timeout tpm2.TPM2BTimeout
	var ticket tpm2.TPMTTKAuth
	secret := func(tp transportTPM, h tpm2.TPMISHPolicy) error {
		res, err := tpm2.PolicySecret{AuthHandle: asOwner, PolicySession: h, Expiration: -60}.Execute(tp)
		if err == nil {
			timeout, ticket = res.Timeout, res.PolicyTicket
		}
		return err
	}
	item := sealed(t, f, parent, []byte("x"), nil, trial(t, f, secret))
	run(t, f, unsealWith(item, secret))
	later := func(tp transportTPM, h tpm2.TPMISHPolicy) error {
		be := binary.BigEndian.AppendUint32
		name := tpm2.HandleName(tpm2.TPMRHOwner)
		body := slices.Concat(be(nil, 0x172), be(nil, uint32(h)), tpm2.Marshal(timeout), []byte{0, 0, 0, 0}, tpm2.Marshal(name), tpm2.Marshal(ticket))
		res, err := tp.Send(slices.Concat([]byte{0x80, 1}, be(nil, uint32(len(body)+6)), body))
		if err != nil {
			return err
		}
		if rc := tpm2.TPMRC(binary.BigEndian.Uint32(res[6:])); rc != 0 {
			return rc
		}
		return nil
	}
	f.clock.now = f.clock.now.Add(59 * time.Second)
	run(t, f, unsealWith(item, later))
	f.clock.now = f.clock.now.Add(2 * time.Second)
	refused(t, f, 0x1e3, unsealWith(item, later))
	ticket.Digest.Buffer[0] ^= 1
	timeout.Buffer = binary.BigEndian.AppendUint64(nil, 1<<40)
	refused(t, f, 0x5e0, unsealWith(item, later))
}

func TestPolicySessionsAreUsedUpOnceAndRestartedWhenTheyContinue(t *testing.T) {
	f := newFixture(t)
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	item := sealed(t, f, parent, []byte("x"), nil, pcrPolicy(t, f, 7))
	s, end, err := tpm2.PolicySession(f, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	run(t, f, tpm2.PolicyPCR{PolicySession: s.Handle(), Pcrs: selection(tpm2.TPMAlgSHA256, 7)})
	unseal := tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name, s)}
	run(t, f, unseal)
	refused(t, f, 0x99d, unseal)
}

func TestPINIndicesCountUsesAndFailures(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 8, tpm2.TPMANV{NT: tpm2.TPMNTPinFail, NoDA: true})
	use := func(pin string) tpm2.NVRead {
		return tpm2.NVRead{AuthHandle: named(x.h, x.name(), tpm2.PasswordAuth([]byte(pin))), NVIndex: x.ref(), Size: 8}
	}
	refused(t, f, 0x12f, use("nv")) // not written: the PIN does not count yet
	run(t, f, tpm2.NVWrite{AuthHandle: asOwner, NVIndex: x.ref(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: []byte{0, 0, 0, 0, 0, 0, 0, 2}}})
	run(t, f, use("nv"))
	refused(t, f, 0x9a2, use("no"))
	if got := x.number(); got != 1<<32|2 {
		t.Errorf("after a failure the index holds %x", got)
	}
	run(t, f, use("nv"))
	if got := x.number(); got != 2 {
		t.Errorf("after a success the index holds %x", got)
	}
	refused(t, f, 0x9a2, use("no"))
	refused(t, f, 0x9a2, use("no"))
	refused(t, f, 0x12f, use("nv"))
	f.TPM = crash(t, f)
	refused(t, f, 0x12f, use("nv"))
}

func TestAuditSessionsAreExclusiveUntilAnotherCommandComes(t *testing.T) {
	f := newFixture(t)
	s, end, err := tpm2.HMACSession(f, tpm2.TPMAlgSHA256, 16, tpm2.AuditExclusive())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	random := tpm2.GetRandom{BytesRequested: 4}
	for range 2 {
		if _, err := random.Execute(f, s); err != nil {
			t.Fatal(err)
		}
	}
	run(t, f, random)
	if _, err := random.Execute(f, s); err == nil {
		t.Error("the session was still exclusive after an unaudited command")
	}
}

func TestTheSameRandomnessAndTimeGiveTheSameState(t *testing.T) {
	play := func() []byte {
		f := newFixture(t)
		parent := srk(t, f, tpm2.ECCSRKTemplate)
		sealed(t, f, parent, []byte("x"), []byte("PIN"), nil)
		extendPCR(t, f, 3, "x")
		define(t, f, 0x01800001, 8, tpm2.TPMANV{})
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		blob, err := f.cfg.Store.Load()
		if err != nil {
			t.Fatal(err)
		}
		return blob
	}
	if a, b := play(), play(); sha256.Sum256(a) != sha256.Sum256(b) || bytes.Equal(a, nil) {
		t.Errorf("two states of %d and %d bytes differ", len(a), len(b))
	}
}

func TestClockAndTimeGoOnWithTheHostAndNeverBack(t *testing.T) {
	f := newFixture(t)
	start := run(t, f, tpm2.ReadClock{}).CurrentTime
	f.clock.now = f.clock.now.Add(5 * time.Second)
	extendPCR(t, f, 8, "something to save")
	f.reopen(t)
	f.clock.now = f.clock.now.Add(7 * time.Second)
	later := run(t, f, tpm2.ReadClock{}).CurrentTime
	if d := later.ClockInfo.Clock - start.ClockInfo.Clock; d != 12_000 || later.Time-start.Time != 12_000 {
		t.Errorf("clock moved by %d, time by %d", d, later.Time-start.Time)
	}
	f.clock.now = f.clock.now.Add(-time.Hour)
	if back := run(t, f, tpm2.ReadClock{}).CurrentTime; back.ClockInfo.Clock != later.ClockInfo.Clock {
		t.Errorf("the host's clock went back and took the TPM's from %d to %d", later.ClockInfo.Clock, back.ClockInfo.Clock)
	}
	if err := f.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	if after := run(t, f, tpm2.ReadClock{}).CurrentTime; after.Time != 0 || after.ClockInfo.ResetCount != later.ClockInfo.ResetCount+1 || after.ClockInfo.Safe {
		t.Errorf("after an unorderly reset: %+v", after)
	}
}

func TestTheHCRTMStartsPCR0FromFour(t *testing.T) {
	f := newFixture(t, func(c *engine.Config) { c.Power = engine.OffBetween })
	f.HashStart()
	f.HashData([]byte("H-CRTM"))
	if err := f.HashEnd(); err != nil {
		t.Fatal(err)
	}
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	d := sha256.Sum256([]byte("H-CRTM"))
	want := sha256.Sum256(append(append(make([]byte, 31), 4), d[:]...))
	if got := readPCR(t, f, tpm2.TPMAlgSHA256, 0); !bytes.Equal(got, want[:]) {
		t.Errorf("PCR 0 = %x, want %x", got, want)
	}
}

// What the scripts of tpm2-tools rely on, as the reference and libtpms have it.
func TestSignedComparisonsOfTwoNegativeNumbersAreTheReferences(t *testing.T) {
	f := newFixture(t)
	x := define(t, f, 0x01800001, 1, tpm2.TPMANV{})
	for _, c := range []struct {
		a, b byte
		op   tpm2.TPMEO
		want bool
	}{
		{0x81, 0x82, tpm2.TPMEOSignedGT, true}, {0x81, 0x80, tpm2.TPMEOSignedLT, true}, {0x81, 0x81, tpm2.TPMEOSignedGE, true},
		{0x81, 0x01, tpm2.TPMEOSignedLT, true}, {0x01, 0x81, tpm2.TPMEOSignedGT, true}, {0x02, 0x01, tpm2.TPMEOSignedGT, true},
		{0x81, 0x82, tpm2.TPMEOUnsignedLT, true}, {0x81, 0x82, tpm2.TPMEOSignedLT, false}, {0x01, 0x81, tpm2.TPMEOSignedLE, false},
	} {
		run(t, f, x.write(string([]byte{c.a}), 0))
		s, end, err := tpm2.PolicySession(f, tpm2.TPMAlgSHA256, 16)
		if err != nil {
			t.Fatal(err)
		}
		err = issue(f, tpm2.PolicyNV{AuthHandle: x.auth(), NVIndex: x.ref(), PolicySession: s.Handle(),
			OperandB: tpm2.TPM2BOperand{Buffer: []byte{c.b}}, Operation: c.op})
		if (err == nil) != c.want {
			t.Errorf("%#x %v %#x: %v, want %v", c.a, c.op, c.b, err, c.want)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPolicyAuthorizesTheAdminRoleWithoutAdminWithPolicy(t *testing.T) {
	f := newFixture(t)
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	change := func(tp transportTPM, h tpm2.TPMISHPolicy) error {
		return issue(tp, tpm2.PolicyCommandCode{PolicySession: h, Code: tpm2.TPMCCObjectChangeAuth})
	}
	item := sealed(t, f, parent, []byte("x"), nil, trial(t, f, change))
	policy := tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(tp transportTPM, h tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error { return change(tp, h) })
	run(t, f, tpm2.ObjectChangeAuth{ObjectHandle: named(item.ObjectHandle, item.Name, policy),
		ParentHandle: &tpm2.NamedHandle{Handle: parent.ObjectHandle, Name: parent.Name}, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("PIN")}})
}

// A response to a policy that took a password has no HMAC: tpm2-tss refuses one.
func TestPolicyPasswordIsAnsweredWithoutAnHMAC(t *testing.T) {
	f := newFixture(t)
	be := binary.BigEndian.AppendUint32
	password := func(tp transportTPM, h tpm2.TPMISHPolicy) error {
		_, err := tp.Send(be(be([]byte{0x80, 1, 0, 0, 0, 14}, 0x18c), uint32(h)))
		return err
	}
	item := sealed(t, f, srk(t, f, tpm2.ECCSRKTemplate), []byte("x"), []byte("PIN"), trial(t, f, password))
	s, _, err := tpm2.PolicySession(f, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := password(f, s.Handle()); err != nil {
		t.Fatal(err)
	}
	auth := append(be(nil, uint32(s.Handle())), 0, 0, 1, 0, 3, 'P', 'I', 'N')
	cmd := slices.Concat(be(be(be([]byte{0x80, 2, 0, 0, 0, 30}, 0x15e), uint32(item.ObjectHandle)), uint32(len(auth))), auth)
	res, err := f.Send(cmd)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x80, 2, 0, 0, 0, 38, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 'x', 0, 16} // a nonce follows, attributes, no HMAC
	if !bytes.HasPrefix(res, want) || !bytes.HasSuffix(res, []byte{1, 0, 0}) {
		t.Errorf("response %x", res)
	}
}

func TestTheClockIsSafeAtFirstAndAfterClear(t *testing.T) {
	f := newFixture(t)
	safe := func() bool { return run(t, f, tpm2.ReadClock{}).CurrentTime.ClockInfo.Safe }
	if !safe() {
		t.Error("the clock of a new TPM is not safe")
	}
	if err := f.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	run(t, f, tpm2.Startup{StartupType: tpm2.TPMSUClear})
	if safe() {
		t.Fatal("the clock is safe after the power went")
	}
	run(t, f, tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}})
	if !safe() {
		t.Error("the clock is not safe after TPM2_Clear")
	}
}
