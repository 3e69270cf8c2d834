//go:build guest

package guest

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
)

// A quote is taken in the guest with its own log, and judged here, where its TPM is not.
func TestAQuoteOfAGuestIsVerifiedOutside(t *testing.T) {
	nonce := []byte("a nonce made outside of the guest")
	take := "vtpmctl quote --ak /in/ak.json --nonce " + hex.EncodeToString(nonce) + " --out-file /out/evidence.json"
	m := newMachine(t)
	key := m.boot(t, "tpm-tis", nil, step{"ak", "vtpmctl ak create --out-file /out/ak.json"}).file(t, "ak.json")
	in := map[string][]byte{"ak.json": key}
	pin, err := quote.ParsePin(key)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(r results, x quote.Expect) (*quote.Evidence, *quote.Verdict) {
		e, err := quote.Decode(r.file(t, "evidence.json"))
		if err != nil {
			t.Fatal(err)
		}
		x.Nonce, x.Key, x.NeedLog = nonce, pin, true
		return e, quote.Verify(e, x)
	}

	good, v := judge(m.boot(t, "tpm-tis", in, step{"quote", take}), quote.Expect{})
	if v.Result != quote.Pass {
		t.Fatalf("the verdict is %q: %v", v.Result, v.Checks)
	}
	explained := pcr.Set(0)
	for _, r := range v.Replay {
		if r.Bank == eventlog.SHA256 && r.Result == quote.Explained {
			explained |= pcr.SetOf(r.PCR)
		}
	}
	if want := pcr.SetOf(0, 1, 2, 3, 4, 5, 6, 7, 9); explained&want != want {
		t.Errorf("the guest's log explains PCRs %s, want at least %s", explained, want)
	}

	// Another initrd is another boot, and the verdict names its event.
	reference, err := good.EventLog()
	if err != nil {
		t.Fatal(err)
	}
	_, v = judge(m.boot(t, "tpm-tis", in, step{"quote", take}, step{"evil", "true"}),
		quote.Expect{Values: &good.Values, Reference: reference})
	initrd := slices.ContainsFunc(v.Changes, func(c quote.Change) bool { return c.PCR == 9 && strings.Contains(c.Found, "initrd") })
	if v.Result != quote.Fail || !initrd {
		t.Errorf("another initrd: verdict %q, changes %v, checks %v", v.Result, v.Changes, v.Checks)
	}
}
