package tpm

import (
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// guard refuses commands whose effects were not declared, before they reach the TPM. With the effect declared, it
// still lets no persistent object or NV index be changed or removed that is neither in named nor was made through
// this very guard: a verb that forgot to ask its user cannot hit what somebody else put there.
//
// Making a persistent object needs no name: the TPM refuses to put one where another is.
func guard(may Effects, named ...tpm2.TPMHandle) layer {
	return func(next Sender) Sender {
		return &guarded{next: next, may: may, named: slices.Clone(named)}
	}
}

type guarded struct {
	next  Sender
	may   Effects
	named []tpm2.TPMHandle
}

func (g *guarded) Send(cmd []byte) ([]byte, error) {
	c := parseCommand(cmd)
	if missing := effectsOf(c) &^ g.may; missing != 0 {
		return nil, fail.E(fail.Internal, "%s would have an effect that this verb does not declare: %s",
			CommandName(c.code), missing)
	}
	if h, ok := alters(c); ok && !slices.Contains(g.named, h) {
		return nil, fail.E(fail.Usage, "%s would change or remove 0x%08x, which was not named", CommandName(c.code), uint32(h)).
			Hint("give the handle 0x%08x itself, if it is yours to change", uint32(h))
	}
	rsp, err := g.next.Send(cmd)
	if err == nil && len(rsp) >= headerSize && responseCode(rsp) == tpm2.TPMRCSuccess {
		if h, ok := makes(c); ok {
			g.named = append(g.named, h)
		}
	}
	return rsp, err
}

// effectsOf is the effect of a command's kind and of how it is authorized.
func effectsOf(c command) Effects {
	shape, known := commandShapes[c.code]
	if !known {
		return everything
	}
	effect := shape.effect
	for i, s := range c.sessions {
		if i < len(c.handles) && s.password && countsTowardLockout(c.handles[i]) {
			effect |= UsesDA
		}
	}
	return effect
}

// countsTowardLockout tells whether a wrong password for h may be counted. That an object has noDA set is not to be
// seen in a command; nor is which auth value an HMAC session proves, so for those the verb's declaration is all there is.
func countsTowardLockout(h tpm2.TPMHandle) bool {
	switch handleType(h) {
	case tpm2.TPMHTTransient, tpm2.TPMHTPersistent, tpm2.TPMHTNVIndex:
		return true
	}
	return h == tpm2.TPMRHLockout
}

// alters returns the persistent object or NV index that a command changes or removes.
func alters(c command) (tpm2.TPMHandle, bool) {
	switch c.code {
	case tpm2.TPMCCEvictControl: // object handle: a persistent one is evicted, a transient one is copied
		return handleAt(c, 1, tpm2.TPMHTPersistent)
	case tpm2.TPMCCNVUndefineSpaceSpecial, tpm2.TPMCCNVChangeAuth:
		return handleAt(c, 0, tpm2.TPMHTNVIndex)
	case tpm2.TPMCCNVUndefineSpace, tpm2.TPMCCNVWrite, tpm2.TPMCCNVIncrement, tpm2.TPMCCNVExtend, tpm2.TPMCCNVSetBits,
		tpm2.TPMCCNVWriteLock, tpm2.TPMCCNVReadLock:
		return handleAt(c, 1, tpm2.TPMHTNVIndex)
	}
	return 0, false
}

// makes returns the persistent object or NV index that a command creates.
func makes(c command) (tpm2.TPMHandle, bool) {
	switch c.code {
	case tpm2.TPMCCEvictControl:
		if _, evicts := alters(c); evicts {
			return 0, false
		}
		return c.paramHandle()
	case tpm2.TPMCCNVDefineSpace, commandNVDefineSpace2:
		return c.definedIndex()
	}
	return 0, false
}

func handleAt(c command, i int, want tpm2.TPMHT) (tpm2.TPMHandle, bool) {
	if i >= len(c.handles) || handleType(c.handles[i]) != want {
		return 0, false
	}
	return c.handles[i], true
}

// handleType is the most significant octet of a handle (part 2, section 7.2).
func handleType(h tpm2.TPMHandle) tpm2.TPMHT { return tpm2.TPMHT(h >> 24) }
