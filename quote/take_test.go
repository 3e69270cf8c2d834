package quote_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

var nonce = []byte("sixteen bytes...or more")

// newTPM gives a test a TPM of its own; the interop tests put another one here.
var newTPM = tpmtest.Engine

func TestQuotesOfEveryKindOfKeyAreVerified(t *testing.T) {
	c := newTPM(t, tpm.Options{})
	for _, alg := range []quote.Algorithm{quote.ECC, quote.RSA} {
		for _, parent := range []quote.Parent{quote.UnderEK, quote.UnderSRK, quote.Temporary} {
			t.Run(string(alg)+" under "+string(parent), func(t *testing.T) {
				key := keyOf(t, c, alg, parent)
				e, err := quote.Take(c, key, nonce, nil)
				if err != nil {
					t.Fatal(err)
				}
				e.Stamp(noon, c.Origin())
				if err := key.Flush(c); err != nil {
					t.Fatal(err)
				}
				file, err := e.Encode()
				if err != nil {
					t.Fatal(err)
				}
				pin, err := quote.PinName(key.Public.Name().String())
				if err != nil {
					t.Fatal(err)
				}
				v := judge(t, file, quote.Expect{Nonce: nonce, Key: pin, Values: &e.Values, AllowEmulated: true})
				if v.Result != quote.Pass {
					t.Errorf("verdict %s: %v", v.Result, v.Checks)
				}
				if v.AK.Parent != parent {
					t.Errorf("parent %q", v.AK.Parent)
				}
			})
		}
	}
	if left := handles(t, c, tpm2.TPMHTTransient); left > 0 {
		t.Errorf("%d objects were left in the TPM", left)
	}
}

// keyOf makes a key, by way of a file where it has a parent.
func keyOf(t *testing.T, c tpm.Conn, alg quote.Algorithm, parent quote.Parent) *quote.Key {
	t.Helper()
	if parent == quote.Temporary {
		key, err := quote.CreateTemporary(c, alg)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	made, err := quote.CreateIn(c, alg, parent)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	f, err := quote.DecodeKeyFile(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := f.Load(c)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func handles(t *testing.T, c tpm.Conn, kind tpm2.TPMHT) int {
	t.Helper()
	rsp, err := tpm2.GetCapability{
		Capability: tpm2.TPMCapHandles, Property: uint32(kind) << 24, PropertyCount: 64,
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Handle)
}

func TestEvidenceOfTheEngineCarriesItsMark(t *testing.T) {
	c := tpmtest.Engine(t, tpm.Options{})
	e, err := quote.Take(c, keyOf(t, c, quote.ECC, quote.Temporary), nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.Stamp(noon, c.Origin())
	file, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got := troubled(judge(t, file, quote.Expect{Nonce: nonce, AnyKey: true})); !slices.Equal(got, []string{"origin: fail"}) {
		t.Errorf("checks that do not pass: %q", got)
	}
}

func TestAKeyOfAnotherTPMIsToldApart(t *testing.T) {
	here, there := newTPM(t, tpm.Options{}), newTPM(t, tpm.Options{})
	f, err := quote.CreateIn(there, quote.ECC, quote.UnderEK)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(here); fail.KindOf(err) != fail.WrongTPM {
		t.Errorf("error %v, want wrong_tpm", err)
	}
	if left := handles(t, here, tpm2.TPMHTTransient); left > 0 {
		t.Errorf("%d objects were left in the TPM", left)
	}
}

func TestPersistentKeysComeAndGoAtTheNamedHandleOnly(t *testing.T) {
	const mine, other = 0x81010020, 0x81010021
	c := newTPM(t, tpm.Options{Allow: tpm.Persists, Named: []tpm2.TPMHandle{mine}})
	key := keyOf(t, c, quote.ECC, quote.UnderSRK)
	if err := key.Persist(c, mine); err != nil {
		t.Fatal(err)
	}
	if err := key.Persist(c, mine); fail.KindOf(err) != fail.OutputExists {
		t.Errorf("a second key at the same handle: %v, want output_exists", err)
	}
	if _, err := quote.Persistent(c, other); fail.KindOf(err) != fail.MissingInput {
		t.Errorf("a handle without a key: %v, want missing_input", err)
	}
	keys, err := quote.List(c)
	if err != nil || len(keys) != 1 || keys[0].Handle != mine || !bytes.Equal(keys[0].Public.Name(), key.Public.Name()) {
		t.Fatalf("keys %v, error %v", keys, err)
	}
	e, err := quote.Take(c, keys[0], nonce, pcr.Of(eventlog.SHA256, 0, 7))
	if err != nil {
		t.Fatal(err)
	}
	if e.AK.Handle != "0x81010020" {
		t.Errorf("the evidence names the handle %q", e.AK.Handle)
	}
	if err := keys[0].Delete(c); err != nil {
		t.Fatal(err)
	}
	if left := handles(t, c, tpm2.TPMHTPersistent); left > 0 {
		t.Errorf("%d persistent objects are left", left)
	}
}

func TestAStorageKeyIsNoAttestationKey(t *testing.T) {
	c := newTPM(t, tpm.Options{Allow: tpm.Persists})
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	public, err := quote.DecodePublic(rsp.OutPublic.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	srk := &quote.Key{Public: public, Handle: rsp.ObjectHandle}
	if err := srk.Persist(c, tpm.SRKHandle); err != nil {
		t.Fatal(err)
	}
	if _, err := quote.Persistent(c, tpm.SRKHandle); fail.KindOf(err) != fail.BadInput {
		t.Errorf("error %v, want bad_input", err)
	}
	if keys, err := quote.List(c); err != nil || len(keys) > 0 {
		t.Errorf("keys %v, error %v", keys, err)
	}
}

func TestNoncesThatProveNothingOrDoNotFitAreRefused(t *testing.T) {
	c := newTPM(t, tpm.Options{})
	key := keyOf(t, c, quote.ECC, quote.Temporary)
	for _, size := range []int{0, 1, 15, 65, 4096} {
		if _, err := quote.Take(c, key, make([]byte, size), nil); fail.KindOf(err) != fail.Usage {
			t.Errorf("%d bytes: %v, want usage", size, err)
		}
	}
	for _, size := range []int{16, 32} {
		if _, err := quote.Take(c, key, make([]byte, size), nil); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// restless extends a PCR before a quote, a number of times: what happens between reading and quoting on a busy machine.
type restless struct {
	tpm.Sender
	left int
}

func (r *restless) Send(cmd []byte) ([]byte, error) {
	if isQuote := bytes.Equal(cmd[6:10], []byte{0, 0, 0x01, 0x58}); isQuote && r.left > 0 {
		r.left--
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: 10, Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
		}.Execute(r.Sender)
		if err != nil {
			return nil, err
		}
	}
	return r.Sender.Send(cmd)
}

func TestAQuoteAndItsValuesBelongTogether(t *testing.T) {
	c := newTPM(t, tpm.Options{Allow: tpm.Extends})
	key := keyOf(t, c, quote.ECC, quote.Temporary)
	e, err := quote.Take(&restless{c, 3}, key, nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	now, err := pcr.Read(c, pcr.Of(eventlog.SHA256, 10))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(e.Get(eventlog.SHA256, 10), now.Get(eventlog.SHA256, 10)) {
		t.Error("the evidence has an older value of PCR 10")
	}
	if _, err := quote.Take(&restless{c, 1000}, key, nonce, nil); fail.KindOf(err) != fail.Temporary {
		t.Errorf("PCRs that never rest: %v, want temporary", err)
	}
}

func TestHandlesAreRead(t *testing.T) {
	if h, err := quote.ParseHandle("0X8101000A"); err != nil || h != 0x8101000a {
		t.Errorf("handle %x, error %v", h, err)
	}
	if h, err := quote.ParseHandle("0x81010001"); err != nil || h != 0x81010001 {
		t.Errorf("handle %x, error %v", h, err)
	}
	for _, bad := range []string{"", "81010001", "0x81", "0x81800000", "0x80000000", "0x810100011", "0x81010001 ", "0x8101000g"} {
		if _, err := quote.ParseHandle(bad); fail.KindOf(err) != fail.Usage {
			t.Errorf("%q: %v, want usage", bad, err)
		}
	}
}
