package engine

import (
	"reflect"
	"slices"
	"strings"
)

// command is one row of the command table: all that dispatch, authorization, parameter encryption and
// TPM2_GetCapability know about a command. Its handles, their roles and the kinds of its parameters are read from the
// Go types of the function that runs it, so that none of them can disagree.
type command struct {
	cc         uint32
	flags      flags
	handles    []handleSpec
	returns    bool // the response has a handle
	decryptIn  bool // the first parameter may be encrypted
	encryptOut bool // the first response parameter may be encrypted
	needAuth   int  // how many of the handles need an authorization; those come first
	input      reflect.Type
	output     reflect.Type
	call       func(t *TPM, input any) (output any, err error)
}

// flags are the bits of a TPMA_CC that types cannot tell, and what only dispatch needs to know.
type flags uint16

const (
	flagNV        flags = 1 << iota // may write to NV
	flagExtensive                   // flushes other objects
	flagFlushed                     // flushes the object of its first handle
	flagPure                        // changes nothing when it is run without sessions
	flagFleeting                    // changes nothing but loaded objects and sessions, see fleeting
	flagPowered                     // changes nothing but those and what lives by power, see powered
	flagPP                          // may be made to need physical presence
	flagAlwaysPP                    // needs physical presence unless told otherwise
	flagNoSession                   // takes no session at all
	flagNVWrite                     // needs the right to write the NV index that authorizes it
)

// none stands for no parameters, in or out.
type none struct{}

// on makes a row of the table from a command code and the method that runs the command. I and O are pointers to structs: the
// fields of the input are the command's handles, tagged with kind and authorization role, then its parameters in order; the
// fields of the output are the response's handle, if it has one, and parameters. A nil output stands for a zero one.
//
// As all pointers have the same shape, the compiler makes one instance of this for all commands. An instance for each would
// make the program visibly larger, for which reason decoding and encoding take reflection.
func on[I, O any](cc uint32, function func(*TPM, I) (O, error), set ...flags) *command {
	cmd := describe(reflect.TypeFor[I]().Elem(), reflect.TypeFor[O]().Elem())
	cmd.cc = cc
	for _, f := range set {
		cmd.flags |= f
	}
	cmd.call = func(t *TPM, input any) (any, error) { return function(t, input.(I)) }
	return cmd
}

// describe reads off the types of a command's input and output what the table says of it.
func describe(in, out reflect.Type) *command {
	cmd := &command{input: in, output: out}
	for i := range in.NumField() {
		if tag, ok := in.Field(i).Tag.Lookup("tpm"); ok {
			cmd.handles = append(cmd.handles, parseHandleSpec(tag))
		}
	}
	for _, h := range cmd.handles {
		if h.role != roleNone {
			cmd.needAuth++
		}
	}
	n := len(cmd.handles)
	cmd.decryptIn = in.NumField() > n && isTPM2B(in.Field(n).Type)
	first := 0
	if out.NumField() > 0 && out.Field(0).Type == reflect.TypeFor[handle]() {
		cmd.returns, first = true, 1
	}
	cmd.encryptOut = out.NumField() > first && isTPM2B(out.Field(first).Type)
	return cmd
}

// isTPM2B tells whether a parameter is a sized buffer, the only thing that parameter encryption covers.
func isTPM2B(t reflect.Type) bool {
	_, boxed := reflect.New(t).Interface().(interface{ boxed() })
	return boxed || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// role is the authorization that the use of a handle needs (part 1, 19.2).
type role uint8

const (
	roleNone role = iota
	roleUser
	roleAdmin
	roleDup
)

// handleSpec says what may stand in a place of the handle area.
type handleSpec struct {
	accepts func(handle) bool
	role    role
}

// parseHandleSpec reads a tag such as "object,user": a kind, "?" if TPM_RH_NULL is allowed too, and a role.
func parseHandleSpec(tag string) handleSpec {
	name, roleName, _ := strings.Cut(tag, ",")
	name, optional := strings.CutSuffix(name, "?")
	accepts, ok := handleKinds[name]
	r := slices.Index([]string{"", "user", "admin", "dup"}, roleName)
	if !ok || r < 0 {
		panic("engine: bad handle tag " + tag)
	}
	if optional {
		inner := accepts
		accepts = func(h handle) bool { return h == rhNull || inner(h) }
	}
	return handleSpec{accepts, role(r)}
}

// oneHandle makes a kind of handle from the permanent handles that belong to it.
func oneHandle(allowed ...handle) func(handle) bool {
	return func(h handle) bool { return slices.Contains(allowed, h) }
}

// handleKinds are the interface types of part 2, clause 9, by the name that tags use.
var handleKinds = map[string]func(handle) bool{
	"object":      handle.isObject,
	"parent":      func(h handle) bool { return h.isObject() || h.isHierarchy() },
	"entity":      isEntity,
	"pcr":         func(h handle) bool { return h < maxPCRs },
	"context":     func(h handle) bool { return h.isSession() || h.kind() == htTransient },
	"session":     handle.isSession,
	"hmac":        func(h handle) bool { return h.kind() == htHMACSession },
	"policy":      func(h handle) bool { return h.kind() == htPolicySession },
	"nvindex":     func(h handle) bool { return h.kind() == htNV },
	"nvauth":      func(h handle) bool { return h == rhPlatform || h == rhOwner || h.kind() == htNV },
	"hierarchy":   oneHandle(rhOwner, rhPlatform, rhEndorsement),
	"hierarchies": oneHandle(rhOwner, rhPlatform, rhEndorsement, rhLockout),
	"policies": func(h handle) bool {
		return h == rhOwner || h == rhPlatform || h == rhEndorsement || h == rhLockout || h.isACT()
	},
	"act":         handle.isACT,
	"platform":    oneHandle(rhPlatform),
	"owner":       oneHandle(rhOwner),
	"endorsement": oneHandle(rhEndorsement),
	"lockout":     oneHandle(rhLockout),
	"provision":   oneHandle(rhOwner, rhPlatform),
	"clear":       oneHandle(rhLockout, rhPlatform),
}

// isEntity is TPMI_DH_ENTITY: anything that has an authorization value.
func isEntity(h handle) bool {
	switch h {
	case rhOwner, rhEndorsement, rhPlatform, rhLockout:
		return true
	}
	return h.isObject() || h.kind() == htNV || h < maxPCRs
}

// attributes is the TPMA_CC of the command.
func (cmd *command) attributes() uint32 {
	a := cmd.cc | uint32(len(cmd.handles))<<25
	for f, bit := range map[flags]uint32{flagNV: 1 << 22, flagExtensive: 1 << 23, flagFlushed: 1 << 24} {
		if cmd.flags&f != 0 {
			a |= bit
		}
	}
	if cmd.returns {
		a |= 1 << 28
	}
	return a
}

// findCommand looks a command code up; nil when it is not implemented.
func findCommand(cc uint32) *command {
	if cc < ccFirst || cc > ccLast {
		return nil
	}
	commands()
	return table.byCode[cc-ccFirst]
}
