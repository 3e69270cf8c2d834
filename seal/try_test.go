package seal

import (
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

// What create makes is tried before it is written. Here it made something else than it should.
func TestAnObjectThatOpensWithoutItsPolicyIsNotWritten(t *testing.T) {
	payload := []byte("secret")
	for name, c := range map[string]struct {
		attributes tpm2.TPMAObject
		authPolicy []byte
	}{
		"its auth value alone opens it": {tpm2.TPMAObject{UserWithAuth: true, NoDA: true}, make([]byte, 32)},
		"a policy of no steps opens it": {tpm2.TPMAObject{NoDA: true}, make([]byte, 32)},
		"both":                          {tpm2.TPMAObject{UserWithAuth: true}, make([]byte, 32)},
	} {
		conn := tpmtest.Engine(t, tpm.Options{Allow: tpmtest.Everything})
		p, err := parentForSealing(conn)
		if err != nil {
			t.Fatal(err)
		}
		sessions, err := tpm.NewSessions(conn, tpm.SessionOptions{Handle: p.Handle})
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := tpm2.Create{
			ParentHandle: p.authorized(sessions, tpm.In),
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: payload}),
			}},
			InPublic: tpm2.New2B(tpm2.TPMTPublic{
				Type: tpm2.TPMAlgKeyedHash, NameAlg: nameAlg, ObjectAttributes: c.attributes,
				AuthPolicy: tpm2.TPM2BDigest{Buffer: c.authPolicy},
			}),
		}.Execute(conn)
		if err != nil {
			t.Fatal(err)
		}
		k := &KeyFile{Public: tpm2.Marshal(rsp.OutPublic), Private: tpm2.Marshal(rsp.OutPrivate)}
		s := sealer{ctx: t.Context(), t: conn, plan: Plan{PCRs: pcr.Of(pcr.DefaultBank, 7)}}
		if err := s.try(k, p, sessions, payload); fail.KindOf(err) != fail.Unsupported {
			t.Errorf("%s: %v, %v", name, err, s.checks)
		}
	}
}
