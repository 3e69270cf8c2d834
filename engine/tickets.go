package engine

import "encoding/binary"

// safeToSign tells whether data cannot be taken for a structure that the TPM made: it does not begin with
// TPM_GENERATED_VALUE. What is shorter than that value could not be one either, but the reference says no to it.
func safeToSign(data []byte) bool {
	return len(data) >= 4 && binary.BigEndian.Uint32(data) != generatedValue
}
