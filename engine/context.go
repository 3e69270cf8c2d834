package engine

import (
	"encoding/binary"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// Saved handles of object contexts (part 2, 14.6.2).
const (
	savedObject   handle = 0x80000000
	savedSequence handle = 0x80000001
	savedStClear  handle = 0x80000002
)

type contextSaveIn struct {
	Handle handle `tpm:"context"`
}

type contextSaveOut struct{ Context savedContext }

// contextSave is TPM2_ContextSave. An object stays loaded; a session leaves the TPM but for its number.
func (t *TPM) contextSave(in *contextSaveIn) (*contextSaveOut, error) {
	s := savedContext{Handle: savedObject, Hierarchy: rhNull}
	var body []byte
	if in.Handle.isSession() {
		if err := t.roomForSavedSession(); err != nil {
			return nil, err
		}
		session := t.sessions[in.Handle]
		t.ram.SessionCounter++
		s.Sequence, s.Handle = t.ram.SessionCounter, in.Handle
		body = marshal(session)
	} else {
		o := t.object(in.Handle)
		t.ram.ObjectContexts++
		s.Sequence, s.Hierarchy = t.ram.ObjectContexts, o.Hierarchy
		switch {
		case o.Seq != nil:
			s.Handle = savedSequence
		case o.StClear:
			s.Handle = savedStClear
		}
		body = marshal(o)
	}
	// The name never comes again, so that the key serves but once, unless a snapshot of the whole TPM was restored.
	iv, err := t.random(crypt.BlockSize)
	if err != nil {
		return nil, err
	}
	blob, err := t.contextWrapper(&s).seal(t.contextName(&s), iv, body)
	if err != nil {
		return nil, err
	}
	if len(blob) > maxContextBlob {
		return nil, rcTooManyContexts
	}
	s.Blob = blob
	if in.Handle.isSession() {
		t.ram.SavedSessions = append(t.ram.SavedSessions, savedSession{in.Handle, s.Sequence})
		delete(t.sessions, in.Handle)
	}
	return &contextSaveOut{s}, nil
}

// roomForSavedSession fails when the oldest saved session is too far behind: it must be loaded or flushed first.
func (t *TPM) roomForSavedSession() error {
	for _, s := range t.ram.SavedSessions {
		if t.ram.SessionCounter-s.Number >= contextGap {
			return rcContextGap
		}
	}
	return nil
}

type contextLoadIn struct{ Context savedContext }

type contextLoadOut struct{ Handle handle }

// contextLoad is TPM2_ContextLoad.
func (t *TPM) contextLoad(in *contextLoadIn) (*contextLoadOut, error) {
	s := &in.Context
	if s.Handle.isSession() && !t.inRange(s.Handle) || s.Handle.kind() == htTransient && s.Handle > savedStClear {
		return nil, rcValue.param(1)
	}
	if !t.hierarchyOf(s.Hierarchy).Enabled {
		return nil, rcHierarchy.param(1)
	}
	if s.Handle.kind() != htTransient {
		return t.loadSession(s)
	}
	body, err := t.openContext(s)
	if err != nil {
		return nil, err
	}
	o := new(object)
	if err := unmarshal(body, o); err != nil {
		return nil, rcIntegrity.param(1)
	}
	o.Handle = 0
	h, err := t.load(o)
	return &contextLoadOut{h}, err
}

// loadSession brings a saved session back: the newest context of that session, and only once.
func (t *TPM) loadSession(s *savedContext) (*contextLoadOut, error) {
	body, err := t.openContext(s)
	if err != nil {
		return nil, err
	}
	i := t.savedSession(s.Handle)
	if i < 0 || t.ram.SavedSessions[i].Number != s.Sequence {
		return nil, rcHandle.param(1)
	}
	if len(t.sessions) >= t.profile.Loaded {
		return nil, rcSessionMemory
	}
	session := new(session)
	if err := unmarshal(body, session); err != nil {
		return nil, rcIntegrity.param(1)
	}
	t.ram.SavedSessions = slices.Delete(t.ram.SavedSessions, i, i+1)
	t.sessions[s.Handle] = session
	return &contextLoadOut{s.Handle}, nil
}

// openContext unwraps a context. What cannot be an HMAC is refused as the reference does: without a word on the parameter when it
// does not decode.
func (t *TPM) openContext(s *savedContext) ([]byte, error) {
	const fingerprint = 8 // of the reference's contexts: the least there is to protect
	mac, body, err := splitMAC(s.Blob)
	switch {
	case err != nil:
		return nil, err
	case len(mac) != crypt.HashSize(contextHash) || len(body) <= fingerprint:
		return nil, rcSize.param(1)
	}
	if body, err = t.contextWrapper(s).open(t.contextName(s), s.Blob, true); err != nil {
		return nil, atParam(err, 1)
	}
	return body, nil
}

// contextWrapper protects contexts under the proof of their hierarchy: a Clear, which replaces the proof, voids them.
func (t *TPM) contextWrapper(s *savedContext) *wrapper {
	return newWrapper(contextHash, symDef{crypt.AlgAES, 256, crypt.AlgCFB}, t.hierarchyOf(s.Hierarchy).Proof)
}

// contextName binds a context to all that must not change under it (part 1, 30.3): where it belongs, and the resets that
// end it. A TPM Reset changes the proof of the null hierarchy and so ends sessions; objects of other hierarchies end
// by the reset counter, those with stClear by a TPM Restart too.
func (t *TPM) contextName(s *savedContext) []byte {
	name := binary.BigEndian.AppendUint32(be64(s.Sequence), uint32(s.Handle))
	name = be64To(name, t.nv.TotalResetCount)
	if s.Handle == savedStClear {
		name = binary.BigEndian.AppendUint32(name, t.ram.ClearCount)
	}
	return name
}

func be64To(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }
