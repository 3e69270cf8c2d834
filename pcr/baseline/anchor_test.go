package baseline_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr/baseline"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

const index tpm2.TPMHandle = 0x01800200

// anchorTPM is a TPM whose index was named, as --anchor does.
func anchorTPM(t *testing.T) tpm.Conn {
	return tpmtest.Engine(t, tpm.Options{Allow: tpm.WritesNV, Named: []tpm2.TPMHandle{index}})
}

func TestAnAnchorHoldsTheLastDigest(t *testing.T) {
	conn := anchorTPM(t)
	one, other := eventlog.SHA256.Sum([]byte("one")), eventlog.SHA256.Sum([]byte("other"))
	check := func(digest eventlog.Hex, want eventlog.Outcome, words string) {
		t.Helper()
		if c := baseline.CheckAnchor(conn, index, digest); c.Outcome != want || !strings.Contains(c.Text, words) {
			t.Errorf("%+v", c)
		}
	}
	check(one, eventlog.Fail, "there is no index")
	for _, digest := range []eventlog.Hex{one, other} {
		if err := baseline.WriteAnchor(conn, index, digest, nil); err != nil {
			t.Fatal(err)
		}
		check(digest, eventlog.Pass, "holds its digest")
	}
	check(one, eventlog.Fail, "of another baseline")
}

func TestTheOwnersPasswordWritesTheAnchor(t *testing.T) {
	conn := tpmtest.Engine(t, tpm.Options{Allow: tpm.WritesNV | tpm.Clears, Named: []tpm2.TPMHandle{index}})
	password := []byte("the owner's")
	if _, err := (tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHOwner, NewAuth: tpm2.TPM2BAuth{Buffer: password}}).Execute(conn); err != nil {
		t.Fatal(err)
	}
	one, other := eventlog.SHA256.Sum([]byte("one")), eventlog.SHA256.Sum([]byte("other"))
	for _, wrong := range [][]byte{nil, []byte("another")} {
		if err := baseline.WriteAnchor(conn, index, one, wrong); !errors.Is(err, tpm2.TPMRCBadAuth) {
			t.Errorf("password %q: %v", wrong, err)
		}
	}
	for _, digest := range []eventlog.Hex{one, other} { // made, then written again
		if err := baseline.WriteAnchor(conn, index, digest, password); err != nil {
			t.Fatal(err)
		}
		if c := baseline.CheckAnchor(conn, index, digest); c.Outcome != eventlog.Pass {
			t.Errorf("%+v", c)
		}
	}
}

func TestAnIndexThatIsNoAnchorIsLeftAlone(t *testing.T) {
	digest := eventlog.SHA256.Sum([]byte("one"))
	for name, public := range map[string]tpm2.TPMSNVPublic{
		"of another size": {DataSize: 64, Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true}},
		"a counter":       {DataSize: 8, Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true, NT: tpm2.TPMNTCounter}},
		"of others":       {DataSize: 32, Attributes: tpm2.TPMANV{OwnerWrite: true, AuthWrite: true, OwnerRead: true, AuthRead: true, NoDA: true}},
	} {
		conn := anchorTPM(t)
		public.NVIndex, public.NameAlg = index, tpm2.TPMAlgSHA256
		if _, err := (tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}).Execute(conn); err != nil {
			t.Fatal(err)
		}
		before, err := tpm2.NVReadPublic{NVIndex: index}.Execute(conn)
		if err != nil {
			t.Fatal(err)
		}
		if err := baseline.WriteAnchor(conn, index, digest, nil); fail.KindOf(err) != fail.OutputExists {
			t.Errorf("%s: %v", name, err)
		}
		after, err := tpm2.NVReadPublic{NVIndex: index}.Execute(conn)
		if err != nil || !bytes.Equal(before.NVName.Buffer, after.NVName.Buffer) {
			t.Errorf("%s: it was changed: %v", name, err)
		}
		if c := baseline.CheckAnchor(conn, index, digest); c.Outcome != eventlog.Fail {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestAnAnchorThatWasNeverWrittenHoldsNothing(t *testing.T) {
	conn := anchorTPM(t)
	public := tpm2.TPMSNVPublic{NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: 32,
		Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true}}
	if _, err := (tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}).Execute(conn); err != nil {
		t.Fatal(err)
	}
	if c := baseline.CheckAnchor(conn, index, make(eventlog.Hex, 32)); c.Outcome != eventlog.Fail || !strings.Contains(c.Text, "never written") {
		t.Errorf("%+v", c)
	}
}

func TestOnlyTheOwnersIndicesAreAnchors(t *testing.T) {
	for _, word := range []string{"0x01800000", "0x01bfffff"} {
		if _, err := baseline.ParseAnchor(word); err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
	for _, word := range []string{"", "0x017fffff", "0x01c00000", "0x1800000", "01800000", "0x81800000", "0x01800000x"} {
		if h, err := baseline.ParseAnchor(word); err == nil {
			t.Errorf("%q is read as 0x%08x", word, uint32(h))
		}
	}
}
