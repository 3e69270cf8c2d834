package engine_test

import (
	"encoding/binary"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// transportTPM is what policy callbacks get.
type transportTPM = transport.TPM

// command builds one that go-tpm does not know: a handle authorized by an empty password, and parameters.
func command(cc, handle uint32, params ...byte) []byte {
	be := binary.BigEndian.AppendUint32
	body := slices.Concat(be(be(nil, cc), handle), be(nil, 9), be(nil, 0x40000009), []byte{0, 0, 1, 0, 0}, params)
	return slices.Concat([]byte{0x80, 2}, be(nil, uint32(len(body)+6)), body)
}

// tpmaNV is short for the attributes of an NV index.
type tpmaNV = tpm2.TPMANV

var startUpClear = tpm2.Startup{StartupType: tpm2.TPMSUClear}
