package engine

import "github.com/vtpmctl/vtpmctl/engine/internal/crypt"

// commits is the state of TPM2_Commit and TPM2_EC_Ephemeral: a secret that makes the ephemeral keys, a counter, and which
// of the last counts are still to be used.
type commits struct {
	Nonce   []byte
	Counter uint64
	Open    [commitWindow / 8]byte
}

// commitWindow is how many ephemeral keys may wait for their use.
const commitWindow = 128

func (m *commits) code(c *coder) {
	c.sized(&m.Nonce, maxDigest)
	c.u64(&m.Counter)
	for i := range m.Open {
		c.u8(&m.Open[i])
	}
}

// beginCommit makes the next ephemeral secret for a key's name and curve, and the count to find it by.
func (t *TPM) beginCommit(curve *crypt.Curve, name []byte) (secret []byte, count uint16, err error) {
	m := &t.ram.Commits
	if len(m.Nonce) == 0 {
		if m.Nonce, err = t.random(maxDigest); err != nil {
			return nil, 0, err
		}
	}
	n := m.Counter
	m.Open[n%commitWindow/8] |= 1 << (n % 8)
	m.Counter++
	return curve.CommitScalar(m.Nonce, name, n), uint16(n), nil
}

// findCommit gives an open ephemeral secret again.
func (t *TPM) findCommit(curve *crypt.Curve, name []byte, count uint16) ([]byte, error) {
	m := &t.ram.Commits
	n := m.Counter&^0xffff | uint64(count)
	if n >= m.Counter && n >= 1<<16 {
		n -= 1 << 16
	}
	if n >= m.Counter || m.Counter-n > commitWindow || m.Open[n%commitWindow/8]>>(n%8)&1 == 0 {
		return nil, rcValue
	}
	return curve.CommitScalar(m.Nonce, name, n), nil
}

// endCommit closes an ephemeral secret: it served.
func (t *TPM) endCommit(count uint16) {
	t.ram.Commits.Open[count%commitWindow/8] &^= 1 << (count % 8)
}
