//go:build interop

package quote_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// The tests that need a TPM, on one that we did not write.
func TestOnSWTPM(t *testing.T) {
	engine := newTPM
	t.Cleanup(func() { newTPM = engine })
	newTPM = func(t testing.TB, o tpm.Options) tpm.Conn { return openSWTPM(t, interop.StartSWTPM(t), o) }
	for name, test := range map[string]func(*testing.T){
		"every kind of key":       TestQuotesOfEveryKindOfKeyAreVerified,
		"the key of another TPM":  TestAKeyOfAnotherTPMIsToldApart,
		"persistent keys":         TestPersistentKeysComeAndGoAtTheNamedHandleOnly,
		"a storage key":           TestAStorageKeyIsNoAttestationKey,
		"nonces":                  TestNoncesThatProveNothingOrDoNotFitAreRefused,
		"quote and values belong": TestAQuoteAndItsValuesBelongTogether,
	} {
		t.Run(name, test)
	}
}

func openSWTPM(t testing.TB, s *interop.SWTPM, o tpm.Options) tpm.Conn {
	t.Helper()
	c, err := tpm.Open(t.Context(), s.Target(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestCheckquoteAcceptsOurQuotes(t *testing.T) {
	for _, alg := range []quote.Algorithm{quote.ECC, quote.RSA} {
		for name, sel := range map[string]pcr.Selection{
			"all banks": nil, "one bank": pcr.Of(eventlog.SHA256, 0, 1, 7), "two banks": both(pcr.SetOf(0, 4, 9, 14)),
		} {
			t.Run(string(alg)+" "+name, func(t *testing.T) {
				c := openSWTPM(t, interop.StartSWTPM(t), tpm.Options{})
				key, err := quote.CreateTemporary(c, alg)
				if err != nil {
					t.Fatal(err)
				}
				e, err := quote.Take(c, key, nonce, sel)
				if err != nil {
					t.Fatal(err)
				}
				f, err := e.Files()
				if err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				put := func(name string, data []byte) string {
					path := filepath.Join(dir, name)
					if err := os.WriteFile(path, data, 0o600); err != nil {
						t.Fatal(err)
					}
					return path
				}
				msg, sig, pcrs := put("msg", f.Message), put("sig", f.Signature), put("pcrs", f.PCRs)
				for _, ak := range []string{put("ak.pub", f.Key), put("ak.pem", f.PEM)} {
					check := []string{"-u", ak, "-m", msg, "-s", sig, "-f", pcrs, "-g", "sha256", "-q"}
					interop.Run(t, "tpm2_checkquote", append(check, hex.EncodeToString(nonce))...)
					if _, err := interop.Try(t, "tpm2_checkquote", append(check, hex.EncodeToString(nonce[1:]))...); err == nil {
						t.Error("tpm2_checkquote accepts another nonce: it looked at nothing")
					}
				}
			})
		}
	}
}

func TestQuotesOfTPM2ToolsAreVerified(t *testing.T) {
	for name, c := range map[string]struct{ key, scheme string }{
		"ECDSA": {"ecc", "ecdsa"}, "RSASSA": {"rsa", "rsassa"}, "RSAPSS": {"rsa", "rsapss"},
	} {
		t.Run(name, func(t *testing.T) {
			s := interop.StartSWTPM(t)
			t.Setenv("TPM2TOOLS_TCTI", s.TCTI())
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			interop.Run(t, "tpm2_createek", "-c", at("ek.ctx"), "-G", c.key)
			interop.Run(t, "tpm2_flushcontext", "-t")
			interop.Run(t, "tpm2_createak", "-C", at("ek.ctx"), "-c", at("ak.ctx"), "-G", c.key, "-g", "sha256", "-s", c.scheme,
				"-u", at("ak.pub"), "-n", at("ak.name"))
			interop.Run(t, "tpm2_flushcontext", "-t")
			interop.Run(t, "tpm2_readpublic", "-c", at("ak.ctx"), "-f", "pem", "-o", at("ak.pem"))
			interop.Run(t, "tpm2_flushcontext", "-t")
			interop.Run(t, "tpm2_pcrextend", "7:sha256="+hex.EncodeToString(eventlog.SHA256.Sum([]byte("boot"))))
			for _, format := range []string{"serialized", "values"} {
				interop.Run(t, "tpm2_quote", "-c", at("ak.ctx"), "-l", "sha1:0,1+sha256:0,1,2,7,23", "-q", hex.EncodeToString(nonce),
					"-m", at("msg"), "-s", at("sig"), "-o", at("pcrs"), "-F", format, "-g", "sha256",
					"--scheme", c.scheme)
				interop.Run(t, "tpm2_flushcontext", "-t")
				verifyFiles(t, dir)
			}
		})
	}
}

func verifyFiles(t *testing.T, dir string) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	sel := pcr.Of(eventlog.SHA1, 0, 1).With(eventlog.SHA256, pcr.SetOf(0, 1, 2, 7, 23))
	values, err := pcr.Decode(read("pcrs"), sel)
	if err != nil {
		t.Fatal(err)
	}
	for _, ak := range []string{"ak.pub", "ak.pem"} {
		pin, err := quote.ParsePin(read(ak))
		if err != nil {
			t.Fatal(err)
		}
		e, err := quote.FromFiles(read("msg"), read("sig"), values, pin)
		if err != nil {
			t.Fatal(err)
		}
		v := quote.Verify(e, quote.Expect{Nonce: nonce, Key: pin, Selection: sel})
		if v.Result != quote.Pass {
			t.Errorf("%s: verdict %s: %v", ak, v.Result, v.Checks)
		}
		if ak == "ak.pub" && v.AK.Name.String() != hex.EncodeToString(read("ak.name")) {
			t.Errorf("the key's Name is %s, tpm2_createak says %x", v.AK.Name, read("ak.name"))
		}
		if v := quote.Verify(e, quote.Expect{Nonce: nonce[1:], Key: pin, Selection: sel}); v.Result != quote.Fail {
			t.Errorf("another nonce: verdict %s", v.Result)
		}
	}
}
