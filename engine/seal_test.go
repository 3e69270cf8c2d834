package engine_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
)

// srk makes the storage primary key of a template.
func srk(t testing.TB, f *fixture, template tpm2.TPMTPublic) *tpm2.CreatePrimaryResponse {
	t.Helper()
	return run(t, f, tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)})
}

func named(h tpm2.TPMHandle, name tpm2.TPM2BName, auth tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: h, Name: name, Auth: auth}
}

func flush(t testing.TB, f *fixture, handles ...tpm2.TPMHandle) {
	t.Helper()
	for _, h := range handles {
		run(t, f, tpm2.FlushContext{FlushHandle: h})
	}
}

// sealed creates and loads a sealed object under a storage key.
func sealed(t testing.TB, f *fixture, parent *tpm2.CreatePrimaryResponse, secret, auth, policy []byte, how ...tpm2.Session) *tpm2.LoadResponse {
	t.Helper()
	public := tpm2.TPMTPublic{Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: policy == nil, NoDA: len(how) == 0}}
	created, err := tpm2.Create{
		ParentHandle: named(parent.ObjectHandle, parent.Name, tpm2.PasswordAuth(nil)),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: auth},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret})}},
		InPublic: tpm2.New2B(public),
	}.Execute(f, how...)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, f, tpm2.Load{ParentHandle: named(parent.ObjectHandle, parent.Name, tpm2.PasswordAuth(nil)),
		InPrivate: created.OutPrivate, InPublic: created.OutPublic})
}

func TestPrimaryKeysAreTheSameAfterARestartAndOthersAfterClear(t *testing.T) {
	for name, template := range map[string]tpm2.TPMTPublic{"RSA-2048": tpm2.RSASRKTemplate, "P-256": tpm2.ECCSRKTemplate} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			first := srk(t, f, template)
			f.reopen(t)
			if err := f.Reset(); err != nil {
				t.Fatal(err)
			}
			if again := srk(t, f, template); !bytes.Equal(first.Name.Buffer, again.Name.Buffer) {
				t.Errorf("name %x, then %x", first.Name.Buffer, again.Name.Buffer)
			}
			run(t, f, tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}})
			if other := srk(t, f, template); bytes.Equal(first.Name.Buffer, other.Name.Buffer) {
				t.Error("TPM2_Clear kept the storage seed")
			}
		})
	}
}

func TestSealedSecretsOpenWithTheirAuthValueInEverySession(t *testing.T) {
	secret, auth := []byte("the secret"), []byte("a PIN")
	for name, template := range map[string]tpm2.TPMTPublic{"RSA-2048": tpm2.RSASRKTemplate, "P-256": tpm2.ECCSRKTemplate} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			parent := srk(t, f, template)
			public, err := parent.OutPublic.Contents()
			if err != nil {
				t.Fatal(err)
			}
			salted := []tpm2.AuthOption{tpm2.Salted(parent.ObjectHandle, *public), tpm2.AESEncryption(128, tpm2.EncryptOut)}
			item := sealed(t, f, parent, secret, auth, nil, tpm2.HMAC(tpm2.TPMAlgSHA256, 16,
				tpm2.Salted(parent.ObjectHandle, *public), tpm2.AESEncryption(128, tpm2.EncryptInOut)))
			for how, session := range map[string]tpm2.Session{
				"password":         tpm2.PasswordAuth(auth),
				"HMAC session":     tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth)),
				"SHA-384 session":  tpm2.HMAC(tpm2.TPMAlgSHA384, 16, tpm2.Auth(auth)),
				"encrypted":        tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth), tpm2.AESEncryption(128, tpm2.EncryptOut)),
				"salted":           tpm2.HMAC(tpm2.TPMAlgSHA256, 16, append(salted, tpm2.Auth(auth))...),
				"bound":            tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Bound(item.ObjectHandle, item.Name, auth)),
				"bound and salted": tpm2.HMAC(tpm2.TPMAlgSHA256, 16, append(salted, tpm2.Auth(auth), tpm2.Bound(item.ObjectHandle, item.Name, auth))...),
			} {
				got, err := tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name, session)}.Execute(f)
				if err != nil || !bytes.Equal(got.OutData.Buffer, secret) {
					t.Errorf("%s: %v, %v", how, got, err)
				}
			}
			refused(t, f, 0x98e, tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name, tpm2.PasswordAuth([]byte("no")))})
			refused(t, f, 0x98e, tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name,
				tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth([]byte("no"))))})
		})
	}
}

// pcrPolicy is a policy session that PolicyPCR was run in; a trial one gives the digest.
func pcrPolicy(t testing.TB, f *fixture, pcr uint) []byte {
	t.Helper()
	s, end, err := tpm2.PolicySession(f, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	run(t, f, tpm2.PolicyPCR{PolicySession: s.Handle(), Pcrs: selection(tpm2.TPMAlgSHA256, pcr)})
	return run(t, f, tpm2.PolicyGetDigest{PolicySession: s.Handle()}).PolicyDigest.Buffer
}

func TestSecretsSealedToPCRsOpenOnlyWhileThoseStand(t *testing.T) {
	f := newFixture(t)
	extendPCR(t, f, 7, "as it should be")
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	item := sealed(t, f, parent, []byte("disk key"), nil, pcrPolicy(t, f, 7))
	unseal := func(between func()) tpm2.Unseal {
		return tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name, tpm2.Policy(tpm2.TPMAlgSHA256, 16,
			func(tp transportTPM, h tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
				_, err := tpm2.PolicyPCR{PolicySession: h, Pcrs: selection(tpm2.TPMAlgSHA256, 7)}.Execute(tp)
				between()
				return err
			}))}
	}
	if got := run(t, f, unseal(func() {})); string(got.OutData.Buffer) != "disk key" {
		t.Errorf("unsealed %q", got.OutData.Buffer)
	}
	refused(t, f, 0x128, unseal(func() { extendPCR(t, f, 8, "between policy and use") }))
	refused(t, f, 0x12f, tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name, tpm2.PasswordAuth(nil))})
	extendPCR(t, f, 7, "changed")
	refused(t, f, 0x99d, unseal(func() {}))
}

func TestWrongAuthValuesLeadIntoLockoutThatTimeHeals(t *testing.T) {
	f := newFixture(t)
	parent := srk(t, f, tpm2.ECCSRKTemplate)
	item := sealed(t, f, parent, []byte("x"), []byte("PIN"), nil, tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.AESEncryption(128, tpm2.EncryptIn)))
	try := func(auth string) tpm2.Unseal {
		return tpm2.Unseal{ItemHandle: named(item.ObjectHandle, item.Name, tpm2.PasswordAuth([]byte(auth)))}
	}
	for range 3 {
		refused(t, f, 0x98e, try("guess"))
	}
	refused(t, f, 0x921, try("PIN"))
	f.TPM = crash(t, f)
	parent = srk(t, f, tpm2.ECCSRKTemplate)
	item = sealed(t, f, parent, []byte("x"), []byte("PIN"), nil, tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.AESEncryption(128, tpm2.EncryptIn)))
	refused(t, f, 0x921, try("PIN"))
	f.clock.now = f.clock.now.Add(1001 * time.Second)
	run(t, f, try("PIN"))
	refused(t, f, 0x98e, try("guess"))
	refused(t, f, 0x921, try("PIN"))
	if got := raw(t, f, command(0x139, 0x4000000a)); got != 0 {
		t.Errorf("TPM2_DictionaryAttackLockReset: 0x%x", got)
	}
	run(t, f, try("PIN"))
}

// crash is the next process after one that was killed: nothing was closed.
func crash(t testing.TB, f *fixture) *engine.TPM {
	t.Helper()
	tpm, err := engine.New(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tpm
}

func TestQuotesVerifyOutsideTheTPM(t *testing.T) {
	f := newFixture(t)
	extendPCR(t, f, 4, "loader")
	ak := run(t, f, tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			Restricted: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256,
			Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA,
				&tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})}}),
	})})
	q := run(t, f, tpm2.Quote{SignHandle: named(ak.ObjectHandle, ak.Name, tpm2.PasswordAuth(nil)),
		QualifyingData: tpm2.TPM2BData{Buffer: []byte("nonce")}, PCRSelect: selection(tpm2.TPMAlgSHA256, 4)})
	attest, err := q.Quoted.Contents()
	if err != nil {
		t.Fatal(err)
	}
	quote, err := attest.Attested.Quote()
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(readPCR(t, f, tpm2.TPMAlgSHA256, 4))
	if !bytes.Equal(quote.PCRDigest.Buffer, want[:]) || string(attest.ExtraData.Buffer) != "nonce" || attest.Magic != 0xff544347 {
		t.Errorf("quote %+v of %x", attest, quote.PCRDigest.Buffer)
	}
	public, _ := ak.OutPublic.Contents()
	point, _ := public.Unique.ECC()
	sig, _ := q.Signature.Signature.ECDSA()
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, point.X.Buffer, point.Y.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(q.Quoted.Bytes())
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer)) {
		t.Error("the quote's signature does not verify")
	}
}

func TestCredentialsActivateOnlyForTheirObject(t *testing.T) {
	f := newFixture(t)
	ek := run(t, f, tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.ECCEKTemplate)})
	ak, other := srk(t, f, tpm2.ECCSRKTemplate), srk(t, f, tpm2.RSASRKTemplate)
	made := run(t, f, tpm2.MakeCredential{Handle: ek.ObjectHandle, Credential: tpm2.TPM2BDigest{Buffer: []byte("challenge")}, ObjectName: ak.Name})
	activate := func(o *tpm2.CreatePrimaryResponse) tpm2.ActivateCredential {
		return tpm2.ActivateCredential{
			ActivateHandle: named(o.ObjectHandle, o.Name, tpm2.PasswordAuth(nil)),
			KeyHandle: named(ek.ObjectHandle, ek.Name, tpm2.Policy(tpm2.TPMAlgSHA256, 16,
				func(tp transportTPM, h tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
					_, err := tpm2.PolicySecret{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
						PolicySession: h, NonceTPM: nonce}.Execute(tp)
					return err
				})),
			CredentialBlob: made.CredentialBlob, Secret: made.Secret}
	}
	if got := run(t, f, activate(ak)); string(got.CertInfo.Buffer) != "challenge" {
		t.Errorf("credential %q", got.CertInfo.Buffer)
	}
	refused(t, f, 0x1df, activate(other))
}

func TestPersistentObjectsAndSessionsGoOnBetweenProcesses(t *testing.T) {
	f := newFixture(t)
	key := srk(t, f, tpm2.ECCSRKTemplate)
	run(t, f, tpm2.EvictControl{Auth: asOwner, ObjectHandle: &tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name},
		PersistentHandle: 0x81000001})
	session, end, err := tpm2.HMACSession(f, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		t.Fatal(err)
	}
	f.reopen(t)
	for _, h := range []tpm2.TPMHandle{0x81000001, key.ObjectHandle} {
		if got := run(t, f, tpm2.ReadPublic{ObjectHandle: h}); !bytes.Equal(got.Name.Buffer, key.Name.Buffer) {
			t.Errorf("%x has name %x", h, got.Name.Buffer)
		}
	}
	if _, err := (tpm2.GetRandom{BytesRequested: 4}).Execute(f, session); err == nil {
		t.Error("a session that neither audits nor encrypts was accepted")
	}
	if err := end(); err != nil {
		t.Errorf("the session is gone: %v", err)
	}
	f.TPM = crash(t, f)
	if got := run(t, f, tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(0x81000001)}); !bytes.Equal(got.Name.Buffer, key.Name.Buffer) {
		t.Errorf("after a crash the persistent key has name %x", got.Name.Buffer)
	}
	refused(t, f, 0x910, tpm2.ReadPublic{ObjectHandle: key.ObjectHandle})
}

func TestContextsLoadOnceForSessionsAndOftenForObjects(t *testing.T) {
	f := newFixture(t)
	key := srk(t, f, tpm2.ECCSRKTemplate)
	saved := run(t, f, tpm2.ContextSave{SaveHandle: key.ObjectHandle})
	flush(t, f, key.ObjectHandle)
	for range 2 {
		flush(t, f, run(t, f, tpm2.ContextLoad{Context: saved.Context}).LoadedHandle)
	}
	damaged := saved.Context
	damaged.ContextBlob.Buffer = bytes.Clone(damaged.ContextBlob.Buffer)
	damaged.ContextBlob.Buffer[len(damaged.ContextBlob.Buffer)-1] ^= 1
	refused(t, f, 0x1df, tpm2.ContextLoad{Context: damaged})

	session, _, err := tpm2.HMACSession(f, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, f, tpm2.ContextSave{SaveHandle: session.Handle()})
	run(t, f, tpm2.ContextLoad{Context: out.Context})
	refused(t, f, 0x1cb, tpm2.ContextLoad{Context: out.Context})
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	refused(t, f, 0x1df, tpm2.ContextLoad{Context: saved.Context})
}

// A resource manager saves and loads the context of a sequence between any two of its commands.
func TestAHashSequenceGoesOnFromItsContext(t *testing.T) {
	f := newFixture(t)
	h := run(t, f, tpm2.HashSequenceStart{HashAlg: tpm2.TPMAlgSHA256}).SequenceHandle
	swap := func() {
		saved := run(t, f, tpm2.ContextSave{SaveHandle: h})
		flush(t, f, h)
		h = run(t, f, tpm2.ContextLoad{Context: saved.Context}).LoadedHandle
	}
	swap()
	sequence := func() tpm2.AuthHandle { return named(h, tpm2.TPM2BName{}, tpm2.PasswordAuth(nil)) }
	run(t, f, tpm2.SequenceUpdate{SequenceHandle: sequence(), Buffer: tpm2.TPM2BMaxBuffer{Buffer: []byte("one, ")}})
	swap()
	done := run(t, f, tpm2.SequenceComplete{SequenceHandle: sequence(), Buffer: tpm2.TPM2BMaxBuffer{Buffer: []byte("two")}, Hierarchy: tpm2.TPMRHOwner})
	if want := sha256.Sum256([]byte("one, two")); !bytes.Equal(done.Result.Buffer, want[:]) {
		t.Errorf("digest %x, want %x", done.Result.Buffer, want)
	}
	if len(done.Validation.Digest.Buffer) == 0 {
		t.Error("no ticket for data that is safe to sign")
	}
}

// Whoever could foretell an ephemeral secret could compute the signing key from one ECDAA signature.
func TestEphemeralSecretsAreRandomInEveryProcess(t *testing.T) {
	ephemeral := func(random byte) string {
		f := newFixture(t, func(c *engine.Config) { c.Rand = &stream{[32]byte{random}} })
		f.reopen(t)
		res, err := f.Send([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x8e, 0, 3}) // TPM2_EC_Ephemeral of P-256
		if err != nil {
			t.Fatal(err)
		}
		return string(res)
	}
	if ephemeral(1) == ephemeral(101) {
		t.Error("two TPMs have the same ephemeral key")
	}
}
