package tpm

import (
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// headerSize is the size of a command's and of a response's header: tag, size, code (part 1, section 18.2 and 18.3).
const headerSize = 10

// maxMessage bounds a response. TPMs answer in at most 4096 bytes; swtpm and newer kernels leave room for more.
const maxMessage = 16 << 10

// responseCode is the code of a response that checkResponse has accepted.
func responseCode(rsp []byte) tpm2.TPMRC { return tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:])) }

// checkResponse refuses what cannot be a TPM 2.0 response: everything above this line may rely on a whole header. The
// command may have taken effect all the same, and the errors say no more than that the answer is unusable.
func checkResponse(rsp []byte) error {
	if len(rsp) < headerSize {
		return fail.E(fail.Failed, "the TPM's answer is cut off: %d bytes, a header has %d", len(rsp), headerSize)
	}
	tag, size := tpm2.TPMST(binary.BigEndian.Uint16(rsp)), binary.BigEndian.Uint32(rsp[2:])
	switch {
	case tag == tpm2.TPMSTRspCommand: // the one code a TPM 2.0 sends under the old tag is TPM_RC_BAD_TAG
		return fail.E(fail.Unsupported, "this is a TPM 1.2: it answers with tag 0x%04x", uint16(tag)).
			Hint("give the machine a TPM 2.0; in a hypervisor choose the CRB or TIS interface with version 2.0")
	case tag != tpm2.TPMSTNoSessions && tag != tpm2.TPMSTSessions:
		return fail.E(fail.Failed, "what answers is not a TPM: its answer starts with 0x%04x", uint16(tag)).
			Hint("check the target: swtpm needs its data port (not --ctrl), mssim the command port")
	case uint64(size) != uint64(len(rsp)):
		return fail.E(fail.Failed, "the TPM's answer has %d bytes and claims %d", len(rsp), size)
	}
	return nil
}
