package engine

import "bytes"

// keyedStore is a Store that can protect what leaves the TPM as it protects the state.
type keyedStore interface {
	// seal encrypts a blob. Unless it is to be portable, so does a key that is only beside the state.
	seal(blob []byte, portable bool) (sealed []byte, err error)
	// unseal is its inverse. What was never sealed comes back as it is.
	unseal(blob []byte) ([]byte, error)
}

// Snapshot returns the whole TPM as it runs, with its sessions and transient objects, for saving a virtual machine. A Store
// that encrypts the state encrypts the snapshot, and only a Store with the same key takes it up. When that key was never
// given by anybody, because it lies beside the state, a portable snapshot is left in the clear, with every secret in it.
func (t *TPM) Snapshot(portable bool) (snapshot []byte, sealed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil {
		return nil, false, ErrClosed
	}
	t.advance()
	snapshot, _ = t.encode(nil, true, t.fleets())
	if k, ok := t.store.(keyedStore); ok {
		bare := snapshot
		snapshot, err = k.seal(bare, portable)
		return snapshot, !bytes.Equal(snapshot, bare), err
	}
	return snapshot, false, nil
}

// Restore makes the TPM what it was when the snapshot was taken, and saves that. It takes counters, failed attempts and
// sessions back with it: only who may roll back the whole virtual machine may call it. A snapshot that cannot be read
// changes nothing.
func (t *TPM) Restore(snapshot []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil {
		return ErrClosed
	}
	if k, ok := t.store.(keyedStore); ok {
		var err error
		if snapshot, err = k.unseal(snapshot); err != nil {
			return err
		}
	}
	was, err := t.stateOf(snapshot)
	if err != nil {
		return err
	}
	t.nv, t.ram, t.clocks, t.stamp, t.safeAt, t.started = was.nv, was.ram, was.clocks, was.stamp, was.safeAt, was.started
	t.objects, t.sessions, t.exclusive = was.objects, was.sessions, was.exclusive
	t.measuring, t.hcrtm, t.failed, t.saved, t.primaries = nil, nil, nil, nil, nil
	return t.commit()
}

// stateOf reads a state apart from that of the TPM, whose limits it has.
func (t *TPM) stateOf(blob []byte) (*TPM, error) {
	was := &TPM{profile: t.profile, ram: newPowered()}
	was.clearFleeting()
	return was, was.decodeState(blob)
}
