package tpm

import (
	"errors"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// CommandError is a TPM's refusal together with the command it refused. errors.Is(err, tpm2.TPMRCPolicyFail) sees
// through it, whatever position the code carries.
type CommandError struct {
	Command tpm2.TPMCC
	Code    tpm2.TPMRC
}

// Error are the TPM's own words: "TPM2_Unseal: TPM_RC_POLICY_FAIL (0x99d, session 1)".
func (e *CommandError) Error() string {
	return CommandName(e.Command) + ": " + Explain(e.Command, e.Code).Words()
}

func (e *CommandError) Unwrap() error { return e.Code }

// FailKind makes *CommandError a fail.Classified error.
func (e *CommandError) FailKind() fail.Kind { return Explain(e.Command, e.Code).Kind }

// FailHints makes *CommandError a fail.Classified error.
func (e *CommandError) FailHints() []string { return Explain(e.Command, e.Code).Hints }

// annotated says what the code means where go-tpm's text of it stood, and adds the TPM's words to the tree. The caller's
// classification, if any, goes first.
type annotated struct {
	message string
	err     error
	tpm     *CommandError
}

func (e *annotated) Error() string { return e.message }

func (e *annotated) Unwrap() []error { return []error{e.err, e.tpm} }

// Annotate makes an error that came of sending commands through s fit to be shown: the response code in it is put into
// words, and a *CommandError in its tree names the command. go-tpm returns a bare code, sometimes after further commands
// that cleaned up. An error without a code, or one that is annotated already, is returned as it is.
func Annotate(s Sender, err error) error {
	m, remembers := s.(interface {
		refused(tpm2.TPMRC) (tpm2.TPMCC, bool)
	})
	rc, isRC := errors.AsType[tpm2.TPMRC](err)
	if _, done := errors.AsType[*CommandError](err); done || !isRC || !remembers {
		return err
	}
	cc, ok := m.refused(rc)
	if !ok {
		return err
	}
	message := strings.ReplaceAll(err.Error(), rc.Error(), Explain(cc, rc).Means)
	return &annotated{message, err, &CommandError{Command: cc, Code: rc}}
}

// MadeElsewhere tells whether TPM2_Load refused a private part that this TPM did not make, or not since it was cleared: its
// integrity value is wrong, or already its size, because TPMs of other makers lay such parts out in other ways.
func MadeElsewhere(err error) bool {
	return errors.Is(err, tpm2.TPMRCIntegrity) || errors.Is(err, tpm2.TPMRCSize)
}

// refusals remembers, for each response code that came back, the last command it answered.
type refusals map[tpm2.TPMRC]tpm2.TPMCC

func (r refusals) layer(next Sender) Sender {
	return senderFunc(func(cmd []byte) ([]byte, error) {
		rsp, err := next.Send(cmd)
		if err == nil && len(rsp) >= headerSize && responseCode(rsp) != tpm2.TPMRCSuccess {
			r[responseCode(rsp)] = parseCommand(cmd).code
		}
		return rsp, err
	})
}

func (r refusals) refused(rc tpm2.TPMRC) (tpm2.TPMCC, bool) {
	cc, ok := r[rc]
	return cc, ok
}
