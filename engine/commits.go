package engine

// commits is the state of TPM2_Commit and TPM2_EC_Ephemeral: a random value that makes the ephemeral keys, a counter,
// and which of the last counts are still to be used.
type commits struct {
	Nonce   []byte
	Counter uint64
	Open    [16]byte // a bit for each of the last 128 counts
}

func (m *commits) code(c *coder) {
	c.sized(&m.Nonce, maxDigest)
	c.u64(&m.Counter)
	for i := range m.Open {
		c.u8(&m.Open[i])
	}
}
