package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// The tests of the file format are inside the package, because they build files that Seal would not.

// sampleValues are PCR 7 and 14 of SHA-256.
func sampleValues() *pcr.Values {
	v := &pcr.Values{}
	v.Set(eventlog.SHA256, 7, bytes.Repeat([]byte{7}, 32))
	v.Set(eventlog.SHA256, 14, bytes.Repeat([]byte{14}, 32))
	return v
}

// sampleKey is a key file with a policy of its own; the private part is no TPM's.
func sampleKey(t testing.TB, pin bool) *KeyFile {
	t.Helper()
	v := sampleValues()
	digest, err := v.Digest(eventlog.SHA256, v.Selection())
	if err != nil {
		t.Fatal(err)
	}
	k := &KeyFile{EmptyAuth: !pin, Policy: []Step{stepPCR(v.Selection(), digest)}, Parent: tpm2.TPMRHOwner, Description: "disk of vm-17, für alle"}
	if pin {
		k.Policy = append(k.Policy, stepAuthValue())
	}
	authPolicy, err := policy{eventlog.SHA256, k.Policy}.digest(nil)
	if err != nil {
		t.Fatal(err)
	}
	k.Public = samplePublic(tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: !pin}, authPolicy)
	k.Private = tpm2.Marshal(tpm2.TPM2BPrivate{Buffer: bytes.Repeat([]byte{0x5a}, 100)})
	return k
}

func samplePublic(a tpm2.TPMAObject, authPolicy []byte) []byte {
	return tpm2.Marshal(tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: a, AuthPolicy: tpm2.TPM2BDigest{Buffer: authPolicy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{}),
		Unique:     tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: make([]byte, 32)}),
	}))
}

func sampleBlock(content string) *Block {
	return &Block{
		Schema: Schema, Created: time.Unix(1_800_000_000, 0).UTC(), Emulated: true, Expected: sampleValues(), Content: content,
		Parent: Parent{"0x40000001", bytes.Repeat([]byte{9}, 34), templates[0].name},
	}
}

// sampleFile is a whole sealed file.
func sampleFile(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	bound, err := writeHead(&b, sampleKey(t, true), sampleBlock(content))
	if err != nil {
		t.Fatal(err)
	}
	if content == envelopeCipher {
		a := newArmorWriter(&b)
		if err := encryptStream(a, strings.NewReader(strings.Repeat("secret ", 100)), testKey, bound); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestKeyFilesComeBackAsTheyWere(t *testing.T) {
	for name, change := range map[string]func(k *KeyFile){
		"with all fields":        func(*KeyFile) {},
		"an RSA parent":          func(k *KeyFile) { k.RSAParent = true },
		"a persistent parent":    func(k *KeyFile) { k.Parent = 0x81000001 },
		"no PIN":                 func(k *KeyFile) { k.EmptyAuth = true },
		"no policy and no words": func(k *KeyFile) { k.Policy, k.Description = nil, "" },
		"a long description":     func(k *KeyFile) { k.Description = strings.Repeat("x", 70_000) },
	} {
		k := sampleKey(t, true)
		change(k)
		got, err := parseKeyFile(k.marshal())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(k, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Other tools write what DER does not allow, or leave out what the draft demands.
func TestKeyFilesOfOtherToolsAreRead(t *testing.T) {
	k := sampleKey(t, false)
	open := samplePublic(tpm2.TPMAObject{FixedTPM: true, UserWithAuth: true, NoDA: true}, nil)
	tail := func(parent, public []byte) [][]byte {
		return [][]byte{parent, der(tagOctets, public), der(tagOctets, k.Private)}
	}
	file := func(oid []byte, fields ...[]byte) []byte {
		return der(tagSequence, append([][]byte{der(tagOID, oid)}, fields...)...)
	}
	owner := derUint32(uint32(tpm2.TPMRHOwner))
	v := sampleValues()
	oraclePCR := append(tpm2.Marshal(tpm2.TPM2BDigest{}), tpm2.Marshal(v.Selection().TPM(pcr.Count))...)
	grubPCR := append(tpm2.Marshal(tpm2.TPM2BDigest{Buffer: make([]byte, 32)}), tpm2.Marshal(v.Selection().TPM(pcr.Count))...)
	step := func(parameters []byte) []byte {
		return explicit(1, der(tagSequence, der(tagSequence,
			explicit(0, derUint32(uint32(tpm2.TPMCCPolicyPCR))), explicit(1, der(tagOctets, parameters)))))
	}
	for name, c := range map[string]struct {
		der   []byte
		check func(f *File) bool
	}{
		"tpm2_encodeobject: a loadable key without a policy": {
			file(oidLoadable, append([][]byte{explicit(0, der(tagBoolean, []byte{0}))}, tail(owner, k.Public)...)...),
			func(f *File) bool { return f.NeedsPCRs() && !f.NeedsPIN() && !f.Key.EmptyAuth },
		},
		"openssl_tpm2_engine: 1 for true": {
			file(oidSealed, append([][]byte{explicit(0, der(tagBoolean, []byte{1}))}, tail(owner, open)...)...),
			func(f *File) bool { return f.Key.EmptyAuth && !f.NeedsPIN() && !f.NeedsPCRs() },
		},
		"an object that its auth value opens": {
			file(oidSealed, tail(owner, open)...),
			func(f *File) bool { return f.NeedsPIN() && !f.NeedsPCRs() },
		},
		"tpm2-tss-engine: parent 0": {
			file(oidSealed, tail(derUint32(0), open)...),
			func(f *File) bool { return f.Key.Parent == tpm2.TPMRHOwner },
		},
		"a persistent parent as a negative number": {
			file(oidSealed, tail(der(tagInteger, []byte{0x81, 0, 0, 1}), open)...),
			func(f *File) bool { return f.Key.Parent == 0x81000001 },
		},
		"pcr-oracle: an empty digest before the selection": {
			file(oidSealed, append([][]byte{step(oraclePCR)}, tail(owner, k.Public)...)...),
			func(f *File) bool {
				s, err := f.policy(Opening{}).selection()
				return err == nil && s.String() == "sha256:7,14"
			},
		},
		"GRUB: a digest before the selection": {
			file(oidSealed, append([][]byte{step(grubPCR)}, tail(owner, k.Public)...)...),
			func(f *File) bool {
				_, d, err := f.Key.Policy[0].pcrs(32)
				return err == nil && bytes.Equal(d, make([]byte, 32))
			},
		},
		"signed policies and an extension of a later draft": {
			file(oidSealed, append([][]byte{
				explicit(3, der(tagSequence, der(tagSequence, explicit(0, der(tagUTF8, []byte("next kernel")))))),
				explicit(6, der(tagOctets, []byte("parent name"))),
			}, tail(owner, open)...)...),
			func(f *File) bool { return len(f.Key.Signed) == 1 && f.Key.Signed[0] == "next kernel" },
		},
	} {
		text := "some words before\n-----BEGIN TSS2 PRIVATE KEY-----\r\n" + base64.StdEncoding.EncodeToString(c.der) + "\n-----END TSS2 PRIVATE KEY-----"
		f, err := Read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if f.Block != nil || !c.check(f) {
			t.Errorf("%s: %+v", name, f.Key)
		}
	}
}

func TestADamagedFileNamesFieldAndOffset(t *testing.T) {
	k := sampleKey(t, true)
	good := k.marshal()
	pem := func(der []byte) string {
		return "-----BEGIN TSS2 PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString(der) + "\n-----END TSS2 PRIVATE KEY-----\n"
	}
	swap := func(from, to []byte) []byte {
		if !bytes.Contains(good, from) {
			t.Fatalf("%x is not in the sample", from)
		}
		return bytes.Replace(good, from, to, 1)
	}
	key := *k
	key.Public = tpm2.Marshal(tpm2.New2B(tpm2.ECCSRKTemplate))
	whole := sampleFile(t, contentInTPM)
	head, line, _ := strings.Cut(whole, "{")
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                    {"", "-----BEGIN TSS2 PRIVATE KEY----- is missing"},
		"something else":             {"hello\nworld\n", "-----BEGIN TSS2 PRIVATE KEY----- is missing"},
		"an endless line":            {strings.Repeat("x", 1<<20), "longer than"},
		"no end":                     {strings.Split(whole, "-----END")[0], "-----END TSS2 PRIVATE KEY----- is missing"},
		"no base64":                  {"-----BEGIN TSS2 PRIVATE KEY-----\n***\n-----END TSS2 PRIVATE KEY-----\n", "base64"},
		"an empty key file":          {pem(nil), "offset"},
		"cut DER":                    {pem(good[:len(good)-1]), "offset 0, key file: cut short"},
		"a byte too many":            {pem(append(bytes.Clone(good), 0)), "1 bytes too many"},
		"another kind of key":        {pem(swap(oidSealed, oidImportable)), "type: this is a key to be imported"},
		"an unknown kind":            {pem(swap(oidSealed, []byte{1, 2, 3, 4, 5, 6})), "type: object identifier"},
		"a key instead of a secret":  {pem(key.marshal()), "pubkey: this is a key"},
		"a parent that is no number": {pem(swap(derUint32(0x40000001), der(tagOctets, []byte{0x40, 0, 0, 1}))), "parent: a value of type 0x04"},
		"broken JSON":                {head + "{\"schema\":\n", "block after the key file"},
		"no expected values":         {head + `{"schema":"vtpmctl.sealed/v1"}`, "expected: missing"},
		"an unknown content":         {head + strings.Replace("{"+line, `"content":"tpm"`, `"content":"rot13"`, 1), "rot13"},
		"a short PCR value":          {head + strings.Replace("{"+line, "0707", "", 1), "PCR 7"},
	} {
		f, err := Read(strings.NewReader(c.text))
		if fail.KindOf(err) != fail.BadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, f, err, c.want)
		}
	}
	_, err := Read(strings.NewReader(head + `{"schema":"vtpmctl.sealed/v2"}`))
	if fail.KindOf(err) != fail.Unsupported {
		t.Errorf("a later schema: %v", err)
	}
}

func TestTheBlockHasTheseFields(t *testing.T) {
	text, err := json.Marshal(sampleBlock(contentInTPM))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"vtpmctl.sealed/v1","created":"2027-01-15T08:00:00Z","emulated":true,"parent":{"handle":"0x40000001","name":"` +
		strings.Repeat("09", 34) + `","template":"ecc-p256"},"expected":{"banks":[{"name":"sha256","alg":"0x000b","pcrs":[{"pcr":7,"value":"` +
		strings.Repeat("07", 32) + `"},{"pcr":14,"value":"` + strings.Repeat("0e", 32) + `"}]}]},"content":"tpm"}`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

func TestTheHeadOfAnEnvelopeCannotBeExchanged(t *testing.T) {
	whole := sampleFile(t, envelopeCipher)
	open := func(text string) (string, error) {
		f, err := Read(strings.NewReader(text))
		if err != nil {
			return "", err
		}
		var b bytes.Buffer
		_, err = f.Content(t.Context(), &Payload{testKey}, &b)
		return b.String(), err
	}
	if got, err := open(whole); err != nil || got != strings.Repeat("secret ", 100) {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := open(strings.ReplaceAll(whole, "\n", "\r\n")); err != nil || got == "" {
		t.Errorf("with CRLF: %q, %v", got, err)
	}
	for name, text := range map[string]string{
		"another time":        strings.Replace(whole, "2027-01-15", "2028-01-15", 1),
		"not emulated":        strings.Replace(whole, `"emulated":true`, `"emulated":false`, 1),
		"other expected PCRs": strings.Replace(whole, strings.Repeat("07", 32), strings.Repeat("08", 32), 1),
		"another key file": func() string {
			_, rest, _ := strings.Cut(whole, "-----END TSS2")
			var b bytes.Buffer
			_, err := writeHead(&b, sampleKey(t, false), sampleBlock(envelopeCipher))
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(b.String(), "-----END TSS2")
			return first + "-----END TSS2" + rest
		}(),
	} {
		if text == whole {
			t.Fatalf("%s: nothing was exchanged", name)
		}
		if got, err := open(text); fail.KindOf(err) != fail.BadInput || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestContentEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := Read(strings.NewReader(sampleFile(t, envelopeCipher)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := f.Content(ctx, &Payload{testKey}, &b); !errors.Is(err, context.Canceled) || b.Len() > 0 {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}

func TestSummaryTellsWhetherTheStepsAreThoseOfTheObject(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *File)
		want   string
	}{
		"as sealed":           {func(*File) {}, fitsYes},
		"a step is gone":      {func(f *File) { f.Key.Policy = f.Key.Policy[:1] }, fitsNo},
		"another digest":      {func(f *File) { f.Key.Policy[0].Parameters[20] ^= 1 }, fitsNo},
		"no steps":            {func(f *File) { f.Key.Policy = nil }, fitsUnknown},
		"a step nobody knows": {func(f *File) { f.Key.Policy[0].Command = tpm2.TPMCCPolicySigned }, fitsUnknown},
	} {
		f, err := Read(strings.NewReader(sampleFile(t, contentInTPM)))
		if err != nil {
			t.Fatal(err)
		}
		c.change(f)
		s, err := f.Summary()
		if err != nil || s.PolicyFits != c.want {
			t.Errorf("%s: %+v, %v; want %s", name, s, err, c.want)
		}
	}
}

// The digest was computed with Python's hashlib by part 3, sections 23.7 and 23.17.
func TestPolicyDigestOfPCRsAndPIN(t *testing.T) {
	d, err := policy{eventlog.SHA256, sampleKey(t, true).Policy}.digest(nil)
	if err != nil || d.String() != "20afc7c7968a5727c94606a8fb30d23fab939c55866132be3d2147f46aa3f5f6" {
		t.Errorf("%s, %v", d, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, content := range []string{contentInTPM, envelopeCipher} {
		f.Add([]byte(sampleFile(f, content)))
	}
	f.Add([]byte("-----BEGIN TSS2 PRIVATE KEY-----\nMAA=\n-----END TSS2 PRIVATE KEY-----\n{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(bytes.NewReader(data))
		if err != nil {
			if k := fail.KindOf(err); k != fail.BadInput && k != fail.Unsupported {
				t.Errorf("kind %s: %v", k, err)
			}
			return
		}
		_, _ = file.Summary()
		file.NeedsPIN()
		_ = file.openable(Opening{})
		_, _ = file.Content(t.Context(), &Payload{testKey}, io.Discard)
		checkKeyFile(t, file.Key)
	})
}

// FuzzKeyFile goes past the base64.
func FuzzKeyFile(f *testing.F) {
	f.Add(sampleKey(f, true).marshal())
	f.Add(sampleKey(f, false).marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := parseKeyFile(data); err == nil {
			checkKeyFile(t, k)
		}
	})
}

// checkKeyFile makes sure that what was read is written so that it reads the same.
func checkKeyFile(t *testing.T, k *KeyFile) {
	text := k.marshal()
	again, err := parseKeyFile(text)
	if err != nil || !bytes.Equal(again.marshal(), text) {
		t.Errorf("%+v is written as %+v, %v", k, again, err)
	}
}
