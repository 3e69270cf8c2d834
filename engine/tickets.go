package engine

import (
	"crypto/hmac"
	"encoding/binary"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// safeToSign tells whether data cannot be taken for a structure that the TPM made: it does not begin with
// TPM_GENERATED_VALUE. Data too short to tell is not safe.
func safeToSign(data []byte) bool {
	return len(data) >= 4 && binary.BigEndian.Uint32(data) != generatedValue
}

// ticket makes a ticket of a hierarchy: an HMAC, keyed by its proof, of the tag and what the ticket is about. In the null
// hierarchy, tickets are empty.
func (t *TPM) ticket(tag uint16, root handle, about ...[]byte) ticket {
	if root == rhNull && tag != stHashCheck && tag != stCreation {
		return ticket{Tag: tag, Hierarchy: rhNull}
	}
	return ticket{tag, root, t.ticketDigest(tag, root, about...)}
}

func (t *TPM) ticketDigest(tag uint16, root handle, about ...[]byte) []byte {
	data := binary.BigEndian.AppendUint16(nil, tag)
	for _, b := range about {
		data = append(data, sized(b)...)
	}
	return crypt.HMAC(contextHash, t.hierarchyOf(root).Proof, data)
}

// genuine tells whether the TPM made the ticket about this.
func (t *TPM) genuine(k *ticket, about ...[]byte) bool {
	return hmac.Equal(k.Digest, t.ticketDigest(k.Tag, k.Hierarchy, about...))
}

// be16 and be64 are the bytes of a number, for what is hashed.
func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// cat joins byte strings.
func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }
