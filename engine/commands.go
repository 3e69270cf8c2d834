package engine

import (
	"cmp"
	"slices"
)

// commands is the command table, in order of the codes.
var commands []*command

func init() { // not an initializer: TPM2_GetCapability reads the table that holds it
	commands = []*command{
		on(ccStartup, (*TPM).startup, flagNV, flagNoSession),
		on(ccShutdown, (*TPM).shutdown, flagNV, flagNoAudit),
		on(ccSelfTest, (*TPM).selfTest, flagNV, flagPure),
		on(ccIncrementalSelfTest, (*TPM).incrementalSelfTest, flagNV, flagPure),
		on(ccGetTestResult, (*TPM).getTestResult, flagPure),
		on(ccGetCapability, (*TPM).getCapability, flagPure),
		on(ccTestParms, (*TPM).testParms, flagPure),
		on(ccGetRandom, (*TPM).getRandom, flagPure),
		on(ccStirRandom, (*TPM).stirRandom, flagNV, flagPure),

		on(ccStartAuthSession, (*TPM).startAuthSession),
		on(ccPolicyRestart, (*TPM).policyRestart),
		on(ccFlushContext, (*TPM).flushContext, flagNoSession),

		on(ccPCRRead, (*TPM).pcrRead, flagPure),
		on(ccPCRExtend, (*TPM).pcrExtend, flagNV),
		on(ccPCREvent, (*TPM).pcrEvent, flagNV),
		on(ccPCRReset, (*TPM).pcrReset, flagNV),
		on(ccPCRAllocate, (*TPM).pcrAllocate, flagNV, flagPP),
		on(ccPCRSetAuthPolicy, (*TPM).pcrSetAuthPolicy, flagNV, flagPP),
		on(ccPCRSetAuthValue, (*TPM).pcrSetAuthValue),

		on(ccDictionaryAttackLockReset, (*TPM).daLockReset, flagNV),
		on(ccDictionaryAttackParameters, (*TPM).daParameters, flagNV),
	}
	slices.SortFunc(commands, func(a, b *command) int { return cmp.Compare(a.cc, b.cc) })
}

// alwaysPPCommands are those that need physical presence until TPM2_PP_Commands says otherwise.
func alwaysPPCommands() []uint32 {
	var list []uint32
	for _, c := range commands {
		if c.flags&flagAlwaysPP != 0 {
			list = append(list, c.cc)
		}
	}
	return list
}
