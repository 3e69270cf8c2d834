package tpm_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

// shortened cuts every answer after so many bytes, and makes its header say so.
type shortened struct {
	tpm.Sender
	keep, had int
}

func (s *shortened) Send(command []byte) ([]byte, error) {
	rsp, err := s.Sender.Send(command)
	s.had = len(rsp)
	rsp = rsp[:min(s.keep, len(rsp))]
	binary.BigEndian.PutUint32(rsp[2:], uint32(len(rsp)))
	return rsp, err
}

func TestAnAnswerThatIsCutOffIsAnErrorWhereverItEnds(t *testing.T) {
	const header = 10
	conn := tpmtest.Engine(t, tpm.Options{})
	pcrs := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{3, 0, 0}}}}
	for name, ask := range map[string]func(tpm.Sender) error{
		"ReadClock": func(s tpm.Sender) error { _, err := tpm.ReadClock(s); return err },
		"ReadPCRs":  func(s tpm.Sender) error { _, err := tpm.ReadPCRs(s, pcrs); return err },
		"PCRBanks":  func(s tpm.Sender) error { _, err := tpm.PCRBanks(s); return err },
		"HashForSigning": func(s tpm.Sender) error {
			_, _, err := tpm.HashForSigning(s, tpm2.TPMAlgSHA256, []byte("text"))
			return err
		},
	} {
		whole := &shortened{conn, 1 << 20, 0}
		if err := ask(whole); err != nil || whole.had <= header {
			t.Errorf("%s: %d bytes, %v", name, whole.had, err)
		}
		for n := header; n < whole.had; n++ {
			if err := ask(&shortened{conn, n, 0}); fail.KindOf(err) != fail.Failed {
				t.Errorf("%s, %d of %d bytes: %v", name, n, whole.had, err)
			}
		}
	}
}
