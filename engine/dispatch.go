package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// execution is a command in progress, as the checks of authorization see it.
type execution struct {
	*command
	tag      uint16
	handles  []handle
	names    [][]byte // of the handles, if something will hash them
	sessions []*authorization
	params   []byte
	cpHashes map[uint16][]byte
	out      wire.Writer // the response
	answered int         // where its parameters begin
	flush    []handle    // objects that end with the command
	stores   bool        // this time it changes what is stored, against its flagFleeting

	in    wire.Reader
	coder coder // of the parameters
}

// memory is what all commands of a TPM run in, one after the other: a short one takes little longer than a few allocations.
type memory struct {
	execution      execution
	handles        [3]handle
	sessions       [maxSessions]*authorization
	authorizations [maxSessions]authorization
	frames         [ccLast - ccFirst + 1]*frame // by command code
}

// headerSize is that of every command and response: tag, size, code.
const headerSize = 10

// execute runs one command. Whatever happens, the answer is a well-formed response.
func (t *TPM) execute(cmd []byte) (res []byte) {
	defer func() {
		t.cmd = nil
		if p := recover(); p != nil {
			t.failed = fmt.Errorf("engine: %v", p)
			res = refusal(rcFailure)
		}
	}()
	res, err := t.dispatch(cmd)
	if err == nil {
		return res
	}
	code, ok := errors.AsType[rc](err)
	if !ok {
		t.failed = err
		code = rcFailure
	}
	return refusal(code)
}

// refusal is the response of a command that did not succeed. Even a command of TPM 1.2 gets a header of TPM 2.0: firmware
// that probes with one takes a header of its own kind for a TPM 1.2.
func refusal(code rc) []byte {
	return wire.NewBE().U16(stNoSessions).U32(headerSize).U32(uint32(code)).Out()
}

// dispatch checks a command in the order of part 1, 18.2 and runs it.
func (t *TPM) dispatch(cmd []byte) ([]byte, error) {
	x, err := t.header(cmd)
	if err != nil {
		return nil, err
	}
	t.cmd = x
	if err := t.readHandles(x); err != nil {
		return nil, err
	}
	if x.tag == stSessions {
		if err := t.readSessions(x); err != nil {
			return nil, err
		}
	} else if x.needAuth > 0 {
		return nil, rcAuthMissing
	}
	t.nameHandles(x)
	x.params = x.in.Rest()
	before := t.nv.Orderly
	if err := t.authorize(x); err != nil {
		return nil, err
	}
	if err := x.run(t); err != nil {
		return nil, err
	}
	if x.flags&flagPure == 0 && x.cc != ccShutdown && before != orderlyNone {
		t.nv.Orderly = orderlyNone // the saved state is out of date
	}
	t.unchanged = t.leavesStored(x) && before == t.nv.Orderly && !t.audits(x)
	res, err := t.respond(x)
	for _, h := range x.flush {
		t.objects[h&0xffffff] = nil
	}
	return res, err
}

// leavesStored tells whether a command that succeeded left all that is stored as it was.
func (t *TPM) leavesStored(x *execution) bool {
	switch {
	case x.stores:
		return false
	case x.flags&flagFleeting != 0, x.flags&flagPure != 0 && x.tag == stNoSessions:
		return true
	}
	return x.flags&flagPowered != 0 && !t.keepsPower()
}

// header reads the fixed start of a command and finds its row in the table.
func (t *TPM) header(cmd []byte) (*execution, error) {
	x := &t.memory.execution
	out := append(x.out.Out()[:0], make([]byte, headerSize)...)
	*x = execution{}
	x.in, x.out = *wire.BE(cmd), *wire.AppendBE(out)
	tag := x.in.U16()
	if x.in.Err() != nil {
		return nil, rcInsufficient
	}
	if tag != stNoSessions && tag != stSessions {
		return nil, rcBadTag
	}
	size, cc := x.in.U32(), x.in.U32()
	if x.in.Err() != nil {
		return nil, rcInsufficient
	}
	if int64(size) != int64(len(cmd)) || len(cmd) > maxCommandSize {
		return nil, rcCommandSize
	}
	if t.failed != nil && cc != ccGetTestResult && cc != ccGetCapability {
		return nil, rcFailure
	}
	if x.command = findCommand(cc); x.command == nil {
		return nil, rcCommandCode
	}
	if t.started == (cc == ccStartup) {
		return nil, rcInitialize
	}
	x.tag, x.handles, x.sessions = tag, t.memory.handles[:0], t.memory.sessions[:0]
	return x, nil
}

// readHandles reads the handle area and checks that each handle may stand in its place, then that it exists.
func (t *TPM) readHandles(x *execution) error {
	for i, spec := range x.command.handles {
		h := handle(x.in.U32())
		if x.in.Err() != nil {
			return rcInsufficient.handle(i + 1)
		}
		if !spec.accepts(h) || !t.inRange(h) {
			return rcValue.handle(i + 1)
		}
		x.handles = append(x.handles, h)
	}
	for i, h := range x.handles {
		if err := t.checkPresent(h); err != rcSuccess {
			if err == rcReferenceH0 {
				return err + rc(i)
			}
			return err.handle(i + 1)
		}
	}
	return nil
}

// nameHandles notes the names of the handles as they are before the command, if a session or the command audit will hash them.
func (t *TPM) nameHandles(x *execution) {
	if !slices.ContainsFunc(x.sessions, func(a *authorization) bool { return a.s != nil }) && !t.audits(x) {
		return
	}
	for _, h := range x.handles {
		x.names = append(x.names, t.nameOfEntity(h))
	}
}

// inRange tells whether a handle could ever exist: transient objects and sessions are numbered by their slots.
func (t *TPM) inRange(h handle) bool {
	switch h.kind() {
	case htTransient:
		return int(h&0xffffff) < t.profile.Transient
	case htHMACSession, htPolicySession:
		return int(h&0xffffff) < t.profile.Sessions
	}
	return true
}

// checkPresent tells why a handle cannot be used now; zero when it can.
func (t *TPM) checkPresent(h handle) rc {
	switch h.kind() {
	case htPermanent:
		if y := t.hierarchyOf(h); y != nil && !y.Enabled {
			return rcHierarchy
		}
	case htTransient:
		if t.object(h) == nil {
			return rcReferenceH0
		}
	case htPersistent:
		o := t.object(h)
		if o == nil || !t.hierarchyOf(o.Hierarchy).Enabled {
			return rcHandle
		}
	case htHMACSession, htPolicySession:
		if t.sessions[h] == nil {
			return rcReferenceH0
		}
	case htNV:
		return t.checkIndexPresent(h)
	}
	return rcSuccess
}

// respond completes the response that the command began to write: the header, the sessions.
func (t *TPM) respond(x *execution) ([]byte, error) {
	params := x.out.Out()[x.answered:]
	if x.tag == stSessions {
		if err := t.answerSessions(x, params); err != nil {
			return nil, err
		}
	} else if err := t.auditCommand(x, params); err != nil {
		return nil, err
	}
	res := copyOf(x.out.Out())
	clear(x.out.Out()) // it may be a secret
	if x.tag == stSessions {
		binary.BigEndian.PutUint32(res[x.answered-4:], uint32(len(params)))
	}
	binary.BigEndian.PutUint16(res, x.tag)
	binary.BigEndian.PutUint32(res[2:], uint32(len(res)))
	binary.BigEndian.PutUint32(res[6:], uint32(rcSuccess))
	return res, nil
}
