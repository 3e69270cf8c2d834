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

// quotesDiffer judges the quotes of two boots by the rules of a verifier that holds the first to be good. The TPM is not
// here; the second boot had another initrd.
func quotesDiffer(t *testing.T, first, second results) {
	t.Helper()
	pin, err := quote.ParsePin(first.file(t, "ak.json"))
	if err != nil {
		t.Fatal(err)
	}
	said, err := hex.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(r results, x quote.Expect) (*quote.Evidence, *quote.Verdict) {
		e, err := quote.Decode(r.file(t, "evidence.json"))
		if err != nil {
			t.Fatal(err)
		}
		x.Nonce, x.Key, x.NeedLog = said, pin, true
		return e, quote.Verify(e, x)
	}

	good, v := judge(first, quote.Expect{})
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

	reference, err := good.EventLog()
	if err != nil {
		t.Fatal(err)
	}
	_, v = judge(second, quote.Expect{Values: &good.Values, Reference: reference})
	initrd := slices.ContainsFunc(v.Changes, func(c quote.Change) bool { return c.PCR == 9 && strings.Contains(c.Found, "initrd") })
	if v.Result != quote.Fail || !initrd {
		t.Errorf("another initrd: verdict %q, changes %v, checks %v", v.Result, v.Changes, v.Checks)
	}
}
