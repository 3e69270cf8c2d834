package quote_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/quote"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// forgery is a quote as an attacker with a key of its own could make it: every part can be wrong on its own.
type forgery struct {
	key        crypto.PrivateKey
	attributes quote.Attributes
	sigAlg     tpm2.TPMAlgID
	hash       eventlog.Alg
	withID     bool // an SM2 signature with Z_A

	magic     uint32
	kind      tpm2.TPMST
	nonce     []byte
	selection pcr.Selection // quoted
	signed    *pcr.Values   // the values the TPM hashed
	safe      bool

	shown  *pcr.Values // the values the evidence shows
	log    []byte
	origin tpm.Origin
	parent quote.Parent
}

// noon is when all evidence was made.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const good = quote.Restricted | quote.Sign | quote.FixedTPM | quote.FixedParent | quote.SensitiveDataOrigin | quote.UserWithAuth

// genuine is a quote in which nothing is wrong, over the PCRs of a synthetic boot.
func genuine(t *testing.T) *forgery {
	t.Helper()
	machine := synth.Default()
	boot := synth.ShimGRUB(machine)
	return &forgery{
		key: p256(t), attributes: good, sigAlg: tpm2.TPMAlgECDSA, hash: eventlog.SHA256,
		magic: uint32(tpm2.TPMGeneratedValue), kind: tpm2.TPMSTAttestQuote, nonce: []byte("a nonce of sixteen or more"),
		selection: both(pcr.All), signed: pcrsOf(boot), shown: pcrsOf(boot), safe: true, log: boot.Log,
		origin: tpm.Origin{Target: "dev:/dev/tpmrm0"}, parent: quote.UnderEK,
	}
}

func both(set pcr.Set) pcr.Selection {
	return pcr.Selection{{Bank: eventlog.SHA1, PCRs: set}, {Bank: eventlog.SHA256, PCRs: set}}
}

// pcrsOf are all PCRs after a boot.
func pcrsOf(boot *synth.Recording) *pcr.Values {
	v := &pcr.Values{}
	for _, bank := range []eventlog.Alg{eventlog.SHA1, eventlog.SHA256} {
		after := boot.PCRs(bank)
		for n := range pcr.Count {
			value := after[n]
			if value == nil {
				value = eventlog.ResetValue(bank, n)
			}
			v.Set(bank, n, value)
		}
	}
	return v
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// public writes a TPMT_PUBLIC by hand.
func (f *forgery) public() []byte {
	w := wire.NewBE()
	head := func(kind tpm2.TPMAlgID) {
		w.U16(uint16(kind)).U16(uint16(tpm2.TPMAlgSHA256)).U32(uint32(f.attributes)).U16(0)
		w.U16(uint16(tpm2.TPMAlgNull)).U16(uint16(f.sigAlg)).U16(uint16(f.hash))
	}
	switch k := f.key.(type) {
	case *ecdsa.PrivateKey:
		head(tpm2.TPMAlgECC)
		curve := map[elliptic.Curve]tpm2.TPMECCCurve{
			elliptic.P256(): tpm2.TPMECCNistP256, elliptic.P384(): tpm2.TPMECCNistP384, sm2.P256(): tpm2.TPMECCSM2P256,
		}[k.Curve]
		w.U16(uint16(curve)).U16(uint16(tpm2.TPMAlgNull)).Sized16(k.X.Bytes()).Sized16(k.Y.Bytes())
	case *rsa.PrivateKey:
		head(tpm2.TPMAlgRSA)
		w.U16(uint16(k.N.BitLen())).U32(0).Sized16(k.N.Bytes())
	}
	return w.Out()
}

// message writes a TPMS_ATTEST by hand.
func (f *forgery) message() []byte {
	w := wire.NewBE().U32(f.magic).U16(uint16(f.kind)).Sized16([]byte("qualified name")).Sized16(f.nonce)
	safe := byte(0)
	if f.safe {
		safe = 1
	}
	w.U64(86_400_000).U32(7).U32(2).U8(safe).U64(0x2024_0101_0000_0001)
	if f.kind != tpm2.TPMSTAttestQuote {
		return w.Sized16([]byte("name")).Sized16([]byte("qualified name of another key")).Out() // TPMS_CERTIFY_INFO
	}
	w.U32(uint32(len(f.selection)))
	h := f.hash.New()
	for _, b := range f.selection {
		w.U16(uint16(b.Bank)).U8(3).U8(byte(b.PCRs)).U8(byte(b.PCRs >> 8)).U8(byte(b.PCRs >> 16))
		for n := range b.PCRs.Each() {
			h.Write(f.signed.Get(b.Bank, n))
		}
	}
	return w.Sized16(h.Sum(nil)).Out()
}

// sign writes a TPMT_SIGNATURE by hand.
func (f *forgery) sign(t *testing.T, message []byte) []byte {
	t.Helper()
	w := wire.NewBE().U16(uint16(f.sigAlg)).U16(uint16(f.hash))
	digest := f.hash.Sum(message)
	var r, s *big.Int
	var sig []byte
	var err error
	switch k := f.key.(type) {
	case *rsa.PrivateKey:
		hash := map[eventlog.Alg]crypto.Hash{eventlog.SHA1: crypto.SHA1, eventlog.SHA256: crypto.SHA256}[f.hash]
		if f.sigAlg == tpm2.TPMAlgRSAPSS {
			sig, err = rsa.SignPSS(rand.Reader, k, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, k, hash, digest)
		}
		w.Sized16(sig)
	case *ecdsa.PrivateKey:
		switch {
		case k.Curve != sm2.P256():
			r, s, err = ecdsa.Sign(rand.Reader, k, digest)
		case f.withID:
			r, s, err = sm2.SignWithSM2(rand.Reader, k, []byte("1234567812345678"), message)
		default:
			r, s, err = sm2.Sign(rand.Reader, k, digest)
		}
		if err == nil {
			w.Sized16(r.Bytes()).Sized16(s.Bytes())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return w.Out()
}

// file is the evidence file.
func (f *forgery) file(t *testing.T) []byte {
	t.Helper()
	message := f.message()
	e := &quote.Evidence{
		Message: message, Signature: f.sign(t, message), Values: *f.shown,
		AK: quote.AK{Public: f.public(), Parent: f.parent},
	}
	if f.log != nil {
		e.Logs = []quote.Log{{Source: "test", Data: f.log}}
	}
	e.Stamp(noon, f.origin)
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// pin is what a verifier knows who trusts the key.
func (f *forgery) pin(t *testing.T) *quote.Pin {
	t.Helper()
	p, err := quote.ParsePin(f.public())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// expect is what a careful verifier asks of a genuine quote.
func (f *forgery) expect(t *testing.T) quote.Expect {
	t.Helper()
	return quote.Expect{
		Nonce: f.nonce, Key: f.pin(t), Selection: both(pcr.All), Values: pcrsOf(synth.ShimGRUB(synth.Default())), NeedLog: true,
	}
}
