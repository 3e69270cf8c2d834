package engine

// Snapshot returns the whole TPM as it runs, with its sessions and transient objects, for saving a virtual machine. It
// holds every secret in the clear.
func (t *TPM) Snapshot() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil {
		return nil, ErrClosed
	}
	t.advance()
	return t.layout(t.lasting(true), t.fleets()), nil
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
	was := &TPM{profile: t.profile, ram: newPowered()}
	was.clearFleeting()
	if err := was.decodeState(snapshot); err != nil {
		return err
	}
	t.nv, t.ram, t.clocks, t.stamp, t.started = was.nv, was.ram, was.clocks, was.stamp, was.started
	t.objects, t.sessions, t.exclusive = was.objects, was.sessions, was.exclusive
	t.measuring, t.hcrtm, t.failed, t.saved, t.primaries = nil, nil, nil, nil, nil
	return t.commit()
}
