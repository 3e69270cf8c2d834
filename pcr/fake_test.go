package pcr_test

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// fakeTPM knows PCR_Read, PCR_Extend, PCR_Reset and TPM_CAP_PCRS, and can be made to misbehave.
type fakeTPM struct {
	values   *pcr.Values
	off      []pcr.Bank // known and switched off
	counter  uint32
	commands int
	onRead   func()                // before each PCR_Read
	twist    func(r *fakeAnswer)   // changes an answer to PCR_Read
	refuse   map[tpm2.TPMCC]uint32 // response code by command
}

type fakeAnswer struct {
	selection pcr.Selection
	digests   []tpm2.TPM2BDigest
}

// newFake has all 24 PCRs at their reset values.
func newFake(banks ...pcr.Bank) *fakeTPM {
	f := &fakeTPM{values: &pcr.Values{}, counter: 40}
	for _, bank := range banks {
		for n := range pcr.Count {
			f.values.Set(bank, n, eventlog.ResetValue(bank, n))
		}
	}
	return f
}

func (f *fakeTPM) Send(cmd []byte) ([]byte, error) {
	f.commands++
	r := wire.BE(cmd)
	tag, _, code := r.U16(), r.U32(), tpm2.TPMCC(r.U32())
	if rc := f.refuse[code]; rc != 0 {
		return answer(tpm2.TPMSTNoSessions, rc, nil), nil
	}
	switch code {
	case tpm2.TPMCCGetCapability:
		return answer(tpm2.TPMSTNoSessions, 0, f.capability()), nil
	case tpm2.TPMCCPCRRead:
		return answer(tpm2.TPMSTNoSessions, 0, f.read(r)), nil
	}
	n := int(r.U32())
	r.Sized32() // the auth area
	switch code {
	case tpm2.TPMCCPCRExtend:
		for range r.U32() {
			bank := pcr.Bank(r.U16())
			f.extend(bank, n, r.Bytes(bank.Size()))
		}
	case tpm2.TPMCCPCRReset:
		if n != 16 && n != 23 {
			return answer(tpm2.TPMSTNoSessions, uint32(tpm2.TPMRCLocality), nil), nil
		}
		for _, b := range f.values.Banks {
			f.values.Set(b.Bank, n, make([]byte, b.Bank.Size()))
		}
	}
	return answer(tpm2.TPMST(tag), 0, wire.NewBE().U32(0).Bytes([]byte{0, 0, 1, 0, 0}).Out()), nil
}

func answer(tag tpm2.TPMST, rc uint32, body []byte) []byte {
	return wire.NewBE().U16(uint16(tag)).U32(uint32(10 + len(body))).U32(rc).Bytes(body).Out()
}

func (f *fakeTPM) extend(bank pcr.Bank, n int, digest []byte) {
	f.values.Set(bank, n, bank.Sum(f.values.Get(bank, n), digest))
	f.counter++
}

func (f *fakeTPM) banks() pcr.Selection {
	banks := f.values.Selection()
	for _, b := range f.off {
		banks = append(banks, pcr.BankSelection{Bank: b})
	}
	return banks
}

func (f *fakeTPM) capability() []byte {
	return wire.NewBE().U8(0).U32(uint32(tpm2.TPMCapPCRs)).Bytes(tpm2.Marshal(f.banks().TPM(pcr.Count))).Out()
}

// read answers with the first eight values that were asked for, as TPMs do.
func (f *fakeTPM) read(r *wire.Reader) []byte {
	if f.onRead != nil {
		f.onRead()
	}
	list, err := tpm2.Unmarshal[tpm2.TPMLPCRSelection](r.Rest())
	if err != nil {
		panic(err)
	}
	asked, err := pcr.FromTPM(*list)
	if err != nil {
		panic(err)
	}
	var a fakeAnswer
	for _, b := range asked {
		for n := range b.PCRs.Each() {
			if v := f.values.Get(b.Bank, n); v != nil && len(a.digests) < 8 {
				a.selection = a.selection.With(b.Bank, pcr.SetOf(n))
				a.digests = append(a.digests, tpm2.TPM2BDigest{Buffer: v})
			}
		}
	}
	if f.twist != nil {
		f.twist(&a)
	}
	return wire.NewBE().U32(f.counter).Bytes(tpm2.Marshal(a.selection.TPM(pcr.Count))).
		Bytes(tpm2.Marshal(tpm2.TPMLDigest{Digests: a.digests})).Out()
}

func mustSelect(t testing.TB, text string) pcr.Selection {
	t.Helper()
	s, err := pcr.ParseSelection(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pattern are values that differ from one another.
func pattern(t testing.TB, selection string) *pcr.Values {
	v := &pcr.Values{}
	for _, b := range mustSelect(t, selection) {
		for n := range b.PCRs.Each() {
			v.Set(b.Bank, n, bytes.Repeat([]byte{byte(n + 1)}, b.Bank.Size()))
		}
	}
	return v
}
